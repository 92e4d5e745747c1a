//! Walking API objects: paths, lists, pods inside of workloads, certificate requests.

use base64::Engine as _;
use serde_json::Value;
use std::borrow::Cow;

/// Most values one field gives.
const MAX_VALUES: usize = 4096;
/// Longest text made of a workload's commands, bytes.
const MAX_COMMAND: usize = 64 << 10;
/// Largest certificate request looked into, bytes.
const MAX_CSR: usize = 64 << 10;

/// A value as text: texts as they are, everything else as JSON; null is absent.
pub(super) fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(s) => Some(Cow::Borrowed(s)),
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        other => Some(Cow::Owned(other.to_string())),
    }
}

/// The value under these members.
pub(super) fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |v, key| v.get(*key))
}

/// The value under a JSON pointer's tokens.
pub(super) fn pointer<'v>(value: &'v Value, tokens: &[Box<str>]) -> Option<&'v Value> {
    tokens.iter().try_fold(value, |v, token| match v {
        Value::Object(map) => map.get(&**token),
        Value::Array(items) => token.parse::<usize>().ok().and_then(|i| items.get(i)),
        _ => None,
    })
}

/// The elements of a list, or the one at `index`; none when it is no list.
pub(super) fn elements(value: Option<&Value>, index: Option<u32>) -> &[Value] {
    let all = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    match index {
        None => all.get(..all.len().min(MAX_VALUES)).unwrap_or_default(),
        Some(index) => all.get(index as usize..).and_then(|rest| rest.get(..1)).unwrap_or_default(),
    }
}

/// The texts under `path` of each element; lists found there are joined in.
pub(super) fn collect<'v>(elements: &'v [Value], path: &[&str]) -> Vec<Cow<'v, str>> {
    let mut all = Vec::new();
    for value in elements.iter().filter_map(|e| at(e, path)) {
        match value {
            Value::Array(items) => all.extend(items.iter().filter_map(text)),
            other => all.extend(text(other)),
        }
        if all.len() >= MAX_VALUES {
            break;
        }
    }
    all
}

/// The repository of an image reference: without tag and digest. A registry's port is no tag.
pub(super) fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or_default();
    let last = name.rfind('/').map_or(0, |i| i + 1);
    match name.get(last..).and_then(|n| n.find(':')) {
        Some(colon) => name.get(..last + colon).unwrap_or(name),
        None => name,
    }
}

/// The pod specification of a pod or of a workload's template.
pub(super) fn pod_spec(object: &Value) -> Option<&Value> {
    let spec = object.get("spec")?;
    at(spec, &["jobTemplate", "spec", "template", "spec"]).or_else(|| at(spec, &["template", "spec"])).or(Some(spec))
}

/// All containers of a pod specification.
pub(super) fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["containers", "initContainers", "ephemeralContainers"].into_iter().flat_map(|list| elements(spec.get(list), None))
}

/// Commands and arguments of all containers, one line each.
pub(super) fn commands(spec: &Value) -> String {
    let mut out = String::new();
    for container in containers(spec) {
        for part in ["command", "args"] {
            for word in elements(container.get(part), None).iter().filter_map(Value::as_str) {
                if out.len() + word.len() > MAX_COMMAND {
                    return out;
                }
                out.push_str(word);
                out.push(' ');
            }
        }
        out.push('\n');
    }
    out
}

/// A label or annotation that `object` sets: in an object or merge patch under `metadata`, in a
/// JSON patch by an operation on it.
pub(super) fn metadata<'v>(object: &'v Value, map: &str, key: &str) -> Option<Cow<'v, str>> {
    let Value::Array(operations) = object else { return at(object, &["metadata", map, key]).and_then(text) };
    let whole = format!("/metadata/{map}");
    let one = format!("{whole}/{}", key.replace('~', "~0").replace('/', "~1"));
    operations.iter().take(MAX_VALUES).find_map(|operation| {
        if operation.get("op").and_then(Value::as_str) == Some("remove") {
            return None;
        }
        let (path, value) = (operation.get("path")?.as_str()?, operation.get("value")?);
        if path == one {
            text(value)
        } else if path == whole {
            value.get(key).and_then(text)
        } else {
            None
        }
    })
}

/// DER encodings of the object identifiers 2.5.4.10 (organisation) and 2.5.4.3 (common name).
pub(super) const ORGANIZATION: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x0a];
pub(super) const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];

/// Attribute values of a certificate request (base64 of PEM, as `spec.request` has it): the texts
/// that follow the attribute's identifier. A search, not a parser: nothing hides from it by form.
pub(super) fn csr_attributes(object: &Value, attribute: [u8; 5]) -> Vec<Cow<'_, str>> {
    let engine = &base64::engine::general_purpose::STANDARD;
    let request = at(object, &["spec", "request"]).and_then(Value::as_str).filter(|r| r.len() <= MAX_CSR);
    let Some(pem) = request.and_then(|r| engine.decode(r).ok()) else { return Vec::new() };
    let pem = String::from_utf8_lossy(&pem);
    let body: String = pem.lines().filter(|l| !l.starts_with("-----")).flat_map(|l| l.trim().chars()).collect();
    let Ok(der) = engine.decode(body) else { return Vec::new() };
    let mut found = Vec::new();
    for place in memchr::memmem::find_iter(&der, &attribute).take(64) {
        let value = der.get(place + attribute.len()..).unwrap_or_default();
        // UTF8String, PrintableString, TeletexString, IA5String; names are shorter than 128 bytes.
        if let [0x0c | 0x13 | 0x14 | 0x16, length @ 0..=0x7f, rest @ ..] = value {
            found.extend(rest.get(..usize::from(*length)).map(|t| Cow::Owned(String::from_utf8_lossy(t).into_owned())));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories() {
        assert_eq!(repository("nginx"), "nginx");
        assert_eq!(repository("registry:5000/a/b:1.2"), "registry:5000/a/b", "a port is no tag");
        assert_eq!(repository("a/b@sha256:00"), "a/b");
        assert_eq!(repository("a/b:1@sha256:00"), "a/b");
    }

    #[test]
    fn metadata_of_patches() {
        let patch = serde_json::json!([{"op": "add", "path": "/metadata/labels/a~1b", "value": "x"}, {"op": "remove", "path": "/metadata/labels/c", "value": "y"}]);
        assert_eq!(metadata(&patch, "labels", "a/b").as_deref(), Some("x"));
        assert_eq!(metadata(&patch, "labels", "c"), None);
        let whole = serde_json::json!([{"op": "replace", "path": "/metadata/labels", "value": {"a": "1"}}]);
        assert_eq!(metadata(&whole, "labels", "a").as_deref(), Some("1"));
    }
}
