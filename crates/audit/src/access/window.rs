//! How long and how completely the use of rights was observed.

use super::Observed;
use std::collections::BTreeMap;

/// A report may come so much later than it is due, milliseconds.
const LATE: i64 = 60_000;
/// The API server says that it dropped events once in so long, milliseconds.
const DROPS: i64 = 10 * 60_000;
/// Shorter than this is no gap, milliseconds.
const MOMENT: i64 = 1_000;

/// A time from … to …, Unix milliseconds.
pub type Span = (i64, i64);

/// What of a window was observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub span: Span,
    /// Of these nothing is known, in order.
    pub gaps: Vec<Span>,
}

/// The window from `from` on, up to the last report. None: nothing was observed at all. `dropped` are the
/// times at which the API server was found to have dropped events; `now` tells a gate that is late from one
/// that is gone.
pub fn window(observed: &[Observed], dropped: &[i64], from: i64, now: i64) -> Option<Window> {
    let end = observed.iter().filter(|o| o.heard).map(|o| o.to).max()?;
    let mut seen: Vec<Span> = observed.iter().filter(|o| o.heard && o.lost == 0).map(|o| (o.from, o.to)).collect();
    seen.sort_unstable();
    let mut gaps = Vec::new();
    let mut at = from;
    for (begin, until) in seen {
        if begin > at {
            gaps.push((at, begin.min(end)));
        }
        at = at.max(until);
    }
    gaps.extend(observed.iter().filter(|o| o.lost > 0).map(|o| (o.from, o.to)));
    gaps.extend(broken(observed, now));
    gaps.extend(dropped.iter().map(|t| (t - DROPS, *t)));
    Some(Window { span: (from, end), gaps: merged(gaps, (from, end)) })
}

/// A gate that ended without a last word took what it had seen with it.
fn broken(observed: &[Observed], now: i64) -> Vec<Span> {
    let mut by_gate: BTreeMap<&str, Vec<&Observed>> = BTreeMap::new();
    for o in observed {
        by_gate.entry(&o.gate).or_default().push(o);
    }
    let mut gaps = Vec::new();
    for series in by_gate.values_mut() {
        series.sort_unstable_by_key(|o| (o.to, o.last));
        series.dedup_by_key(|o| o.to);
        for (n, o) in series.iter().enumerate().filter(|(_, o)| !o.last) {
            let most = o.to + o.every + LATE;
            match series.get(n + 1) {
                Some(next) if next.from > o.to => gaps.push((o.to, next.from.min(most))),
                None if now > o.to + 2 * o.every + LATE => gaps.push((o.to, most)),
                _ => {}
            }
        }
    }
    gaps
}

fn merged(mut gaps: Vec<Span>, (from, end): Span) -> Vec<Span> {
    gaps.sort_unstable();
    let mut out: Vec<Span> = Vec::new();
    for (begin, until) in gaps.into_iter().map(|(a, b)| (a.max(from), b.min(end))).filter(|(a, b)| b - a >= MOMENT) {
        match out.last_mut() {
            Some(last) if begin <= last.1 => last.1 = last.1.max(until),
            _ => out.push((begin, until)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(gate: &str, from: i64, to: i64) -> Observed {
        Observed { gate: gate.into(), from: from * 1000, to: to * 1000, every: 300_000, heard: true, last: false, lost: 0 }
    }

    fn gaps(observed: &[Observed], dropped: &[i64], from: i64, now: i64) -> Vec<(i64, i64)> {
        let dropped: Vec<i64> = dropped.iter().map(|t| t * 1000).collect();
        window(observed, &dropped, from * 1000, now * 1000).unwrap().gaps.into_iter().map(|(a, b)| (a / 1000, b / 1000)).collect()
    }

    #[test]
    fn what_no_gate_saw_is_a_gap_and_what_one_saw_is_none() {
        assert_eq!(window(&[], &[], 0, 0), None);
        let whole = [seen("a", 0, 300), seen("a", 300, 600), seen("b", 100, 400)];
        assert_eq!(gaps(&whole, &[], 0, 650), []);
        assert_eq!(gaps(&whole, &[], -3000, 650), [(-3000, 0)], "before there was a gate");
        let mut deaf = whole.clone();
        deaf[1].heard = false;
        assert_eq!(window(&deaf, &[], 0, 650_000).unwrap().span.1, 400_000);
        let mut lossy = whole.clone();
        lossy[1].lost = 3;
        assert_eq!(gaps(&lossy, &[], 0, 650), [(300, 600)], "although the other gate saw some of it");
        assert_eq!(gaps(&[seen("a", 0, 9000)], &[5000], 0, 9000), [(4400, 5000)]);
    }

    #[test]
    fn a_gate_that_ended_without_a_last_word_leaves_a_gap() {
        let both = [seen("a", 0, 300), seen("b", 0, 300), seen("b", 300, 3000)];
        assert_eq!(gaps(&both, &[], 0, 3100), [(300, 660)]);
        let mut orderly = both.clone();
        orderly[0].last = true;
        assert_eq!(gaps(&orderly, &[], 0, 3100), []);
        let again = [seen("a", 0, 300), seen("a", 350, 600), seen("b", 0, 600)];
        assert_eq!(gaps(&again, &[], 0, 650), [(300, 350)], "it began anew");
    }
}
