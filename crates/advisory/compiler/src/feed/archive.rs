//! Compressed files and archives, bounded.

use super::FeedError;
use std::io::Read;

/// Bytes a feed may have uncompressed: sixty times the largest one that ships.
const BOUND: u64 = 256 << 20;
/// Members of an archive.
const MEMBERS: usize = 100_000;

/// Decompresses a `.zst` feed to text.
pub(super) fn text(file: &str, bytes: &[u8]) -> Result<String, FeedError> {
    let decoder = zstd::Decoder::new(bytes).map_err(|e| malformed(file, &e))?;
    let mut out = String::new();
    let read = decoder.take(BOUND + 1).read_to_string(&mut out).map_err(|e| malformed(file, &e))?;
    if read as u64 > BOUND {
        return Err(FeedError::TooLarge { file: file.to_owned(), bound: BOUND });
    }
    Ok(out)
}

/// Visits the text members of a `.tar.zst` whose path `wants` accepts, in the order of the archive: path,
/// content, day of its modification time (`yyyymmdd`).
pub(super) fn members(
    file: &str,
    bytes: &[u8],
    wants: impl Fn(&str) -> bool,
    mut visit: impl FnMut(&str, &str, u32) -> Result<(), FeedError>,
) -> Result<(), FeedError> {
    let decoder = zstd::Decoder::new(bytes).map_err(|e| malformed(file, &e))?;
    let mut archive = tar::Archive::new(decoder.take(BOUND));
    for (n, entry) in archive.entries().map_err(|e| malformed(file, &e))?.enumerate() {
        if n >= MEMBERS {
            return Err(FeedError::TooLarge { file: file.to_owned(), bound: BOUND });
        }
        let mut entry = entry.map_err(|e| malformed(file, &e))?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !wants(&path) {
            continue;
        }
        let day = super::day_of(entry.header().mtime().unwrap_or(0));
        let mut text = String::new();
        entry.read_to_string(&mut text).map_err(|e| malformed(&format!("{file}: {path}"), &e))?;
        visit(&path, &text, day)?;
    }
    Ok(())
}

fn malformed(file: &str, e: &dyn std::fmt::Display) -> FeedError {
    FeedError::Malformed { file: file.to_owned(), detail: e.to_string() }
}

#[cfg(test)]
pub(super) mod tests {
    /// A `.tar.zst` of these members.
    pub(in super::super) fn pack(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(1_591_574_400);
            header.set_cksum();
            tar.append_data(&mut header, path, *content).unwrap();
        }
        zstd::encode_all(&tar.into_inner().unwrap()[..], 1).unwrap()
    }

    #[test]
    fn a_cut_archive_is_an_error_that_names_it() {
        let whole = pack(&[("a/b.json", b"{}")]);
        let error = super::members("x.tar.zst", &whole[..whole.len() / 2], |_| true, |_, _, _| Ok(())).unwrap_err();
        assert!(error.to_string().contains("x.tar.zst"), "{error}");
    }
}
