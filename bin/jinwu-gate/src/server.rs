//! The way to the server.

use anyhow::Context as _;
use jinwu_admission::protocol::{Batch, Bundle, ImageAnswer, ImageQuestion, SIGNED_AS, Signed, Taken};
use jinwu_trust::VerifyingKey;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::time::Duration;

/// Longest the server may hold a question for a newer bundle, seconds.
pub(crate) const WAIT: u64 = 25;

pub(crate) struct Server {
    client: reqwest::Client,
    url: String,
    secret: String,
    key: VerifyingKey,
}

impl Server {
    /// Reads `url`, `address` (optional), `ca.crt`, `secret` and `verify.pem` in a folder.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| -> anyhow::Result<String> {
            let path = folder.join(name);
            Ok(std::fs::read_to_string(&path).with_context(|| format!("{}: the gate needs it to reach the server; install again with jinwu cluster install", path.display()))?.trim().to_owned())
        };
        let url = read("url")?;
        let authority = reqwest::Certificate::from_pem(read("ca.crt")?.as_bytes()).context("ca.crt")?;
        let mut builder = reqwest::Client::builder()
            .tls_certs_only([authority])
            .https_only(true)
            .connect_timeout(Duration::from_secs(5))
            .pool_idle_timeout(Duration::from_secs(60))
            .user_agent(concat!("jinwu-gate/", env!("CARGO_PKG_VERSION")));
        if let Ok(address) = read("address") {
            let host = url.strip_prefix("https://").and_then(|h| h.split([':', '/']).next()).unwrap_or_default().to_owned();
            let to = address.to_socket_addrs().with_context(|| format!("address {address}"))?.collect::<Vec<_>>();
            builder = builder.resolve_to_addrs(&host, &to);
        }
        let key = VerifyingKey::load(&folder.join("verify.pem"))?;
        Ok(Server { client: builder.build()?, url, secret: read("secret")?, key })
    }

    /// A bundle other than the one of `have`, once there is one; none after [`WAIT`] seconds.
    pub(crate) async fn bundle(&self, have: &str) -> anyhow::Result<Option<Signed>> {
        let request = self.client.get(format!("{}/gate/v1/bundle", self.url)).query(&[("have", have), ("wait", &WAIT.to_string())]);
        let answer = request.bearer_auth(&self.secret).timeout(Duration::from_secs(WAIT + 10)).send().await?;
        if answer.status() == http::StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        Ok(Some(check(answer).await?.json().await?))
    }

    /// What a signed bundle says, if the server signed it.
    pub(crate) fn verify(&self, signed: &Signed) -> anyhow::Result<Bundle> {
        let signature = hex::decode(&signed.signature).context("signature")?;
        let message = format!("{SIGNED_AS}{}", signed.bundle);
        anyhow::ensure!(self.key.verify(message.as_bytes(), &signature), "the bundle is not signed by the server's key (verify.pem)");
        serde_json::from_str(&signed.bundle).context("bundle")
    }

    pub(crate) async fn image(&self, question: &ImageQuestion) -> anyhow::Result<ImageAnswer> {
        let request = self.client.post(format!("{}/gate/v1/images", self.url)).json(question);
        Ok(check(request.bearer_auth(&self.secret).timeout(Duration::from_secs(30)).send().await?).await?.json().await?)
    }

    pub(crate) async fn records(&self, batch: &Batch) -> anyhow::Result<Taken> {
        let request = self.client.post(format!("{}/gate/v1/records", self.url)).json(batch);
        Ok(check(request.bearer_auth(&self.secret).timeout(Duration::from_secs(30)).send().await?).await?.json().await?)
    }
}

async fn check(answer: reqwest::Response) -> anyhow::Result<reqwest::Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let text: String = answer.text().await.unwrap_or_default().chars().take(300).collect();
    anyhow::bail!("the server answers {status}: {text}")
}
