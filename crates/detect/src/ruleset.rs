//! Compiled rules and their evaluation over events.

use crate::compile::EventTypes;
use crate::event::Event;
use crate::evaluate::Scratch;
use crate::field::Source;
use crate::guidance::Guidance;
use crate::loader::{self, RuleFile};
use crate::output::Output;
use crate::problem::{Place, Problem, Problems};
use crate::program::{NodeId, Program};
use crate::sequence::Sequence;
use jinwu_model::Mode;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Falco's priorities, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    Emergency,
    Alert,
    Critical,
    Error,
    Warning,
    Notice,
    Informational,
    Debug,
}

/// A rule, compiled.
#[derive(Debug)]
pub struct Rule {
    pub name: String,
    pub desc: String,
    pub source: Source,
    pub priority: Priority,
    pub tags: Vec<String>,
    /// Switched off rules are compiled but not evaluated.
    pub enabled: bool,
    pub place: Place,
    /// What Jinwu adds; Falco's own rules have none.
    pub guidance: Option<Guidance>,
    /// Event types the condition can hold for.
    pub event_types: EventTypes,
    pub(crate) output: Output,
    pub(crate) condition: NodeId,
}

/// A rule whose condition holds for an event.
#[derive(Clone, Copy, Debug)]
pub struct Match<'r> {
    pub rule: &'r Rule,
}

/// Rules of all sources, ready for evaluation.
#[derive(Debug)]
pub struct RuleSet {
    pub(crate) rules: Vec<Rule>,
    pub(crate) sequences: Vec<Sequence>,
    pub(crate) programs: [Program; 2],
    /// Rules of each source in order, without those that can never hold.
    pub(crate) by_source: [Vec<u32>; 2],
    /// Rules of node events by event type; `everything` are those not bound to types.
    pub(crate) by_type: HashMap<Box<str>, Vec<u32>>,
    pub(crate) everything: Vec<u32>,
}

// === impl Priority ===

impl Priority {
    pub const ALL: [Priority; 8] = [
        Priority::Emergency,
        Priority::Alert,
        Priority::Critical,
        Priority::Error,
        Priority::Warning,
        Priority::Notice,
        Priority::Informational,
        Priority::Debug,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Priority::Emergency => "Emergency",
            Priority::Alert => "Alert",
            Priority::Critical => "Critical",
            Priority::Error => "Error",
            Priority::Warning => "Warning",
            Priority::Notice => "Notice",
            Priority::Informational => "Informational",
            Priority::Debug => "Debug",
        }
    }

    /// Case does not matter; `info` is short for Informational.
    pub fn named(text: &str) -> Option<Priority> {
        if text.eq_ignore_ascii_case("info") {
            return Some(Priority::Informational);
        }
        Priority::ALL.into_iter().find(|p| p.as_str().eq_ignore_ascii_case(text))
    }
}

// === impl Match ===

impl Match<'_> {
    /// The rule's output for `event`: fields filled in, absent as `<NA>`, control characters
    /// escaped, at most [`MAX_OUTPUT`](crate::output::MAX_OUTPUT) bytes.
    pub fn output(&self, event: &impl Event) -> String {
        self.rule.output.format(event)
    }
}

// === impl RuleSet ===

