//! Every field of [`AuditField`] over an [`AuditEvent`].
//!
//! Semantics are those of the k8saudit plugin, except where it differs from its own documentation;
//! there the documentation counts: `ka.sourceips` gives the source addresses, `eff_run_as_user`
//! reads the security contexts, `image.repository` keeps a registry's port, and null is absent.

use super::objects::{self, at, collect, elements, text};
use super::{AuditEvent, Text, uri};
use crate::event::{Event, FieldValue, common};
use crate::field::audit::{AuditField, ContainerList, ContainerMember, OwnField};
use crate::field::{Argument, CommonField, FieldId, Source};
use serde_json::Value;
use std::borrow::Cow;

impl Event for AuditEvent<'_> {
    fn source(&self) -> Source {
        Source::Audit
    }

    fn time(&self) -> Option<i64> {
        self.timestamp()
    }

    fn field(&self, field: FieldId, argument: &Argument) -> FieldValue<'_> {
        match field {
            FieldId::Common(CommonField::Number) => FieldValue::Absent,
            FieldId::Common(field) => common(self, field),
            FieldId::Audit(field) => self.audit_field(field, argument),
            FieldId::Syscall(_) => FieldValue::Absent,
        }
    }

    fn shown(&self, field: FieldId, argument: &Argument) -> FieldValue<'_> {
        match (field, argument) {
            (FieldId::Audit(AuditField::Object), _) => FieldValue::Text(Cow::Owned(self.masked().to_string())),
            (FieldId::Audit(AuditField::Value), Argument::Pointer(tokens)) => match tokens.first().map(|t| &**t) {
                Some("requestObject" | "responseObject") => {
                    let masked = self.masked();
                    objects::pointer(&masked, tokens).and_then(text).map_or(FieldValue::Absent, |t| FieldValue::Text(Cow::Owned(t.into_owned())))
                }
                _ => self.field(field, argument),
            },
            (FieldId::Audit(AuditField::Own(OwnField::ObjectAnnotation)), Argument::Key(key)) if **key == *super::mask::LAST_APPLIED => {
                FieldValue::text(self.request().and_then(|o| objects::metadata(o, "annotations", key)).map(|_| super::mask::REMOVED))
            }
            // Whatever resource it stands in: values of a configuration map are not for a message.
            (FieldId::Audit(AuditField::ConfigMapData), _) => FieldValue::text(self.request().and_then(|o| o.get("data")).map(|_| super::mask::REMOVED)),
            _ => self.field(field, argument),
        }
    }
}

// === impl AuditEvent ===

