//! Shell patterns (`fnmatch` without flags: `*` and `?` match `/` too) and path prefixes.

use memchr::memmem::Finder;
use std::collections::HashMap;

/// One element of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Element {
    One(char),
    Any,
    Star,
    Class { negative: bool, ranges: Vec<(char, char)> },
}

/// A shell pattern, parsed. Matching takes at most pattern × text steps.
#[derive(Clone, Debug)]
pub(crate) struct Glob {
    elements: Vec<Element>,
    fold: bool,
    /// Of a pattern with stars only.
    pieces: Option<Pieces>,
}

/// The texts between a pattern's stars: its beginning, what follows in this order, its end.
#[derive(Clone, Debug)]
struct Pieces {
    first: Box<str>,
    middle: Vec<Finder<'static>>,
    last: Box<str>,
}

/// Path prefixes by whole components, each of which may be a pattern (`pmatch`).
#[derive(Debug, Default)]
pub(crate) struct PathTree {
    nodes: Vec<PathNode>,
}

#[derive(Debug, Default)]
struct PathNode {
    plain: HashMap<Box<str>, usize>,
    patterns: Vec<(Glob, usize)>,
    ends: bool,
}

/// Whether `text` is of `pattern`, by fnmatch's rules without flags: `*` matches `/` too.
pub fn matches(pattern: &str, text: &str) -> bool {
    Glob::new(pattern, false).holds(text)
}

// === impl Glob ===

impl Glob {
    pub(crate) fn new(pattern: &str, fold: bool) -> Glob {
        let mut elements = Vec::new();
        let characters: Vec<char> = pattern.chars().map(|c| if fold { c.to_ascii_lowercase() } else { c }).collect();
        let mut at = 0;
        while let Some(c) = characters.get(at) {
            at += 1;
            match c {
                '*' if elements.last() == Some(&Element::Star) => {}
                '*' => elements.push(Element::Star),
                '?' => elements.push(Element::Any),
                '\\' if characters.get(at).is_some() => {
                    elements.push(Element::One(characters.get(at).copied().unwrap_or('\\')));
                    at += 1;
                }
                '[' => match class(characters.get(at..).unwrap_or_default()) {
                    Some((element, used)) => {
                        elements.push(element);
                        at += used;
                    }
                    None => elements.push(Element::One('[')),
                },
                other => elements.push(Element::One(*other)),
            }
        }
        let pieces = if fold { None } else { Pieces::of(&elements) };
        Glob { elements, fold, pieces }
    }

    pub(crate) fn holds(&self, text: &str) -> bool {
        match &self.pieces {
            Some(pieces) => pieces.holds(text),
            None => self.walk(text),
        }
    }

    fn walk(&self, text: &str) -> bool {
        let mut place = 0;
        let mut rest = text.chars();
        // Where to go on if what follows the last star does not fit.
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let mut ahead = rest.clone();
            match (self.elements.get(place), ahead.next()) {
                (Some(Element::Star), _) => {
                    retry = Some((place + 1, rest.clone()));
                    place += 1;
                    continue;
                }
                (None, None) => return true,
                (Some(element), Some(c)) if element.accepts(if self.fold { c.to_ascii_lowercase() } else { c }) => {
                    place += 1;
                    rest = ahead;
                    continue;
                }
                _ => {}
            }
            match &mut retry {
                Some((after, from)) => {
                    if from.next().is_none() {
                        return false;
                    }
                    place = *after;
                    rest = from.clone();
                }
                None => return false,
            }
        }
    }

    /// Whether `pattern` has characters that mean something.
    fn special(pattern: &str) -> bool {
        pattern.contains(['*', '?', '[', '\\'])
    }
}

/// A bracket expression after `[`: the element and how many characters it takes.
fn class(characters: &[char]) -> Option<(Element, usize)> {
    let negative = matches!(characters.first(), Some('!' | '^'));
    let mut at = usize::from(negative);
    let begin = at;
    let mut ranges = Vec::new();
    loop {
        let from = *characters.get(at)?;
        if from == ']' && at > begin {
            return Some((Element::Class { negative, ranges }, at + 1));
        }
        match (characters.get(at + 1), characters.get(at + 2)) {
            (Some('-'), Some(to)) if *to != ']' => {
                ranges.push((from, *to));
                at += 3;
            }
            _ => {
                ranges.push((from, from));
                at += 1;
            }
        }
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Glob) -> bool {
        self.elements == other.elements && self.fold == other.fold
    }
}

// === impl Pieces ===

impl Pieces {
    /// `None` if the pattern has other signs than stars, or none of these.
    fn of(elements: &[Element]) -> Option<Pieces> {
        let mut all = vec![String::new()];
        for element in elements {
            match element {
                Element::One(c) => all.last_mut()?.push(*c),
                Element::Star => all.push(String::new()),
                Element::Any | Element::Class { .. } => return None,
            }
        }
        let (first, rest) = all.split_first()?;
        let (last, middle) = rest.split_last()?;
        Some(Pieces { first: first.as_str().into(), middle: middle.iter().map(|m| Finder::new(m.as_bytes()).into_owned()).collect(), last: last.as_str().into() })
    }

