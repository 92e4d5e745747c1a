//! Images: where they come from and what is known of them.

use super::Found;
use crate::judge::Question;
use crate::protocol::{ImageAnswer, Knowledge};
use crate::reference::ImageReference;
use jinwu_model::{Digest, Text};
use jinwu_podsecurity::workload::PodIn;
use std::collections::HashMap;

/// An image from a registry that is not allowed.
pub const IMAGE_REGISTRY: &str = "image-registry";
/// An image nothing is known of.
pub const UNKNOWN_IMAGE: &str = "unknown-image";

/// Every image of these pods with its path in the object: `spec.containers[0].image`. What is no
/// reference is left out here and refused by [`judge`].
pub fn references(pods: &[PodIn<'_>]) -> Vec<(String, ImageReference)> {
    pods.iter().flat_map(named).filter_map(|(path, image)| Some((path, ImageReference::parse(image)?))).collect()
}

/// Images as a pod names them, each with its path: those its containers run, and those whose files it
/// mounts.
fn named<'p>(pod: &'p PodIn<'_>) -> impl Iterator<Item = (String, &'p str)> {
    let spec = &pod.pod.spec;
    let run = spec.all_containers().map(|at| (format!("{}.{}[{}].image", pod.paths.spec, at.kind.member(), at.index), at.container.image.as_str()));
    let mounted = spec.volumes.iter().enumerate().filter_map(|(n, v)| Some((format!("{}.volumes[{n}].image.reference", pod.paths.spec), v.image.as_ref()?.reference.as_str())));
    run.chain(mounted)
}

/// Images to bind to what they stand for now, by what is known of them: JSON pointer of the member, new
/// value. One that names a digest is bound already.
pub fn pins(pods: &[PodIn<'_>], images: &HashMap<String, ImageAnswer>) -> Vec<(String, String)> {
    let unpinned = references(pods).into_iter().filter(|(_, reference)| reference.digest.is_none());
    unpinned
        .filter_map(|(place, reference)| {
            let digest = images.get(&reference.full())?.digest.as_ref()?;
            let pointer = place.replace(['.', '['], "/").replace(']', "");
            Some((format!("/{pointer}"), reference.pinned(digest)))
        })
        .collect()
}

/// What is known of an image as a container names it.
pub(super) fn answer<'q>(q: &'q Question<'_, '_>, image: &str) -> Option<&'q ImageAnswer> {
    q.images.get(&ImageReference::parse(image)?.full())
}

/// The digest an image has: written, or known.
pub(super) fn digest(q: &Question<'_, '_>, image: &str) -> Option<Digest> {
    let reference = ImageReference::parse(image)?;
    let known = q.images.get(&reference.full()).and_then(|a| a.digest.clone());
    reference.digest.or(known)
}

pub(super) fn judge(q: &Question<'_, '_>, pod: &PodIn<'_>, found: &mut Vec<Found>) {
    for (path, image) in named(pod) {
        let shown: String = image.chars().filter(|c| !c.is_control()).take(300).collect();
        let Some(reference) = ImageReference::parse(image) else {
            // A Deployment may leave the image to another program; a running pod may not.
            found.push(Found::new(
                UNKNOWN_IMAGE,
                Text::new(format!("{path}:{shown:?} 不是镜像引用"), format!("{path}: {shown:?} is no image reference")),
                Text::new(format!("将 {path} 设为 仓库/项目/名称@sha256:…"), format!("set {path} to registry/project/name@sha256:…")),
            ));
            continue;
        };
        let digest = digest(q, image);
        if !q.rules.is_allowed_registry(&reference.registry) {
            let allowed = q.rules.bundle.own_registries.join(", ");
            found.push(
                Found::new(
                    IMAGE_REGISTRY,
                    Text::new(format!("镜像 {shown} 来自未许可的仓库 {}", reference.registry), format!("image {shown} comes from {}, which is not allowed", reference.registry)),
                    Text::new(format!("将镜像推送到金吾仓库({allowed}),再把 {path} 指向它"), format!("push the image to Jinwu's registry ({allowed}) and let {path} name it there")),
                )
                .of(digest.as_ref()),
            );
            continue;
        }
        match q.images.get(&reference.full()).map(|a| &a.knowledge) {
            Some(Knowledge::Judged { findings, .. }) => {
                for f in findings {
                    let mut one = Found::new(
                        f.policy.0.clone(),
                        Text::new(format!("镜像 {shown}:{}", f.finding.zh), format!("image {shown}: {}", f.finding.en)),
                        f.advice.clone(),
                    )
                    .of(digest.as_ref());
                    one.exception.clone_from(&f.exception);
                    one.image_policy = Some((f.policy.clone(), f.clauses.clone(), f.modes));
                    found.push(one);
                }
            }
            unknown => {
                let why = match unknown {
                    Some(Knowledge::Unknown { why }) => why.clone(),
                    _ => Text::new("金吾服务未能及时回答", "the server did not answer in time"),
                };
                found.push(
                    Found::new(
                        UNKNOWN_IMAGE,
                        Text::new(format!("镜像 {shown} 未经裁决:{}", why.zh), format!("image {shown} was never judged: {}", why.en)),
                        Text::new("推送到金吾仓库,由它扫描后再部署", "push it to Jinwu's registry, which scans it, then deploy it"),
                    )
                    .of(digest.as_ref()),
                );
            }
        }
    }
}
