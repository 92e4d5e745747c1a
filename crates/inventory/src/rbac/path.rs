//! The shortest way from a subject to cluster-admin or to a node.

use super::edge::edges;
use super::{Grants, Subject};
use jinwu_model::Text;
use serde::Serialize;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

/// What somebody can come to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Vertex {
    Subject(Subject),
    /// All rights in one namespace.
    Namespace(String),
    /// The rights of one role: `(namespace of the role, name)`, held in a namespace or, if empty, everywhere.
    Role { role: (String, String), within: String },
    /// Root on a node.
    Node(String),
    ClusterAdmin,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// `pod-create`, `secret-read`.
    pub technique: &'static str,
    pub to: Vertex,
    /// By which right, and what is done with it.
    pub how: Text,
    /// The binding and role that give the right.
    pub by: String,
}

/// Paths of one cluster; what was worked out is kept.
pub struct Paths<'g, 'i> {
    grants: &'g Grants<'i>,
    known: RefCell<HashMap<Vertex, Rc<Vec<Step>>>>,
}

// === impl Paths ===

impl<'g, 'i> Paths<'g, 'i> {
    pub fn new(grants: &'g Grants<'i>) -> Self {
        Paths { grants, known: RefCell::default() }
    }

    /// Everything one step away.
    pub fn steps(&self, from: &Vertex) -> Rc<Vec<Step>> {
        if let Some(known) = self.known.borrow().get(from) {
            return known.clone();
        }
        let steps = Rc::new(edges(self.grants, from));
        self.known.borrow_mut().insert(from.clone(), steps.clone());
        steps
    }

    /// The shortest path to cluster-admin; `None`: there is none. Empty: already there.
    pub fn to_cluster_admin(&self, from: &Subject) -> Option<Vec<Step>> {
        self.shortest(from, |v| *v == Vertex::ClusterAdmin)
    }

    /// The shortest path to root on any node.
    pub fn to_node(&self, from: &Subject) -> Option<Vec<Step>> {
        self.shortest(from, |v| matches!(v, Vertex::Node(_)))
    }

    fn shortest(&self, from: &Subject, wanted: impl Fn(&Vertex) -> bool) -> Option<Vec<Step>> {
        let start = Vertex::Subject(from.clone());
        let mut seen = HashSet::from([start.clone()]);
        let mut queue = VecDeque::from([start]);
        let mut came: HashMap<Vertex, (Vertex, Step)> = HashMap::new();
        while let Some(at) = queue.pop_front() {
            if wanted(&at) {
                let mut path = Vec::new();
                let mut back = &at;
                while let Some((before, step)) = came.get(back) {
                    path.push(step.clone());
                    back = before;
                }
                path.reverse();
                return Some(path);
            }
            for step in self.steps(&at).iter() {
                if seen.insert(step.to.clone()) {
                    came.insert(step.to.clone(), (at.clone(), step.clone()));
                    queue.push_back(step.to.clone());
                }
            }
        }
        None
    }
}

// === impl Vertex ===

impl Vertex {
    pub fn text(&self) -> Text {
        match self {
            Vertex::Subject(subject) => Text::new(subject.to_string(), subject.to_string()),
            Vertex::Namespace(name) => Text::new(format!("命名空间 {name} 的全部权限"), format!("all rights in namespace {name}")),
            Vertex::Role { role, within } => {
                let role = if role.0.is_empty() { role.1.clone() } else { format!("{}/{}", role.0, role.1) };
                if within.is_empty() {
                    Text::new(format!("角色 {role}"), format!("role {role}"))
                } else {
                    Text::new(format!("命名空间 {within} 中的角色 {role}"), format!("role {role} in namespace {within}"))
                }
            }
            Vertex::Node(name) => Text::new(format!("节点 {name} 的 root"), format!("root on node {name}")),
            Vertex::ClusterAdmin => Text::new("集群管理员", "cluster-admin"),
        }
    }
}
