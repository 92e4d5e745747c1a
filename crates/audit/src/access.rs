//! Which rights are used: every distinct use of a right, once a day, so that what is granted and never used
//! can be told. Reads are not recorded one by one; here they count.

pub mod window;

use crate::class::{Class, resource, text};
use jinwu_admission::protocol::Entry;
use jinwu_detect::AuditEvent;
use jinwu_model::{Kind, Record, Subject};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// Distinct uses of one day remembered at most; what is beyond is counted as lost.
const MAX_USES: usize = 50_000;
/// Distinct names of one right remembered at most; then it stands for any, by [`ANY`].
const MAX_NAMES: u8 = 20;
/// Uses in one record at most.
const OF_RECORD: usize = 300;
/// Groups of a user kept at most, characters of a word.
const MAX_GROUPS: usize = 16;
const LONGEST: usize = 253;
const DAY: i64 = 86_400_000;

/// A name that stands for many.
pub const ANY: &str = "*";
/// Action of the records.
pub const ACTION: &str = "access-used";

/// A right that was used: what the API server's authoriser was asked, and permitted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Use {
    pub user: String,
    pub groups: Vec<String>,
    pub verb: String,
    pub group: String,
    /// `pods`, or with its subresource `pods/exec`; empty for a path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Path of the API server itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
}

/// What a gate has seen used, and not told yet.
#[derive(Debug, Default)]
pub struct Uses {
    day: i64,
    known: HashSet<Use>,
    names: HashMap<Use, u8>,
    fresh: Vec<Use>,
    lost: u64,
}

/// What a gate saw between two moments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    pub gate: String,
    /// Unix milliseconds.
    pub from: i64,
    pub to: i64,
    /// Milliseconds between two such records.
    pub every: i64,
    /// The audit stream was proved by a canary.
    pub heard: bool,
    /// Nothing comes after it: the gate ended in order.
    pub last: bool,
    /// Events whose use could not be kept.
    pub lost: u64,
}

// === impl Uses ===

impl Uses {
    /// Takes in one event; `now` in Unix milliseconds tells the day.
    pub fn take(&mut self, e: &AuditEvent<'_>, now: i64) {
        if Class::of(e) == Class::Canary {
            return;
        }
        let Some(mut used) = of(e) else { return };
        if now.div_euclid(DAY) != self.day {
            self.day = now.div_euclid(DAY);
            self.known.clear();
            self.names.clear();
        }
        if !used.name.is_empty() {
            let right = Use { name: String::new(), ..used.clone() };
            let any = Use { name: ANY.into(), ..used.clone() };
            if self.known.contains(&used) || self.known.contains(&any) {
                return;
            }
            let names = self.names.entry(right).or_default();
            *names += 1;
            if *names > MAX_NAMES {
                used = any;
            }
        }
        if self.known.contains(&used) {
            return;
        }
        if self.known.len() >= MAX_USES {
            self.lost += 1;
            return;
        }
        self.known.insert(used.clone());
        self.fresh.push(used);
    }

    /// Something was seen that could not be told.
    pub fn lose(&mut self) {
        self.lost += 1;
    }

    /// Records of what is new, at least one: that there was a look, and for how long. Ids are the gate's own.
    pub fn tell(&mut self, cluster: &str, mut observed: Observed) -> Vec<Entry> {
        observed.lost = std::mem::take(&mut self.lost);
        let fresh = std::mem::take(&mut self.fresh);
        let mut parts: Vec<&[Use]> = fresh.chunks(OF_RECORD).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        let record = |uses: &[Use]| {
            Record::new(observed.to, Kind::System, Subject::system(format!("gate:{}", observed.gate)), ACTION, format!("access:{cluster}"))
                .with("observed", serde_json::to_value(&observed).unwrap_or_default())
                .with("uses", serde_json::to_value(uses).unwrap_or_default())
        };
        parts.iter().enumerate().map(|(n, uses)| Entry { id: format!("access/{}/{}/{n}", observed.gate, observed.to), record: record(uses) }).collect()
    }
}

