//! IA-1: settings of the API server and etcd, as far as the API shows them: from the flags of static pods.
//! A control plane that is not made of pods shows nothing here, and is 待确认, not well.

use super::{Check, Report};
use crate::finding::Severity;
use crate::inventory::Kind;
use crate::object::Container;
use jinwu_model::Verdict;

const NEEDS: &[Kind] = &[Kind::Pod];

pub(super) const CHECKS: &[Check] = &[
    Check { id: "apiserver-settings", clause: "IA-1", needs: NEEDS, expected: ("API server 拒绝匿名、用 TLS 1.2 以上、按 RBAC 鉴权、留审计、静态加密 Secret", "the API server refuses the anonymous, asks for TLS 1.2 or later, authorises by RBAC, audits, and encrypts Secrets at rest"), run: api_server },
    Check { id: "etcd-settings", clause: "IA-1", needs: NEEDS, expected: ("etcd 要求客户端证书", "etcd asks clients for certificates"), run: etcd },
];

type Expectation = (&'static str, fn(Option<&str>) -> bool, Severity, (&'static str, &'static str), (&'static str, &'static str));

const API_SERVER: [Expectation; 6] = [
    ("anonymous-auth", |v| v == Some("false"), Severity::Medium, ("匿名请求被接受,只由 RBAC 约束", "anonymous requests are accepted and held by RBAC alone"), ("设 --anonymous-auth=false,或以 AuthenticationConfiguration 限于健康检查路径", "set --anonymous-auth=false, or limit it to health paths by an AuthenticationConfiguration")),
    ("tls-min-version", |v| matches!(v, None | Some("VersionTLS12" | "VersionTLS13")), Severity::High, ("接受 TLS 1.2 之前的版本", "accepts versions before TLS 1.2"), ("设 --tls-min-version=VersionTLS12", "set --tls-min-version=VersionTLS12")),
    ("authorization-mode", |v| v.is_some_and(|v| v.split(',').any(|m| m == "RBAC") && !v.split(',').any(|m| m == "AlwaysAllow")), Severity::High, ("未按 RBAC 鉴权", "does not authorise by RBAC"), ("设 --authorization-mode=Node,RBAC", "set --authorization-mode=Node,RBAC")),
    ("audit-policy-file", |v| v.is_some(), Severity::Medium, ("没有审计策略,访问不留记录", "no audit policy: access leaves no record"), ("设 --audit-policy-file 与 --audit-log-path", "set --audit-policy-file and --audit-log-path")),
    ("encryption-provider-config", |v| v.is_some(), Severity::Medium, ("Secret 在 etcd 中未加密", "Secrets lie in etcd unencrypted"), ("设 --encryption-provider-config", "set --encryption-provider-config")),
    ("token-auth-file", |v| v.is_none(), Severity::High, ("使用静态令牌文件", "uses a file of static tokens"), ("去掉 --token-auth-file", "remove --token-auth-file")),
];

const ETCD: [Expectation; 2] = [
    ("client-cert-auth", |v| v == Some("true"), Severity::High, ("不要求客户端证书", "asks for no client certificate"), ("设 --client-cert-auth=true", "set --client-cert-auth=true")),
    ("listen-client-urls", |v| v.is_some_and(|v| v.split(',').all(|u| u.starts_with("https://"))), Severity::High, ("有明文端口", "has a plain port"), ("只监听 https", "listen on https alone")),
];

fn api_server(r: &mut Report<'_, '_>) {
    // A configuration file may say what the flag does not.
    judge(r, "kube-apiserver", &API_SERVER, &[("anonymous-auth", "authentication-config"), ("authorization-mode", "authorization-config")]);
}

fn etcd(r: &mut Report<'_, '_>) {
    judge(r, "etcd", &ETCD, &[]);
}

fn judge(r: &mut Report<'_, '_>, program: &str, expectations: &[Expectation], files: &[(&str, &str)]) {
    let inventory = r.facts.inventory;
    let seen: Vec<(String, &Container)> = inventory
        .pods
        .iter()
        .filter(|p| &*p.metadata.namespace == "kube-system" && p.mirror() && p.running())
        .flat_map(|p| p.spec.containers.iter().filter(|c| c.program() == Some(program)).map(|c| (format!("Pod/{}", p.metadata.place()), c)))
        .collect();
    if seen.is_empty() {
        r.say(Verdict::Unconfirmed, Severity::Note, program, (format!("API 中看不到 {program} 的静态容器组"), format!("the API shows no static pod of {program}")), "kube-system: no mirror pod", (
            "在控制平面节点上核对其配置文件",
            "check its configuration on the nodes of the control plane",
        ));
    }
    for (asset, container) in seen {
        for (flag, good, severity, actual, advice) in expectations {
            let value = container.flag(flag);
            let asset = asset.clone();
            let evidence = value.map_or_else(|| format!("--{flag} absent"), |v| format!("--{flag}={v}"));
            if let Some((_, file)) = files.iter().find(|(f, file)| f == flag && container.flag(file).is_some()) {
                r.say(Verdict::Unconfirmed, Severity::Note, asset, (format!("由 --{file} 的文件决定,API 中看不到"), format!("the file of --{file} decides, which the API does not show")), evidence, ("在节点上核对该文件", "check that file on the node"));
            } else if !good(value) {
                r.fails(*severity, asset, (actual.0.into(), actual.1.into()), evidence, *advice);
            }
        }
    }
}
