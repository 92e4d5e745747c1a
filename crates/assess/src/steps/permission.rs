//! AC-1: who may do what in the cluster.

use super::{Lab, findings, same, t};
use crate::cluster::{Who, message};
use crate::evidence::{Evidence, Role, whether};
use anyhow::Context as _;
use http::Method;
use jinwu_inventory::{Grants, Inventory, Request, Subject};
use jinwu_standard::verdict::Answer;
use serde_json::{Value, json};

const RBAC: &str = "rbac.authorization.k8s.io";
/// Verbs every pair of role and resource is asked about.
const VERBS: [&str; 5] = ["get", "list", "create", "update", "delete"];
/// Resources asked about at most; a cluster has some sixty kinds, custom ones beside.
const MOST: usize = 400;

/// AC-1.C1.
pub(super) async fn roles(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let cluster = lab.cluster()?;
    let mut log = cluster.log("collect roles and bindings");
    let inventory = lab.inventory(&mut log).await?;
    let grants = Grants::new(&inventory.0);
    let subjects = grants.subjects().count();
    out.push(log.prove(
        Role::State,
        t("基于角色的访问控制:有角色、绑定与主体", "role-based access control: there are roles, bindings and subjects"),
        t(
            format!("角色 {},绑定 {},主体 {subjects}", inventory.0.roles.len(), inventory.0.bindings.len()),
            format!("{} roles, {} bindings, {subjects} subjects", inventory.0.roles.len(), inventory.0.bindings.len()),
        ),
        whether(!inventory.0.roles.is_empty() && !inventory.0.bindings.is_empty()),
    ));
    let mut log = cluster.log("SubjectAccessReview of a user without any role");
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": "assess-nobody", "groups": ["system:authenticated"], "resourceAttributes": {"verb": "list", "resource": "pods"}}});
    let answer = cluster.act(&mut log, Who::Operator, Method::POST, "/apis/authorization.k8s.io/v1/subjectaccessreviews", Some(&review)).await?;
    out.push(log.prove(
        Role::State,
        t("未授予角色者没有权限", "who has no role has no rights"),
        same(format!("allowed={}", answer["status"]["allowed"])),
        whether(answer["status"]["allowed"] == false),
    ));
    findings(lab, out, "AC-1").await
}

/// AC-1.C2: rights differ by user and resource.
pub(super) async fn fine_grained(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let mut log = lab.cluster()?.log("effective rights of every subject");
    let inventory = lab.inventory(&mut log).await?;
    let grants = Grants::new(&inventory.0);
    let mut kinds: Vec<String> = Vec::new();
    for subject in grants.subjects() {
        let identity = subject.identity();
        let may: String = ["pods", "secrets", "nodes", "deployments", "roles"]
            .iter()
            .map(|resource| {
                let group = match *resource {
                    "deployments" => "apps",
                    "roles" => RBAC,
                    _ => "",
                };
                let asks = |verb| Request::Resource { verb, group, resource, subresource: "", namespace: "kube-system", name: "" };
                format!("{}{}", u8::from(grants.allows(&identity, &asks("list")).is_some()), u8::from(grants.allows(&identity, &asks("create")).is_some()))
            })
            .collect();
        log.note(&format!("{subject} {may}"));
        kinds.push(may);
    }
    kinds.sort();
    kinds.dedup();
    out.push(log.prove(
        Role::State,
        t("不同用户对不同资源有不同的读写权限", "different users have different rights to read and write different resources"),
        t(format!("在五类资源上有 {} 种不同的权限组合", kinds.len()), format!("{} different combinations of rights over five kinds of resources", kinds.len())),
        whether(kinds.len() > 2),
    ));
    Ok(())
}

/// AC-1.S1: three roles, every kind of resource, every verb; and real requests beside.
pub(super) async fn matrix(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let field = lab.field()?;
    let mut log = field.cluster.log("prepare: accounts viewer, editor, nobody");
    let rules = [
        ("viewer", json!([{"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["get", "list"]}])),
        ("editor", json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "create", "update", "delete"]}])),
    ];
    for (name, rules) in rules {
        field.make(&mut log, "roles", &json!({"apiVersion": format!("{RBAC}/v1"), "kind": "Role", "metadata": {"name": name}, "rules": rules})).await?;
        let binding = json!({"apiVersion": format!("{RBAC}/v1"), "kind": "RoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name}, "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": field.namespace}]});
        field.make(&mut log, "rolebindings", &binding).await?;
    }
    let inventory = lab.inventory(&mut log).await?.0;
    for name in ["viewer", "editor", "nobody"] {
        field.make(&mut log, "serviceaccounts", &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})).await?;
        let token = field.token(&mut log, name).await?;
        asked(lab, out, &inventory, name, &token).await?;
        tried(lab, out, name, &token).await?;
    }
    Ok(())
}

