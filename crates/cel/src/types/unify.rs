//! Which types agree, and what that says about the ones not yet known.

use super::{Signature, Type};

/// What is known about type variables so far.
#[derive(Debug, Default)]
pub(crate) struct Substitution {
    bound: Vec<Option<Type>>,
    /// Variables in the order they were bound, so that a failed attempt can be taken back.
    trail: Vec<u32>,
}

/// Type variables of one function at most.
const PARAMETERS: u32 = 4;

// === impl Substitution ===

impl Substitution {
    pub(crate) fn fresh(&mut self) -> Type {
        self.bound.push(None);
        Type::Variable(self.bound.len() as u32 - 1)
    }

    /// Variables for the parameters of one function; gives the number of the first.
    pub(crate) fn parameters(&mut self) -> u32 {
        let base = self.bound.len() as u32;
        self.bound.extend((0..PARAMETERS).map(|_| None));
        base
    }

    /// Forgets what was bound since the trail had this length.
    fn take_back(&mut self, to: usize) {
        for variable in self.trail.drain(to.min(self.trail.len())..) {
            if let Some(slot) = self.bound.get_mut(variable as usize) {
                *slot = None;
            }
        }
    }

    fn binding(&self, variable: u32) -> Option<&Type> {
        self.bound.get(variable as usize)?.as_ref()
    }

    fn bind(&mut self, variable: u32, to: Type) {
        if let Some(slot) = self.bound.get_mut(variable as usize) {
            *slot = Some(to);
            self.trail.push(variable);
        }
    }

    /// The type behind a variable, one level deep.
    pub(crate) fn shallow(&self, t: &Type) -> Type {
        let mut current = t.clone();
        while let Type::Variable(v) = current {
            match self.binding(v) {
                Some(next) => current = next.clone(),
                None => break,
            }
        }
        current
    }

    /// The type with everything known filled in; what stays unknown is `dyn`.
    pub(crate) fn resolve(&self, t: &Type) -> Type {
        match self.shallow(t) {
            Type::Variable(_) => Type::Dyn,
            Type::List(element) => Type::list(self.resolve(&element)),
            Type::Map(key, value) => Type::map(self.resolve(&key), self.resolve(&value)),
            Type::Optional(inner) => Type::optional(self.resolve(&inner)),
            other => other,
        }
    }

    /// The type with what is known filled in; what is unknown stays so.
    pub(crate) fn filled(&self, t: &Type) -> Type {
        match self.shallow(t) {
            Type::List(element) => Type::list(self.filled(&element)),
            Type::Map(key, value) => Type::map(self.filled(&key), self.filled(&value)),
            Type::Optional(inner) => Type::optional(self.filled(&inner)),
            other => other,
        }
    }

    fn occurs(&self, variable: u32, t: &Type) -> bool {
        match self.shallow(t) {
            Type::Variable(v) => v == variable,
            Type::List(inner) | Type::Optional(inner) => self.occurs(variable, &inner),
            Type::Map(key, value) => self.occurs(variable, &key) || self.occurs(variable, &value),
            _ => false,
        }
    }

    /// Whether a value of type `from` may stand where `to` is expected; binds variables on the way.
    pub(crate) fn agree(&mut self, from: &Type, to: &Type) -> bool {
        let (from, to) = (self.shallow(from), self.shallow(to));
        match (&from, &to) {
            (Type::Variable(a), Type::Variable(b)) if a == b => true,
            (other, Type::Variable(v)) | (Type::Variable(v), other) => {
                if self.occurs(*v, other) {
                    return false;
                }
                self.bind(*v, other.clone());
                true
            }
            (Type::Dyn, _) | (_, Type::Dyn) => true,
            (Type::Null, nullable) | (nullable, Type::Null) => {
                matches!(nullable, Type::Null | Type::Optional(_) | Type::Duration | Type::Timestamp | Type::Opaque(_) | Type::Object(_))
            }
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => self.agree(a, b),
            (Type::Map(a, b), Type::Map(c, d)) => self.agree(a, c) && self.agree(b, d),
            (Type::Object(a), Type::Object(b)) => a.name == b.name,
            (a, b) => a == b,
        }
    }

    /// Whether arguments fit parameters; on failure nothing is bound.
    pub(crate) fn fits(&mut self, arguments: &[Type], parameters: &[Signature], base: u32) -> bool {
        if arguments.len() != parameters.len() {
            return false;
        }
        let before = self.trail.len();
        let fits = arguments.iter().zip(parameters).all(|(a, p)| self.agree(a, &p.instantiate(base)));
        if !fits {
            self.take_back(before);
        }
        fits
    }

    /// The type that covers both, if they agree: of a list's elements, of a conditional's branches.
    pub(crate) fn join(&mut self, a: &Type, b: &Type) -> Option<Type> {
        if !self.agree(a, b) {
            return None;
        }
        let (a, b) = (self.shallow(a), self.shallow(b));
        Some(if general(&b, &a) { b } else { a })
    }
}

/// Whether `a` says less than `b`: `dyn` covers everything, a nullable type covers null.
fn general(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Dyn, _) => true,
        (_, Type::Null) => true,
        (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => general(a, b),
        (Type::Map(k, v), Type::Map(l, w)) => general(k, l) && general(v, w),
        _ => false,
    }
}
