//! Compiles `probe/`, the program of drills' containers: statically, for the same target, so that it
//! runs in an image of its own.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=probe");
    let variable = |name: &str| std::env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"));
    let out = PathBuf::from(variable("OUT_DIR")).join("probe");
    let status = Command::new(variable("RUSTC"))
        .args(["--edition", "2024", "--crate-type", "bin", "--crate-name", "probe", "-C", "opt-level=s", "-C", "panic=abort"])
        .args(["-C", "strip=symbols", "-C", "target-feature=+crt-static", "-C", "relocation-model=static", "-F", "unsafe_code"])
        .arg("--target")
        .arg(variable("TARGET"))
        .arg("-o")
        .arg(&out)
        .arg("probe/main.rs")
        .status();
    match status {
        Ok(status) if status.success() => {}
        other => panic!("probe/main.rs cannot be compiled: {other:?}"),
    }
}
