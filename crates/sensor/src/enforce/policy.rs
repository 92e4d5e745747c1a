//! What containers may not do, typed; and as entries of the kernel's maps.

use super::values::bytes;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// What becomes of what a policy names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    #[default]
    Allow = 0,
    /// It happens, and is told with the verdict `alarmed`.
    Alarm = 1,
    /// The kernel refuses it, and tells it.
    Block = 2,
}

macro_rules! operations {
    ($($(#[doc = $doc:literal])* $variant:ident = $bit:literal,)*) => {
        /// What a process does to a file, an address or the kernel.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Operation {
            $($(#[doc = $doc])* $variant = $bit,)*
        }

        impl Operation {
            pub const ALL: &[Operation] = &[$(Operation::$variant,)*];
        }
    };
}

operations! {
    /// A program is started, or code of a file is mapped.
    Exec = 0,
    Read = 1,
    /// Opened for writing, truncated.
    Write = 2,
    /// A file, device, socket or symbolic link is made.
    Create = 3,
    /// A file or directory is removed.
    Unlink = 4,
    Rename = 5,
    Mkdir = 6,
    Link = 7,
    Chmod = 8,
    Chown = 9,
    Setxattr = 10,
    /// Mounts, moves, removes a mount, changes the root.
    Mount = 11,
    Ptrace = 12,
    /// A signal to another process.
    Kill = 13,
    /// A kernel module is loaded.
    Module = 14,
    Bpf = 15,
    Socket = 16,
    Connect = 17,
    /// A datagram to an address.
    Send = 18,
    Bind = 19,
    Listen = 20,
    /// A user namespace is made (Linux 6.1).
    UserNamespace = 21,
    /// User or group id changes.
    Setid = 22,
    /// Memory that is no file's, writable and executable.
    Jit = 23,
    Chroot = 24,
    /// Waits for a connection.
    Accept = 25,
    /// Performance counters, other programs among them.
    Perf = 26,
}

/// What holds in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ContainerPolicy {
    /// Number of its [`Policy`]; 0 for none.
    pub policy: u32,
    /// Code that did not come with its image.
    pub drift: Mode,
    /// Files nobody has looked at yet.
    pub held: Mode,
    /// Programs started as user 0.
    pub root: Mode,
    /// Programs started with capabilities of a privileged container.
    pub privileged: Mode,
    /// Device of its root file system; found by the kernel when its first program starts, if it is not said here.
    pub root_device: Option<u32>,
    /// Devices of volumes from which it may run code.
    pub volumes: Vec<u32>,
}

/// Operations and objects that are refused or told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Policy {
    /// Refused whatever they are about.
    pub block: Vec<Operation>,
    pub alarm: Vec<Operation>,
    pub files: Vec<FileRule>,
    pub addresses: Vec<AddressRule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileRule {
    /// Told with what it refuses; not 0.
    pub id: u32,
    pub target: Target,
    #[serde(default)]
    pub block: Vec<Operation>,
    #[serde(default)]
    pub alarm: Vec<Operation>,
}

/// Which file. Of several prefixes of a path the longest counts, alone; a rule without operations is an exception. A
/// path in the container's root is that of its image, whatever chroot or mount shows it; of another file system it is
/// where that is mounted. Paths of more than 40 names, or 247 bytes, are known by their ends or beginnings alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    Path(String),
    /// A directory with everything below it.
    Below(String),
    Inode {
        device: u32,
        inode: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddressRule {
    /// Told with what it refuses; not 0.
    pub id: u32,
    /// Connect, send or bind.
    pub operation: Operation,
    /// `0.0.0.0` and `::` with no bits are every address, of either family. A rule for send holds for connecting a
    /// datagram socket too.
    pub address: IpAddr,
    /// Bits of the address that count.
    pub prefix: u8,
    /// 0: any.
    #[serde(default)]
    pub port: u16,
    pub mode: Mode,
}

/// What is known of a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Looked at, or of a list of permitted contents: it may run, wherever it is from.
    Clean = 1,
    Malicious = 2,
    /// To be looked at.
    Unknown = 3,
}

/// A rule the kernel's tables cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPolicy {
    pub rule: u32,
    pub why: String,
}

/// Keys and values of the maps.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) policy: Vec<u8>,
    pub(super) paths: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) files: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) addresses: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Bytes of a path in a key.
const PATH_KEY: usize = 248;
/// Most rules of a policy.
const MOST: usize = 1024;

// === impl Operation ===

impl Operation {
    pub fn bit(self) -> u32 {
        1 << self as u32
    }
}

fn bits(operations: &[Operation]) -> u32 {
    operations.iter().fold(0, |bits, o| bits | o.bit())
}

// === impl ContainerPolicy ===

impl ContainerPolicy {
    pub(super) fn modes(&self) -> u32 {
        self.drift as u32 | (self.held as u32) << 2 | (self.root as u32) << 4 | (self.privileged as u32) << 6
    }
}

// === impl Policy ===

impl Policy {
    pub(super) fn rules(&self, id: u32) -> Result<Rules, InvalidPolicy> {
        if self.files.len() + self.addresses.len() > MOST {
            return Err(InvalidPolicy { rule: 0, why: format!("more than {MOST} rules") });
        }
        let mut rules = Rules::default();
        for rule in &self.files {
            let value = bytes(&[&rule.id, &bits(&rule.block), &bits(&rule.alarm), &0u32]);
            match &rule.target {
                Target::Inode { device, inode } => rules.files.push((bytes(&[inode, device, &id]), value)),
                Target::Path(path) => rules.paths.push((path_key(id, rule.id, path, true)?, value)),
                Target::Below(path) => {
                    let path = path.trim_end_matches('/');
                    if !path.is_empty() {
                        rules.paths.push((path_key(id, rule.id, path, true)?, value.clone()));
                    }
                    rules.paths.push((path_key(id, rule.id, &format!("{path}/"), false)?, value));
                }
            }
        }
        for rule in &self.addresses {
            rules.addresses.push((rule.key(id)?, rule.value()));
        }
        let files = self.files.iter().fold(0, |b, r| b | bits(&r.block) | bits(&r.alarm));
        let addresses = self.addresses.iter().fold(0, |b, r| b | r.operation.bit());
        rules.policy = bytes(&[&bits(&self.block), &bits(&self.alarm), &files, &addresses]);
        Ok(rules)
    }
}

