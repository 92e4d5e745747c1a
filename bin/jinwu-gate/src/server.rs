//! The way to the server.
//!
//! It stands in files that change: a new installation gives the cluster another secret, and the kubelet
//! brings it into the mounted folder. They are read again every few seconds, and when the server refuses.

use anyhow::Context as _;
use jinwu_admission::protocol::{
    BlockRequest, BlockedSubject, Bundle, Certificate, CertificateRequest, GateStatus, ImageAnswer, ImageQuestion, Issuer, SIGNED_AS, Signed, Taken,
};
use jinwu_trust::VerifyingKey;
use parking_lot::RwLock;
use reqwest::RequestBuilder;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Longest the server may hold a question for a newer bundle, seconds.
pub(crate) const WAIT: u64 = 25;
/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(5);

pub(crate) struct Server {
    folder: PathBuf,
    way: RwLock<Arc<Way>>,
}

struct Way {
    files: Files,
    client: reqwest::Client,
    key: VerifyingKey,
}

/// Content of `url`, `ca.crt`, `secret`, `verify.pem`, and of `address` where there is one.
#[derive(PartialEq, Eq)]
struct Files {
    url: String,
    authority: String,
    secret: String,
    key: String,
    address: Option<String>,
}

// === impl Server ===

impl Server {
    /// Reads `url`, `address` (optional), `ca.crt`, `secret` and `verify.pem` in a folder.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let way = Way::new(Files::read(folder)?)?;
        Ok(Server { folder: folder.to_owned(), way: RwLock::new(Arc::new(way)) })
    }

    /// Reads the files again, for ever.
    pub(crate) async fn follow(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.read_again();
        }
    }

    /// Whether the files say something new. What cannot be used is left, and the way of before holds.
    fn read_again(&self) -> bool {
        let newer = Files::read(&self.folder).and_then(|files| {
            let same = files == self.way.read().files;
            if same { Ok(None) } else { Way::new(files).map(Some) }
        });
        match newer {
            Ok(Some(way)) => {
                *self.way.write() = Arc::new(way);
                tracing::info!(folder = %self.folder.display(), "the way to the server was read anew");
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the way to the server cannot be read anew; the one of before holds");
                false
            }
        }
    }

    /// Asks; a refusal because of the secret is asked again once with what the files say now.
    async fn ask(&self, request: impl Fn(&Way) -> RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let way = self.way.read().clone();
        let answer = request(&way).bearer_auth(&way.files.secret).send().await?;
        if answer.status() != http::StatusCode::UNAUTHORIZED || !self.read_again() {
            return Ok(answer);
        }
        let way = self.way.read().clone();
        Ok(request(&way).bearer_auth(&way.files.secret).send().await?)
    }

    /// A bundle other than the one of `have`, once there is one; none after [`WAIT`] seconds.
    pub(crate) async fn bundle(&self, have: &str) -> anyhow::Result<Option<Signed>> {
        let query = [("have", have), ("wait", &WAIT.to_string())];
        let answer = self.ask(|w| w.client.get(w.at("bundle")).query(&query).timeout(Duration::from_secs(WAIT + 10))).await?;
        if answer.status() == http::StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        Ok(Some(check(answer).await?.json().await?))
    }

    /// What a signed bundle says, if the server signed it.
    pub(crate) fn verify(&self, signed: &Signed) -> anyhow::Result<Bundle> {
        let signature = hex::decode(&signed.signature).context("signature")?;
        let message = format!("{SIGNED_AS}{}", signed.bundle);
        let way = self.way.read().clone();
        anyhow::ensure!(way.key.verify(message.as_bytes(), &signature), "the bundle is not signed by the server's key (verify.pem)");
        serde_json::from_str(&signed.bundle).context("bundle")
    }

    pub(crate) async fn image(&self, question: &ImageQuestion) -> anyhow::Result<ImageAnswer> {
        let answer = self.ask(|w| w.client.post(w.at("images")).json(question).timeout(Duration::from_secs(30))).await?;
        Ok(check(answer).await?.json().await?)
    }

    /// Brings records: entries as they lie in the spool, one JSON text each.
    pub(crate) async fn records(&self, gate: &str, entries: &[Vec<u8>], status: &GateStatus) -> anyhow::Result<Taken> {
        let mut body = format!("{{\"gate\":{},\"status\":{},\"records\":[", serde_json::to_string(gate)?, serde_json::to_string(status)?).into_bytes();
        body.extend(entries.join(&b','));
        body.extend(b"]}");
        let body = bytes::Bytes::from(body);
        let kind = (http::header::CONTENT_TYPE, "application/json");
        let answer = self.ask(|w| w.client.post(w.at("records")).header(kind.0.clone(), kind.1).body(body.clone()).timeout(Duration::from_secs(30))).await?;
        Ok(check(answer).await?.json().await?)
    }

    pub(crate) async fn certificate(&self, names: &[String]) -> anyhow::Result<Certificate> {
        let question = CertificateRequest { names: names.to_vec() };
        let answer = self.ask(|w| w.client.post(w.at("certificate")).json(&question).timeout(Duration::from_secs(10))).await?;
        Ok(check(answer).await?.json().await?)
    }

    /// Tells by which keys the cluster's tokens are signed.
    pub(crate) async fn issuer(&self, issuer: &Issuer) -> anyhow::Result<()> {
        let answer = self.ask(|w| w.client.post(w.at("issuer")).json(issuer).timeout(Duration::from_secs(10))).await?;
        check(answer).await.map(drop)
    }

    pub(crate) async fn block(&self, ask: &BlockRequest) -> anyhow::Result<BlockedSubject> {
        let answer = self.ask(|w| w.client.post(w.at("blocks")).json(ask).timeout(Duration::from_secs(10))).await?;
        Ok(check(answer).await?.json().await?)
    }
}

