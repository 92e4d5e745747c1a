//! The way to a pod in a custom kind.

use std::fmt;
use std::str::FromStr;

/// Steps a path may have.
pub const MAX_STEPS: usize = 16;

/// Bytes a path may have.
const MAX_BYTES: usize = 512;

/// A JSON path of plain steps: `spec.template`, `.spec.jobs[*].template`, `spec.replicaSpecs.*.template`,
/// `spec['my.name'].pod`. `[*]` and `.*` mean every item of a list or member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodPath {
    steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Member(String),
    Item(usize),
    Every,
}

/// Why a path is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("path {path:?}: {detail}: write it like spec.template or spec.jobs[*].template")]
pub struct PathError {
    path: String,
    detail: &'static str,
}

// === impl PodPath ===

impl PodPath {
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Names with dots between; empty for the object itself.
    pub(super) fn of_names(names: &str) -> PodPath {
        PodPath { steps: names.split('.').filter(|n| !n.is_empty()).map(|n| Step::Member(n.to_owned())).collect() }
    }
}

impl FromStr for PodPath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        let refuse = |detail| PathError { path: path.chars().take(100).collect(), detail };
        if path.len() > MAX_BYTES {
            return Err(refuse("too long"));
        }
        let mut rest = path.strip_prefix('{').and_then(|p| p.strip_suffix('}')).unwrap_or(path);
        rest = rest.strip_prefix('$').unwrap_or(rest);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if steps.len() == MAX_STEPS {
                return Err(refuse("too many steps"));
            }
            let (step, after) = match rest.strip_prefix('[') {
                Some(inner) => bracket(inner).ok_or_else(|| refuse("a bracket holds *, a number or a quoted name"))?,
                None => {
                    let name = match rest.strip_prefix('.') {
                        Some(name) => name,
                        None if steps.is_empty() => rest,
                        None => return Err(refuse("a dot is missing after a bracket")),
                    };
                    let end = name.find(['.', '[', ']']).unwrap_or(name.len());
                    let (name, after) = name.split_at(end);
                    match name {
                        "" => return Err(refuse("a name is missing")),
                        "*" => (Step::Every, after),
                        _ => (Step::Member(name.to_owned()), after),
                    }
                }
            };
            steps.push(step);
            rest = after;
        }
        if steps.is_empty() {
            return Err(refuse("it is empty"));
        }
        Ok(PodPath { steps })
    }
}

fn bracket(inner: &str) -> Option<(Step, &str)> {
    for quote in ['\'', '"'] {
        if let Some(quoted) = inner.strip_prefix(quote) {
            let (name, after) = quoted.split_once(quote)?;
            let after = after.strip_prefix(']')?;
            return (!name.is_empty()).then(|| (Step::Member(name.to_owned()), after));
        }
    }
    let (content, after) = inner.split_once(']')?;
    match content {
        "*" => Some((Step::Every, after)),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => Some((Step::Item(digits.parse().ok()?), after)),
        _ => None,
    }
}

impl fmt::Display for PodPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut at = String::new();
        for step in &self.steps {
            match step {
                Step::Member(name) => push_member(&mut at, name),
                Step::Item(n) => at.push_str(&format!("[{n}]")),
                Step::Every => at.push_str("[*]"),
            }
        }
        f.write_str(&at)
    }
}

/// Goes on by one member; a name that is no plain word stands in brackets.
pub(super) fn push_member(at: &mut String, name: &str) {
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !plain {
        at.push_str(&format!("[{}]", crate::shown::quoted(name)));
        return;
    }
    if !at.is_empty() {
        at.push('.');
    }
    at.push_str(&crate::shown::plain(name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_written() {
        for (path, written) in [
            ("spec.template", "spec.template"),
            (".spec.jobs[*].template", "spec.jobs[*].template"),
            ("{$.spec.jobs[2].template}", "spec.jobs[2].template"),
            ("spec.replicaSpecs.*.template", "spec.replicaSpecs[*].template"),
            ("spec['a.b'].pod", "spec[\"a.b\"].pod"),
        ] {
            assert_eq!(path.parse::<PodPath>().map(|p| p.to_string()).as_deref(), Ok(written));
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let long = "a.".repeat(MAX_STEPS) + "a";
        for path in ["", ".", "$", "a..b", "a[", "a[x]", "a['b]", "a[*]b", "a]", "a[-1]", "a[99999999999999999999]", &long, &"a".repeat(513)] {
            assert!(path.parse::<PodPath>().is_err(), "{path}");
        }
    }
}
