//! Audit events of a Kubernetes API server (audit.k8s.io/v1).
//!
//! [`AuditEvent`] borrows from the bytes it was read from. Request and response objects stay
//! unparsed until a rule asks for them: most events are decided by verb, user and target.

mod fields;
mod mask;
mod objects;
mod uri;

use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::net::IpAddr;

/// Largest event, bytes. API objects are bounded by etcd's 1.5 MiB; an event holds up to two, and
/// API servers truncate.
pub const MAX_EVENT: usize = 1 << 20;
/// Largest batch, bytes: more than an API server posts with its batches truncated (10 MB).
pub const MAX_BATCH: usize = 16 << 20;
/// Most events of one batch.
pub const MAX_EVENTS: usize = 20_000;
/// The one version of the API that was ever stable.
const VERSION: &str = "audit.k8s.io/v1";

/// Why bytes are not an audit event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    #[error("{0} bytes are more than {1}: lower --audit-webhook-truncate-max-event-size or the batch size of the API server")]
    TooLarge(usize, usize),
    #[error("not an audit event: {0}")]
    Json(String),
    #[error("{0} events in one batch are more than {MAX_EVENTS}: lower --audit-webhook-batch-max-size")]
    TooMany(usize),
    #[error("{0:?} is not audit.k8s.io/v1: point the API server's audit webhook or log here")]
    Version(String),
    #[error("the event has no auditID")]
    NoId,
}

impl AuditError {
    fn version(found: Option<&str>) -> Self {
        AuditError::Version(found.unwrap_or_default().chars().take(64).collect())
    }
}

/// A text of the event, borrowed unless it has escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

/// A user as the API server authenticated it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct User<'a> {
    #[serde(default)]
    pub username: Option<Text<'a>>,
    #[serde(default)]
    pub uid: Option<Text<'a>>,
    #[serde(default)]
    pub groups: Option<Vec<Text<'a>>>,
    #[serde(default, borrow)]
    extra: Option<&'a RawValue>,
}

/// What the request is about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct ObjectReference<'a> {
    #[serde(default)]
    pub resource: Option<Text<'a>>,
    #[serde(default)]
    pub namespace: Option<Text<'a>>,
    #[serde(default)]
    pub name: Option<Text<'a>>,
    #[serde(default)]
    pub uid: Option<Text<'a>>,
    #[serde(default)]
    pub api_group: Option<Text<'a>>,
    #[serde(default)]
    pub api_version: Option<Text<'a>>,
    #[serde(default)]
    pub subresource: Option<Text<'a>>,
}

/// How the request ended.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct ResponseStatus<'a> {
    /// HTTP status.
    #[serde(default)]
    pub code: Option<i64>,
    #[serde(default)]
    pub reason: Option<Text<'a>>,
    #[serde(default)]
    pub message: Option<Text<'a>>,
}

/// An audit event.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct AuditEvent<'a> {
    #[serde(skip)]
    raw: &'a str,
    #[serde(default)]
    api_version: Option<Text<'a>>,
    #[serde(default)]
    pub level: Option<Text<'a>>,
    #[serde(default, rename = "auditID")]
    audit_id: Option<Text<'a>>,
    #[serde(default)]
    pub stage: Option<Text<'a>>,
    #[serde(default, rename = "requestURI")]
    pub request_uri: Option<Text<'a>>,
    #[serde(default)]
    pub verb: Option<Text<'a>>,
    #[serde(default)]
    pub user: Option<User<'a>>,
    #[serde(default)]
    pub impersonated_user: Option<User<'a>>,
    #[serde(default, rename = "sourceIPs")]
    pub source_addresses: Option<Vec<Text<'a>>>,
    #[serde(default)]
    pub user_agent: Option<Text<'a>>,
    #[serde(default)]
    pub object_ref: Option<ObjectReference<'a>>,
    #[serde(default)]
    pub response_status: Option<ResponseStatus<'a>>,
    #[serde(default, borrow)]
    request_object: Option<&'a RawValue>,
    #[serde(default, borrow)]
    response_object: Option<&'a RawValue>,
    #[serde(default)]
    pub request_received_timestamp: Option<Text<'a>>,
    #[serde(default)]
    pub stage_timestamp: Option<Text<'a>>,
    #[serde(default, deserialize_with = "pairs")]
    annotations: Vec<(Text<'a>, Text<'a>)>,
    #[serde(skip)]
    request: OnceCell<Option<Value>>,
    #[serde(skip)]
    response: OnceCell<Option<Value>>,
    #[serde(skip)]
    whole: OnceCell<Option<Value>>,
}

/// Either a list of events or one event.
#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(default, borrow, rename = "apiVersion")]
    api_version: Option<Text<'a>>,
    #[serde(default, borrow)]
    items: Option<Vec<&'a RawValue>>,
}

