//! What expressions see: `image` and `report`.

use jinwu_model::report::ImageReport;
use jinwu_model::{Digest, RepositoryName};
use crate::exception::Exception;
use jinwu_model::PolicyId;
use serde::Serialize;
use serde_json::Value;

/// The image being judged.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageFacts {
    pub repository: RepositoryName,
    pub project: String,
    pub tags: Vec<String>,
    pub digest: Digest,
    pub media_type: String,
}

/// Facts in the form expressions read them.
pub struct Facts {
    pub(crate) image: Value,
    pub(crate) report: Value,
    pub(crate) digest: Digest,
    pub(crate) repository: RepositoryName,
}

impl Facts {
    /// Besides the report's own members, every vulnerability gets `rank` (1 低危 … 4 超危, 未定级
    /// counting 3) and `gradeName`, and every location a `place` in words.
    pub fn new(image: &ImageFacts, report: &ImageReport) -> Result<Self, String> {
        let mut json = serde_json::to_value(report).map_err(|e| e.to_string())?;
        if let Some(list) = json.get_mut("vulnerabilities").and_then(Value::as_array_mut) {
            for (entry, v) in list.iter_mut().zip(&report.vulnerabilities) {
                entry["rank"] = v.grade.rank().into();
                entry["gradeName"] = v.grade.zh().into();
                entry["fixed"] = v.fixed_version.clone().unwrap_or_default().into();
            }
        }
        add_places(&mut json);
        Ok(Facts {
            image: serde_json::to_value(image).map_err(|e| e.to_string())?,
            report: json,
            digest: image.digest.clone(),
            repository: image.repository.clone(),
        })
    }
}

// === impl Facts ===

impl Facts {
    pub fn image(&self) -> &Value {
        &self.image
    }

    pub fn report(&self) -> &Value {
        &self.report
    }

    /// Id of the exception that lifts `policy` for this image and piece of evidence, if any.
    pub fn exception(&self, exceptions: &[Exception], policy: &PolicyId, evidence: &Value, now: i64) -> Option<String> {
        exceptions.iter().find(|e| e.covers(policy, &self.digest, &self.repository, evidence, now)).map(|e| e.id.clone())
    }
}

/// Adds `place` beside every `location`-shaped object: path, archive member, line, deleted or not.
fn add_places(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(add_places),
        Value::Object(map) => {
            map.values_mut().for_each(add_places);
            let Some(path) = map.get("path").and_then(Value::as_str) else { return };
            if !map.contains_key("deleted") {
                return;
            }
            let mut place = path.to_owned();
            if let Some(inner) = map.get("inner").and_then(Value::as_str) {
                place.push_str("!/");
                place.push_str(inner);
            }
            if let Some(line) = map.get("line").and_then(Value::as_u64) {
                place.push_str(&format!(":{line}"));
            }
            if let Some(layer) = map.get("layer").and_then(Value::as_str) {
                place.push_str(&format!(" [{}]", layer.get(..19).unwrap_or(layer)));
            }
            if map.get("deleted").and_then(Value::as_bool) == Some(true) {
                place.push_str(" (已删除但仍可提取 / deleted, still extractable)");
            }
            map.insert("place".into(), place.into());
        }
        _ => {}
    }
}
