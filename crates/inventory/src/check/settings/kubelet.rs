//! What a KubeletConfiguration in force must be.

use super::{Judged, Report, Setting, bad_if, conform, suites, versions};
use crate::component::Settings;
use crate::finding::Severity::{self, High, Low, Medium};
use jinwu_model::{Text, Verdict};
use serde_json::Value;

type KubeletSetting = Setting<Value>;

pub(super) const SETTINGS: &[KubeletSetting] = &[
    KubeletSetting { names: &["/authentication/anonymous/enabled"], judge: |k| bad_if(k["authentication"]["anonymous"]["enabled"] != false), severity: High, actual: ("接受匿名请求", "accepts anonymous requests"), advice: ("设 authentication.anonymous.enabled: false", "set authentication.anonymous.enabled: false") },
    KubeletSetting { names: &["/authentication/webhook/enabled", "/authentication/x509/clientCAFile"], judge: |k| bad_if(k["authentication"]["webhook"]["enabled"] != true && k["authentication"]["x509"]["clientCAFile"].as_str().unwrap_or_default().is_empty()), severity: High, actual: ("既不认客户端证书也不认令牌", "knows neither client certificates nor tokens"), advice: ("设 authentication.x509.clientCAFile 与 authentication.webhook.enabled: true", "set authentication.x509.clientCAFile and authentication.webhook.enabled: true") },
    KubeletSetting { names: &["/readOnlyPort"], judge: |k| bad_if(k["readOnlyPort"].as_i64().unwrap_or(0) != 0), severity: High, actual: ("只读端口开放,不经鉴别", "the read-only port is open, without authentication"), advice: ("设 readOnlyPort: 0", "set readOnlyPort: 0") },
    KubeletSetting { names: &["/tlsMinVersion"], judge: |k| versions(k["tlsMinVersion"].as_str()), severity: High, actual: ("接受 TLS 1.2 之前的版本", "accepts versions before TLS 1.2"), advice: ("设 tlsMinVersion: VersionTLS12", "set tlsMinVersion: VersionTLS12") },
    KubeletSetting { names: &["/tlsCipherSuites"], judge: weak_suites, severity: Medium, actual: ("允许弱密码套件", "allows weak cipher suites"), advice: ("只留 ECDHE 与 AEAD 套件", "leave suites with ECDHE and AEAD alone") },
    KubeletSetting { names: &["/rotateCertificates"], judge: |k| bad_if(k["rotateCertificates"] != true), severity: Low, actual: ("客户端证书不自动更换", "its client certificate is not renewed by itself"), advice: ("设 rotateCertificates: true", "set rotateCertificates: true") },
];

pub(super) const ACCESS: &[KubeletSetting] = &[KubeletSetting { names: &["/authorization/mode"], judge: |k| bad_if(k["authorization"]["mode"] != "Webhook"), severity: High, actual: ("不鉴权,凡能鉴别者皆可", "does not authorise: whoever it knows may do anything"), advice: ("设 authorization.mode: Webhook", "set authorization.mode: Webhook") }];

pub(super) const HARDENING: &[KubeletSetting] = &[KubeletSetting { names: &["/protectKernelDefaults"], judge: |k| bad_if(k["protectKernelDefaults"] != true), severity: Low, actual: ("自行改动内核参数", "changes kernel parameters by itself"), advice: ("按 kubelet 要求设好内核参数后,设 protectKernelDefaults: true", "set kernel parameters as kubelets want them, then protectKernelDefaults: true") }];

fn weak_suites(k: &Value) -> Judged {
    let names: Vec<&str> = k["tlsCipherSuites"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    suites((!names.is_empty()).then(|| names.join(",")).as_deref())
}

/// Every node: one whose kubelet did not show its settings is 待确认.
pub(super) fn judge(r: &mut Report<'_, '_>, settings: &[KubeletSetting]) {
    let seen = r.facts.seen;
    let shown: Vec<(&str, &Value)> = seen
        .components
        .iter()
        .filter_map(|c| match &c.settings {
            Settings::Kubelet(value) => Some((c.place.as_str(), value)),
            Settings::Flags(_) => None,
        })
        .collect();
    for node in &r.facts.inventory.nodes {
        let asset = format!("Node/{}", node.metadata.name);
        if shown.iter().any(|(place, _)| *place == asset) {
            continue;
        }
        let why = seen.unseen.iter().find(|(place, _)| *place == asset).map_or_else(|| Text::new("没有读取", "it was not read"), |(_, why)| why.clone());
        r.say(Verdict::Unconfirmed, Severity::Note, asset, (format!("看不到 kubelet 的设置:{}", why.zh), format!("the kubelet's settings are not seen: {}", why.en)), why.en.clone(), (
            "用能读取 kubelet /configz 的客户端证书运行,或在该节点上以 --node-files 运行",
            "run it with a client certificate that may read a kubelet's /configz, or on that node with --node-files",
        ));
    }
    for (asset, value) in shown {
        let mut good = Vec::new();
        for setting in settings {
            let evidence = setting.names.iter().map(|p| format!("{}: {}", p.trim_start_matches('/').replace('/', "."), value.pointer(p).unwrap_or(&Value::Null))).collect::<Vec<_>>().join(", ");
            match (setting.judge)(value) {
                Judged::Good => good.push(evidence),
                Judged::Bad | Judged::Unknown => r.fails(setting.severity, asset, (setting.actual.0.into(), setting.actual.1.into()), evidence, setting.advice),
            }
        }
        conform(r, asset.to_owned(), good);
    }
}
