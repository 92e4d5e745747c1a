//! What rule files require of engine and plugins.

use crate::problem::{Place, Report};
use crate::yaml::Node;

/// The version of Falco's engine whose language this is.
pub(super) const ENGINE: [u32; 3] = [0, 57, 0];

/// Plugins whose fields are built in, and up to which version.
const PLUGINS: [(&str, [u32; 3]); 4] = [("k8saudit", [0, 18, 0]), ("json", [0, 7, 0]), ("container", [0, 4, 0]), ("k8smeta", [0, 1, 0])];

/// Checks `required_engine_version`.
pub(super) fn engine(node: &Node, place: &Place, report: &mut Report) {
    let text = node.text().unwrap_or_default();
    let wanted = match text.parse::<u32>() {
        Ok(n) => Some([0, n, 0]),
        Err(_) => version(text),
    };
    match wanted {
        None => report.fail(place, format!("required_engine_version {text:?} is neither a number nor a version such as 0.57.0")),
        Some(wanted) if wanted > ENGINE => {
            let [a, b, c] = ENGINE;
            report.fail(place, format!("the file requires engine version {text}, this one is {a}.{b}.{c}: use an older release of the rules"));
        }
        Some(_) => {}
    }
}

/// Checks `required_plugin_versions`: one of each entry's names must be built in.
pub(super) fn plugins(node: &Node, place: &Place, report: &mut Report) {
    let Some(entries) = node.list() else {
        report.fail(place, "required_plugin_versions is a list of name and version");
        return;
    };
    for entry in entries {
        let alternatives = entry.get("alternatives").and_then(Node::list).unwrap_or_default();
        let satisfied = std::iter::once(entry).chain(alternatives).any(|one| {
            let wanted = one.get("version").and_then(Node::text).and_then(version);
            let ours = PLUGINS.iter().find(|(n, _)| one.get("name").and_then(Node::text) == Some(n)).map(|(_, v)| *v);
            matches!((wanted, ours), (Some(wanted), Some(ours)) if wanted.first() == ours.first() && wanted <= ours)
        });
        if !satisfied {
            let name = entry.get("name").and_then(Node::text).unwrap_or("?");
            let known: Vec<String> = PLUGINS.iter().map(|(n, [a, b, c])| format!("{n} {a}.{b}.{c}")).collect();
            let at = Place { line: entry.line, ..place.clone() };
            report.fail(&at, format!("plugin {name} in this version is not built in ({}): use an older release of the rules", known.join(", ")));
        }
    }
}

fn version(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split(['-', '+']).next()?.split('.').map(|p| p.parse().ok());
    let version = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(version)
}
