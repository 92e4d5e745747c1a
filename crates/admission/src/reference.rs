//! Image references as container runtimes read them.

use jinwu_model::Digest;

/// A reference, taken apart: `docker.io/library/nginx:1.27@sha256:…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageReference {
    /// `host[:port]`; `docker.io` when the text names none.
    pub registry: String,
    /// Path in the registry.
    pub repository: String,
    pub tag: Option<String>,
    pub digest: Option<Digest>,
}

/// Longest reference read, bytes: a host, a name of 255 and a digest fit several times.
const MAX: usize = 1024;

impl ImageReference {
    /// Reads a reference. `None` for what no runtime would pull.
    pub fn parse(text: &str) -> Option<ImageReference> {
        if text.is_empty() || text.len() > MAX || text.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return None;
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse().ok()?)),
            None => (text, None),
        };
        let last = name.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match name.get(last..)?.rfind(':') {
            Some(colon) => (name.get(..last + colon)?, Some(name.get(last + colon + 1..)?.to_owned())),
            None => (name, None),
        };
        if name.is_empty() || tag.as_deref() == Some("") {
            return None;
        }
        // A first part is a host if it looks like one: the rule of the reference grammar.
        let (registry, repository) = match name.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" || host.bytes().any(|b| b.is_ascii_uppercase()) => {
                (host.to_owned(), rest.to_owned())
            }
            Some(_) => ("docker.io".to_owned(), name.to_owned()),
            None => ("docker.io".to_owned(), format!("library/{name}")),
        };
        if repository.is_empty() {
            return None;
        }
        Some(ImageReference { registry, repository, tag, digest })
    }

    /// With registry and tag or digest spelt out, `latest` where neither is given.
    pub fn full(&self) -> String {
        let mut text = format!("{}/{}", self.registry, self.repository);
        match (&self.tag, &self.digest) {
            (Some(tag), _) => text.push_str(&format!(":{tag}")),
            (None, None) => text.push_str(":latest"),
            (None, Some(_)) => {}
        }
        if let Some(digest) = &self.digest {
            text.push_str(&format!("@{digest}"));
        }
        text
    }

    /// The same, bound to a digest. The tag stays for people to read.
    pub fn pinned(&self, digest: &Digest) -> String {
        ImageReference { digest: Some(digest.clone()), ..self.clone() }.full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for (text, full) in [
            ("nginx", "docker.io/library/nginx:latest".to_owned()),
            ("nginx:1.27", "docker.io/library/nginx:1.27".to_owned()),
            ("team/app", "docker.io/team/app:latest".to_owned()),
            ("localhost/app", "localhost/app:latest".to_owned()),
            ("localhost:5443/demo/app:1.0", "localhost:5443/demo/app:1.0".to_owned()),
            ("r.example/a/b/c", "r.example/a/b/c:latest".to_owned()),
            (&format!("r.example:5000/a@{digest}"), format!("r.example:5000/a@{digest}")),
            (&format!("r.example/a:1@{digest}"), format!("r.example/a:1@{digest}")),
        ] {
            let reference = ImageReference::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(reference.full(), full, "{text}");
            assert_eq!(ImageReference::parse(&full).unwrap(), ImageReference::parse(&reference.full()).unwrap());
        }
        for bad in ["", " ", "a b", "nginx:", "@sha256:ab", "a@sha256:zz", "r.example/", "r.example:5000/", &"x".repeat(2000)] {
            assert_eq!(ImageReference::parse(bad), None, "{bad}");
        }
        let reference = ImageReference::parse("nginx:1.27").unwrap();
        assert_eq!(reference.pinned(&digest.parse().unwrap()), format!("docker.io/library/nginx:1.27@{digest}"));
    }
}