/// Reads what an API server posts: an `EventList`, or one event. An event that cannot be read does
/// not hide the others.
///
/// # Errors
/// The batch as a whole is too large, no JSON, or of another version.
pub fn batch(bytes: &[u8]) -> Result<Vec<Result<AuditEvent<'_>, AuditError>>, AuditError> {
    if bytes.len() > MAX_BATCH {
        return Err(AuditError::TooLarge(bytes.len(), MAX_BATCH));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| AuditError::Json(e.to_string()))?;
    let list: Batch<'_> = serde_json::from_str(text).map_err(|e| AuditError::Json(e.to_string()))?;
    match list.items {
        Some(_) if list.api_version.as_deref().is_some_and(|v| v != VERSION) => Err(AuditError::version(list.api_version.as_deref())),
        Some(items) if items.len() > MAX_EVENTS => Err(AuditError::TooMany(items.len())),
        Some(items) => Ok(items.into_iter().map(|i| AuditEvent::from_text(i.get(), true)).collect()),
        None => Ok(vec![AuditEvent::from_text(text, false)]),
    }
}

// === impl User ===

impl User<'_> {
    /// What the authenticator adds, such as the id of the credential.
    pub fn extra(&self) -> Option<std::collections::BTreeMap<String, Vec<String>>> {
        self.extra.and_then(|raw| serde_json::from_str(raw.get()).ok())
    }
}

// === impl AuditEvent ===

impl<'a> AuditEvent<'a> {
    /// Reads one event, as a line of the audit log holds it.
    ///
    /// # Errors
    /// Too large, no JSON, another kind of document.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, AuditError> {
        if bytes.len() > MAX_EVENT {
            return Err(AuditError::TooLarge(bytes.len(), MAX_EVENT));
        }
        Self::from_text(std::str::from_utf8(bytes).map_err(|e| AuditError::Json(e.to_string()))?, false)
    }

    /// Items of a list need not repeat the version.
    fn from_text(text: &'a str, listed: bool) -> Result<Self, AuditError> {
        if text.len() > MAX_EVENT {
            return Err(AuditError::TooLarge(text.len(), MAX_EVENT));
        }
        let mut event: AuditEvent<'a> = serde_json::from_str(text).map_err(|e| AuditError::Json(e.to_string()))?;
        event.raw = text;
        match event.api_version.as_deref() {
            Some(VERSION) => {}
            None if listed => {}
            other => return Err(AuditError::version(other)),
        }
        if event.audit_id.as_deref().is_none_or(str::is_empty) {
            return Err(AuditError::NoId);
        }
        Ok(event)
    }

    /// The request's id; the same in all stages. Deduplicate by id and stage.
    pub fn audit_id(&self) -> &str {
        self.audit_id.as_deref().unwrap_or_default()
    }

    /// The last source address: the peer of the connection. All before it come from headers that a
    /// client can set to anything.
    pub fn source_address(&self) -> Option<IpAddr> {
        self.source_addresses.as_ref()?.last()?.0.parse().ok()
    }

    /// An annotation of the event.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.iter().find(|(k, _)| *k.0 == *key).map(|(_, v)| &*v.0)
    }

    /// All annotations of the event.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.annotations.iter().map(|(k, v)| (&*k.0, &*v.0))
    }

    /// Nanoseconds since 1970 of this stage, or else of the request's arrival.
    pub fn timestamp(&self) -> Option<i64> {
        let text = self.stage_timestamp.as_deref().or(self.request_received_timestamp.as_deref())?;
        let time: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(time.as_nanosecond()).ok()
    }

    /// The request object, **unmasked**: for conditions, not for storage. Nested more than 128 deep
    /// it counts as absent.
    pub fn request_object(&self) -> Option<&Value> {
        self.request.get_or_init(|| object(self.request_object)).as_ref()
    }

    /// The response object, **unmasked**.
    pub fn response_object(&self) -> Option<&Value> {
        self.response.get_or_init(|| object(self.response_object)).as_ref()
    }

    /// The whole event, **unmasked**.
    fn whole(&self) -> Option<&Value> {
        self.whole.get_or_init(|| serde_json::from_str(self.raw).ok()).as_ref()
    }
}

fn object(raw: Option<&RawValue>) -> Option<Value> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).filter(|v: &Value| !v.is_null())
}

// === impl Text ===

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E: de::Error>(self, v: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(v)))
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(v.to_owned())))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// A mapping of texts as pairs; null is none.
fn pairs<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(Text<'a>, Text<'a>)>, D::Error> {
    struct Visitor;
    impl<'de> de::Visitor<'de> for Visitor {
        type Value = Vec<(Text<'de>, Text<'de>)>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a mapping of texts")
        }
        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }
        fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(entry) = map.next_entry()? {
                all.push(entry);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_any(Visitor)
}
