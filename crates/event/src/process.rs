//! Who acts.

use std::sync::Arc;

/// Where a file lies, seen from a container's root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The root is no overlay, or nobody looked.
    #[default]
    Unknown,
    /// In a lower layer of the container's overlay: from the image.
    Lower,
    /// In the upper layer: made or changed in the container.
    Upper,
    /// In neither: a volume, tmpfs, another file system.
    Outside,
    /// In memory, without a name.
    Memfd,
}

/// A file as the kernel knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct File {
    /// Absolute, below the root of the process; none where it has no name.
    pub path: Option<String>,
    pub inode: u64,
    /// major << 20 | minor
    pub device: u32,
    /// Type and permissions (`st_mode`).
    pub mode: u32,
    pub layer: Layer,
    /// Written since it came into the upper layer.
    pub written: bool,
}

/// A process at one moment. Times are nanoseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Process {
    /// On the node; so are `parent`, `session` and `group`.
    pub pid: u32,
    pub parent: u32,
    pub session: u32,
    pub group: u32,
    /// In its own pid namespace.
    pub own_pid: u32,
    pub own_group: u32,
    pub own_session: u32,
    pub started: i64,
    /// Name of the thread (`comm`), at most 15 bytes.
    pub name: String,
    /// First argument (`argv[0]`).
    pub exe: String,
    /// Arguments after the first.
    pub args: Vec<String>,
    /// `NAME=value`; as many as fit.
    pub env: Vec<String>,
    pub cwd: String,
    /// The program.
    pub program: File,
    /// Change of the program file's inode and of its content.
    pub program_changed: i64,
    pub program_modified: i64,
    /// The program may be written by who runs it.
    pub program_writable: bool,
    pub uid: u32,
    pub gid: u32,
    /// Who logged in, if somebody did.
    pub login: Option<u32>,
    /// Names of uid, gid and login, where the container or node knows them.
    pub user: Option<Arc<str>>,
    pub group_name: Option<Arc<str>>,
    pub login_name: Option<Arc<str>>,
    /// The terminal as the kernel numbers it; 0 for none.
    pub terminal: u32,
    /// Bits of capabilities, `CAP_CHOWN` first.
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
    /// Standard input, output or error is a network socket, as it was when the program started.
    pub stdin_socket: bool,
    pub stdout_socket: bool,
    pub pid_namespace: u32,
    pub mount_namespace: u32,
    pub user_namespace: u32,
    pub network_namespace: u32,
}

// === impl Process ===

impl Process {
    /// Name and arguments as Falco's `proc.cmdline` has them.
    pub fn command_line(&self) -> String {
        let mut line = self.name.clone();
        for arg in &self.args {
            line.push(' ');
            line.push_str(arg);
        }
        line
    }
}
