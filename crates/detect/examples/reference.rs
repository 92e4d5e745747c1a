//! Writes `docs/LANGUAGE/rules-kubernetes.md` and `rules-node.md`:
//! `cargo run -p jinwu-detect --example reference -- node zh > docs/zh/rules-node.md`.
#![forbid(unsafe_code)]

use jinwu_detect::reference::{Language, reference};
use jinwu_detect::{RuleSet, content};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (source, language) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
    let files = match source.as_str() {
        "kubernetes" => content::kubernetes(),
        "node" => content::node(),
        _ => return Err("usage: reference kubernetes|node zh|en".into()),
    };
    let language = match language.as_str() {
        "zh" => Language::Chinese,
        "en" => Language::English,
        _ => return Err("usage: reference kubernetes|node zh|en".into()),
    };
    let (rules, _) = RuleSet::load(&files)?;
    print!("{}", reference(&rules, language));
    Ok(())
}