// === impl Way ===

impl Way {
    fn new(files: Files) -> anyhow::Result<Self> {
        let authority = reqwest::Certificate::from_pem(files.authority.as_bytes()).context("ca.crt")?;
        let mut builder = reqwest::Client::builder()
            .tls_certs_only([authority])
            .https_only(true)
            .connect_timeout(Duration::from_secs(5))
            .pool_idle_timeout(Duration::from_secs(60))
            .user_agent(concat!("jinwu-gate/", env!("CARGO_PKG_VERSION")));
        if let Some(address) = &files.address {
            let host = files.url.strip_prefix("https://").and_then(|h| h.split([':', '/']).next()).unwrap_or_default().to_owned();
            let to = address.to_socket_addrs().with_context(|| format!("address {address}"))?.collect::<Vec<_>>();
            builder = builder.resolve_to_addrs(&host, &to);
        }
        let key = VerifyingKey::from_pem(&files.key).context("verify.pem is no Ed25519 public key")?;
        Ok(Way { client: builder.build()?, key, files })
    }

    fn at(&self, path: &str) -> String {
        format!("{}/gate/v1/{path}", self.files.url)
    }
}

// === impl Files ===

impl Files {
    fn read(folder: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| -> anyhow::Result<String> {
            let path = folder.join(name);
            Ok(std::fs::read_to_string(&path).with_context(|| format!("{}: the gate needs it to reach the server; install again with jinwu cluster install", path.display()))?.trim().to_owned())
        };
        Ok(Files { url: read("url")?, authority: read("ca.crt")?, secret: read("secret")?, key: read("verify.pem")?, address: read("address").ok() })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_change_are_taken_and_broken_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let certificates = jinwu_trust::tls::ensure_certificates(&folder.path().join("tls"), &["localhost".to_owned()]).unwrap();
        let key = jinwu_trust::SigningKey::generate();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("url", "https://localhost:5443\n");
        write("ca.crt", &std::fs::read_to_string(&certificates.ca).unwrap());
        write("verify.pem", &key.verifying_key().to_pem());
        assert!(Server::open(folder.path()).is_err_and(|e| format!("{e:#}").contains("secret")), "says what is missing");
        write("secret", "jwg_one\n");
        let server = Server::open(folder.path()).unwrap();
        assert!(!server.read_again(), "nothing changed");
        write("secret", "jwg_two\n");
        assert!(server.read_again());
        assert_eq!(server.way.read().files.secret, "jwg_two");
        write("verify.pem", "no key");
        assert!(!server.read_again());
        assert!(server.way.read().key == key.verifying_key(), "the key of before holds");
    }
}
