//! What every handler shares.

use crate::analysis::Analyses;
use crate::clusters::Clusters;
use crate::config::Config;
use crate::fold::Fold;
use crate::journal::Journal;
use crate::nodes::Nodes;
use crate::policies::Policies;
use crate::source::{Cidr, true_source};
use base64::Engine as _;
use http::HeaderMap;
use jinwu_identity::Identity;
use jinwu_identity::service::Standing;
use jinwu_identity::token::Tokens;
use jinwu_model::{Subject, SubjectKind};
use jinwu_registry::Registry;
use jinwu_trust::SigningKey;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// Shared state; clones are cheap.
#[derive(Clone)]
pub struct App(Arc<Inner>);

pub struct Inner {
    pub config: Config,
    pub identity: Identity,
    pub tokens: Tokens,
    pub journal: Journal,
    pub policies: Policies,
    pub clusters: Clusters,
    pub nodes: Nodes,
    pub analyses: Analyses,
    pub trusted: Vec<Cidr>,
    pub token_key: SigningKey,
    pub anonymous: Fold,
    /// Set once the registry, which asks the rest through its seams, is open.
    pub registry: OnceLock<Registry>,
    /// Port of the HTTPS listener, once there is one.
    pub port: OnceLock<u16>,
}

/// What a refresh token says; it is signed and ends with the subject's epoch.
#[derive(Serialize, Deserialize)]
struct Refresh {
    name: String,
    kind: SubjectKind,
    epoch: u64,
    /// Unix seconds.
    expires: i64,
}

/// Seconds a refresh token lives.
const REFRESH_LIFE: i64 = 12 * 3600;

impl Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    pub fn new(inner: Inner) -> Self {
        App(Arc::new(inner))
    }

    /// Unix milliseconds.
    pub fn now(&self) -> i64 {
        crate::journal::now()
    }

    /// The registry. Listeners start after it was opened.
    pub fn registry(&self) -> Option<&Registry> {
        self.registry.get()
    }

    /// What this installation's registry is called in image references: its names with the port
    /// (left out where it is that of HTTPS), and those it has behind a proxy.
    pub fn own_registries(&self) -> Vec<String> {
        let port = self.port.get().copied().unwrap_or_else(|| self.config.listen.port());
        let of = |name: &String| {
            let host = if name.contains(':') && !name.starts_with('[') { format!("[{name}]") } else { name.clone() };
            if port == 443 { host } else { format!("{host}:{port}") }
        };
        let mut all: Vec<String> = self.config.names.iter().map(of).chain(self.config.registries.iter().cloned()).collect();
        all.iter_mut().for_each(|r| r.make_ascii_lowercase());
        all
    }

    /// The true source address of a request.
    pub fn source(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        true_source(peer, headers, &self.trusted)
    }

    /// Name and secret as typed into a registry client. A password is hashed off the async threads.
    pub async fn check_credentials(&self, name: &str, secret: &str) -> Option<Standing> {
        if name.is_empty() || name.len() > 128 || secret.len() > 1024 {
            return None;
        }
        let (app, name, secret) = (self.clone(), name.to_owned(), secret.to_owned());
        tokio::task::spawn_blocking(move || app.identity.registry_login(&name, &secret).ok()).await.ok().flatten()
    }

    pub fn issue_refresh(&self, standing: &Standing) -> String {
        let body = Refresh {
            name: standing.subject.name.clone(),
            kind: standing.subject.kind,
            epoch: standing.epoch,
            expires: self.now() / 1000 + REFRESH_LIFE,
        };
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let text = engine.encode(serde_json::to_vec(&body).unwrap_or_default());
        let signature = engine.encode(self.token_key.sign(format!("refresh:{text}").as_bytes()));
        format!("{text}.{signature}")
    }

    /// Who a refresh token stands for, if it is ours, unexpired and the subject still stands.
    pub fn refresh_standing(&self, token: &str) -> Option<Standing> {
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let (text, signature) = token.split_once('.')?;
        let signature = engine.decode(signature).ok()?;
        if !self.token_key.verifying_key().verify(format!("refresh:{text}").as_bytes(), &signature) {
            return None;
        }
        let body: Refresh = serde_json::from_slice(&engine.decode(text).ok()?).ok()?;
        let subject = Subject { kind: body.kind, name: body.name };
        let stands = self.now() / 1000 < body.expires && self.identity.stands(&subject, body.epoch);
        stands.then_some(Standing { subject, epoch: body.epoch })
    }
}
