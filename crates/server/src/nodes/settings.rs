//! What sensors are told to do. What is set for one node stands over what is set for all: modes, files and responses
//! name by name, every other member as a whole.

use super::{NodeError, Nodes};
use jinwu_documents::Write;
use jinwu_model::Mode;
use jinwu_node::{Judge, Settings};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// All nodes.
pub const ALL: &str = "*";
/// Largest settings of one scope, bytes: users' rule files are in them.
const MAX_BYTES: usize = 512 << 10;
/// Members that are set name by name.
const BY_NAME: [&str; 3] = ["modes", "files", "responses"];
/// Modes that are no rule's.
const OWN: [&str; 3] = ["drift", "privileged", "malware"];

/// Members as they were set.
pub type Members = Map<String, Value>;

fn over(below: &Members, above: &Members) -> Members {
    let mut merged = below.clone();
    for (name, value) in above {
        match (merged.get_mut(name), value) {
            (Some(Value::Object(old)), Value::Object(new)) if BY_NAME.contains(&name.as_str()) => old.extend(new.clone()),
            _ => drop(merged.insert(name.clone(), value.clone())),
        }
    }
    merged
}

/// Members as settings.
///
/// # Errors
/// Which member does not fit.
fn read(members: &Members) -> Result<Settings, NodeError> {
    let settings: Settings =
        serde_json::from_value(Value::Object(members.clone())).map_err(|e| NodeError::Invalid(format!("设置不符 / the settings do not fit: {e}")))?;
    for address in &settings.isolated_may_reach {
        if !is_network(address) {
            return Err(NodeError::Invalid(format!(
                "isolated_may_reach: {address:?} 不是地址或网段(如 10.0.0.0/8)/ is no address or network such as 10.0.0.0/8"
            )));
        }
    }
    Ok(settings)
}

fn is_network(text: &str) -> bool {
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let Ok(ip) = address.parse::<std::net::IpAddr>() else { return false };
    let most = if ip.is_ipv4() { 32 } else { 128 };
    length.is_none_or(|l| l.parse::<u8>().is_ok_and(|l| l <= most))
}

/// Chinese and English words for modes become those of documents.
fn plain_words(members: &mut Members) -> Result<(), NodeError> {
    fn word(value: &mut Value) -> Result<(), NodeError> {
        if let Value::String(text) = value {
            *text = text.parse::<Mode>().map_err(NodeError::Invalid)?.as_str().to_owned();
        }
        Ok(())
    }
    for name in OWN {
        members.get_mut(name).map_or(Ok(()), word)?;
    }
    if let Some(Value::Object(modes)) = members.get_mut("modes") {
        modes.values_mut().try_for_each(word)?;
    }
    for scope in members.get_mut("scopes").and_then(Value::as_array_mut).into_iter().flatten() {
        for name in OWN.iter().chain(["most"].iter()) {
            scope.get_mut(*name).map_or(Ok(()), word)?;
        }
    }
    Ok(())
}

/// Whether users' rules still compile, beside the shipped ones, and every mode that was not there before is of a rule.
fn check_rules(before: &Members, after: &Members, merged: &[Members]) -> Result<(), NodeError> {
    let settings = merged.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let same = |member: &str| before.get(member) == after.get(member);
    if same("files") && same("modes") {
        return Ok(());
    }
    let names = |members: &Members| members.get("modes").and_then(Value::as_object).map(|m| m.keys().cloned().collect::<BTreeSet<_>>()).unwrap_or_default();
    let mut fresh: BTreeSet<String> = names(after).difference(&names(before)).cloned().collect();
    let distinct: BTreeMap<&BTreeMap<String, String>, &Settings> = settings.iter().map(|s| (&s.files, s)).collect();
    for settings in distinct.into_values() {
        let (judge, _) = Judge::new(&jinwu_detect::content::node(), settings.clone())
            .map_err(|e| NodeError::Invalid(format!("规则文件有误,未采用 / the rule files are not taken: {e}")))?;
        let set = judge.rules();
        let tagged = |tag: &str| set.rules().iter().map(|r| &r.tags).chain(set.sequences().iter().map(|s| &s.tags)).any(|tags| tags.iter().any(|t| t == tag));
        fresh.retain(|name| !name.strip_prefix("tag:").map_or_else(|| judge.mode(name).is_some(), tagged));
    }
    match fresh.first() {
        Some(name) => Err(NodeError::Invalid(format!(
            "没有名为 {name} 的规则或规则组(tag:名称);规则见文档 rules-node / there is no rule or group (tag:NAME) {name:?}; the page rules-node lists them"
        ))),
        None => Ok(()),
    }
}

// === impl Nodes ===

