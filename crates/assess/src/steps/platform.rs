//! IA-1: who may come to the management platform, which is the cluster's API server and kubelets, and
//! Jinwu's own interface.

use super::{Lab, findings, identity, same, t, tls};
use crate::cluster::Who;
use crate::evidence::{Evidence, Role, whether};
use crate::target::probe::{self, Port};
use http::Method;
use jinwu_standard::verdict::Answer;
use std::time::Duration;

const KUBELET: u16 = 10250;
/// The port without any authentication that kubelets once had.
const READ_ONLY: u16 = 10255;
/// What nobody may read without credentials.
const SENSITIVE: [&str; 8] = [
    "/api/v1/namespaces",
    "/api/v1/pods",
    "/api/v1/secrets",
    "/api/v1/nodes",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/metrics",
    "/logs",
    "/debug/pprof/",
];

/// IA-1.C1.
pub(super) async fn mechanism(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let cluster = lab.cluster()?;
    let mut log = cluster.log("GET /api/v1/namespaces without credentials");
    let nobody = cluster.ask(&mut log, Who::Nobody, Method::GET, "/api/v1/namespaces", None).await?;
    out.push(log.prove(
        Role::State,
        t("API server 不接受匿名请求(401/403)", "the API server serves nobody without credentials (401/403)"),
        same(nobody.status.to_string()),
        whether(matches!(nobody.status, 401 | 403)),
    ));
    identity::factors(lab, out).await?;
    kubelets(lab, Role::State, out).await?;
    findings(lab, out, "IA-1").await
}

/// IA-1.C2.
pub(super) async fn secure_protocol(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let cluster = lab.cluster()?;
    tls::strong(cluster.port(), |command| cluster.log(command), "/api", out).await?;
    tls::strong(lab.target.port(), |command| lab.log(command), "/api/v1/status", out).await?;
    kubelet_protocol(lab, out).await
}

