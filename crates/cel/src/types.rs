//! Types, as far as they are known before an expression runs.

mod unify;

pub(crate) use unify::Substitution;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The type of an expression or variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Known only when the expression runs. Everything agrees with it.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    List(Arc<Type>),
    Map(Arc<Type>, Arc<Type>),
    Optional(Arc<Type>),
    /// The type of a type.
    Type,
    /// One of Kubernetes' own: `kubernetes.Quantity`, `net.IP` …
    Opaque(&'static str),
    /// A map whose fields are known, such as `request`.
    Object(Arc<ObjectType>),
    /// Not yet known: an element of an empty list, a parameter of a function.
    Variable(u32),
}

/// Names and types of an object's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectType {
    pub name: String,
    pub fields: BTreeMap<String, Type>,
}

/// A type in a function's signature; written in constants.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signature {
    Dyn,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    Type,
    List(&'static Signature),
    Map(&'static Signature, &'static Signature),
    Optional(&'static Signature),
    Opaque(&'static str),
    /// A type parameter of the function, by number.
    Parameter(u32),
}

// === impl Type ===

impl Type {
    pub fn list(element: Type) -> Type {
        Type::List(Arc::new(element))
    }

    pub fn map(key: Type, value: Type) -> Type {
        Type::Map(Arc::new(key), Arc::new(value))
    }

    pub fn optional(inner: Type) -> Type {
        Type::Optional(Arc::new(inner))
    }

    /// The name `type()` gives, without parameters.
    pub fn name(&self) -> &str {
        match self {
            Type::Dyn | Type::Variable(_) => "dyn",
            Type::Null => "null_type",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::Timestamp => "google.protobuf.Timestamp",
            Type::Duration => "google.protobuf.Duration",
            Type::List(_) => "list",
            Type::Map(..) => "map",
            Type::Optional(_) => "optional_type",
            Type::Type => "type",
            Type::Opaque(name) => name,
            Type::Object(object) => &object.name,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::List(element) => write!(f, "list({element})"),
            Type::Map(key, value) => write!(f, "map({key}, {value})"),
            Type::Optional(inner) => write!(f, "optional_type({inner})"),
            other => f.write_str(other.name()),
        }
    }
}

// === impl Signature ===

impl Signature {
    /// The type it stands for; parameter `n` is the variable `base + n`.
    pub(crate) fn instantiate(&self, base: u32) -> Type {
        match self {
            Signature::Dyn => Type::Dyn,
            Signature::Bool => Type::Bool,
            Signature::Int => Type::Int,
            Signature::Uint => Type::Uint,
            Signature::Double => Type::Double,
            Signature::String => Type::String,
            Signature::Bytes => Type::Bytes,
            Signature::Timestamp => Type::Timestamp,
            Signature::Duration => Type::Duration,
            Signature::Type => Type::Type,
            Signature::List(element) => Type::list(element.instantiate(base)),
            Signature::Map(key, value) => Type::map(key.instantiate(base), value.instantiate(base)),
            Signature::Optional(inner) => Type::optional(inner.instantiate(base)),
            Signature::Opaque(name) => Type::Opaque(name),
            Signature::Parameter(n) => Type::Variable(base.saturating_add(*n)),
        }
    }
}
