//! The scanner beside Syft: wall time, processor time, peak memory.

use crate::image;
use crate::machine;
use crate::table::{Series, Table, number};
use anyhow::Context as _;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// 轮数 / rounds
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// 不测 Syft / leave Syft out
    #[arg(long)]
    alone: bool,
    /// 另存为 markdown / also write the tables here
    #[arg(long)]
    output: Option<PathBuf>,
}

/// Wall, CPU and memory in several rounds.
#[derive(Default)]
struct Measured {
    wall: Series,
    cpu: Series,
    memory: Series,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut out = format!("{}\n\n", machine::describe());
    let mut table = Table::new(&["image", "MB gz", "program", "wall s", "CPU s", "peak memory MiB"]);
    for (name, layout) in image::images()? {
        let size = image::size(&layout)? as f64 / 1e6;
        let (mut ours, mut syft) = (Measured::default(), Measured::default());
        for round in 0..arguments.rounds {
            let used = machine::run(&mut jinwu(&layout)?, &folder.path().join("jinwu.json"))?;
            eprintln!("round {} {name}: jinwu-scan {:.2} s", round + 1, used.wall.as_secs_f64());
            ours.add(used);
            if !arguments.alone {
                let used = machine::run(&mut peer(&layout)?, &folder.path().join("syft.json"))?;
                eprintln!("round {} {name}: syft {:.2} s", round + 1, used.wall.as_secs_f64());
                syft.add(used);
            }
        }
        table.row(ours.row(&name, size, "jinwu-scan: packages, vulnerabilities, secrets, malware, configuration"));
        if !arguments.alone {
            table.row(syft.row(&name, size, "Syft: packages only"));
        }
        out.push_str(&found(&name, folder.path(), !arguments.alone)?);
    }
    out.push_str(&format!("\n{}\nmedian (range) of {} interleaved rounds; load at the end {}\n", table.markdown(), arguments.rounds, machine::load()));
    println!("{out}");
    if let Some(path) = &arguments.output {
        std::fs::write(path, out).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn jinwu(layout: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(machine::program("jinwu-scan")?);
    command.arg("image").arg(layout).args(["--format", "json", "--lang", "en"]);
    Ok(command)
}

fn peer(layout: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(machine::program("syft")?);
    command.arg("scan").arg(format!("oci-dir:{}", layout.display())).args(["-o", "json", "-q"]).env("SYFT_CHECK_FOR_APP_UPDATE", "false");
    Ok(command)
}

/// How much each found, so that nobody is fast by finding nothing.
fn found(name: &str, folder: &Path, peer: bool) -> anyhow::Result<String> {
    let read = |file: &str| -> anyhow::Result<serde_json::Value> { Ok(serde_json::from_slice(&std::fs::read(folder.join(file))?)?) };
    let count = |value: &serde_json::Value| value.as_array().map_or(0, Vec::len);
    let ours = read("jinwu.json")?;
    let report = if ours["report"].is_object() { &ours["report"] } else { &ours };
    let mut line = format!("{name}: jinwu-scan found");
    for (key, value) in report.as_object().into_iter().flatten().filter(|(_, v)| v.is_array()) {
        line.push_str(&format!(" {} {key},", count(value)));
    }
    if peer {
        line.push_str(&format!(" Syft {} artifacts", count(&read("syft.json")?["artifacts"])));
    }
    Ok(format!("{}\n", line.trim_end_matches(',')))
}

// === impl Measured ===

impl Measured {
    fn add(&mut self, used: machine::Used) {
        self.wall.push(used.wall.as_secs_f64());
        self.cpu.push(used.cpu.as_secs_f64());
        self.memory.push(used.memory as f64 / (1 << 20) as f64);
    }

    fn row(&self, image: &str, size: f64, program: &str) -> Vec<String> {
        vec![image.to_owned(), number(size), program.to_owned(), self.wall.text(), self.cpu.text(), self.memory.text()]
    }
}
