//! CC-1: the cluster as a whole, recovery, scaling.

use super::{Lab, same, t};
use crate::cluster::field::{Field, START, is_ready};
use crate::cluster::manifest::{deployment, spec};
use crate::cluster::{Who, items, name_of};
use crate::evidence::{Evidence, Log, Role, whether};
use anyhow::Context as _;
use http::Method;
use jinwu_standard::verdict::Answer;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const WEB: &str = "web";
/// A scaler looks every 15 seconds, at figures up to 30 seconds old.
const SCALE: Duration = Duration::from_secs(150);

/// CC-1.C1.
pub(super) async fn orchestration(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let cluster = lab.cluster()?;
    let mut log = cluster.log("GET /api/v1/nodes");
    let nodes = cluster.act(&mut log, Who::Operator, Method::GET, "/api/v1/nodes", None).await?;
    let ready = |n: &Value| n["status"]["conditions"].as_array().into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True");
    let all: Vec<&Value> = items(&nodes).collect();
    let down: Vec<&str> = all.iter().filter(|n| !ready(n)).map(|n| name_of(n)).collect();
    out.push(log.prove(
        Role::State,
        t("由 Kubernetes 统一编排调度,有两个以上就绪的节点", "Kubernetes orchestrates and schedules; two or more nodes are ready"),
        t(format!("{},节点 {} 个,未就绪:{down:?}", cluster.version, all.len()), format!("{}, {} nodes, not ready: {down:?}", cluster.version, all.len())),
        whether(all.len() - down.len() >= 2),
    ));
    let mut log = lab.log("GET /api/v1/clusters");
    let clusters = lab.get(&mut log, jinwu_identity::AdminRole::SystemAdministrator, "/clusters").await?;
    let known = clusters["clusters"].as_array().is_some_and(|c| c.iter().any(|c| c["name"] == cluster.name.as_str()));
    out.push(log.prove(Role::State, t("该集群由金吾统一管理", "the cluster is managed by Jinwu"), same(cluster.name.clone()), whether(known)));
    Ok(())
}

/// CC-1.C2: health checks, restart policies, replicas, disruption budgets, spread.
pub(super) async fn recovery(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    super::findings(lab, out, "CC-1").await
}

/// CC-1.C3: horizontal and vertical scaling.
pub(super) async fn elasticity(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let cluster = lab.cluster()?;
    let mut log = cluster.log("GET /apis/autoscaling/v2/horizontalpodautoscalers");
    let list = cluster.act(&mut log, Who::Operator, Method::GET, "/apis/autoscaling/v2/horizontalpodautoscalers", None).await?;
    let of: Vec<String> = items(&list)
        .filter(|h| !h["metadata"]["namespace"].as_str().unwrap_or_default().starts_with(crate::ground::LABEL))
        .map(|h| format!("{}/{}", h["metadata"]["namespace"].as_str().unwrap_or_default(), name_of(h)))
        .collect();
    out.push(log.prove(
        Role::State,
        t("有工作负载配置了弹性伸缩策略", "there are workloads with a scaling policy"),
        if of.is_empty() { t("没有", "none") } else { same(of.join(", ")) },
        whether(!of.is_empty()),
    ));
    let mut log = cluster.log("GET /apis/metrics.k8s.io/v1beta1/nodes");
    let metrics = cluster.ask(&mut log, Who::Operator, Method::GET, "/apis/metrics.k8s.io/v1beta1/nodes", None).await?;
    out.push(log.prove(Role::State, t("资源指标接口可用", "the metrics API answers"), same(metrics.status.to_string()), whether(metrics.status == 200)));
    Ok(())
}

