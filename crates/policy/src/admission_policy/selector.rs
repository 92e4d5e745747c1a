//! Label selectors.

use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LabelSelector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<Requirement>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    key: String,
    operator: Operator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

// === impl LabelSelector ===

impl LabelSelector {
    pub(super) fn check(&self) -> Result<(), String> {
        for requirement in &self.match_expressions {
            let wants_values = matches!(requirement.operator, Operator::In | Operator::NotIn);
            if wants_values == requirement.values.is_empty() {
                let which = if wants_values { "needs values" } else { "must not have values" };
                return Err(format!("matchExpressions {}: {:?} {which}", requirement.key, requirement.operator));
            }
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// Whether labels are selected. An empty selector selects everything.
    pub fn matches(&self, labels: &BTreeMap<&str, &str>) -> bool {
        let value = |key: &str| labels.get(key).copied();
        self.match_labels.iter().all(|(key, wanted)| value(key) == Some(wanted))
            && self.match_expressions.iter().all(|r| match (r.operator, value(&r.key)) {
                (Operator::In, found) => found.is_some_and(|v| r.values.iter().any(|w| w == v)),
                // What is not there is not in the list either.
                (Operator::NotIn, found) => found.is_none_or(|v| r.values.iter().all(|w| w != v)),
                (Operator::Exists, found) => found.is_some(),
                (Operator::DoesNotExist, found) => found.is_none(),
            })
    }
}
