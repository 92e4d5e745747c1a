//! Kubernetes' CEL: the expressions of ValidatingAdmissionPolicy, with the API server's answers.
//!
//! An [`Environment`] says which variables there are and which Kubernetes version's functions; it
//! compiles a source text to a [`Program`]: parsed, names resolved, types checked, constants made.
//! A program is evaluated with [`Bindings`] for its variables and a [`Budget`] counted as the API
//! server counts, so that what is cut off there is cut off here.
//!
//! ```
//! use jinwu_cel::{Budget, Environment, Type, Value};
//!
//! let environment = Environment::new().variable("object", Type::Dyn);
//! let program = environment.compile("object.spec.containers.all(c, !c.image.endsWith(':latest'))")?;
//! let pod: serde_json::Value = serde_json::json!({"spec": {"containers": [{"image": "nginx:1.27"}]}});
//! let value = program.evaluate(&[("object", Value::from(&pod))], &mut Budget::policy())?;
//! assert_eq!(value.as_bool(), Some(true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Sources and inputs are hostile: everything read or made has a bound ([`limits`]), nothing panics,
//! and no clock, file or network is used.
#![forbid(unsafe_code)]

mod cost;
mod environment;
mod error;
mod evaluate;
mod library;
pub mod limits;
mod plan;
mod program;
mod syntax;
mod types;
mod value;

pub use cost::Budget;
pub use environment::{Environment, NEWEST};
pub use error::{CompileError, EvaluationError, Position};
pub use library::authorizer::{
    Attributes, AuthorizationDecision, AuthorizationTarget, Authorizer, ResourceAttributes, authorizer_value, request_resource_value,
};
pub use library::named_format::is_object_name;
pub use program::{Bindings, Program};
pub use types::{ObjectType, Type};
pub use value::{Duration, Key, List, Map, Opaque, Str, Timestamp, Value};
