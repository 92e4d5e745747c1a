//! Pulling from a registry (OCI distribution-spec 1.1) and analysing while the bytes arrive.

use super::{Access, Content, Image, choose, descriptor_of, is_index, verify};
use jinwu_image::{Descriptor, LayerKind, Manifest, json};
use jinwu_model::{Algorithm, Digest};
use jinwu_scan::client::{LayerOutcome, Pool, Progress};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode};
use sha2::Digest as _;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// A parsed reference.
struct Reference {
    host: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

struct Session {
    client: Client,
    base: String,
    reference: Reference,
    login: Option<(String, jinwu_model::Masked)>,
    /// `Authorization` value in use.
    authorization: Mutex<Option<String>>,
}

const ACCEPTED: [&str; 4] = [
    jinwu_image::media::OCI_MANIFEST,
    jinwu_image::media::OCI_INDEX,
    jinwu_image::media::DOCKER_MANIFEST,
    jinwu_image::media::DOCKER_LIST,
];

/// Pulls manifest and configuration, and starts one download per layer.
pub(super) async fn pull(name: &str, access: &Access, pool: &Pool) -> Result<Image, String> {
    let reference = parse(name)?;
    let login = access.credentials.of(&reference.host)?;
    let scheme = if access.plain_http { "http" } else { "https" };
    let session = Arc::new(Session {
        client: client(access)?,
        base: format!("{scheme}://{}/v2/{}", reference.host, reference.repository),
        reference,
        login,
        authorization: Mutex::new(None),
    });
    let wanted = match (&session.reference.digest, &session.reference.tag) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.clone().unwrap_or_else(|| "latest".into()),
    };
    let (mut manifest, mut media_type) = session.manifest(&wanted).await?;
    if let Some(digest) = &session.reference.digest {
        verify(&manifest, digest)?;
    }
    let mut digest = super::digest_of(Algorithm::Sha256, &manifest)?;
    if is_index(&media_type, &manifest) {
        let chosen = choose(&manifest, access).map_err(|e| format!("{name}: {e}"))?;
        (manifest, media_type) = session.manifest(&chosen.digest.to_string()).await?;
        verify(&manifest, &chosen.digest)?;
        digest = chosen.digest;
    }
    let parsed = Manifest::parse(&manifest).map_err(|e| format!("{name}: {e}"))?;
    let config = session.document(&parsed.config).await?;
    let layers = parsed.layers.iter().map(|layer| (descriptor_of(layer), download(&session, layer, pool))).collect();
    Ok(Image {
        name: name.to_owned(),
        repository: session.reference.repository.clone(),
        tag: session.reference.tag.clone(),
        digest,
        media_type,
        manifest: manifest.into(),
        config: config.into(),
        config_media_type: parsed.config.media_type.clone(),
        layers,
        bare: false,
    })
}

/// `[host/]repository[:tag][@digest]`; without a host it is Docker Hub's, as everywhere.
fn parse(name: &str) -> Result<Reference, String> {
    let (rest, digest) = match name.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|e| format!("{name}: {e}"))?)),
        None => (name, None),
    };
    let (rest, tag) = match rest.rsplit_once(':') {
        Some((rest, tag)) if !tag.contains('/') => (rest, Some(tag.to_owned())),
        _ => (rest, None),
    };
    let (host, repository) = match rest.split_once('/') {
        Some((host, repository)) if host.contains(['.', ':']) || host == "localhost" => (host.to_owned(), repository.to_owned()),
        Some(_) => ("registry-1.docker.io".into(), rest.to_owned()),
        None => ("registry-1.docker.io".into(), format!("library/{rest}")),
    };
    let host = if host == "docker.io" { "registry-1.docker.io".into() } else { host };
    repository.parse::<jinwu_model::RepositoryName>().map_err(|e| format!("{name}: {e} (and no file of that name exists)"))?;
    if let Some(tag) = &tag {
        tag.parse::<jinwu_model::Tag>().map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(Reference { host, repository, tag, digest })
}