    /// The leftmost places suffice: a piece that fits there leaves most to the others.
    fn holds(&self, text: &str) -> bool {
        let Some(rest) = text.strip_prefix(&*self.first).and_then(|r| r.strip_suffix(&*self.last)) else { return false };
        let mut rest = rest.as_bytes();
        self.middle.iter().all(|piece| match piece.find(rest) {
            Some(at) => {
                rest = rest.get(at + piece.needle().len()..).unwrap_or_default();
                true
            }
            None => false,
        })
    }
}

// === impl Element ===

impl Element {
    fn accepts(&self, c: char) -> bool {
        match self {
            Element::One(one) => *one == c,
            Element::Any | Element::Star => true,
            Element::Class { negative, ranges } => ranges.iter().any(|(a, b)| (*a..=*b).contains(&c)) != *negative,
        }
    }
}

// === impl PathTree ===

impl PathTree {
    pub(crate) fn new<'a>(prefixes: impl IntoIterator<Item = &'a str>) -> PathTree {
        let mut tree = PathTree { nodes: vec![PathNode::default()] };
        for prefix in prefixes {
            let mut here = 0;
            for component in components(prefix) {
                let new = tree.nodes.len();
                let Some(node) = tree.nodes.get_mut(here) else { break };
                let next = if Glob::special(component) {
                    let glob = Glob::new(component, false);
                    match node.patterns.iter().find(|(g, _)| *g == glob) {
                        Some((_, next)) => *next,
                        None => {
                            node.patterns.push((glob, new));
                            new
                        }
                    }
                } else {
                    *node.plain.entry(component.into()).or_insert(new)
                };
                if next == new {
                    tree.nodes.push(PathNode::default());
                }
                here = next;
            }
            if let Some(node) = tree.nodes.get_mut(here) {
                node.ends = true;
            }
        }
        tree
    }

    /// Whether one of the prefixes begins `path`.
    pub(crate) fn holds(&self, path: &str) -> bool {
        let mut here = vec![0];
        let ends = |nodes: &[usize]| nodes.iter().any(|n| self.nodes.get(*n).is_some_and(|n| n.ends));
        if ends(&here) {
            return true;
        }
        for component in components(path) {
            let mut next = Vec::new();
            for node in here.iter().filter_map(|n| self.nodes.get(*n)) {
                next.extend(node.plain.get(component).copied());
                next.extend(node.patterns.iter().filter(|(g, _)| g.holds(component)).map(|(_, n)| *n));
            }
            if ends(&next) {
                return true;
            }
            if next.is_empty() {
                return false;
            }
            here = next;
        }
        false
    }
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|c| !c.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_fnmatch() {
        let holds = |p: &str, t: &str| Glob::new(p, false).holds(t);
        assert!(holds("/home/*/.ssh/*", "/home/a/b/.ssh/id"), "a star crosses /");
        assert!(!holds("/home/*/.ssh/*", "/root/.ssh/id"));
        assert!(holds("*../*../*", "/a/../../etc"));
        assert!(holds("a?c", "abc") && !holds("a?c", "ac"));
        assert!(holds("[a-c]x[!0-9]", "bxz") && !holds("[a-c]x[!0-9]", "bx5"));
        assert!(holds("[]]", "]") && holds("[", "[") && holds("\\*", "*") && !holds("\\*", "x"));
        assert!(holds("", "") && !holds("", "a") && holds("*", "") && holds("**a", "bca"));
        assert!(Glob::new("*ABC", true).holds("xabc"));
        assert!(holds("[äö]*", "österreich"));
    }

    #[test]
    fn a_hostile_pattern_stays_quadratic() {
        assert!(!Glob::new(&"*a".repeat(2000), false).holds(&"a".repeat(1999)));
    }

    proptest::proptest! {
        #[test]
        fn pieces_match_what_a_walk_matches(pattern in "[ab/*]{0,8}", text in "[ab/]{0,12}") {
            let glob = Glob::new(&pattern, false);
            assert_eq!(glob.holds(&text), glob.walk(&text), "{pattern} {text}");
        }
    }

    #[test]
    fn prefixes_are_whole_components() {
        let tree = PathTree::new(["/var/run", "/usr/*/share", "/etc"]);
        assert!(tree.holds("/var/run/docker") && tree.holds("/var/run") && !tree.holds("/var/running"));
        assert!(tree.holds("/usr/local/share/x") && !tree.holds("/usr/share"));
        assert!(tree.holds("/etc/passwd") && !tree.holds("/"));
        assert!(PathTree::new(["/"]).holds("/anything"));
        assert!(!PathTree::new([]).holds("/anything"));
    }
}
