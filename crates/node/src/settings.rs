//! What a sensor is told to do.

use crate::response::Response;
use jinwu_model::Mode;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Settings of a node. Every member has a default, so that an empty document is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Modes by rule or sequence, or by group (`tag:…`). Others act as they are shipped, 告警 at most.
    pub modes: BTreeMap<String, Mode>,
    /// Users' rule files, by name.
    pub files: BTreeMap<String, String>,
    /// Programs that did not come with the image (AU-3, IP-7): 放行, 告警 or 拦截, unless a scope says otherwise.
    pub drift: Mode,
    /// Containers that are privileged or run as uid 0 (IP-6).
    pub privileged: Mode,
    /// Malicious code written in a container (MC-2).
    pub malware: Mode,
    /// What a rule does beside the alarm, by its name; a rule at 拦截 without one kills the process.
    pub responses: BTreeMap<String, BTreeSet<Response>>,
    /// Other modes for some namespaces or images.
    pub scopes: Vec<Scope>,
    /// Addresses (`a.b.c.d/n`) an isolated container may still reach.
    pub isolated_may_reach: Vec<String>,
}

/// Modes for some containers: the first scope that fits counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scope {
    /// Name of a namespace; a trailing `*` stands for any ending. Empty: every one.
    pub namespace: String,
    /// Beginning of the image's reference. Empty: every one.
    pub image: String,
    pub drift: Option<Mode>,
    pub privileged: Option<Mode>,
    pub malware: Option<Mode>,
    /// The strongest any rule may act.
    pub most: Option<Mode>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            modes: BTreeMap::new(),
            files: BTreeMap::new(),
            drift: Mode::Alert,
            privileged: Mode::Alert,
            malware: Mode::Alert,
            responses: BTreeMap::new(),
            scopes: Vec::new(),
            isolated_may_reach: Vec::new(),
        }
    }
}

/// What holds for one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    pub drift: Mode,
    pub privileged: Mode,
    pub malware: Mode,
    pub most: Mode,
}

// === impl Settings ===

impl Settings {
    /// What holds for a container of this namespace (empty outside Kubernetes) and image.
    pub fn of(&self, namespace: &str, image: &str) -> Modes {
        let scope = self.scopes.iter().find(|s| s.fits(namespace, image));
        Modes {
            drift: scope.and_then(|s| s.drift).unwrap_or(self.drift),
            privileged: scope.and_then(|s| s.privileged).unwrap_or(self.privileged),
            malware: scope.and_then(|s| s.malware).unwrap_or(self.malware),
            most: scope.and_then(|s| s.most).unwrap_or(Mode::Block),
        }
    }
}

// === impl Scope ===

impl Scope {
    fn fits(&self, namespace: &str, image: &str) -> bool {
        let right = match self.namespace.strip_suffix('*') {
            Some(beginning) => namespace.starts_with(beginning),
            None => self.namespace.is_empty() || self.namespace == namespace,
        };
        right && image.starts_with(&self.image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_scope_that_fits_counts() {
        let settings = Settings {
            drift: Mode::Block,
            scopes: vec![
                Scope { namespace: "ci-*".into(), drift: Some(Mode::Alert), ..Scope::default() },
                Scope { image: "r/build".into(), drift: Some(Mode::Allow), most: Some(Mode::Alert), ..Scope::default() },
            ],
            ..Settings::default()
        };
        assert_eq!(settings.of("ci-1", "r/build:1").drift, Mode::Alert);
        assert_eq!((settings.of("a", "r/build:1").drift, settings.of("a", "r/build:1").most), (Mode::Allow, Mode::Alert));
        assert_eq!((settings.of("a", "r/app").drift, settings.of("a", "r/app").most), (Mode::Block, Mode::Block));
    }
}
