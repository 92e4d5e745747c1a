//! The members of a pod that the controls and clause IP-6 look at.
//!
//! Everything else is skipped without being kept; strings are borrowed from the JSON where it has no
//! escapes. `null` is absent, a `null` in a list an empty item, as in the API server.

mod container;
mod metadata;
mod read;
mod volume;

pub use container::{
    Capabilities, Container, ContainerAt, ContainerKind, Handler, HandlerHost, Lifecycle, Port, Profile, SeLinuxOptions,
    SecurityContext, VolumeDevice, VolumeMount, WindowsOptions,
};
pub use metadata::{APP_ARMOR_ANNOTATION, Annotations, PodMetadata, SECCOMP_CONTAINER_ANNOTATION, SECCOMP_POD_ANNOTATION};
pub(crate) use read::{Key, read_seed};
pub use read::{List, MAX_CONTAINERS, MAX_ITEMS, ReadError, Word, read};
pub(crate) use volume::ALLOWED_SOURCES;
pub use volume::{HostPath, ImageVolume, Volume};

use read::object;

/// A pod or a pod template: `metadata` and `spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodTemplate<'a> {
    pub metadata: PodMetadata<'a>,
    pub spec: PodSpec<'a>,
}

object!(PodTemplate<'a> { "metadata" => metadata, "spec" => spec });

/// `spec` of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSpec<'a> {
    pub init_containers: List<Container<'a>, MAX_CONTAINERS>,
    pub containers: List<Container<'a>, MAX_CONTAINERS>,
    pub ephemeral_containers: List<Container<'a>, MAX_CONTAINERS>,
    pub volumes: List<Volume<'a>>,
    pub host_network: bool,
    pub host_pid: bool,
    pub host_ipc: bool,
    /// `Some(false)`: the pod has a user namespace of its own.
    pub host_users: Option<bool>,
    pub os: Option<Os<'a>>,
    /// No control looks at it; exemptions and clause AC-5 do.
    pub runtime_class_name: Option<Word<'a>>,
    pub security_context: Option<PodSecurityContext<'a>>,
}

object!(PodSpec<'a> {
    "initContainers" => init_containers,
    "containers" => containers,
    "ephemeralContainers" => ephemeral_containers,
    "volumes" => volumes,
    "hostNetwork" => host_network,
    "hostPID" => host_pid,
    "hostIPC" => host_ipc,
    "hostUsers" => host_users,
    "os" => os,
    "runtimeClassName" => runtime_class_name,
    "securityContext" => security_context,
});

/// `spec.os`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Os<'a> {
    pub name: Word<'a>,
}

object!(Os<'a> { "name" => name });

/// `spec.securityContext`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSecurityContext<'a> {
    pub run_as_user: Option<i64>,
    pub run_as_group: Option<i64>,
    pub run_as_non_root: Option<bool>,
    pub fs_group: Option<i64>,
    pub supplemental_groups: List<i64>,
    pub se_linux_options: Option<SeLinuxOptions<'a>>,
    pub seccomp_profile: Option<Profile<'a>>,
    pub app_armor_profile: Option<Profile<'a>>,
    pub windows_options: Option<WindowsOptions<'a>>,
    pub sysctls: List<Sysctl<'a>>,
}

object!(PodSecurityContext<'a> {
    "runAsUser" => run_as_user,
    "runAsGroup" => run_as_group,
    "runAsNonRoot" => run_as_non_root,
    "fsGroup" => fs_group,
    "supplementalGroups" => supplemental_groups,
    "seLinuxOptions" => se_linux_options,
    "seccompProfile" => seccomp_profile,
    "appArmorProfile" => app_armor_profile,
    "windowsOptions" => windows_options,
    "sysctls" => sysctls,
});

/// `spec.securityContext.sysctls[*]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sysctl<'a> {
    pub name: Word<'a>,
}

object!(Sysctl<'a> { "name" => name });

/// Where the pod stands in the object a person wrote, so that advice names *their* members:
/// `spec.template.spec` of a Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Path of the pod's metadata; empty if the object carries a bare spec.
    pub metadata: String,
    pub spec: String,
}

// === impl PodTemplate ===

impl<'a> PodTemplate<'a> {
    /// Reads a pod, or anything with `metadata` and `spec` of one.
    ///
    /// # Errors
    /// The text is no JSON, or a member has the wrong type; the error names it.
    pub fn from_json(json: &'a str) -> Result<Self, ReadError> {
        read(json)
    }
}

// === impl PodSpec ===

impl<'a> PodSpec<'a> {
    /// All containers: init, ordinary, ephemeral, in this order.
    pub fn all_containers(&self) -> impl Iterator<Item = ContainerAt<'_, 'a>> {
        [
            (ContainerKind::Init, &self.init_containers),
            (ContainerKind::Ordinary, &self.containers),
            (ContainerKind::Ephemeral, &self.ephemeral_containers),
        ]
        .into_iter()
        .flat_map(|(kind, list)| list.iter().enumerate().map(move |(index, container)| ContainerAt { kind, index, container }))
    }

    /// `spec.os.name` says Windows. A pod that says nothing is a Linux pod.
    pub fn is_windows(&self) -> bool {
        self.os.as_ref().is_some_and(|os| &*os.name == "windows")
    }

    /// The pod has a user namespace of its own: `hostUsers: false`.
    pub fn has_own_users(&self) -> bool {
        self.host_users == Some(false)
    }
}

// === impl Paths ===

impl Paths {
    /// A pod itself.
    pub fn pod() -> Self {
        Paths { metadata: "metadata".into(), spec: "spec".into() }
    }

    /// A pod template below `template`: `spec.template`.
    pub fn template(template: &str) -> Self {
        Paths { metadata: format!("{template}.metadata"), spec: format!("{template}.spec") }
    }
}

impl Default for Paths {
    fn default() -> Self {
        Paths::pod()
    }
}
