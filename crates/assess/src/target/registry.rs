//! The registry as a client sees it: the token dance by hand, pushes and pulls request by request
//! (OCI distribution-spec 1.1; docker token authentication).

use super::{Reply, Target};
use crate::evidence::Log;
use crate::sample::Image;
use anyhow::{Context as _, bail};
use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use jinwu_model::Digest;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Somebody at the registry's door.
pub struct Registry<'t> {
    target: &'t Target,
    /// Name and secret; `None` is nobody.
    login: Option<(String, String)>,
    /// Challenge scope → token.
    tokens: Mutex<BTreeMap<String, String>>,
}

const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A challenge's parts.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    realm: String,
    service: String,
    scope: String,
}

impl<'t> Registry<'t> {
    pub fn nobody(target: &'t Target) -> Self {
        Registry { target, login: None, tokens: Mutex::default() }
    }

    pub fn login(target: &'t Target, name: &str, secret: &str) -> Self {
        target.mask.learn(secret);
        Registry { target, login: Some((name.to_owned(), secret.to_owned())), tokens: Mutex::default() }
    }

    /// A request without any credentials, or with the Authorization value given: no dance.
    pub async fn bare(&self, log: &mut Log, method: Method, path: &str, authorization: Option<&str>) -> anyhow::Result<Reply> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().context("authorization value")?);
        }
        self.target.send(log, method, path, headers, None, None).await
    }

    /// A request as every client makes it: without a token first, then with the one the challenge
    /// asks for. The last answer is given back, whatever it is.
    pub async fn request(&self, log: &mut Log, method: Method, path: &str, kind: Option<&str>, body: Option<Bytes>) -> anyhow::Result<Reply> {
        let build = |token: Option<&String>| -> anyhow::Result<HeaderMap> {
            let mut headers = HeaderMap::new();
            if let Some(kind) = kind {
                headers.insert(header::CONTENT_TYPE, kind.parse()?);
            } else if method == Method::GET {
                headers.insert(header::ACCEPT, ACCEPT.parse()?);
            }
            if let Some(token) = token {
                headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse()?);
            }
            Ok(headers)
        };
        let key = scope_key(&method, path);
        let kept = self.tokens.lock().get(&key).cloned();
        let first = self.target.send(log, method.clone(), path, build(kept.as_ref())?, body.clone(), None).await?;
        if first.status != 401 || self.login.is_none() {
            return Ok(first);
        }
        let Some(token) = self.token(log, &first).await? else { return Ok(first) };
        let second = self.target.send(log, method.clone(), path, build(Some(&token))?, body, None).await?;
        self.tokens.lock().insert(key, token);
        Ok(second)
    }

    /// The token a challenge asks for; `None` when the token service refuses.
    pub async fn token(&self, log: &mut Log, challenged: &Reply) -> anyhow::Result<Option<String>> {
        let value = challenged.header("www-authenticate").context("401 without WWW-Authenticate")?;
        let challenge = Challenge::parse(value).with_context(|| format!("unreadable challenge {value:?}"))?;
        // Credentials go to the host that was asked and nowhere else.
        let Some(path) = challenge.realm.strip_prefix(&format!("https://{}", self.target.registry)) else {
            bail!("质询指向其他主机 / the challenge points to another host: {}", challenge.realm);
        };
        let query = format!("service={}&scope={}", escape(&challenge.service), escape(&challenge.scope));
        let reply = self.ask(log, &format!("{path}?{query}")).await?;
        Ok((reply.status == 200).then(|| reply.json()["token"].as_str().unwrap_or_default().to_owned()))
    }

    /// The token service's answer for a path with query, with this login's Basic credentials.
    pub async fn ask(&self, log: &mut Log, path: &str) -> anyhow::Result<Reply> {
        let mut headers = HeaderMap::new();
        if let Some((name, secret)) = &self.login {
            let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{secret}"));
            self.target.mask.learn(&encoded);
            headers.insert(header::AUTHORIZATION, format!("Basic {encoded}").parse()?);
        }
        self.target.send(log, Method::GET, path, headers, None, None).await
    }

    /// Layers, configuration, manifest. The answer is that of the manifest, or of the first upload
    /// that was refused.
    pub async fn push(&self, log: &mut Log, repository: &str, tag: &str, image: &Image) -> anyhow::Result<Reply> {
        for blob in image.blobs() {
            let begun = self.request(log, Method::POST, &format!("/v2/{repository}/blobs/uploads/"), Some("application/octet-stream"), None).await?;
            if begun.status != 202 {
                return Ok(begun);
            }
            let location = begun.header("location").context("202 without Location")?;
            let path = location.strip_prefix(&format!("https://{}", self.target.registry)).unwrap_or(location);
            if !path.starts_with('/') {
                bail!("上传地址指向其他主机 / the upload location points to another host: {location}");
            }
            let mark = if path.contains('?') { '&' } else { '?' };
            let path = format!("{path}{mark}digest={}", escape(&blob.digest.to_string()));
            let done = self.request(log, Method::PUT, &path, Some("application/octet-stream"), Some(blob.bytes.clone().into())).await?;
            if done.status != 201 {
                return Ok(done);
            }
        }
        self.request(log, Method::PUT, &format!("/v2/{repository}/manifests/{tag}"), Some(MANIFEST), Some(image.manifest.clone().into())).await
    }

    /// The manifest and every blob it names; the answer is that of the first request refused, or of
    /// the manifest.
    pub async fn pull(&self, log: &mut Log, repository: &str, reference: &str) -> anyhow::Result<Reply> {
        let manifest = self.manifest(log, repository, reference).await?;
        if manifest.status != 200 {
            return Ok(manifest);
        }
        let body = manifest.json();
        let named = body["layers"].as_array().into_iter().flatten().chain([&body["config"]]);
        for digest in named.filter_map(|d| d["digest"].as_str()).filter_map(|d| d.parse::<Digest>().ok()).take(64) {
            let blob = self.request(log, Method::GET, &format!("/v2/{repository}/blobs/{digest}"), None, None).await?;
            if blob.status != 200 {
                return Ok(blob);
            }
        }
        Ok(manifest)
    }

    pub async fn manifest(&self, log: &mut Log, repository: &str, reference: &str) -> anyhow::Result<Reply> {
        self.request(log, Method::GET, &format!("/v2/{repository}/manifests/{reference}"), None, None).await
    }

    pub async fn delete(&self, log: &mut Log, repository: &str, reference: &str) -> anyhow::Result<Reply> {
        self.request(log, Method::DELETE, &format!("/v2/{repository}/manifests/{reference}"), None, None).await
    }
}

