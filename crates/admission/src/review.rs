//! AdmissionReview of `admission.k8s.io/v1`.
//!
//! Read strictly: another version, a missing request or an operation nobody knows is an error, never a
//! request to be let pass. Objects stay text until a check wants them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The one version spoken.
pub const API_VERSION: &str = "admission.k8s.io/v1";
pub const KIND: &str = "AdmissionReview";

/// Largest review read, bytes. The API server's objects end at 3 MiB, and a review may hold two.
pub const MAX_REVIEW: usize = 8 << 20;

/// A request for admission. Text is borrowed from the body where it has no escapes.
pub struct Review<'a> {
    pub request: Request<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a> {
    pub uid: String,
    pub kind: GroupVersionKind,
    pub resource: GroupVersionResource,
    #[serde(default)]
    pub sub_resource: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub namespace: Option<String>,
    pub operation: Operation,
    pub user_info: UserInfo,
    /// Absent on DELETE; the options of a CONNECT.
    #[serde(default, borrow)]
    pub object: Option<&'a RawValue>,
    /// Of UPDATE and DELETE.
    #[serde(default, borrow)]
    pub old_object: Option<&'a RawValue>,
    #[serde(default)]
    pub dry_run: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GroupVersionKind {
    pub group: String,
    pub version: String,
    pub kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GroupVersionResource {
    pub group: String,
    pub version: String,
    pub resource: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// Who asks, as the API server authenticated them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct UserInfo {
    #[serde(default)]
    pub username: String,
    #[serde(default)]
    pub uid: String,
    #[serde(default)]
    pub groups: Vec<String>,
    #[serde(default)]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Why a body is no review that can be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    #[error("the review is {0} bytes long; at most {MAX_REVIEW} are read")]
    TooLarge(usize),
    #[error("not an AdmissionReview: {0}")]
    Unreadable(String),
    #[error("{0:?} is not {API_VERSION} {KIND}: register the webhook with admissionReviewVersions [v1]")]
    Version(String),
    #[error("the review has no request")]
    NoRequest,
    #[error("the request has no uid")]
    NoUid,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default, borrow)]
    request: Option<Request<'a>>,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    pub uid: String,
    pub allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Names get the webhook's name before them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub audit_annotations: BTreeMap<String, String>,
    /// RFC 6902 in base64; only from a mutating webhook, and only with `patch_type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_type: Option<&'static str>,
}

/// Ignored by the API server when the request is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
}

// === impl Review ===

impl<'a> Review<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// Says what is wrong; the API server then applies the webhook's failure policy.
    pub fn parse(body: &'a [u8]) -> Result<Self, ReviewError> {
        if body.len() > MAX_REVIEW {
            return Err(ReviewError::TooLarge(body.len()));
        }
        let envelope: Envelope<'a> = serde_json::from_slice(body).map_err(|e| ReviewError::Unreadable(e.to_string()))?;
        if envelope.api_version != API_VERSION || envelope.kind != KIND {
            let said = format!("{} {}", envelope.api_version, envelope.kind);
            return Err(ReviewError::Version(said.chars().take(100).collect()));
        }
        let request = envelope.request.ok_or(ReviewError::NoRequest)?;
        if request.uid.is_empty() {
            return Err(ReviewError::NoUid);
        }
        Ok(Review { request })
    }
}

// === impl Request ===

impl<'a> Request<'a> {
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    pub fn sub_resource(&self) -> &str {
        self.sub_resource.as_deref().unwrap_or_default()
    }

    /// The new object's JSON; none where it is absent or `null`.
    pub fn object(&self) -> Option<&'a str> {
        present(self.object)
    }

    pub fn old_object(&self) -> Option<&'a str> {
        present(self.old_object)
    }

    /// Ids of the credential the user came by, as the API server names them.
    pub fn credentials(&self) -> &[String] {
        self.user_info.extra.get("authentication.kubernetes.io/credential-id").map_or(&[], Vec::as_slice)
    }

    pub fn is_dry_run(&self) -> bool {
        self.dry_run == Some(true)
    }
}

fn present(value: Option<&RawValue>) -> Option<&str> {
    value.map(RawValue::get).filter(|text| *text != "null")
}

// === impl Response ===

impl Response {
    pub fn allow(uid: &str) -> Self {
        Response {
            uid: uid.to_owned(),
            allowed: true,
            status: None,
            warnings: Vec::new(),
            audit_annotations: BTreeMap::new(),
            patch: None,
            patch_type: None,
        }
    }

    /// `code` is the HTTP status the asking person's client gets.
    pub fn deny(uid: &str, code: u16, message: String) -> Self {
        let reason = match code {
            403 => "Forbidden",
            413 => "RequestEntityTooLarge",
            503 => "ServiceUnavailable",
            429 => "TooManyRequests",
            _ => "Invalid",
        };
        Response { allowed: false, status: Some(Status { code, reason, message }), ..Response::allow(uid) }
    }

    /// The whole review that is sent back.
    pub fn body(&self) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Out<'r> {
            api_version: &'static str,
            kind: &'static str,
            response: &'r Response,
        }
        // Strings and numbers only: it cannot fail.
        serde_json::to_vec(&Out { api_version: API_VERSION, kind: KIND, response: self }).unwrap_or_default()
    }
}
