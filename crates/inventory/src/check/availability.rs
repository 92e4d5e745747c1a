//! CC-1: recovery and scaling of every workload, the base platform included.

use super::{Check, Report};
use crate::finding::Severity;
use crate::inventory::Kind;
use crate::object::Workload;

const NEEDS: &[Kind] = &[Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::PodDisruptionBudget, Kind::HorizontalPodAutoscaler];

pub(super) const CHECKS: &[Check] = &[
    Check { id: "recovery-probes", clause: "CC-1", needs: NEEDS, expected: ("容器有存活与就绪探针", "containers have liveness and readiness probes"), run: probes },
    Check { id: "recovery-replicas", clause: "CC-1", needs: NEEDS, expected: ("副本不少于 2,分散到不同节点,并有 PDB", "two replicas or more, on different nodes, with a PDB"), run: replicas },
    Check { id: "recovery-pdb-blocks", clause: "CC-1", needs: &[Kind::PodDisruptionBudget], expected: ("PDB 允许驱逐,节点可以腾空", "PDBs allow evictions, so that nodes can be drained"), run: blocking },
    Check { id: "recovery-bare-pod", clause: "CC-1", needs: &[Kind::Pod], expected: ("容器组由控制器管理,失败后重建", "pods are managed by controllers that make them anew"), run: bare },
    Check { id: "scaling", clause: "CC-1", needs: NEEDS, expected: ("有弹性伸缩策略、资源请求与指标接口", "autoscalers, resource requests, and the metrics API"), run: scaling },
];

fn serving<'f>(r: &Report<'_, 'f>) -> Vec<&'f Workload> {
    r.facts.inventory.workloads.iter().filter(|w| matches!(w.kind, "Deployment" | "StatefulSet" | "DaemonSet") && w.replicas != Some(0)).collect()
}

fn asset(w: &Workload) -> String {
    format!("{}/{}", w.kind, w.metadata.place())
}

fn probes(r: &mut Report<'_, '_>) {
    for w in serving(r) {
        for c in &w.spec.containers {
            let missing: Vec<_> = [("livenessProbe", c.liveness_probe.is_none()), ("readinessProbe", c.readiness_probe.is_none())].into_iter().filter(|m| m.1).map(|m| m.0).collect();
            if !missing.is_empty() {
                let names = missing.join(", ");
                r.fails(Severity::Medium, asset(w), (format!("容器 {} 没有 {names}", c.name), format!("container {} has no {names}", c.name)), format!("{}: {names} absent", c.name), (
                    "加上探针,使无响应的容器被重启、未就绪的不接流量",
                    "add probes, so that what does not answer is restarted and what is not ready gets no traffic",
                ));
            }
        }
    }
}

fn replicas(r: &mut Report<'_, '_>) {
    for w in serving(r).into_iter().filter(|w| w.kind != "DaemonSet") {
        let n = w.replicas.unwrap_or(1);
        let floor = r.facts.inventory.hpas.iter().filter(|h| targets(h, w)).map(|h| h.spec.min_replicas.unwrap_or(1)).max().unwrap_or(n);
        let mut missing = Vec::new();
        if n.min(floor) < 2 {
            missing.push(("副本少于 2", "fewer than two replicas"));
        } else {
            if w.spec.topology_spread_constraints.is_empty() && w.spec.affinity.pod_anti_affinity.is_none() {
                missing.push(("未要求分散到不同节点", "not spread over nodes"));
            }
            let home = &w.metadata.namespace;
            if !r.facts.inventory.pdbs.iter().any(|p| p.metadata.namespace == *home && p.spec.selector.as_ref().is_some_and(|s| s.matches(&w.labels))) {
                missing.push(("没有 PDB", "no PDB"));
            }
        }
        if !missing.is_empty() {
            let (zh, en): (Vec<_>, Vec<_>) = missing.into_iter().unzip();
            r.fails(Severity::Medium, asset(w), (zh.join(";"), en.join("; ")), format!("replicas: {n}, least: {floor}"), (
                "设 replicas ≥ 2、topologySpreadConstraints 与 PodDisruptionBudget",
                "set replicas to 2 or more, topologySpreadConstraints and a PodDisruptionBudget",
            ));
        }
    }
}

fn targets(h: &crate::object::Autoscaler, w: &Workload) -> bool {
    h.metadata.namespace == w.metadata.namespace
        && [&h.spec.scale_target_ref, &h.spec.target_ref].iter().any(|t| *t.kind == *w.kind && t.name == w.metadata.name)
}

fn blocking(r: &mut Report<'_, '_>) {
    for p in &r.facts.inventory.pdbs {
        let is = |v: &Option<crate::read::Scalar>, words: &[&str]| v.as_ref().is_some_and(|s| words.contains(&&*s.0));
        let (most, least) = (&p.spec.max_unavailable, &p.spec.min_available);
        let number: Option<i64> = least.as_ref().and_then(|s| s.0.parse().ok());
        let all = number.is_some_and(|n| p.status.expected_pods > 0 && n >= p.status.expected_pods);
        if is(most, &["0", "0%"]) || is(least, &["100%"]) || all {
            r.fails(Severity::Medium, format!("PodDisruptionBudget/{}", p.metadata.place()), ("永远不允许驱逐".into(), "never allows an eviction".into()), serde_json::to_string(&p.spec).unwrap_or_default(), (
                "设 maxUnavailable 不小于 1",
                "set maxUnavailable to 1 or more",
            ));
        }
    }
}

fn bare(r: &mut Report<'_, '_>) {
    for pod in r.facts.inventory.pods.iter().filter(|p| p.running() && p.metadata.controller().is_none() && !p.mirror()) {
        r.fails(Severity::Medium, format!("Pod/{}", pod.metadata.place()), ("没有控制器,节点失败后不会重建".into(), "has no controller: not made anew when its node fails".into()), format!("restartPolicy: {}", pod.spec.restart_policy), (
            "改用 Deployment 或其他控制器",
            "use a Deployment or another controller",
        ));
    }
}

fn scaling(r: &mut Report<'_, '_>) {
    let inventory = r.facts.inventory;
    if !inventory.resources.is_empty() && !inventory.resources.iter().any(|x| &*x.group == "metrics.k8s.io") {
        r.fails(Severity::Medium, "cluster", ("没有资源指标接口 metrics.k8s.io".into(), "the metrics API metrics.k8s.io is absent".into()), "discovery: no group metrics.k8s.io", ("安装 metrics-server", "install metrics-server"));
    }
    for w in serving(r).into_iter().filter(|w| w.kind != "DaemonSet") {
        let scaled = inventory.hpas.iter().chain(&inventory.vpas).any(|h| targets(h, w));
        let requests = w.spec.containers.iter().all(|c| c.resources.requests.contains_key("cpu"));
        let (zh, en) = match (scaled, requests) {
            (true, true) => continue,
            (true, false) => ("有伸缩策略而容器无 CPU 请求,按利用率伸缩无法工作", "has an autoscaler, yet containers without CPU requests: scaling by utilisation cannot work"),
            (false, _) => ("没有 HPA 或 VPA", "neither HPA nor VPA"),
        };
        r.fails(Severity::Low, asset(w), (zh.into(), en.into()), format!("autoscaler: {scaled}, cpu requests: {requests}"), (
            "为负载会变化的工作负载设 HorizontalPodAutoscaler 与 resources.requests",
            "give workloads whose load changes a HorizontalPodAutoscaler and resources.requests",
        ));
    }
}
