//! The parameters of a binding.

use super::document::{NotFound, ParamKind, ParamRef};
use super::input::{AdmissionInput, ParamQuery};
use serde_json::Value as Json;

/// Most parameter objects one binding is evaluated with.
const MAX_PARAMS: usize = 100;

/// Parameters to evaluate with, one after another; `null` where a policy or binding has none. An
/// error is one of configuration.
pub(super) fn collect<'a>(kind: Option<&ParamKind>, reference: Option<&ParamRef>, input: &AdmissionInput<'a>) -> Result<Vec<&'a Json>, String> {
    let (Some(kind), Some(reference)) = (kind, reference) else { return Ok(vec![&Json::Null]) };
    let namespaced = (input.params_namespaced)(&kind.api_version, &kind.kind)
        .ok_or_else(|| format!("paramKind {} of {} is not known", kind.kind, kind.api_version))?;
    let namespace = match (namespaced, reference.namespace.as_str(), input.namespace) {
        (false, "", _) => "",
        (false, _, _) => return Err("paramRef.namespace must not be given for a kind without namespace".into()),
        (true, "", "") => return Err("a paramRef without namespace cannot serve a request without namespace".into()),
        (true, "", own) => own,
        (true, given, _) => given,
    };
    let query = ParamQuery {
        api_version: &kind.api_version,
        kind: &kind.kind,
        namespace,
        name: &reference.name,
        selector: reference.selector.as_ref(),
    };
    let found = (input.params)(&query)?;
    if found.len() > MAX_PARAMS {
        return Err(format!("{} parameter objects are more than {MAX_PARAMS}", found.len()));
    }
    if found.is_empty() && reference.parameter_not_found_action == Some(NotFound::Deny) {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".into());
    }
    Ok(found)
}
