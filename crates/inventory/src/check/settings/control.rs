//! What options of the control plane must be. Defaults are those of Kubernetes 1.24 and later.

use super::{FlagSetting, Judged, bad_if, suites, versions};
use crate::component::Flags;
use crate::finding::Severity::{High, Low, Medium};
use serde_json::Value;

pub(super) const API_SERVER: &[FlagSetting] = &[
    // Kubernetes serves the anonymous by default, and RBAC leaves them health, version and discovery.
    FlagSetting { names: &["anonymous-auth", "authentication-config"], judge: anonymous, severity: Low, actual: ("匿名请求被接受,只由 RBAC 约束", "anonymous requests are accepted and held by RBAC alone"), advice: ("设 --anonymous-auth=false,或以 AuthenticationConfiguration 限于健康检查路径", "set --anonymous-auth=false, or limit it to health paths by an AuthenticationConfiguration") },
    FlagSetting { names: &["insecure-port", "insecure-bind-address"], judge: plain_port, severity: High, actual: ("有不经鉴别的明文端口", "has a plain port without authentication"), advice: ("设 --insecure-port=0,去掉 --insecure-bind-address", "set --insecure-port=0 and remove --insecure-bind-address") },
    FlagSetting { names: &["tls-min-version"], judge: |f| versions(f.get("tls-min-version")), severity: High, actual: ("接受 TLS 1.2 之前的版本", "accepts versions before TLS 1.2"), advice: ("设 --tls-min-version=VersionTLS12", "set --tls-min-version=VersionTLS12") },
    FlagSetting { names: &["tls-cipher-suites"], judge: |f| suites(f.get("tls-cipher-suites")), severity: Medium, actual: ("允许弱密码套件", "allows weak cipher suites"), advice: ("只留 ECDHE 与 AEAD 套件", "leave suites with ECDHE and AEAD alone") },
    FlagSetting { names: &["token-auth-file", "basic-auth-file"], judge: |f| bad_if(f.get("token-auth-file").or(f.get("basic-auth-file")).is_some()), severity: High, actual: ("使用静态令牌或口令文件", "uses a file of static tokens or passwords"), advice: ("去掉 --token-auth-file 与 --basic-auth-file", "remove --token-auth-file and --basic-auth-file") },
    FlagSetting { names: &["etcd-servers", "etcd-certfile"], judge: |f| bad_if(!f.get("etcd-servers").is_some_and(all_https) || f.get("etcd-certfile").is_none()), severity: High, actual: ("与 etcd 的连接没有 TLS 或没有客户端证书", "the connection to etcd has no TLS or no client certificate"), advice: ("--etcd-servers 用 https,设 --etcd-cafile、--etcd-certfile、--etcd-keyfile", "use https in --etcd-servers and set --etcd-cafile, --etcd-certfile, --etcd-keyfile") },
    FlagSetting { names: &["kubelet-client-certificate"], judge: |f| bad_if(f.get("kubelet-client-certificate").is_none()), severity: Medium, actual: ("对 kubelet 不出示客户端证书", "shows kubelets no client certificate"), advice: ("设 --kubelet-client-certificate 与 --kubelet-client-key", "set --kubelet-client-certificate and --kubelet-client-key") },
    FlagSetting { names: &["kubelet-certificate-authority"], judge: |f| bad_if(f.get("kubelet-certificate-authority").is_none()), severity: Low, actual: ("不校验 kubelet 的证书", "does not verify kubelets' certificates"), advice: ("kubelet 证书由集群签发后设 --kubelet-certificate-authority", "set --kubelet-certificate-authority once the cluster signs kubelets' certificates") },
    FlagSetting { names: &["service-account-lookup"], judge: |f| bad_if(f.get("service-account-lookup") == Some("false")), severity: High, actual: ("已删除的服务账号的令牌仍有效", "tokens of deleted service accounts stay valid"), advice: ("去掉 --service-account-lookup=false", "remove --service-account-lookup=false") },
    FlagSetting { names: &["service-account-max-token-expiration"], judge: |f| bad_if(f.get("service-account-max-token-expiration").is_none_or(|v| v == "0" || v == "0s")), severity: Low, actual: ("令牌期限没有上限,由申请者决定", "the life of tokens has no limit but what is asked for"), advice: ("设 --service-account-max-token-expiration,如 24h", "set --service-account-max-token-expiration, 24h say") },
];

