//! Manifest, index and image configuration (OCI image-spec 1.1; docker schema 2 has the same shape).
//!
//! Unknown members are left alone. Whether a document is unambiguous is [`crate::json`]'s to say.

use jinwu_model::Digest;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Largest number of layers an image may list (overlayfs itself stops near 500).
pub const MAX_LAYERS: usize = 1000;

/// Points at content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    #[serde(default)]
    pub size: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub urls: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Platform {
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// One image for one platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    pub config: Descriptor,
    /// Lowest layer first.
    #[serde(deserialize_with = "null_is_default")]
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
}

/// Images for several platforms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    #[serde(deserialize_with = "null_is_default")]
    pub manifests: Vec<Descriptor>,
}

/// What a runtime reads of an image's configuration, and what the scanner judges.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct ImageConfig {
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub os: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: RunConfig,
    #[serde(default, deserialize_with = "null_is_default")]
    pub rootfs: RootFs,
    #[serde(default, deserialize_with = "null_is_default")]
    pub history: Vec<History>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    #[serde(default)]
    pub user: String,
    /// `NAME=value`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    /// Keys are `22/tcp`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub exposed_ports: BTreeMap<String, serde::de::IgnoredAny>,
    #[serde(default, deserialize_with = "one_or_many")]
    pub entrypoint: Vec<String>,
    #[serde(default, deserialize_with = "one_or_many")]
    pub cmd: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct RootFs {
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<Digest>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct History {
    #[serde(default)]
    pub created_by: String,
    #[serde(default)]
    pub comment: String,
    #[serde(default)]
    pub empty_layer: bool,
}

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{document} cannot be read: {detail}")]
pub struct DocumentError {
    document: &'static str,
    detail: String,
}

impl Manifest {
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let manifest: Manifest = parse("manifest", bytes)?;
        if manifest.layers.len() > MAX_LAYERS {
            let detail = format!("{} layers are listed, at most {MAX_LAYERS} are allowed", manifest.layers.len());
            return Err(DocumentError { document: "manifest", detail });
        }
        Ok(manifest)
    }
}

impl Index {
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        parse("index", bytes)
    }
}

impl ImageConfig {
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        parse("image configuration", bytes)
    }
}

fn parse<'a, T: Deserialize<'a>>(document: &'static str, bytes: &'a [u8]) -> Result<T, DocumentError> {
    if bytes.len() > crate::json::MAX_BYTES {
        let detail = format!("{} bytes, at most {} are allowed", bytes.len(), crate::json::MAX_BYTES);
        return Err(DocumentError { document, detail });
    }
    serde_json::from_slice(bytes).map_err(|e| DocumentError { document, detail: e.to_string() })
}

/// Go writes `null` for an empty slice or map.
fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// Old docker writes a single string for a list of one.
fn one_or_many<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Option::<OneOrMany>::deserialize(d)? {
        None => Vec::new(),
        Some(OneOrMany::One(one)) => vec![one],
        Some(OneOrMany::Many(many)) => many,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_old_forms() {
        let config = br#"{"architecture":"amd64","os":"linux","config":{"User":"app:app","Env":null,"Entrypoint":"/bin/x",
            "Cmd":["a"],"ExposedPorts":{"22/tcp":{}},"Labels":null},"rootfs":{"type":"layers","diff_ids":null},"history":null}"#;
        let c = ImageConfig::parse(config).unwrap();
        assert_eq!((c.config.user.as_str(), c.config.entrypoint.len(), c.config.cmd.len()), ("app:app", 1, 1));
        assert!(c.config.exposed_ports.contains_key("22/tcp") && c.rootfs.diff_ids.is_empty());
        assert!(ImageConfig::parse(b"{\"config\":null}").is_ok());
        assert!(Manifest::parse(b"{}").unwrap_err().to_string().contains("manifest cannot be read"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = (Manifest::parse(&bytes), Index::parse(&bytes), ImageConfig::parse(&bytes));
        }
    }
}
