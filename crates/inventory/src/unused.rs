//! What was granted and never used: each grant of a subject against the rights it was seen to use, and the
//! smaller role that is left. The smaller role permits everything seen that the grant permits, and nothing
//! the grant does not.

use crate::object::Rule;
use crate::rbac::{Grant, Grants, Identity, Request, Subject};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A right somebody used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    pub who: Identity,
    pub verb: String,
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    /// `*` stands for many.
    pub name: String,
    /// A path of the API server itself, instead of a resource.
    pub path: String,
}

/// One grant of a subject.
#[derive(Clone, Debug)]
pub struct Reduction<'i> {
    pub grant: Grant<'i>,
    /// What is left of the role's rules; none: the grant was never used.
    pub smaller: Vec<Rule>,
    /// Rights never used, as words: `delete configmaps`.
    pub unused: Vec<String>,
    /// Rights kept because their use leaves no trace in audit events.
    pub untraceable: Vec<String>,
}

/// Verbs the API server asks its authoriser about by itself: no request has them.
const UNTRACEABLE: [&str; 7] = ["escalate", "bind", "impersonate", "use", "approve", "sign", "attest"];
/// What nodes serve themselves: a kubelet asks the API server who may, and its requests are in no audit event.
const OF_KUBELETS: &str = "nodes/";
/// Paths whose reading the audit policy leaves out.
const UNTOLD: [&str; 5] = ["/healthz", "/livez", "/readyz", "/version", "/openapi"];

/// Every grant that names the subject itself.
pub fn reductions<'i>(grants: &Grants<'i>, subject: &Subject, used: &[Used]) -> Vec<Reduction<'i>> {
    let own: Vec<&Used> = used.iter().filter(|u| is(subject, &u.who)).collect();
    grants.named(subject).map(|grant| reduce(grant, &own)).collect()
}

/// Whether whoever used something is the subject, or of the group.
fn is(subject: &Subject, who: &Identity) -> bool {
    match subject {
        Subject::Group(name) => who.groups.iter().any(|g| g == name),
        other => other.identity().user == who.user,
    }
}

fn reduce<'i>(grant: Grant<'i>, used: &[&Used]) -> Reduction<'i> {
    let mut reduction = Reduction { grant, smaller: Vec::new(), unused: Vec::new(), untraceable: Vec::new() };
    for rule in &grant.role.rules {
        let held = Held::new(&grant, rule, used);
        let kept = untraceable(rule);
        reduction.untraceable.extend(kept.iter().flat_map(words));
        reduction.unused.extend(held.unused(rule));
        for rule in held.rules().into_iter().chain(kept) {
            if !reduction.smaller.contains(&rule) {
                reduction.smaller.push(rule);
            }
        }
    }
    reduction.unused.sort();
    reduction.unused.dedup();
    reduction
}

/// What of a rule was used.
#[derive(Default)]
struct Held {
    /// Group, resource, verb → names; empty: any.
    resources: BTreeMap<(String, String, String), BTreeSet<String>>,
    /// URL of the rule → verbs.
    urls: BTreeMap<String, BTreeSet<String>>,
}

impl Held {
    fn new(grant: &Grant<'_>, rule: &Rule, used: &[&Used]) -> Held {
        let mut held = Held::default();
        for u in used {
            if u.path.is_empty() {
                held.resource(grant, rule, u);
            } else if grant.binding.metadata.namespace.is_empty() && rule.permits(&Request::Url { verb: &u.verb, path: &u.path }) {
                for url in rule.non_resource_urls.iter().filter(|url| matches(url, &u.path)) {
                    held.urls.entry(url.to_string()).or_default().insert(u.verb.clone());
                }
            }
        }
        held
    }

    fn resource(&mut self, grant: &Grant<'_>, rule: &Rule, u: &Used) {
        let asked = |name| Request::Resource { verb: &u.verb, group: &u.group, resource: &u.resource, subresource: &u.subresource, namespace: &u.namespace, name };
        // Of many names any of the rule's may have been one.
        let names: Vec<&str> = match (&*u.name, rule.resource_names.is_empty()) {
            ("*", false) => rule.resource_names.iter().map(|n| &**n).collect(),
            (name, _) => vec![name],
        };
        for name in names {
            let request = asked(name);
            if !grant.holds_in(&request) || !rule.permits(&request) {
                continue;
            }
            let resource = if u.subresource.is_empty() { u.resource.clone() } else { format!("{}/{}", u.resource, u.subresource) };
            let of = self.resources.entry((u.group.clone(), resource, u.verb.clone())).or_default();
            if !rule.resource_names.is_empty() {
                of.insert(name.to_owned());
            }
        }
    }

