//! Incidents: alarms of sensors about one workload, gathered, with what was done and said about them.
//!
//! A workload is what a container is one of: the owner of its pod in its namespace, or the container itself. An alarm
//! within a day of the last one of an incident that is not closed belongs to it. An incident closes only when it is
//! written down how the intruder came in, what it did, how it was recovered from and which keys were exchanged.

use super::{NodeError, Nodes};
use crate::intake::{Id, id_of};
use jinwu_documents::Write;
use jinwu_model::{Kind, Outcome, Record};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// An incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub id: String,
    #[serde(default)]
    pub cluster: String,
    /// `NAMESPACE/OWNER`, `NODE/CONTAINER` outside of Kubernetes, or `NODE` for what is in no container.
    pub workload: String,
    pub state: IncidentState,
    /// Times of the first and the last alarm, Unix milliseconds.
    pub first: i64,
    pub last: i64,
    /// How many alarms there were; of these [`MAX_LISTED`] are listed.
    pub count: u64,
    /// Whole ids, [`MAX_LISTED`] of them at most.
    pub containers: BTreeSet<String>,
    pub alarms: Vec<Alarm>,
    pub responses: Vec<Done>,
    pub notes: Vec<Note>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing: Option<Closing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IncidentState {
    Open,
    /// Somebody has dealt with it; it is not yet written up.
    Handled,
    Closed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    pub time: i64,
    /// Finds the records of it in the ledger.
    pub decision: String,
    pub rule: String,
    pub priority: String,
    pub node: String,
    /// Whole id.
    pub container: String,
    pub output: String,
    /// What the sensor did by itself: `[{response, failed?}]`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub responses: Value,
}

/// A response that was ordered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    pub time: i64,
    /// Name of the record in the ledger.
    pub entry: String,
    pub response: String,
    pub by: String,
    pub node: String,
    pub container: String,
    pub reason: String,
    pub done: bool,
    pub said: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    pub time: i64,
    pub by: String,
    pub text: String,
    /// State it was given with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<IncidentState>,
}

/// What must be written down before an incident closes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Closing {
    /// 入侵途径.
    pub intrusion: String,
    /// 影响.
    pub impact: String,
    /// 恢复.
    pub recovery: String,
    /// 更换的密钥.
    pub keys: String,
}

/// What alarms and responses come to.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    changed: BTreeMap<String, Incident>,
    /// Those that begin with it.
    begun: Vec<String>,
    marks: Vec<Id>,
}

/// What of a record makes an incident.
#[derive(Clone, Debug)]
struct Workload {
    cluster: String,
    name: String,
    container: String,
}

/// An alarm later than this after the last one begins an incident of its own, milliseconds.
const APART: i64 = 24 * 3_600_000;
/// Alarms, responses and notes of one incident that are listed.
pub const MAX_LISTED: usize = 500;
/// Incidents that are not closed at once; beyond it alarms stand in the ledger alone.
const MAX_OPEN: usize = 5_000;
/// Closed incidents kept; the ledger keeps all.
const MAX_CLOSED: usize = 5_000;
/// Characters of an alarm's output kept here.
const MAX_OUTPUT: usize = 500;
/// Characters of a text of people.
const MAX_TEXT: usize = 4_000;

/// Text of people: not blank, not long; line breaks are welcome.
pub(super) fn text(what: &str, value: &str, most: usize) -> Result<(), NodeError> {
    let good = !value.trim().is_empty() && value.chars().count() <= most && !value.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
    good.then_some(()).ok_or_else(|| {
        NodeError::Invalid(format!("{what} 须为 1–{most} 个字符,不含控制字符 / {what} must be 1 to {most} characters without control characters"))
    })
}

/// The name of what made a pod, by how Kubernetes' controllers name pods: Deployments add a hash and five letters,
/// DaemonSets and Jobs five letters, StatefulSets a number.
pub fn owner(pod: &str) -> &str {
    // Random parts of names are made of letters and digits that spell no words.
    let is_random = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b))
    };
    match pod.rsplit_once('-') {
        Some((rest, last)) if is_random(last, 5..=5) => match rest.rsplit_once('-') {
            Some((owner, hash)) if is_random(hash, 6..=10) => owner,
            _ => rest,
        },
        Some((rest, last)) if !last.is_empty() && last.len() <= 5 && last.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => pod,
    }
}

fn member<'a>(record: &'a Record, path: &[&str]) -> &'a str {
    let (first, rest) = path.split_first().map_or(("", &[][..]), |(f, r)| (*f, r));
    let value = rest.iter().try_fold(record.detail.get(first), |value, name| Some(value?.get(name)));
    value.flatten().and_then(Value::as_str).unwrap_or_default()
}

