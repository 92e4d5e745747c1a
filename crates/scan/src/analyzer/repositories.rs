//! `etc/apk/repositories`: where an Alpine image's packages come from; the branch in it says the
//! release when os-release is of a development snapshot.

use super::{Analyzer, Sink, clip, lines};
use crate::analysis::Fact;
use jinwu_image::tar::{Entry, Kind};

pub(super) struct ApkRepositories;

impl Analyzer for ApkRepositories {
    fn id(&self) -> &'static str {
        "apk-repositories"
    }

    fn version(&self) -> u32 {
        1
    }

    fn places(&self) -> &'static [&'static str] {
        &[]
    }

    fn wants(&self, entry: &Entry) -> bool {
        entry.kind == Kind::File && entry.path == "etc/apk/repositories"
    }

    fn analyze(&self, path: &str, bytes: &[u8], sink: &mut Sink) {
        let list = lines(bytes).map(|l| clip(l.trim())).filter(|l| !l.is_empty() && !l.starts_with('#')).take(100).collect();
        sink.fact(path, Fact::Repositories(list));
    }
}
