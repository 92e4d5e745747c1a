//! Anonymous denials, bounded.
//!
//! Asking without credentials costs nothing, a durable record does: whoever floods the door must not
//! fill the ledger. Of one source address the first few in a minute are recorded one by one, the
//! rest is counted and recorded as a number.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;

/// Denials of one address recorded one by one in a window.
const EACH: u64 = 30;
/// Milliseconds of a window.
const WINDOW: i64 = 60_000;
/// Addresses remembered at once; more share one count.
const ADDRESSES: usize = 10_000;

#[derive(Default)]
pub struct Fold {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    addresses: HashMap<IpAddr, Window>,
    /// Denials of addresses beyond [`ADDRESSES`].
    others: u64,
}

struct Window {
    begun: i64,
    count: u64,
}

/// Denials that were counted only.
#[derive(Debug, PartialEq, Eq)]
pub struct Folded {
    /// Absent for all addresses beyond the bound together.
    pub source: Option<IpAddr>,
    pub count: u64,
}

impl Fold {
    /// Whether this one is recorded by itself. `now` in Unix milliseconds.
    pub fn one_by_one(&self, source: IpAddr, now: i64) -> bool {
        let mut seen = self.seen.lock();
        if !seen.addresses.contains_key(&source) && seen.addresses.len() >= ADDRESSES {
            seen.others += 1;
            return false;
        }
        let window = seen.addresses.entry(source).or_insert(Window { begun: now, count: 0 });
        window.count += 1;
        window.count <= EACH
    }

    /// What was counted in windows that are over; they begin anew.
    pub fn take(&self, now: i64) -> Vec<Folded> {
        let mut seen = self.seen.lock();
        let mut out = Vec::new();
        seen.addresses.retain(|source, window| {
            let over = now - window.begun >= WINDOW;
            if over && window.count > EACH {
                out.push(Folded { source: Some(*source), count: window.count - EACH });
            }
            !over
        });
        if seen.others > 0 {
            out.push(Folded { source: None, count: std::mem::take(&mut seen.others) });
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_nobody_else_pays() {
        let (fold, flood, other) = (Fold::default(), IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        assert_eq!((0..1000).filter(|_| fold.one_by_one(flood, 0)).count() as u64, EACH);
        assert!(fold.one_by_one(other, 0));
        assert!(fold.take(WINDOW - 1).is_empty());
        assert_eq!(fold.take(WINDOW), [Folded { source: Some(flood), count: 1000 - EACH }]);
        assert!(fold.one_by_one(flood, WINDOW), "a new minute");
    }

    #[test]
    fn memory_is_bounded() {
        let fold = Fold::default();
        for i in 0..ADDRESSES as u32 + 5 {
            fold.one_by_one(IpAddr::from(i.to_be_bytes()), 0);
        }
        assert_eq!(fold.take(1), [Folded { source: None, count: 5 }]);
    }
}
