//! Fields of Kubernetes audit events (`k8s_audit`): `ka.*` of the k8saudit plugin, `jevt.*`/`json.*`
//! of the json plugin, and `jinwu.*`, which Falco does not know.

use super::{Definition, FieldId, Kind, Takes};

/// A field of audit events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditField {
    AuditId,
    Stage,
    Decision,
    Reason,
    UserName,
    UserGroups,
    ImpersonatedUser,
    Verb,
    Uri,
    UriParameter,
    TargetName,
    TargetNamespace,
    TargetResource,
    TargetSubresource,
    BindingSubjects,
    BindingRole,
    BindingSubjectHasName,
    ConfigMapData,
    Containers(ContainerList, ContainerMember),
    FirstImage,
    FirstRepository,
    AnyPrivileged,
    HostIpc,
    HostNetwork,
    HostPid,
    PodRunAsUser,
    PodRunAsGroup,
    PodFilesystemGroup,
    PodSupplementalGroups,
    RoleRules,
    RoleApiGroups,
    RoleNonResourceUrls,
    RoleVerbs,
    RoleResources,
    ServiceType,
    ServicePorts,
    VolumeHostPaths,
    VolumeUsesHostPath,
    VolumeFlexDrivers,
    VolumeTypes,
    ResponseName,
    ResponseCode,
    ResponseReason,
    UserAgent,
    SourceAddresses,
    ClusterName,
    /// `jevt.value[/pointer]`.
    Value,
    /// `jevt.obj`.
    Object,
    Own(OwnField),
}

/// The three lists of containers of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContainerList {
    Containers,
    Init,
    Ephemeral,
}

/// What is asked of each container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContainerMember {
    Name,
    Image,
    Repository,
    HostPort,
    Privileged,
    AllowPrivilegeEscalation,
    ReadOnlyFilesystem,
    RunAsUser,
    EffectiveRunAsUser,
    RunAsGroup,
    EffectiveRunAsGroup,
    ProcMount,
    AddCapabilities,
}

/// Fields of Jinwu (`jinwu.*`). `workload` is the pod specification of a pod or of any workload's
/// template, all three lists of containers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnField {
    /// The last of the source addresses: the only one a client cannot invent.
    SourceAddress,
    /// `system:serviceaccount:NAMESPACE:NAME` of the target account.
    TargetAccount,
    /// `group/resource` or `resource` of the target.
    TargetKind,
    /// Key of the first `failed-open.*` annotation: a webhook did not answer and was passed over.
    FailedOpen,
    WorkloadImages,
    WorkloadRepositories,
    WorkloadPrivileged,
    WorkloadHostPaths,
    WorkloadHostNetwork,
    WorkloadHostPid,
    WorkloadHostIpc,
    WorkloadCapabilities,
    WorkloadServiceAccount,
    /// Commands and arguments of all containers, one line each.
    WorkloadCommand,
    /// `Kind:name`, of service accounts `Kind:namespace/name`.
    BindingSubjects,
    /// The bound role: a patch of the subjects does not name it, the answer does.
    BindingRole,
    /// Verbs of a role as it is after the request, JSON patches applied.
    RoleVerbs,
    RoleResources,
    /// Organisations (O=) in the certificate request.
    CsrOrganizations,
    /// Common name (CN=) in the certificate request.
    CsrCommonName,
    WebhookFailurePolicies,
    /// Which of namespaceSelector, objectSelector, matchConditions are set on any webhook.
    WebhookSelectors,
    /// `externalIPs` and load balancer addresses of a service.
    ServiceExternalAddresses,
    EndpointAddresses,
    /// A label this request sets; the key in brackets.
    ObjectLabel,
    /// An annotation this request sets; the key in brackets.
    ObjectAnnotation,
}