fn clipped(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

fn mark(node: &str, decision: &str) -> Id {
    id_of(&format!("{node}\0{decision}"))
}

/// Whether incidents are made of such records.
pub(crate) fn concerns(record: &Record) -> bool {
    record.kind == Kind::Response || (record.kind == Kind::Alarm && record.action == "rule-hit")
}

// === impl Workload ===

impl Workload {
    fn of(record: &Record, cluster: &str, node: &str) -> Self {
        let container = member(record, &["container", "id"]);
        let (namespace, pod) = (member(record, &["container", "namespace"]), member(record, &["container", "pod"]));
        let name = match (namespace, pod, member(record, &["container", "name"])) {
            (namespace, pod, _) if !pod.is_empty() => format!("{namespace}/{}", owner(pod)),
            // The node itself.
            (_, _, "") if container.is_empty() => node.to_owned(),
            (_, _, "") => format!("{node}/{}", container.get(..12).unwrap_or(container)),
            (_, _, name) => format!("{node}/{name}"),
        };
        Workload { cluster: cluster.to_owned(), name: clipped(&name, 300), container: clipped(container, 128) }
    }
}

// === impl Gathered ===

impl Gathered {
    /// Incidents that begin with it.
    pub(crate) fn begun(&self) -> impl Iterator<Item = &Incident> {
        self.begun.iter().filter_map(|id| self.changed.get(id))
    }
}

// === impl Closing ===

impl Closing {
    /// # Errors
    /// Which texts are missing, all of them at once.
    pub fn check(&self) -> Result<(), NodeError> {
        let all = [
            ("intrusion 入侵途径 / way of intrusion", &self.intrusion),
            ("impact 影响 / impact", &self.impact),
            ("recovery 恢复 / recovery", &self.recovery),
            ("keys 更换的密钥 / exchanged keys", &self.keys),
        ];
        let missing: Vec<&str> = all.iter().filter(|(_, value)| value.trim().is_empty()).map(|(name, _)| *name).collect();
        if !missing.is_empty() {
            let missing = missing.join("; ");
            return Err(NodeError::Incomplete(format!("结案前须填写;缺少 / an incident closes only with all of these written down; missing: {missing}")));
        }
        all.iter().try_for_each(|(name, value)| text(name, value, MAX_TEXT))
    }
}

// === impl Incident ===

impl Incident {
    fn new(workload: &Workload, record: &Record, decision: &str) -> Self {
        let named = format!("{}\0{}\0{decision}", workload.cluster, workload.name);
        Incident {
            id: format!("i-{}", hex::encode(&jinwu_trust::sha256(named.as_bytes())[..6])),
            cluster: workload.cluster.clone(),
            workload: workload.name.clone(),
            state: IncidentState::Open,
            first: record.time,
            last: record.time,
            count: 0,
            containers: BTreeSet::new(),
            alarms: Vec::new(),
            responses: Vec::new(),
            notes: Vec::new(),
            closing: None,
        }
    }

    fn is_about(&self, workload: &Workload) -> bool {
        let same = self.cluster == workload.cluster && self.workload == workload.name;
        same || self.containers.contains(&workload.container)
    }

    /// By what its alarms are recognised when they are sent again.
    pub(super) fn marks(&self) -> impl Iterator<Item = Id> + '_ {
        self.alarms.iter().map(|a| mark(&a.node, &a.decision))
    }

    /// Everything in the order it happened: `[{time, what, …}]`.
    pub fn timeline(&self) -> Vec<Value> {
        let line = |what: &str, value: Value| {
            let mut value = value;
            if let Some(members) = value.as_object_mut() {
                members.insert("what".into(), what.into());
            }
            value
        };
        let mut all: Vec<Value> = Vec::new();
        all.extend(self.alarms.iter().map(|a| line("alarm", json!(a))));
        all.extend(self.responses.iter().map(|r| line("response", json!(r))));
        all.extend(self.notes.iter().map(|n| line("note", json!(n))));
        all.sort_by_key(|v| v.get("time").and_then(Value::as_i64).unwrap_or(0));
        all
    }
}

// === impl Nodes ===

impl Nodes {
    /// Incidents, the latest first.
    pub fn incidents(&self) -> Vec<Incident> {
        let mut all: Vec<_> = self.state.read().incidents.values().cloned().collect();
        all.sort_by_key(|i| std::cmp::Reverse(i.last));
        all
    }

    pub fn incident(&self, id: &str) -> Option<Incident> {
        self.state.read().incidents.get(id).cloned()
    }

