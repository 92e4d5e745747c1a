//! What the crate says of pods, piece by piece.

#![allow(clippy::unwrap_used)]

mod advice;
mod privilege;
mod read;
mod user;
mod workload;

use jinwu_podsecurity::PodTemplate;
use serde_json::{Value, json};

/// A pod's JSON with this spec.
fn pod_text(spec: &Value) -> String {
    json!({ "metadata": {"name": "p"}, "spec": spec }).to_string()
}

fn pod(text: &str) -> PodTemplate<'_> {
    PodTemplate::from_json(text).unwrap()
}
