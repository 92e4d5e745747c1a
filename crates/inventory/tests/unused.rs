//! Rights never used: the smaller role permits all that was seen, and nothing that was not granted.

use jinwu_inventory::object::Rule;
use jinwu_inventory::unused::{Used, manifest, reductions};
use jinwu_inventory::{Grants, Identity, Inventory, Kind, Request, Subject};
use proptest::prelude::*;
use serde_json::{Value, json};

const ACCOUNT: &str = "system:serviceaccount:shop:web";

fn inventory(rules: Value, cluster_wide: bool) -> Inventory {
    let mut i = Inventory::default();
    let subjects = json!([{"kind": "ServiceAccount", "name": "web", "namespace": "shop"}]);
    let (role, binding, metadata) = match cluster_wide {
        true => (Kind::ClusterRole, Kind::ClusterRoleBinding, json!({"name": "web"})),
        false => (Kind::Role, Kind::RoleBinding, json!({"name": "web", "namespace": "shop"})),
    };
    i.add(role, &json!({"metadata": metadata, "rules": rules}).to_string()).expect("a role");
    i.add(binding, &json!({"metadata": metadata, "subjects": subjects, "roleRef": {"kind": role.name(), "name": "web"}}).to_string()).expect("a binding");
    i
}

fn used(verb: &str, resource: &str, namespace: &str, name: &str) -> Used {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let who = Identity { user: ACCOUNT.into(), groups: vec!["system:serviceaccounts".into()] };
    Used { who, verb: verb.into(), group: String::new(), resource: resource.into(), subresource: subresource.into(), namespace: namespace.into(), name: name.into(), path: String::new() }
}

fn request(u: &Used) -> Request<'_> {
    Request::Resource { verb: &u.verb, group: &u.group, resource: &u.resource, subresource: &u.subresource, namespace: &u.namespace, name: &u.name }
}

/// The rules left and the words of what is unused.
fn reduced(rules: Value, uses: &[Used]) -> (Vec<Value>, Vec<String>) {
    let i = inventory(rules, false);
    let grants = Grants::new(&i);
    let mut all = reductions(&grants, &Subject::parse("sa:shop/web").expect("an account"), uses);
    assert_eq!(all.len(), 1);
    let one = all.remove(0);
    (one.smaller.iter().map(manifest).collect(), one.unused)
}

#[test]
fn verbs_and_resources_never_used_are_told_and_left_out() {
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": ["get", "list", "delete"]}]);
    let (smaller, unused) = reduced(rules.clone(), &[used("get", "configmaps", "shop", "a"), used("list", "configmaps", "shop", "")]);
    assert_eq!(smaller, [json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]})]);
    assert_eq!(unused, ["delete configmaps", "delete secrets", "get secrets", "list secrets"]);
    let (none, all) = reduced(rules, &[used("get", "configmaps", "other", "a")]);
    assert_eq!((none.len(), all.len()), (0, 6), "a Role counts in its namespace only");
}

#[test]
fn names_are_narrowed_where_the_rule_names_some_and_many_names_narrow_nothing() {
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a", "b"], "verbs": ["get", "watch", "list"]}]);
    // A list or watch of one name is asked about by that name.
    let uses = [used("get", "configmaps", "shop", "a"), used("watch", "configmaps", "shop", "a"), used("list", "configmaps", "shop", "")];
    let (smaller, unused) = reduced(rules.clone(), &uses);
    assert_eq!(smaller, [json!({"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get", "watch"]})]);
    assert_eq!(unused, ["get configmaps (b)", "list configmaps (a, b)", "watch configmaps (b)"]);
    let (smaller, _) = reduced(rules, &[used("get", "configmaps", "shop", "*")]);
    assert_eq!(smaller[0]["resourceNames"], json!(["a", "b"]));
    let open = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    assert_eq!(reduced(open, &[used("get", "configmaps", "shop", "a")]).0[0].get("resourceNames"), None);
}

