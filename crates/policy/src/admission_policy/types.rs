//! Types of the variables an expression has, as the API server declares them.

use jinwu_cel::{ObjectType, Type};
use std::sync::Arc;

fn object(name: &str, fields: &[(&str, Type)]) -> Type {
    let fields = fields.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone())).collect();
    Type::Object(Arc::new(ObjectType { name: name.to_owned(), fields }))
}

/// `request`.
pub(super) fn request() -> Type {
    let strings = Type::list(Type::String);
    let kind = object("kubernetes.GroupVersionKind", &[("group", Type::String), ("version", Type::String), ("kind", Type::String)]);
    let resource = object("kubernetes.GroupVersionResource", &[("group", Type::String), ("version", Type::String), ("resource", Type::String)]);
    let user = object(
        "kubernetes.UserInfo",
        &[("username", Type::String), ("uid", Type::String), ("groups", strings.clone()), ("extra", Type::map(Type::String, strings))],
    );
    object(
        "kubernetes.AdmissionRequest",
        &[
            ("kind", kind.clone()),
            ("resource", resource.clone()),
            ("subResource", Type::String),
            ("requestKind", kind),
            ("requestResource", resource),
            ("requestSubResource", Type::String),
            ("name", Type::String),
            ("namespace", Type::String),
            ("operation", Type::String),
            ("userInfo", user),
            ("dryRun", Type::Bool),
            ("options", Type::Dyn),
        ],
    )
}

/// `namespaceObject`.
pub(super) fn namespace() -> Type {
    let strings = Type::list(Type::String);
    let texts = Type::map(Type::String, Type::String);
    let condition = object(
        "kubernetes.NamespaceCondition",
        &[
            ("status", Type::String),
            ("type", Type::String),
            ("lastTransitionTime", Type::Timestamp),
            ("message", Type::String),
            ("reason", Type::String),
        ],
    );
    let metadata = object(
        "kubernetes.NamespaceMetadata",
        &[
            ("name", Type::String),
            ("generateName", Type::String),
            ("namespace", Type::String),
            ("labels", texts.clone()),
            ("annotations", texts),
            ("UID", Type::String),
            ("creationTimestamp", Type::Timestamp),
            ("deletionGracePeriodSeconds", Type::Int),
            ("deletionTimestamp", Type::Timestamp),
            ("generation", Type::Int),
            ("resourceVersion", Type::String),
            ("finalizers", strings.clone()),
        ],
    );
    let spec = object("kubernetes.NamespaceSpec", &[("finalizers", strings)]);
    let status = object("kubernetes.NamespaceStatus", &[("conditions", Type::list(condition)), ("phase", Type::String)]);
    object("kubernetes.Namespace", &[("metadata", metadata), ("spec", spec), ("status", status)])
}
