//! The controls of the Pod Security Standards: names, versions, clauses.

mod table;

use crate::level::{Level, Version};
use jinwu_model::{ClauseId, Text};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// One control, in the order in which findings are given: baseline by id, then restricted by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Control {
    AppArmorProfile,
    CapabilitiesBaseline,
    HostNamespaces,
    HostPathVolumes,
    HostPorts,
    HostProbesAndHostLifecycle,
    Privileged,
    ProcMount,
    SeLinuxOptions,
    SeccompProfileBaseline,
    Sysctls,
    WindowsHostProcess,
    AllowPrivilegeEscalation,
    CapabilitiesRestricted,
    ProcMountRestricted,
    RestrictedVolumes,
    RunAsNonRoot,
    RunAsUser,
    SeccompProfileRestricted,
}

/// One form of a control.
#[derive(Clone, Copy, Debug)]
pub struct Revision {
    /// First version in which this form holds, until the next one.
    pub since: Version,
    /// Baseline controls that this one replaces where both are in force.
    pub overrides: &'static [Control],
    /// What this form asks for, zh and en.
    pub zh: &'static str,
    pub en: &'static str,
}

/// No control has this id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a control of the Pod Security Standards: use an id such as capabilities_restricted")]
pub struct UnknownControl(String);

// === impl Control ===

impl Control {
    pub const ALL: [Control; 19] = [
        Control::AppArmorProfile,
        Control::CapabilitiesBaseline,
        Control::HostNamespaces,
        Control::HostPathVolumes,
        Control::HostPorts,
        Control::HostProbesAndHostLifecycle,
        Control::Privileged,
        Control::ProcMount,
        Control::SeLinuxOptions,
        Control::SeccompProfileBaseline,
        Control::Sysctls,
        Control::WindowsHostProcess,
        Control::AllowPrivilegeEscalation,
        Control::CapabilitiesRestricted,
        Control::ProcMountRestricted,
        Control::RestrictedVolumes,
        Control::RunAsNonRoot,
        Control::RunAsUser,
        Control::SeccompProfileRestricted,
    ];

    /// The name Kubernetes gives it: `capabilities_restricted`.
    pub fn id(self) -> &'static str {
        self.entry().id
    }

    /// The lowest level that has it.
    pub fn level(self) -> Level {
        if self < Control::AllowPrivilegeEscalation { Level::Baseline } else { Level::Restricted }
    }

    /// A short title: `特权容器`.
    pub fn title(self) -> Text {
        Text::new(self.entry().zh, self.entry().en)
    }

    /// Clauses of T/ISEAA 004-2023 it serves: IP-6 for privileged users and access to the host, AC-5
    /// for the wall between container and kernel, IP-7 where it takes a way of attack.
    pub fn clauses(self) -> Vec<ClauseId> {
        self.entry().clauses.iter().filter_map(|id| id.parse().ok()).collect()
    }

    /// Every form it had, oldest first.
    pub fn revisions(self) -> &'static [Revision] {
        self.entry().revisions
    }

    /// First version that has it.
    pub fn minimum_version(self) -> Version {
        self.revisions().first().map_or(Version::LATEST, |r| r.since)
    }

    /// The form that holds in a version; `None` before the first.
    pub fn revision(self, version: Version) -> Option<&'static Revision> {
        self.revisions().iter().rev().find(|r| r.since <= version)
    }

    /// The controls that judge a pod at a level of a version, without those that others replace.
    pub fn in_force(level: Level, version: Version) -> impl Iterator<Item = Control> {
        let mut replaced = [false; Control::ALL.len()];
        for control in Control::ALL.into_iter().filter(|c| level == Level::Restricted && c.level() == Level::Restricted) {
            for other in control.revision(version).map_or(&[][..], |r| r.overrides) {
                if let Some(mark) = replaced.get_mut(*other as usize) {
                    *mark = true;
                }
            }
        }
        Control::ALL
            .into_iter()
            .zip(replaced)
            .filter(move |(control, replaced)| control.level() <= level && !replaced && control.revision(version).is_some())
            .map(|(control, _)| control)
    }

    fn entry(self) -> &'static table::Entry {
        table::entry(self)
    }
}

impl FromStr for Control {
    type Err = UnknownControl;

    fn from_str(id: &str) -> Result<Self, UnknownControl> {
        Control::ALL.into_iter().find(|c| c.id() == id).ok_or_else(|| UnknownControl(id.chars().take(64).collect()))
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl Serialize for Control {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_by_level_and_id() {
        let mut sorted = Control::ALL;
        sorted.sort_by_key(|c| (c.level(), c.id()));
        assert_eq!(sorted, Control::ALL);
        for (n, control) in Control::ALL.into_iter().enumerate() {
            assert_eq!(control as usize, n);
            assert_eq!(control.id().parse(), Ok(control));
        }
    }

    #[test]
    fn every_control_has_clauses_and_rising_versions() {
        for control in Control::ALL {
            assert_eq!(control.clauses().len(), control.entry().clauses.len(), "{control}: a clause that does not exist");
            assert!(!control.clauses().is_empty(), "{control}");
            assert!(control.revisions().windows(2).all(|w| w[0].since < w[1].since), "{control}");
            assert!(control.revisions().iter().all(|r| r.since <= Version::NEWEST), "{control}");
            for other in control.revisions().iter().flat_map(|r| r.overrides) {
                assert_eq!((control.level(), other.level()), (Level::Restricted, Level::Baseline));
            }
        }
        let newest = Control::ALL.iter().flat_map(|c| c.revisions()).map(|r| r.since).max();
        assert_eq!(newest, Some(Version::NEWEST));
    }

    #[test]
    fn restricted_replaces_what_it_sharpens() {
        let ids = |level, version| Control::in_force(level, version).map(Control::id).collect::<Vec<_>>();
        assert_eq!(ids(Level::Privileged, Version::LATEST), [""; 0]);
        assert_eq!(ids(Level::Baseline, Version::LATEST).len(), 12);
        assert_eq!(ids(Level::Restricted, Version::LATEST).len(), 19 - 4);
        assert!(ids(Level::Restricted, Version::minor(21)).contains(&"capabilities_baseline"));
        assert!(!ids(Level::Restricted, Version::minor(22)).contains(&"capabilities_baseline"));
    }
}
