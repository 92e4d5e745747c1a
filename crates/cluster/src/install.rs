//! What Jinwu installs in a cluster: the same objects for plain manifests, the Helm chart and the gate,
//! which puts its webhooks right when somebody changes them.

mod permission;
pub(crate) mod removal;
mod webhook;
mod workload;

pub(crate) use permission::PARAMS;
pub use permission::{NATIVE, ParamRight, RIGHTS, Right, param_rights};
pub use webhook::{Failure, MUTATING, PATHS, PLATFORM, POLICIES, PolicyRules, VALIDATING, webhooks};

use serde_json::{Value, json};

/// Label of everything here.
pub const PART_OF: (&str, &str) = ("app.kubernetes.io/part-of", "jinwu");

/// The namespace of everything here.
pub const NAMESPACE: &str = "jinwu";
/// Name of the gate's Deployment, Service, ServiceAccount and roles.
pub const GATE: &str = "jinwu-gate";
/// Secret with the way to the server: `url`, `address`, `ca.crt`, `secret`, `verify.pem`.
pub const SERVER_SECRET: &str = "jinwu-server";
/// Secret with the gate's own authority and certificate; made and renewed by the gate.
pub const TLS_SECRET: &str = "jinwu-gate-tls";
/// Secret with the last signed bundle, for a gate that starts while the server is away, and with
/// [`FAILURE_MEMBER`].
pub const BUNDLE_SECRET: &str = "jinwu-gate-bundle";
/// Member of [`BUNDLE_SECRET`] that says what holds while no gate answers: one place for all replicas.
pub const FAILURE_MEMBER: &str = "failure-policy";
/// Secret with the credential by which nodes pull the gate's image.
pub const PULL_SECRET: &str = "jinwu-pull";
/// Port of the gate's pods, and of its service.
pub const POD_PORT: u16 = 8443;
pub const SERVICE_PORT: u16 = 443;

/// What an installation is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// The gate's image by digest: nobody needs to be asked what it is.
    pub image: String,
    /// `https://host:port`; the host is checked against the server's certificate.
    pub server_url: String,
    /// `host:port` to connect to, where that differs.
    pub server_address: Option<String>,
    /// PEM.
    pub server_authority: String,
    /// The cluster's secret.
    pub secret: String,
    /// PEM of the key bundles are signed with.
    pub verify_key: String,
    pub replicas: u16,
    /// `auths` of a docker configuration for the gate's own image, if it needs one.
    pub pull_secret: Option<String>,
    /// A fixed ClusterIP for the gate's service: the API server's audit and authorisation webhooks are
    /// named by address, not by service.
    pub cluster_address: Option<String>,
    /// What becomes of a request while no gate answers.
    pub failure: Failure,
}

impl Installation {
    /// Every object, in the order in which they must be made. The webhooks come from the gate itself
    /// once it answers, so that nothing waits for a gate that is not there yet.
    pub fn objects(&self) -> Vec<Value> {
        let mut all = vec![json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": {PART_OF.0: PART_OF.1, "pod-security.kubernetes.io/enforce": "restricted"}}
        })];
        all.extend(permission::objects());
        all.extend(workload::objects(self));
        all
    }

    /// YAML documents of [`Installation::objects`]; JSON is YAML.
    pub fn manifest(&self) -> String {
        self.objects().iter().map(|o| format!("---\n{}\n", serde_json::to_string_pretty(o).unwrap_or_default())).collect()
    }
}

/// Labels of everything here.
fn labels() -> Value {
    json!({"app.kubernetes.io/name": GATE, PART_OF.0: PART_OF.1})
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One with everything.
    pub(crate) fn installation() -> Installation {
        Installation {
            image: format!("registry.example/open/jinwu-gate@sha256:{}", "a".repeat(64)),
            server_url: "https://registry.example".into(),
            server_address: Some("10.0.0.1:5443".into()),
            server_authority: "CA".into(),
            secret: "jwg_secret".into(),
            verify_key: "KEY".into(),
            replicas: 2,
            pull_secret: Some("{}".into()),
            cluster_address: Some("10.96.0.77".into()),
            failure: Failure::Fail,
        }
    }
}
