//! The ledger: durable appends, verification, search.

use crate::machine;
use crate::table::{Series, Table, number};
use anyhow::Context as _;
use jinwu_ledger::{Config, Ledger, Query};
use jinwu_model::{Kind, Record, Subject};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// 记录条数 / records to write
    #[arg(long, default_value_t = 2_000_000)]
    records: u64,
    /// 并发写入者 / appenders at once
    #[arg(long, default_value_t = 64)]
    appenders: usize,
    /// 每次写入的条数 / records of one append
    #[arg(long, default_value_t = 256)]
    batch: u64,
    /// 数据目录所在 / where the ledger is kept
    #[arg(long)]
    folder: Option<PathBuf>,
    /// 另存为 markdown / also write the tables here
    #[arg(long)]
    output: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = match &arguments.folder {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let config = Config::under(folder.path(), jinwu_trust::SigningKey::load_or_create(&folder.path().join("key.pem"))?);
    let (dir, heads) = (config.dir.clone(), config.heads.clone());
    let ledger = Ledger::open(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut table = Table::new(&["what", "budget", "measured"]);

    let (done, seconds) = runtime.block_on(append(&ledger, arguments.records, arguments.appenders, arguments.batch))?;
    table.row(vec![
        format!("append, durable and chained, {} appenders × {} records", arguments.appenders, arguments.batch),
        "≥ 500 000 /s".into(),
        format!("{} /s", number(done as f64 / seconds)),
    ]);
    let (single, seconds) = runtime.block_on(append(&ledger, 20_000, arguments.appenders, 1))?;
    table.row(vec![
        format!("append, {} appenders × 1 record (one API call each)", arguments.appenders),
        String::new(),
        format!("{} /s", number(single as f64 / seconds)),
    ]);
    let start = Instant::now();
    // A search waits for the index, but not for ever; here it is asked until it has caught up.
    while let Err(error) = runtime.block_on(ledger.search(Query { limit: Some(1), ..Query::default() })) {
        anyhow::ensure!(start.elapsed() < Duration::from_secs(900), "the index does not catch up: {error}");
    }
    table.row(vec!["index caught up, after the last append".into(), String::new(), format!("{} s", number(start.elapsed().as_secs_f64()))]);

    let total = done + single;
    for (name, query, budget) in queries(total) {
        let (mut first, mut warm, mut found) = (None, Series::default(), 0);
        for _ in 0..5 {
            let start = Instant::now();
            found = runtime.block_on(ledger.search(query.clone()))?.len();
            let time = start.elapsed().as_secs_f64() * 1000.0;
            if first.is_none() {
                first = Some(time);
            } else {
                warm.push(time);
            }
        }
        let first = first.map(number).unwrap_or_default();
        table.row(vec![format!("search: {name} ({found} found)"), budget.into(), format!("{first} ms first, then {} ms", warm.text())]);
    }
    drop(ledger);
    std::thread::sleep(Duration::from_millis(300));

    let bytes = size_of(&dir)?;
    let known = jinwu_ledger::Head::read_all(&heads)?;
    let start = Instant::now();
    let verified = jinwu_ledger::verify(&dir, Some(&known))?;
    let seconds = start.elapsed().as_secs_f64();
    anyhow::ensure!(verified.faults.is_empty(), "the ledger that was just written does not verify: {:?}", verified.faults);
    let plain = plain_bytes(total);
    table.row(vec![
        "verify, every hash (SHA-256 and SM3) and signature".into(),
        "≥ 1 GB/s".into(),
        format!(
            "{} GB/s of records ({} GB/s on disk, {} records/s)",
            number(plain / 1e9 / seconds),
            number(bytes as f64 / 1e9 / seconds),
            number(total as f64 / seconds)
        ),
    ]);
    table.row(vec!["on disk".into(), String::new(), format!("{} bytes a record ({} uncompressed)", number(bytes as f64 / total as f64), number(plain / total as f64))]);
    let out = format!(
        "{}\n\n{}\n{} records in all; load at the end {}\n",
        machine::describe(),
        table.markdown(),
        number(total as f64),
        machine::load()
    );
    println!("{out}");
    if let Some(path) = &arguments.output {
        std::fs::write(path, out).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

async fn append(ledger: &Ledger, records: u64, appenders: usize, batch: u64) -> anyhow::Result<(u64, f64)> {
    let next = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let tasks: Vec<_> = (0..appenders)
        .map(|_| {
            let (ledger, next) = (ledger.clone(), next.clone());
            tokio::spawn(async move {
                let mut done = 0;
                loop {
                    let first = next.fetch_add(batch, Ordering::Relaxed);
                    if first >= records {
                        return Ok::<u64, jinwu_ledger::LedgerError>(done);
                    }
                    ledger.append((first..first + batch).map(record).collect()).await?;
                    done += batch;
                }
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await??;
    }
    Ok((done, start.elapsed().as_secs_f64()))
}

/// Records as a busy installation makes them: pushes and pulls, now and then a denial.
fn record(i: u64) -> Record {
    let mixed = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (kind, action) = match mixed % 100 {
        0..70 => (Kind::Pull, "pull"),
        70..99 => (Kind::Push, "push"),
        _ => (Kind::Denial, "pull"),
    };
    let object = format!("project{}/app{}:1.{}", mixed >> 8 & 63, mixed >> 16 & 255, mixed >> 24 & 15);
    Record::new(1_780_000_000_000 + i as i64, kind, Subject::user(format!("user{}", mixed >> 32 & 1023)), action, object)
        .from(Some(std::net::IpAddr::from([10, 0, (mixed >> 40) as u8, (mixed >> 48) as u8])))
        .with("digest", format!("sha256:{mixed:016x}{:016x}{:016x}{i:016x}", mixed.rotate_left(17), mixed.rotate_left(31)))
        .with("user_agent", "containerd/1.7.27")
}

fn queries(total: u64) -> Vec<(&'static str, Query, &'static str)> {
    let middle = 1_780_000_000_000 + (total / 2) as i64;
    vec![
        ("newest 100", Query { limit: Some(100), ..Query::default() }, "< 1 s"),
        ("one subject, exact", Query { subject: Some("user7".into()), limit: Some(100), ..Query::default() }, "< 1 s"),
        ("one source address", Query { source: Some("10.0.7.7".into()), limit: Some(100), ..Query::default() }, "< 1 s"),
        ("denials in the middle hour", Query { kind: Some(Kind::Denial), since: Some(middle), until: Some(middle + 3_600_000), limit: Some(100), ..Query::default() }, "< 1 s"),
        ("part of an object that is there", Query { object: Some("project7/app77:".into()), limit: Some(100), ..Query::default() }, "< 1 s"),
        ("part of an object that is nowhere", Query { object: Some("nowhere/at-all".into()), limit: Some(100), ..Query::default() }, "< 1 s"),
    ]
}

/// What the records are as JSON lines, estimated from every thousandth.
fn plain_bytes(total: u64) -> f64 {
    let sampled: usize = (0..total).step_by(1000).map(|i| serde_json::to_vec(&record(i)).map_or(0, |v| v.len() + 15)).sum();
    sampled as f64 / total.div_ceil(1000).max(1) as f64 * total as f64
}

fn size_of(dir: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        sum += entry?.metadata()?.len();
    }
    Ok(sum)
}