    /// As few rules as say it: resources of a group that share verbs and names stand together.
    fn rules(&self) -> Vec<Rule> {
        // Group, resource, names → verbs.
        let mut verbs: BTreeMap<(&str, &str, &BTreeSet<String>), BTreeSet<&str>> = BTreeMap::new();
        for ((group, resource, verb), names) in &self.resources {
            verbs.entry((group, resource, names)).or_default().insert(verb);
        }
        // Group, names, verbs → resources.
        type Alike<'h> = (&'h str, &'h BTreeSet<String>, BTreeSet<&'h str>);
        let mut resources: BTreeMap<Alike<'_>, BTreeSet<&str>> = BTreeMap::new();
        for ((group, resource, names), verbs) in verbs {
            resources.entry((group, names, verbs)).or_default().insert(resource);
        }
        let boxed = |set: &BTreeSet<&str>| set.iter().map(|s| (*s).into()).collect::<Vec<Box<str>>>();
        let mut all: Vec<Rule> = resources
            .into_iter()
            .map(|((group, names, verbs), resources)| Rule {
                api_groups: vec![group.into()],
                resources: boxed(&resources),
                verbs: boxed(&verbs),
                resource_names: names.iter().map(|n| n.as_str().into()).collect(),
                non_resource_urls: Vec::new(),
            })
            .collect();
        for (url, verbs) in &self.urls {
            all.push(Rule { verbs: verbs.iter().map(|v| v.as_str().into()).collect(), non_resource_urls: vec![url.as_str().into()], ..Rule::default() });
        }
        all
    }

    /// Rights of the rule nobody used, as words. Of a rule with wildcards: itself, where it is wider than what was used.
    fn unused(&self, rule: &Rule) -> Vec<String> {
        let mut out = Vec::new();
        let names = |used: Option<&BTreeSet<String>>| match rule.resource_names.is_empty() {
            true => used.is_none().then(String::new),
            false => {
                let left: Vec<&str> = rule.resource_names.iter().map(|n| &**n).filter(|n| used.is_none_or(|u| !u.contains(*n))).collect();
                (!left.is_empty()).then(|| format!(" ({})", left.join(", ")))
            }
        };
        for verb in rule.verbs.iter().filter(|v| !UNTRACEABLE.contains(&&***v)) {
            for group in &rule.api_groups {
                for resource in rule.resources.iter().filter(|r| !of_kubelets(r)) {
                    let shown = if group.is_empty() { resource.to_string() } else { format!("{resource}.{group}") };
                    // Any of them: always more than what was used.
                    let wild = [verb, group, resource].iter().any(|w| w.contains('*'));
                    let used = self.resources.get(&(group.to_string(), resource.to_string(), verb.to_string()));
                    if let Some(names) = if wild { Some(String::new()) } else { names(used) } {
                        out.push(format!("{verb} {shown}{names}"));
                    }
                }
            }
            for url in rule.non_resource_urls.iter().filter(|u| !untold(u)) {
                let used = self.urls.get(&**url).is_some_and(|v| v.contains(&**verb));
                if !used {
                    out.push(format!("{verb} {url}"));
                }
            }
        }
        out
    }
}

fn matches(url: &str, path: &str) -> bool {
    url == path || url.strip_suffix('*').is_some_and(|head| path.starts_with(head))
}

fn untold(url: &str) -> bool {
    UNTOLD.iter().any(|p| url.starts_with(p))
}

fn of_kubelets(resource: &str) -> bool {
    resource.starts_with(OF_KUBELETS) && resource != "nodes/status"
}

/// What of a rule stays whether it is seen or not, because it cannot be seen.
fn untraceable(rule: &Rule) -> Vec<Rule> {
    let mut out = Vec::new();
    let verbs: Vec<Box<str>> = rule.verbs.iter().filter(|v| UNTRACEABLE.contains(&&***v)).cloned().collect();
    if !verbs.is_empty() && !rule.resources.is_empty() {
        out.push(Rule { verbs, non_resource_urls: Vec::new(), ..rule.clone() });
    }
    let resources: Vec<Box<str>> = rule.resources.iter().filter(|r| of_kubelets(r)).cloned().collect();
    if !resources.is_empty() {
        out.push(Rule { resources, non_resource_urls: Vec::new(), ..rule.clone() });
    }
    let urls: Vec<Box<str>> = rule.non_resource_urls.iter().filter(|u| untold(u)).cloned().collect();
    if !urls.is_empty() {
        out.push(Rule { verbs: rule.verbs.clone(), non_resource_urls: urls, ..Rule::default() });
    }
    out
}

/// A rule as words.
fn words(rule: &Rule) -> Vec<String> {
    let verbs = rule.verbs.join(",");
    rule.resources.iter().chain(&rule.non_resource_urls).map(|r| format!("{verbs} {r}")).collect()
}

/// Since when a grant is as it is, as its binding and role say (RFC 3339); the later counts.
pub fn since<'g>(grant: &Grant<'g>) -> &'g str {
    std::cmp::max(&*grant.binding.metadata.creation_timestamp, &*grant.role.metadata.creation_timestamp)
}

/// A rule as a manifest has it.
pub fn manifest(rule: &Rule) -> serde_json::Value {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Plain<'r> {
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        api_groups: &'r [Box<str>],
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        resources: &'r [Box<str>],
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        resource_names: &'r [Box<str>],
        #[serde(rename = "nonResourceURLs", skip_serializing_if = "<[_]>::is_empty")]
        non_resource_urls: &'r [Box<str>],
        verbs: &'r [Box<str>],
    }
    let Rule { verbs, api_groups, resources, resource_names, non_resource_urls } = rule;
    serde_json::to_value(Plain { api_groups, resources, resource_names, non_resource_urls, verbs }).unwrap_or_default()
}
