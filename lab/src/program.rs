//! Programs of others, and our own as built.

use anyhow::{Context as _, bail};
use std::path::PathBuf;
use std::process::{Command, Output};

/// A binary of this workspace, beside the test's own.
pub fn built(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let dir = test.parent().and_then(|deps| deps.parent()).context("no target folder")?;
    let path = dir.join(name);
    anyhow::ensure!(path.exists(), "{} is not built; `./x test` builds it, or: cargo build -p {name}", path.display());
    Ok(path)
}

/// A program that `./x test` installs; absent it is an error, never a skip.
pub fn installed(name: &str) -> anyhow::Result<PathBuf> {
    let cached = std::env::var_os("JINWU_CACHE").map(|c| PathBuf::from(c).join("bin").join(name));
    if let Some(path) = cached.filter(|p| p.exists()) {
        return Ok(path);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| p.exists()) {
        Some(found) => Ok(found),
        None => bail!("{name} is not installed; `./x test` installs it"),
    }
}

/// Runs to the end and wants success; what it printed comes back or stands in the error.
pub fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}\n{}", output.status, said(&output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Everything a program printed.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
