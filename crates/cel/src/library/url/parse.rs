//! The parts of a URL.

use std::fmt;

#[derive(Clone, Debug, Default)]
pub struct Url {
    pub(super) scheme: String,
    opaque: String,
    user: Option<String>,
    pub(super) host: String,
    path: String,
    query: Option<String>,
    fragment: Option<String>,
}

/// Where an escape stands; it decides what may be written plainly.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Path,
    Host,
    Query,
    Other,
}

/// Reads an absolute URI or absolute path, as in the first line of a request.
pub(super) fn request(text: &str) -> Result<Url, String> {
    parse(text, true)
}

/// Reads a URL with fragment.
pub(super) fn reference(text: &str) -> Result<Url, String> {
    let (text, fragment) = text.split_once('#').map_or((text, None), |(t, f)| (t, Some(f)));
    let mut url = parse(text, false)?;
    if let Some(fragment) = fragment {
        unescape(fragment, Part::Other)?;
        url.fragment = Some(fragment.to_owned());
    }
    Ok(url)
}

fn parse(text: &str, request: bool) -> Result<Url, String> {
    if text.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return Err("it contains a control character".into());
    }
    if text.is_empty() && request {
        return Err("it is empty".into());
    }
    let mut url = Url::default();
    if text == "*" {
        url.path = "*".into();
        return Ok(url);
    }
    let (scheme, rest) = scheme(text)?;
    url.scheme = scheme.to_ascii_lowercase();
    let (mut rest, query) = rest.split_once('?').map_or((rest, None), |(r, q)| (r, Some(q)));
    url.query = query.map(str::to_owned);
    if !rest.starts_with('/') {
        if !url.scheme.is_empty() {
            url.opaque = rest.to_owned();
            return Ok(url);
        }
        if request {
            return Err("it is neither absolute nor begins with '/'".into());
        }
        if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
            return Err("the first path segment contains a colon".into());
        }
    }
    if (!url.scheme.is_empty() || (!request && !rest.starts_with("///"))) && rest.starts_with("//") {
        let after = rest.get(2..).unwrap_or_default();
        let (authority, path) = after.split_at_checked(after.find('/').unwrap_or(after.len())).unwrap_or((after, ""));
        rest = path;
        let host = match authority.rsplit_once('@') {
            None => authority,
            Some((user, host)) => {
                if !user.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b)) {
                    return Err("the user information is invalid".into());
                }
                unescape(user, Part::Other)?;
                url.user = Some(user.to_owned());
                host
            }
        };
        url.host = read_host(host)?;
    }
    unescape(rest, Part::Path)?;
    url.path = rest.to_owned();
    Ok(url)
}

fn scheme(text: &str) -> Result<(&str, &str), String> {
    for (i, b) in text.bytes().enumerate() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if i > 0 => {}
            b':' if i == 0 => return Err("the scheme is missing".into()),
            b':' => return Ok((text.get(..i).unwrap_or_default(), text.get(i + 1..).unwrap_or_default())),
            _ => break,
        }
    }
    Ok(("", text))
}

fn valid_port(port: &str) -> bool {
    port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()))
}

fn read_host(host: &str) -> Result<String, String> {
    if host.starts_with('[') {
        let Some(end) = host.rfind(']') else { return Err("']' is missing in the host".into()) };
        if !valid_port(host.get(end + 1..).unwrap_or_default()) {
            return Err("the port is invalid".into());
        }
        // The zone of an address may have any escapes.
        if let Some(zone) = host.find("%25").filter(|at| *at < end) {
            let (before, after) = host.split_at_checked(zone).unwrap_or((host, ""));
            let (zone, rest) = after.split_at_checked(end - zone).unwrap_or((after, ""));
            return Ok([unescape(before, Part::Host)?, unescape(zone, Part::Other)?, unescape(rest, Part::Host)?].concat());
        }
    } else if let Some(colon) = host.rfind(':')
        && !valid_port(host.get(colon..).unwrap_or_default()) {
            return Err("the port is invalid".into());
        }
    unescape(host, Part::Host)
}

fn unescape(text: &str, part: Part) -> Result<String, String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        i += 1;
        match b {
            b'%' => {
                let digits = text.get(i..i + 2).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
                let value = digits.and_then(|d| u8::from_str_radix(d, 16).ok()).ok_or("an escape has no two digits")?;
                if part == Part::Host && value < 0x80 && value != b'%' {
                    return Err("the host has an escape it may not have".into());
                }
                out.push(value);
                i += 2;
            }
            b'+' if part == Part::Query => out.push(b' '),
            b if part == Part::Host && b < 0x80 && !(b.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&b)) => {
                return Err(format!("the host has the character {:?}", b as char));
            }
            b => out.push(b),
        }
    }
    Ok(String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

// === impl Url ===

impl Url {
    pub(super) fn escaped_path(&self) -> String {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&b);
        if self.path == "*" || self.path.bytes().all(|b| plain(b) || b"!'()*[]%".contains(&b)) {
            return self.path.clone();
        }
        let mut out = String::with_capacity(self.path.len());
        for b in unescape(&self.path, Part::Path).unwrap_or_default().bytes() {
            if plain(b) {
                out.push(b as char);
            } else {
                out.push_str(&format!("%{b:02X}"));
            }
        }
        out
    }

    fn split_host(&self) -> (&str, &str) {
        let colon = self.host.rfind(':').filter(|at| valid_port(self.host.get(*at..).unwrap_or_default()));
        let (host, port) = match colon {
            Some(at) => (self.host.get(..at).unwrap_or_default(), self.host.get(at + 1..).unwrap_or_default()),
            None => (self.host.as_str(), ""),
        };
        (host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host), port)
    }

    pub(super) fn hostname(&self) -> &str {
        self.split_host().0
    }

    pub(super) fn port(&self) -> &str {
        self.split_host().1
    }

    /// Names and values of the query; what cannot be read is left out.
    pub(super) fn query_pairs(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let pairs = self.query.as_deref().unwrap_or_default().split('&');
        pairs.filter(|pair| !pair.is_empty() && !pair.contains(';')).filter_map(|pair| {
            let (name, content) = pair.split_once('=').unwrap_or((pair, ""));
            Some((unescape(name, Part::Query).ok()?, unescape(content, Part::Query).ok()?))
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.scheme.is_empty() {
            write!(f, "{}:", self.scheme)?;
        }
        f.write_str(&self.opaque)?;
        if !self.host.is_empty() || self.user.is_some() {
            f.write_str("//")?;
        }
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        write!(f, "{}{}", self.host, self.escaped_path())?;
        if let Some(query) = &self.query {
            write!(f, "?{query}")?;
        }
        if let Some(fragment) = &self.fragment {
            write!(f, "#{fragment}")?;
        }
        Ok(())
    }
}
