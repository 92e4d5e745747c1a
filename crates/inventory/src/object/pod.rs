//! Pods and what makes them. Values of environment variables, commands and arguments are not kept, but for
//! the flags of the control plane's own programs.

use super::{Labels, Meta, Named, Selector};
use crate::read::{Canonical, Present, Scalar, objects};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A pod; its specification and images are shared with all pods made alike.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Pod {
    pub metadata: Meta,
    pub spec: Arc<PodSpec>,
    /// Empty: not scheduled.
    pub node: Box<str>,
    pub phase: Box<str>,
    pub address: Box<str>,
    /// Container name and image id, sorted.
    pub images: Arc<Vec<(Box<str>, Box<str>)>>,
    pub ready: bool,
}

/// Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job or CronJob.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Workload {
    pub kind: &'static str,
    pub metadata: Meta,
    /// `None`: not a number of replicas that a person sets (DaemonSet, Job).
    pub replicas: Option<i64>,
    pub labels: Labels,
    pub spec: Arc<PodSpec>,
}

objects! {
    /// `spec` of a pod.
    PodSpec {
        service_account_name: Box<str>,
        automount_service_account_token: Option<bool>,
        host_network: bool,
        #[serde(rename = "hostPID")] host_pid: bool,
        #[serde(rename = "hostIPC")] host_ipc: bool,
        host_users: Option<bool>,
        runtime_class_name: Option<Box<str>>,
        restart_policy: Box<str>,
        security_context: Canonical,
        containers: Vec<Container>,
        init_containers: Vec<Container>,
        ephemeral_containers: Vec<Container>,
        volumes: Vec<Volume>,
        topology_spread_constraints: Vec<Present>,
        affinity: Affinity,
        image_pull_secrets: Vec<Named>,
    }
    Affinity { pod_anti_affinity: Option<Present> }
    Container {
        name: Box<str>,
        image: Box<str>,
        ports: Vec<Port>,
        security_context: SecurityContext,
        liveness_probe: Option<Present>,
        readiness_probe: Option<Present>,
        startup_probe: Option<Present>,
        resources: Resources,
        env: Vec<Variable>,
        env_from: Vec<EnvFrom>,
        volume_mounts: Vec<Mount>,
        /// The first word alone; all words for programs of the control plane.
        command: Vec<Box<str>>,
        /// Empty but for programs of the control plane.
        args: Vec<Box<str>>,
    }
    Port { container_port: i32, host_port: i32 }
    SecurityContext {
        privileged: Option<bool>,
        allow_privilege_escalation: Option<bool>,
        read_only_root_filesystem: Option<bool>,
        run_as_user: Option<i64>,
        run_as_group: Option<i64>,
        run_as_non_root: Option<bool>,
        capabilities: Capabilities,
        seccomp_profile: Option<Canonical>,
        app_armor_profile: Option<Canonical>,
        proc_mount: Option<Box<str>>,
    }
    Capabilities { add: Vec<Box<str>>, drop: Vec<Box<str>> }
    Resources { requests: BTreeMap<Box<str>, Scalar>, limits: BTreeMap<Box<str>, Scalar> }
    /// A variable without its value.
    Variable { name: Box<str>, value_from: Option<ValueFrom> }
    ValueFrom { secret_key_ref: Option<Named>, config_map_key_ref: Option<Named> }
    EnvFrom { secret_ref: Option<Named>, config_map_ref: Option<Named> }
    Mount { name: Box<str>, mount_path: Box<str>, read_only: bool }
    Volume {
        name: Box<str>,
        host_path: Option<HostPath>,
        secret: Option<SecretVolume>,
        config_map: Option<Named>,
        projected: Option<Projected>,
        persistent_volume_claim: Option<Claim>,
    }
    HostPath { path: Box<str> }
    SecretVolume { secret_name: Box<str> }
    Claim { claim_name: Box<str> }
    Projected { sources: Vec<ProjectedSource> }
    ProjectedSource { service_account_token: Option<TokenSource>, secret: Option<Named>, config_map: Option<Named> }
    TokenSource { audience: Box<str>, expiration_seconds: i64 }
    PodObject { metadata: Meta, spec: RunningSpec, status: PodStatus }
    RunningSpec { node_name: Box<str> }
    PodStatus {
        phase: Box<str>,
        #[serde(rename = "podIP")] pod_ip: Box<str>,
        container_statuses: Vec<ContainerStatus>,
        init_container_statuses: Vec<ContainerStatus>,
    }
    ContainerStatus { name: Box<str>, #[serde(rename = "imageID")] image_id: Box<str>, ready: bool }
    WithSpec { spec: PodSpec }
    WorkloadObject { metadata: Meta, spec: WorkloadSpec }
    WorkloadSpec { replicas: Option<i64>, template: Template, job_template: JobTemplate }
    JobTemplate { spec: JobSpec }
    JobSpec { template: Template }
    Template { metadata: Meta, spec: PodSpec }
    Pdb { metadata: Meta, spec: PdbSpec, status: PdbStatus }
    PdbSpec { selector: Option<Selector>, min_available: Option<Scalar>, max_unavailable: Option<Scalar> }
    PdbStatus { disruptions_allowed: i64, expected_pods: i64, current_healthy: i64 }
    /// HorizontalPodAutoscaler or VerticalPodAutoscaler.
    Autoscaler { metadata: Meta, spec: AutoscalerSpec }
    AutoscalerSpec { scale_target_ref: Target, target_ref: Target, min_replicas: Option<i64>, max_replicas: i64 }
    Target { kind: Box<str>, name: Box<str> }
}

/// Programs whose flags are kept.
const CONTROL_PLANE: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"];

// === impl PodSpec ===

impl PodSpec {
    pub fn all_containers(&self) -> impl Iterator<Item = &Container> {
        self.init_containers.iter().chain(&self.containers).chain(&self.ephemeral_containers)
    }

    /// Root in it is root of the node, or as good as that.
    pub fn owns_node(&self) -> Option<&'static str> {
        let host = |v: &Volume| v.host_path.as_ref().is_some_and(|h| sensitive(&h.path));
        if self.all_containers().any(|c| c.security_context.privileged == Some(true)) {
            Some("privileged")
        } else if self.volumes.iter().any(host) {
            Some("hostPath")
        } else if self.host_pid && self.all_containers().any(|c| c.security_context.capabilities.add.iter().any(|c| matches!(&**c, "ALL" | "SYS_ADMIN" | "SYS_PTRACE"))) {
            Some("hostPID")
        } else {
            None
        }
    }

    /// Forgets what differs between pods made alike, and what may hold secrets.
    pub(crate) fn settle(&mut self) {
        for volume in &mut self.volumes {
            if volume.name.starts_with("kube-api-access-") {
                volume.name = "kube-api-access".into();
            }
        }
        for container in self.init_containers.iter_mut().chain(&mut self.containers).chain(&mut self.ephemeral_containers) {
            for mount in &mut container.volume_mounts {
                if mount.name.starts_with("kube-api-access-") {
                    mount.name = "kube-api-access".into();
                }
            }
            container.env.retain(|v| v.value_from.is_some());
            if container.program().is_none_or(|p| !CONTROL_PLANE.contains(&p)) {
                container.command.truncate(1);
                container.args.clear();
            }
            container.command.shrink_to_fit();
            container.args.shrink_to_fit();
        }
        if self.service_account_name.is_empty() {
            self.service_account_name = "default".into();
        }
    }
}

