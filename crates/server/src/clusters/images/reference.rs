//! An image reference as a pod names it: registry, repository, tag or digest.

use jinwu_model::{Digest, Reference, RepositoryName, Tag, Text};

/// A reference taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageReference {
    /// `host[:port]`, lower case.
    pub registry: String,
    pub repository: RepositoryName,
    pub tag: Option<Tag>,
    /// Where it stands, the tag says nothing: runtimes pull by digest.
    pub digest: Option<Digest>,
}

/// Longest reference read.
const MAX: usize = 1024;

impl ImageReference {
    /// The first part is a registry when it has a '.' or a ':' or is `localhost`; else the reference
    /// is Docker Hub's, as container runtimes read it.
    pub fn parse(text: &str) -> Result<Self, Text> {
        let bad = |zh: &str, en: &str| {
            let shown: String = text.chars().take(160).collect();
            Text::new(format!("镜像引用 {shown:?} 无效:{zh}"), format!("image reference {shown:?} is invalid: {en}"))
        };
        if text.len() > MAX {
            return Err(bad("超过 1024 字节", "it is longer than 1024 bytes"));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse::<Digest>().map_err(|e| bad("摘要不成形", &e.to_string()))?)),
            None => (text, None),
        };
        let (first, rest) = name.split_once('/').unwrap_or(("", name));
        let is_registry = first.contains(['.', ':']) || first == "localhost";
        let (registry, path) = if is_registry { (first.to_ascii_lowercase(), rest) } else { ("docker.io".to_owned(), name) };
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag.parse::<Tag>().map_err(|e| bad("标签不成形", &e.to_string()))?)),
            None => (path, None),
        };
        let repository: RepositoryName = repository.parse().map_err(|e: jinwu_model::name::NameError| bad("仓库名不成形", &e.to_string()))?;
        Ok(ImageReference { registry, repository, tag, digest })
    }

    /// What its manifest is asked for by; without tag and digest it is `latest`.
    pub fn wanted(&self) -> Option<Reference> {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Some(Reference::Digest(digest.clone())),
            (None, Some(tag)) => Some(Reference::Tag(tag.clone())),
            (None, None) => "latest".parse().ok().map(Reference::Tag),
        }
    }

    /// Whether it is of one of these registries; the port of HTTPS may be left out.
    pub fn is_of(&self, registries: &[String]) -> bool {
        let plain = |r: &str| r.strip_suffix(":443").unwrap_or(r).to_owned();
        registries.iter().any(|r| plain(r) == plain(&self.registry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let parse = |text: &str| ImageReference::parse(text).unwrap();
        let r = parse("LOCALHOST:5443/demo/app:1.0");
        assert_eq!((r.registry.as_str(), r.repository.as_str(), r.tag.as_ref().map(Tag::as_str)), ("localhost:5443", "demo/app", Some("1.0")));
        let r = parse(&format!("localhost:5443/demo/app:1.0@{digest}"));
        assert_eq!(r.wanted().unwrap().to_string(), digest, "the digest counts");
        assert_eq!(parse("localhost/demo/app").wanted().unwrap().to_string(), "latest");
        assert_eq!(parse("nginx").registry, "docker.io");
        assert_eq!(parse("library/nginx:1").registry, "docker.io");
        assert!(parse("registry.example.com/a/b").is_of(&["registry.example.com:443".into()]));
        assert!(!parse("registry.example.com:5000/a/b").is_of(&["registry.example.com".into()]));
        for bad in ["", "localhost:5443/", "localhost:5443/Demo", "a.b/c:..", "a.b/c@sha256:00", &"a".repeat(2000), "a b", "localhost:5443/x@"] {
            assert!(ImageReference::parse(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(s in ".{0,80}") {
            let _ = ImageReference::parse(&s);
        }
    }
}