pub(super) const API_SERVER_ACCESS: &[FlagSetting] = &[
    FlagSetting { names: &["authorization-mode", "authorization-config"], judge: authorization, severity: High, actual: ("未按 RBAC 鉴权,或一切放行", "does not authorise by RBAC, or allows everything"), advice: ("设 --authorization-mode=Node,RBAC", "set --authorization-mode=Node,RBAC") },
    FlagSetting { names: &["enable-admission-plugins"], judge: |f| bad_if(!f.get("enable-admission-plugins").is_some_and(|v| v.split(',').any(|p| p == "NodeRestriction") && !v.split(',').any(|p| p == "AlwaysAdmit"))), severity: Medium, actual: ("没有启用 NodeRestriction,或启用了 AlwaysAdmit", "NodeRestriction is not enabled, or AlwaysAdmit is"), advice: ("设 --enable-admission-plugins=NodeRestriction", "set --enable-admission-plugins=NodeRestriction") },
    FlagSetting { names: &["encryption-provider-config"], judge: encryption, severity: Medium, actual: ("Secret 在 etcd 中未加密:读到 etcd 或其备份即绕过权限", "Secrets lie in etcd unencrypted: whoever reads etcd or its backup goes around permissions"), advice: ("设 --encryption-provider-config,首个 provider 不为 identity", "set --encryption-provider-config, its first provider other than identity") },
];

pub(super) const API_SERVER_AUDIT: &[FlagSetting] = &[
    FlagSetting { names: &["audit-policy-file"], judge: |f| bad_if(f.get("audit-policy-file").is_none()), severity: Medium, actual: ("没有审计策略,访问不留记录", "no audit policy: access leaves no record"), advice: ("设 --audit-policy-file(jinwu cluster apiserver)", "set --audit-policy-file (jinwu cluster apiserver)") },
    FlagSetting { names: &["audit-log-path", "audit-webhook-config-file"], judge: |f| bad_if(f.get("audit-log-path").or(f.get("audit-webhook-config-file")).is_none()), severity: Medium, actual: ("审计既不写文件也不送出", "audit is neither written nor sent"), advice: ("设 --audit-webhook-config-file 或 --audit-log-path", "set --audit-webhook-config-file or --audit-log-path") },
    FlagSetting { names: &["audit-log-path", "audit-webhook-config-file", "audit-log-maxage"], judge: kept, severity: Low, actual: ("审计只写本机文件,保存期限不足 180 天", "audit is written to a file alone and kept less than 180 days"), advice: ("设 --audit-log-maxage=180,或送给关口", "set --audit-log-maxage=180, or send it to the gate") },
];

