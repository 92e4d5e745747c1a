//! Evidence as files: `E-0001.txt` … with `SHA256SUMS` and `SM3SUMS`, the assessment as JSON and as the
//! record. `sha256sum -c SHA256SUMS` checks them without this program.

use crate::assessment::Assessment;
use crate::render::{Language, markdown};
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Writes everything into `dir`, which is made when it is missing. Files of an earlier assessment there
/// are an error: evidence is not overwritten.
pub fn write(dir: &Path, assessment: &Assessment) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    if std::fs::read_dir(dir)?.next().is_some() {
        let message = format!("{} 不是空目录,证据不覆盖 / is not empty; evidence is not overwritten", dir.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    let (mut sha256, mut sm3) = (String::new(), String::new());
    let mut put = |name: &str, bytes: &[u8]| -> io::Result<()> {
        let _ = writeln!(sha256, "{}  {name}", hex::encode(jinwu_trust::sha256(bytes)));
        let _ = writeln!(sm3, "{}  {name}", hex::encode(jinwu_trust::sm3(bytes)));
        std::fs::write(dir.join(name), bytes)
    };
    for evidence in assessment.evidence() {
        put(&format!("{}.txt", evidence.id), evidence.output.as_bytes())?;
    }
    put("assessment.json", &serde_json::to_vec_pretty(assessment)?)?;
    put("record.zh.md", markdown(assessment, Language::Chinese).as_bytes())?;
    put("record.en.md", markdown(assessment, Language::English).as_bytes())?;
    std::fs::write(dir.join("SHA256SUMS"), sha256)?;
    std::fs::write(dir.join("SM3SUMS"), sm3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_of_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let a = crate::render::tests_assessment();
        write(dir.path(), &a).unwrap();
        let sums = std::fs::read_to_string(dir.path().join("SHA256SUMS")).unwrap();
        assert_eq!(sums.lines().count(), 4);
        for line in sums.lines() {
            let (sum, name) = line.split_once("  ").unwrap();
            assert_eq!(sum, hex::encode(jinwu_trust::sha256(&std::fs::read(dir.path().join(name)).unwrap())), "{name}");
        }
        let sums = std::fs::read_to_string(dir.path().join("SM3SUMS")).unwrap();
        let first = sums.lines().next().unwrap();
        assert_eq!(first, format!("{}  E-0001.txt", a.evidence().next().unwrap().sm3), "a file's sum is the evidence's own");
        assert!(write(dir.path(), &a).is_err(), "evidence is not overwritten");
    }
}