impl RuleSet {
    /// Reads and compiles rule files in order; beside the rules, what deserves a warning.
    ///
    /// # Errors
    /// Everything found, when one of the problems is an error; nothing is loaded then.
    pub fn load(files: &[RuleFile<'_>]) -> Result<(RuleSet, Vec<Problem>), Problems> {
        loader::load(files)
    }

    /// All rules, in order of first definition.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// All sequences, in order of definition.
    pub fn sequences(&self) -> &[Sequence] {
        &self.sequences
    }

    /// By name, what holds for every rule and sequence: what was set for it or for a group of it (`tag:…`), else what it is
    /// shipped with, 告警 at most; 放行 for those their author switched off.
    pub fn modes(&self, set: &BTreeMap<String, Mode>) -> BTreeMap<String, Mode> {
        let rules = self.rules.iter().map(|r| (&r.name, &r.tags, r.guidance.as_ref(), r.enabled));
        let sequences = self.sequences.iter().map(|s| (&s.name, &s.tags, s.guidance.as_ref(), s.enabled));
        let of = |(name, tags, guidance, enabled): (&String, &Vec<String>, Option<&Guidance>, bool)| {
            let own = set.get(name).or_else(|| tags.iter().find_map(|t| set.get(&format!("tag:{t}"))));
            let shipped = if enabled { guidance.map_or(Mode::Alert, |g| g.mode.min(Mode::Alert)) } else { Mode::Allow };
            (name.clone(), own.copied().unwrap_or(shipped))
        };
        rules.map(of).chain(sequences.map(of)).collect()
    }

    /// Switches a rule or sequence; false when there is none of this name.
    pub fn set_enabled(&mut self, name: &str, enabled: bool) -> bool {
        let rule = self.rules.iter_mut().find(|r| r.name == name).map(|r| &mut r.enabled);
        let sequence = self.sequences.iter_mut().find(|s| s.name == name).map(|s| &mut s.enabled);
        rule.or(sequence).map(|e| *e = enabled).is_some()
    }

    /// Calls `found` for every enabled rule that holds, in order. The work is bounded by the size
    /// of the rules: each distinct comparison and each macro is evaluated at most once.
    pub fn evaluate<E: Event>(&self, event: &E, found: impl FnMut(Match<'_>)) {
        self.evaluate_with(event, &mut Scratch::default(), found);
    }

    /// [`evaluate`](Self::evaluate) with memory that is used again, for the hot path.
    pub fn evaluate_with<'r, E: Event>(&'r self, event: &E, scratch: &mut Scratch, mut found: impl FnMut(Match<'r>)) {
        let mut evaluation = scratch.begin(self.program(event.source()), event);
        let typed = event.kind().and_then(|kind| self.by_type.get(kind));
        let (some, all) = match event.source() {
            Source::Audit => (Default::default(), self.rules_of(Source::Audit)),
            Source::Syscall if event.kind().is_some() => (typed.map_or(&[][..], Vec::as_slice), self.everything.as_slice()),
            Source::Syscall => (Default::default(), self.rules_of(Source::Syscall)),
        };
        let (mut a, mut b) = (some.iter().peekable(), all.iter().peekable());
        // Both are ascending: merged, rules come in the order of their definition.
        loop {
            let next = match (a.peek(), b.peek()) {
                (Some(x), Some(y)) if x < y => a.next(),
                (Some(_), None) => a.next(),
                (_, Some(_)) => b.next(),
                (None, None) => break,
            };
            let Some(rule) = next.and_then(|i| self.rules.get(*i as usize)) else { continue };
            if rule.enabled && evaluation.holds(rule.condition) {
                found(Match { rule });
            }
        }
    }

    /// The first enabled rule that holds.
    pub fn first<E: Event>(&self, event: &E) -> Option<&Rule> {
        let mut scratch = Scratch::default();
        let mut evaluation = scratch.begin(self.program(event.source()), event);
        self.rules_of(event.source())
            .iter()
            .filter_map(|i| self.rules.get(*i as usize))
            .find(|rule| rule.enabled && evaluation.holds(rule.condition))
    }

    /// Event types any enabled rule or sequence of node events can hold for: what a sensor must
    /// deliver. `None` when one is not bound to types.
    pub fn event_types(&self) -> Option<BTreeSet<Box<str>>> {
        let program = self.program(Source::Syscall);
        let rules = self.rules.iter().filter(|r| r.enabled && r.source == Source::Syscall).map(|r| r.event_types.clone());
        let steps = self.sequences.iter().filter(|s| s.enabled && s.source == Source::Syscall).flat_map(|s| &s.steps);
        match rules.chain(steps.map(|s| program.types(s.condition))).fold(EventTypes::none(), EventTypes::union) {
            EventTypes::Only(names) => Some(names),
            EventTypes::All | EventTypes::Except(_) => None,
        }
    }

    pub(crate) fn program(&self, source: Source) -> &Program {
        let [syscall, audit] = &self.programs;
        match source {
            Source::Syscall => syscall,
            Source::Audit => audit,
        }
    }

    fn rules_of(&self, source: Source) -> &[u32] {
        let [syscall, audit] = &self.by_source;
        match source {
            Source::Syscall => syscall,
            Source::Audit => audit,
        }
    }
}
