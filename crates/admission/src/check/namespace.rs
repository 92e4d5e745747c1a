//! Namespaces: their protection level, and labels that lift protection.

use super::{Found, Read, typed};
use crate::judge::Question;
use crate::review::Request;
use crate::rules::{LEVEL_LABEL, level};
use jinwu_model::Text;
use serde::Deserialize;
use std::collections::BTreeMap;

pub const LEVEL_CHANGE: &str = "level-label";
/// A label that has another guard look away.
pub const EXEMPTION: &str = "exemption-label";

/// Pod Security admission's own label.
const POD_SECURITY: &str = "pod-security.kubernetes.io/enforce";
/// Labels by which other admission engines pass a namespace over.
const PASSED_OVER: [&str; 3] = ["admission.gatekeeper.sh/ignore", "config.kyverno.io/exclude", "openpolicyagent.org/webhook"];

/// Labels before and after.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    before: BTreeMap<String, String>,
    after: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Object {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

pub(super) fn read<'a>(request: &Request<'_>) -> Read<'a> {
    let Some(object) = request.object() else { return Read::Nothing };
    let labels = |json| typed::<Object>(json).map(|o| o.metadata.labels.unwrap_or_default());
    match (labels(object), request.old_object().map_or(Ok(BTreeMap::new()), labels)) {
        (Ok(after), Ok(before)) => Read::Namespace(Change { before, after }),
        (Err(detail), _) | (_, Err(detail)) => Read::Unreadable(detail),
    }
}

pub(crate) fn judge(q: &Question<'_, '_>, change: &Change, found: &mut Vec<Found>) {
    let user = &q.request.user_info;
    if q.rules.may_set_level(&user.username, &user.groups) {
        return;
    }
    let default = q.rules.bundle.default_level;
    let at = |labels: &BTreeMap<String, String>| labels.get(LEVEL_LABEL).and_then(|l| level(l)).unwrap_or(default);
    let (before, after) = (at(&change.before), at(&change.after));
    let advice = Text::new("由有权者更改(集群设置 level_setters)", "have somebody change it who may (level_setters of the cluster's settings)");
    if after < before {
        found.push(Found::new(
            LEVEL_CHANGE,
            Text::new(format!("保护等级由 {before} 降为 {after}"), format!("the protection level falls from {before} to {after}")),
            advice.clone(),
        ));
    }
    let strength = |labels: &BTreeMap<String, String>| match labels.get(POD_SECURITY).map(String::as_str) {
        Some("restricted") => 2,
        Some("baseline") => 1,
        _ => 0,
    };
    let weaker = strength(&change.after) < strength(&change.before);
    let passed_over = PASSED_OVER.iter().filter(|l| change.after.contains_key(**l) && change.before.get(**l) != change.after.get(**l));
    let labels: Vec<&str> = weaker.then_some(POD_SECURITY).into_iter().chain(passed_over.copied()).collect();
    if !labels.is_empty() {
        let list = labels.join(", ");
        found.push(Found::new(EXEMPTION, Text::new(format!("标签 {list} 使命名空间脱离防护"), format!("label {list} takes the namespace out of protection")), advice));
    }
}
