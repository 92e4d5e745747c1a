//! What the API server needs so that it tells the gate what happens and asks it who may: files for its
//! host, and the options that name them.
//!
//! The connection is both ways certain: the gate's certificate is of the cluster's authority, and the
//! gate takes audit events and authorisation questions from nobody without a client certificate of it.

use jinwu_model::Text;
use serde_json::json;

/// What the files are made from.
#[derive(Clone, Debug)]
pub struct ApiServer {
    /// PEM of the cluster's authority.
    pub authority: String,
    /// PEM: the API server as a client of the gate.
    pub certificate: String,
    pub key: String,
    /// ClusterIP of the gate's service: the API server resolves no service names.
    pub address: String,
    /// Folder of the files on the API server's host.
    pub folder: String,
}

/// A file to be laid down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub name: &'static str,
    pub text: String,
    /// Unix permissions.
    pub mode: u32,
}

/// An option of the API server and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    pub flag: String,
    pub why: Text,
}

/// The name in the gate's certificate.
pub const SERVER_NAME: &str = "jinwu-gate.jinwu.svc";

pub const AUDIT_POLICY: &str = include_str!("apiserver/audit-policy.yaml");
const POLICY_FILE: &str = "audit-policy.yaml";
const AUDIT_FILE: &str = "audit-webhook.kubeconfig";
const AUTHORIZATION_FILE: &str = "authorization.yaml";
const AUTHORIZER_FILE: &str = "authorization-webhook.kubeconfig";

/// Who is never asked about: components without which the cluster does not come up, and those whom no
/// authoriser can refuse.
const ASKED: [&str; 5] = [
    "!('system:masters' in request.groups)",
    "!request.user.startsWith('system:kube-') && request.user != 'system:apiserver'",
    "!request.user.startsWith('system:node:')",
    "!request.user.startsWith('system:serviceaccount:kube-system:')",
    "request.user != 'system:anonymous'",
];

// === impl ApiServer ===

impl ApiServer {
    pub fn files(&self) -> Vec<File> {
        let file = |name, text, mode| File { name, text, mode };
        vec![
            file(POLICY_FILE, AUDIT_POLICY.to_owned(), 0o644),
            file(AUDIT_FILE, self.kubeconfig("audit"), 0o600),
            file(AUTHORIZATION_FILE, self.authorization(), 0o644),
            file(AUTHORIZER_FILE, self.kubeconfig("authorize"), 0o600),
            file("authority.crt", self.authority.clone(), 0o644),
            file("client.crt", self.certificate.clone(), 0o600),
            file("client.key", self.key.clone(), 0o600),
        ]
    }

    pub fn flags(&self) -> Vec<Flag> {
        flags(&self.folder)
    }

    /// A kubeconfig for one path of the gate, with everything inside.
    fn kubeconfig(&self, path: &str) -> String {
        use base64::Engine as _;
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let config = json!({
            "apiVersion": "v1", "kind": "Config",
            "clusters": [{"name": "jinwu", "cluster": {
                "server": format!("https://{}/{path}", self.address),
                "certificate-authority-data": encode(&self.authority),
                // An address is no name of the certificate.
                "tls-server-name": SERVER_NAME,
            }}],
            "users": [{"name": "apiserver", "user": {
                "client-certificate-data": encode(&self.certificate),
                "client-key-data": encode(&self.key),
            }}],
            "contexts": [{"name": "jinwu", "context": {"cluster": "jinwu", "user": "apiserver"}}],
            "current-context": "jinwu",
        });
        format!("{}\n", serde_json::to_string_pretty(&config).unwrap_or_default())
    }

    /// AuthorizationConfiguration: a gate that is away changes nothing, and an answer holds a second.
    fn authorization(&self) -> String {
        let conditions: Vec<_> = ASKED.iter().map(|e| json!({ "expression": e })).collect();
        let config = json!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration",
            "authorizers": [
                {"type": "Webhook", "name": "jinwu", "webhook": {
                    "timeout": "3s", "failurePolicy": "NoOpinion",
                    "authorizedTTL": "1s", "unauthorizedTTL": "1s",
                    "subjectAccessReviewVersion": "v1", "matchConditionSubjectAccessReviewVersion": "v1",
                    "matchConditions": conditions,
                    "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": format!("{}/{AUTHORIZER_FILE}", self.folder)},
                }},
                {"type": "Node", "name": "node"},
                {"type": "RBAC", "name": "rbac"},
            ],
        });
        format!("{}\n", serde_json::to_string_pretty(&config).unwrap_or_default())
    }
}

