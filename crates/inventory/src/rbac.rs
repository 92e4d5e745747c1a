//! Effective permissions, decided as the API server's RBAC authoriser decides them.
//!
//! Source: Kubernetes RBAC reference and the authoriser's own rules: an attribute matches a rule literally
//! or by `*`; a subresource only by `resource/sub`, `*/sub` or `*`; a rule with resourceNames only a
//! request that names one of them; a non-resource URL by its beginning where the rule ends in `*`. Grants
//! only add up. The group `system:masters` may do everything whatever the roles say. What other
//! authorisers (Node, webhooks) permit beside is not seen here.

mod edge;
mod grants;
mod path;

pub(crate) use grants::binding_name;
pub use grants::{Grant, Grants, Why};
pub use path::{Paths, Step, Vertex};

use crate::object::Rule;
use serde::Serialize;
use std::fmt;

/// Whom a binding names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Subject {
    User(String),
    Group(String),
    ServiceAccount { namespace: String, name: String },
}

/// Who asks: a user name and its groups, as authentication gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub user: String,
    pub groups: Vec<String>,
}

/// What is asked. Empty `namespace`: cluster-wide; empty `name`: none named (list, create).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'r> {
    Resource { verb: &'r str, group: &'r str, resource: &'r str, subresource: &'r str, namespace: &'r str, name: &'r str },
    Url { verb: &'r str, path: &'r str },
}

// === impl Subject ===

impl Subject {
    /// As which identity the subject acts. A group is somebody of whom nothing else is known.
    pub fn identity(&self) -> Identity {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        match self {
            Subject::User(name) if name == "system:anonymous" => Identity { user: name.clone(), groups: own(&["system:unauthenticated"]) },
            Subject::User(name) => match name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
                Some((namespace, sa)) => Subject::ServiceAccount { namespace: namespace.into(), name: sa.into() }.identity(),
                None => Identity { user: name.clone(), groups: own(&["system:authenticated"]) },
            },
            Subject::Group(name) if name == "system:unauthenticated" || name == "system:authenticated" => Identity { user: String::new(), groups: own(&[name]) },
            Subject::Group(name) => Identity { user: String::new(), groups: own(&[name, "system:authenticated"]) },
            Subject::ServiceAccount { namespace, name } => Identity {
                user: format!("system:serviceaccount:{namespace}:{name}"),
                groups: own(&["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}"), "system:authenticated"]),
            },
        }
    }

    /// `user:NAME`, `group:NAME`, `sa:NAMESPACE/NAME`, or a bare user name.
    ///
    /// # Errors
    /// `sa:` without a namespace, or an empty name.
    pub fn parse(text: &str) -> Result<Subject, String> {
        let bad = || format!("{text:?}: 应为 user:名称、group:名称 或 sa:命名空间/名称 / expected user:NAME, group:NAME or sa:NAMESPACE/NAME");
        let name = |s: &str| if s.is_empty() { Err(bad()) } else { Ok(s.to_owned()) };
        if let Some(rest) = text.strip_prefix("sa:").or_else(|| text.strip_prefix("serviceaccount:")) {
            let (namespace, sa) = rest.split_once('/').ok_or_else(bad)?;
            return Ok(Subject::ServiceAccount { namespace: name(namespace)?, name: name(sa)? });
        }
        if let Some(rest) = text.strip_prefix("system:serviceaccount:") {
            let (namespace, sa) = rest.split_once(':').ok_or_else(bad)?;
            return Ok(Subject::ServiceAccount { namespace: name(namespace)?, name: name(sa)? });
        }
        match text.strip_prefix("group:") {
            Some(rest) => name(rest).map(Subject::Group),
            None => name(text.strip_prefix("user:").unwrap_or(text)).map(Subject::User),
        }
    }

    /// Belongs to Kubernetes itself: a system: name, or an account of kube-system.
    pub fn of_platform(&self) -> bool {
        match self {
            Subject::User(name) => name.starts_with("system:") && name != "system:anonymous",
            Subject::Group(name) => name.starts_with("system:") && !self.everybody(),
            Subject::ServiceAccount { namespace, .. } => namespace == "kube-system",
        }
    }

    /// Everybody, or every account there is.
    pub fn everybody(&self) -> bool {
        match self {
            Subject::Group(name) => matches!(name.as_str(), "system:authenticated" | "system:unauthenticated" | "system:serviceaccounts"),
            Subject::User(name) => name == "system:anonymous",
            Subject::ServiceAccount { .. } => false,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::User(name) => write!(f, "user:{name}"),
            Subject::Group(name) => write!(f, "group:{name}"),
            Subject::ServiceAccount { namespace, name } => write!(f, "sa:{namespace}/{name}"),
        }
    }
}

// === impl Rule ===

fn has(list: &[Box<str>], word: &str) -> bool {
    list.iter().any(|item| &**item == "*" || &**item == word)
}

impl Rule {
    /// Whether it permits a request, wherever it is granted.
    pub fn permits(&self, request: &Request<'_>) -> bool {
        match *request {
            Request::Url { verb, path } => {
                has(&self.verbs, verb)
                    && self.non_resource_urls.iter().any(|url| {
                        &**url == "*" || &**url == path || (url.ends_with('*') && path.starts_with(url.trim_end_matches('*')))
                    })
            }
            Request::Resource { verb, group, resource, subresource, name, .. } => {
                has(&self.verbs, verb)
                    && has(&self.api_groups, group)
                    && self.resources.iter().any(|r| resource_matches(r, resource, subresource))
                    && (self.resource_names.is_empty() || self.resource_names.iter().any(|n| &**n == name))
            }
        }
    }

    /// Everything on every resource.
    pub fn is_all(&self) -> bool {
        let star = |list: &[Box<str>]| list.iter().any(|w| &**w == "*");
        star(&self.verbs) && star(&self.api_groups) && star(&self.resources) && self.resource_names.is_empty()
    }
}

fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    if subresource.is_empty() {
        return rule == resource;
    }
    match rule.split_once('/') {
        Some((r, sub)) => sub == subresource && (r == resource || r == "*"),
        None => false,
    }
}