const PLAIN: &[(&str, AuditField, Kind, bool, Takes)] = {
    use AuditField as A;
    use Kind::{Address, Text};
    use OwnField as O;
    use Takes::{Index, Key, Nothing, Pointer};
    &[
        ("ka.auditid", A::AuditId, Text, false, Nothing),
        ("ka.stage", A::Stage, Text, false, Nothing),
        ("ka.auth.decision", A::Decision, Text, false, Nothing),
        ("ka.auth.reason", A::Reason, Text, false, Nothing),
        ("ka.user.name", A::UserName, Text, false, Nothing),
        ("ka.user.groups", A::UserGroups, Text, true, Nothing),
        ("ka.impuser.name", A::ImpersonatedUser, Text, false, Nothing),
        ("ka.verb", A::Verb, Text, false, Nothing),
        ("ka.uri", A::Uri, Text, false, Nothing),
        ("ka.uri.param", A::UriParameter, Text, false, Key),
        ("ka.target.name", A::TargetName, Text, false, Nothing),
        ("ka.target.namespace", A::TargetNamespace, Text, false, Nothing),
        ("ka.target.resource", A::TargetResource, Text, false, Nothing),
        ("ka.target.subresource", A::TargetSubresource, Text, false, Nothing),
        ("ka.req.binding.subjects", A::BindingSubjects, Text, true, Index),
        ("ka.req.binding.role", A::BindingRole, Text, false, Nothing),
        ("ka.req.binding.subject.has_name", A::BindingSubjectHasName, Text, false, Key),
        ("ka.req.configmap.name", A::TargetName, Text, false, Nothing),
        ("ka.req.configmap.obj", A::ConfigMapData, Text, false, Nothing),
        ("ka.req.container.image", A::FirstImage, Text, false, Nothing),
        ("ka.req.container.image.repository", A::FirstRepository, Text, false, Nothing),
        ("ka.req.container.privileged", A::AnyPrivileged, Text, false, Nothing),
        ("ka.req.container.host_network", A::HostNetwork, Text, false, Nothing),
        ("ka.req.pod.host_ipc", A::HostIpc, Text, false, Nothing),
        ("ka.req.pod.host_network", A::HostNetwork, Text, false, Nothing),
        ("ka.req.pod.host_pid", A::HostPid, Text, false, Nothing),
        ("ka.req.pod.run_as_user", A::PodRunAsUser, Text, false, Nothing),
        ("ka.req.pod.run_as_group", A::PodRunAsGroup, Text, false, Nothing),
        ("ka.req.pod.fs_group", A::PodFilesystemGroup, Text, false, Nothing),
        ("ka.req.pod.supplemental_groups", A::PodSupplementalGroups, Text, true, Nothing),
        ("ka.req.pod.volumes.hostpath", A::VolumeHostPaths, Text, true, Index),
        ("ka.req.pod.volumes.flexvolume_driver", A::VolumeFlexDrivers, Text, true, Index),
        ("ka.req.pod.volumes.volume_type", A::VolumeTypes, Text, true, Index),
        ("ka.req.volume.hostpath", A::VolumeUsesHostPath, Text, false, Key),
        ("ka.req.role.rules", A::RoleRules, Text, true, Nothing),
        ("ka.req.role.rules.apiGroups", A::RoleApiGroups, Text, true, Index),
        ("ka.req.role.rules.nonResourceURLs", A::RoleNonResourceUrls, Text, true, Index),
        ("ka.req.role.rules.verbs", A::RoleVerbs, Text, true, Index),
        ("ka.req.role.rules.resources", A::RoleResources, Text, true, Index),
        ("ka.req.service.type", A::ServiceType, Text, false, Nothing),
        ("ka.req.service.ports", A::ServicePorts, Text, true, Index),
        ("ka.resp.name", A::ResponseName, Text, false, Nothing),
        ("ka.response.code", A::ResponseCode, Text, false, Nothing),
        ("ka.response.reason", A::ResponseReason, Text, false, Nothing),
        ("ka.useragent", A::UserAgent, Text, false, Nothing),
        ("ka.sourceips", A::SourceAddresses, Text, true, Index),
        ("ka.cluster.name", A::ClusterName, Text, false, Nothing),
        ("jevt.value", A::Value, Text, false, Pointer),
        ("json.value", A::Value, Text, false, Pointer),
        ("jevt.obj", A::Object, Text, false, Nothing),
        ("json.obj", A::Object, Text, false, Nothing),
        ("jinwu.source.ip", A::Own(O::SourceAddress), Address, false, Nothing),
        ("jinwu.source.net", A::Own(O::SourceAddress), Kind::Network, false, Nothing),
        ("jinwu.target.account", A::Own(O::TargetAccount), Text, false, Nothing),
        ("jinwu.target.kind", A::Own(O::TargetKind), Text, false, Nothing),
        ("jinwu.failed_open", A::Own(O::FailedOpen), Text, false, Nothing),
        ("jinwu.workload.images", A::Own(O::WorkloadImages), Text, true, Nothing),
        ("jinwu.workload.repositories", A::Own(O::WorkloadRepositories), Text, true, Nothing),
        ("jinwu.workload.privileged", A::Own(O::WorkloadPrivileged), Text, true, Nothing),
        ("jinwu.workload.hostpath", A::Own(O::WorkloadHostPaths), Text, true, Nothing),
        ("jinwu.workload.host_network", A::Own(O::WorkloadHostNetwork), Text, false, Nothing),
        ("jinwu.workload.host_pid", A::Own(O::WorkloadHostPid), Text, false, Nothing),
        ("jinwu.workload.host_ipc", A::Own(O::WorkloadHostIpc), Text, false, Nothing),
        ("jinwu.workload.capabilities", A::Own(O::WorkloadCapabilities), Text, true, Nothing),
        ("jinwu.workload.service_account", A::Own(O::WorkloadServiceAccount), Text, false, Nothing),
        ("jinwu.workload.command", A::Own(O::WorkloadCommand), Text, false, Nothing),
        ("jinwu.binding.subjects", A::Own(O::BindingSubjects), Text, true, Nothing),
        ("jinwu.binding.role", A::Own(O::BindingRole), Text, false, Nothing),
        ("jinwu.role.verbs", A::Own(O::RoleVerbs), Text, true, Nothing),
        ("jinwu.role.resources", A::Own(O::RoleResources), Text, true, Nothing),
        ("jinwu.csr.organizations", A::Own(O::CsrOrganizations), Text, true, Nothing),
        ("jinwu.csr.common_name", A::Own(O::CsrCommonName), Text, false, Nothing),
        ("jinwu.webhook.failure_policies", A::Own(O::WebhookFailurePolicies), Text, true, Nothing),
        ("jinwu.webhook.selectors", A::Own(O::WebhookSelectors), Text, true, Nothing),
        ("jinwu.service.external_addresses", A::Own(O::ServiceExternalAddresses), Text, true, Nothing),
        ("jinwu.endpoint.addresses", A::Own(O::EndpointAddresses), Text, true, Nothing),
        ("jinwu.object.label", A::Own(O::ObjectLabel), Text, false, Key),
        ("jinwu.object.annotation", A::Own(O::ObjectAnnotation), Text, false, Key),
    ]
};