/// What the API server says it would permit, against what the roles say.
async fn asked(lab: &Lab<'_>, out: &mut Vec<Evidence>, inventory: &Inventory, name: &str, token: &str) -> anyhow::Result<()> {
    let field = lab.field()?;
    let grants = Grants::new(inventory);
    let identity = Subject::ServiceAccount { namespace: field.namespace.clone(), name: name.to_owned() }.identity();
    let mut log = field.cluster.log(format!("SelfSubjectAccessReview as {name}: every resource, {} verbs, two namespaces", VERBS.len()));
    let (mut all, mut permitted, mut wrong) = (0, 0, Vec::new());
    for resource in inventory.resources.iter().take(MOST) {
        let (plural, sub) = resource.resource.split_once('/').unwrap_or((&resource.resource, ""));
        for verb in VERBS.into_iter().filter(|v| resource.verbs.iter().any(|have| &**have == *v)) {
            for namespace in [field.namespace.as_str(), "kube-system"] {
                let expected = grants.allows(&identity, &Request::Resource { verb, group: &resource.group, resource: plural, subresource: sub, namespace, name: "" });
                let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes":
                    {"verb": verb, "group": resource.group, "resource": plural, "subresource": sub, "namespace": namespace}}});
                let mut quiet = field.cluster.log("");
                let answer = field.cluster.act(&mut quiet, Who::Token(token), Method::POST, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", Some(&review)).await?;
                let is = answer["status"]["allowed"].as_bool().context("the review has no answer")?;
                all += 1;
                permitted += usize::from(is);
                if is {
                    log.note(&format!("permitted: {verb} {}.{} in {namespace}", resource.resource, resource.group));
                }
                if is != expected.is_some() {
                    wrong.push(format!("{verb} {} in {namespace}: {is}", resource.resource));
                }
            }
        }
    }
    out.push(log.prove(
        Role::Attack,
        t(format!("{name}:对每种资源、每种操作,恰好只有角色所授的被许可"), format!("{name}: of every resource and verb exactly what the role grants is permitted")),
        t(format!("{all} 问,许可 {permitted},不符 {}:{}", wrong.len(), wrong.join("; ")), format!("{all} asked, {permitted} permitted, {} wrong: {}", wrong.len(), wrong.join("; "))),
        if all == 0 { Answer::Unknown } else { whether(wrong.is_empty()) },
    ));
    Ok(())
}

/// Real requests.
async fn tried(lab: &Lab<'_>, out: &mut Vec<Evidence>, name: &str, token: &str) -> anyhow::Result<()> {
    let field = lab.field()?;
    let map: Value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("by-{name}")}, "data": {"a": "b"}});
    let (view, edit) = (name != "nobody", name == "editor");
    let requests: [(Method, String, Option<&Value>, bool); 8] = [
        (Method::GET, field.at("configmaps"), None, view),
        (Method::GET, field.at("pods"), None, name == "viewer"),
        (Method::POST, field.at("configmaps"), Some(&map), edit),
        (Method::DELETE, field.at(&format!("configmaps/by-{name}")), None, edit),
        (Method::GET, field.at("secrets"), None, false),
        (Method::DELETE, field.at(&format!("pods/{}", crate::cluster::field::HOST)), None, false),
        (Method::GET, "/api/v1/namespaces/kube-system/configmaps".into(), None, false),
        (Method::GET, "/api/v1/nodes".into(), None, false),
    ];
    let mut log = field.cluster.log(format!("{} requests as {name}", requests.len()));
    let mut wrong = Vec::new();
    for (method, path, body, allowed) in &requests {
        let reply = field.cluster.ask(&mut log, Who::Token(token), method.clone(), path, *body).await?;
        let right = if *allowed { reply.status < 300 } else { reply.status == 403 };
        if !right {
            wrong.push(format!("{method} {path}: {} {}", reply.status, message(&reply)));
        }
    }
    out.push(log.prove(
        Role::Attack,
        t(format!("{name}:真实请求按角色被许可或拒绝(403)"), format!("{name}: real requests are permitted or refused (403) by the role")),
        if wrong.is_empty() { t(format!("{} 个请求均如此", requests.len()), format!("all {} requests", requests.len())) } else { same(wrong.join("; ")) },
        whether(wrong.is_empty()),
    ));
    Ok(())
}