fn path_key(policy: u32, rule: u32, path: &str, whole: bool) -> Result<Vec<u8>, InvalidPolicy> {
    let invalid = |why: String| InvalidPolicy { rule, why };
    if !path.starts_with('/') || path.contains("//") || path.contains('\0') || path.split('/').any(|n| n == "." || n == "..") {
        return Err(invalid(format!("{path:?} is no absolute path without `.`, `..` and doubled slashes")));
    }
    if path.len() >= PATH_KEY {
        return Err(invalid(format!("a path of {} bytes; at most {} can be held", path.len(), PATH_KEY - 1)));
    }
    let length = path.len() + usize::from(whole);
    let mut key = bytes(&[&(32 + 8 * length as u32), &policy]);
    key.extend_from_slice(path.as_bytes());
    key.resize(8 + PATH_KEY, 0);
    Ok(key)
}

// === impl AddressRule ===

impl AddressRule {
    fn key(&self, policy: u32) -> Result<Vec<u8>, InvalidPolicy> {
        let invalid = |why: String| InvalidPolicy { rule: self.id, why };
        if !matches!(self.operation, Operation::Connect | Operation::Send | Operation::Bind) {
            return Err(invalid("an address belongs to connect, send or bind".into()));
        }
        let (octets, most) = match self.address {
            IpAddr::V4(v4) => (v4.to_ipv6_mapped().octets(), 32),
            IpAddr::V6(v6) => (v6.octets(), 128),
        };
        if self.prefix > most {
            return Err(invalid(format!("a prefix of {} bits; {} has {most}", self.prefix, self.address)));
        }
        // All of IPv4 is all of ::ffff:0:0/96; only 0.0.0.0/0 means every address.
        let every = self.address == IpAddr::V4(Ipv4Addr::UNSPECIFIED) && self.prefix == 0;
        let prefix = if every { 0 } else { u32::from(self.prefix) + 128 - most as u32 };
        let mut key = bytes(&[&(96 + prefix), &policy, &self.operation.bit(), &u32::from(self.port)]);
        key.extend_from_slice(&octets);
        Ok(key)
    }

    fn value(&self) -> Vec<u8> {
        let bit = |mode: Mode| if self.mode == mode { self.operation.bit() } else { 0 };
        bytes(&[&self.id, &bit(Mode::Block), &bit(Mode::Alarm), &0u32])
    }
}

// === impl InvalidPolicy ===

impl std::fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rule {}: {}", self.rule, self.why)
    }
}

impl std::error::Error for InvalidPolicy {}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(target: Target) -> Policy {
        Policy { files: vec![FileRule { id: 7, target, block: vec![Operation::Write], alarm: vec![] }], ..Policy::default() }
    }

    #[test]
    fn a_directory_is_itself_and_what_lies_below_and_not_its_namesakes() {
        let rules = file(Target::Below("/etc/".into())).rules(3).unwrap();
        let lengths: Vec<u32> = rules.paths.iter().map(|(k, _)| u32::from_ne_bytes(k[..4].try_into().unwrap())).collect();
        assert_eq!(lengths, [32 + 8 * 5, 32 + 8 * 5]);
        assert_eq!(&rules.paths[0].0[8..13], b"/etc\0");
        assert_eq!(&rules.paths[1].0[8..13], b"/etc/");
        assert!(rules.paths.iter().all(|(k, _)| k.len() == 8 + PATH_KEY && k[4..8] == 3u32.to_ne_bytes()));
    }

    #[test]
    fn paths_that_cannot_be_held_are_refused() {
        for path in ["etc/passwd", "/a/../b", "/a//b", "/a/./b"] {
            let error = file(Target::Path(path.into())).rules(1).unwrap_err();
            assert_eq!(error.rule, 7, "{path}");
        }
        assert!(file(Target::Path(format!("/{}", "x".repeat(246)))).rules(1).is_ok());
        assert!(file(Target::Path(format!("/{}", "x".repeat(247)))).rules(1).is_err());
    }

    #[test]
    fn addresses_have_one_form() {
        let rule = |address: &str, prefix| AddressRule { id: 1, operation: Operation::Connect, address: address.parse().unwrap(), prefix, port: 443, mode: Mode::Block };
        assert_eq!(rule("10.0.0.0", 8).key(2).unwrap(), rule("::ffff:10.0.0.0", 104).key(2).unwrap());
        assert_eq!(rule("0.0.0.0", 0).key(2).unwrap()[..4], 96u32.to_ne_bytes());
        assert!(rule("10.0.0.0", 33).key(2).is_err());
        assert!(AddressRule { operation: Operation::Read, ..rule("::", 0) }.key(2).is_err());
    }

    #[test]
    fn numbers_are_those_of_the_programs() {
        let text = include_str!("../../bpf/enforce.bpf.h");
        for operation in Operation::ALL {
            assert!(text.contains(&format!("(1u << {})", *operation as u32)), "{operation:?}");
        }
        assert_eq!(text.matches("#define OP_").count(), Operation::ALL.len());
        assert!(text.contains(&format!("#define PATH_KEY {PATH_KEY}")));
    }
}