impl AuditEvent<'_> {
    fn audit_field(&self, field: AuditField, argument: &Argument) -> FieldValue<'_> {
        use AuditField as A;
        let index = if let Argument::Index(index) = argument { Some(*index) } else { None };
        let target = self.object_ref.as_ref();
        let status = self.response_status.as_ref();
        match field {
            A::AuditId => FieldValue::text(self.audit_id.as_deref()),
            A::Stage => FieldValue::text(self.stage.as_deref()),
            A::Decision => FieldValue::text(self.annotation("authorization.k8s.io/decision")),
            A::Reason => FieldValue::text(self.annotation("authorization.k8s.io/reason")),
            A::UserName => FieldValue::text(self.user.as_ref().and_then(|u| u.username.as_deref())),
            A::UserGroups => borrowed(self.user.as_ref().and_then(|u| u.groups.as_deref()), None),
            A::ImpersonatedUser => FieldValue::text(self.impersonated_user.as_ref().and_then(|u| u.username.as_deref())),
            A::Verb => FieldValue::text(self.verb.as_deref()),
            A::Uri => FieldValue::text(self.request_uri.as_deref()),
            A::UriParameter => match (self.request_uri.as_deref(), argument) {
                (Some(uri), Argument::Key(key)) => FieldValue::text(uri::parameter(uri, key)),
                _ => FieldValue::Absent,
            },
            A::TargetName => FieldValue::text(target.and_then(|t| t.name.as_deref())),
            A::TargetNamespace => FieldValue::text(target.and_then(|t| t.namespace.as_deref())),
            A::TargetResource => FieldValue::text(target.and_then(|t| t.resource.as_deref())),
            A::TargetSubresource => FieldValue::text(target.and_then(|t| t.subresource.as_deref())),
            A::BindingSubjectHasName => FieldValue::text(Some("true")),
            A::ResponseCode => FieldValue::text(status.and_then(|s| s.code).map(|c| c.to_string())),
            A::ResponseReason => FieldValue::text(status.and_then(|s| s.reason.as_deref())),
            A::ResponseName => value(self.response().and_then(|o| at(o, &["metadata", "name"]))),
            A::UserAgent => FieldValue::text(self.user_agent.as_deref()),
            A::SourceAddresses => borrowed(self.source_addresses.as_deref(), index),
            // The event does not say; whoever receives events of several clusters knows by sender.
            A::ClusterName => FieldValue::Absent,
            A::Value => match argument {
                Argument::Pointer(tokens) => self.pointed(tokens),
                _ => FieldValue::Absent,
            },
            A::Object => FieldValue::Text(Cow::Borrowed(self.raw)),
            A::Own(field) => self.own_field(field, argument),
            _ => self.request().map_or(FieldValue::Absent, |object| request_field(object, field, argument, index)),
        }
    }

    /// `jevt.value[/…]`; the members that rules ask for most need no second parse.
    fn pointed(&self, tokens: &[Box<str>]) -> FieldValue<'_> {
        let (first, rest) = match tokens.split_first() {
            Some((first, rest)) => (&**first, rest),
            None => return FieldValue::Absent,
        };
        let plain = match (first, rest) {
            ("stage", []) => self.stage.as_deref(),
            ("verb", []) => self.verb.as_deref(),
            ("level", []) => self.level.as_deref(),
            ("auditID", []) => self.audit_id.as_deref(),
            ("requestURI", []) => self.request_uri.as_deref(),
            ("userAgent", []) => self.user_agent.as_deref(),
            ("annotations", [key]) => self.annotation(key),
            ("objectRef", [key]) if **key == *"apiGroup" => self.object_ref.as_ref().and_then(|t| t.api_group.as_deref()),
            ("requestObject", rest) => return value(self.request().and_then(|o| objects::pointer(o, rest))),
            ("responseObject", rest) => return value(self.response().and_then(|o| objects::pointer(o, rest))),
            _ => return value(self.whole().and_then(|o| objects::pointer(o, tokens))),
        };
        FieldValue::text(plain)
    }

    fn request(&self) -> Option<&Value> {
        self.request_object()
    }

    fn response(&self) -> Option<&Value> {
        self.response_object()
    }

    /// The object the request makes: of a JSON patch, the result.
    fn resulting(&self) -> Option<&Value> {
        match self.request() {
            Some(Value::Array(_)) => self.response(),
            other => other,
        }
    }

    fn own_field(&self, field: OwnField, argument: &Argument) -> FieldValue<'_> {
        use OwnField as O;
        let object = || self.resulting();
        let spec = || self.resulting().and_then(objects::pod_spec);
        let each = |path: &[&str]| FieldValue::list(spec().map(|s| objects::containers(s).flat_map(|c| collect(std::slice::from_ref(c), path)).collect()).unwrap_or_default());
        match field {
            O::SourceAddress => self.source_address().map_or(FieldValue::Absent, FieldValue::Address),
            O::TargetAccount => self.target_account(),
            O::TargetKind => {
                let target = self.object_ref.as_ref();
                let Some(resource) = target.and_then(|t| t.resource.as_deref()) else { return FieldValue::Absent };
                match target.and_then(|t| t.api_group.as_deref()).filter(|g| !g.is_empty()) {
                    Some(group) => FieldValue::Text(Cow::Owned(format!("{group}/{resource}"))),
                    None => FieldValue::Text(Cow::Borrowed(resource)),
                }
            }
            O::FailedOpen => FieldValue::text(self.annotations().find(|(k, _)| k.starts_with("failed-open.")).map(|(k, _)| k)),
            O::WorkloadImages => each(&["image"]),
            O::WorkloadRepositories => match each(&["image"]) {
                FieldValue::List(all) => FieldValue::list(all.iter().map(|i| Cow::Owned(objects::repository(i).to_owned())).collect()),
                other => other,
            },
            O::WorkloadPrivileged => each(&["securityContext", "privileged"]),
            O::WorkloadCapabilities => each(&["securityContext", "capabilities", "add"]),
            O::WorkloadHostPaths => FieldValue::list(collect(elements(spec().and_then(|s| s.get("volumes")), None), &["hostPath", "path"])),
            O::WorkloadHostNetwork => value(spec().and_then(|s| s.get("hostNetwork"))),
            O::WorkloadHostPid => value(spec().and_then(|s| s.get("hostPID"))),
            O::WorkloadHostIpc => value(spec().and_then(|s| s.get("hostIPC"))),
            O::WorkloadServiceAccount => value(spec().and_then(|s| s.get("serviceAccountName").or_else(|| s.get("serviceAccount")))),
            O::WorkloadCommand => FieldValue::text(spec().map(objects::commands).filter(|c| !c.trim().is_empty())),
            O::BindingSubjects => FieldValue::list(elements(object().and_then(|o| o.get("subjects")), None).iter().filter_map(subject).collect()),
            O::BindingRole => {
                let named = |o: Option<&'_ Value>| o.and_then(|o| at(o, &["roleRef", "name"])).is_some();
                let from = if named(self.request()) { self.request() } else { self.response() };
                value(from.and_then(|o| at(o, &["roleRef", "name"])))
            }
            O::RoleVerbs => FieldValue::list(collect(elements(object().and_then(|o| o.get("rules")), None), &["verbs"])),
            O::RoleResources => FieldValue::list(collect(elements(object().and_then(|o| o.get("rules")), None), &["resources"])),
            O::CsrOrganizations => FieldValue::list(self.request().map(|o| objects::csr_attributes(o, objects::ORGANIZATION)).unwrap_or_default()),
            O::CsrCommonName => FieldValue::text(self.request().and_then(|o| objects::csr_attributes(o, objects::COMMON_NAME).into_iter().next())),
            O::WebhookFailurePolicies => {
                let policy = object().and_then(|o| at(o, &["spec", "failurePolicy"])).and_then(text);
                let webhooks = collect(elements(object().and_then(|o| o.get("webhooks")), None), &["failurePolicy"]);
                FieldValue::list(webhooks.into_iter().chain(policy).collect())
            }
            O::WebhookSelectors => FieldValue::list(object().map(selectors).unwrap_or_default()),
            O::ServiceExternalAddresses => {
                let mut all = collect(self.resulting().map(std::slice::from_ref).unwrap_or_default(), &["spec", "externalIPs"]);
                all.extend(collect(elements(object().and_then(|o| at(o, &["status", "loadBalancer", "ingress"])), None), &["ip"]));
                FieldValue::list(all)
            }
            O::EndpointAddresses => {
                let mut all = collect(elements(object().and_then(|o| o.get("endpoints")), None), &["addresses"]);
                for subset in elements(object().and_then(|o| o.get("subsets")), None) {
                    all.extend(collect(elements(subset.get("addresses"), None), &["ip"]));
                }
                FieldValue::list(all)
            }
            O::ObjectLabel => self.set_metadata("labels", argument),
            O::ObjectAnnotation => self.set_metadata("annotations", argument),
        }
    }

    fn set_metadata(&self, map: &str, argument: &Argument) -> FieldValue<'_> {
        match argument {
            Argument::Key(key) => FieldValue::text(self.request().and_then(|o| objects::metadata(o, map, key))),
            _ => FieldValue::Absent,
        }
    }

    fn target_account(&self) -> FieldValue<'_> {
        let target = self.object_ref.as_ref().filter(|t| t.resource.as_deref() == Some("serviceaccounts"));
        match target.and_then(|t| t.namespace.as_deref().zip(t.name.as_deref())) {
            Some((namespace, name)) => FieldValue::Text(Cow::Owned(format!("system:serviceaccount:{namespace}:{name}"))),
            None => FieldValue::Absent,
        }
    }
}

