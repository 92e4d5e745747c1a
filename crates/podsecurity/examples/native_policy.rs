//! Prints the native policy with its parameters and binding, as one list to apply: `cargo run -p jinwu-podsecurity
//! --example native_policy -- NAMESPACE LEVEL`. The namespace is where the ConfigMap goes.

use jinwu_model::Mode;
use jinwu_podsecurity::expressions::{POLICY_NAME, parameters};
use jinwu_podsecurity::{Control, Level, native_policy};
use serde_json::json;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let namespace = arguments.next().unwrap_or_else(|| "default".to_owned());
    let level = match arguments.next().map_or(Ok(Level::Restricted), |word| word.parse::<Level>()) {
        Ok(level) => level,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": [
        native_policy(&Control::ALL),
        { "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": POLICY_NAME, "namespace": namespace }, "data": parameters(level, Mode::Block) },
        { "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": POLICY_NAME },
          "spec": {
            "policyName": POLICY_NAME,
            "validationActions": ["Deny"],
            "paramRef": { "name": POLICY_NAME, "namespace": namespace, "parameterNotFoundAction": "Deny" },
            "matchResources": { "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } } },
        } },
    ] });
    println!("{list:#}");
    ExitCode::SUCCESS
}