/// One token serves what has the same scope: repository and action.
fn scope_key(method: &Method, path: &str) -> String {
    let repository = path.strip_prefix("/v2/").and_then(|p| ["/manifests/", "/blobs/", "/tags/"].iter().find_map(|m| p.split_once(m))).map_or("", |(r, _)| r);
    let action = match *method {
        Method::GET | Method::HEAD => "pull",
        Method::DELETE => "delete",
        _ => "push",
    };
    format!("{repository}:{action}")
}

// === impl Challenge ===

impl Challenge {
    /// `Bearer realm="…",service="…",scope="…"`.
    fn parse(value: &str) -> Option<Self> {
        let rest = value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer "))?;
        let member = |name: &str| {
            let at = rest.find(&format!("{name}=\""))?;
            let start = at + name.len() + 2;
            let text = rest.get(start..)?;
            Some(text.get(..text.find('"')?)?.to_owned())
        };
        Some(Challenge { realm: member("realm")?, service: member("service").unwrap_or_default(), scope: member("scope").unwrap_or_default() })
    }
}

/// Percent-encoded as one part of a query.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn challenges() {
        let parsed = Challenge::parse(r#"Bearer realm="https://h:1/token",service="jinwu",scope="repository:a/b:pull,push",error="x""#).unwrap();
        assert_eq!(parsed, Challenge { realm: "https://h:1/token".into(), service: "jinwu".into(), scope: "repository:a/b:pull,push".into() });
        assert_eq!(Challenge::parse(r#"Basic realm="x""#), None);
        assert_eq!(Challenge::parse(r#"Bearer realm="x"#), None);
    }

    #[test]
    fn tokens_are_kept_by_repository_and_action() {
        assert_eq!(scope_key(&Method::GET, "/v2/a/b/manifests/x"), "a/b:pull");
        assert_eq!(scope_key(&Method::PUT, "/v2/a/b/blobs/uploads/1?digest=x"), "a/b:push");
        assert_eq!(scope_key(&Method::DELETE, "/v2/a/b/manifests/x"), "a/b:delete");
    }

    proptest! {
        #[test]
        fn no_challenge_panics(s in ".*") { let _ = Challenge::parse(&s); }
    }
}
