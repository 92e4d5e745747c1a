//! Authorization checks: what the requester, or a service account, may do.

use super::{Context, Overload, named_format};
use crate::error::{EvaluationError, Outcome, fail};
use crate::types::Signature::{self as S, Bool, Opaque, String};
use crate::value::{self, Value};
use std::fmt;

/// Answers whether somebody may do something; the cluster's authorizer, or a copy of its rules.
pub trait Authorizer: Send + Sync {
    /// The decision, or why there is none.
    fn authorize(&self, attributes: &Attributes) -> Result<AuthorizationDecision, std::string::String>;
}

/// What is asked of an [`Authorizer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// `None` for the user that sent the request, else a service account's namespace and name.
    pub service_account: Option<(std::string::String, std::string::String)>,
    pub verb: std::string::String,
    pub target: AuthorizationTarget,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorizationTarget {
    /// A path such as `/healthz`.
    Path(std::string::String),
    Resource(ResourceAttributes),
}

/// A resource, all fields as written; empty means unset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceAttributes {
    pub group: std::string::String,
    pub resource: std::string::String,
    pub subresource: std::string::String,
    pub namespace: std::string::String,
    pub name: std::string::String,
    /// A selector that cannot be read must be treated as none.
    pub field_selector: std::string::String,
    pub label_selector: std::string::String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizationDecision {
    pub allowed: bool,
    pub reason: std::string::String,
}

/// The value of `authorizer`.
#[derive(Clone)]
pub struct AuthorizerValue<'a> {
    authorizer: &'a dyn Authorizer,
    service_account: Option<(std::string::String, std::string::String)>,
}

#[derive(Clone, Debug)]
pub struct PathCheck<'a> {
    authorizer: AuthorizerValue<'a>,
    path: std::string::String,
}

#[derive(Clone, Debug)]
pub struct GroupCheck<'a> {
    authorizer: AuthorizerValue<'a>,
    group: std::string::String,
}

#[derive(Clone, Debug)]
pub struct ResourceCheck<'a> {
    authorizer: AuthorizerValue<'a>,
    attributes: ResourceAttributes,
}

#[derive(Clone, Debug)]
pub struct Decision {
    outcome: Result<AuthorizationDecision, std::string::String>,
}

const AUTHORIZER: S = Opaque("kubernetes.authorization.Authorizer");
const PATH: S = Opaque("kubernetes.authorization.PathCheck");
const GROUP: S = Opaque("kubernetes.authorization.GroupCheck");
const RESOURCE: S = Opaque("kubernetes.authorization.ResourceCheck");
const DECISION: S = Opaque("kubernetes.authorization.Decision");

const fn method(function: &'static str, id: &'static str, parameters: &'static [S], result: S, run: super::Run) -> Overload {
    Overload::method(function, id, parameters, result, run).since(27)
}

pub(super) static TABLE: &[Overload] = &[
    method("path", "authorizer_path", &[AUTHORIZER, String], PATH, path),
    method("group", "authorizer_group", &[AUTHORIZER, String], GROUP, group),
    method("serviceAccount", "authorizer_serviceaccount", &[AUTHORIZER, String, String], AUTHORIZER, service_account),
    method("resource", "groupcheck_resource", &[GROUP, String], RESOURCE, resource),
    method("subresource", "resourcecheck_subresource", &[RESOURCE, String], RESOURCE, |v, _| set(v, |a, s| a.subresource = s)),
    method("namespace", "resourcecheck_namespace", &[RESOURCE, String], RESOURCE, |v, _| set(v, |a, s| a.namespace = s)),
    method("name", "resourcecheck_name", &[RESOURCE, String], RESOURCE, |v, _| set(v, |a, s| a.name = s)),
    method("fieldSelector", "authorizer_fieldselector", &[RESOURCE, String], RESOURCE, |v, _| set(v, |a, s| a.field_selector = s)).since(31),
    method("labelSelector", "authorizer_labelselector", &[RESOURCE, String], RESOURCE, |v, _| set(v, |a, s| a.label_selector = s)).since(31),
    method("check", "pathcheck_check", &[PATH, String], DECISION, check),
    method("check", "resourcecheck_check", &[RESOURCE, String], DECISION, check),
    method("errored", "decision_errored", &[DECISION], Bool, |v, _| Ok(Value::Bool(decision(v)?.is_err()))),
    method("error", "decision_error", &[DECISION], String, |v, _| {
        Ok(Value::string(decision(v)?.as_ref().err().map(std::string::String::as_str).unwrap_or_default()))
    }),
    method("allowed", "decision_allowed", &[DECISION], Bool, |v, _| Ok(Value::Bool(decision(v)?.as_ref().is_ok_and(|d| d.allowed)))),
    method("reason", "decision_reason", &[DECISION], String, |v, _| {
        Ok(Value::string(decision(v)?.as_ref().map(|d| d.reason.as_str()).unwrap_or_default()))
    }),
];

