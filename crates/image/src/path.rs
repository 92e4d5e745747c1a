//! Paths of tar entries as the scanner names them.

/// Longest path of an entry in bytes; Linux's `PATH_MAX` is 4096.
pub const MAX_PATH: usize = 16 << 10;

/// Prefix of a whiteout's base name (OCI image-spec, "Whiteouts").
pub const WHITEOUT: &str = ".wh.";
/// Base name of the mark that empties a directory.
pub const OPAQUE: &str = ".wh..wh..opq";

/// Normalises as an unpacking runtime does: no leading '/', no empty component, no `.`; `..` goes up
/// and stops at the root. Bytes that are no UTF-8 become `\xNN` and back-slashes that would look like
/// that become `\x5c`, so different names stay different.
pub fn normalise(raw: &[u8]) -> String {
    let mut components: Vec<&[u8]> = Vec::new();
    for component in raw.split(|b| *b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => drop(components.pop()),
            name => components.push(name),
        }
    }
    let mut out = String::with_capacity(raw.len());
    for (i, component) in components.into_iter().enumerate() {
        if i > 0 {
            out.push('/');
        }
        escape(component, &mut out);
    }
    out
}

/// A link target or name as text, escaped as in [`normalise`] but otherwise as written.
pub fn text(raw: &[u8]) -> String {
    let mut out = String::with_capacity(raw.len());
    escape(raw, &mut out);
    out
}

fn escape(raw: &[u8], out: &mut String) {
    for chunk in raw.utf8_chunks() {
        let valid = chunk.valid();
        for (at, c) in valid.char_indices() {
            if c == '\\' && looks_escaped(valid.as_bytes().get(at + 1..at + 4).unwrap_or_default()) {
                out.push_str("\\x5c");
            } else {
                out.push(c);
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
}

/// Whether what follows a back-slash makes it look like one of our escapes.
fn looks_escaped(after: &[u8]) -> bool {
    match after {
        [b'x', b'5', b'c'] => true,
        [b'x', high, low] => matches!(high, b'8'..=b'9' | b'a'..=b'f') && low.is_ascii_hexdigit(),
        _ => false,
    }
}

/// The directory a path is in, and its base name.
pub fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Directory and name joined; an empty directory is the root.
pub fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// Every directory above a path, nearest first, without the root.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.char_indices().rev().filter(|(_, c)| *c == '/').filter_map(|(at, _)| path.get(..at))
}

/// Where a symbolic link at `path` points, as a path in the image.
pub fn resolve(path: &str, target: &str) -> String {
    if target.starts_with('/') {
        return normalise(target.as_bytes());
    }
    normalise(join(split(path).0, target).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalised() {
        for (raw, path) in [
            (&b"/etc//passwd"[..], "etc/passwd"),
            (b"./a/./b/", "a/b"),
            (b"../../etc/x", "etc/x"),
            (b"a/../../b", "b"),
            (b"a\xff\\xff", "a\\xff\\x5cxff"),
            (b"system\\x2dslice", "system\\x2dslice"),
            (b"", ""),
        ] {
            assert_eq!(normalise(raw), path);
        }
        assert_eq!(ancestors("a/b/c").collect::<Vec<_>>(), ["a/b", "a"]);
        assert_eq!(resolve("etc/os-release", "../usr/lib/os-release"), "usr/lib/os-release");
        assert_eq!(resolve("etc/x", "/y"), "y");
    }

    proptest::proptest! {
        #[test]
        fn different_names_stay_different(a in proptest::collection::vec(proptest::num::u8::ANY, 0..12), b in "[\\\\x0-9a-f\u{e9}]{0,12}") {
            let b = b.into_bytes();
            proptest::prop_assert_eq!(a == b, text(&a) == text(&b));
            let path = normalise(&a);
            proptest::prop_assert!(!path.starts_with('/') && !path.split('/').any(|c| c == ".." || c == "."));
            proptest::prop_assert_eq!(&normalise(path.as_bytes()).replace("\\x5c", "\\"), &path.replace("\\x5c", "\\"));
        }
    }
}
