//! Numbers for Prometheus.

use crate::engine::Ask;
use crate::local::Asker;
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// Metric, its type, its member in what is measured, what the member is divided by.
const MEASURED: [(&str, &str, &str, f64); 16] = [
    ("jinwu_container_cpu_seconds_total", "counter", "cpu", 1e9),
    ("jinwu_container_cpu_limit_cores", "gauge", "cpu_limit", 1.0),
    ("jinwu_container_cpu_throttled_periods_total", "counter", "throttled", 1.0),
    ("jinwu_container_cpu_throttled_seconds_total", "counter", "throttled_time", 1e9),
    ("jinwu_container_memory_bytes", "gauge", "memory", 1.0),
    ("jinwu_container_memory_limit_bytes", "gauge", "memory_limit", 1.0),
    ("jinwu_container_oom_kills_total", "counter", "oom_kills", 1.0),
    ("jinwu_container_pids", "gauge", "pids", 1.0),
    ("jinwu_container_pids_limit", "gauge", "pids_limit", 1.0),
    ("jinwu_container_disk_read_bytes_total", "counter", "read_bytes", 1.0),
    ("jinwu_container_disk_written_bytes_total", "counter", "write_bytes", 1.0),
    ("jinwu_container_disk_reads_total", "counter", "read_operations", 1.0),
    ("jinwu_container_network_received_bytes_total", "counter", "received_bytes", 1.0),
    ("jinwu_container_network_sent_bytes_total", "counter", "sent_bytes", 1.0),
    ("jinwu_container_network_received_packets_total", "counter", "received_packets", 1.0),
    ("jinwu_container_network_sent_packets_total", "counter", "sent_packets", 1.0),
];

const OWN: [(&str, &str, &str); 7] = [
    ("jinwu_agent_events_total", "counter", "events"),
    ("jinwu_agent_records_total", "counter", "records"),
    ("jinwu_agent_alarms_total", "counter", "alarms"),
    ("jinwu_agent_events_lost_total", "counter", "lost"),
    ("jinwu_agent_records_waiting", "gauge", "waiting"),
    ("jinwu_agent_records_dropped_total", "counter", "dropped"),
    ("jinwu_agent_containers", "gauge", "containers"),
];

/// Answers `GET /metrics` on `address`, one at a time.
///
/// # Errors
/// The address is taken.
pub(crate) fn serve(address: SocketAddr, asker: Asker) -> Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("{address} cannot be listened on"))?;
    std::thread::Builder::new().name("metrics".into()).spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
            let mut head = [0; 1024];
            let read = stream.read(&mut head).unwrap_or(0);
            let wanted = head.get(..read).is_some_and(|h| h.starts_with(b"GET /metrics"));
            let (status, body) = match wanted.then(|| text(&asker)) {
                Some(Ok(body)) => ("200 OK", body),
                Some(Err(error)) => ("503 Service Unavailable", error),
                None => ("404 Not Found", "GET /metrics\n".into()),
            };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        }
    })?;
    Ok(())
}

fn text(asker: &Asker) -> Result<String, String> {
    if !asker.is_ready() {
        return Err("the sensor is starting\n".into());
    }
    let status = asker.ask(Ask::Status)?;
    let containers = asker.ask(Ask::Containers)?;
    let mut text = String::new();
    for (name, kind, member) in OWN {
        if let Some(value) = status.get(member).and_then(Value::as_f64) {
            let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
        }
    }
    let containers: &[Value] = containers.as_array().map_or(&[], Vec::as_slice);
    for (name, kind, member, divisor) in MEASURED {
        let mut lines = String::new();
        for container in containers {
            let Some(value) = container.get("use").and_then(|u| u.get(member)).and_then(Value::as_f64) else { continue };
            let _ = writeln!(lines, "{name}{{{}}} {}", labels(container), value / divisor);
        }
        if !lines.is_empty() {
            let _ = write!(text, "# TYPE {name} {kind}\n{lines}");
        }
    }
    Ok(text)
}

fn labels(container: &Value) -> String {
    let label = |name: &str| {
        let value = container.get(name).and_then(Value::as_str).unwrap_or_default();
        format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
    };
    ["id", "name", "namespace", "pod", "image"].map(label).join(",")
}