/// `authorizer`, for the user that sent the request.
pub fn authorizer_value(authorizer: &dyn Authorizer) -> Value<'_> {
    Value::opaque(value::Opaque::Authorizer(AuthorizerValue { authorizer, service_account: None }))
}

/// `authorizer.requestResource`: a check of what the request is about.
pub fn request_resource_value(authorizer: &dyn Authorizer, attributes: ResourceAttributes) -> Value<'_> {
    let authorizer = AuthorizerValue { authorizer, service_account: None };
    Value::opaque(value::Opaque::ResourceCheck(ResourceCheck { authorizer, attributes }))
}

// === impl AuthorizerValue ===

impl fmt::Debug for AuthorizerValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizerValue").field("service_account", &self.service_account).finish_non_exhaustive()
    }
}

fn first<'v, 'a>(arguments: &'v [Value<'a>]) -> Outcome<&'v value::Opaque<'a>> {
    match arguments.first() {
        Some(Value::Opaque(opaque)) => Ok(opaque),
        _ => Err(EvaluationError::no_overload()),
    }
}

fn text<'v>(arguments: &'v [Value<'_>], which: usize) -> Outcome<&'v str> {
    arguments.get(which).and_then(Value::as_str).ok_or_else(EvaluationError::no_overload)
}

fn the_authorizer<'v, 'a>(arguments: &'v [Value<'a>]) -> Outcome<&'v AuthorizerValue<'a>> {
    match first(arguments)? {
        value::Opaque::Authorizer(authorizer) => Ok(authorizer),
        _ => Err(EvaluationError::no_overload()),
    }
}

fn path<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let (authorizer, path) = (the_authorizer(arguments)?.clone(), text(arguments, 1)?);
    if path.trim().is_empty() {
        return fail("path must not be empty");
    }
    Ok(Value::opaque(value::Opaque::PathCheck(PathCheck { authorizer, path: path.to_owned() })))
}

fn group<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let (authorizer, group) = (the_authorizer(arguments)?.clone(), text(arguments, 1)?.to_owned());
    Ok(Value::opaque(value::Opaque::GroupCheck(GroupCheck { authorizer, group })))
}

fn service_account<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let authorizer = the_authorizer(arguments)?.authorizer;
    let (namespace, name) = (text(arguments, 1)?, text(arguments, 2)?);
    if !named_format::is_valid("dns1123Subdomain", name) {
        return fail("Invalid service account name");
    }
    if !named_format::is_valid("dns1123Label", namespace) {
        return fail("Invalid service account namespace");
    }
    let service_account = Some((namespace.to_owned(), name.to_owned()));
    Ok(Value::opaque(value::Opaque::Authorizer(AuthorizerValue { authorizer, service_account })))
}

fn resource<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let value::Opaque::GroupCheck(check) = first(arguments)? else { return Err(EvaluationError::no_overload()) };
    let resource = text(arguments, 1)?;
    if resource.trim().is_empty() {
        return fail("resource must not be empty");
    }
    let attributes = ResourceAttributes { group: check.group.clone(), resource: resource.to_owned(), ..ResourceAttributes::default() };
    Ok(Value::opaque(value::Opaque::ResourceCheck(ResourceCheck { authorizer: check.authorizer.clone(), attributes })))
}

fn set<'a>(arguments: &[Value<'a>], change: fn(&mut ResourceAttributes, std::string::String)) -> Outcome<Value<'a>> {
    let value::Opaque::ResourceCheck(check) = first(arguments)? else { return Err(EvaluationError::no_overload()) };
    let mut check = check.clone();
    change(&mut check.attributes, text(arguments, 1)?.to_owned());
    Ok(Value::opaque(value::Opaque::ResourceCheck(check)))
}

fn check<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let verb = text(arguments, 1)?.to_owned();
    let (authorizer, target) = match first(arguments)? {
        value::Opaque::PathCheck(check) => (&check.authorizer, AuthorizationTarget::Path(check.path.clone())),
        value::Opaque::ResourceCheck(check) => (&check.authorizer, AuthorizationTarget::Resource(check.attributes.clone())),
        _ => return Err(EvaluationError::no_overload()),
    };
    let attributes = Attributes { service_account: authorizer.service_account.clone(), verb, target };
    let outcome = authorizer.authorizer.authorize(&attributes);
    Ok(Value::opaque(value::Opaque::Decision(Decision { outcome })))
}

fn decision<'v>(arguments: &'v [Value<'_>]) -> Outcome<&'v Result<AuthorizationDecision, std::string::String>> {
    match first(arguments)? {
        value::Opaque::Decision(decision) => Ok(&decision.outcome),
        _ => Err(EvaluationError::no_overload()),
    }
}
