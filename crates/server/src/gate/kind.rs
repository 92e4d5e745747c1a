//! What a manifest is: an index, an image somebody could run, or another artifact.
//!
//! Signatures, SBOMs and charts pass by type. What decides is not what a manifest calls itself but
//! whether a runtime could run it: a configuration that is an image's (by media type, or by having
//! `rootfs.diff_ids`) over at least one layer that is a file system, or over none.

use super::Parts;
use jinwu_registry::manifest::{DOCKER_LIST, OCI_INDEX};
use jinwu_scan::client::LayerOutcome;
use serde::Deserialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Image,
    /// A runnable image whose configuration has another artifact's media type.
    Disguised,
    /// Index, signature, SBOM, chart: nothing a runtime runs.
    Artifact,
}

const IMAGE_CONFIGS: [&str; 2] = ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

pub(crate) fn is_index(media_type: &str) -> bool {
    media_type == OCI_INDEX || media_type == DOCKER_LIST
}

pub(super) fn of(parts: &Parts, outcomes: &[LayerOutcome]) -> Shape {
    if is_index(&parts.media_type) {
        return Shape::Artifact;
    }
    let config_type = config_media_type(&parts.bytes);
    let declared = IMAGE_CONFIGS.contains(&config_type.as_str());
    let shaped = parts.config.as_ref().is_none_or(|c| has_root_file_system(c));
    let file_system = parts.layers.is_empty()
        || parts.layers.iter().zip(outcomes).any(|(layer, outcome)| is_layer_type(&layer.media_type) && declared || *outcome != LayerOutcome::NotALayer);
    match (declared, shaped, file_system) {
        (true, _, true) => Shape::Image,
        (false, true, true) => Shape::Disguised,
        _ => Shape::Artifact,
    }
}

/// Media types container runtimes unpack.
fn is_layer_type(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.") || media_type.starts_with("application/vnd.docker.image.rootfs.")
}

pub(super) fn config_media_type(manifest: &[u8]) -> String {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Config {
        media_type: String,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Manifest {
        config: Config,
    }
    serde_json::from_slice::<Manifest>(manifest).unwrap_or_default().config.media_type
}

fn has_root_file_system(config: &[u8]) -> bool {
    // Key case is ignored as Go's decoder does: what containerd would read counts.
    let Ok(serde_json::Value::Object(map)) = serde_json::from_slice(config) else { return false };
    let rootfs = map.iter().find(|(k, _)| k.eq_ignore_ascii_case("rootfs")).and_then(|(_, v)| v.as_object());
    rootfs
        .and_then(|r| r.iter().find(|(k, _)| k.eq_ignore_ascii_case("diff_ids")))
        .and_then(|(_, v)| v.as_array())
        .is_some_and(|ids| !ids.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jinwu_model::Digest;
    use jinwu_registry::seam::Layer;

    fn parts(config_type: &str, config: &str, layer_types: &[&str]) -> Parts {
        let digest: Digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        Parts {
            digest: digest.clone(),
            media_type: "application/vnd.oci.image.manifest.v1+json".into(),
            bytes: format!(r#"{{"config":{{"mediaType":"{config_type}"}}}}"#).into(),
            config: Some(config.to_owned().into()),
            layers: layer_types
                .iter()
                .map(|t| Layer { digest: digest.clone(), size: 1, media_type: (*t).to_owned(), path: None })
                .collect(),
        }
    }

    const IMAGE: &str = "application/vnd.oci.image.config.v1+json";
    const TAR: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    const ROOTFS: &str = r#"{"rootfs":{"diff_ids":["sha256:0"]}}"#;

    fn analysed() -> LayerOutcome {
        LayerOutcome::Analysis { bytes: vec![].into(), diff_id: format!("sha256:{}", "0".repeat(64)).parse().unwrap() }
    }

    #[test]
    fn images_and_what_only_looks_like_one() {
        assert_eq!(of(&parts(IMAGE, ROOTFS, &[TAR]), &[analysed()]), Shape::Image);
        assert_eq!(of(&parts(IMAGE, "{}", &[]), &[]), Shape::Image, "an image from scratch");
        assert_eq!(of(&parts(IMAGE, ROOTFS, &[TAR]), &[LayerOutcome::NotALayer]), Shape::Image, "random bytes called a layer are a broken image");
        assert_eq!(
            of(&parts(IMAGE, ROOTFS, &["application/vnd.dev.cosign.simplesigning.v1+json"]), &[LayerOutcome::NotALayer]),
            Shape::Artifact,
            "a cosign signature has an image's configuration over JSON"
        );
        assert_eq!(
            of(&parts(IMAGE, ROOTFS, &["application/octet-stream"]), &[analysed()]),
            Shape::Image,
            "podman unpacks a tar whatever its media type"
        );
        assert_eq!(of(&parts("application/vnd.oci.empty.v1+json", "{}", &["application/spdx+json"]), &[LayerOutcome::NotALayer]), Shape::Artifact);
        assert_eq!(
            of(&parts("application/vnd.cncf.helm.config.v1+json", r#"{"name":"x"}"#, &["application/vnd.cncf.helm.chart.content.v1.tar+gzip"]), &[analysed()]),
            Shape::Artifact
        );
    }

    #[test]
    fn an_image_dressed_as_an_artifact_is_seen() {
        assert_eq!(of(&parts("application/vnd.cncf.helm.config.v1+json", ROOTFS, &[TAR]), &[analysed()]), Shape::Disguised);
        assert_eq!(of(&parts("x/y", r#"{"RootFS":{"Diff_IDs":["a"]}}"#, &["application/octet-stream"]), &[analysed()]), Shape::Disguised);
        let unread = LayerOutcome::Unscannable { reason: jinwu_model::report::UnscannableReason::WorkerCrashed, detail: String::new() };
        assert_eq!(of(&parts("x/y", ROOTFS, &["x/z"]), &[unread]), Shape::Disguised, "what was not read is not taken for harmless");
    }
}
