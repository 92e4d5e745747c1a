//! Failpoints: places where a test can end the process as a power cut would.
//!
//! `JINWU_FAILPOINT=name` ends it at the first arrival, `name:n` at the n-th. Unset costs one
//! relaxed load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every failpoint of the crate, in the order a push passes them.
pub const ALL: [&str; 9] = [
    "upload.after-create",
    "upload.after-write",
    "blob.before-sync",
    "blob.after-sync",
    "blob.after-rename",
    "blob.after-dir-sync",
    "meta.before-commit",
    "meta.after-commit",
    "manifest.after-record",
];

struct Armed {
    name: String,
    left: AtomicU64,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

/// Ends the process here if the failpoint is armed.
pub fn hit(name: &'static str) {
    let armed = ARMED.get_or_init(|| {
        let text = std::env::var("JINWU_FAILPOINT").ok()?;
        let (name, n) = text.split_once(':').map_or((text.as_str(), 1), |(a, b)| (a, b.parse().unwrap_or(1)));
        Some(Armed { name: name.to_owned(), left: AtomicU64::new(n) })
    });
    if let Some(armed) = armed
        && armed.name == name
        && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        std::process::abort();
    }
}
