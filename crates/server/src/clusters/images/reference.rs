//! An image reference in the words of our registry. It is read by the very code gates read it with:
//! what two parts of a product read differently, an attacker uses.

use jinwu_admission::reference::ImageReference;
use jinwu_model::{Reference, RepositoryName, Tag, Text};

/// What a reference asks our registry for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) repository: RepositoryName,
    pub(super) reference: Reference,
    /// The tag, where it is by tag: runtimes pull by digest where one stands.
    pub(super) tag: Option<Tag>,
}

/// Reads a reference; `Err` says why it asks our registry, which is called `own`, for nothing.
pub(super) fn read(text: &str, own: &[String]) -> Result<Wanted, Text> {
    let bad = |zh: &str, en: &str| {
        let shown: String = text.chars().filter(|c| !c.is_control()).take(160).collect();
        Text::new(format!("镜像引用 {shown:?} 无效:{zh}"), format!("image reference {shown:?} is invalid: {en}"))
    };
    let read = ImageReference::parse(text).ok_or_else(|| bad("应形如 仓库/项目/名称:标签", "it should look like registry/project/name:tag"))?;
    if !is_of(&read.registry, own) {
        let ours = own.first().map_or("", String::as_str);
        return Err(Text::new(
            format!("镜像来自 {},金吾未曾扫描;推送到 {ours} 后从那里部署", read.registry),
            format!("the image is of {}, which Jinwu has not scanned; push it to {ours} and deploy it from there", read.registry),
        ));
    }
    let repository = read.repository.parse().map_err(|e: jinwu_model::name::NameError| bad("仓库名不成形", &e.to_string()))?;
    if let Some(digest) = read.digest {
        return Ok(Wanted { repository, reference: Reference::Digest(digest), tag: None });
    }
    let tag = read.tag.as_deref().unwrap_or("latest");
    let tag: Tag = tag.parse().map_err(|e: jinwu_model::name::NameError| bad("标签不成形", &e.to_string()))?;
    Ok(Wanted { repository, reference: Reference::Tag(tag.clone()), tag: Some(tag) })
}

/// Whether a registry is one of these; the port of HTTPS may be left out, letter case is none of a host.
fn is_of(registry: &str, own: &[String]) -> bool {
    let plain = |r: &str| r.strip_suffix(":443").unwrap_or(r).to_ascii_lowercase();
    own.iter().any(|r| plain(r) == plain(registry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_ask_our_registry_or_say_why_not() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let own = ["localhost:5443".to_owned(), "registry.example.com".to_owned()];
        let asks = |text: &str| read(text, &own).map(|w| (w.repository.to_string(), w.reference.to_string(), w.tag.is_some()));
        let of = |repository: &str, reference: &str, tag: bool| Ok((repository.to_owned(), reference.to_owned(), tag));
        assert_eq!(asks("localhost:5443/demo/app:1.0"), of("demo/app", "1.0", true));
        assert_eq!(asks("LOCALHOST:5443/demo/app"), of("demo/app", "latest", true));
        assert_eq!(asks(&format!("localhost:5443/demo/app:1.0@{digest}")), of("demo/app", &digest, false), "the digest counts");
        assert_eq!(asks("registry.example.com:443/a/b:1"), of("a/b", "1", true));
        for foreign in ["nginx", "library/nginx:1", "localhost/demo/app", "registry.example.com:5000/a/b", "other.example/a"] {
            assert!(asks(foreign).unwrap_err().en.contains("has not scanned"), "{foreign}");
        }
        for bad in ["", "localhost:5443/", "localhost:5443/Demo", "localhost:5443/c:..", "localhost:5443/c@sha256:00", "a b", "localhost:5443/x@"] {
            assert!(asks(bad).unwrap_err().en.contains("is invalid"), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(s in ".{0,80}") {
            let _ = read(&s, &["localhost:5443".to_owned()]);
            let _ = read(&format!("localhost:5443/{s}"), &["localhost:5443".to_owned()]);
        }
    }
}
