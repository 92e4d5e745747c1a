//! The way into the ledger.

use jinwu_ledger::{Ledger, LedgerError};
use jinwu_model::{Record, RepositoryName};
use std::sync::Arc;

/// Hides secrets in a text; [`jinwu_policy`] and the scanner never see what it hides.
pub type Mask = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Masks and appends; whoever records here waits until it is durable.
#[derive(Clone)]
pub struct Journal {
    ledger: Ledger,
    mask: Mask,
}

impl Journal {
    pub fn new(ledger: Ledger, mask: Mask) -> Self {
        Journal { ledger, mask }
    }

    /// Returns once every record is on disk. On an error what was to be recorded must not happen.
    pub async fn record(&self, mut records: Vec<Record>) -> Result<u64, LedgerError> {
        records.iter_mut().for_each(|r| self.mask_record(r));
        self.ledger.append(records).await
    }

    /// The same for so many that masking them takes a while.
    pub async fn record_many(&self, mut records: Vec<Record>) -> Result<u64, LedgerError> {
        let this = self.clone();
        let masked = tokio::task::spawn_blocking(move || {
            records.iter_mut().for_each(|r| this.mask_record(r));
            records
        });
        let records = masked.await.map_err(|e| LedgerError::Unwritable(format!("masking failed: {e}")))?;
        self.ledger.append(records).await
    }

    /// A text as records would show it.
    pub fn mask(&self, text: &str) -> String {
        (self.mask)(text)
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn mask_record(&self, record: &mut Record) {
        record.object = mask_object(&self.mask, &record.object);
        record.subject.name = clip((self.mask)(&record.subject.name), 200);
        record.detail.values_mut().for_each(|v| self.mask_value(v));
    }

    /// The same for every text inside a value.
    pub fn mask_value(&self, value: &mut serde_json::Value) {
        match value {
            serde_json::Value::String(s) => *s = (self.mask)(s),
            serde_json::Value::Array(list) => list.iter_mut().for_each(|v| self.mask_value(v)),
            serde_json::Value::Object(map) => map.values_mut().for_each(|v| self.mask_value(v)),
            _ => {}
        }
    }
}

/// Objects are `what:name`, `repository:tag` or `repository@digest`. Name and tag are masked one by one:
/// `app/embedded-secret:1.0` is an image, not a secret with the value 1.0, and a record must say which.
fn mask_object(mask: &Mask, object: &str) -> String {
    let parts = object.split_once('@').map(|p| ('@', p)).or_else(|| object.split_once(':').map(|p| (':', p)));
    match parts {
        Some((mark, (name, rest))) if name.parse::<RepositoryName>().is_ok() => format!("{}{mark}{}", mask(name), mask(rest)),
        _ => mask(object),
    }
}

fn clip(text: String, most: usize) -> String {
    if text.chars().count() > most { text.chars().take(most).collect() } else { text }
}

/// Unix milliseconds.
pub fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_whose_name_sounds_secret_keeps_its_tag() {
        let secrets = jinwu_secrets::Scanner::new().unwrap();
        let mask: Mask = Arc::new(move |text| secrets.mask(text));
        let digest = format!("demo/db-password@sha256:{}", "0a".repeat(32));
        for object in ["demo/embedded-secret:attack", "demo/environment-password:1.0", &digest, "account:alice", "api:/ledger", "registry"] {
            assert_eq!(mask_object(&mask, object), *object);
        }
        assert_ne!(mask("demo/embedded-secret:attack"), "demo/embedded-secret:attack", "as free text it is masked");
        assert!(!mask_object(&mask, "account:x password=Hunter2-Hunter3").contains("Hunter2"));
    }
}
