//! Is the gate heard? Requests only it makes, which must come back in the audit stream and by way of
//! the API server's authoriser; and what the API server says it dropped.

use crate::admit::entries;
use crate::state::{Gate, now};
use jinwu_model::{Kind, Outcome, Record, Subject};
use kube::Client;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The reason our authoriser gives: by it the request knows who refused it.
pub(crate) const ANSWERED: &str = "jinwu-canary-answered";
const IMPATIENT: Duration = Duration::from_secs(5);
const NEW: Duration = Duration::from_secs(600);
/// API servers whose counters are remembered at most.
const SERVERS: usize = 16;

/// Sends canaries, for ever.
pub(crate) async fn run(gate: Arc<Gate>, client: Client) {
    let every = Duration::from_secs(gate.config.canary.clamp(1, 3600));
    let mut dropped: HashMap<String, u64> = HashMap::new();
    let begun = Instant::now();
    let mut looked = None;
    loop {
        let sent = now();
        gate.audit.canary_sent.store(sent, Ordering::Relaxed);
        match ask(&client, &format!("{}{}/{sent}", jinwu_audit::CANARY, gate.config.name)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.message.contains(ANSWERED) => gate.audit.authorizer.store(sent, Ordering::Relaxed),
            Err(kube::Error::Api(_)) => {}
            Err(error) => tracing::warn!(%error, "canary"),
        }
        // However often it asks: the metrics of a large API server are some megabytes.
        if looked.is_none_or(|at: Instant| at.elapsed() >= every * 5) {
            looked = Some(Instant::now());
            match ask(&client, "/metrics").await {
                Ok(text) => drops(&gate, &text, &mut dropped).await,
                Err(error) => tracing::warn!(%error, "metrics of the API server"),
            }
        }
        // Until it is heard on both ways it asks more often, in its first minutes: whoever has just set the
        // API server up waits. Later on not: events may all go to another gate.
        let since = sent - 2 * every.as_millis() as i64;
        let heard = [&gate.audit.canary, &gate.audit.authorizer].iter().all(|at| at.load(Ordering::Relaxed) >= since);
        let pause = if heard || begun.elapsed() >= NEW { every } else { every.min(IMPATIENT) };
        tokio::time::sleep(pause).await;
    }
}

async fn ask(client: &Client, path: &str) -> Result<String, kube::Error> {
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    client.request_text(request).await
}

/// Alarms what the API server could not hand over since it was last asked. Several API servers answer
/// in turn; each is known by when it began.
async fn drops(gate: &Gate, text: &str, known: &mut HashMap<String, u64>) {
    let (server, lost) = counted(text);
    if known.len() >= SERVERS && !known.contains_key(&server) {
        known.clear();
    }
    let before = known.insert(server, lost);
    let more = lost.saturating_sub(before.unwrap_or(lost));
    if more == 0 {
        return;
    }
    let record = Record::new(now(), Kind::Alarm, Subject::system("jinwu-gate"), "audit-dropped", "apiserver:audit")
        .outcome(Outcome::Failure)
        .with("count", more)
        .with("finding", format!("API server 丢弃了 {more} 个审计事件 / the API server dropped {more} audit events"))
        .with("advice", "--audit-webhook-batch-buffer-size, --audit-webhook-batch-throttle-qps")
        .with("clauses", vec!["AU-2"]);
    if let Err(error) = gate.spool.append(&entries(vec![record])).await {
        tracing::error!(error, "an alarm could not be recorded");
    }
}

/// Which API server, and how many events it could not hand over.
fn counted(text: &str) -> (String, u64) {
    let value = |line: &str| line.rsplit(' ').next().unwrap_or_default().to_owned();
    let of = |name: &'static str| text.lines().filter(move |l| l.starts_with(name));
    let server = of("process_start_time_seconds").next().map(value).unwrap_or_default();
    let lost = of("apiserver_audit_error_total").filter_map(|l| value(l).parse::<f64>().ok()).sum::<f64>();
    (server, lost as u64)
}

#[cfg(test)]
mod tests {
    #[test]
    fn drops_of_all_plugins_count_for_the_server_that_says_so() {
        let text = "# TYPE apiserver_audit_error_total counter\napiserver_audit_error_total{plugin=\"log\"} 2\napiserver_audit_error_total{plugin=\"webhook\"} 1.5e+03\nprocess_start_time_seconds 1.7e+09\n";
        assert_eq!(super::counted(text), ("1.7e+09".to_owned(), 1502));
        assert_eq!(super::counted(""), (String::new(), 0));
    }
}