fn client(access: &Access) -> Result<Client, String> {
    let mut builder = Client::builder()
        .user_agent(concat!("jinwu-scan/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(20))
        .read_timeout(Duration::from_secs(60))
        .tls_danger_accept_invalid_certs(access.insecure);
    for path in &access.ca {
        let pem = std::fs::read(path).map_err(|e| format!("--ca {}: {e}", path.display()))?;
        for certificate in reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| format!("--ca {}: {e}", path.display()))? {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(|e| format!("TLS client: {e}"))
}

/// Starts the download of a layer into an unlinked file that the worker follows.
fn download(session: &Arc<Session>, layer: &Descriptor, pool: &Pool) -> Content {
    let unscannable = |detail: String| {
        Content::Settled(LayerOutcome::Unscannable { reason: jinwu_model::report::UnscannableReason::Unreadable, detail })
    };
    if LayerKind::of(&layer.media_type) == LayerKind::Foreign {
        return unscannable("a foreign layer is not fetched".into());
    }
    let opened = tempfile::tempfile().and_then(|f| f.try_clone().map(|reader| (f, reader)));
    let (file, reader) = match opened {
        Ok(both) => both,
        Err(e) => return unscannable(format!("temporary file: {e}")),
    };
    let (progress, pending) = pool.analyze(reader, Some(layer.digest.clone()));
    let (session, layer) = (session.clone(), layer.clone());
    tokio::spawn(async move {
        if let Err(e) = session.layer(&layer, file, progress).await {
            eprintln!("jinwu-scan: {}: {e}", layer.digest);
        }
    });
    Content::Running(pending)
}

impl Session {
    /// A GET with whatever the registry asks for by way of authentication.
    async fn get(&self, path: &str) -> Result<Response, String> {
        let url = format!("{}{path}", self.base);
        let accept = ACCEPTED.join(", ");
        for attempt in 0..2 {
            let mut request = self.client.get(&url).header(ACCEPT, &accept);
            if let Some(authorization) = self.authorization.lock().await.as_ref() {
                request = request.header(AUTHORIZATION, authorization);
            }
            let response = request.send().await.map_err(|e| format!("{url}: {}", chain(&e)))?;
            match response.status() {
                StatusCode::UNAUTHORIZED if attempt == 0 => {
                    let header = response.headers().get(WWW_AUTHENTICATE).and_then(|h| h.to_str().ok()).unwrap_or_default();
                    let authorization = self.authorize(header).await?;
                    *self.authorization.lock().await = Some(authorization);
                }
                status if status.is_success() => return Ok(response),
                StatusCode::UNAUTHORIZED => return Err(format!("{url}: 401; check --username and the password, or the auth file")),
                status => {
                    let text = response.text().await.unwrap_or_default();
                    let text: String = text.chars().take(600).collect();
                    return Err(format!("{url}: {status} {text}"));
                }
            }
        }
        Err(format!("{url}: not authorised"))
    }

    /// Answers a challenge: Basic, or a token of the realm (distribution token authentication).
    async fn authorize(&self, challenge: &str) -> Result<String, String> {
        use base64::Engine as _;
        let basic = self.login.as_ref().map(|(user, password)| {
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{}", password.reveal())))
        });
        let (scheme, parameters) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return basic.ok_or_else(|| format!("{} wants a user name and password: give --username and JINWU_REGISTRY_PASSWORD", self.reference.host));
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(format!("{} asks for authentication {scheme:?}, which this does not know", self.reference.host));
        }
        let value = |name: &str| parameter(parameters, name);
        let realm = value("realm").ok_or("the registry's challenge names no realm")?;
        let scope = value("scope").unwrap_or_else(|| format!("repository:{}:pull", self.reference.repository));
        let mut request = self.client.get(&realm).query(&[("scope", scope)]);
        if let Some(service) = value("service") {
            request = request.query(&[("service", service)]);
        }
        if let Some(basic) = basic {
            // The password goes to the realm only where the realm is as protected as the registry.
            if realm.starts_with("https://") || self.base.starts_with("http://") {
                request = request.header(AUTHORIZATION, basic);
            } else {
                return Err(format!("{realm}: the registry wants the password sent without TLS; refused"));
            }
        }
        let response = request.send().await.map_err(|e| format!("{realm}: {}", chain(&e)))?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("{realm}: {status}; check --username and the password, or the auth file"));
        }
        #[derive(serde::Deserialize)]
        struct Token {
            token: Option<String>,
            access_token: Option<String>,
        }
        let token: Token = response.json().await.map_err(|e| format!("{realm}: {}", chain(&e)))?;
        let token = token.token.or(token.access_token).ok_or_else(|| format!("{realm}: no token in the answer"))?;
        Ok(format!("Bearer {token}"))
    }

    async fn manifest(&self, reference: &str) -> Result<(Vec<u8>, String), String> {
        let response = self.get(&format!("/manifests/{reference}")).await?;
        let media_type = response.headers().get(CONTENT_TYPE).and_then(|h| h.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        Ok((limited(response).await?, media_type))
    }

    async fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, String> {
        let bytes = limited(self.get(&format!("/blobs/{}", descriptor.digest)).await?).await?;
        verify(&bytes, &descriptor.digest)?;
        Ok(bytes)
    }

    /// Writes the layer and tells the worker how far it is. Dropping `progress` early aborts the scan.
    async fn layer(&self, layer: &Descriptor, mut file: std::fs::File, progress: Progress) -> Result<(), String> {
        let mut response = self.get(&format!("/blobs/{}", layer.digest)).await?;
        let mut written = 0_u64;
        let mut told = 0_u64;
        let mut hash: (Option<sha2::Sha256>, Option<sha2::Sha512>) = match layer.digest.algorithm() {
            Algorithm::Sha256 => (Some(sha2::Sha256::new()), None),
            Algorithm::Sha512 => (None, Some(sha2::Sha512::new())),
        };
        while let Some(chunk) = response.chunk().await.map_err(|e| chain(&e))? {
            file.write_all(&chunk).map_err(|e| format!("temporary file: {e}"))?;
            if let Some(hash) = &mut hash.0 {
                hash.update(&chunk);
            }
            if let Some(hash) = &mut hash.1 {
                hash.update(&chunk);
            }
            written += chunk.len() as u64;
            if layer.size > 0 && written > layer.size {
                return Err(format!("longer than the {} bytes the manifest says", layer.size));
            }
            if written - told > 256 << 10 {
                told = written;
                progress.available(written);
            }
        }
        let found = match hash {
            (Some(hash), _) => Digest::from_bytes(Algorithm::Sha256, &hash.finalize()),
            (_, Some(hash)) => Digest::from_bytes(Algorithm::Sha512, &hash.finalize()),
            _ => return Err("no hash".into()),
        };
        let found = found.map_err(|e| e.to_string())?;
        if found != layer.digest {
            return Err(format!("the registry sent bytes that hash to {found}"));
        }
        progress.finished(written);
        Ok(())
    }
}

/// A small body, never more than a document may have.
async fn limited(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| chain(&e))? {
        if body.len() + chunk.len() > json::MAX_BYTES {
            return Err(format!("{}: document larger than {} bytes", response.url(), json::MAX_BYTES));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The value of `name="value"` in a challenge.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let mut rest = parameters;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim().trim_start_matches(',').trim();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = next;
    }
    None
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let of = |name: &str| parse(name).map(|r| (r.host, r.repository, r.tag)).unwrap();
        let some = |t: &str| Some(t.to_owned());
        assert_eq!(of("alpine:3.20"), ("registry-1.docker.io".into(), "library/alpine".into(), some("3.20")));
        assert_eq!(of("localhost:5000/a/b"), ("localhost:5000".into(), "a/b".into(), None));
        assert_eq!(of("r.example/a:t"), ("r.example".into(), "a".into(), some("t")));
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(parse(&format!("r.example/a:t@{digest}")).unwrap().digest.unwrap().to_string(), digest);
        assert!(parse("UPPER").is_err() && parse("a@sha256:x").is_err() && parse("a:").is_err());
    }

    #[test]
    fn challenges() {
        let text = r#"realm="https://r.example/token",service="r,1",scope="repository:a:pull,push""#;
        assert_eq!(parameter(text, "service").as_deref(), Some("r,1"));
        assert_eq!(parameter(text, "Scope").as_deref(), Some("repository:a:pull,push"));
        assert_eq!(parameter(text, "error"), None);
        assert_eq!(parameter("==\"", "a"), None);
    }
}
