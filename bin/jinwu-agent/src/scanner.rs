//! Judges written files: their content goes to the sandboxed scanner, as a layer of one file. What was judged once is
//! known by its hash.

use anyhow::{Context as _, Result};
use jinwu_scan::analysis::{Fact, LayerAnalysis};
use jinwu_scan::client::{LayerOutcome, Pool, PoolConfig};
use jinwu_sensor::files::{Answer, Content, Judge, LARGEST, Question};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::sync::OnceCell;

/// Verdicts remembered.
const MOST: usize = 16_384;
/// Files judged at once.
const AT_ONCE: usize = 4;

struct Scanner {
    program: PathBuf,
    pool: OnceCell<Result<Pool, String>>,
    known: Mutex<HashMap<String, Content>>,
}

/// Where the scanner's program is: beside this one, or where it is installed.
pub(crate) fn program() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|p| p.parent().map(|d| d.join("jinwu-scan")));
    [beside, Some(PathBuf::from("/usr/local/bin/jinwu-scan")), Some(PathBuf::from("/usr/bin/jinwu-scan"))].into_iter().flatten().find(|p| p.is_file())
}

/// Answers the judge's questions for ever. Runs on `runtime`; the scanner starts with the first question.
///
/// # Errors
/// The thread cannot be started.
pub(crate) fn start(judge: Judge, program: PathBuf, runtime: tokio::runtime::Handle) -> std::io::Result<()> {
    std::thread::Builder::new().name("judge".into()).spawn(move || {
        let scanner = Arc::new(Scanner { program, pool: OnceCell::new(), known: Mutex::default() });
        let (answers, questions) = judge.split();
        let answers = Arc::new(answers);
        let room = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
        while let Ok(question) = questions.recv() {
            let (scanner, answers, room) = (scanner.clone(), answers.clone(), room.clone());
            runtime.spawn(async move {
                let _permit = room.acquire().await;
                answers.answer(scanner.judge(question).await);
            });
        }
    })?;
    Ok(())
}

// === impl Scanner ===

impl Scanner {
    async fn judge(&self, question: Question) -> Answer {
        let key = question.key;
        let read = tokio::task::spawn_blocking(move || content(question)).await;
        let (path, bytes) = match read {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => return Answer { key, sha256: String::new(), content: Content::Unjudged(format!("{error:#}")) },
            Err(error) => return Answer { key, sha256: String::new(), content: Content::Unjudged(error.to_string()) },
        };
        let sha256 = hex::encode(jinwu_trust::sha256(&bytes));
        if let Some(content) = self.known.lock().ok().and_then(|k| k.get(&sha256).cloned()) {
            return Answer { key, sha256, content };
        }
        let content = match self.scan(&path, &bytes).await {
            Ok(rules) if rules.is_empty() => Content::Clean,
            Ok(rules) => Content::Malicious(rules),
            Err(why) => Content::Unjudged(why),
        };
        if !matches!(content, Content::Unjudged(_))
            && let Ok(mut known) = self.known.lock()
        {
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(sha256.clone(), content.clone());
        }
        Answer { key, sha256, content }
    }

    async fn scan(&self, path: &str, bytes: &[u8]) -> Result<Vec<String>, String> {
        let start = || async {
            let config = PoolConfig { workers: 1, ..PoolConfig::new(&self.program) };
            Pool::start(config).await.map_err(|e| e.to_string())
        };
        let pool = self.pool.get_or_init(start).await.as_ref().map_err(Clone::clone)?;
        let (layer, size) = layer(path, bytes).map_err(|e| format!("{e:#}"))?;
        match pool.analyze_stored(layer, size, None).await {
            LayerOutcome::Analysis { bytes, .. } => {
                let analysis = LayerAnalysis::from_bytes(&bytes)?;
                let mut rules: Vec<String> = analysis.findings.into_iter().filter_map(|f| if let Fact::Malware(hit) = f.fact { Some(hit.rule) } else { None }).collect();
                rules.sort();
                rules.dedup();
                Ok(rules)
            }
            LayerOutcome::NotALayer => Err("the scanner takes it for no layer".into()),
            LayerOutcome::Unscannable { detail, .. } | LayerOutcome::Busy { detail } => Err(detail),
        }
    }
}

/// Path and content of a question, at most [`LARGEST`] bytes.
fn content(question: Question) -> Result<(String, Vec<u8>)> {
    let mut file = question.file;
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).context("the file cannot be read")?;
    Ok((question.path, bytes))
}

/// A tar archive of one file, in memory.
fn layer(path: &str, bytes: &[u8]) -> Result<(File, u64)> {
    let name = Path::new(path.trim_start_matches('/'));
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o755);
    header.set_entry_type(tar::EntryType::Regular);
    let mut builder = tar::Builder::new(Vec::with_capacity(bytes.len() + 4096));
    builder.append_data(&mut header, if name.as_os_str().is_empty() { Path::new("file") } else { name }, bytes)?;
    let archive = builder.into_inner()?;
    let fd = rustix::fs::memfd_create("jinwu-layer", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(fd);
    file.write_all(&archive)?;
    file.seek(SeekFrom::Start(0))?;
    Ok((file, archive.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_of_one_file() {
        let (file, size) = layer("/var/www/a.php", b"<?php").unwrap();
        assert_eq!(file.metadata().unwrap().len(), size);
        let mut archive = tar::Archive::new(file);
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("var/www/a.php"));
    }
}
