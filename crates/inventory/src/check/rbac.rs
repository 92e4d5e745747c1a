//! AC-1: least privilege.

use super::{Check, Report};
use crate::finding::Severity;
use crate::inventory::Kind;
use crate::object::{Role, Rule};
use crate::rbac::{Grant, Paths, Subject};
use jinwu_model::Verdict;

const RBAC: &[Kind] = &[Kind::ClusterRole, Kind::Role, Kind::ClusterRoleBinding, Kind::RoleBinding];
const RBAC_PODS: &[Kind] =
    &[Kind::ClusterRole, Kind::Role, Kind::ClusterRoleBinding, Kind::RoleBinding, Kind::Pod, Kind::ServiceAccount, Kind::Secret, Kind::Namespace, Kind::Node];

pub(super) const CHECKS: &[Check] = &[
    Check { id: "rbac-wildcard", clause: "AC-1", needs: RBAC, expected: ("角色写明动词与资源,不用通配符", "roles name verbs and resources, no wildcards"), run: wildcards },
    Check { id: "rbac-cluster-admin", clause: "AC-1", needs: RBAC, expected: ("只有平台自身持有集群管理员权限", "only the platform itself is cluster-admin"), run: admins },
    Check { id: "rbac-escalate", clause: "AC-1", needs: RBAC, expected: ("无人持有 escalate、bind、impersonate", "nobody holds escalate, bind, impersonate"), run: escalation },
    Check { id: "rbac-anonymous", clause: "AC-1", needs: RBAC, expected: ("匿名者只能读取版本与健康状况", "the anonymous may read version and health, nothing else"), run: anonymous },
    Check { id: "rbac-default-account", clause: "AC-1", needs: RBAC, expected: ("default 服务账号没有权限", "default service accounts have no rights"), run: default_accounts },
    Check { id: "rbac-dangling", clause: "AC-1", needs: RBAC, expected: ("绑定的角色存在", "every bound role exists"), run: dangling },
    Check { id: "rbac-path", clause: "AC-1", needs: RBAC_PODS, expected: ("没有通往集群管理员或节点的越权路径", "no path to cluster-admin or to a node"), run: paths },
    Check { id: "token-automount", clause: "AC-1", needs: RBAC_PODS, expected: ("不使用 API 的容器组不挂载令牌", "pods that do not use the API mount no token"), run: automount },
    Check { id: "token-legacy", clause: "AC-1", needs: &[Kind::Secret], expected: ("没有长期有效的令牌 Secret", "no Secrets with lasting tokens"), run: legacy_tokens },
];

/// A role that Kubernetes sets up and puts right at every start.
fn built_in(role: &Role) -> bool {
    role.metadata.labels.get("kubernetes.io/bootstrapping").is_some_and(|v| &**v == "rbac-defaults")
}

fn star(list: &[Box<str>]) -> bool {
    list.iter().any(|w| &**w == "*")
}

fn shown(rule: &Rule) -> String {
    serde_json::to_string(rule).unwrap_or_default()
}

fn wildcards(r: &mut Report<'_, '_>) {
    for role in r.facts.inventory.roles.iter().filter(|role| !built_in(role)) {
        let bad: Vec<_> = role.rules.iter().filter(|rule| star(&rule.verbs) || star(&rule.resources) || star(&rule.api_groups)).collect();
        let Some(worst) = bad.iter().find(|rule| rule.is_all()).or(bad.first()) else { continue };
        let severity = if worst.is_all() { Severity::High } else { Severity::Medium };
        let kind = if role.metadata.namespace.is_empty() { "ClusterRole" } else { "Role" };
        let n = bad.len();
        r.fails(severity, format!("{kind}/{}", role.metadata.place()), (format!("{n} 条规则含通配符"), format!("{n} rules with wildcards")), bad.iter().map(|b| shown(b)).collect::<Vec<_>>().join("\n"), (
            "写明所需的动词与资源",
            "name the verbs and resources it needs",
        ));
    }
}