/// CC-1.S1: an instance fails, hangs, is gone; load comes and goes.
pub(super) async fn failure_and_load(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let field = lab.field()?;
    let mut log = field.cluster.log("prepare: a deployment with a liveness probe");
    let mut spec = spec(&field.probe(), &["serve"]);
    let probe = json!({"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1, "failureThreshold": 2});
    spec["containers"][0]["livenessProbe"] = probe.clone();
    spec["containers"][0]["readinessProbe"] = probe;
    spec["containers"][0]["resources"] = json!({"requests": {"cpu": "50m", "memory": "16Mi"}, "limits": {"cpu": "200m", "memory": "64Mi"}});
    field.make(&mut log, "deployments", &deployment(WEB, 1, spec)).await?;
    let pods = format!("{}?labelSelector=app%3D{WEB}", field.at("pods"));
    let one = field.cluster.until(&mut log, &pods, START, |list| items(list).any(is_ready)).await?.context("the drill's deployment did not come to run")?;
    let first = items(&one).find(|p| is_ready(p)).map(name_of).unwrap_or_default().to_owned();
    // The way to the program leads through the API server, which asks for leave.
    let leave = field.leave(&mut log, &field.cluster.operator, &format!("{WEB}-*"), &["proxy"], 30, true).await?;
    let result = async {
        for (path, zh, en) in [("crash", "进程异常退出", "the process ends"), ("sick", "进程失去响应", "the process stops answering")] {
            restarted(field, out, &first, path, (zh, en)).await?;
        }
        replaced(field, out, &pods, &first).await?;
        scaled(field, out, &pods).await
    }
    .await;
    let mut log = lab.log("end of leave");
    field.end_leave(&mut log, &leave).await?;
    result
}

fn proxied(field: &Field<'_>, pod: &str, path: &str) -> String {
    format!("{}/{pod}:8080/proxy/{path}", field.at("pods"))
}

/// Asks the program in a pod; gates may not have heard of the leave yet.
async fn poke(field: &Field<'_>, log: &mut Log, pod: &str, path: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let reply = field.cluster.ask(log, Who::Operator, Method::GET, &proxied(field, pod, path), None).await?;
        if reply.status == 200 {
            return Ok(());
        }
        if begun.elapsed() > Duration::from_secs(20) {
            anyhow::bail!("{path}: {} {}", reply.status, reply.text());
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

fn restarts(pod: &Value) -> u64 {
    pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default()
}

async fn restarted(field: &Field<'_>, out: &mut Vec<Evidence>, pod: &str, path: &str, title: (&str, &str)) -> anyhow::Result<()> {
    let mut log = field.cluster.log(format!("GET {pod}:8080/{path}"));
    let at = field.at(&format!("pods/{pod}"));
    let before = restarts(&field.cluster.act(&mut log, Who::Operator, Method::GET, &at, None).await?);
    poke(field, &mut log, pod, path).await?;
    let begun = Instant::now();
    let after = field.cluster.until(&mut log, &at, START, |p| restarts(p) > before && is_ready(p)).await?;
    let took = begun.elapsed().as_secs_f64();
    out.push(log.prove(
        Role::Attack,
        t(format!("{}:容器自动重启并恢复就绪", title.0), format!("{}: the container is restarted and ready again", title.1)),
        match after {
            Some(_) => t(format!("{took:.1} 秒后恢复"), format!("recovered after {took:.1} s")),
            None => t("未恢复", "did not recover"),
        },
        whether(after.is_some()),
    ));
    Ok(())
}

async fn replaced(field: &Field<'_>, out: &mut Vec<Evidence>, pods: &str, first: &str) -> anyhow::Result<()> {
    let mut log = field.cluster.log(format!("delete pod {first}"));
    field.drop(&mut log, "pods", first).await?;
    let begun = Instant::now();
    let after = field.cluster.until(&mut log, pods, START, |list| items(list).any(|p| name_of(p) != first && is_ready(p))).await?;
    let took = begun.elapsed().as_secs_f64();
    out.push(log.prove(
        Role::Attack,
        t("实例消失:自动重建并就绪", "an instance is gone: another is made and ready"),
        match after {
            Some(_) => t(format!("{took:.1} 秒后恢复"), format!("recovered after {took:.1} s")),
            None => t("未恢复", "did not recover"),
        },
        whether(after.is_some()),
    ));
    Ok(())
}

/// Load makes more instances, its end fewer.
async fn scaled(field: &Field<'_>, out: &mut Vec<Evidence>, pods: &str) -> anyhow::Result<()> {
    let mut log = field.cluster.log("GET /apis/metrics.k8s.io/v1beta1/nodes");
    let metrics = field.cluster.ask(&mut log, Who::Operator, Method::GET, "/apis/metrics.k8s.io/v1beta1/nodes", None).await?;
    out.push(log.prove(
        Role::State,
        t("集群有资源指标接口,弹性伸缩方可工作", "the cluster has the metrics API that scaling needs"),
        same(metrics.status.to_string()),
        whether(metrics.status == 200),
    ));
    if metrics.status != 200 {
        return Ok(());
    }
    let mut log = field.cluster.log("a HorizontalPodAutoscaler, 1 to 3 replicas; load through the API server");
    let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": WEB}, "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": WEB}, "minReplicas": 1, "maxReplicas": 3,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}});
    field.make(&mut log, "horizontalpodautoscalers", &scaler).await?;
    let at = field.at(&format!("deployments/{WEB}"));
    let replicas = |d: &Value| d["status"]["readyReplicas"].as_u64().unwrap_or_default();
    let begun = Instant::now();
    let more = {
        let load = load(field, pods);
        tokio::pin!(load);
        let watched = field.cluster.until(&mut log, &at, SCALE, |d| replicas(d) >= 2);
        tokio::pin!(watched);
        tokio::select! {
            more = &mut watched => more?,
            error = &mut load => return Err(error),
        }
    };
    let up = begun.elapsed().as_secs_f64();
    out.push(log.prove(
        Role::Attack,
        t("负载升高:实例自动增加", "load rises: instances are added"),
        match &more {
            Some(d) => t(format!("{up:.0} 秒后 {} 个", replicas(d)), format!("{} after {up:.0} s", replicas(d))),
            None => t("未增加", "none was added"),
        },
        whether(more.is_some()),
    ));
    let mut log = field.cluster.log("no more load");
    let begun = Instant::now();
    let less = field.cluster.until(&mut log, &at, SCALE, |d| d["spec"]["replicas"] == 1).await?;
    let down = begun.elapsed().as_secs_f64();
    out.push(log.prove(
        Role::Attack,
        t("负载消失:实例自动减少", "load ends: instances are removed"),
        match less {
            Some(_) => t(format!("{down:.0} 秒后减为 1 个"), format!("back to 1 after {down:.0} s")),
            None => t("未减少", "none was removed"),
        },
        if more.is_some() { whether(less.is_some()) } else { Answer::Unknown },
    ));
    Ok(())
}

/// Keeps the instances busy; ends only with an error.
async fn load(field: &Field<'_>, pods: &str) -> anyhow::Error {
    loop {
        let mut quiet = field.cluster.log("");
        let names: Vec<String> = match field.cluster.act(&mut quiet, Who::Operator, Method::GET, pods, None).await {
            Ok(list) => items(&list).filter(|p| is_ready(p)).map(|p| name_of(p).to_owned()).collect(),
            Err(error) => return error,
        };
        if names.is_empty() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        for name in names {
            let path = proxied(field, &name, "burn?4000");
            // A pod that is going away is no failure of the drill.
            let _ = field.cluster.ask(&mut quiet, Who::Operator, Method::GET, &path, None).await;
        }
    }
}