    /// The newest incident of a container that is not closed.
    pub fn incident_of(&self, container: &str) -> Option<String> {
        let state = self.state.read();
        let found = state.incidents.values().filter(|i| i.state != IncidentState::Closed && i.containers.contains(container));
        found.max_by_key(|i| i.last).map(|i| i.id.clone())
    }

    /// Gathers alarms and responses of a node, as (entry, record, it is new). What was gathered before is not counted
    /// again, so that records sent twice do no harm. Nothing is changed before [`Nodes::keep`]; whoever plans holds
    /// [`Nodes::gathering`] until then.
    pub(crate) fn gather(&self, node: &str, records: &[(String, Record, bool)], mask: impl Fn(&str) -> String) -> Gathered {
        let state = self.state.read();
        let cluster = state.nodes.get(node).map(|n| n.cluster.clone()).unwrap_or_default();
        let mut changed: BTreeMap<String, Incident> = BTreeMap::new();
        let (mut begun, mut marks, mut touched) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut open = state.incidents.values().filter(|i| i.state != IncidentState::Closed).count();
        for (entry, record, new) in records {
            let workload = Workload::of(record, &cluster, node);
            let decision = record.decision.as_ref().map_or(entry.as_str(), |d| d.0.as_str());
            let is_response = record.kind == Kind::Response;
            // Known, perhaps of an incident that was closed meanwhile.
            if !is_response && state.gathered.contains(&mark(node, decision)) {
                continue;
            }
            let fits = |i: &&Incident| i.state != IncidentState::Closed && (i.id == decision || (i.is_about(&workload) && record.time - i.last <= APART));
            let all = state.incidents.values().filter(|i| !changed.contains_key(&i.id)).chain(changed.values());
            let found = all.filter(fits).max_by_key(|i| i.last).map(|i| i.id.clone());
            let mut incident = match found.and_then(|id| changed.remove(&id).or_else(|| state.incidents.get(&id).cloned())) {
                Some(found) => found,
                None if is_response => continue,
                None if open >= MAX_OPEN => {
                    tracing::warn!(node, "there are {MAX_OPEN} incidents that are not closed; this alarm stands in the ledger alone");
                    continue;
                }
                None => {
                    open += 1;
                    let made = Incident::new(&workload, record, decision);
                    begun.push(made.id.clone());
                    made
                }
            };
            let listed = incident.alarms.len();
            let took = incident.take(entry, record, decision, &workload, node, *new, &mask);
            if incident.alarms.len() > listed {
                marks.push(mark(node, decision));
            }
            if took || touched.contains(&incident.id) {
                touched.insert(incident.id.clone());
                changed.insert(incident.id.clone(), incident);
            }
        }
        begun.retain(|id| changed.contains_key(id));
        Gathered { changed, begun, marks }
    }

    /// Keeps what was gathered.
    ///
    /// # Errors
    /// As of writing; then nothing was gathered.
    pub(crate) fn keep(&self, gathered: Gathered) -> Result<(), NodeError> {
        let writes = gathered.changed.values().map(|i| Write::put("incident", &i.id, i)).collect::<Result<Vec<_>, _>>()?;
        if writes.is_empty() {
            return Ok(());
        }
        let mut state = self.state.write();
        self.store.apply(&writes)?;
        state.incidents.extend(gathered.changed);
        state.gathered.extend(gathered.marks);
        Ok(())
    }

    /// Adds what somebody says about an incident, and the state they give it: open or handled.
    ///
    /// # Errors
    /// There is no such incident, it is closed, or the text is none.
    pub fn note(&self, id: &str, by: &str, said: &str, to: Option<IncidentState>, now: i64) -> Result<Incident, NodeError> {
        text("text", said, MAX_TEXT)?;
        if to == Some(IncidentState::Closed) {
            return Err(NodeError::Invalid("结案须用 close 并填写四项 / an incident is closed by close, with its four texts".into()));
        }
        self.change_incident(id, |incident| {
            if incident.notes.len() >= MAX_LISTED {
                return Err(NodeError::Refused(format!("最多 {MAX_LISTED} 条记事 / {MAX_LISTED} notes at most")));
            }
            incident.state = to.unwrap_or(incident.state);
            incident.notes.push(Note { time: now, by: by.to_owned(), text: said.to_owned(), state: to });
            Ok(())
        })
    }