/// Who has such rights by its nature: named, said, and no fault.
const BY_NATURE: [(&str, &str, &str); 3] = [
    ("user:kube-apiserver-kubelet-client", "API server 访问 kubelet 所用的身份", "what the API server goes to kubelets as"),
    ("group:kubeadm:cluster-admins", "kubeadm 的集群管理员组,凭证书", "kubeadm's group of administrators, by certificate"),
    ("sa:jinwu/jinwu-gate", "金吾关口,维护自己的 webhook", "Jinwu's gate, which keeps its webhooks"),
];

/// Says what such a subject can do and that it is known; false for any other.
fn by_nature(r: &mut Report<'_, '_>, subject: &Subject, what: (&str, &str), evidence: &str) -> bool {
    let name = subject.to_string();
    let Some((_, zh, en)) = BY_NATURE.iter().find(|(known, ..)| *known == name) else { return false };
    let actual = (format!("{}({zh})", what.0), format!("{} ({en})", what.1));
    r.say(Verdict::Conforms, Severity::Note, name, actual, evidence, ("确认其凭据只在控制面或其自身手中", "make sure that only the control plane, or it itself, has its credentials"));
    true
}

fn admins(r: &mut Report<'_, '_>) {
    for (subject, grant) in named(r) {
        if grant.binding.metadata.namespace.is_empty() && grant.role.rules.iter().any(Rule::is_all) && !subject.of_platform() {
            if by_nature(r, &subject, ("集群管理员", "cluster-admin"), &grant.role_name()) {
                continue;
            }
            r.fails(Severity::High, grant.binding_name(), (format!("{subject} 是集群管理员"), format!("{subject} is cluster-admin")), grant.role_name(), (
                "改为授予其职责所需的角色;管理员权限由专人按需申请",
                "give the role its duty needs; have administrators ask for more when they need it",
            ));
        }
    }
}

fn named<'i>(r: &Report<'_, 'i>) -> Vec<(Subject, Grant<'i>)> {
    r.grants.subjects().flat_map(|s| r.grants.named(s).map(move |g| (s.clone(), g))).collect()
}

fn escalation(r: &mut Report<'_, '_>) {
    for (subject, grant) in named(r) {
        if subject.of_platform() {
            continue;
        }
        for verb in ["escalate", "bind", "impersonate"] {
            let Some(rule) = grant.role.rules.iter().find(|rule| !star(&rule.verbs) && rule.verbs.iter().any(|v| &**v == verb)) else { continue };
            r.fails(Severity::High, grant.binding_name(), (format!("{subject} 持有 {verb}"), format!("{subject} holds {verb}")), format!("{}: {}", grant.role_name(), shown(rule)), (
                "去掉该动词,或以 resourceNames 限定到具体对象",
                "take the verb away, or name the objects in resourceNames",
            ));
        }
    }
}

/// What everybody may read.
const PUBLIC: [&str; 9] = ["/healthz", "/livez", "/readyz", "/version", "/version/", "/healthz/*", "/livez/*", "/readyz/*", "/.well-known/openid-configuration"];

fn anonymous(r: &mut Report<'_, '_>) {
    for name in ["group:system:unauthenticated", "user:system:anonymous"] {
        let Ok(subject) = Subject::parse(name) else { continue };
        for grant in r.grants.named(&subject).collect::<Vec<_>>() {
            let bad: Vec<_> = grant.role.rules.iter().filter(|rule| !rule.resources.is_empty() || rule.non_resource_urls.iter().any(|u| !PUBLIC.contains(&&**u))).collect();
            if !bad.is_empty() {
                r.fails(Severity::High, grant.binding_name(), (format!("{subject} 未经鉴别即有权限"), format!("{subject} has rights without authentication")), bad.iter().map(|b| shown(b)).collect::<Vec<_>>().join("\n"), (
                    "从绑定中删除该主体",
                    "remove the subject from the binding",
                ));
            }
        }
    }
}