/// Fields that read the request object alone.
fn request_field<'v>(object: &'v Value, field: AuditField, argument: &Argument, index: Option<u32>) -> FieldValue<'v> {
    use AuditField as A;
    let spec = || object.get("spec");
    let under = |path: &[&str]| value(spec().and_then(|s| at(s, path)));
    let volumes = || elements(spec().and_then(|s| s.get("volumes")), index);
    let rules = |member: &str| FieldValue::list(collect(elements(object.get("rules"), index), &[member]));
    let first = || elements(spec().and_then(|s| s.get("containers")), Some(0)).first().and_then(|c| c.get("image")).and_then(text);
    match field {
        A::BindingSubjects => FieldValue::list(elements(object.get("subjects"), index).iter().filter_map(text).collect()),
        A::BindingRole => value(at(object, &["roleRef", "name"])),
        A::ConfigMapData => value(object.get("data")),
        A::Containers(list, member) => container_field(object, list, member, index),
        A::FirstImage => FieldValue::text(first()),
        A::FirstRepository => FieldValue::text(first().map(|i| objects::repository(&i).to_owned())),
        A::AnyPrivileged => match spec().and_then(|s| s.get("containers")) {
            None => FieldValue::Absent,
            some => {
                let any = elements(some, None).iter().any(|c| at(c, &["securityContext", "privileged"]) == Some(&Value::Bool(true)));
                FieldValue::text(Some(if any { "true" } else { "false" }))
            }
        },
        A::HostIpc => under(&["hostIPC"]),
        A::HostNetwork => under(&["hostNetwork"]),
        A::HostPid => under(&["hostPID"]),
        A::PodRunAsUser => under(&["securityContext", "runAsUser"]),
        A::PodRunAsGroup => under(&["securityContext", "runAsGroup"]),
        A::PodFilesystemGroup => under(&["securityContext", "fsGroup"]),
        A::PodSupplementalGroups => FieldValue::list(collect(spec().map(std::slice::from_ref).unwrap_or_default(), &["securityContext", "supplementalGroups"])),
        A::RoleRules => FieldValue::list(elements(object.get("rules"), None).iter().filter_map(text).collect()),
        A::RoleApiGroups => rules("apiGroups"),
        A::RoleNonResourceUrls => rules("nonResourceURLs"),
        A::RoleVerbs => rules("verbs"),
        A::RoleResources => rules("resources"),
        A::ServiceType => under(&["type"]),
        A::ServicePorts => FieldValue::list(elements(spec().and_then(|s| s.get("ports")), index).iter().filter_map(text).collect()),
        A::VolumeHostPaths => FieldValue::list(collect(volumes(), &["hostPath", "path"])),
        A::VolumeFlexDrivers => FieldValue::list(collect(volumes(), &["flexVolume", "driver"])),
        A::VolumeTypes => {
            let types = volumes().iter().filter_map(Value::as_object).flat_map(|v| v.keys()).filter(|k| *k != "name");
            FieldValue::list(types.map(|k| Cow::Borrowed(k.as_str())).collect())
        }
        A::VolumeUsesHostPath => match argument {
            Argument::Key(key) if !volumes().is_empty() => {
                let paths = collect(volumes(), &["hostPath", "path"]);
                let used = paths.iter().any(|p| key.strip_suffix('*').map_or(**p == **key, |prefix| p.starts_with(prefix)));
                FieldValue::text(Some(if used { "true" } else { "false" }))
            }
            _ => FieldValue::Absent,
        },
        _ => FieldValue::Absent,
    }
}

