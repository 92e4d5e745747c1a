//! Query parameters of a request URI.

use std::borrow::Cow;

/// The first value of query parameter `key`, percent-decoded.
pub(super) fn parameter<'a>(uri: &'a str, key: &str) -> Option<Cow<'a, str>> {
    let (_, query) = uri.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name) == key).then(|| decode(value))
    })
}

/// Percent-decoding of a query: `+` is a blank; what is not valid stays as it is.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            (other, _) => {
                bytes.push(*other);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let uri = "/api/v1/namespaces/a/pods/b/exec?command=cat&command=%2Fetc%2Fpasswd&stdin=true&x=a+b&bad=%zz";
        assert_eq!(parameter(uri, "command").as_deref(), Some("cat"), "the first counts");
        assert_eq!(parameter("/x?command=%2Fetc", "command").as_deref(), Some("/etc"));
        assert_eq!(parameter(uri, "x").as_deref(), Some("a b"));
        assert_eq!(parameter(uri, "bad").as_deref(), Some("%zz"));
        assert_eq!(parameter(uri, "tty"), None);
        assert_eq!(parameter("/x", "a"), None);
    }
}
