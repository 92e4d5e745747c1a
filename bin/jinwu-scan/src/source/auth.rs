//! Credentials for a registry: given, or from the files that docker, podman and skopeo write.

use base64::Engine as _;
use jinwu_model::Masked;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::PathBuf;

/// What the user gave on the command line or in the environment.
pub(crate) struct Credentials {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Masked>,
    pub(crate) file: Option<PathBuf>,
}

#[derive(Deserialize)]
struct AuthFile {
    #[serde(default)]
    auths: HashMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    auth: Option<Masked>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<Masked>,
}

impl Credentials {
    /// User name and password for a registry host, if there are any.
    pub(super) fn of(&self, host: &str) -> Result<Option<(String, Masked)>, String> {
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Ok(Some((user.clone(), password.clone())));
        }
        let given = self.file.is_some();
        for path in self.file.clone().map_or_else(usual_files, |f| vec![f]) {
            let text = match std::fs::read(&path) {
                Ok(text) => text,
                Err(e) if given => return Err(format!("{}: {e}", path.display())),
                Err(_) => continue,
            };
            let file: AuthFile = serde_json::from_slice(&text).map_err(|e| format!("{}: not an auth file: {e}", path.display()))?;
            for key in names(host) {
                if let Some(found) = file.auths.get(&key).and_then(read) {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }
}

/// Where docker, podman and skopeo keep them.
fn usual_files() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = variable("HOME");
    [
        variable("REGISTRY_AUTH_FILE"),
        variable("XDG_RUNTIME_DIR").map(|d| d.join("containers/auth.json")),
        home.as_ref().map(|h| h.join(".config/containers/auth.json")),
        variable("DOCKER_CONFIG").map(|d| d.join("config.json")),
        home.map(|h| h.join(".docker/config.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Keys a host may stand under.
fn names(host: &str) -> Vec<String> {
    let mut names = vec![host.to_owned(), format!("https://{host}"), format!("https://{host}/v1/"), format!("https://{host}/v2/")];
    if host == "registry-1.docker.io" {
        names.extend(["docker.io".into(), "https://index.docker.io/v1/".into()]);
    }
    names
}

fn read(auth: &Auth) -> Option<(String, Masked)> {
    if let (Some(user), Some(password)) = (&auth.username, &auth.password) {
        return Some((user.clone(), password.clone()));
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(auth.auth.as_ref()?.reveal()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), Masked::new(password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("auth.json");
        std::fs::write(&path, r#"{"auths":{"r.example":{"auth":"dTpwOnc="},"https://q.example/v2/":{"username":"a","password":"b"},"e.example":{}}}"#).unwrap();
        let of = |host: &str| {
            let c = Credentials { username: None, password: None, file: Some(path.clone()) };
            c.of(host).unwrap().map(|(u, p)| format!("{u}/{}", p.reveal()))
        };
        assert_eq!(of("r.example").as_deref(), Some("u/p:w"));
        assert_eq!(of("q.example").as_deref(), Some("a/b"));
        assert_eq!(of("e.example"), None);
        std::fs::write(&path, "[").unwrap();
        assert!(Credentials { username: None, password: None, file: Some(path.clone()) }.of("x").unwrap_err().contains("not an auth file"));
    }
}
