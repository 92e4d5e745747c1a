//! Compiles the kernel's programs and makes their skeleton.

use anyhow::{Context as _, Result};
use libbpf_cargo::SkeletonBuilder;
use std::path::PathBuf;

fn main() -> Result<()> {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
    std::fs::write(out.join("schema.gen.h"), jinwu_event::header::c())?;
    let target = std::env::var("CARGO_CFG_TARGET_ARCH").context("no target")?;
    let (define, headers) = match target.as_str() {
        "x86_64" => ("-D__TARGET_ARCH_x86", "/usr/include/x86_64-linux-gnu"),
        "aarch64" => ("-D__TARGET_ARCH_arm64", "/usr/include/aarch64-linux-gnu"),
        other => anyhow::bail!("no programs for {other}: the sensor runs on x86_64 and aarch64"),
    };
    SkeletonBuilder::new()
        .source("bpf/sensor.bpf.c")
        .clang_args([define, "-Wall", "-Wno-unused-function", "-Ibpf", "-Ibpf/lib", &format!("-I{}", out.display()), "-isystem", headers])
        .build_and_generate(out.join("sensor.skel.rs"))
        .context("the kernel's programs do not compile: clang, libelf-dev and linux-libc-dev are needed")?;
    println!("cargo:rerun-if-changed=bpf");
    Ok(())
}
