//! Words of the protocol: error codes, ranges, pagination.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Error codes of the distribution specification with their status (one table for all).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    TagInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    TooManyRequests,
    RangeInvalid,
    PaginationNumberInvalid,
    ManifestTooLarge,
    Unavailable,
    OutOfSpace,
    Unknown,
}

/// An answer that is an error.
#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    pub message: String,
    pub detail: serde_json::Value,
    pub headers: HeaderMap,
}

pub type Answer<T = Response> = Result<T, Failure>;

// === impl Code ===

impl Code {
    /// (text, status, what it means)
    pub fn row(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Code::BlobUnknown => ("BLOB_UNKNOWN", S::NOT_FOUND, "blob unknown to registry"),
            Code::BlobUploadInvalid => ("BLOB_UPLOAD_INVALID", S::BAD_REQUEST, "blob upload invalid"),
            Code::BlobUploadUnknown => ("BLOB_UPLOAD_UNKNOWN", S::NOT_FOUND, "blob upload unknown to registry"),
            Code::DigestInvalid => ("DIGEST_INVALID", S::BAD_REQUEST, "provided digest did not match uploaded content"),
            Code::ManifestBlobUnknown => ("MANIFEST_BLOB_UNKNOWN", S::BAD_REQUEST, "manifest references a blob unknown to registry"),
            Code::ManifestInvalid => ("MANIFEST_INVALID", S::BAD_REQUEST, "manifest invalid"),
            Code::ManifestUnknown => ("MANIFEST_UNKNOWN", S::NOT_FOUND, "manifest unknown to registry"),
            Code::NameInvalid => ("NAME_INVALID", S::BAD_REQUEST, "invalid repository name"),
            Code::NameUnknown => ("NAME_UNKNOWN", S::NOT_FOUND, "repository name not known to registry"),
            Code::SizeInvalid => ("SIZE_INVALID", S::BAD_REQUEST, "provided length did not match content length"),
            Code::TagInvalid => ("TAG_INVALID", S::BAD_REQUEST, "invalid tag"),
            Code::Unauthorized => ("UNAUTHORIZED", S::UNAUTHORIZED, "authentication required"),
            Code::Denied => ("DENIED", S::FORBIDDEN, "requested access to the resource is denied"),
            Code::Unsupported => ("UNSUPPORTED", S::METHOD_NOT_ALLOWED, "the operation is unsupported"),
            Code::TooManyRequests => ("TOOMANYREQUESTS", S::TOO_MANY_REQUESTS, "too many requests"),
            Code::RangeInvalid => ("RANGE_INVALID", S::RANGE_NOT_SATISFIABLE, "invalid content range"),
            Code::PaginationNumberInvalid => ("PAGINATION_NUMBER_INVALID", S::BAD_REQUEST, "invalid number of results requested"),
            Code::ManifestTooLarge => ("MANIFEST_INVALID", S::PAYLOAD_TOO_LARGE, "manifest is larger than 4 MiB"),
            Code::Unavailable => ("UNAVAILABLE", S::SERVICE_UNAVAILABLE, "service unavailable"),
            Code::OutOfSpace => ("UNKNOWN", S::INSUFFICIENT_STORAGE, "the registry's disk is full; the upload can be resumed"),
            Code::Unknown => ("UNKNOWN", S::INTERNAL_SERVER_ERROR, "the registry could not complete the request"),
        }
    }
}

// === impl Failure ===

impl Failure {
    pub fn new(code: Code) -> Self {
        Failure { code, message: code.row().2.to_owned(), detail: serde_json::Value::Null, headers: HeaderMap::new() }
    }

    pub fn saying(code: Code, message: impl Into<String>) -> Self {
        Failure { message: message.into(), ..Failure::new(code) }
    }

