//! What is remembered between events: bounded, serialisable, without a clock.

use super::{Key, MAX_KEYS, MAX_STEPS, Sequence, SequenceMatch, Step};
use crate::event::Event;
use crate::evaluate::Scratch;
use crate::operand::texts;
use crate::ruleset::RuleSet;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Longest key, bytes; the rest of a longer one counts by its hash.
const MAX_KEY: usize = 512;
/// Values remembered per key for `new`.
const MAX_KNOWN: usize = 16;

/// Progress of all sequences. Survives a restart when stored; a sequence that was renamed or whose
/// steps changed begins anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequences {
    states: BTreeMap<String, HashMap<String, Progress>>,
    /// Keys given up because there were too many.
    evicted: u64,
}

/// One key's way through a sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    step: usize,
    /// First event of the present run.
    begun: i64,
    touched: i64,
    /// Time and value hash of what the present step has counted.
    hits: Vec<(i64, u64)>,
    /// No hit before this time.
    quiet: i64,
    /// Value hashes seen with this key, and when last.
    known: Vec<(u64, i64)>,
}

// === impl Sequences ===

impl Sequences {
    /// Takes an event of `time` (nanoseconds since 1970) into account; what it completes.
    pub fn observe<'r, E: Event>(&mut self, rules: &'r RuleSet, event: &E, time: i64) -> Vec<SequenceMatch<'r>> {
        self.observe_with(rules, event, time, &mut Scratch::default())
    }

    /// [`observe`](Self::observe) with memory that is used again.
    pub fn observe_with<'r, E: Event>(&mut self, rules: &'r RuleSet, event: &E, time: i64, scratch: &mut Scratch) -> Vec<SequenceMatch<'r>> {
        let mut found = Vec::new();
        let mut evaluation = scratch.begin(rules.program(event.source()), event);
        for sequence in rules.sequences() {
            if !sequence.enabled || sequence.source != event.source() {
                continue;
            }
            let mut holds = [false; MAX_STEPS];
            for (holds, step) in holds.iter_mut().zip(&sequence.steps) {
                *holds = evaluation.holds(step.condition);
            }
            if !holds.contains(&true) {
                continue;
            }
            let Some(key) = key(&sequence.key, event) else { continue };
            let states = match self.states.get_mut(&sequence.name) {
                Some(states) => states,
                None => self.states.entry(sequence.name.clone()).or_default(),
            };
            let known = states.contains_key(&key.0);
            // What a later step asks for begins nothing.
            if !known && holds.first() != Some(&true) {
                continue;
            }
            if !known && states.len() >= MAX_KEYS {
                self.evicted += evict(states);
            }
            let progress = states.entry(key.0).or_default();
            if let Some(begun) = progress.advance(sequence, &holds, event, time) {
                found.push(SequenceMatch { sequence, key: sequence.key.iter().map(|k| k.name.as_str()).zip(key.1).collect(), begun });
            }
        }
        found
    }

    /// Forgets runs whose window has passed at `now`, and sequences that no longer exist.
    pub fn expire(&mut self, rules: &RuleSet, now: i64) {
        self.states.retain(|name, states| {
            let Some(sequence) = rules.sequences().iter().find(|s| s.name == *name) else { return false };
            let window = window(sequence);
            states.retain(|_, p| !p.known.is_empty() || now.saturating_sub(p.touched) <= window || p.quiet > now);
            !states.is_empty()
        });
    }

    /// Keys in memory.
    pub fn keys(&self) -> usize {
        self.states.values().map(HashMap::len).sum()
    }

    /// Keys given up because there were too many: an attacker who makes keys is visible here.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }
}

/// Drops the eighth that was longest untouched.
fn evict(states: &mut HashMap<String, Progress>) -> u64 {
    let mut times: Vec<i64> = states.values().map(|p| p.touched).collect();
    let place = times.len() / 8;
    let (_, limit, _) = times.select_nth_unstable(place);
    let limit = *limit;
    let before = states.len();
    let mut left = place + 1;
    states.retain(|_, p| {
        let goes = p.touched <= limit && left > 0;
        left -= usize::from(goes);
        !goes
    });
    (before - states.len()) as u64
}

fn window(sequence: &Sequence) -> i64 {
    i64::try_from(sequence.window.as_nanos()).unwrap_or(i64::MAX)
}

/// The key as one text, and its values; `None` when a field is absent.
fn key<E: Event>(fields: &[Key], event: &E) -> Option<(String, Vec<String>)> {
    let mut values = Vec::new();
    for field in fields {
        let all = texts(field.operand.value(event, false));
        if all.is_empty() {
            return None;
        }
        values.push(all.join(","));
    }
    let mut whole = values.join("\u{1f}");
    if whole.len() > MAX_KEY {
        let hash = hash(&whole);
        let mut end = MAX_KEY - 20;
        while !whole.is_char_boundary(end) {
            end -= 1;
        }
        whole.truncate(end);
        whole.push_str(&format!("\u{1f}{hash:016x}"));
    }
    for value in &mut values {
        *value = value.chars().take(MAX_KEY).collect();
    }
    Some((whole, values))
}

/// FNV-1a: the same in every build, because it is stored.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

// === impl Progress ===

impl Progress {
    /// Takes the event into account; when the sequence is complete, when it began.
    fn advance<E: Event>(&mut self, sequence: &Sequence, holds: &[bool], event: &E, time: i64) -> Option<i64> {
        self.touched = self.touched.max(time);
        let window = window(sequence);
        if self.step >= sequence.steps.len() || (self.step > 0 && time.saturating_sub(self.begun) > window) {
            self.restart();
        }
        // The first step again, before the second came: the newer begin gives the rest more time.
        if self.step == 1 && holds.first() == Some(&true) && holds.get(1) != Some(&true) {
            self.begun = self.begun.max(time);
        }
        let step = sequence.steps.get(self.step)?;
        let here = holds.get(self.step) == Some(&true);
        if !here || !self.is_new(step, event, time) {
            return None;
        }
        let value = step.distinct.as_ref().map_or(0, |f| hash(&texts(f.operand.value(event, false)).join(",")));
        self.hits.retain(|(t, v)| time.saturating_sub(*t) <= window && !(step.distinct.is_some() && *v == value));
        self.hits.push((time, value));
        if self.step == 0 {
            self.begun = self.hits.iter().map(|(t, _)| *t).min().unwrap_or(time);
        }
        if self.hits.len() < step.count as usize {
            return None;
        }
        self.step += 1;
        self.hits.clear();
        if self.step < sequence.steps.len() {
            return None;
        }
        let begun = self.begun;
        self.restart();
        if time < self.quiet {
            return None;
        }
        self.quiet = time.saturating_add(window);
        Some(begun)
    }

    fn restart(&mut self) {
        self.step = 0;
        self.hits.clear();
        self.begun = 0;
    }

    /// Whether the step's `new` field has a value this key was never seen with; learns it.
    fn is_new<E: Event>(&mut self, step: &Step, event: &E, time: i64) -> bool {
        let Some(field) = &step.new else { return true };
        let all = texts(field.operand.value(event, false));
        if all.is_empty() {
            return false;
        }
        let value = hash(&all.join(","));
        if let Some(place) = self.known.iter_mut().find(|(v, _)| *v == value) {
            place.1 = time;
            return false;
        }
        let first = self.known.is_empty();
        if self.known.len() >= MAX_KNOWN
            && let Some(oldest) = self.known.iter().enumerate().min_by_key(|(_, (_, t))| *t).map(|(i, _)| i)
        {
            self.known.swap_remove(oldest);
        }
        self.known.push((value, time));
        !first
    }
}
