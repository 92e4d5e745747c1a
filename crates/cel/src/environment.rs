//! What an expression may speak of: variables, and the functions of a Kubernetes version.

use crate::error::CompileError;
use crate::plan::plan;
use crate::program::Program;
use crate::syntax::parse;
use crate::types::{ObjectType, Type};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Newest minor version of Kubernetes whose functions are known: 1.34.
pub const NEWEST: u8 = 34;

/// Variables with their types, and the version that says which functions exist.
#[derive(Clone, Debug)]
pub struct Environment {
    pub(crate) variables: BTreeMap<String, Type>,
    /// Variables whose fields are variables of their own.
    pub(crate) groups: BTreeSet<String>,
    pub(crate) minor: u8,
    pub(crate) bindings: bool,
    pub(crate) checked: bool,
}

// === impl Environment ===

impl Default for Environment {
    fn default() -> Self {
        Environment { variables: BTreeMap::new(), groups: BTreeSet::new(), minor: NEWEST, bindings: false, checked: true }
    }
}

impl Environment {
    /// The newest version's functions and no variables.
    pub fn new() -> Environment {
        Environment::default()
    }

    /// The functions of Kubernetes 1.`minor`; versions before 30 and after [`NEWEST`] count as those.
    #[must_use]
    pub fn kubernetes(mut self, minor: u8) -> Environment {
        self.minor = minor.clamp(30, NEWEST);
        self
    }

    /// Declares a variable; a dotted name such as `authorizer.requestResource` is one name.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, kind: Type) -> Environment {
        self.variables.insert(name.into(), kind);
        self
    }

    /// Declares a group of variables, such as `variables`: each field is asked of the [`Bindings`]
    /// on its own, by its dotted name, when it is needed.
    ///
    /// [`Bindings`]: crate::Bindings
    #[must_use]
    pub fn group(mut self, name: impl Into<String>, fields: ObjectType) -> Environment {
        let name = name.into();
        self.groups.insert(name.clone());
        self.variable(name, Type::Object(Arc::new(fields)))
    }

    /// Adds `cel.bind(name, value, expression)`, which Kubernetes does not have.
    #[must_use]
    pub fn with_bindings(mut self) -> Environment {
        self.bindings = true;
        self
    }

    /// Leaves types to the evaluation. Kubernetes always checks them first.
    #[must_use]
    pub fn unchecked(mut self) -> Environment {
        self.checked = false;
        self
    }

    /// Reads, checks and prepares an expression. The error says where and what is wrong: syntax,
    /// unknown names, arguments that fit no form of a function, patterns and conversions of constants
    /// that cannot succeed, or more text, depth or parts than [`limits`](crate::limits) allow.
    pub fn compile(&self, source: &str) -> Result<Program, CompileError> {
        let expression = parse(source)?;
        let (node, kind, globals) = plan(self, source, &expression)?;
        Ok(Program::new(node, kind, globals, expression.height))
    }
}
