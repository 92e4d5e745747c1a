//! What an event is.

use jinwu_detect::AuditEvent;

/// What an event is, and so whether it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Something was created, changed or deleted, or that was tried.
    Change,
    /// A running container, or what lies behind a proxy, was entered, or that was tried.
    Entry,
    /// The end of an entry whose beginning has an event of its own.
    Left,
    /// Anonymous, or refused by 401 or 403.
    Denial,
    /// Judged by rules, not recorded.
    Read,
    /// Chatter of system components about themselves: counted only.
    Noise,
    /// A stage before the last: its last is to come.
    Partial,
    /// A gate asks for nothing, to see whether it is heard.
    Canary,
}

/// Paths anybody may ask for to see whether the API server lives.
const HEALTH: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

pub(crate) fn text<'e>(value: Option<&'e jinwu_detect::audit::Text<'_>>) -> &'e str {
    value.map_or("", |t| t)
}

/// The user the API server authenticated.
pub fn user<'e>(e: &'e AuditEvent<'_>) -> &'e str {
    e.user.as_ref().map_or("", |u| text(u.username.as_ref()))
}

pub(crate) fn resource<'e>(e: &'e AuditEvent<'_>) -> (&'e str, &'e str) {
    e.object_ref.as_ref().map_or(("", ""), |o| (text(o.resource.as_ref()), text(o.subresource.as_ref())))
}

/// A component of Kubernetes itself: no person, and not what runs in the cluster.
pub fn is_component(user: &str) -> bool {
    user == "system:apiserver" || ["system:kube-", "system:node:", "system:serviceaccount:kube-system:"].iter().any(|p| user.starts_with(p))
}

// === impl Class ===

impl Class {
    pub fn of(e: &AuditEvent<'_>) -> Class {
        let (stage, verb) = (text(e.stage.as_ref()), text(e.verb.as_ref()));
        let (resource, sub) = resource(e);
        let code = e.response_status.as_ref().and_then(|s| s.code).unwrap_or(0);
        if text(e.request_uri.as_ref()).starts_with(crate::CANARY) && user(e) == crate::GATE_USER {
            return Class::Canary;
        }
        if stage == "RequestReceived" {
            return Class::Partial;
        }
        if matches!((resource, sub), ("pods", "exec" | "attach" | "portforward" | "proxy") | ("services" | "nodes", "proxy")) {
            // A session begins with ResponseStarted and ends with ResponseComplete; one that was
            // refused has the latter alone.
            return if stage == "ResponseComplete" && (1..400).contains(&code) { Class::Left } else { Class::Entry };
        }
        if stage == "ResponseStarted" {
            return Class::Partial;
        }
        if is_noise(e, verb, resource, sub, code) {
            return Class::Noise;
        }
        if matches!(verb, "create" | "update" | "patch" | "delete" | "deletecollection" | "post" | "put") {
            return Class::Change;
        }
        let uri = text(e.request_uri.as_ref());
        let anonymous = user(e) == "system:anonymous" && !HEALTH.iter().any(|p| uri.starts_with(p));
        if matches!(code, 401 | 403) || anonymous { Class::Denial } else { Class::Read }
    }
}

/// What components write all the time about themselves, and that went well: leases, events, status of
/// objects, and the API server's questions who somebody is and what they may. Never on behalf of
/// somebody else, and never anything a rule or an auditor would ask for.
fn is_noise(e: &AuditEvent<'_>, verb: &str, resource: &str, sub: &str, code: i64) -> bool {
    let went_well = (200..400).contains(&code) || matches!(code, 404 | 409);
    let chatter = match (resource, sub) {
        ("leases" | "events", "") => true,
        ("tokenreviews" | "subjectaccessreviews" | "selfsubjectaccessreviews" | "selfsubjectreviews", "") => verb == "create",
        (_, "status") => true,
        _ => false,
    };
    chatter && went_well && e.impersonated_user.is_none() && is_component(user(e))
}