fn container_field(object: &Value, list: ContainerList, member: ContainerMember, index: Option<u32>) -> FieldValue<'_> {
    use ContainerMember as M;
    let Some(spec) = object.get("spec") else { return FieldValue::Absent };
    let name = match list {
        ContainerList::Containers => "containers",
        ContainerList::Init => "initContainers",
        ContainerList::Ephemeral => "ephemeralContainers",
    };
    let all = elements(spec.get(name), index);
    let own = |path: &[&str]| FieldValue::list(collect(all, path));
    // What a container does not say, its pod says; what neither says is 0, the image's default aside.
    let effective = |key: &str| {
        let of = |v: &Value| at(v, &["securityContext", key]).and_then(text).map(Cow::into_owned);
        let pod = of(spec).unwrap_or_else(|| "0".into());
        FieldValue::list(all.iter().map(|c| Cow::Owned(of(c).unwrap_or_else(|| pod.clone()))).collect())
    };
    match member {
        M::Name => own(&["name"]),
        M::Image => own(&["image"]),
        M::Repository => FieldValue::list(collect(all, &["image"]).iter().map(|i| Cow::Owned(objects::repository(i).to_owned())).collect()),
        M::HostPort => {
            let ports = all.iter().flat_map(|c| elements(c.get("ports"), None));
            FieldValue::list(ports.filter_map(|p| p.get("hostPort").or_else(|| p.get("containerPort"))).filter_map(text).collect())
        }
        M::Privileged => own(&["securityContext", "privileged"]),
        M::AllowPrivilegeEscalation => own(&["securityContext", "allowPrivilegeEscalation"]),
        M::ReadOnlyFilesystem => own(&["securityContext", "readOnlyRootFilesystem"]),
        M::RunAsUser => own(&["securityContext", "runAsUser"]),
        M::RunAsGroup => own(&["securityContext", "runAsGroup"]),
        M::EffectiveRunAsUser => effective("runAsUser"),
        M::EffectiveRunAsGroup => effective("runAsGroup"),
        M::ProcMount => own(&["securityContext", "procMount"]),
        M::AddCapabilities => own(&["securityContext", "capabilities", "add"]),
    }
}

