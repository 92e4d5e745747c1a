//! What containers of all nodes use, now: a table that is drawn anew every few seconds.

use crate::output::{put, text};
use crate::{Common, output, session};
use jinwu_identity::AdminRole::SecurityAdministrator as Security;
use serde_json::Value;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// 排序 / sorted by
    #[arg(long, value_enum, default_value = "cpu")]
    sort: Sort,
    /// 只看一个节点 / one node only
    #[arg(long)]
    node: Option<String>,
    /// 刷新间隔秒数 / seconds between tables
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// 只显示一次 / once only
    #[arg(long)]
    once: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Sort {
    Cpu,
    Memory,
    Net,
    Disk,
    Pids,
}

/// Draws until it is interrupted; once, where the output is no terminal.
pub(crate) async fn run(common: &Common, args: Args) -> anyhow::Result<ExitCode> {
    let once = args.once || common.json || !std::io::stdout().is_terminal();
    let client = session::open(common, Security).await?;
    loop {
        let answer = fetch(&client, args.node.as_deref(), args.sort).await?;
        if once {
            show(common, &answer, usize::MAX);
            return Ok(ExitCode::SUCCESS);
        }
        // The screen from its upper left corner on; what was below is cleared.
        put!("\x1b[H\x1b[2J");
        show(common, &answer, lines().saturating_sub(2));
        tokio::time::sleep(Duration::from_secs(args.every)).await;
    }
}

/// The containers of a node, once.
pub(crate) async fn once(common: &Common, node: Option<&str>) -> anyhow::Result<ExitCode> {
    let client = session::open(common, Security).await?;
    show(common, &fetch(&client, node, Sort::Cpu).await?, usize::MAX);
    Ok(ExitCode::SUCCESS)
}

/// Lines of the terminal, if it says so.
fn lines() -> usize {
    std::env::var("LINES").ok().and_then(|l| l.parse().ok()).unwrap_or(40)
}

/// Containers of a node or of all, the greediest first.
async fn fetch(client: &crate::client::Client, node: Option<&str>, sort: Sort) -> anyhow::Result<Vec<Value>> {
    let path = node.map_or_else(|| "/containers".to_owned(), |n| format!("/nodes/{}/containers", crate::client::escape(n)));
    let mut all = client.get(&path).await?["containers"].as_array().cloned().unwrap_or_default();
    all.sort_by(|a, b| weight(b, sort).total_cmp(&weight(a, sort)));
    Ok(all)
}

fn weight(container: &Value, sort: Sort) -> f64 {
    let (used, rates) = (&container["use"], &container["rates"]);
    let number = |value: &Value, member: &str| value[member].as_f64().unwrap_or(-1.0);
    match sort {
        Sort::Cpu => number(rates, "cpu"),
        Sort::Memory => number(used, "memory"),
        Sort::Net => number(rates, "received_bytes") + number(rates, "sent_bytes"),
        Sort::Disk => number(rates, "read_bytes") + number(rates, "write_bytes"),
        Sort::Pids => number(used, "pids"),
    }
}

fn show(common: &Common, containers: &[Value], most: usize) {
    if common.json {
        output::json(&Value::Array(containers.to_vec()));
        return;
    }
    let rows: Vec<Vec<String>> = containers.iter().take(most).map(row).collect();
    let header = match common.lang {
        output::Lang::Zh => ["节点", "命名空间/容器组", "容器", "处理器", "限流/s", "内存", "进程", "OOM", "收/s", "发/s", "读/s", "写/s"],
        output::Lang::En => ["node", "namespace/pod", "container", "cpu", "throttled/s", "memory", "pids", "oom", "received/s", "sent/s", "read/s", "written/s"],
    };
    output::table(&header, &rows);
}

fn row(c: &Value) -> Vec<String> {
    let (used, rates) = (&c["use"], &c["rates"]);
    let of = |value: String, limit: Option<String>| limit.map_or_else(|| value.clone(), |l| format!("{value}/{l}"));
    let decimal = |v: &Value| v.as_f64().map_or_else(|| "-".to_owned(), |n| format!("{n:.2}"));
    let rate = |member: &str| rates[member].as_f64().map_or_else(|| "-".to_owned(), size);
    let count = |v: &Value| v.as_u64().map_or_else(|| "-".to_owned(), |n| n.to_string());
    let memory = used["memory"].as_f64().map_or_else(|| "-".to_owned(), size);
    let pod = if text(c, "pod").is_empty() { "-".to_owned() } else { format!("{}/{}", text(c, "namespace"), text(c, "pod")) };
    let id: String = text(c, "id").chars().take(12).collect();
    let name = if text(c, "name").is_empty() { id } else { format!("{} {id}", text(c, "name")) };
    vec![
        text(c, "node"),
        pod,
        name,
        of(decimal(&rates["cpu"]), used["cpu_limit"].as_f64().map(|l| format!("{l:.1}"))),
        decimal(&rates["throttled"]),
        of(memory, used["memory_limit"].as_f64().map(size)),
        of(count(&used["pids"]), used["pids_limit"].as_u64().map(|l| l.to_string())),
        count(&used["oom_kills"]),
        rate("received_bytes"),
        rate("sent_bytes"),
        rate("read_bytes"),
        rate("write_bytes"),
    ]
}

/// Bytes for people: `1.5M`.
fn size(bytes: f64) -> String {
    let mut rest = bytes;
    for unit in ["", "K", "M", "G"] {
        if rest < 1024.0 {
            return if unit.is_empty() || rest >= 100.0 { format!("{rest:.0}{unit}") } else { format!("{rest:.1}{unit}") };
        }
        rest /= 1024.0;
    }
    format!("{rest:.1}T")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sizes_are_short() {
        assert_eq!([0.0, 1023.0, 1536.0, 2e8, 5e9, 3e13].map(size), ["0", "1023", "1.5K", "191M", "4.7G", "27.3T"]);
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_comes_last() {
        let (known, unknown) = (json!({"rates": {"cpu": 0.0}}), json!({"use": {"memory": 5}}));
        assert!(weight(&known, Sort::Cpu) > weight(&unknown, Sort::Cpu));
        assert_eq!(row(&unknown)[3..6], ["-", "-", "5"]);
    }
}
