//! From rule files to a [`RuleSet`]: read, merge in order, expand, compile.
//!
//! Files are read in the order given, as Falco does: a later file may append to, override, switch or
//! replace what an earlier one defined.

mod collect;
mod exception;
mod expand;
mod item;
mod version;

pub(crate) use expand::Lists;
pub(crate) use item::{Reader, SequenceItem, StepItem};

use crate::compile::Compiler;
use crate::condition::{self, Expression};
use crate::guidance::Guidance;
use crate::problem::{Place, Problem, Problems, Report};
use crate::ruleset::RuleSet;
use crate::yaml;
use collect::Collected;
use exception::Exception;

/// Most files of one load.
pub const MAX_FILES: usize = 256;
/// Most bytes of one load, all files together.
pub const MAX_BYTES: usize = 32 << 20;
/// Most lists, macros and rules of one load, each.
pub const MAX_ITEMS: usize = 20_000;
/// Most sequences of one load: each keeps keys in memory.
pub const MAX_SEQUENCES: usize = 200;

/// A rule file: a name for messages and its text.
#[derive(Clone, Copy, Debug)]
pub struct RuleFile<'a> {
    pub name: &'a str,
    pub text: &'a str,
}

/// A macro with everything appended to it.
pub(crate) struct MacroItem {
    pub(crate) place: Place,
    pub(crate) condition: String,
}

/// A rule with everything appended and overridden.
pub(crate) struct RuleItem {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) condition: String,
    pub(crate) output: String,
    pub(crate) desc: String,
    pub(crate) priority: crate::ruleset::Priority,
    pub(crate) source: crate::field::Source,
    pub(crate) enabled: bool,
    pub(crate) tags: Vec<String>,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) warn_event_types: bool,
    pub(crate) skip_if_unknown: bool,
    pub(crate) guidance: Option<Guidance>,
}

/// Reads, merges and compiles rule files.
///
/// # Errors
/// All problems found, if one of them is an error. Nothing is loaded then.
pub fn load(files: &[RuleFile<'_>]) -> Result<(RuleSet, Vec<Problem>), Problems> {
    let mut report = Report::default();
    let mut collected = Collected::default();
    let bytes: usize = files.iter().map(|f| f.text.len()).sum();
    if files.len() > MAX_FILES || bytes > MAX_BYTES {
        let place = Place { file: files.first().map(|f| f.name.to_owned()).unwrap_or_default(), line: 0 };
        report.fail(&place, format!("{} files of {bytes} bytes: at most {MAX_FILES} files of {MAX_BYTES} bytes together are loaded", files.len()));
        return Err(report.finish().err().unwrap_or(Problems(Vec::new())));
    }
    for file in files {
        let place = |line| Place { file: file.name.to_owned(), line };
        match yaml::parse(file.text) {
            Err((line, message)) => report.fail(&place(line), message),
            Ok(None) => report.warn(&place(0), "the file has no items"),
            Ok(Some(root)) if root.is_null() => report.warn(&place(0), "the file has no items"),
            Ok(Some(root)) => match root.list() {
                None => report.fail(&place(root.line), "a rule file is a list of items: begin each with - rule:, - macro: or - list:"),
                Some(items) => {
                    for item in items {
                        collected.add(item, &place(item.line), &mut report);
                    }
                }
            },
        }
    }
    let set = if report.failed() { None } else { Some(compile(collected, &mut report)) };
    let warnings = report.finish()?;
    set.map(|set| (set, warnings)).ok_or(Problems(Vec::new()))
}

fn compile(collected: Collected, report: &mut Report) -> RuleSet {
    let lists = Lists::resolve(&collected.lists, report);
    let mut macros = std::collections::HashMap::new();
    for (name, item) in collected.macros.iter() {
        match condition::parse(&item.condition) {
            Ok(expression) => {
                macros.insert(name.clone(), (item.place.clone(), expression));
            }
            Err(error) => report.fail(&item.place, explain("macro", name, &item.condition, &error)),
        }
    }
    let mut compiler = Compiler::new(lists, macros);
    for (_, rule) in collected.rules.into_iter() {
        match condition::parse(&rule.condition) {
            Ok(expression) => {
                let whole = with_exceptions(expression, &rule, report);
                compiler.rule(rule, whole, report);
            }
            Err(error) => report.fail(&rule.place, explain("rule", &rule.name, &rule.condition, &error)),
        }
    }
    for (_, sequence) in collected.sequences.into_iter() {
        let mut steps = Vec::new();
        for step in &sequence.steps {
            match condition::parse(&step.condition) {
                Ok(expression) => steps.push(expression),
                Err(error) => report.fail(&step.place, explain("sequence", &sequence.name, &step.condition, &error)),
            }
        }
        if steps.len() == sequence.steps.len() {
            compiler.sequence(sequence, &steps, report);
        }
    }
    compiler.finish()
}

/// `(condition) and not (exception)` for each exception.
fn with_exceptions(expression: Expression, rule: &RuleItem, report: &mut Report) -> Expression {
    let mut all = vec![expression];
    for exception in &rule.exceptions {
        match exception.expression() {
            Ok(Some(e)) => all.push(Expression::Not(Box::new(e))),
            Ok(None) => {}
            Err(message) => report.fail(&exception.place, format!("rule {:?}, exception {:?}: {message}", rule.name, exception.name)),
        }
    }
    if all.len() == 1 { all.swap_remove(0) } else { Expression::And(all) }
}

fn explain(kind: &str, name: &str, text: &str, error: &condition::SyntaxError) -> String {
    let before: String = text.get(..error.offset).unwrap_or_default().chars().rev().take(30).collect();
    let before: String = before.chars().rev().collect();
    format!("{kind} {name:?}: condition, after {:?}: {}", before.trim(), error.message)
}
