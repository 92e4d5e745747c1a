//! The record of an event. Bodies of requests never get into it: names, numbers and reasons do.

use crate::class::{Class, resource, text, user};
use crate::native;
use jinwu_admission::answer::subject;
use jinwu_detect::AuditEvent;
use jinwu_model::{DecisionId, Kind, Outcome, Record};

/// Longest text of a user's making in a record, characters.
const LONGEST: usize = 300;
/// Names of our webhooks, which stand before their audit annotations.
const WEBHOOKS: [&str; 3] = ["admit.jinwu.io", "platform.admit.jinwu.io", "cluster.admit.jinwu.io"];

/// The name of an event: audit id, stage and the time of the stage. A client may choose the audit id
/// (header `Audit-ID`) and choose one that was used before; the API server's time makes the name its own
/// again, and is the same however the event travels.
pub fn id(e: &AuditEvent<'_>) -> String {
    let plain = |text: &str, most: usize| -> String {
        text.chars().take(most).map(|c| if c.is_ascii_alphanumeric() || "-_.:".contains(c) { c } else { '_' }).collect()
    };
    let time = e.stage_timestamp.as_ref().or(e.request_received_timestamp.as_ref());
    format!("{}/{}/{}", plain(e.audit_id(), 48), plain(text(e.stage.as_ref()), 20), plain(text(time), 32))
}

/// Unix milliseconds of the event; `now` where it names none.
pub fn time(e: &AuditEvent<'_>, now: i64) -> i64 {
    e.timestamp().map_or(now, |t| t / 1_000_000)
}

/// What our webhook said about the request: a member of its audit annotations.
pub fn annotation<'e>(e: &'e AuditEvent<'_>, name: &str) -> Option<&'e str> {
    WEBHOOKS.iter().find_map(|w| e.annotation(&format!("{w}/{name}")))
}

/// The credential by which the user came, as blocks name it: the id of a bound token, or
/// `X509SHA256=…`.
pub fn credential(e: &AuditEvent<'_>) -> Option<String> {
    let all = e.user.as_ref()?.extra()?;
    let first = all.get("authentication.kubernetes.io/credential-id")?.first()?;
    Some(first.strip_prefix("JTI=").unwrap_or(first).to_owned())
}

/// `pod:demo/web`, `clusterrole:admin`, `pod:demo/web/exec`, `path:/metrics`.
pub fn object(e: &AuditEvent<'_>) -> String {
    let Some(o) = &e.object_ref else { return clip(&format!("path:{}", text(e.request_uri.as_ref()).split('?').next().unwrap_or_default())) };
    let (resource, sub) = resource(e);
    let mut out = format!("{}:", singular(resource));
    let namespace = text(o.namespace.as_ref());
    if !namespace.is_empty() && resource != "namespaces" {
        out.push_str(namespace);
        out.push('/');
    }
    out.push_str(match text(o.name.as_ref()) {
        "" => "?",
        name => name,
    });
    if !sub.is_empty() {
        out.push('/');
        out.push_str(sub);
    }
    clip(&out)
}

/// A resource's kind in small letters, as admission names it.
fn singular(resource: &str) -> String {
    match resource {
        "endpoints" => return resource.to_owned(),
        _ if resource.ends_with("sses") => resource.strip_suffix("es"),
        _ if resource.ends_with("ies") => return format!("{}y", resource.strip_suffix("ies").unwrap_or_default()),
        _ => resource.strip_suffix('s'),
    }
    .unwrap_or(resource)
    .to_owned()
}

pub(crate) fn clip(value: &str) -> String {
    value.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

/// The record of an event of a class that is recorded; `None` for the others.
pub fn record(e: &AuditEvent<'_>, class: Class, now: i64) -> Option<Record> {
    let (_, sub) = resource(e);
    let code = e.response_status.as_ref().and_then(|s| s.code).unwrap_or(0);
    let refused = matches!(code, 401 | 403);
    let verb = text(e.verb.as_ref());
    let (kind, action) = match class {
        Class::Change => (Kind::Cluster, verb.to_owned()),
        Class::Entry => (Kind::Entry, sub.to_owned()),
        Class::Left => (Kind::Entry, format!("{sub}-ended")),
        Class::Denial => (if refused { Kind::Denial } else { Kind::Cluster }, verb.to_owned()),
        _ => return None,
    };
    let mut record = base(e, kind, &action, now);
    if let Some(grant) = annotation(e, "grant") {
        record = record.with("grant", clip(grant));
    }
    Some(record)
}

/// Who, what, from where, with which result: what every record of an event has.
pub(crate) fn base(e: &AuditEvent<'_>, kind: Kind, action: &str, now: i64) -> Record {
    let status = e.response_status.as_ref();
    let code = status.and_then(|s| s.code).unwrap_or(0);
    let outcome = match code {
        401 | 403 => Outcome::Denied,
        1..=399 => Outcome::Success,
        _ => Outcome::Failure,
    };
    let mut record = Record::new(time(e, now), kind, subject(user(e)), clip(action), object(e))
        .from(e.source_address())
        .outcome(outcome)
        .decision(annotation(e, "decision").map(|d| DecisionId(clip(d))).or_else(|| native::decision(e)))
        .with("verb", clip(text(e.verb.as_ref())))
        .with("code", code)
        .with("audit_id", clip(e.audit_id()))
        .with("stage", clip(text(e.stage.as_ref())));
    let mut with = |name: &str, value: &str| {
        if !value.is_empty() {
            record.detail.insert(name.to_owned(), clip(value).into());
        }
    };
    with("agent", text(e.user_agent.as_ref()));
    with("impersonated", e.impersonated_user.as_ref().map_or("", |u| text(u.username.as_ref())));
    with("group", e.object_ref.as_ref().map_or("", |o| text(o.api_group.as_ref())));
    with("credential", &credential(e).unwrap_or_default());
    if outcome != Outcome::Success {
        with("reason", status.map_or("", |s| text(s.message.as_ref())));
    }
    record
}
