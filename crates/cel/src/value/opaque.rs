//! Kubernetes' own values.

use crate::error::{EvaluationError, Outcome};
use crate::library::authorizer::{AuthorizerValue, Decision, GroupCheck, PathCheck, ResourceCheck};
use crate::library::network::Cidr;
use crate::library::quantity::Quantity;
use crate::library::semver::Semver;
use crate::library::url::Url;
use std::net::IpAddr;

/// A value only its own functions look into.
#[derive(Clone, Debug)]
pub enum Opaque<'a> {
    Quantity(Quantity),
    Ip(IpAddr),
    Cidr(Cidr),
    Url(Url),
    Semver(Semver),
    /// A named format, by its name in the table of formats.
    Format(&'static str),
    Authorizer(AuthorizerValue<'a>),
    PathCheck(PathCheck<'a>),
    GroupCheck(GroupCheck<'a>),
    ResourceCheck(ResourceCheck<'a>),
    Decision(Decision),
}

// === impl Opaque ===

impl Opaque<'_> {
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Opaque::Quantity(_) => "kubernetes.Quantity",
            Opaque::Ip(_) => "net.IP",
            Opaque::Cidr(_) => "net.CIDR",
            Opaque::Url(_) => "kubernetes.URL",
            Opaque::Semver(_) => "kubernetes.Semver",
            Opaque::Format(_) => "kubernetes.NamedFormat",
            Opaque::Authorizer(_) => "kubernetes.authorization.Authorizer",
            Opaque::PathCheck(_) => "kubernetes.authorization.PathCheck",
            Opaque::GroupCheck(_) => "kubernetes.authorization.GroupCheck",
            Opaque::ResourceCheck(_) => "kubernetes.authorization.ResourceCheck",
            Opaque::Decision(_) => "kubernetes.authorization.Decision",
        }
    }

    /// The same value without borrows, for what has none.
    pub(crate) fn to_static(&self) -> Option<Opaque<'static>> {
        Some(match self {
            Opaque::Quantity(quantity) => Opaque::Quantity(quantity.clone()),
            Opaque::Ip(address) => Opaque::Ip(*address),
            Opaque::Cidr(cidr) => Opaque::Cidr(*cidr),
            Opaque::Url(url) => Opaque::Url(url.clone()),
            Opaque::Semver(version) => Opaque::Semver(version.clone()),
            Opaque::Format(name) => Opaque::Format(name),
            Opaque::Decision(decision) => Opaque::Decision(decision.clone()),
            Opaque::Authorizer(_) | Opaque::PathCheck(_) | Opaque::GroupCheck(_) | Opaque::ResourceCheck(_) => return None,
        })
    }

    /// Equality within one type; authorizers and checks cannot be compared.
    pub(crate) fn equal(a: &Opaque<'_>, b: &Opaque<'_>) -> Outcome<bool> {
        Ok(match (a, b) {
            (Opaque::Quantity(a), Opaque::Quantity(b)) => a.compare(b).is_eq(),
            (Opaque::Ip(a), Opaque::Ip(b)) => a == b,
            (Opaque::Cidr(a), Opaque::Cidr(b)) => a == b,
            (Opaque::Url(a), Opaque::Url(b)) => a.to_string() == b.to_string(),
            (Opaque::Semver(a), Opaque::Semver(b)) => a.compare(b).is_eq(),
            (Opaque::Format(a), Opaque::Format(b)) => a == b,
            _ => return Err(EvaluationError::no_overload()),
        })
    }
}
