//! What is known about an image: its layers' analyses by the present engines, composed into one
//! report. Asked for by the push gate, and again by the clusters' gates when the engines changed.

use super::kind;
use crate::analysis::Analyses;
use bytes::Bytes;
use futures::future::join_all;
use jinwu_model::Digest;
use jinwu_model::report::{FaultKind, ImageReport, IntegrityFault, Location, Unscannable, UnscannableReason};
use jinwu_registry::seam::{Layer, ManifestPush};
use jinwu_scan::client::{ComposeRequest, LayerDescriptor, LayerOutcome};

/// A manifest with what it names.
pub(crate) struct Parts {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
    /// Absent where it is larger than 4 MiB or cannot be read.
    pub(crate) config: Option<Bytes>,
    pub(crate) layers: Vec<Layer>,
}

/// The report of an image; `None` for what no runtime runs (an index, a signature, an SBOM).
pub(crate) async fn examine(analyses: &Analyses, parts: &Parts) -> Option<ImageReport> {
    let outcomes = outcomes(analyses, parts).await;
    let image = kind::of(parts, &outcomes);
    if image == kind::Shape::Artifact {
        return None;
    }
    let report = report(analyses, parts, &outcomes, image).await;
    analyses.forget_failures(parts.layers.iter().map(|l| l.digest.clone()));
    Some(report)
}

/// Every layer's analysis by the present engines, whatever way the layer got here.
async fn outcomes(analyses: &Analyses, parts: &Parts) -> Vec<LayerOutcome> {
    if kind::is_index(&parts.media_type) {
        return vec![];
    }
    join_all(parts.layers.iter().map(|layer| async move {
        if layer.path.is_none() {
            return LayerOutcome::Unscannable { reason: UnscannableReason::Unreadable, detail: "foreign layer: its bytes are elsewhere".into() };
        }
        if layer.media_type.ends_with("+encrypted") {
            return LayerOutcome::Unscannable { reason: UnscannableReason::Encrypted, detail: format!("media type {}", layer.media_type) };
        }
        analyses.of(&layer.digest, layer.path.as_deref(), layer.size).await
    }))
    .await
}

async fn report(analyses: &Analyses, parts: &Parts, outcomes: &[LayerOutcome], image: kind::Shape) -> ImageReport {
    let mut failed = None;
    let config = parts.config.clone().unwrap_or_else(|| {
        failed = Some(Unscannable {
            layer: None,
            reason: UnscannableReason::TooLarge,
            detail: "the configuration is larger than 4 MiB or cannot be read".into(),
        });
        Bytes::from_static(b"{}")
    });
    let layers = parts
        .layers
        .iter()
        .zip(outcomes)
        .map(|(l, o)| (LayerDescriptor { digest: l.digest.clone(), size: l.size, media_type: l.media_type.clone() }, o.clone()))
        .collect();
    let request = ComposeRequest {
        image: parts.digest.clone(),
        manifest: parts.bytes.clone(),
        manifest_media_type: parts.media_type.clone(),
        config,
        config_media_type: kind::config_media_type(&parts.bytes),
        layers,
    };
    let mut report = match analyses.compose(request).await {
        Ok(report) => report,
        Err(unscannable) => {
            failed = Some(unscannable);
            ImageReport::empty(parts.digest.clone())
        }
    };
    report.unscannable.extend(failed);
    if image == kind::Shape::Disguised {
        report.faults.push(IntegrityFault {
            kind: FaultKind::DisguisedImage,
            location: Location { layer: None, path: "manifest.config.mediaType".into(), inner: None, line: None, deleted: false, owner: None },
            detail: format!("runnable image whose configuration calls itself {}", kind::config_media_type(&parts.bytes)),
        });
    }
    report
}

// === impl Parts ===

impl Parts {
    pub(super) fn of(push: &ManifestPush) -> Self {
        Parts {
            digest: push.digest.clone(),
            media_type: push.media_type.clone(),
            bytes: push.bytes.clone(),
            config: push.config.clone(),
            layers: push.layers.clone(),
        }
    }
}
