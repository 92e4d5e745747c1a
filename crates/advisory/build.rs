//! Compiles `content/advisories/` to the database that becomes part of the program.

use jinwu_advisory_compiler::{Sources, compile};
use std::path::PathBuf;

fn main() {
    let content = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../../content/advisories");
    println!("cargo::rerun-if-changed={}", content.display());
    println!("cargo::rerun-if-changed=build.rs");
    let built = Sources::load(&content).map_err(Into::into).and_then(|sources| compile(&sources));
    match built {
        Ok(database) => {
            let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("advisories.db");
            if let Err(e) = std::fs::write(&out, database) {
                println!("cargo::error={}: {e}", out.display());
            }
        }
        Err(e) => println!("cargo::error=advisory database: {e}"),
    }
}