/// Members of `ka.req.pod.{containers,initContainers,ephemeralContainers}.`.
const MEMBERS: [(&str, ContainerMember); 13] = [
    ("name", ContainerMember::Name),
    ("image", ContainerMember::Image),
    ("image.repository", ContainerMember::Repository),
    ("host_port", ContainerMember::HostPort),
    ("privileged", ContainerMember::Privileged),
    ("allow_privilege_escalation", ContainerMember::AllowPrivilegeEscalation),
    ("read_only_fs", ContainerMember::ReadOnlyFilesystem),
    ("run_as_user", ContainerMember::RunAsUser),
    ("eff_run_as_user", ContainerMember::EffectiveRunAsUser),
    ("run_as_group", ContainerMember::RunAsGroup),
    ("eff_run_as_group", ContainerMember::EffectiveRunAsGroup),
    ("proc_mount", ContainerMember::ProcMount),
    ("add_capabilities", ContainerMember::AddCapabilities),
];

/// Every name.
pub fn names() -> impl Iterator<Item = String> {
    let members = |list: &'static str| MEMBERS.iter().map(move |(member, _)| format!("ka.req.pod.{list}.{member}"));
    PLAIN.iter().map(|(name, ..)| (*name).to_owned()).chain(members("containers")).chain(members("initContainers")).chain(members("ephemeralContainers"))
}

pub(super) fn lookup(name: &str) -> Option<Definition> {
    if let Some((_, id, kind, list, takes)) = PLAIN.iter().find(|(n, ..)| *n == name) {
        let definition = Definition::new(FieldId::Audit(*id), *kind).takes(*takes);
        return Some(if *list { definition.list() } else { definition });
    }
    let (list, member) = name.strip_prefix("ka.req.pod.")?.split_once('.')?;
    let list = match list {
        "containers" => ContainerList::Containers,
        "initContainers" => ContainerList::Init,
        "ephemeralContainers" => ContainerList::Ephemeral,
        _ => return None,
    };
    let (_, member) = MEMBERS.iter().find(|(n, _)| *n == member)?;
    Some(Definition::new(FieldId::Audit(AuditField::Containers(list, *member)), Kind::Text).list().takes(Takes::Index))
}
