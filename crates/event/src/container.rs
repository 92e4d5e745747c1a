//! In what somebody acts.

use std::collections::BTreeMap;

/// What runs containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    #[default]
    Unknown,
    Containerd,
    CriO,
    Docker,
    Podman,
}

/// A directory or file of the node in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mount {
    pub source: String,
    pub destination: String,
    pub writable: bool,
}

/// The pod a container belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Pod {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub sandbox: String,
    pub labels: BTreeMap<String, String>,
}

/// A container, or the node itself (`id` is empty then).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Container {
    /// Whole id; empty for the node.
    pub id: String,
    pub runtime: Runtime,
    pub name: String,
    /// Reference as it was started (`registry/name:tag`).
    pub image: String,
    pub image_id: String,
    /// Digest of the manifest (`sha256:…`), where the runtime knows it.
    pub image_digest: Option<String>,
    pub privileged: Option<bool>,
    pub host_network: Option<bool>,
    pub host_pid: Option<bool>,
    pub mounts: Vec<Mount>,
    pub labels: BTreeMap<String, String>,
    /// Nanoseconds since 1970.
    pub started: Option<i64>,
    pub pod: Option<Pod>,
    /// The handler that runs it (`runc`, `runsc`).
    pub handler: Option<String>,
    /// The runtime was asked and answered. Where it was not, only the id is known.
    pub resolved: bool,
}

// === impl Container ===

impl Container {
    /// The node, outside of any container.
    pub fn node() -> Self {
        Container { resolved: true, ..Container::default() }
    }

    pub fn is_node(&self) -> bool {
        self.id.is_empty()
    }

    /// As Falco shows it: 12 characters, or `host`.
    pub fn short_id(&self) -> &str {
        if self.is_node() { "host" } else { self.id.get(..12).unwrap_or(&self.id) }
    }

    /// Repository and tag of the image; the tag is `latest` where none was said.
    pub fn repository_and_tag(&self) -> Option<(&str, &str)> {
        let image = self.image.split('@').next().filter(|i| !i.is_empty())?;
        let name = image.rfind('/').map_or(0, |i| i + 1);
        Some(match image.get(name..).and_then(|n| n.find(':')) {
            Some(colon) => (image.get(..name + colon)?, image.get(name + colon + 1..)?),
            None => (image, if self.image.contains('@') { "" } else { "latest" }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag() {
        let image = |text: &str| Container { id: "x".into(), image: text.into(), ..Container::default() };
        assert_eq!(image("r:5000/a/b").repository_and_tag(), Some(("r:5000/a/b", "latest")));
        assert_eq!(image("r:5000/a/b:1@sha256:0").repository_and_tag(), Some(("r:5000/a/b", "1")));
        assert_eq!(image("a@sha256:0").repository_and_tag(), Some(("a", "")));
        assert_eq!(image("").repository_and_tag(), None);
    }
}
