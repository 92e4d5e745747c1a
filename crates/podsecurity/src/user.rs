//! Privileged users (特权用户) of clause IP-6: who a container would *really* run as.
//!
//! The container's `runAsUser` decides, then the pod's, then the image's USER. A user that cannot be
//! known counts as root. `runAsNonRoot` is no substitute: it has the kubelet refuse the container when it
//! starts, on the node and too late, and says nothing about who it is.
//!
//! Sources: Kubernetes API reference, SecurityContext; the kubelet's check of `runAsNonRoot`
//! (`pkg/kubelet/kuberuntime/security_context*.go`).

mod effective;
mod windows;

pub use effective::effective_user;

use crate::pod::{ContainerKind, Paths};
use crate::shown::quoted;
use jinwu_model::Text;
use serde::Serialize;

/// The image's USER, as the caller knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageUser {
    /// A number, or a name looked up in the image's own `/etc/passwd`. No USER at all is 0.
    Uid(u32),
    /// A Windows image's user name. In a Linux pod a name alone is unknown.
    Name(String),
    /// The image is not known, or its user is a name that nobody could look up.
    Unknown { reason: Text },
}

/// Who a container runs as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RunsAs {
    Uid(u32),
    WindowsUser(String),
    /// Counts as a privileged user.
    Unknown(Text),
}

/// What decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UserSource {
    Container,
    Pod,
    Image,
}

/// A container's user with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveUser {
    /// The container's name.
    pub container: String,
    pub kind: ContainerKind,
    /// Position in its list, from 0.
    pub index: usize,
    pub runs_as: RunsAs,
    pub source: UserSource,
    /// `runAsNonRoot` of the container, else of the pod.
    pub run_as_non_root: Option<bool>,
    /// The pod has a user namespace of its own: root inside is nobody outside. The clause speaks of the
    /// user *in* the container, so this is told, not forgiven.
    pub own_users: bool,
    /// The pod is a Windows pod.
    pub windows: bool,
    /// `runAsGroup` of the container, else of the pod; `None`: the image decides.
    pub group: Option<i64>,
    /// `fsGroup`, owner of the pod's volumes.
    pub fs_group: Option<i64>,
    /// At most the first sixteen.
    pub supplemental_groups: Vec<i64>,
}

/// A container that runs as a privileged user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserFinding {
    pub container: String,
    /// Who it is, and where that comes from.
    pub found: Text,
    /// Which member to set.
    pub advice: Text,
}

/// The containers among `users` that run as a privileged user, with advice in terms of `paths`.
pub fn privileged_user(users: &[EffectiveUser], paths: &Paths) -> Vec<UserFinding> {
    users
        .iter()
        .filter(|user| user.is_privileged())
        .map(|user| UserFinding { container: user.container.clone(), found: user.found(), advice: user.advice(paths) })
        .collect()
}

// === impl EffectiveUser ===

impl EffectiveUser {
    /// Root, an administrator, or unknown.
    pub fn is_privileged(&self) -> bool {
        match &self.runs_as {
            RunsAs::Uid(uid) => *uid == 0,
            RunsAs::WindowsUser(name) => windows::is_privileged(name),
            RunsAs::Unknown(_) => true,
        }
    }

    /// What is worth knowing about groups; no violation by itself.
    pub fn information(&self) -> Vec<Text> {
        let mut notes = Vec::new();
        if self.group == Some(0) {
            notes.push(Text::new("主组为 0(root 组)", "the primary group is 0 (root)"));
        }
        if self.group.is_none() && !self.windows {
            notes.push(Text::new("主组由镜像决定,用户不在镜像的 passwd 中时为 0", "the image decides the primary group; it is 0 for a user that its passwd file lacks"));
        }
        if self.fs_group == Some(0) {
            notes.push(Text::new("卷属于组 0(root 组)", "volumes belong to group 0 (root)"));
        }
        if self.supplemental_groups.contains(&0) {
            notes.push(Text::new("附加组含 0(root 组)", "group 0 (root) is among the supplemental groups"));
        } else if !self.supplemental_groups.is_empty() {
            let groups = self.supplemental_groups.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
            notes.push(Text::new(format!("附加组 {groups}"), format!("supplemental groups {groups}")));
        }
        notes
    }