/// The use an event shows: none where it was refused, or is not finished. Whoever is impersonated is who the
/// right was asked for.
fn of(e: &AuditEvent<'_>) -> Option<Use> {
    let code = e.response_status.as_ref().and_then(|s| s.code).unwrap_or(0);
    if text(e.stage.as_ref()) == "RequestReceived" || matches!(code, 0 | 401 | 403) {
        return None;
    }
    let who = e.impersonated_user.as_ref().or(e.user.as_ref())?;
    let clip = |value: &str| value.chars().take(LONGEST).collect::<String>();
    let mut used = Use {
        user: clip(text(who.username.as_ref())),
        groups: who.groups.iter().flatten().take(MAX_GROUPS).map(|g| clip(g)).collect(),
        verb: clip(text(e.verb.as_ref())),
        ..Use::default()
    };
    match &e.object_ref {
        Some(o) => {
            let (plural, sub) = resource(e);
            used.resource = clip(&if sub.is_empty() { plural.to_owned() } else { format!("{plural}/{sub}") });
            used.group = clip(text(o.api_group.as_ref()));
            used.namespace = clip(text(o.namespace.as_ref()));
            // Who makes something is asked about without its name.
            if used.verb != "create" || !sub.is_empty() {
                used.name = clip(text(o.name.as_ref()));
            }
        }
        None => used.path = clip(text(e.request_uri.as_ref()).split('?').next().unwrap_or_default()),
    }
    Some(used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(verb: &str, name: &str, code: u16) -> String {
        json!({"apiVersion": "audit.k8s.io/v1", "kind": "Event", "level": "Metadata", "auditID": "a", "stage": "ResponseComplete", "requestURI": "/api/v1/x", "verb": verb,
            "user": {"username": "system:serviceaccount:shop:web", "groups": ["system:serviceaccounts"]},
            "objectRef": {"resource": "configmaps", "namespace": "shop", "name": name, "apiVersion": "v1"}, "responseStatus": {"code": code}}).to_string()
    }

    fn told(uses: &mut Uses) -> Vec<Use> {
        let observed = Observed { gate: "g".into(), from: 0, to: 1, every: 1, heard: true, last: false, lost: 0 };
        let entries = uses.tell("lab", observed);
        assert!(!entries.is_empty(), "a look is told even where nothing is new");
        entries.iter().flat_map(|e| serde_json::from_value::<Vec<Use>>(e.record.detail["uses"].clone()).unwrap()).collect()
    }

    #[test]
    fn a_use_is_told_once_a_day_and_a_refusal_never() {
        let mut uses = Uses::default();
        for (verb, name, code) in [("get", "a", 200), ("get", "a", 200), ("get", "b", 404), ("delete", "a", 403), ("list", "", 200), ("create", "new", 201)] {
            uses.take(&AuditEvent::parse(event(verb, name, code).as_bytes()).unwrap(), 0);
        }
        let seen: Vec<_> = told(&mut uses).into_iter().map(|u| (u.verb, u.name)).collect();
        let want = [("get", "a"), ("get", "b"), ("list", ""), ("create", "")].map(|(v, n)| (v.to_owned(), n.to_owned()));
        assert_eq!(seen, want);
        uses.take(&AuditEvent::parse(event("get", "a", 200).as_bytes()).unwrap(), 1);
        assert_eq!(told(&mut uses), []);
        uses.take(&AuditEvent::parse(event("get", "a", 200).as_bytes()).unwrap(), DAY);
        assert_eq!(told(&mut uses).len(), 1, "a new day");
    }

    #[test]
    fn many_names_become_any_and_too_many_uses_are_lost_in_so_many_words() {
        let mut uses = Uses::default();
        for n in 0..1000 {
            uses.take(&AuditEvent::parse(event("get", &format!("n{n}"), 200).as_bytes()).unwrap(), 0);
        }
        let seen = told(&mut uses);
        assert_eq!(seen.len(), usize::from(MAX_NAMES) + 1);
        assert_eq!(seen.last().unwrap().name, ANY);
        uses.known.extend((0..MAX_USES).map(|n| Use { user: n.to_string(), ..Use::default() }));
        uses.take(&AuditEvent::parse(event("watch", "", 200).as_bytes()).unwrap(), 0);
        let observed = Observed { gate: "g".into(), from: 0, to: 1, every: 1, heard: true, last: false, lost: 0 };
        assert_eq!(uses.tell("lab", observed)[0].record.detail["observed"]["lost"], 1);
    }
}
