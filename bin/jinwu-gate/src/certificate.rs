//! The gate's certificate, by the server: signed by the authority of its cluster.

use crate::server::Server;
use jinwu_trust::files;
use jinwu_trust::tls::Certificates;
use std::path::Path;

/// Days before its end a certificate is renewed.
const RENEW: i64 = 30;

/// Files of a certificate in a folder.
pub(crate) fn files_of(folder: &Path) -> Certificates {
    Certificates { ca: folder.join("ca.crt"), chain: folder.join("server.crt"), key: folder.join("server.key") }
}

/// Whether what lies in the folder is of this authority (where it is known), for these names, and good
/// for a while yet.
pub(crate) fn is_good(folder: &Path, names: &[String], authority: &str) -> bool {
    let of = files_of(folder);
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let stamp = read(&folder.join("server.stamp"));
    let mut lines = stamp.lines();
    let until = lines.next().and_then(|l| l.parse::<i64>().ok()).unwrap_or(0);
    // One with its authority's key beside it is of a gate that made its own.
    let own = folder.join("ca.key").exists();
    let good_names = lines.next() == Some(names.join(",").as_str());
    let same = authority.is_empty() || read(&of.ca).trim() == authority.trim();
    !own && good_names && same && of.chain.exists() && of.key.exists() && until > crate::state::now() / 1000 + RENEW * 86_400
}

/// A new one from the server, into the folder.
pub(crate) async fn ask(server: &Server, folder: &Path, names: &[String]) -> anyhow::Result<()> {
    let made = server.certificate(names).await?;
    std::fs::create_dir_all(folder)?;
    let _ = std::fs::remove_file(folder.join("ca.key"));
    let of = files_of(folder);
    files::write(&of.ca, made.authority.as_bytes(), 0o644)?;
    files::write(&of.key, made.key.as_bytes(), 0o600)?;
    files::write(&of.chain, made.certificate.as_bytes(), 0o644)?;
    files::write(&folder.join("server.stamp"), format!("{}\n{}\n", made.until, names.join(",")).as_bytes(), 0o644)?;
    Ok(())
}
