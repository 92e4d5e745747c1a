//! Whose signature an image has: cosign's, by its tag (`sha256-….sig`) or as a referrer, simple signing or a bundle
//! with a DSSE envelope; verified offline with keys that are given.

use crate::app::App;
use base64::Engine as _;
use jinwu_model::{Digest, Reference, RepositoryName};
use jinwu_registry::Registry;
use jinwu_registry::meta::StoredManifest;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Signature manifests looked at, signatures in one, and bytes of one.
const MAX_MANIFESTS: usize = 32;
const MAX_SIGNATURES: usize = 32;
const MAX_PAYLOAD: u64 = 256 << 10;

const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";

/// Keys (PEM) by which components of the base platform with this digest must be signed, in any cluster.
pub(super) fn wanted(app: &App, digest: &Digest) -> BTreeSet<String> {
    let clusters = app.clusters.list();
    let components = clusters.iter().flat_map(|c| c.base_platform.values());
    components.filter(|c| c.digest == *digest && c.approver.is_some()).filter_map(|c| c.signer.clone()).collect()
}

/// Which of these keys have signed the image; each as [`jinwu_trust::signature::public_key`] writes it. What cannot
/// be read is no signature.
pub(super) fn verified(registry: &Registry, repository: &RepositoryName, digest: &Digest, keys: &BTreeSet<String>) -> Vec<String> {
    let mut left: BTreeSet<&String> = keys.iter().collect();
    let mut found = Vec::new();
    for manifest in manifests(registry, repository, digest) {
        let document: Value = serde_json::from_slice(&manifest.body).unwrap_or_default();
        for layer in document["layers"].as_array().into_iter().flatten().take(MAX_SIGNATURES) {
            let Some((signature, message)) = signed(registry, layer, repository, digest) else { continue };
            let by: Vec<&String> = left.iter().copied().filter(|key| jinwu_trust::signature::verify(key, &message, &signature)).collect();
            for key in by {
                left.remove(key);
                found.extend(jinwu_trust::signature::public_key(key));
            }
        }
    }
    found
}

fn manifests(registry: &Registry, repository: &RepositoryName, digest: &Digest) -> Vec<Arc<StoredManifest>> {
    let meta = registry.meta();
    let tag = format!("{}.sig", digest.to_string().replace(':', "-")).parse().ok().map(Reference::Tag);
    let referrers = meta.referrers(repository, digest).unwrap_or_default().into_iter().map(|d| Reference::Digest(d.digest));
    tag.into_iter().chain(referrers).take(MAX_MANIFESTS).filter_map(|r| meta.manifest(repository, &r).ok().flatten()).collect()
}

/// A signature and the bytes it must be of, if it is about this image.
fn signed(registry: &Registry, layer: &Value, repository: &RepositoryName, digest: &Digest) -> Option<(Vec<u8>, Vec<u8>)> {
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).ok();
    let media_type = layer["mediaType"].as_str()?;
    if media_type != SIMPLE && media_type != BUNDLE {
        return None;
    }
    let blob: Digest = layer["digest"].as_str()?.parse().ok()?;
    let payload = registry.small_blob(&blob, MAX_PAYLOAD).filter(|p| hex::encode(jinwu_trust::sha256(p)) == blob.hex())?;
    let document: Value = serde_json::from_slice(&payload).ok()?;
    if media_type == SIMPLE {
        let critical = &document["critical"];
        let named = critical["identity"]["docker-reference"].as_str()?;
        let of_this = critical["type"] == "cosign container image signature"
            && critical["image"]["docker-manifest-digest"] == digest.to_string()
            && named.split_once('/').is_some_and(|(_, path)| path == repository.as_str());
        let signature = base64(layer["annotations"]["dev.cosignproject.cosign/signature"].as_str()?)?;
        return of_this.then_some((signature, payload));
    }
    let envelope = &document["dsseEnvelope"];
    let (kind, body) = (envelope["payloadType"].as_str()?, base64(envelope["payload"].as_str()?)?);
    let statement: Value = serde_json::from_slice(&body).ok()?;
    let hex = digest.to_string().strip_prefix("sha256:")?.to_owned();
    let of_this = statement["predicateType"] == SIGNED && statement["subject"].as_array()?.iter().any(|s| s["digest"]["sha256"] == hex);
    let signature = base64(envelope["signatures"][0]["sig"].as_str()?)?;
    // The envelope's pre-authentication encoding.
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), body.len()).into_bytes();
    message.extend(body);
    of_this.then_some((signature, message))
}
