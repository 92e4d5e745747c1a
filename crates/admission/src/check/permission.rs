//! Permissions that are handed out: roles and bindings (AC-1).

use super::{Found, Read, typed};
use crate::review::Request;
use jinwu_model::Text;
use serde::Deserialize;

/// Every verb on every resource of a group, or more.
pub const WILDCARD_ROLE: &str = "wildcard-role";
/// Rights by which one gets more rights.
pub const ESCALATING_ROLE: &str = "escalating-role";
/// `cluster-admin`, or any right for people nobody knows.
pub const ADMINISTRATOR_BINDING: &str = "administrator-binding";

/// A role or binding, where it changed.
#[derive(Debug, PartialEq, Eq)]
pub enum Permission {
    Role(Vec<Rule>),
    Binding { role: String, subjects: Vec<Party> },
    Unchanged,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    #[serde(default, deserialize_with = "list")]
    verbs: Vec<String>,
    #[serde(default, deserialize_with = "list")]
    api_groups: Vec<String>,
    #[serde(default, deserialize_with = "list")]
    resources: Vec<String>,
    #[serde(default, deserialize_with = "list")]
    resource_names: Vec<String>,
    #[serde(default, rename = "nonResourceURLs", deserialize_with = "list")]
    urls: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Party {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    #[serde(default, deserialize_with = "list")]
    rules: Vec<Rule>,
    /// Rules of such a role are put together by a controller from other roles.
    #[serde(default)]
    aggregation_rule: Option<serde_json::Value>,
    #[serde(default)]
    role_ref: Option<RoleRef>,
    #[serde(default, deserialize_with = "list")]
    subjects: Vec<Party>,
}

#[derive(Deserialize)]
struct RoleRef {
    kind: String,
    name: String,
}

/// `null` is an empty list, as in the API server.
fn list<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(d)?.unwrap_or_default())
}

/// The API server's own hand, which sets up the roles Kubernetes comes with; nobody can log in as it.
const BOOTSTRAP: &str = "system:apiserver";
const AGGREGATOR: &str = "system:serviceaccount:kube-system:clusterrole-aggregation-controller";

/// Groups everybody, or anybody, is in.
const ANYBODY: [&str; 3] = ["system:anonymous", "system:unauthenticated", "system:authenticated"];

/// What each right leads to.
const ESCALATIONS: [(&str, &[&str], &str, &str); 9] = [
    ("roles", &["escalate"], "可授予自己没有的权限", "grants rights one does not have"),
    ("clusterroles", &["escalate"], "可授予自己没有的权限", "grants rights one does not have"),
    ("rolebindings", &["bind"], "可绑定任意角色", "binds any role"),
    ("clusterrolebindings", &["bind", "create", "update", "patch"], "可把角色绑定给任何人", "binds roles to anybody"),
    ("users", &["impersonate"], "可冒充任何人", "acts as anybody"),
    ("groups", &["impersonate"], "可冒充任何组", "acts as any group"),
    ("serviceaccounts/token", &["create"], "可取得任何服务账号的令牌", "gets a token of any service account"),
    ("nodes/proxy", &["get", "create"], "可绕过审计直达 kubelet", "reaches the kubelet past audit"),
    ("certificatesigningrequests/approval", &["update", "patch"], "可签发任意身份的证书", "has certificates of any identity signed"),
];

pub(super) fn read<'a>(request: &Request<'_>) -> Read<'a> {
    let Some(object) = request.object() else { return Read::Nothing };
    let old = match request.old_object() {
        Some(old) => typed::<Object>(old).map(Some),
        None => Ok(None),
    };
    let (new, old) = match (typed::<Object>(object), old) {
        (Ok(new), Ok(old)) => (new, old),
        (Err(detail), _) | (_, Err(detail)) => return Read::Unreadable(detail),
    };
    let user = request.user_info.username.as_str();
    if user == BOOTSTRAP || (user == AGGREGATOR && new.aggregation_rule.is_some()) {
        return Read::Nothing;
    }
    Read::Permission(match new.role_ref {
        Some(role) => {
            let known = old.map(|o| o.subjects).unwrap_or_default();
            let subjects: Vec<Party> = new.subjects.into_iter().filter(|s| !known.contains(s)).collect();
            if subjects.is_empty() { Permission::Unchanged } else { Permission::Binding { role: format!("{}/{}", role.kind, role.name), subjects } }
        }
        None => {
            let known = old.map(|o| o.rules).unwrap_or_default();
            let rules: Vec<Rule> = new.rules.into_iter().filter(|r| !known.contains(r)).collect();
            if rules.is_empty() { Permission::Unchanged } else { Permission::Role(rules) }
        }
    })
}

pub(crate) fn judge(permission: &Permission, found: &mut Vec<Found>) {
    match permission {
        Permission::Unchanged => {}
        Permission::Role(rules) => role(rules, found),
        Permission::Binding { role, subjects } => binding(role, subjects, found),
    }
}

fn role(rules: &[Rule], found: &mut Vec<Found>) {
    let any = |list: &[String]| list.iter().any(|e| e == "*");
    for (i, rule) in rules.iter().enumerate().take(1000) {
        if any(&rule.verbs) && (any(&rule.resources) || any(&rule.urls)) {
            found.push(Found::new(
                WILDCARD_ROLE,
                Text::new(format!("第 {} 条规则对全部资源给予全部动作", i + 1), format!("rule {} gives every verb on every resource", i + 1)),
                Text::new("在 verbs 与 resources 中逐一列出所需,不用 *", "list what is needed in verbs and resources, without *"),
            ));
            continue;
        }
        for (resource, verbs, zh, en) in ESCALATIONS {
            let has = rule.resource_names.is_empty()
                && rule.resources.iter().any(|r| r == resource || r == "*")
                && rule.verbs.iter().any(|v| v == "*" || verbs.contains(&v.as_str()));
            if has {
                found.push(Found::new(
                    ESCALATING_ROLE,
                    Text::new(format!("第 {} 条规则给予 {resource} 的 {}:{zh}", i + 1, verbs.join("/")), format!("rule {} gives {} on {resource}: it {en}", i + 1, verbs.join("/"))),
                    Text::new(format!("去掉 {resource},或以 resourceNames 限定对象"), format!("remove {resource}, or name the objects in resourceNames")),
                ));
            }
        }
    }
}

fn binding(role: &str, subjects: &[Party], found: &mut Vec<Found>) {
    let shown = |p: &Party| match &p.namespace {
        Some(n) => format!("{} {n}/{}", p.kind, p.name),
        None => format!("{} {}", p.kind, p.name),
    };
    let anybody: Vec<String> = subjects.iter().filter(|s| ANYBODY.contains(&s.name.as_str()) || s.name == "system:masters").map(shown).take(20).collect();
    let advice = Text::new("绑定权限较小的角色,并指明具体的人或服务账号", "bind a smaller role, to the people or service accounts that need it");
    if !anybody.is_empty() {
        let list = anybody.join(", ");
        found.push(Found::new(ADMINISTRATOR_BINDING, Text::new(format!("把 {role} 授予 {list}"), format!("gives {role} to {list}")), advice));
    } else if role == "ClusterRole/cluster-admin" {
        let list = subjects.iter().map(shown).take(20).collect::<Vec<_>>().join(", ");
        found.push(Found::new(ADMINISTRATOR_BINDING, Text::new(format!("把 cluster-admin 授予 {list}"), format!("gives cluster-admin to {list}")), advice));
    }
}