pub(super) const ETCD: &[FlagSetting] = &[
    FlagSetting { names: &["client-cert-auth", "trusted-ca-file"], judge: |f| bad_if(f.get("client-cert-auth") != Some("true") || f.get("trusted-ca-file").is_none()), severity: High, actual: ("不要求客户端证书", "asks for no client certificate"), advice: ("设 --client-cert-auth=true 与 --trusted-ca-file", "set --client-cert-auth=true and --trusted-ca-file") },
    FlagSetting { names: &["listen-client-urls"], judge: |f| bad_if(!f.get("listen-client-urls").is_some_and(all_https)), severity: High, actual: ("有明文端口", "has a plain port"), advice: ("只监听 https", "listen on https alone") },
    FlagSetting { names: &["auto-tls", "peer-auto-tls"], judge: |f| bad_if(f.get("auto-tls") == Some("true") || f.get("peer-auto-tls") == Some("true")), severity: Medium, actual: ("使用自签证书,谁都可冒充", "uses certificates of its own making, which anybody may make"), advice: ("去掉 --auto-tls 与 --peer-auto-tls", "remove --auto-tls and --peer-auto-tls") },
    FlagSetting { names: &["listen-peer-urls", "peer-client-cert-auth"], judge: peers, severity: High, actual: ("同伴端口没有 TLS 或不要求证书", "the port of peers has no TLS or asks for no certificate"), advice: ("同伴只用 https,设 --peer-client-cert-auth=true 与 --peer-trusted-ca-file", "use https for peers, and set --peer-client-cert-auth=true and --peer-trusted-ca-file") },
    FlagSetting { names: &["cipher-suites"], judge: |f| suites(f.get("cipher-suites")), severity: Medium, actual: ("允许弱密码套件", "allows weak cipher suites"), advice: ("只留 ECDHE 与 AEAD 套件", "leave suites with ECDHE and AEAD alone") },
    FlagSetting { names: &["tls-min-version"], judge: |f| versions(f.get("tls-min-version")), severity: High, actual: ("接受 TLS 1.2 之前的版本", "accepts versions before TLS 1.2"), advice: ("设 --tls-min-version=TLS1.2", "set --tls-min-version=TLS1.2") },
];

const PORT: FlagSetting = FlagSetting { names: &["port", "address"], judge: |f| bad_if(f.get("port").is_some_and(|p| p != "0")), severity: High, actual: ("有不经鉴别的明文端口", "has a plain port without authentication"), advice: ("设 --port=0", "set --port=0") };
const BIND: FlagSetting = FlagSetting { names: &["bind-address"], judge: |f| bad_if(!f.get("bind-address").is_some_and(loopback)), severity: Low, actual: ("在本机之外监听", "listens beyond its own machine"), advice: ("设 --bind-address=127.0.0.1", "set --bind-address=127.0.0.1") };
const PATHS: FlagSetting = FlagSetting { names: &["authorization-always-allow-paths"], judge: |f| bad_if(f.get("authorization-always-allow-paths").is_some_and(|v| v.split(',').any(|p| !is_health(p)))), severity: Medium, actual: ("健康检查之外的路径不经鉴权", "paths other than health are open to anybody"), advice: ("--authorization-always-allow-paths 只留 /healthz、/readyz、/livez", "leave /healthz, /readyz, /livez alone in --authorization-always-allow-paths") };
const TLS: FlagSetting = FlagSetting { names: &["tls-min-version"], judge: |f| versions(f.get("tls-min-version")), severity: Medium, actual: ("接受 TLS 1.2 之前的版本", "accepts versions before TLS 1.2"), advice: ("设 --tls-min-version=VersionTLS12", "set --tls-min-version=VersionTLS12") };
const SUITES: FlagSetting = FlagSetting { names: &["tls-cipher-suites"], judge: |f| suites(f.get("tls-cipher-suites")), severity: Medium, actual: ("允许弱密码套件", "allows weak cipher suites"), advice: ("只留 ECDHE 与 AEAD 套件", "leave suites with ECDHE and AEAD alone") };

pub(super) const CONTROLLER: &[FlagSetting] = &[
    PORT,
    BIND,
    PATHS,
    TLS,
    SUITES,
    FlagSetting { names: &["service-account-private-key-file", "root-ca-file"], judge: |f| bad_if(f.get("service-account-private-key-file").is_none() || f.get("root-ca-file").is_none()), severity: Medium, actual: ("没有给出服务账号的签名密钥或集群 CA", "the key of service accounts or the cluster's authority is not given"), advice: ("设 --service-account-private-key-file 与 --root-ca-file", "set --service-account-private-key-file and --root-ca-file") },
];

pub(super) const CONTROLLER_ACCESS: &[FlagSetting] = &[FlagSetting { names: &["use-service-account-credentials"], judge: |f| bad_if(f.get("use-service-account-credentials") != Some("true")), severity: Medium, actual: ("所有控制器共用一个权限很大的身份", "all controllers share one identity with many rights"), advice: ("设 --use-service-account-credentials=true", "set --use-service-account-credentials=true") }];

