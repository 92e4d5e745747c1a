//! Programs of the control plane and of nodes, with their settings as they were seen, and what answers on
//! their ports to whoever asks without credentials.

use crate::object::Container;
use jinwu_model::Text;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What was seen beside the API's objects.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Seen {
    pub components: Vec<Component>,
    pub ports: Vec<Port>,
    /// What could not be looked at, and why: `Node/node-1`.
    pub unseen: Vec<(String, Text)>,
}

/// A program with its settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Component {
    /// `kube-apiserver`.
    pub program: String,
    /// `Pod/kube-system/kube-apiserver-a`, `Process/kube-apiserver/812`, `Node/node-1`.
    pub place: String,
    pub settings: Settings,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Settings {
    Flags(Flags),
    /// A KubeletConfiguration in force, defaults filled in.
    Kubelet(Value),
}

/// A command line, and the files it names as far as they could be read, by path.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Flags {
    pub words: Vec<String>,
    pub files: BTreeMap<String, Value>,
}

/// A port asked without credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Port {
    /// `Node/node-1 10.0.0.1:10255`.
    pub place: String,
    /// What is there by default, `kubelet read-only`.
    pub what: &'static str,
    pub answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Answer {
    /// Nothing listens, or who listens does not talk without credentials; what it said.
    Refused(String),
    /// It served what was asked; the beginning of it.
    Served(String),
    /// No answer came, so nothing is known.
    Silent(String),
}

// === impl Flags ===

impl Flags {
    /// Of a container's command and arguments.
    pub fn of(container: &Container) -> Flags {
        Flags { words: container.command.iter().chain(&container.args).map(|w| w.to_string()).collect(), files: BTreeMap::new() }
    }

    /// The value of `--name=value`, `--name value` or `-name…`; `true` for a name alone. The last one holds.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = None;
        for (at, word) in self.words.iter().enumerate() {
            let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else { continue };
            match flag.split_once('=') {
                Some((n, value)) if n == name => found = Some(value),
                None if flag == name => found = Some(self.words.get(at + 1).filter(|v| !v.starts_with('-')).map_or("true", String::as_str)),
                _ => {}
            }
        }
        found
    }

    /// The file a flag names: none where the flag is absent, nothing inside where it could not be read.
    pub fn file(&self, name: &str) -> Option<Option<&Value>> {
        self.get(name).map(|path| self.files.get(path))
    }
}

/// The defaults of a KubeletConfiguration that matter here: those of the file's format, or of a kubelet
/// started without any file, which are weaker.
pub fn kubelet_defaults(with_file: bool) -> Value {
    serde_json::json!({
        "authentication": {"anonymous": {"enabled": !with_file}, "webhook": {"enabled": with_file}},
        "authorization": {"mode": if with_file { "Webhook" } else { "AlwaysAllow" }},
        "readOnlyPort": if with_file { 0 } else { 10255 },
    })
}

/// A KubeletConfiguration in force: defaults, then the file, then flags.
pub fn kubelet(flags: &Flags, file: Option<&Value>) -> Value {
    let mut all = kubelet_defaults(flags.get("config").is_some());
    if let Some(file) = file {
        overlay(&mut all, file);
    }
    for (flag, pointer) in KUBELET_FLAGS {
        let Some(value) = flags.get(flag) else { continue };
        let value = match value {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            number if number.parse::<i64>().is_ok() => number.parse::<i64>().map_or(Value::Null, Value::from),
            text if *flag == "tls-cipher-suites" => text.split(',').map(str::trim).collect::<Vec<_>>().into(),
            text => Value::from(text),
        };
        let mut nested = value;
        for member in pointer.rsplit('/') {
            nested = Value::Object(std::iter::once((member.to_owned(), nested)).collect());
        }
        overlay(&mut all, &nested);
    }
    all
}

const KUBELET_FLAGS: &[(&str, &str)] = &[
    ("anonymous-auth", "authentication/anonymous/enabled"),
    ("authentication-token-webhook", "authentication/webhook/enabled"),
    ("client-ca-file", "authentication/x509/clientCAFile"),
    ("authorization-mode", "authorization/mode"),
    ("read-only-port", "readOnlyPort"),
    ("protect-kernel-defaults", "protectKernelDefaults"),
    ("rotate-certificates", "rotateCertificates"),
    ("tls-min-version", "tlsMinVersion"),
    ("tls-cipher-suites", "tlsCipherSuites"),
];

/// `over`'s members instead of `base`'s, all the way down.
fn overlay(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, value) in over {
                overlay(base.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (_, Value::Null) => {}
        (base, over) => *base = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn flags(line: &str) -> Flags {
        Flags { words: line.split(' ').map(str::to_owned).collect(), files: BTreeMap::new() }
    }

    #[test]
    fn a_flag_in_each_of_its_forms() {
        let f = flags("/usr/bin/etcd --a=1 --b 2 --c -d --e=x --e=y positional");
        assert_eq!([f.get("a"), f.get("b"), f.get("c"), f.get("d"), f.get("e"), f.get("f")], [Some("1"), Some("2"), Some("true"), Some("true"), Some("y"), None]);
    }

    #[test]
    fn a_kubelets_flag_holds_over_its_file_and_its_file_over_defaults() {
        let file = json!({"authentication": {"anonymous": {"enabled": true}}, "readOnlyPort": 10255});
        let k = kubelet(&flags("kubelet --config /f --read-only-port=0"), Some(&file));
        assert_eq!((&k["authentication"]["anonymous"]["enabled"], &k["readOnlyPort"], &k["authorization"]["mode"]), (&json!(true), &json!(0), &json!("Webhook")));
        let bare = kubelet(&flags("kubelet"), None);
        assert_eq!((&bare["authentication"]["anonymous"]["enabled"], &bare["readOnlyPort"], &bare["authorization"]["mode"]), (&json!(true), &json!(10255), &json!("AlwaysAllow")));
    }
}
