//! What a sensor must capture.

use crate::call::Call;
use jinwu_detect::RuleSet;
use std::collections::BTreeSet;

/// The calls to capture: those always recorded, and those an enabled rule or sequence can hold for. Every call where
/// one of them is not bound to event types.
pub fn needed(rules: &RuleSet) -> BTreeSet<Call> {
    let types = rules.event_types();
    let asked = |call: Call| types.as_ref().is_none_or(|types| types.contains(call.name()));
    Call::ALL.iter().copied().filter(|c| c.always() || asked(*c)).collect()
}