pub(super) const SCHEDULER: &[FlagSetting] = &[PORT, BIND, PATHS, TLS, SUITES];

pub(super) const PROFILING: &[FlagSetting] = &[FlagSetting { names: &["profiling"], judge: |f| bad_if(f.get("profiling") != Some("false")), severity: Low, actual: ("剖析接口开启", "profiling is on"), advice: ("设 --profiling=false", "set --profiling=false") }];

fn is_health(path: &str) -> bool {
    ["/healthz", "/readyz", "/livez"].iter().any(|h| path.trim() == *h)
}

fn all_https(urls: &str) -> bool {
    urls.split(',').all(|u| u.trim().starts_with("https://"))
}

fn loopback(address: &str) -> bool {
    address == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|a| a.is_loopback())
}

/// `http://127.0.0.1:2380`.
fn of_loopback(url: &str) -> bool {
    let host = url.trim().split("://").nth(1).unwrap_or_default().split('/').next().unwrap_or_default();
    loopback(host.rsplit_once(':').map_or(host, |(h, _)| h).trim_matches(['[', ']']))
}

fn plain_port(f: &Flags) -> Judged {
    bad_if(f.get("insecure-port").is_some_and(|p| p != "0") || (f.get("insecure-bind-address").is_some() && f.get("insecure-port") != Some("0")))
}

/// A member list of a configuration file.
fn list<'v>(value: &'v Value, member: &str) -> impl Iterator<Item = &'v Value> {
    value[member].as_array().into_iter().flatten()
}

fn anonymous(f: &Flags) -> Judged {
    let by_flag = bad_if(f.get("anonymous-auth") != Some("false"));
    match f.file("authentication-config") {
        None => by_flag,
        Some(None) => Judged::Unknown,
        Some(Some(file)) => match file["anonymous"]["enabled"].as_bool() {
            None => by_flag,
            Some(false) => Judged::Good,
            Some(true) => {
                let mut paths = list(&file["anonymous"], "conditions").map(|c| c["path"].as_str().unwrap_or_default()).peekable();
                bad_if(paths.peek().is_none() || paths.any(|p| !is_health(p)))
            }
        },
    }
}

fn authorization(f: &Flags) -> Judged {
    let good = |modes: &[&str]| bad_if(!modes.contains(&"RBAC") || modes.contains(&"AlwaysAllow"));
    match f.file("authorization-config") {
        None => good(&f.get("authorization-mode").unwrap_or_default().split(',').collect::<Vec<_>>()),
        Some(None) => Judged::Unknown,
        Some(Some(file)) => good(&list(file, "authorizers").filter_map(|a| a["type"].as_str()).collect::<Vec<_>>()),
    }
}

/// What is written of Secrets is encrypted: by the first provider of the first entry that speaks of them.
fn encryption(f: &Flags) -> Judged {
    match f.file("encryption-provider-config") {
        None => Judged::Bad,
        Some(None) => Judged::Unknown,
        Some(Some(file)) => {
            let of_secrets = |entry: &&Value| list(entry, "resources").any(|r| matches!(r.as_str(), Some("secrets" | "*." | "*.*")));
            let first = list(file, "resources").find(of_secrets).and_then(|e| e["providers"].as_array()?.first()?.as_object()?.keys().next().cloned());
            bad_if(first.is_none_or(|name| name == "identity"))
        }
    }
}

fn kept(f: &Flags) -> Judged {
    let days = f.get("audit-log-maxage").and_then(|d| d.parse::<u32>().ok()).unwrap_or(0);
    bad_if(f.get("audit-webhook-config-file").is_none() && f.get("audit-log-path").is_some() && days < 180)
}

/// One member alone may speak plainly with itself.
fn peers(f: &Flags) -> Judged {
    let urls = f.get("listen-peer-urls").unwrap_or("http://localhost:2380");
    let alone = urls.split(',').all(of_loopback);
    bad_if(!alone && (!all_https(urls) || f.get("peer-client-cert-auth") != Some("true")))
}
