//! What is alarmed whatever the rules say, because by it Jinwu itself is passed by.

use crate::class::{resource, text, user};
use jinwu_detect::AuditEvent;
use jinwu_model::Text;
use serde_json::Value;

/// Something that deserves an alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The alarm's action.
    pub action: &'static str,
    pub finding: Text,
    pub advice: Text,
    pub clauses: &'static [&'static str],
}

/// Labels by which a namespace says how strictly it is judged.
const LABELS: [&str; 3] = ["jinwu.io/", "pod-security.kubernetes.io/enforce", "pod-security.kubernetes.io/exempt"];
const MIRROR: &str = "kubernetes.io/config.mirror";

/// All that one event shows.
pub fn of(e: &AuditEvent<'_>) -> Vec<Watched> {
    let mut found = Vec::new();
    if let Some((key, _)) = e.annotations().find(|(key, _)| key.starts_with("failed-open.")) {
        found.push(Watched {
            action: "failed-open",
            finding: Text::new(
                format!("准入 webhook 未应答,请求未经检查即放行({key})"),
                format!("an admission webhook did not answer and the request passed unchecked ({key})"),
            ),
            advice: Text::new("检查关口是否在运行;核对该对象是否合规", "see whether the gate runs; check the object"),
            clauses: &["AU-2", "IP-6"],
        });
    }
    let code = e.response_status.as_ref().and_then(|s| s.code).unwrap_or(0);
    let changed = matches!(text(e.verb.as_ref()), "create" | "update" | "patch") && (200..300).contains(&code);
    if changed && text(e.stage.as_ref()) == "ResponseComplete" {
        match resource(e) {
            ("namespaces", "") => {
                let labels = e.request_object().map(labels).unwrap_or_default();
                if !labels.is_empty() {
                    let list = labels.join(", ");
                    found.push(Watched {
                        action: "level-labels-set",
                        finding: Text::new(
                            format!("{} 设置了决定检查严格程度的标签:{list}", user(e)),
                            format!("{} set labels that decide how strictly is judged: {list}", user(e)),
                        ),
                        advice: Text::new("核对此人是否获准设置等级(jinwu cluster set --level-setter)", "check that this person may set levels (jinwu cluster set --level-setter)"),
                        clauses: &["AC-1", "AU-2"],
                    });
                }
            }
            ("pods", "") if mirrors(e) => found.push(Watched {
                action: "static-pod",
                finding: Text::new(
                    "节点上出现静态 Pod:它由节点上的文件而不是 API server 创建,准入不能拦住它",
                    "a static pod appeared on a node: a file there made it, not the API server, and admission cannot keep it out",
                ),
                advice: Text::new("核对节点的 /etc/kubernetes/manifests", "check /etc/kubernetes/manifests on the node"),
                clauses: &["IP-6", "IP-7"],
            }),
            _ => {}
        }
    }
    found
}

/// Labels of [`LABELS`] in an object, a merge patch or a JSON patch, with their values.
fn labels(object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut take = |key: &str, value: &Value| {
        if LABELS.iter().any(|l| key.starts_with(l)) {
            let value = value.as_str().map_or_else(|| "-".to_owned(), str::to_owned);
            found.push(crate::record::clip(&format!("{key}={value}")));
        }
    };
    if let Some(all) = object.pointer("/metadata/labels").and_then(Value::as_object) {
        all.iter().for_each(|(key, value)| take(key, value));
    }
    for operation in object.as_array().into_iter().flatten() {
        let path = operation["path"].as_str().unwrap_or_default();
        if let Some(key) = path.strip_prefix("/metadata/labels/") {
            take(&key.replace("~1", "/").replace("~0", "~"), &operation["value"]);
        } else if path == "/metadata/labels" {
            operation["value"].as_object().into_iter().flatten().for_each(|(key, value)| take(key, value));
        }
    }
    found
}

fn mirrors(e: &AuditEvent<'_>) -> bool {
    let annotations = e.request_object().and_then(|o| o.pointer("/metadata/annotations"));
    text(e.verb.as_ref()) == "create" && annotations.and_then(|a| a.get(MIRROR)).is_some()
}
