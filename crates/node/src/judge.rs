//! Rules and sequences over events, and what follows from a hit.

use crate::response::Response;
use crate::settings::Settings;
use jinwu_detect::{Guidance, Problem, Problems, RuleFile, RuleSet, Scratch, Sequences};
use jinwu_event::{Call, NodeEvent};
use jinwu_model::{DecisionId, Mode};
use std::collections::{BTreeMap, BTreeSet};

/// A rule or sequence that holds for an event.
#[derive(Clone, Debug)]
pub struct Finding {
    pub rule: String,
    pub priority: &'static str,
    pub mode: Mode,
    pub output: String,
    pub guidance: Option<Guidance>,
    pub tags: Vec<String>,
    /// What is done beside the alarm.
    pub responses: BTreeSet<Response>,
    /// Links the alarm, the interception and the responses.
    pub decision: DecisionId,
}

/// Rules, compiled, with their modes.
#[derive(Debug)]
pub struct Judge {
    set: RuleSet,
    sequences: Sequences,
    scratch: Scratch,
    modes: BTreeMap<String, Mode>,
    settings: Settings,
}

// === impl Judge ===

impl Judge {
    /// `shipped` are the product's own rule files; beside the judge, what deserves a warning.
    ///
    /// # Errors
    /// A rule file does not compile; every problem is named by file and line.
    pub fn new(shipped: &[RuleFile<'_>], settings: Settings) -> Result<(Self, Vec<Problem>), Problems> {
        let mut files = shipped.to_vec();
        files.extend(settings.files.iter().map(|(name, text)| RuleFile { name, text }));
        let (mut set, warnings) = RuleSet::load(&files)?;
        let modes = set.modes(&settings.modes);
        for (name, mode) in &modes {
            // A rule its author switched off is on where somebody gave it a mode.
            set.set_enabled(name, *mode != Mode::Allow);
        }
        Ok((Judge { set, sequences: Sequences::default(), scratch: Scratch::default(), modes, settings }, warnings))
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn rules(&self) -> &RuleSet {
        &self.set
    }

    /// The mode a rule has for itself.
    pub fn mode(&self, rule: &str) -> Option<Mode> {
        self.modes.get(rule).copied()
    }

    /// Calls the sensor must capture.
    pub fn calls(&self) -> BTreeSet<Call> {
        jinwu_event::needed::needed(&self.set)
    }

    /// Every finding about an event.
    pub fn judge(&mut self, event: &NodeEvent) -> Vec<Finding> {
        let mut found: Vec<Finding> = Vec::new();
        let (modes, settings) = (&self.modes, &self.settings);
        let namespace = event.container.pod.as_ref().map_or("", |p| p.namespace.as_str());
        let most = || settings.of(namespace, &event.container.image).most;
        let mode = |rule: &str| modes.get(rule).copied().unwrap_or(Mode::Alert).min(most());
        let mut hit = |name: &str, guidance: Option<&Guidance>, tags: &[String], priority: &'static str, output: String| {
            let mode = mode(name);
            if mode == Mode::Allow {
                return;
            }
            let responses = responses(settings, name, mode);
            found.push(Finding {
                rule: name.to_owned(),
                priority,
                mode,
                output,
                guidance: guidance.cloned(),
                tags: tags.to_vec(),
                responses,
                decision: DecisionId(format!("{}-{:x}-{:x}", event.host, event.time, event.number)),
            });
        };
        self.set.evaluate_with(event, &mut self.scratch, |m| {
            hit(&m.rule.name, m.rule.guidance.as_ref(), &m.rule.tags, m.rule.priority.as_str(), m.output(event));
        });
        for m in self.sequences.observe_with(&self.set, event, event.time, &mut self.scratch) {
            hit(&m.sequence.name, m.sequence.guidance.as_ref(), &m.sequence.tags, m.sequence.priority.as_str(), m.output(event));
        }
        // Each finding is a decision of its own.
        for (index, finding) in found.iter_mut().enumerate().skip(1) {
            finding.decision.0.push_str(&format!("-{index}"));
        }
        found
    }
}

/// What was set for a rule; a rule at 拦截 without anything set ends the process.
fn responses(settings: &Settings, rule: &str, mode: Mode) -> BTreeSet<Response> {
    match settings.responses.get(rule) {
        Some(set) if mode == Mode::Block => set.clone(),
        Some(set) => set.iter().copied().filter(|r| *r == Response::Snapshot).collect(),
        None if mode == Mode::Block => BTreeSet::from([Response::Kill]),
        None => BTreeSet::new(),
    }
}
