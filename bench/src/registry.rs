//! The registry beside docker-registry and distribution, its absolute figures, and what inline
//! scanning costs.

use crate::image;
use crate::load::{self, Blobs, CLIENTS, Until};
use crate::machine;
use crate::servers::{self, Server};
use crate::table::{Series, Table, number};
use crate::wire::Client;
use anyhow::Context as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// 轮数 / rounds
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// 每次测量的秒数 / seconds of each measurement that is not counted in pieces
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// 只测这些部分 / only these parts
    #[arg(long, value_delimiter = ',', default_values = ["peers", "absolute", "scan"])]
    parts: Vec<String>,
    /// 数据目录所在 / where servers keep their data
    #[arg(long)]
    folder: Option<PathBuf>,
    /// 另存为 markdown / also write the tables here
    #[arg(long)]
    output: Option<PathBuf>,
}

const MIB: usize = 1 << 20;
const LARGE: usize = 100 * MIB;

/// The operations, their units, and what one piece counts for.
const OPERATIONS: [(&str, &str, f64); 4] = [
    ("push 1 MiB, POST+PATCH+PUT", "/s", 1.0),
    ("push 100 MiB, POST+PATCH+PUT", "MB/s", LARGE as f64 / 1e6),
    ("pull 100 MiB", "GB/s", LARGE as f64 / 1e9),
    ("HEAD manifest by tag", "/s", 1.0),
];

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = match &arguments.folder {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let wants = |part: &str| arguments.parts.iter().any(|p| p == part);
    let mut out = format!("{}\n\n", machine::describe());
    if wants("peers") {
        out.push_str(&peers(arguments, folder.path())?);
    }
    if wants("absolute") {
        out.push_str(&absolute(arguments, folder.path())?);
    }
    if wants("scan") {
        out.push_str(&scan_cost(arguments, folder.path())?);
    }
    out.push_str(&format!("load at the end: {}\n", machine::load()));
    println!("{out}");
    if let Some(path) = &arguments.output {
        std::fs::write(path, out).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Everything over TLS, servers in turn within each round.
fn peers(arguments: &Arguments, folder: &Path) -> anyhow::Result<String> {
    let certificates = servers::certificates(&folder.join("tls"))?;
    let mut measured = vec![
        Server::distribution("docker-registry 2.8.2", "docker-registry", &folder.join("docker-registry"), &certificates)?,
        Server::distribution("distribution 3.1.2", "registry", &folder.join("distribution"), &certificates)?,
        Server::open("Jinwu, scan off", &folder.join("open"), Some(&certificates))?,
        Server::shipped("Jinwu as shipped", &folder.join("shipped"))?,
    ];
    let results = rounds(arguments, &mut measured)?;
    let mut heading = vec!["TLS, 4 clients", "unit"];
    heading.extend(measured.iter().map(|s| s.name));
    let mut table = Table::new(&heading);
    for ((name, unit, _), row) in OPERATIONS.iter().zip(&results) {
        let mut cells = vec![(*name).to_owned(), (*unit).to_owned()];
        cells.extend(row.iter().map(Series::text));
        table.row(cells);
    }
    let mut cells = vec!["peak memory of the server".to_owned(), "MiB".to_owned()];
    cells.extend(measured.iter().map(|s| number(s.peak())));
    table.row(cells);
    Ok(format!("{}\nmedian (range) of {} interleaved rounds\n\n", table.markdown(), arguments.rounds))
}

/// Our registry alone on plain loopback, as the budgets are put.
fn absolute(arguments: &Arguments, folder: &Path) -> anyhow::Result<String> {
    let mut measured = vec![Server::open("Jinwu, plain HTTP", &folder.join("plain"), None)?];
    let results = rounds(arguments, &mut measured)?;
    let budgets = [300.0, 500.0, 3.0, 20_000.0];
    let mut table = Table::new(&["plain HTTP on loopback, 4 clients", "unit", "budget", "measured"]);
    for (((name, unit, _), row), budget) in OPERATIONS.iter().zip(&results).zip(budgets) {
        let text = row.first().map(Series::text).unwrap_or_default();
        table.row(vec![(*name).to_owned(), (*unit).to_owned(), format!("≥ {}", number(budget)), text]);
    }
    Ok(format!("{}\nmedian (range) of {} rounds\n\n", table.markdown(), arguments.rounds))
}

/// `results[operation][server]`.
fn rounds(arguments: &Arguments, measured: &mut [Server]) -> anyhow::Result<Vec<Vec<Series>>> {
    let (small, large) = (Blobs::new(MIB), Blobs::new(LARGE));
    let time = Until::Elapsed(Duration::from_secs_f64(arguments.seconds));
    let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    // What is read: a large blob and a manifest that names a small one.
    let read = large.next();
    for server in measured.iter_mut() {
        server.log_in()?;
        let mut client = Client::connect(&server.endpoint)?;
        let layer = small.next();
        load::push_blob(&mut client, &read.digest, &read.parts())?;
        load::push_blob(&mut client, &layer.digest, &layer.parts())?;
        load::push_blob(&mut client, &load::digest(config), &[config])?;
        let manifest = load::manifest(config, &[("application/vnd.oci.image.layer.v1.tar", &layer.digest, MIB as u64)]);
        load::put_manifest(&mut client, "latest", &manifest).with_context(|| server.name)?;
        // Whoever serves from memory has it there now.
        load::pull_blob(&mut client, &read.digest, LARGE as u64)?;
    }
    let mut results = vec![vec![Series::default(); measured.len()]; OPERATIONS.len()];
    for round in 0..arguments.rounds {
        for (operation, (name, unit, factor)) in OPERATIONS.iter().enumerate() {
            for (at, server) in measured.iter_mut().enumerate() {
                server.log_in()?;
                machine::settle();
                let done = match operation {
                    0 => load::drive(&server.endpoint, CLIENTS, time, |c| {
                        let blob = small.next();
                        load::push_blob(c, &blob.digest, &blob.parts())
                    }),
                    1 => load::drive(&server.endpoint, CLIENTS, Until::Count(3), |c| {
                        let blob = large.next();
                        load::push_blob(c, &blob.digest, &blob.parts())
                    }),
                    2 => load::drive(&server.endpoint, CLIENTS, time, |c| load::pull_blob(c, &read.digest, LARGE as u64)),
                    _ => load::drive(&server.endpoint, CLIENTS, time, |c| load::head_manifest(c, "latest")),
                }
                .with_context(|| server.name)?;
                let rate = done.rate() * factor;
                eprintln!("round {} {name}: {} {} {unit}", round + 1, server.name, number(rate));
                if let Some(series) = results.get_mut(operation).and_then(|r| r.get_mut(at)) {
                    series.push(rate);
                }
            }
        }
    }
    Ok(results)
}

/// One client pushes a large layer that does not compress, to us without and with inline scan; then
/// ordinary layers, and how long after their last byte the manifest is answered.
fn scan_cost(arguments: &Arguments, folder: &Path) -> anyhow::Result<String> {
    let certificates = servers::certificates(&folder.join("tls"))?;
    let open = Server::open("scan off", &folder.join("scan-off"), Some(&certificates))?;
    let mut shipped = Server::shipped("as shipped", &folder.join("scan-on"))?;
    let mut layer = image::gzip(&image::tar_of_one("app/data.bin", &load::noise(7, LARGE))?)?;
    let size = layer.len() as f64 / 1e6;
    let (mut without, mut with) = (Series::default(), Series::default());
    for round in 0..arguments.rounds.max(5) {
        for (server, series) in [(&open, &mut without), (&shipped, &mut with)] {
            // The time stamp in gzip's header makes each another layer with the same content.
            restamp(&mut layer, round as u32 + 1);
            let digest = load::digest(&layer);
            machine::settle();
            let mut client = Client::connect(&server.endpoint)?;
            let start = Instant::now();
            load::push_blob(&mut client, &digest, &[&layer])?;
            series.push(size / start.elapsed().as_secs_f64());
        }
        // The scan may go on after 201; it is not to reach into the next measurement.
        std::thread::sleep(Duration::from_secs(2));
    }
    let mut table = Table::new(&["one client, one 100 MiB layer that does not compress (tar+gzip), TLS", "MB/s"]);
    table.row(vec!["scan off".into(), without.text()]);
    table.row(vec!["as shipped, inline scan".into(), with.text()]);
    table.row(vec!["cost".into(), format!("{:.0} %", 100.0 * (1.0 - with.median() / without.median()))]);
    let mut out = format!("{}\n", table.markdown());

    let mut table = Table::new(&["ordinary layer", "MiB", "push MB/s", "last byte → blob 201, s", "last byte → manifest 201, s", "per 100 MiB"]);
    for (name, path) in image::layers()? {
        let mut layer = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let (mut rate, mut blob, mut verdict) = (Series::default(), Series::default(), Series::default());
        for round in 0..arguments.rounds {
            restamp(&mut layer, round as u32 + 1);
            let (digest, size) = (load::digest(&layer), layer.len());
            let config = format!(r#"{{"architecture":"amd64","os":"linux","config":{{"User":"app"}},"rootfs":{{"type":"layers","diff_ids":[]}},"round":{round}}}"#);
            shipped.log_in()?;
            machine::settle();
            let mut client = Client::connect(&shipped.endpoint)?;
            load::push_blob(&mut client, &load::digest(config.as_bytes()), &[config.as_bytes()])?;
            let start = Instant::now();
            let last_byte = push_timed(&mut client, &digest, &layer)?;
            blob.push(last_byte.elapsed().as_secs_f64());
            rate.push(size as f64 / 1e6 / start.elapsed().as_secs_f64());
            let manifest = load::manifest(config.as_bytes(), &[("application/vnd.oci.image.layer.v1.tar+gzip", &digest, size as u64)]);
            load::put_manifest(&mut client, &format!("v{round}"), &manifest)?;
            verdict.push(last_byte.elapsed().as_secs_f64());
        }
        let mib = layer.len() as f64 / MIB as f64;
        table.row(vec![name, number(mib), rate.text(), blob.text(), verdict.text(), number(verdict.median() * 100.0 / mib)]);
    }
    out.push_str(&format!("{}\none client, TLS, inline scan; median (range)\n\n", table.markdown()));
    Ok(out)
}

/// Pushes a blob and tells when its last byte had been handed to the server.
fn push_timed(client: &mut Client, digest: &str, bytes: &[u8]) -> anyhow::Result<Instant> {
    let path = format!("/v2/{}/blobs/uploads/", servers::REPOSITORY);
    let location = client.expect(202, "POST", &path, "", &[])?.location.context("no Location after POST")?;
    // The answer to PATCH comes when the server has written everything.
    client.expect(202, "PATCH", &location, "", &[bytes])?;
    let last = Instant::now();
    client.expect(201, "PUT", &format!("{location}?digest={digest}"), "", &[])?;
    Ok(last)
}

/// MTIME of a gzip file (RFC 1952 §2.3): bytes 4 to 7 of its header.
fn restamp(gzip: &mut [u8], add: u32) {
    if let Some(field) = gzip.get_mut(4..8) {
        let mut stamp = [0; 4];
        stamp.copy_from_slice(field);
        field.copy_from_slice(&u32::from_le_bytes(stamp).wrapping_add(add).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_time_stamp_is_another_layer_with_the_same_content() {
        use std::io::Read as _;
        let mut layer = image::gzip(b"content").unwrap();
        let before = load::digest(&layer);
        restamp(&mut layer, 1);
        assert_ne!(load::digest(&layer), before);
        let mut content = String::new();
        flate2::read::GzDecoder::new(layer.as_slice()).read_to_string(&mut content).unwrap();
        assert_eq!(content, "content");
    }
}
