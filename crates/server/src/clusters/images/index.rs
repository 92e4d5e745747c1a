//! An index: which of its manifests a node of some platform might run.
//!
//! Runtimes read JSON in more than one way (letter case of keys, manifests without a platform), so
//! only what every reading leaves out is left out.

use jinwu_model::{Digest, Text};
use serde_json::{Map, Value};

/// Manifests of an index looked at.
pub(super) const MAX_CHILDREN: usize = 64;

/// Digests of the manifests that may be run on `platform` (`os/architecture[/variant]`), or on any.
pub(super) fn candidates(index: &[u8], platform: Option<&str>) -> Result<Vec<Digest>, Text> {
    let unclear = |detail: &str| Text::new(format!("镜像索引不可读:{detail}"), format!("the index cannot be read: {detail}"));
    let document: Value = serde_json::from_slice(index).map_err(|e| unclear(&e.to_string()))?;
    let document = document.as_object().ok_or_else(|| unclear("not an object"))?;
    if !exact(document, "manifests") {
        return Err(unclear("a key is spelled like manifests in other letters"));
    }
    let children = document.get("manifests").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if children.len() > MAX_CHILDREN {
        return Err(Text::new(
            format!("镜像索引有 {} 个清单,最多检查 {MAX_CHILDREN} 个;按摘要引用具体平台的镜像", children.len()),
            format!("the index has {} manifests, {MAX_CHILDREN} at most are looked at; name the platform's image by digest", children.len()),
        ));
    }
    let mut out = Vec::new();
    for child in children {
        let child = child.as_object().ok_or_else(|| unclear("an entry is not an object"))?;
        if !exact(child, "digest") {
            return Err(unclear("a key is spelled like digest in other letters"));
        }
        if platform.is_some_and(|wanted| is_of_another(child, wanted)) {
            continue;
        }
        let digest = child.get("digest").and_then(Value::as_str).and_then(|d| d.parse().ok());
        let digest: Digest = digest.ok_or_else(|| unclear("an entry has no digest"))?;
        if !out.contains(&digest) {
            out.push(digest);
        }
    }
    Ok(out)
}

/// Whether a child plainly names another operating system or architecture.
fn is_of_another(child: &Map<String, Value>, wanted: &str) -> bool {
    let mut parts = wanted.split('/');
    let (os, architecture) = (parts.next(), parts.next());
    let Some(platform) = child.get("platform").and_then(Value::as_object) else { return false };
    if !exact(child, "platform") || !exact(platform, "os") || !exact(platform, "architecture") {
        return false;
    }
    let named = |key: &str| platform.get(key).and_then(Value::as_str).filter(|v| !v.is_empty());
    let differs = |a: Option<&str>, b: Option<&str>| matches!((a, b), (Some(a), Some(b)) if a != b);
    differs(named("os"), os) || differs(named("architecture"), architecture)
}

/// Whether no key but `name` itself reads as `name` in other letters.
fn exact(map: &Map<String, Value>, name: &str) -> bool {
    map.keys().all(|k| k == name || !k.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(n: u8, rest: &str) -> String {
        format!(r#"{{"digest":"sha256:{}"{rest}}}"#, format!("{n:02x}").repeat(32))
    }

    fn count(children: &[String], platform: Option<&str>) -> Result<usize, Text> {
        candidates(format!(r#"{{"manifests":[{}]}}"#, children.join(",")).as_bytes(), platform).map(|c| c.len())
    }

    #[test]
    fn only_what_plainly_is_of_another_platform_is_left_out() {
        let amd = child(1, r#","platform":{"os":"linux","architecture":"amd64"}"#);
        let arm = child(2, r#","platform":{"os":"linux","architecture":"arm64","variant":"v8"}"#);
        let none = child(3, "");
        let odd = child(4, r#","platform":{"os":"linux","architecture":"arm64","Architecture":"amd64"}"#);
        let attested = child(5, r#","platform":{"os":"unknown","architecture":"unknown"}"#);
        assert_eq!(count(&[amd.clone(), arm.clone(), attested.clone()], Some("linux/amd64")).unwrap(), 1);
        assert_eq!(count(&[amd.clone(), arm.clone(), attested], None).unwrap(), 3);
        assert_eq!(count(std::slice::from_ref(&arm), Some("linux/amd64")).unwrap(), 0);
        assert_eq!(count(std::slice::from_ref(&arm), Some("linux/arm64/v8")).unwrap(), 1);
        assert_eq!(count(&[none, odd], Some("linux/amd64")).unwrap(), 2, "what a runtime might take for ours");
        assert_eq!(count(&[amd.clone(), amd.clone()], Some("linux/amd64")).unwrap(), 1, "once");
        assert!(candidates(br#"{"manifests":[],"Manifests":[]}"#, None).is_err());
        assert!(count(&vec![amd; MAX_CHILDREN + 1], None).is_err());
        for bad in ["", "[]", r#"{"manifests":[1]}"#, r#"{"manifests":[{}]}"#] {
            assert!(candidates(bad.as_bytes(), None).is_err(), "{bad}");
        }
        assert!(candidates(b"{}", None).unwrap().is_empty());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(s in ".{0,120}") {
            let _ = candidates(s.as_bytes(), Some("linux/amd64"));
            let _ = candidates(format!(r#"{{"manifests":[{s}]}}"#).as_bytes(), Some(&s));
        }
    }
}
