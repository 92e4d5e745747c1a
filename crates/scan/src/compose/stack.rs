//! Layers on each other: what stands in the end.

use crate::analysis::{Finding, LayerAnalysis, Link, NameHash};
use crate::analyzer::ALL;
use jinwu_image::path;
use jinwu_model::Digest;
use std::collections::{BTreeMap, HashSet};

/// The analysed layers of an image, lowest first.
pub(super) struct Stack {
    layers: Vec<Level>,
    /// Links that stand in the end, by path.
    links: BTreeMap<String, Link>,
    /// Symbolic links among them, with where they lead.
    symbolic: Vec<(String, String)>,
}

struct Level {
    digest: Digest,
    analysis: LayerAnalysis,
    whiteouts: HashSet<String>,
    opaque: HashSet<String>,
}

/// Symbolic links followed one after another before it is given up, as in Linux.
const MAX_LINKS_FOLLOWED: usize = 40;

impl Stack {
    pub(super) fn new(layers: Vec<(Digest, LayerAnalysis)>) -> Self {
        let layers: Vec<_> = layers
            .into_iter()
            .map(|(digest, mut analysis)| Level {
                digest,
                whiteouts: std::mem::take(&mut analysis.whiteouts).into_iter().collect(),
                opaque: std::mem::take(&mut analysis.opaque).into_iter().collect(),
                analysis,
            })
            .collect();
        let mut stack = Stack { layers, links: BTreeMap::new(), symbolic: Vec::new() };
        let mut links = BTreeMap::new();
        for (at, level) in stack.layers.iter().enumerate() {
            for link in level.analysis.links.iter().filter(|l| stack.stands(at, &l.path)) {
                links.insert(link.path.clone(), link.clone());
            }
        }
        let symbolic = links.values().filter(|l| !l.hard);
        stack.symbolic = symbolic.map(|l| (l.path.clone(), path::resolve(&l.path, &l.target))).collect();
        stack.links = links;
        stack
    }

    pub(super) fn digest(&self, layer: usize) -> Option<&Digest> {
        self.layers.get(layer).map(|l| &l.digest)
    }

    /// All findings with their layer, lowest layer first.
    pub(super) fn findings(&self) -> impl Iterator<Item = (usize, &Finding)> {
        self.layers.iter().enumerate().flat_map(|(at, level)| level.analysis.findings.iter().map(move |f| (at, f)))
    }

    pub(super) fn levels(&self) -> impl Iterator<Item = (usize, &LayerAnalysis)> {
        self.layers.iter().map(|l| &l.analysis).enumerate()
    }

    /// Links that stand in the end.
    pub(super) fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// Whether what `layer` has at `path` is still there under all upper layers.
    pub(super) fn stands(&self, layer: usize, path: &str) -> bool {
        self.layers.iter().skip(layer + 1).all(|upper| !upper.hides(path))
    }

    /// The package that owns a path, by the lists that stand in the end. Where `bin` is a link to
    /// `usr/bin`, lists may use either name.
    pub(super) fn owner(&self, path: &str) -> Option<&str> {
        self.owner_of(path).or_else(|| {
            self.symbolic.iter().find_map(|(link, target)| {
                let other = |from: &str, to: &str| path.strip_prefix(from)?.strip_prefix('/').map(|rest| path::join(to, rest));
                let alias = other(target, link).or_else(|| other(link, target))?;
                self.owner_of(&alias)
            })
        })
    }

    fn owner_of(&self, path: &str) -> Option<&str> {
        let hash = NameHash::of(path);
        self.levels().find_map(|(at, analysis)| {
            analysis.owners.iter().find_map(|index| index.find_hash(hash).filter(|_| self.stands(at, &index.path)))
        })
    }

