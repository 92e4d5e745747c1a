//! The native policy bound everywhere, for the time somebody opens the webhooks by hand while no gate answers.

use crate::Common;
use crate::output::say;
use anyhow::Context as _;
use base64::Engine as _;
use jinwu_admission::Rules;
use jinwu_admission::native::{Reach, objects};
use jinwu_admission::protocol::{Bundle, SIGNED_AS, Signed};
use jinwu_cluster::install::{BUNDLE_SECRET, GATE, NAMESPACE, PLATFORM, SERVER_SECRET};
use jinwu_trust::VerifyingKey;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// 须能读取命名空间 jinwu 的 Secret / must be able to read Secrets of the namespace jinwu
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
}

/// Prints manifests for `kubectl apply -f -`, by the last bundle in the cluster: no server and no gate need answer.
pub(super) async fn print(_: &Common, a: Arguments) -> anyhow::Result<ExitCode> {
    let client = jinwu_cluster::connect(a.kubeconfig.as_deref()).await?;
    let secrets = Api::namespaced_with(client, NAMESPACE, &ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Secret")));
    let signed = member(&secrets, BUNDLE_SECRET, "bundle.json").await?;
    let key = member(&secrets, SERVER_SECRET, "verify.pem").await?;
    let rules = Rules::new(bundle(&signed, &key)?).context("bundle")?;
    for object in objects(&rules, NAMESPACE, GATE, &PLATFORM, Reach::Everywhere) {
        say!("---\n{}", serde_json::to_string_pretty(&object)?);
    }
    Ok(ExitCode::SUCCESS)
}

async fn member(secrets: &Api<DynamicObject>, secret: &str, member: &str) -> anyhow::Result<String> {
    let found = secrets.get(secret).await.with_context(|| format!("Secret {NAMESPACE}/{secret}"))?;
    let missing = || format!("Secret {NAMESPACE}/{secret} 中没有 {member}:其关口尚未取得策略包,或策略包过大而未存入 / has no {member}: no gate has had a bundle, or it is too large to be kept there");
    let text = found.data["data"][member].as_str().with_context(missing)?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).with_context(missing)?;
    String::from_utf8(bytes).with_context(missing)
}

/// What the server signed: what lies in the cluster may have been changed there.
fn bundle(signed: &str, key: &str) -> anyhow::Result<Bundle> {
    let signed: Signed = serde_json::from_str(signed).context("bundle.json")?;
    let key = VerifyingKey::from_pem(key).context("verify.pem")?;
    let signature = hex::decode(&signed.signature).context("bundle.json: signature")?;
    let message = format!("{SIGNED_AS}{}", signed.bundle);
    anyhow::ensure!(
        key.verify(message.as_bytes(), &signature),
        "集群中的策略包不是服务端签署的:被改动过,不予使用 / the bundle in the cluster is not signed by the server's key: it was changed and is not used"
    );
    serde_json::from_str(&signed.bundle).context("bundle")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use jinwu_trust::SigningKey;

    #[test]
    fn only_a_bundle_the_server_signed_is_used() {
        let text = r#"{"cluster":"c","generation":"g","made":0,"default_level":3,"enforcement":{"*":"block"},"modes":{},"exceptions":[],"grants":[],"policies":[],"registries":[],"own_registries":[],"level_setters":[],"base_platform":[],"sandboxed_runtimes":[],"blocked":[],"verdict_generation":"v"}"#;
        let key = SigningKey::generate();
        let pem = key.verifying_key().to_pem();
        let signed = |bundle: &str| serde_json::to_string(&Signed { bundle: bundle.to_owned(), signature: hex::encode(key.sign(format!("{SIGNED_AS}{text}").as_bytes())) }).unwrap();
        assert_eq!(bundle(&signed(text), &pem).unwrap().cluster, "c");
        let weaker = text.replace("block", "allow");
        assert!(bundle(&signed(&weaker), &pem).unwrap_err().to_string().contains("not signed"));
        assert!(bundle("{}", &pem).is_err());
    }
}
