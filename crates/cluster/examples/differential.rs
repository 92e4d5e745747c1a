//! Effective permissions against the API server's own answers: `differential KUBECONFIG`.
//!
//! Every role there is gets a user of its own (bindings named jinwu-differential-*, removed at the end).
//! Then SubjectAccessReview is asked for every such user and every subject that any binding names, over
//! every resource and subresource of discovery, with verbs and namespaces in turn, and for URLs. One
//! difference fails.
#![forbid(unsafe_code)]

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use http::{Method, Request as Http};
use jinwu_cluster::{collect, connect};
use jinwu_inventory::{Grants, Identity, Request, Subject};
use serde_json::{Value, json};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const PREFIX: &str = "jinwu-differential-";
const VERBS: [&str; 13] = ["get", "list", "create", "update", "patch", "delete", "watch", "deletecollection", "*", "escalate", "bind", "impersonate", "approve"];

#[derive(Clone, Debug)]
struct Ask {
    identity: Identity,
    verb: &'static str,
    group: String,
    resource: String,
    namespace: String,
    name: String,
    url: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("usage: differential KUBECONFIG")?;
    let client = connect(Some(path.as_ref())).await?;
    let (before, not_read) = collect(&client).await?;
    ensure!(not_read.is_empty(), "not everything could be read: {not_read:?}");
    let mut made = Vec::new();
    for (n, role) in before.roles.iter().enumerate() {
        let namespace = &role.metadata.namespace;
        let (kind, path) = if namespace.is_empty() { ("ClusterRole", format!("{RBAC}/clusterrolebindings")) } else { ("Role", format!("{RBAC}/namespaces/{namespace}/rolebindings")) };
        let name = format!("{PREFIX}{n}");
        let body = json!({"metadata": {"name": name}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role.metadata.name},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": format!("differential:{n}")}]});
        send(&client, Method::POST, &path, &body).await.with_context(|| format!("{path}/{name}"))?;
        made.push(format!("{path}/{name}"));
    }
    let result = compare(&client).await;
    for path in made {
        send(&client, Method::DELETE, &path, &json!({})).await?;
    }
    let (asked, allowed, differences) = result?;
    println!("{} roles, {asked} questions, {allowed} permitted, {} differences", before.roles.len(), differences.len());
    differences.iter().take(20).for_each(|d| println!("  {d}"));
    ensure!(differences.is_empty() && asked > 0 && allowed > 0, "the API server decides otherwise");
    Ok(())
}

async fn compare(client: &kube::Client) -> anyhow::Result<(usize, usize, Vec<String>)> {
    // The authoriser learns of new bindings by its watch.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let (inventory, _) = collect(client).await?;
    let grants = Grants::new(&inventory);
    let mut subjects: Vec<Subject> = grants.subjects().cloned().collect();
    subjects.extend(["user:system:anonymous", "user:nobody", "group:system:masters", "sa:default/default"].iter().filter_map(|s| Subject::parse(s).ok()));
    let namespaces = ["", "default", "kube-system", "differential"];
    let mut asks = Vec::new();
    for (s, subject) in subjects.iter().enumerate() {
        let identity = subject.identity();
        let ask = |verb, group: &str, resource: &str, namespace: &str, name: &str, url| Ask {
            identity: identity.clone(), verb, group: group.into(), resource: resource.into(), namespace: namespace.into(), name: name.into(), url,
        };
        for (r, resource) in inventory.resources.iter().enumerate() {
            let verbs = [VERBS[(s + r) % VERBS.len()], VERBS[(s * 7 + r * 3 + 1) % 8]];
            for (v, verb) in verbs.into_iter().enumerate() {
                asks.push(ask(verb, &resource.group, &resource.resource, namespaces[(s + r + v) % namespaces.len()], "", None));
            }
        }
        // What its own rules name, and close beside it.
        for grant in grants.named(subject) {
            for rule in &grant.role.rules {
                for (resource, group) in rule.resources.iter().flat_map(|r| rule.api_groups.iter().map(move |g| (r, g))) {
                    for verb in VERBS.into_iter().filter(|v| rule.verbs.iter().any(|w| **w == **v)).take(3) {
                        let name = rule.resource_names.first().map_or("", |n| n);
                        for (namespace, name) in [("", name), (&*grant.binding.metadata.namespace, name), ("default", ""), ("default", "another")] {
                            asks.push(ask(verb, group, resource, namespace, name, None));
                        }
                    }
                }
                for url in &rule.non_resource_urls {
                    for url in [url.to_string(), url.replace('*', "x/y"), format!("{url}z")] {
                        asks.push(ask("get", "", "", "", "", Some(url)));
                    }
                }
            }
        }
        for url in ["/metrics", "/healthz", "/api", "/logs/x"] {
            asks.push(ask("get", "", "", "", "", Some(url.into())));
        }
    }
    let answers: Vec<anyhow::Result<(Ask, bool)>> = futures::stream::iter(asks)
        .map(|ask| async move { Ok((ask.clone(), review(client, &ask).await?)) })
        .buffer_unordered(16)
        .collect()
        .await;
    let (mut allowed, mut differences, asked) = (0, Vec::new(), answers.len());
    for answer in answers {
        let (ask, theirs) = answer?;
        let (resource, subresource) = ask.resource.split_once('/').unwrap_or((&ask.resource, ""));
        let request = match &ask.url {
            Some(path) => Request::Url { verb: ask.verb, path },
            None => Request::Resource { verb: ask.verb, group: &ask.group, resource, subresource, namespace: &ask.namespace, name: &ask.name },
        };
        let ours = grants.allows(&ask.identity, &request).is_some();
        allowed += usize::from(theirs);
        if ours != theirs {
            differences.push(format!("ours {ours}, the API server's {theirs}: {ask:?}"));
        }
    }
    Ok((asked, allowed, differences))
}

async fn review(client: &kube::Client, ask: &Ask) -> anyhow::Result<bool> {
    let (resource, subresource) = ask.resource.split_once('/').unwrap_or((&ask.resource, ""));
    let mut spec = json!({"user": ask.identity.user, "groups": ask.identity.groups});
    match &ask.url {
        Some(path) => spec["nonResourceAttributes"] = json!({"verb": ask.verb, "path": path}),
        None => spec["resourceAttributes"] = json!({"verb": ask.verb, "group": ask.group, "resource": resource, "subresource": subresource, "namespace": ask.namespace, "name": ask.name}),
    }
    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec});
    let answer = send(client, Method::POST, "/apis/authorization.k8s.io/v1/subjectaccessreviews", &body).await?;
    answer["status"]["allowed"].as_bool().with_context(|| format!("no answer: {answer}"))
}

async fn send(client: &kube::Client, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
    let request = Http::builder().method(method).uri(path).header("content-type", "application/json").body(serde_json::to_vec(body)?)?;
    Ok(client.request(request).await?)
}