#[test]
fn what_leaves_no_trace_stays_and_wildcards_become_what_was_used() {
    let rules = json!([{"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]}, {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let (smaller, unused) = reduced(rules, &[used("get", "pods/log", "shop", "x")]);
    assert_eq!(smaller, [json!({"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]}), json!({"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]})]);
    assert_eq!(unused, ["* *.*"]);
}

#[test]
fn what_kubelets_serve_is_asked_of_them_and_stays() {
    let rules = json!([{"apiGroups": [""], "resources": ["nodes/metrics", "nodes/status", "nodes"], "verbs": ["get"]}]);
    let (smaller, unused) = reduced(rules, &[]);
    assert_eq!(smaller, [json!({"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]})]);
    assert_eq!(unused, ["get nodes", "get nodes/status"]);
}

#[test]
fn paths_and_groups_count() {
    let i = inventory(json!([{"nonResourceURLs": ["/metrics", "/logs/*", "/healthz"], "verbs": ["get"]}]), true);
    let grants = Grants::new(&i);
    let path = Used { path: "/metrics".into(), ..used("get", "", "", "") };
    let one = reductions(&grants, &Subject::parse("sa:shop/web").unwrap(), &[path]).remove(0);
    assert_eq!(one.unused, ["get /logs/*"]);
    let urls: Vec<_> = one.smaller.iter().flat_map(|r| r.non_resource_urls.iter().map(|u| u.to_string())).collect();
    assert_eq!(urls, ["/metrics", "/healthz"], "health is not in the audit policy");
}

fn word(of: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(of), 1..3)
}

proptest! {
    /// By the evaluator itself: what was used and permitted is permitted by the smaller role, and whatever the
    /// smaller role permits the role did.
    #[test]
    fn never_more_than_granted_and_never_less_than_used(
        rules in prop::collection::vec((word(&["", "apps", "*"]), word(&["pods", "pods/exec", "*/exec", "secrets", "*"]), word(&["get", "list", "create", "*"]), prop::collection::vec(prop::sample::select(&["a", "b"][..]), 0..2)), 1..4),
        uses in prop::collection::vec((prop::sample::select(&["get", "list", "create", "delete"][..]), prop::sample::select(&["pods", "pods/exec", "secrets"][..]), prop::sample::select(&["", "apps"][..]), prop::sample::select(&["", "a", "b", "*"][..])), 0..12),
        cluster_wide in any::<bool>(),
    ) {
        let rules: Vec<Value> = rules.into_iter().map(|(g, r, v, n)| json!({"apiGroups": g, "resources": r, "verbs": v, "resourceNames": n})).collect();
        let i = inventory(json!(rules), cluster_wide);
        let grants = Grants::new(&i);
        let subject = Subject::parse("sa:shop/web").unwrap();
        let uses: Vec<Used> = uses.into_iter().map(|(v, r, g, n)| Used { group: g.into(), ..used(v, r, "shop", n) }).collect();
        let smaller: Vec<Rule> = reductions(&grants, &subject, &uses).into_iter().flat_map(|r| r.smaller).collect();
        let after = inventory(json!(smaller.iter().map(manifest).collect::<Vec<_>>()), cluster_wide);
        let after = Grants::new(&after);
        let who = subject.identity();
        for u in uses.iter().filter(|u| u.name != "*") {
            if grants.allows(&who, &request(u)).is_some() {
                prop_assert!(after.allows(&who, &request(u)).is_some(), "{u:?} was used and is lost: {smaller:?}");
            }
        }
        for verb in ["get", "list", "create", "delete", "escalate"] {
            for resource in ["pods", "pods/exec", "secrets", "nodes"] {
                for group in ["", "apps", "batch"] {
                    for name in ["", "a", "b", "c"] {
                        let u = Used { group: group.into(), ..used(verb, resource, "shop", name) };
                        prop_assert!(after.allows(&who, &request(&u)).is_none() || grants.allows(&who, &request(&u)).is_some(), "{u:?} was not granted: {smaller:?}");
                    }
                }
            }
        }
    }
}
