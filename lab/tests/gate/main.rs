//! What gates of clusters ask of a running server, and who may change what they are told.

mod audit;
mod bundle;
mod images;
mod people;
mod policies;
mod preview;
mod process;
mod recheck;
mod records;
mod threats;

use jinwu_admission::protocol::{Bundle, ImageAnswer, SIGNED_AS, Signed};
use jinwu_lab::{Server, Session};
use jinwu_trust::VerifyingKey;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

/// A gate of a cluster: a secret and the key it verifies bundles with.
pub(crate) struct Gate {
    pub(crate) secret: String,
    pub(crate) key: VerifyingKey,
}

impl Gate {
    /// Registers a cluster and takes what its gates get.
    pub(crate) async fn of_new_cluster(system: &Session<'_>, server: &Server, name: &str) -> anyhow::Result<Gate> {
        let made = system.ok("POST", "/clusters", Some(&json!({ "name": name }))).await?;
        let pem = server.folder().join(format!("{name}.pem"));
        std::fs::write(&pem, made["verify_key"].as_str().unwrap_or_default())?;
        Ok(Gate { secret: made["secret"].as_str().unwrap_or_default().to_owned(), key: VerifyingKey::load(&pem)? })
    }

    pub(crate) async fn ask(&self, server: &Server, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Response> {
        let mut request = server.http.request(method, server.url(&format!("/gate/v1{path}"))).bearer_auth(&self.secret);
        if let Some(body) = body {
            request = request.json(body);
        }
        Ok(request.send().await?)
    }

    /// The bundle as soon as it is another than `have`; `None` if it is the same for `wait` seconds.
    pub(crate) async fn bundle(&self, server: &Server, have: &str, wait: u64) -> anyhow::Result<Option<Bundle>> {
        let answer = self.ask(server, Method::GET, &format!("/bundle?have={have}&wait={wait}"), None).await?;
        if answer.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        anyhow::ensure!(answer.status() == 200, "{} {}", answer.status(), answer.text().await?);
        let signed: Signed = answer.json().await?;
        let signature = hex::decode(&signed.signature)?;
        anyhow::ensure!(self.key.verify(format!("{SIGNED_AS}{}", signed.bundle).as_bytes(), &signature), "the signature does not verify");
        Ok(Some(serde_json::from_str(&signed.bundle)?))
    }

    /// The newest bundle.
    pub(crate) async fn newest(&self, server: &Server) -> anyhow::Result<Bundle> {
        self.bundle(server, "", 0).await?.ok_or_else(|| anyhow::anyhow!("304 without having one"))
    }

    /// What is known about `demo/app:1` of our own registry.
    pub(crate) async fn image(&self, server: &Server, name: &str, platform: Option<&str>) -> anyhow::Result<ImageAnswer> {
        let question = json!({"reference": format!("{}/{name}", server.registry), "platform": platform});
        self.question(server, &question).await
    }

    pub(crate) async fn question(&self, server: &Server, question: &Value) -> anyhow::Result<ImageAnswer> {
        let answer = self.ask(server, Method::POST, "/images", Some(question)).await?;
        anyhow::ensure!(answer.status() == 200, "{} {}", answer.status(), answer.text().await?);
        Ok(answer.json().await?)
    }
}
