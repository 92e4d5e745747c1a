//! Comprehensions.
//!
//! cel-go expands them to loops over an accumulator; the costs here are those of that loop.

use super::{Evaluator, Local};
use crate::cost::LIST;
use crate::error::{EvaluationError, Outcome, fail};
use crate::plan::{Fold, FoldKind, Node};
use crate::value::{Key, List, Map, MapBuilder, Value};

/// What the loop has come to.
enum State<'a> {
    Truth(Outcome<bool>),
    Count(u64),
    Values(Vec<Value<'a>>),
    Entries(MapBuilder<'a>),
}

// === impl Evaluator ===

impl<'a> Evaluator<'_, 'a> {
    pub(super) fn fold(&mut self, fold: &Fold) -> Outcome<Value<'a>> {
        let range = self.evaluate(&fold.range)?;
        let mut state = match fold.kind {
            FoldKind::All => State::Truth(Ok(true)),
            FoldKind::Exists => State::Truth(Ok(false)),
            FoldKind::ExistsOne => State::Count(0),
            FoldKind::List => State::Values(Vec::new()),
            FoldKind::Map | FoldKind::Entries => State::Entries(MapBuilder::default()),
        };
        match &range {
            Value::List(list) => self.through_list(fold, list, &mut state)?,
            Value::Map(map) => self.through_map(fold, map, &mut state)?,
            other => return fail(format!("{} has no elements to go through", other.type_name())),
        }
        // The result is the accumulator, compared with one for exists_one.
        self.meter.charge(1)?;
        Ok(match state {
            State::Truth(truth) => Value::Bool(truth?),
            State::Count(count) => {
                self.meter.charge(1)?;
                Value::Bool(count == 1)
            }
            State::Values(values) => Value::list(values),
            State::Entries(map) => map.finish(),
        })
    }

    fn through_list(&mut self, fold: &Fold, list: &List<'a>, state: &mut State<'a>) -> Outcome<()> {
        for (i, element) in list.iter().enumerate() {
            let more = if fold.pairs { self.round(fold, Value::Int(i as i64), Some(element), state) } else { self.round(fold, element, None, state) };
            if !more? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn through_map(&mut self, fold: &Fold, map: &Map<'a>, state: &mut State<'a>) -> Outcome<()> {
        for (key, value) in map.iter() {
            if !self.round(fold, key, fold.pairs.then_some(value), state)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// One turn of the loop; `false` when it is decided.
    fn round(&mut self, fold: &Fold, first: Value<'a>, second: Option<Value<'a>>, state: &mut State<'a>) -> Outcome<bool> {
        self.meter.work(1)?;
        let decided = matches!((fold.kind, &*state), (FoldKind::All, State::Truth(Ok(false))) | (FoldKind::Exists, State::Truth(Ok(true))));
        self.meter.charge(match fold.kind {
            FoldKind::All => 2,
            FoldKind::Exists => 3,
            _ => 0,
        })?;
        if decided {
            return Ok(false);
        }
        let outside = self.locals.len();
        self.locals.push(Local { value: first, due: 0 });
        self.locals.extend(second.map(|value| Local { value, due: 0 }));
        let result = self.turn(fold, outside, state);
        self.locals.truncate(outside);
        result.map(|()| true)
    }

    fn turn(&mut self, fold: &Fold, names: usize, state: &mut State<'a>) -> Outcome<()> {
        match state {
            State::Truth(truth) => {
                self.meter.charge(1)?;
                let Some(condition) = &fold.condition else { return Ok(()) };
                let asked = match self.evaluate(condition) {
                    Ok(Value::Bool(value)) => Ok(value),
                    Ok(_) => Err(EvaluationError::no_overload()),
                    Err(error) if error.absorbable() => Err(error),
                    Err(error) => return Err(error),
                };
                let deciding = fold.kind == FoldKind::Exists;
                // As with && and ||: what decides wins over a failure, the first failure stays.
                match asked {
                    Ok(value) if value == deciding => *truth = Ok(deciding),
                    Err(error) if truth.is_ok() => *truth = Err(error),
                    _ => {}
                }
                Ok(())
            }
            State::Count(count) => {
                if self.counts(fold)? {
                    self.meter.charge(2)?;
                    *count += 1;
                }
                Ok(())
            }
            State::Values(values) => {
                if !self.counts(fold)? {
                    return Ok(());
                }
                let Some(transform) = &fold.transform else { return Ok(()) };
                // The accumulator, a list of one, and adding it; a constant list is made beforehand.
                self.meter.charge(if matches!(transform, Node::Constant(_)) { 2 } else { 2 + LIST })?;
                let value = self.evaluate(transform)?;
                self.meter.elements(1)?;
                values.push(value);
                Ok(())
            }
            State::Entries(map) => {
                if !self.counts(fold)? {
                    return Ok(());
                }
                let Some(transform) = &fold.transform else { return Ok(()) };
                let key = if fold.kind == FoldKind::Map { self.locals.get(names).map(|local| local.value.clone()) } else { None };
                self.meter.charge(if key.is_some() { 3 } else { 2 })?;
                let value = self.evaluate(transform)?;
                self.meter.elements(2)?;
                let new = match (key, value) {
                    (Some(key), value) => vec![(key, value)],
                    (None, Value::Map(entries)) => {
                        self.meter.elements(entries.len() as u64 * 2)?;
                        entries.iter().collect()
                    }
                    (None, other) => return fail(format!("transformMapEntry makes maps, not {}", other.type_name())),
                };
                for (key, value) in new {
                    let Some(key) = Key::from_value(&key) else { return fail(format!("unsupported key type {}", key.type_name())) };
                    if !map.insert(key, value) {
                        return fail("insert failed: key already exists");
                    }
                }
                Ok(())
            }
        }
    }

    /// Whether the element counts.
    fn counts(&mut self, fold: &Fold) -> Outcome<bool> {
        let Some(condition) = &fold.condition else { return Ok(true) };
        match self.evaluate(condition)? {
            Value::Bool(value) => Ok(value),
            _ => Err(EvaluationError::no_overload()),
        }
    }
}
