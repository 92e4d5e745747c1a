//! Everything over one event: its record, its alarms, whom it blocks.

use crate::class::{Class, is_component, text, user};
use crate::native;
use crate::record::{self, base};
use crate::watch;
use jinwu_admission::Rules;
use jinwu_admission::protocol::{Entry, RuleSettings};
use jinwu_detect::guidance::Guidance;
use jinwu_detect::{AuditEvent, Problems, RuleFile, RuleSet, Scratch, Sequences, content};
use jinwu_model::{DecisionId, Kind, Mode};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Rules, compiled, and how each is switched.
pub struct Intake {
    set: RuleSet,
    modes: BTreeMap<String, Mode>,
}

/// What an event leads to.
#[derive(Debug, Default)]
pub struct Taken {
    /// For the ledger.
    pub entries: Vec<Entry>,
    pub blocks: Vec<Block>,
    /// A gate's canary: the path it asked for.
    pub canary: Option<String>,
    /// Nothing is recorded of it.
    pub folded: bool,
}

/// A subject to be blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub user: String,
    pub credential: Option<String>,
    pub rule: String,
    /// Id of the alarm.
    pub decision: String,
    pub source: Option<IpAddr>,
}

/// A rule as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct RuleView {
    pub name: String,
    pub kind: &'static str,
    pub file: String,
    pub priority: &'static str,
    pub tags: Vec<String>,
    pub mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance: Option<Guidance>,
}

// === impl Intake ===

impl Intake {
    /// The shipped rules and the user's own, switched.
    ///
    /// # Errors
    /// A rule file does not compile; every problem is named by file and line.
    pub fn new(settings: &RuleSettings) -> Result<Intake, Problems> {
        let mut files = content::kubernetes();
        files.extend(settings.files.iter().map(|(name, text)| RuleFile { name, text }));
        let (mut set, _) = RuleSet::load(&files)?;
        let modes = set.modes(&settings.modes);
        // What is at 放行 need not be evaluated at all.
        for (name, mode) in &modes {
            if *mode == Mode::Allow {
                set.set_enabled(name, false);
            }
        }
        Ok(Intake { set, modes })
    }

    /// All rules and sequences.
    pub fn rules(&self) -> Vec<RuleView> {
        let mode = |name: &str| self.modes.get(name).copied().unwrap_or(Mode::Alert);
        let rules = self.set.rules().iter().map(|r| RuleView {
            name: r.name.clone(), kind: "rule", file: r.place.file.clone(), priority: r.priority.as_str(), tags: r.tags.clone(), mode: mode(&r.name), guidance: r.guidance.clone(),
        });
        let sequences = self.set.sequences().iter().map(|s| RuleView {
            name: s.name.clone(), kind: "sequence", file: s.place.file.clone(), priority: s.priority.as_str(), tags: s.tags.clone(), mode: mode(&s.name), guidance: s.guidance.clone(),
        });
        rules.chain(sequences).collect()
    }

    /// Whether a rule, or a group after `tag:`, has this name.
    pub fn names(&self, name: &str) -> bool {
        match name.strip_prefix("tag:") {
            Some(tag) => self.rules().iter().any(|r| r.tags.iter().any(|t| t == tag)),
            None => self.modes.contains_key(name),
        }
    }

