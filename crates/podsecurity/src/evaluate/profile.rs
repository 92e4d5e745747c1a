//! Controls over the kernel's confinement: AppArmor, SELinux, seccomp.

use super::{Review, remove, set};
use crate::level::Version;
use crate::pod::{APP_ARMOR_ANNOTATION, Profile, SECCOMP_CONTAINER_ANNOTATION, SECCOMP_POD_ANNOTATION, SeLinuxOptions};
use crate::shown::{plain, quoted};
use jinwu_model::Text;

const APP_ARMOR: &str = "securityContext.appArmorProfile.type";
const SECCOMP: &str = "securityContext.seccompProfile.type";

/// SELinux types and the version since which they are allowed.
const SE_LINUX_TYPES: [(u16, &str); 5] =
    [(0, ""), (0, "container_t"), (0, "container_init_t"), (0, "container_kvm_t"), (31, "container_engine_t")];

/// The SELinux types a version allows.
pub(crate) fn se_linux_types(version: Version) -> impl Iterator<Item = &'static str> {
    SE_LINUX_TYPES.into_iter().filter(move |(since, _)| Version::minor(*since) <= version).map(|(_, name)| name)
}

/// A profile that confines.
fn confines(profile: &Profile<'_>) -> bool {
    matches!(profile.kind.as_str(), "RuntimeDefault" | "Localhost")
}

fn confines_app_armor(annotation: &str) -> bool {
    annotation.is_empty() || annotation == "runtime/default" || annotation.starts_with("localhost/")
}

fn confines_seccomp(annotation: &str) -> bool {
    annotation == "runtime/default" || annotation == "docker/default" || annotation.starts_with("localhost/")
}

impl<'a> Review<'_, 'a> {
    pub(super) fn app_armor_profile(&mut self) {
        let (spec, metadata) = (self.spec, self.metadata);
        let pod = spec.security_context.as_ref().and_then(|s| s.app_armor_profile.as_ref());
        self.unconfined_pod("AppArmor", APP_ARMOR, pod);
        for at in spec.all_containers() {
            let Some(profile) = at.container.security(|s| s.app_armor_profile.as_ref()).filter(|p| !confines(p)) else { continue };
            let path = at.path(self.paths, APP_ARMOR);
            self.container(&at, unconfined("AppArmor", profile), set(&path, "RuntimeDefault"));
        }
        for (key, value) in metadata.annotations.0.iter().filter(|(k, v)| k.starts_with(APP_ARMOR_ANNOTATION) && !confines_app_armor(v)) {
            self.annotation(key, value);
        }
    }

    pub(super) fn se_linux_options(&mut self) {
        const MEMBER: &str = "securityContext.seLinuxOptions";
        let (spec, version) = (self.spec, self.version);
        if let Some(options) = spec.security_context.as_ref().and_then(|s| s.se_linux_options.as_ref()) {
            for (member, found) in se_linux_faults(options, version) {
                let path = self.spec_path(&format!("{MEMBER}.{member}"));
                self.pod(found, remove(&path));
            }
        }
        for at in spec.all_containers() {
            let Some(options) = at.container.security(|s| s.se_linux_options.as_ref()) else { continue };
            for (member, found) in se_linux_faults(options, version) {
                let path = at.path(self.paths, &format!("{MEMBER}.{member}"));
                self.container(&at, found, remove(&path));
            }
        }
    }

    pub(super) fn seccomp_profile_baseline(&mut self) {
        if self.version < Version::minor(19) {
            self.seccomp_annotations();
        } else {
            self.seccomp_fields(false);
        }
    }

    pub(super) fn seccomp_profile_restricted(&mut self) {
        if !self.spares_windows() {
            self.seccomp_fields(true);
        }
    }

    fn seccomp_annotations(&mut self) {
        let (spec, annotations) = (self.spec, &self.metadata.annotations.0);
        if let Some(value) = annotations.get(SECCOMP_POD_ANNOTATION).filter(|v| !confines_seccomp(v)) {
            self.annotation(SECCOMP_POD_ANNOTATION, value);
        }
        for at in spec.all_containers() {
            if annotations.is_empty() {
                break;
            }
            let key = format!("{SECCOMP_CONTAINER_ANNOTATION}{}", at.container.name.as_str());
            if let Some(value) = annotations.get(key.as_str()).filter(|v| !confines_seccomp(v)) {
                self.annotation(&key, value);
            }
        }
    }

    /// `demanded`: it must be set, at the pod or at every container.
    fn seccomp_fields(&mut self, demanded: bool) {
        let spec = self.spec;
        let pod = spec.security_context.as_ref().and_then(|s| s.seccomp_profile.as_ref());
        let pod_confines = pod.is_some_and(confines);
        let pod_path = self.spec_path(SECCOMP);
        self.unconfined_pod("seccomp", SECCOMP, pod);
        for at in spec.all_containers() {
            let path = at.path(self.paths, SECCOMP);
            match at.container.security(|s| s.seccomp_profile.as_ref()) {
                Some(profile) if !confines(profile) => self.container(&at, unconfined("seccomp", profile), set(&path, "RuntimeDefault")),
                None if demanded && !pod_confines => self.container(
                    &at,
                    Text::new("没有 seccomp 配置", "has no seccomp profile"),
                    Text::new(format!("将 {pod_path} 或 {path} 设为 RuntimeDefault"), format!("set {pod_path} or {path} to RuntimeDefault")),
                ),
                _ => {}
            }
        }
    }

    fn unconfined_pod(&mut self, what: &str, member: &str, profile: Option<&Profile<'a>>) {
        if let Some(profile) = profile.filter(|p| !confines(p)) {
            let path = self.spec_path(member);
            self.pod(unconfined(what, profile), set(&path, "RuntimeDefault"));
        }
    }

    fn annotation(&mut self, key: &str, value: &str) {
        let path = format!("{}.annotations[{}]", self.paths.metadata, quoted(key));
        let (key, value) = (plain(key), quoted(value));
        self.pod(Text::new(format!("注解 {key} 为 {value}"), format!("annotation {key} is {value}")), set(&path, "runtime/default"));
    }
}

fn unconfined(what: &str, profile: &Profile<'_>) -> Text {
    let kind = quoted(&profile.kind);
    Text::new(format!("{what} 配置类型为 {kind}"), format!("{what} profile of type {kind}"))
}

fn se_linux_faults(options: &SeLinuxOptions<'_>, version: Version) -> Vec<(&'static str, Text)> {
    let mut faults = Vec::new();
    if !se_linux_types(version).any(|allowed| allowed == options.kind.as_str()) {
        let kind = quoted(&options.kind);
        faults.push(("type", Text::new(format!("SELinux 类型 {kind}"), format!("SELinux type {kind}"))));
    }
    if !options.user.is_empty() {
        let user = quoted(&options.user);
        faults.push(("user", Text::new(format!("SELinux 用户 {user}"), format!("SELinux user {user}"))));
    }
    if !options.role.is_empty() {
        let role = quoted(&options.role);
        faults.push(("role", Text::new(format!("SELinux 角色 {role}"), format!("SELinux role {role}"))));
    }
    faults
}
