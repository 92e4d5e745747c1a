//! Pods: the Pod Security Standards, the user that would really run, the runtime, the images.

use super::{Found, image};
use crate::judge::Question;
use crate::protocol::Knowledge;
use jinwu_model::Text;
use jinwu_podsecurity::workload::PodIn;
use jinwu_podsecurity::pod::ContainerAt;
use jinwu_podsecurity::{Finding, ImageUser, Level, Version, effective_user, evaluate_at, privileged_user, relevant_change};

/// The user a container would run as is root or unknown (IP-6).
pub const PRIVILEGED_USER: &str = "privileged-user";
/// A pod shares the node's kernel (AC-5).
pub const SANDBOXED_RUNTIME: &str = "sandboxed-runtime";

pub fn judge(q: &Question<'_, '_>, pods: &[PodIn<'_>], before: &[PodIn<'_>], found: &mut Vec<Found>) {
    if !before.is_empty() && !relevant_change(before, pods) {
        return;
    }
    for pod in pods {
        security(q, pod, found);
        user(q, pod, found);
        runtime(q, pod, found);
        image::judge(q, pod, found);
    }
}

fn security(q: &Question<'_, '_>, pod: &PodIn<'_>, found: &mut Vec<Found>) {
    for level in [Level::Baseline, Level::Restricted] {
        for finding in evaluate_at(level, Version::LATEST, &pod.pod.metadata, &pod.pod.spec, &pod.paths) {
            // Restricted repeats what baseline said already.
            if finding.control.level() == level && !is_spared(q, pod, &finding) {
                let check = format!("pod-security/{}", finding.control.id());
                found.push(Found::new(check, finding.found, finding.advice));
            }
        }
    }
}

/// A finding is spared when every container it is about is a base-platform component; one about the
/// pod itself, when all of its containers are.
fn is_spared(q: &Question<'_, '_>, pod: &PodIn<'_>, finding: &Finding) -> bool {
    all_base(q, pod.pod.spec.all_containers().filter(|at| finding.pod || finding.containers.iter().any(|c| **c == *at.container.name)))
}

/// Whether these containers, one at least, are all base-platform components.
fn all_base<'c, 'a: 'c>(q: &Question<'_, '_>, containers: impl Iterator<Item = ContainerAt<'c, 'a>>) -> bool {
    if q.rules.bundle.base_platform.is_empty() {
        return false;
    }
    let mut containers = containers.peekable();
    containers.peek().is_some() && containers.all(|at| is_base(q, &at.container.image))
}

fn is_base(q: &Question<'_, '_>, image: &str) -> bool {
    let digest = image::digest(q, image);
    // What is known is known of the digest it was asked for.
    let signers = image::answer(q, image).filter(|a| a.digest == digest).map_or(&[][..], |a| &a.signers);
    q.rules.is_base_platform(&q.scope.namespace, digest.as_ref(), signers)
}

fn user(q: &Question<'_, '_>, pod: &PodIn<'_>, found: &mut Vec<Found>) {
    if !q.rules.is_on(PRIVILEGED_USER, &q.scope) {
        return;
    }
    let users = effective_user(&pod.pod.spec, |at| image_user(q, &at.container.image));
    for finding in privileged_user(&users, &pod.paths) {
        let container = pod.pod.spec.all_containers().find(|at| *at.container.name == *finding.container);
        let digest = container.as_ref().and_then(|at| image::digest(q, &at.container.image));
        if !container.is_some_and(|at| is_base(q, &at.container.image)) {
            found.push(Found::new(PRIVILEGED_USER, finding.found, finding.advice).of(digest.as_ref()));
        }
    }
}

fn image_user(q: &Question<'_, '_>, image: &str) -> ImageUser {
    match image::answer(q, image).map(|a| &a.knowledge) {
        Some(Knowledge::Judged { uid: Some(uid), .. }) => ImageUser::Uid(*uid),
        Some(Knowledge::Judged { uid: None, user_basis, .. }) => ImageUser::Unknown { reason: Text::new(user_basis.clone(), user_basis.clone()) },
        Some(Knowledge::Unknown { why }) => ImageUser::Unknown { reason: why.clone() },
        None => ImageUser::Unknown { reason: Text::new("金吾不知道此镜像", "Jinwu does not know this image") },
    }
}

fn runtime(q: &Question<'_, '_>, pod: &PodIn<'_>, found: &mut Vec<Found>) {
    let class = pod.pod.spec.runtime_class_name.as_ref().map(|c| c.as_str()).unwrap_or_default();
    let sandboxed = &q.rules.bundle.sandboxed_runtimes;
    if sandboxed.iter().any(|s| s == class) || !q.rules.is_on(SANDBOXED_RUNTIME, &q.scope) {
        return;
    }
    if all_base(q, pod.pod.spec.all_containers()) {
        return;
    }
    let path = format!("{}.runtimeClassName", pod.paths.spec);
    let (which_zh, which_en) = if class.is_empty() { ("未指定运行时".into(), "no runtime class".into()) } else { (format!("运行时 {class}"), format!("runtime class {class}")) };
    let choices = sandboxed.join(", ");
    found.push(Found::new(
        SANDBOXED_RUNTIME,
        Text::new(format!("{which_zh},与宿主机共用内核"), format!("{which_en}: it shares the node's kernel")),
        Text::new(format!("将 {path} 设为安全容器运行时之一:{choices}"), format!("set {path} to a sandboxed runtime: {choices}")),
    ));
}
