//! Variables that read one another.

use jinwu_cel::{Bindings, Budget, EvaluationError, Program, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// How deep variables that use one another may be nested together.
const MAX_DEPTH: usize = 500;

/// How deep a variable is nested with those it uses, whose own depths are known; an error when that is
/// too deep.
pub(crate) fn depth(program: &Program, known: &BTreeMap<String, usize>) -> Result<usize, String> {
    let below = program.variables().filter_map(|used| known.get(used.strip_prefix("variables.")?)).max().copied().unwrap_or(0);
    let depth = below + program.depth();
    if depth > MAX_DEPTH {
        return Err(format!("with the variables it uses it is nested {depth} deep, more than {MAX_DEPTH}"));
    }
    Ok(depth)
}

/// Variables of one evaluation: made when first asked for, and kept.
pub(crate) struct Made<'p, 'a> {
    programs: &'p [(String, Program)],
    values: RefCell<BTreeMap<&'p str, Result<Value<'a>, EvaluationError>>>,
}

// === impl Made ===

impl<'p, 'a> Made<'p, 'a> {
    pub(crate) fn new(programs: &'p [(String, Program)]) -> Self {
        Made { programs, values: RefCell::default() }
    }

    /// The value of a variable, made with what `scope` binds.
    pub(crate) fn get(&self, name: &str, scope: &dyn Bindings<'a>, budget: &mut Budget) -> Option<Result<Value<'a>, EvaluationError>> {
        if let Some(made) = self.values.borrow().get(name) {
            return Some(made.clone());
        }
        // A variable uses only those before it, so this comes to an end.
        let (known, program) = self.programs.iter().find(|(known, _)| known == name)?;
        let value = program.evaluate(scope, budget);
        self.values.borrow_mut().insert(known, value.clone());
        Some(value)
    }
}
