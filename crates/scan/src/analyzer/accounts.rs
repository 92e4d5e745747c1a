//! `etc/passwd` and `etc/group`: what a user named in the configuration really is.

use super::{Analyzer, Sink, clip, lines};
use crate::analysis::Fact;
use jinwu_image::tar::{Entry, Kind};

pub(super) struct Accounts;

/// Entries kept of one file.
const MAX_ACCOUNTS: usize = 10_000;

impl Analyzer for Accounts {
    fn id(&self) -> &'static str {
        "accounts"
    }

    fn version(&self) -> u32 {
        1
    }

    fn places(&self) -> &'static [&'static str] {
        &["etc/passwd", "etc/group"]
    }

    fn wants(&self, entry: &Entry) -> bool {
        entry.kind == Kind::File && self.places().contains(&entry.path.as_str())
    }

    fn analyze(&self, path: &str, bytes: &[u8], sink: &mut Sink) {
        let accounts = lines(bytes).filter_map(|line| account(line.trim())).take(MAX_ACCOUNTS).collect();
        sink.fact(path, Fact::Accounts(accounts));
    }
}

/// `name:password:id:…`. Runtimes read an id that is no number as 0, and so do we.
fn account(line: &str) -> Option<(String, u32)> {
    if line.is_empty() {
        return None;
    }
    let mut fields = line.split(':');
    let name = fields.next()?;
    let id = fields.nth(1).and_then(|id| id.parse::<i64>().ok()).and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
    Some((clip(name), id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        assert_eq!(account("app:x:1000:1000::/:/bin/sh"), Some(("app".into(), 1000)));
        assert_eq!(account("toor:x:0:0"), Some(("toor".into(), 0)));
        assert_eq!(account("odd:x:none:0"), Some(("odd".into(), 0)));
        assert_eq!(account("short"), Some(("short".into(), 0)));
        assert_eq!(account(""), None);
    }
}
