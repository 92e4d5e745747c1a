//! One vectorised search for many literals (Teddy, by the `aho-corasick` crate).
//!
//! A Teddy search knows at most 64 literals, so they go into as few of them as possible. A match
//! consumes one byte only: no literal hides behind another. Literals that begin with another one
//! share its entry, which keeps "leftmost first" complete.

use crate::{Error, Result};
use aho_corasick::packed::{Config, MatchKind, Searcher};
use std::collections::BTreeMap;

/// Literals per search.
const GROUP: usize = 56;

/// Finds literals and says which of `T` each belongs to.
pub(crate) struct Prefilter {
    groups: Vec<Group>,
}

struct Group {
    searcher: Option<Searcher>,
    literals: Vec<Vec<u8>>,
    /// Owners of each literal (rule indexes).
    owners: Vec<Vec<u32>>,
}

impl Prefilter {
    /// From (literal, owner) pairs. Literals have two bytes or more.
    pub(crate) fn build(pairs: impl IntoIterator<Item = (Vec<u8>, u32)>) -> Result<Self> {
        let mut sorted: BTreeMap<Vec<u8>, Vec<u32>> = BTreeMap::new();
        for (literal, owner) in pairs {
            if literal.len() < 2 {
                return Err(Error::Prefilter(format!("literal {:?} is shorter than two bytes", String::from_utf8_lossy(&literal))));
            }
            sorted.entry(literal).or_default().push(owner);
        }
        // In sorted order a literal's extensions follow it: fold them into it.
        let mut kept: Vec<(Vec<u8>, Vec<u32>)> = Vec::new();
        for (literal, owners) in sorted {
            match kept.last_mut() {
                Some((prefix, all)) if literal.starts_with(prefix) => all.extend(owners),
                _ => kept.push((literal, owners)),
            }
        }
        let mut groups = Vec::new();
        for chunk in kept.chunks(GROUP) {
            let searcher = Config::new().match_kind(MatchKind::LeftmostFirst).builder().extend(chunk.iter().map(|(l, _)| l)).build();
            groups.push(Group {
                searcher,
                literals: chunk.iter().map(|(l, _)| l.clone()).collect(),
                owners: chunk.iter().map(|(_, o)| o.clone()).collect(),
            });
        }
        Ok(Prefilter { groups })
    }

    /// Calls `found(owner, position)` for every literal in `bytes`, group by group, positions
    /// ascending within a group. Returning false ends the search.
    pub(crate) fn search(&self, bytes: &[u8], mut found: impl FnMut(u32, usize) -> bool) {
        for group in &self.groups {
            let mut from = 0;
            while let Some((literal, at)) = group.next(bytes, from) {
                for owner in group.owners.get(literal).into_iter().flatten() {
                    if !found(*owner, at) {
                        return;
                    }
                }
                from = at + 1;
            }
        }
    }

    /// Whether any literal is in `bytes`.
    pub(crate) fn any(&self, bytes: &[u8]) -> bool {
        self.groups.iter().any(|g| g.next(bytes, 0).is_some())
    }
}

impl Group {
    fn next(&self, bytes: &[u8], from: usize) -> Option<(usize, usize)> {
        if from >= bytes.len() {
            return None;
        }
        match &self.searcher {
            Some(s) => s.find_in(bytes, aho_corasick::Span { start: from, end: bytes.len() }).map(|m| (m.pattern().as_usize(), m.start())),
            // A machine without the vector instructions: plain comparison.
            None => (from..bytes.len()).find_map(|at| {
                let here = bytes.get(at..)?;
                self.literals.iter().position(|l| here.starts_with(l)).map(|literal| (literal, at))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_owner_even_when_literals_overlap() {
        let p = Prefilter::build([(b"abc".to_vec(), 0), (b"abcd".to_vec(), 1), (b"bcd".to_vec(), 2), (b"zz".to_vec(), 3)]).unwrap();
        let mut all = Vec::new();
        p.search(b"..abcd..zzz", |o, at| {
            all.push((o, at));
            true
        });
        all.sort_unstable();
        assert_eq!(all, [(0, 2), (1, 2), (2, 3), (3, 8), (3, 9)]);
    }
}
