//! Nodes and containers in Prometheus' text format 0.0.4.

use super::meters::Container;
use crate::app::App;
use std::fmt::Write as _;

/// A number of a container.
struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&Container) -> Option<f64>,
}

/// A number of a sensor: name, type, what it is, where it stands.
type Count = (&'static str, &'static str, &'static str, fn(&jinwu_node::protocol::Status) -> u64);

/// Nanoseconds as seconds.
fn seconds(nanoseconds: Option<u64>) -> Option<f64> {
    nanoseconds.map(|n| n as f64 / 1e9)
}

fn plain(number: Option<u64>) -> Option<f64> {
    number.map(|n| n as f64)
}

const METRICS: [Metric; 17] = {
    const fn metric(name: &'static str, kind: &'static str, help: &'static str, value: fn(&Container) -> Option<f64>) -> Metric {
        Metric { name, kind, help, value }
    }
    [
        metric("cpu_seconds_total", "counter", "Processor time used.", |c| seconds(c.now.used.cpu)),
        metric("cpu_limit_cores", "gauge", "Processors it may use.", |c| c.now.used.cpu_limit),
        metric("cpu_throttled_periods_total", "counter", "Periods in which it wanted more processor than it may have.", |c| plain(c.now.used.throttled)),
        metric("cpu_throttled_seconds_total", "counter", "Time it stood still for that.", |c| seconds(c.now.used.throttled_time)),
        metric("memory_bytes", "gauge", "Memory used.", |c| plain(c.now.used.memory)),
        metric("memory_limit_bytes", "gauge", "Memory it may use.", |c| plain(c.now.used.memory_limit)),
        metric("oom_kills_total", "counter", "Processes killed for want of memory.", |c| plain(c.now.used.oom_kills)),
        metric("pids", "gauge", "Processes and threads.", |c| plain(c.now.used.pids)),
        metric("pids_limit", "gauge", "Processes and threads it may have.", |c| plain(c.now.used.pids_limit)),
        metric("disk_read_bytes_total", "counter", "Bytes read from disks.", |c| plain(c.now.used.read_bytes)),
        metric("disk_written_bytes_total", "counter", "Bytes written to disks.", |c| plain(c.now.used.write_bytes)),
        metric("disk_reads_total", "counter", "Reads from disks.", |c| plain(c.now.used.read_operations)),
        metric("disk_writes_total", "counter", "Writes to disks.", |c| plain(c.now.used.write_operations)),
        metric("network_received_bytes_total", "counter", "Bytes received from the network.", |c| plain(c.now.used.received_bytes)),
        metric("network_received_packets_total", "counter", "Packets received from the network.", |c| plain(c.now.used.received_packets)),
        metric("network_sent_bytes_total", "counter", "Bytes sent to the network.", |c| plain(c.now.used.sent_bytes)),
        metric("network_sent_packets_total", "counter", "Packets sent to the network.", |c| plain(c.now.used.sent_packets)),
    ]
};

/// Nodes and the containers that are on them now.
pub(crate) fn text(app: &App) -> String {
    let now = app.now();
    let mut out = String::new();
    let nodes: Vec<_> = app.nodes.list().into_iter().map(|node| (label(&node.name), app.nodes.seen(&node.name))).collect();
    head(&mut out, "jinwu_node_up", "gauge", "Its sensor was heard within the last minute.");
    for (node, seen) in &nodes {
        let up = seen.as_ref().is_some_and(|s| now - s.at <= super::watch::SILENT);
        let _ = writeln!(out, "jinwu_node_up{{node=\"{node}\"}} {}", u8::from(up));
    }
    let counts: [Count; 4] = [
        ("jinwu_node_events_total", "counter", "Events its sensor told since it started.", |s| s.events),
        ("jinwu_node_lost_total", "counter", "Events the kernel's rings lost.", |s| s.lost),
        ("jinwu_node_dropped_total", "counter", "Telemetry dropped for want of room.", |s| s.dropped),
        ("jinwu_node_waiting", "gauge", "Records waiting in its spool.", |s| s.waiting),
    ];
    for (name, kind, help, value) in counts {
        head(&mut out, name, kind, help);
        for (node, seen) in &nodes {
            if let Some(seen) = seen {
                let _ = writeln!(out, "{name}{{node=\"{node}\"}} {}", value(&seen.status));
            }
        }
    }
    let containers = app.nodes.meters.list(None, now, |c| (labels(c), METRICS.map(|m| (m.value)(c))));
    for (n, metric) in METRICS.iter().enumerate() {
        let name = format!("jinwu_container_{}", metric.name);
        head(&mut out, &name, metric.kind, metric.help);
        for (labels, values) in &containers {
            if let Some(Some(value)) = values.get(n) {
                let _ = writeln!(out, "{name}{{{labels}}} {value}");
            }
        }
    }
    out
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn labels(container: &Container) -> String {
    let m = &container.now;
    let all = [("node", &container.node), ("namespace", &m.namespace), ("pod", &m.pod), ("name", &m.name), ("image", &m.image), ("id", &m.id)];
    all.map(|(name, value)| format!("{name}=\"{}\"", label(value))).join(",")
}

/// A label's value, escaped.
fn label(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