/// Every option, for files in a folder.
pub fn flags(folder: &str) -> Vec<Flag> {
    let flag = |flag: String, zh: &str, en: &str| Flag { flag, why: Text::new(zh, en) };
    let at = |name: &str| format!("{}/{name}", folder);
    vec![
        flag(
            format!("--audit-policy-file={}", at(POLICY_FILE)),
            "记录什么:所有写操作与进入容器,读操作的元数据;机密与令牌的内容除外",
            "what is told: every change and every entry into a container, reads by metadata; never contents of secrets or tokens",
        ),
        flag(
            format!("--audit-webhook-config-file={}", at(AUDIT_FILE)),
            "把审计事件交给关口(AU-2、IP-7、IA-3)",
            "hands audit events to the gate (AU-2, IP-7, IA-3)",
        ),
        flag("--audit-webhook-batch-max-wait=1s".into(), "事件至多晚一秒;缺省 30 秒", "events are at most a second late; 30 s by default"),
        flag(
            "--audit-webhook-batch-max-size=1000".into(),
            "每批事件数;与 QPS 一起决定上限(缺省约每秒 4000)",
            "events of one batch; with the rate it sets how many pass (about 4,000/s by default)",
        ),
        flag("--audit-webhook-batch-buffer-size=100000".into(), "关口不应答时暂存的事件数;缺省 10000,超出即丢", "events held while no gate answers; 10,000 by default, more are dropped"),
        flag("--audit-webhook-initial-backoff=2s".into(), "未送达时的重试间隔;缺省 10 秒", "first pause before a batch is sent again; 10 s by default"),
        flag("--audit-webhook-truncate-enabled".into(), "过大的事件截短而不是丢弃", "too large an event is cut short, not dropped"),
        flag("--audit-webhook-truncate-max-event-size=1000000".into(), "单个事件的上限(字节),关口收 1 MiB", "largest event, bytes; the gate takes 1 MiB"),
        flag(
            format!("--authorization-config={}", at(AUTHORIZATION_FILE)),
            "替代 --authorization-mode:先问关口(只拒绝被阻断者),再 Node、RBAC(IP-7)",
            "instead of --authorization-mode: asks the gate first, which refuses blocked subjects only, then Node and RBAC (IP-7)",
        ),
    ]
}

/// Where the files are unless told otherwise.
pub const FOLDER: &str = "/etc/kubernetes/jinwu";

/// How the API server's side is taken back, once gates are gone: an API server that asks nobody is slow.
pub fn take_back() -> [Text; 4] {
    [
        Text::new(
            "去掉 --audit-webhook-* 参数;审计仍要留在别处的,保留 --audit-policy-file 并设 --audit-log-path",
            "take out the options --audit-webhook-*; where audit is to be kept elsewhere, leave --audit-policy-file and set --audit-log-path",
        ),
        Text::new(
            "去掉 --authorization-config,改回 --authorization-mode=Node,RBAC:关口不在时它使每个被问及的请求变慢",
            "take out --authorization-config and set --authorization-mode=Node,RBAC again: without a gate every request it asks about is slow",
        ),
        Text::new("重启 API server", "restart the API server"),
        Text::new(
            "然后删除文件目录(缺省 /etc/kubernetes/jinwu);其中有客户端私钥",
            "then delete the folder of the files (/etc/kubernetes/jinwu by default): a client's private key is in it",
        ),
    ]
}

/// What a cluster loses whose API server does not take some of it.
pub fn without() -> [Text; 4] {
    [
        Text::new(
            "没有审计 webhook,但有审计日志文件:在 API server 主机上运行 jinwu-gate tail --file 日志,记录相同",
            "no audit webhook but an audit log file: run jinwu-gate tail --file LOG on the API server's host; the records are the same",
        ),
        Text::new(
            "两者都没有:AU-2 与 IP-7 只剩准入与镜像仓库的记录,IA-3 的进入记录没有来源地址",
            "neither: of AU-2 and IP-7 only records of admission and the registry remain, and IA-3's records of entry have no source address",
        ),
        Text::new(
            "没有授权 webhook:被阻断主体的写操作仍被准入拒绝,读操作不被拒绝(IP-7)",
            "no authorisation webhook: admission still refuses what a blocked subject changes, nobody refuses what it reads (IP-7)",
        ),
        Text::new(
            "没有结构化授权配置(Kubernetes 1.29 及更早):不要用 --authorization-webhook-config-file 代替,关口离开时它会拖慢每个请求",
            "no structured authorisation (Kubernetes 1.29 and earlier): do not use --authorization-webhook-config-file instead, it slows every request while the gate is away",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_private_files_and_every_file_named_exists() {
        let a = ApiServer { authority: "A".into(), certificate: "C".into(), key: "SECRET".into(), address: "10.96.0.77".into(), folder: "/etc/kubernetes/jinwu".into() };
        let files = a.files();
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode("SECRET");
        for file in &files {
            let secret = file.text.contains("SECRET") || file.text.contains(&encoded);
            assert!(!secret || file.mode == 0o600, "{}", file.name);
        }
        let named = a.flags().iter().filter_map(|f| f.flag.split_once("=/etc/kubernetes/jinwu/").map(|(_, n)| n.to_owned())).collect::<Vec<_>>();
        assert_eq!(named.len(), 3);
        assert!(named.iter().all(|n| files.iter().any(|f| f.name == n)), "{named:?}");
        assert!(a.authorization().contains("\"NoOpinion\""));
    }
}
