//! Requests sent at fixed times whether earlier ones were answered or not, so that a server that is slow
//! does not make the load lighter. Latency counts from the time a request was meant to leave.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is asked.
pub(crate) struct Target {
    clients: Vec<reqwest::Client>,
    url: String,
    token: Option<String>,
    body: Box<dyn Fn(u64) -> Bytes + Send + Sync>,
    /// What is wrong with an answer.
    judge: fn(u16, &[u8]) -> Result<(), String>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) sent: u64,
    /// Of good answers, milliseconds, ascending.
    pub(crate) latencies: Vec<f64>,
    /// Other answers by what was wrong with them.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Until the last answer, seconds.
    pub(crate) seconds: f64,
}

/// No answer in this time is a failure.
const PATIENCE: Duration = Duration::from_secs(10);
/// HTTP/2 connections the requests are spread over.
const CONNECTIONS: usize = 4;

impl Target {
    /// `authority` is PEM; `resolve` a host name of the URL and where it is.
    pub(crate) fn new(
        url: &str,
        authority: &[u8],
        resolve: Option<(&str, std::net::SocketAddr)>,
        token: Option<&str>,
        body: impl Fn(u64) -> Bytes + Send + Sync + 'static,
        judge: fn(u16, &[u8]) -> Result<(), String>,
    ) -> anyhow::Result<Target> {
        let client = || -> anyhow::Result<reqwest::Client> {
            let mut builder = reqwest::Client::builder().tls_certs_only([reqwest::Certificate::from_pem(authority)?]).timeout(PATIENCE);
            if let Some((host, address)) = resolve {
                builder = builder.resolve(host, address);
            }
            Ok(builder.build()?)
        };
        let clients = (0..CONNECTIONS).map(|_| client()).collect::<anyhow::Result<_>>()?;
        Ok(Target { clients, url: url.to_owned(), token: token.map(str::to_owned), body: Box::new(body), judge })
    }

    /// One request: when it was answered, and what was wrong.
    async fn ask(&self, n: u64) -> Result<(), String> {
        let mut request = self.clients[n as usize % CONNECTIONS].post(&self.url).header("content-type", "application/json").body((self.body)(n));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.map_err(|e| if e.is_timeout() { "no answer".to_owned() } else { "connection".to_owned() })?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(|_| "cut answer".to_owned())?;
        (self.judge)(status, &body)
    }

    /// One request, for its answer.
    pub(crate) fn once(&self, runtime: &tokio::runtime::Runtime) -> Result<(), String> {
        runtime.block_on(self.ask(0))
    }
}

/// `rate` requests a second for so many seconds.
pub(crate) fn drive(runtime: &tokio::runtime::Runtime, target: &Arc<Target>, rate: f64, seconds: f64) -> Outcome {
    let (say, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let count = (rate * seconds) as u64;
    let start = Instant::now();
    for n in 0..count {
        let meant = start + Duration::from_secs_f64(n as f64 / rate);
        // A sleep is some 60 µs late, which is part of nobody's answer but everybody's figure.
        if let Some(wait) = meant.checked_duration_since(Instant::now()) {
            std::thread::sleep(wait);
        }
        let (target, say) = (target.clone(), say.clone());
        runtime.spawn(async move {
            let result = target.ask(n).await;
            let _ = say.send((result, meant.elapsed()));
        });
    }
    drop(say);
    let mut outcome = Outcome { sent: count, ..Outcome::default() };
    while let Some((result, took)) = heard.blocking_recv() {
        match result {
            Ok(()) => outcome.latencies.push(took.as_secs_f64() * 1e3),
            Err(wrong) => *outcome.failures.entry(wrong).or_default() += 1,
        }
    }
    outcome.seconds = start.elapsed().as_secs_f64();
    outcome.latencies.sort_by(f64::total_cmp);
    outcome
}

impl Outcome {
    /// Milliseconds within which this part of the good answers came.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let n = self.latencies.len();
        let at = ((n as f64 * part).ceil() as usize).clamp(1, n.max(1)) - 1;
        self.latencies.get(at).copied().unwrap_or(f64::NAN)
    }

    /// More than one in a hundred is answered badly, or later than in a second.
    pub(crate) fn gave_way(&self) -> bool {
        let good = self.latencies.iter().filter(|l| **l <= 1000.0).count() as f64;
        good < 0.99 * self.sent as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_giving_way() {
        let outcome = Outcome { sent: 100, latencies: (1..=100).map(f64::from).collect(), ..Outcome::default() };
        assert_eq!((outcome.quantile(0.5), outcome.quantile(0.99), outcome.quantile(1.0)), (50.0, 99.0, 100.0));
        assert!(!outcome.gave_way());
        assert!(Outcome { sent: 102, latencies: vec![1.0; 100], ..Outcome::default() }.gave_way());
        assert!(Outcome { sent: 100, latencies: vec![1001.0; 100], ..Outcome::default() }.gave_way());
        assert!(Outcome::default().quantile(0.5).is_nan());
    }
}
