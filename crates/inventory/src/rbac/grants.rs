//! Every grant, by whom it is given to.

use super::{Identity, Request, Rule, Subject};
use crate::inventory::Inventory;
use crate::object::{Binding, Role};
use jinwu_model::Text;
use std::collections::{BTreeSet, HashMap};

/// The roles and bindings of a cluster, indexed.
pub struct Grants<'i> {
    pub inventory: &'i Inventory,
    /// Grants by user name and by group; service accounts stand under their user names.
    users: HashMap<String, Vec<Grant<'i>>>,
    groups: HashMap<String, Vec<Grant<'i>>>,
    subjects: BTreeSet<Subject>,
    /// Bindings whose role does not exist, or whose subject cannot be understood.
    pub dangling: Vec<(&'i Binding, Text)>,
}

/// A role given by a binding.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'i> {
    pub binding: &'i Binding,
    pub role: &'i Role,
}

/// Why a request is permitted.
#[derive(Clone, Copy, Debug)]
pub enum Why<'i> {
    Masters,
    Rule(Grant<'i>, &'i Rule),
}

// === impl Grants ===

impl<'i> Grants<'i> {
    pub fn new(inventory: &'i Inventory) -> Self {
        let roles: HashMap<(&str, &str), &Role> = inventory.roles.iter().map(|r| ((&*r.metadata.namespace, &*r.metadata.name), r)).collect();
        let mut grants = Grants { inventory, users: HashMap::new(), groups: HashMap::new(), subjects: BTreeSet::new(), dangling: Vec::new() };
        for binding in &inventory.bindings {
            let home = &*binding.metadata.namespace;
            let role = match &*binding.role_ref.kind {
                "ClusterRole" => roles.get(&("", &*binding.role_ref.name)),
                "Role" if !home.is_empty() => roles.get(&(home, &*binding.role_ref.name)),
                _ => None,
            };
            let Some(role) = role else {
                let name = format!("{} {}", binding.role_ref.kind, binding.role_ref.name);
                grants.dangling.push((binding, Text::new(format!("角色 {name} 不存在:谁建立它就授予其权限"), format!("{name} does not exist: whoever makes it gives its rights"))));
                continue;
            };
            let grant = Grant { binding, role };
            for subject in &binding.subjects {
                let subject = match &*subject.kind {
                    "User" => Subject::User(subject.name.to_string()),
                    "Group" => Subject::Group(subject.name.to_string()),
                    "ServiceAccount" => {
                        let namespace = if subject.namespace.is_empty() { home } else { &subject.namespace };
                        if namespace.is_empty() {
                            continue;
                        }
                        Subject::ServiceAccount { namespace: namespace.to_owned(), name: subject.name.to_string() }
                    }
                    other => {
                        grants.dangling.push((binding, Text::new(format!("主体种类 {other} 未知"), format!("subject kind {other} is unknown"))));
                        continue;
                    }
                };
                match &subject {
                    Subject::Group(name) => grants.groups.entry(name.clone()).or_default().push(grant),
                    Subject::User(name) => grants.users.entry(name.clone()).or_default().push(grant),
                    Subject::ServiceAccount { .. } => grants.users.entry(subject.identity().user).or_default().push(grant),
                }
                // A user name that is an account's is that account.
                grants.subjects.insert(match subject {
                    Subject::User(name) => Subject::parse(&name).unwrap_or(Subject::User(name)),
                    other => other,
                });
            }
        }
        grants
    }

    /// Every subject that any binding names, and `system:masters`.
    pub fn subjects(&self) -> impl Iterator<Item = &Subject> {
        self.subjects.iter()
    }

    /// What bindings give an identity, its groups included.
    pub fn of<'s>(&'s self, identity: &'s Identity) -> impl Iterator<Item = Grant<'i>> + 's {
        let own = self.users.get(&identity.user).into_iter().flatten();
        own.chain(identity.groups.iter().flat_map(|g| self.groups.get(g).into_iter().flatten())).copied()
    }

    /// What bindings name the subject itself for.
    pub fn named(&self, subject: &Subject) -> impl Iterator<Item = Grant<'i>> + '_ {
        let list = match subject {
            Subject::Group(name) => self.groups.get(name),
            Subject::User(name) => self.users.get(name),
            Subject::ServiceAccount { .. } => self.users.get(&subject.identity().user),
        };
        list.into_iter().flatten().copied()
    }

    /// Whether an identity may do something, and by what.
    pub fn allows(&self, identity: &Identity, request: &Request<'_>) -> Option<Why<'i>> {
        if identity.groups.iter().any(|g| g == "system:masters") {
            return Some(Why::Masters);
        }
        self.of(identity).find_map(|grant| {
            if !grant.holds_in(request) {
                return None;
            }
            grant.role.rules.iter().find(|rule| rule.permits(request)).map(|rule| Why::Rule(grant, rule))
        })
    }

    /// Every subject that may do something, by the grants that name the subject itself.
    pub fn who_can(&self, request: &Request<'_>) -> Vec<(Subject, Why<'i>)> {
        let mut all = vec![(Subject::Group("system:masters".into()), Why::Masters)];
        let masters = Subject::Group("system:masters".into());
        for subject in self.subjects.iter().filter(|s| **s != masters) {
            let by = self.named(subject).find_map(|grant| {
                let rule = grant.holds_in(request).then(|| grant.role.rules.iter().find(|r| r.permits(request))).flatten()?;
                Some(Why::Rule(grant, rule))
            });
            all.extend(by.map(|why| (subject.clone(), why)));
        }
        all
    }
}

// === impl Grant ===

impl Grant<'_> {
    /// A RoleBinding counts in its namespace only, and never for URLs.
    pub fn holds_in(&self, request: &Request<'_>) -> bool {
        let home = &*self.binding.metadata.namespace;
        home.is_empty() || matches!(request, Request::Resource { namespace, .. } if *namespace == home)
    }

    pub fn binding_name(&self) -> String {
        binding_name(self.binding)
    }

    pub fn role_name(&self) -> String {
        let kind = if self.role.metadata.namespace.is_empty() { "ClusterRole" } else { "Role" };
        format!("{kind}/{}", self.role.metadata.place())
    }
}

pub(crate) fn binding_name(binding: &Binding) -> String {
    let kind = if binding.metadata.namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    format!("{kind}/{}", binding.metadata.place())
}

impl Why<'_> {
    /// `ClusterRoleBinding/x → ClusterRole/y`.
    pub fn by(&self) -> String {
        match self {
            Why::Masters => "system:masters".into(),
            Why::Rule(grant, _) => format!("{} → {}", grant.binding_name(), grant.role_name()),
        }
    }
}