impl Nodes {
    /// Members set for a scope ([`ALL`] or a node).
    pub fn members(&self, scope: &str) -> Members {
        self.state.read().settings.get(scope).cloned().unwrap_or_default()
    }

    /// What holds for a node; for [`ALL`], for nodes without settings of their own.
    pub fn settings(&self, node: &str) -> Settings {
        let state = self.state.read();
        let empty = Members::new();
        let of = |scope: &str| state.settings.get(scope).unwrap_or(&empty);
        // What was stored was read before.
        read(&over(of(ALL), of(node))).unwrap_or_default()
    }

    /// Replaces what is set for a scope; gives what was set before.
    ///
    /// # Errors
    /// A member does not fit, rules do not compile, a mode is of no rule, or there is no such node.
    pub fn put_settings(&self, scope: &str, mut members: Members) -> Result<Members, NodeError> {
        plain_words(&mut members)?;
        if serde_json::to_vec(&members).map_or(0, |b| b.len()) > MAX_BYTES {
            return Err(NodeError::Invalid(format!("设置超过 {MAX_BYTES} 字节 / the settings are larger than {MAX_BYTES} bytes")));
        }
        self.change_settings(scope, |old| {
            *old = members;
            Ok(())
        })
    }

    /// Sets one mode: `drift`, `privileged`, `malware`, a rule, or a group after `tag:`. Absent: back to what holds without it.
    ///
    /// # Errors
    /// There is no such node, rule or group.
    pub fn put_mode(&self, scope: &str, name: &str, mode: Option<Mode>) -> Result<Members, NodeError> {
        crate::clusters::cluster::text("mode", name, 200).map_err(|e| NodeError::Invalid(e.to_string()))?;
        self.change_settings(scope, |members| {
            let place = if OWN.contains(&name) {
                members
            } else {
                let modes = members.entry("modes").or_insert_with(|| Value::Object(Members::new()));
                modes.as_object_mut().ok_or_else(|| NodeError::Invalid("modes".into()))?
            };
            match mode {
                Some(mode) => drop(place.insert(name.to_owned(), mode.as_str().into())),
                None => drop(place.remove(name)),
            }
            Ok(())
        })
    }

    fn change_settings(&self, scope: &str, change: impl FnOnce(&mut Members) -> Result<(), NodeError>) -> Result<Members, NodeError> {
        let mut state = self.state.write();
        if scope != ALL && !state.nodes.contains_key(scope) {
            return Err(NodeError::Absent(scope.to_owned()));
        }
        let before = state.settings.get(scope).cloned().unwrap_or_default();
        let mut after = before.clone();
        change(&mut after)?;
        let empty = Members::new();
        let mut merged = vec![];
        // Every node's must still be usable.
        if scope == ALL {
            merged.push(after.clone());
            merged.extend(state.settings.iter().filter(|(s, _)| *s != ALL).map(|(_, own)| over(&after, own)));
        } else {
            merged.push(over(state.settings.get(ALL).unwrap_or(&empty), &after));
        }
        check_rules(&before, &after, &merged)?;
        self.store.apply(&[Write::put("settings", scope, &after)?])?;
        state.settings.insert(scope.to_owned(), after);
        drop(state);
        self.changed();
        Ok(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn members(value: Value) -> Members {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn what_a_node_has_of_its_own_stands_over_what_all_have() {
        let all = members(json!({"drift": "block", "modes": {"a": "alert", "b": "block"}, "isolated_may_reach": ["10.0.0.0/8"]}));
        let own = members(json!({"modes": {"b": "allow"}, "isolated_may_reach": []}));
        let settings = read(&over(&all, &own)).unwrap();
        assert_eq!((settings.drift, settings.modes["a"], settings.modes["b"]), (Mode::Block, Mode::Alert, Mode::Allow));
        assert!(settings.isolated_may_reach.is_empty());
    }

    #[test]
    fn words_of_both_languages_fit_and_others_are_named() {
        let mut given = members(json!({"drift": "拦截", "modes": {"a": "放行", "b": "alert"}, "scopes": [{"namespace": "ci", "most": "告警"}]}));
        plain_words(&mut given).unwrap();
        assert_eq!(read(&given).unwrap().scopes[0].most, Some(Mode::Alert));
        assert!(plain_words(&mut members(json!({"drift": "perhaps"}))).unwrap_err().to_string().contains("perhaps"));
        assert!(read(&members(json!({"drifted": "block"}))).unwrap_err().to_string().contains("drifted"));
        for bad in ["10.0.0.0/33", "host", "", "::1/129"] {
            assert!(read(&members(json!({"isolated_may_reach": [bad]}))).is_err(), "{bad}");
        }
    }
}