    fn found(&self) -> Text {
        let name = quoted(&self.container);
        let (source_zh, source_en) = match (self.source, self.windows) {
            (UserSource::Container, false) => ("容器的 runAsUser", "the container's runAsUser"),
            (UserSource::Pod, false) => ("Pod 的 runAsUser", "the pod's runAsUser"),
            (UserSource::Container, true) => ("容器的 runAsUserName", "the container's runAsUserName"),
            (UserSource::Pod, true) => ("Pod 的 runAsUserName", "the pod's runAsUserName"),
            (UserSource::Image, _) => ("镜像的 USER", "the image's USER"),
        };
        let mut text = match &self.runs_as {
            RunsAs::Uid(uid) => {
                let root = if *uid == 0 { " (root)" } else { "" };
                Text::new(
                    format!("容器 {name} 以用户 {uid}{root} 运行,来自{source_zh}"),
                    format!("container {name} runs as user {uid}{root}, from {source_en}"),
                )
            }
            RunsAs::WindowsUser(user) => {
                let user = quoted(user);
                Text::new(
                    format!("容器 {name} 以特权用户 {user} 运行,来自{source_zh}"),
                    format!("container {name} runs as the privileged user {user}, from {source_en}"),
                )
            }
            RunsAs::Unknown(reason) => Text::new(
                format!("容器 {name} 的用户未知,按 root 计:{source_zh}:{}", reason.zh),
                format!("the user of container {name} is unknown and counts as root: {source_en}: {}", reason.en),
            ),
        };
        if self.run_as_non_root == Some(true) {
            let (zh, en) = match &self.runs_as {
                RunsAs::Unknown(_) => (
                    ";runAsNonRoot 不能代替:镜像用户为 0 或为名称时,kubelet 在节点上才拒绝启动(CreateContainerConfigError)",
                    "; runAsNonRoot is no substitute: only on the node does the kubelet refuse to start it (CreateContainerConfigError), when the image's user is 0 or a name",
                ),
                _ => (
                    ";因 runAsNonRoot,kubelet 将拒绝启动(CreateContainerConfigError)",
                    "; because of runAsNonRoot the kubelet will refuse to start it (CreateContainerConfigError)",
                ),
            };
            text.zh.push_str(zh);
            text.en.push_str(en);
        }
        if self.own_users {
            text.zh.push_str(";Pod 有独立用户命名空间,在宿主机上不是 root");
            text.en.push_str("; the pod has a user namespace of its own, so it is not root on the host");
        }
        text
    }

    fn advice(&self, paths: &Paths) -> Text {
        let container = format!("{}.{}[{}].securityContext", paths.spec, self.kind.member(), self.index);
        if self.windows {
            let path = format!("{container}.windowsOptions.runAsUserName");
            return Text::new(format!("将 {path} 设为 ContainerUser"), format!("set {path} to ContainerUser"));
        }
        let path = match self.source {
            UserSource::Container => format!("{container}.runAsUser"),
            // Pod and image are overruled at the pod; a container by itself keeps its word.
            UserSource::Pod | UserSource::Image => format!("{}.securityContext.runAsUser", paths.spec),
        };
        let mut text = Text::new(
            format!("将 {path} 设为非 0 的用户号,例如 1000"),
            format!("set {path} to a user id other than 0, for example 1000"),
        );
        if self.source == UserSource::Image {
            text.zh.push_str(",或在镜像中写 USER 1000");
            text.en.push_str(", or write USER 1000 in the image");
        }
        text
    }
}