/// IA-1.S1.
pub(super) async fn intrusion(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let cluster = lab.cluster()?;
    let field = lab.field()?;
    let mut log = cluster.log("prepare");
    let token = field.token(&mut log, crate::cluster::manifest::ACCOUNT).await?;
    // The signature's first character changed: everything else about it is right.
    let near = match token.rsplit_once('.') {
        Some((head, signature)) => format!("{head}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, signature.get(1..).unwrap_or_default()),
        None => anyhow::bail!("the service account's token is no JWT"),
    };
    let random = jinwu_trust::random::password(40);
    for (zh, en, who) in [("匿名", "nobody", Who::Nobody), ("伪造的令牌", "a forged token", Who::Token(&near)), ("任意令牌", "an arbitrary token", Who::Token(&random))] {
        let mut log = cluster.log(format!("{} paths as {en}", SENSITIVE.len()));
        let mut through = Vec::new();
        let mut odd = Vec::new();
        for path in SENSITIVE {
            match cluster.ask(&mut log, who, Method::GET, path, None).await?.status {
                401 | 403 => {}
                status @ 200..300 => through.push(format!("{path}: {status}")),
                status => odd.push(format!("{path}: {status}")),
            }
        }
        let make = cluster.ask(&mut log, who, Method::POST, &field.at("configmaps"), Some(&serde_json::json!({"metadata": {"name": "intruder"}}))).await?;
        if make.status < 300 {
            through.push(format!("create configmap: {}", make.status));
        }
        let answer = match (through.is_empty(), odd.is_empty()) {
            (false, _) => Answer::Negative,
            (true, true) => Answer::Affirmative,
            (true, false) => Answer::Unknown,
        };
        let all: Vec<String> = through.into_iter().chain(odd).collect();
        out.push(log.prove(
            Role::Attack,
            t(format!("{zh}:读写均被拒绝(401/403)"), format!("{en}: reading and writing are refused (401/403)")),
            if all.is_empty() { same("401/403") } else { same(all.join("; ")) },
            answer,
        ));
    }
    out.push(tls::plain(cluster.port(), cluster.log(""), Role::Attack, "/api/v1/secrets").await?);
    out.push(tls::plain(lab.target.port(), lab.log(""), Role::Attack, "/api/v1/ledger").await?);
    let mut log = lab.log("GET /api/v1/ledger without a session");
    let reply = lab.target.api(&mut log, crate::target::As::Nobody, Method::GET, "/ledger", None).await?;
    out.push(log.prove(Role::Attack, t("金吾管理接口:无会话为 401", "Jinwu's API: 401 without a session"), same(reply.status.to_string()), whether(reply.status == 401)));
    kubelets(lab, Role::Attack, out).await?;
    let mut log = cluster.log("a good token");
    let review = serde_json::json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let reply = cluster.ask(&mut log, Who::Token(&token), Method::POST, "/apis/authentication.k8s.io/v1/selfsubjectreviews", Some(&review)).await?;
    out.push(log.prove(
        Role::Control,
        t("对照:未改动的同一令牌被接受", "control: the same token unchanged is accepted"),
        same(format!("{} {}", reply.status, reply.json()["status"]["userInfo"]["username"].as_str().unwrap_or_default())),
        whether(reply.status == 201),
    ));
    Ok(())
}

/// No kubelet tells anything to nobody, and none has the old port.
pub(super) async fn kubelets(lab: &Lab<'_>, role: Role, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let cluster = lab.cluster()?;
    // Kubelets often have certificates of their own making: who they are is not the question here.
    let http = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().timeout(Duration::from_secs(5)).build()?;
    for (node, address) in &cluster.nodes {
        let mut log = cluster.log(format!("GET https://{address}:{KUBELET}/pods, http://{address}:{READ_ONLY}/pods ({node})"));
        let url = match address.contains(':') {
            true => format!("https://[{address}]:{KUBELET}"),
            false => format!("https://{address}:{KUBELET}"),
        };
        let mut got = Vec::new();
        for path in ["/pods", "/runningpods/", "/run/default/x/x", "/configz"] {
            match http.get(format!("{url}{path}")).send().await {
                Ok(reply) => got.push((path, Some(reply.status().as_u16()))),
                Err(error) => {
                    log.note(&format!("! {path} {error:?}"));
                    got.push((path, None));
                }
            }
        }
        let old = tokio::time::timeout(Duration::from_secs(5), tokio::net::TcpStream::connect((address.as_str(), READ_ONLY))).await;
        let open = matches!(old, Ok(Ok(_)));
        log.note(&format!("< {got:?}; {READ_ONLY} {}", if open { "open" } else { "shut" }));
        let answer = match () {
            () if open || got.iter().any(|(_, s)| s.is_some_and(|s| (200..300).contains(&s))) => Answer::Negative,
            () if got.iter().all(|(_, s)| matches!(s, Some(401 | 403))) => Answer::Affirmative,
            () => Answer::Unknown,
        };
        let shown: Vec<String> = got.iter().map(|(p, s)| format!("{p}: {}", s.map_or("-".to_owned(), |s| s.to_string()))).collect();
        out.push(log.prove(
            role,
            t(format!("节点 {node}:kubelet 拒绝匿名请求(401/403),{READ_ONLY} 端口未开放"), format!("node {node}: the kubelet refuses nobody's requests (401/403), port {READ_ONLY} is shut")),
            same(format!("{}; {READ_ONLY}: {}", shown.join(", "), if open { "open" } else { "shut" })),
            answer,
        ));
    }
    Ok(())
}

/// Kubelets speak TLS 1.2 and later only.
pub(super) async fn kubelet_protocol(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let cluster = lab.cluster()?;
    for (node, address) in &cluster.nodes {
        let at = Port { host: address, port: KUBELET, authority: &[] };
        for (version, name) in [(0x0301, "TLS 1.0"), (0x0302, "TLS 1.1")] {
            let mut log = cluster.log(format!("ClientHello {name} {at}"));
            let hello = probe::hello(at, &mut log, version, &probe::LEGACY_SUITES).await?;
            out.push(tls::refused(log, Role::State, format!("节点 {node}:kubelet 拒绝 {name}"), format!("node {node}: the kubelet refuses {name}"), &hello));
        }
        out.push(tls::plain(at, cluster.log(""), Role::State, "/pods").await?);
    }
    Ok(())
}
