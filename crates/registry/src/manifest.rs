//! Manifests: the only part of an image the registry reads.

use crate::wire::{Code, Failure};
use jinwu_model::Digest;
use serde::Deserialize;

/// Largest manifest accepted (the specification asks for at least this).
pub const MAX: usize = 4 << 20;

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What the registry needs to know of a manifest.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub media_type: String,
    pub config: Option<Entry>,
    pub layers: Vec<Entry>,
    /// Children of an index.
    pub manifests: Vec<Entry>,
    pub subject: Option<Digest>,
    pub artifact_type: Option<String>,
    pub annotations: Option<String>,
}

/// A descriptor.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    #[serde(default)]
    pub size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: Option<i64>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Entry>,
    layers: Option<Vec<Entry>>,
    manifests: Option<Vec<Entry>>,
    subject: Option<Entry>,
    annotations: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Entry {
    /// A layer to be fetched from elsewhere: it may be missing here.
    pub fn is_foreign(&self) -> bool {
        self.media_type.contains(".layer.nondistributable.") || self.media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
    }
}

impl Parsed {
    /// Digests that must be blobs here.
    pub fn blobs(&self) -> impl Iterator<Item = &Entry> {
        self.config.iter().chain(self.layers.iter().filter(|l| !l.is_foreign()))
    }
}

/// Parses a manifest pushed with `content_type`; unknown members are left alone.
pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Parsed, Failure> {
    let invalid = |message: String| Failure::saying(Code::ManifestInvalid, message);
    let document: Document = serde_json::from_slice(bytes).map_err(|e| invalid(format!("manifest is not valid JSON of a manifest: {e}")))?;
    let declared = content_type.map(|t| t.split(';').next().unwrap_or(t).trim().to_owned()).filter(|t| !t.is_empty());
    let media_type = match (declared, &document.media_type) {
        (Some(header), Some(body)) if header != *body => {
            return Err(invalid(format!("Content-Type {header} differs from mediaType {body}")));
        }
        (Some(header), _) => header,
        (None, Some(body)) => body.clone(),
        (None, None) => return Err(invalid("neither Content-Type nor mediaType says what this is".into())),
    };
    if document.schema_version != Some(2) {
        return Err(invalid(format!("schemaVersion must be 2, got {:?}", document.schema_version)));
    }
    let artifact_type =
        document.artifact_type.filter(|t| !t.is_empty()).or_else(|| document.config.as_ref().map(|c| c.media_type.clone()));
    let annotations = document.annotations.and_then(|a| serde_json::to_string(&a).ok());
    let subject = document.subject.map(|s| s.digest);
    match media_type.as_str() {
        OCI_MANIFEST | DOCKER_MANIFEST => {
            let config = document.config.ok_or_else(|| invalid("config is missing".into()))?;
            let layers = document.layers.ok_or_else(|| invalid("layers are missing".into()))?;
            if document.manifests.is_some() {
                return Err(invalid("a manifest has no member manifests".into()));
            }
            Ok(Parsed { media_type, config: Some(config), layers, manifests: vec![], subject, artifact_type, annotations })
        }
        OCI_INDEX | DOCKER_LIST => {
            let manifests = document.manifests.ok_or_else(|| invalid("manifests are missing".into()))?;
            if document.layers.is_some() || document.config.is_some() {
                return Err(invalid("an index has neither layers nor config".into()));
            }
            Ok(Parsed { media_type, config: None, layers: vec![], manifests, subject, artifact_type, annotations })
        }
        other => Err(invalid(format!(
            "media type {other} is not accepted; OCI image manifests and indexes and docker schema 2 are (schema 1 is refused)"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let d = format!("sha256:{}", "0".repeat(64));
        let good = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"a/b","digest":"{d}","size":2}},"layers":[],"x":1}}"#);
        let parsed = parse(good.as_bytes(), Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8")).unwrap();
        assert_eq!(parsed.artifact_type.as_deref(), Some("a/b"));
        assert!(parse(good.as_bytes(), Some(OCI_INDEX)).is_err());
        assert!(parse(br#"{"schemaVersion":1}"#, Some("application/vnd.docker.distribution.manifest.v1+json")).is_err());
        assert!(parse(br#"{"schemaVersion":2,"manifests":[]}"#, Some(OCI_INDEX)).is_ok());
        assert!(parse(br#"{"schemaVersion":2,"layers":[]}"#, Some(OCI_MANIFEST)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(s in ".{0,200}") {
            let _ = parse(s.as_bytes(), Some(OCI_MANIFEST));
            let _ = parse(format!(r#"{{"schemaVersion":2,{s}}}"#).as_bytes(), None);
        }
    }
}