/// A host path through which a container becomes the node: the root, runtime sockets, the kubelet's or
/// etcd's folders, credentials.
pub fn sensitive(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    let below = |folder: &str| path == folder || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    path.is_empty()
        || ["/etc", "/root", "/boot", "/proc", "/sys", "/dev", "/run", "/var", "/var/run", "/var/lib", "/home", "/usr"].contains(&path)
        || path.ends_with(".sock")
        || ["/etc/kubernetes", "/var/lib/kubelet", "/var/lib/etcd", "/run/containerd", "/var/run/containerd", "/var/lib/containerd", "/run/crio", "/var/run/docker", "/var/lib/docker", "/root/.ssh", "/etc/cron.d", "/etc/systemd"]
            .into_iter()
            .any(below)
}

// === impl Container ===

impl Container {
    /// The file name of its command.
    pub fn program(&self) -> Option<&str> {
        self.command.first().and_then(|c| c.rsplit('/').next())
    }

    /// The value of `--name=value` of a program of the control plane.
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.command.iter().chain(&self.args).rev().find_map(|w| w.strip_prefix("--")?.strip_prefix(name)?.strip_prefix('='))
    }
}

impl Pod {
    /// The token of its service account is mounted.
    pub fn mounts_token(&self) -> bool {
        self.spec.volumes.iter().any(|v| v.projected.as_ref().is_some_and(|p| p.sources.iter().any(|s| s.service_account_token.is_some())))
    }

    pub fn running(&self) -> bool {
        !matches!(&*self.phase, "Succeeded" | "Failed")
    }

    pub fn mirror(&self) -> bool {
        self.metadata.annotations.contains_key("kubernetes.io/config.mirror")
    }
}