    /// Takes one event. `rules` are those of the bundle. The same event gives the same entries with the same
    /// ids, wherever and however often it arrives.
    pub fn take(&self, e: &AuditEvent<'_>, sequences: &mut Sequences, scratch: &mut Scratch, now: i64, rules: &Rules) -> Taken {
        let class = Class::of(e);
        let mut taken = Taken::default();
        if class == Class::Canary {
            taken.canary = Some(text(e.request_uri.as_ref()).to_owned());
            return taken;
        }
        let id = record::id(e);
        if let Some(record) = record::record(e, class, now) {
            taken.entries.push(Entry { id: id.clone(), record });
        }
        taken.entries.extend(native::entries(e, rules, now));
        taken.folded = taken.entries.is_empty();
        for watched in watch::of(e) {
            let record = base(e, Kind::Alarm, watched.action, now)
                .with("finding", watched.finding.to_string())
                .with("advice", watched.advice.to_string())
                .with("clauses", watched.clauses.to_vec());
            taken.entries.push(Entry { id: format!("{id}/{}", watched.action), record });
        }
        let mut hits: Vec<Hit<'_>> = Vec::new();
        self.set.evaluate_with(e, scratch, |m| {
            let r = m.rule;
            hits.push(Hit { name: &r.name, guidance: r.guidance.as_ref(), tags: &r.tags, output: m.output(e), priority: r.priority.as_str() });
        });
        if class != Class::Partial || text(e.stage.as_ref()) == "ResponseStarted" {
            let at = e.timestamp().unwrap_or(now.saturating_mul(1_000_000));
            for m in sequences.observe_with(&self.set, e, at, scratch) {
                let r = m.sequence;
                hits.push(Hit { name: &r.name, guidance: r.guidance.as_ref(), tags: &r.tags, output: m.output(e), priority: r.priority.as_str() });
            }
        }
        for hit in hits {
            self.hit(e, &id, hit, now, rules, &mut taken);
        }
        taken
    }

    fn hit(&self, e: &AuditEvent<'_>, id: &str, hit: Hit<'_>, now: i64, rules: &Rules, taken: &mut Taken) {
        let namespace = e.object_ref.as_ref().map_or("", |o| text(o.namespace.as_ref()));
        let mode = self.modes.get(hit.name).copied().unwrap_or(Mode::Alert).min(rules.enforcement(namespace));
        if mode == Mode::Allow {
            return;
        }
        let alarm = format!("{id}/{:016x}", fnv(hit.name));
        // An admission decision of the request is named beside: this alarm is linked to what it blocks.
        let mut record = base(e, Kind::Alarm, "rule-hit", now).with("policy", hit.name).with("mode", mode.as_str()).with("priority", hit.priority).with("output", hit.output);
        if let Some(admission) = record.decision.replace(DecisionId(alarm.clone())) {
            record = record.with("admission", admission.0);
        }
        record = record.with("tags", hit.tags.to_vec());
        if let Some(g) = hit.guidance {
            record = g.tell(record);
        }
        if mode == Mode::Block {
            match protected(e) {
                Some(why) => record = record.with("not_blocked", why),
                None => {
                    record = record.with("blocked", user(e));
                    taken.blocks.push(Block { user: user(e).to_owned(), credential: record::credential(e), rule: hit.name.to_owned(), decision: alarm.clone(), source: e.source_address() });
                }
            }
        }
        taken.entries.push(Entry { id: alarm, record });
    }
}

struct Hit<'h> {
    name: &'h str,
    guidance: Option<&'h Guidance>,
    tags: &'h [String],
    output: String,
    priority: &'static str,
}

/// Why a subject is never blocked by a rule: without it the cluster, or its administrators, would be
/// locked out, or no authoriser could refuse it.
pub fn protected(e: &AuditEvent<'_>) -> Option<&'static str> {
    let name = user(e);
    let groups = e.user.as_ref().and_then(|u| u.groups.as_ref());
    let in_group = |group: &str| groups.is_some_and(|all| all.iter().any(|g| &**g == group));
    let own = name.starts_with("system:serviceaccount:jinwu:");
    let system = name.starts_with("system:") && !name.starts_with("system:serviceaccount:");
    if name.is_empty() || is_component(name) || own || system {
        Some("系统组件不自动阻断,以免集群把自己锁在外面 / system components are never blocked by a rule, lest the cluster lock itself out")
    } else if in_group("system:masters") || in_group("system:nodes") {
        Some("system:masters 与 system:nodes 的成员不自动阻断:授权拒绝不了前者,后者是节点 / members of system:masters and system:nodes are never blocked by a rule: no authoriser refuses the former, the latter are nodes")
    } else {
        None
    }
}

/// FNV-1a: short names for rules in ids.
pub(crate) fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}