fn default_accounts(r: &mut Report<'_, '_>) {
    for (subject, grant) in named(r) {
        if matches!(&subject, Subject::ServiceAccount { name, .. } if name == "default") {
            r.fails(Severity::Medium, grant.binding_name(), (format!("{subject} 有权限,命名空间中每个未指定账号的容器组都有"), format!("{subject} has rights, and so has every pod there that names no account")), grant.role_name(), (
                "为该工作负载建立自己的服务账号并改绑",
                "make an account for the workload and bind that",
            ));
        }
    }
}

fn dangling(r: &mut Report<'_, '_>) {
    for (binding, why) in &r.grants.dangling {
        let asset = crate::rbac::binding_name(binding);
        r.say(Verdict::Fails, Severity::Low, asset, (why.zh.clone(), why.en.clone()), serde_json::to_string(&binding.role_ref).unwrap_or_default(), ("删除该绑定或改正之", "remove the binding or correct it"));
    }
}

fn paths(r: &mut Report<'_, '_>) {
    let paths = Paths::new(r.grants);
    for subject in r.grants.subjects().cloned().collect::<Vec<_>>() {
        if subject.of_platform() {
            continue;
        }
        for (goal_zh, goal_en, path) in [("集群管理员", "cluster-admin", paths.to_cluster_admin(&subject)), ("节点", "a node", paths.to_node(&subject))] {
            let Some(path) = path.filter(|p| !p.is_empty()) else { continue };
            // Whoever is cluster-admin outright has a finding of their own.
            if path.first().is_some_and(|s| s.technique == "all") {
                break;
            }
            let n = path.len();
            let evidence = path.iter().map(|s| format!("{} [{}] {}", s.how, s.technique, s.by)).collect::<Vec<_>>().join("\n");
            let what = (format!("{n} 步可达{goal_zh}"), format!("{n} steps to {goal_en}"));
            if by_nature(r, &subject, (&what.0, &what.1), &evidence) {
                continue;
            }
            r.fails(Severity::High, subject.to_string(), (format!("{n} 步可达{goal_zh}:{}", path[0].how.zh), format!("{n} steps to {goal_en}: {}", path[0].how.en)), evidence, (
                "去掉路径第一步所用的权限,或以 Pod Security、resourceNames 限制之",
                "take away the right of the first step, or limit it by Pod Security or resourceNames",
            ));
        }
    }
}

fn automount(r: &mut Report<'_, '_>) {
    let mut seen = std::collections::BTreeSet::new();
    for pod in r.facts.inventory.pods.iter().filter(|p| p.running() && p.mounts_token()) {
        let (ns, sa) = (&pod.metadata.namespace, &pod.spec.service_account_name);
        let subject = Subject::ServiceAccount { namespace: ns.to_string(), name: sa.to_string() };
        let home = pod.metadata.controller().map_or(pod.metadata.place(), |o| format!("{ns}/{} {}", o.kind, o.name));
        if r.grants.named(&subject).next().is_none() && seen.insert(home.clone()) {
            r.fails(Severity::Low, format!("Pod/{home}"), (format!("挂载了服务账号 {sa} 的令牌,而该账号没有任何权限"), format!("mounts a token of service account {sa}, which has no rights at all")), format!("{}: automountServiceAccountToken={:?}", pod.metadata.place(), pod.spec.automount_service_account_token), (
                "设 automountServiceAccountToken: false",
                "set automountServiceAccountToken: false",
            ));
        }
    }
}

fn legacy_tokens(r: &mut Report<'_, '_>) {
    for secret in r.facts.inventory.secrets.iter().filter(|s| &*s.kind == "kubernetes.io/service-account-token") {
        let sa = secret.metadata.annotations.get("kubernetes.io/service-account.name").map_or("?", |s| &**s);
        r.fails(Severity::Medium, format!("Secret/{}", secret.metadata.place()), (format!("服务账号 {sa} 的令牌永不过期"), format!("a token of service account {sa} that never expires")), "type: kubernetes.io/service-account-token", (
            "改用 TokenRequest 的短期令牌,然后删除该 Secret",
            "use short-lived tokens by TokenRequest, then delete the Secret",
        ));
    }
}
