//! Writes `docs/LANGUAGE/rules-kubernetes.md`: `cargo run -p jinwu-detect --example reference -- zh > docs/zh/rules-kubernetes.md`.
#![forbid(unsafe_code)]

use jinwu_detect::reference::{Language, reference};
use jinwu_detect::{RuleSet, content};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let language = match std::env::args().nth(1).as_deref() {
        Some("zh") => Language::Chinese,
        Some("en") => Language::English,
        _ => return Err("usage: reference zh|en".into()),
    };
    let (rules, _) = RuleSet::load(&content::kubernetes())?;
    print!("{}", reference(&rules, language));
    Ok(())
}