    /// Links at or above an analyzer's places that lead to where no analyzer looks.
    pub(super) fn misleading_links(&self) -> Vec<(&Link, &'static str)> {
        let places: Vec<&'static str> = ALL.iter().flat_map(|a| a.places()).copied().collect();
        let mut found = Vec::new();
        for place in &places {
            let Some(link) = self.link_at_or_above(place) else { continue };
            // Following the links must end at a place that is looked at.
            let mut now = (*place).to_owned();
            for _ in 0..MAX_LINKS_FOLLOWED {
                let Some(link) = self.link_at_or_above(&now) else { break };
                let target = if link.hard { link.target.clone() } else { path::resolve(&link.path, &link.target) };
                let rest = now.strip_prefix(&link.path).unwrap_or_default().trim_start_matches('/');
                now = if rest.is_empty() { target } else { path::join(&target, rest) };
            }
            if !places.contains(&now.as_str()) {
                found.push((link, *place));
            }
        }
        found
    }

    fn link_at_or_above(&self, place: &str) -> Option<&Link> {
        let above: Vec<_> = path::ancestors(place).collect();
        above.into_iter().rev().chain(std::iter::once(place)).find_map(|p| self.links.get(p))
    }
}

impl Level {
    /// Whether this layer removes or replaces what lower layers have at a path.
    fn hides(&self, path: &str) -> bool {
        let gone = |p: &str| self.whiteouts.contains(p);
        gone(path)
            || self.analysis.names.writes(path)
            || self.opaque.contains("")
            || path::ancestors(path).any(|a| gone(a) || self.opaque.contains(a) || self.analysis.names.writes_file(a))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Change {
        File(String),
        Directory(String),
        Whiteout(String),
        Opaque(String),
    }

    fn change() -> impl Strategy<Value = Change> {
        let path = proptest::collection::vec("[ab]", 1..4).prop_map(|c| c.join("/"));
        (path, 0..6_u8).prop_map(|(p, kind)| match kind {
            0..=2 => Change::File(p),
            3 => Change::Directory(p),
            4 => Change::Whiteout(p),
            _ => Change::Opaque(p),
        })
    }

    fn analysis(changes: &[Change]) -> LayerAnalysis {
        let digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        let mut a = LayerAnalysis::empty(digest);
        for change in changes {
            match change {
                Change::File(p) => a.names.push(p, false),
                Change::Directory(p) => a.names.push(p, true),
                Change::Whiteout(p) => a.whiteouts.push(p.clone()),
                Change::Opaque(p) => a.opaque.push(p.clone()),
            }
        }
        a.names.seal();
        a
    }

    proptest! {
        /// Against a file system that applies one change after another.
        #[test]
        fn what_stands_is_what_a_runtime_would_show(layers in proptest::collection::vec(proptest::collection::vec(change(), 0..4), 1..5)) {
            let below = |path: &str, directory: &str| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
            // Files of lower layers, with the layer they came with.
            let mut shown: BTreeMap<String, usize> = BTreeMap::new();
            for (at, changes) in layers.iter().enumerate() {
                for change in changes {
                    match change {
                        Change::Whiteout(p) => shown.retain(|f, layer| *layer == at || (f != p && !below(f, p))),
                        Change::Opaque(p) => shown.retain(|f, layer| *layer == at || !below(f, p)),
                        Change::File(p) => shown.retain(|f, layer| *layer == at || (f != p && !below(f, p))),
                        Change::Directory(p) => shown.retain(|f, layer| *layer == at || f != p),
                    }
                }
                let files = changes.iter().filter_map(|c| if let Change::File(p) = c { Some(p) } else { None });
                shown.extend(files.map(|p| (p.clone(), at)));
            }
            let digest: Digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
            let stack = Stack::new(layers.iter().map(|l| (digest.clone(), analysis(l))).collect());
            for (at, changes) in layers.iter().enumerate() {
                for change in changes {
                    if let Change::File(p) = change {
                        prop_assert_eq!(stack.stands(at, p), shown.get(p) == Some(&at), "{} of layer {}", p, at);
                    }
                }
            }
        }
    }
}