    /// Closes an incident. Of closed ones the oldest are forgotten beyond a bound.
    ///
    /// # Errors
    /// There is no such incident, it is closed already, or a text is missing.
    pub fn close(&self, id: &str, by: &str, closing: Closing, now: i64) -> Result<Incident, NodeError> {
        closing.check()?;
        let closed = self.change_incident(id, |incident| {
            incident.state = IncidentState::Closed;
            incident.notes.push(Note { time: now, by: by.to_owned(), text: "结案 / closed".into(), state: Some(IncidentState::Closed) });
            incident.closing = Some(closing);
            Ok(())
        })?;
        let mut state = self.state.write();
        let mut all: Vec<(i64, String)> = state.incidents.values().filter(|i| i.state == IncidentState::Closed).map(|i| (i.last, i.id.clone())).collect();
        all.sort();
        for (_, old) in all.iter().take(all.len().saturating_sub(MAX_CLOSED)) {
            self.store.apply(&[Write::remove("incident", old)])?;
            if let Some(old) = state.incidents.remove(old) {
                for mark in old.marks() {
                    state.gathered.remove(&mark);
                }
            }
        }
        Ok(closed)
    }

    /// Not on async threads: it waits until nothing is being gathered.
    fn change_incident(&self, id: &str, change: impl FnOnce(&mut Incident) -> Result<(), NodeError>) -> Result<Incident, NodeError> {
        let _gathering = self.gathering.blocking_lock();
        let mut state = self.state.write();
        let mut incident = state.incidents.get(id).cloned().ok_or_else(|| NodeError::Absent(id.to_owned()))?;
        if incident.state == IncidentState::Closed {
            return Err(NodeError::Refused(format!("事件 {id} 已结案 / incident {id} is closed")));
        }
        change(&mut incident)?;
        self.store.apply(&[Write::put("incident", id, &incident)?])?;
        state.incidents.insert(id.to_owned(), incident.clone());
        Ok(incident)
    }
}

impl Incident {
    /// Takes an alarm or a response; whether anything changed.
    #[expect(clippy::too_many_arguments, reason = "a record and everything that is known about where it is from")]
    fn take(&mut self, entry: &str, record: &Record, decision: &str, workload: &Workload, node: &str, new: bool, mask: &impl Fn(&str) -> String) -> bool {
        let word = |path: &[&str], most: usize| clipped(&mask(member(record, path)), most);
        if record.kind == Kind::Response {
            if self.responses.len() >= MAX_LISTED || self.responses.iter().any(|r| r.entry == entry && r.node == node) {
                return false;
            }
            self.responses.push(Done {
                time: record.time,
                entry: entry.to_owned(),
                response: record.action.clone(),
                by: record.subject.name.clone(),
                node: node.to_owned(),
                container: workload.container.clone(),
                reason: word(&["reason"], MAX_OUTPUT),
                done: record.outcome == Outcome::Success,
                said: word(&["said"], MAX_OUTPUT),
            });
            return true;
        }
        let listed = self.alarms.len() < MAX_LISTED;
        if !workload.container.is_empty() && self.containers.len() < MAX_LISTED {
            self.containers.insert(workload.container.clone());
        }
        if listed {
            self.alarms.push(Alarm {
                time: record.time,
                decision: clipped(decision, 300),
                rule: word(&["policy"], 200),
                priority: word(&["priority"], 40),
                node: node.to_owned(),
                container: workload.container.clone(),
                output: word(&["output"], MAX_OUTPUT),
                responses: record.detail.get("responses").filter(|r| r.to_string().len() <= 2_000).cloned().unwrap_or_default(),
            });
        }
        // One that is not listed was counted when it was new.
        if listed || new {
            self.count += 1;
            (self.first, self.last) = (self.first.min(record.time), self.last.max(record.time));
        }
        listed || new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_told_from_the_names_of_pods() {
        for (pod, of) in [
            ("web-7d4b9c6f8d-x2x5z", "web"),
            ("my-web-5c4f7d-bcdfg", "my-web"),
            ("node-exporter-b2k7z", "node-exporter"),
            ("db-0", "db"),
            ("db-12", "db"),
            ("plain", "plain"),
            ("api-server", "api-server"),
            ("etcd-control", "etcd-control"),
            ("", ""),
        ] {
            assert_eq!(owner(pod), of, "{pod}");
        }
    }

    #[test]
    fn closing_names_every_text_that_is_missing() {
        let error = Closing { impact: "data read".into(), keys: "  ".into(), ..Closing::default() }.check().unwrap_err().to_string();
        assert!(error.contains("入侵途径") && error.contains("恢复") && error.contains("更换的密钥") && !error.contains("影响"), "{error}");
        let whole = Closing { intrusion: "a".into(), impact: "b".into(), recovery: "c".into(), keys: "none: no key was in reach".into() };
        assert!(whole.check().is_ok());
    }
}