    #[must_use]
    pub fn header(mut self, name: header::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// From an I/O error: a full disk is an ordinary result, anything else is logged.
    pub fn io(what: &str, error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::StorageFull || error.raw_os_error() == Some(122) {
            return Failure::new(Code::OutOfSpace);
        }
        tracing::error!(what, %error, "registry I/O");
        Failure::new(Code::Unknown)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (code, status, _) = self.code.row();
        let body = serde_json::json!({"errors": [{"code": code, "message": self.message, "detail": self.detail}]});
        let mut response = (status, Json(body)).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}

impl From<crate::meta::MetaError> for Failure {
    fn from(error: crate::meta::MetaError) -> Self {
        tracing::error!(%error, "registry metadata");
        if error.is_full() { Failure::new(Code::OutOfSpace) } else { Failure::new(Code::Unknown) }
    }
}

/// `Content-Range` of a chunk: `start-end`, inclusive, no unit.
pub fn content_range(text: &str) -> Option<(u64, u64)> {
    let (a, b) = text.split_once('-')?;
    let digits = |s: &str| !s.is_empty() && s.len() <= 19 && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(a) || !digits(b) {
        return None;
    }
    let (a, b) = (a.parse().ok()?, b.parse().ok()?);
    (a <= b).then_some((a, b))
}

/// What a `Range` header asks of a body of `size` bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// No range, or one this server ignores (several ranges, other units).
    Whole,
    /// First and last byte, inclusive, clipped.
    Part(u64, u64),
    Unsatisfiable,
}

/// `bytes=a-b`, `bytes=a-`, `bytes=-n` (RFC 9110 §14.2).
pub fn range(text: &str, size: u64) -> Wanted {
    let Some(spec) = text.trim().strip_prefix("bytes=") else { return Wanted::Whole };
    let Some((a, b)) = spec.split_once('-') else { return Wanted::Whole };
    let number = |s: &str| (s.bytes().all(|b| b.is_ascii_digit()) && s.len() <= 19).then(|| s.parse::<u64>().ok()).flatten();
    match (a.trim(), b.trim()) {
        ("", "") => Wanted::Whole,
        ("", n) => match number(n) {
            None => Wanted::Whole,
            Some(0) => Wanted::Unsatisfiable,
            Some(_) if size == 0 => Wanted::Unsatisfiable,
            Some(n) => Wanted::Part(size.saturating_sub(n), size - 1),
        },
        (a, b) => match (number(a), b.is_empty(), number(b)) {
            (None, ..) | (_, false, None) => Wanted::Whole,
            (Some(a), ..) if a >= size => Wanted::Unsatisfiable,
            (Some(a), true, _) => Wanted::Part(a, size - 1),
            (Some(a), false, Some(b)) if b < a => Wanted::Unsatisfiable,
            (Some(a), false, Some(b)) => Wanted::Part(a, b.min(size - 1)),
        },
    }
}

/// `n` of a listing: `None` when absent; 10 000 at most.
pub fn page_size(text: Option<&str>) -> Result<Option<usize>, Failure> {
    match text {
        None => Ok(None),
        Some(t) => t.parse::<usize>().map(|n| Some(n.min(10_000))).map_err(|_| Failure::new(Code::PaginationNumberInvalid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(range("bytes=500-1499", 4000), Wanted::Part(500, 1499));
        assert_eq!(range("bytes=500-", 4000), Wanted::Part(500, 3999));
        assert_eq!(range("bytes=-500", 4000), Wanted::Part(3500, 3999));
        assert_eq!(range("bytes=2000-5000", 4000), Wanted::Part(2000, 3999));
        assert_eq!(range("bytes=500-0", 4000), Wanted::Unsatisfiable);
        assert_eq!(range("bytes=5000-10000", 4000), Wanted::Unsatisfiable);
        assert_eq!(range("bytes=0-0", 0), Wanted::Unsatisfiable);
        assert_eq!(range("items=0-1", 10), Wanted::Whole);
        assert_eq!(content_range("0-9"), Some((0, 9)));
        for bad in ["", "-", "9-0", "bytes=0-9", "0-9/10", "a-b", "99999999999999999999-1"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(s in ".{0,60}", n: u64) {
            let _ = content_range(&s);
            let _ = range(&s, n);
            if let Wanted::Part(a, b) = range(&format!("bytes={s}"), n) { proptest::prop_assert!(a <= b && b < n); }
            let _ = page_size(Some(&s));
        }
    }
}