/// Which selectors narrow a webhook or a policy binding.
fn selectors(object: &Value) -> Vec<Cow<'_, str>> {
    let filled = |v: Option<&Value>| match v {
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        _ => false,
    };
    let mut found = Vec::new();
    let spec = object.get("spec").and_then(|s| s.get("matchResources").or_else(|| s.get("matchConstraints")));
    for part in elements(object.get("webhooks"), None).iter().chain(spec) {
        for name in ["namespaceSelector", "objectSelector", "matchConditions"] {
            if filled(part.get(name)) {
                found.push(Cow::Borrowed(name));
            }
        }
    }
    found
}

fn subject(subject: &Value) -> Option<Cow<'_, str>> {
    let member = |key: &str| subject.get(key).and_then(Value::as_str);
    let (kind, name) = (member("kind")?, member("name")?);
    Some(Cow::Owned(match member("namespace") {
        Some(namespace) => format!("{kind}:{namespace}/{name}"),
        None => format!("{kind}:{name}"),
    }))
}

fn value(value: Option<&Value>) -> FieldValue<'_> {
    FieldValue::text(value.and_then(text))
}

fn borrowed<'v>(texts: Option<&'v [Text<'_>]>, index: Option<u32>) -> FieldValue<'v> {
    let all = texts.unwrap_or_default();
    let some = match index {
        None => all,
        Some(index) => all.get(index as usize..).and_then(|rest| rest.get(..1)).unwrap_or_default(),
    };
    FieldValue::list(some.iter().map(|t| Cow::Borrowed(&*t.0)).collect())
}
