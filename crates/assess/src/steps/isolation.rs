//! AC-5: containers with a kernel of their own.

use super::{Lab, deployment, same, t};
use crate::cluster::field::{Field, START};
use crate::cluster::manifest::{pod, spec};
use crate::cluster::{Who, items, name_of};
use crate::evidence::{Evidence, Log, Role, whether};
use crate::ground::LABEL;
use crate::target::registry::escape;
use anyhow::Context as _;
use http::Method;
use jinwu_identity::AdminRole::SecurityAdministrator as Security;
use jinwu_model::{Digest, Mode};
use jinwu_standard::verdict::Answer;
use serde_json::{Value, json};

const POLICY: &str = "sandboxed-runtime";

/// Runtime classes of the cluster that count as sandboxes by the cluster's settings.
async fn sandboxes(lab: &Lab<'_>, log: &mut Log) -> anyhow::Result<Vec<(String, String)>> {
    let cluster = lab.cluster()?;
    let shown = lab.get(log, Security, &format!("/clusters/{}", escape(&cluster.name))).await?;
    let counted: Vec<&str> = shown["sandboxed_runtimes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let classes = cluster.act(log, Who::Operator, Method::GET, "/apis/node.k8s.io/v1/runtimeclasses", None).await?;
    let found = items(&classes).filter(|c| counted.contains(&name_of(c)));
    Ok(found.map(|c| (name_of(c).to_owned(), c["handler"].as_str().unwrap_or_default().to_owned())).collect())
}

/// AC-5.C1.
pub(super) async fn runtimes(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let cluster = lab.cluster()?;
    let mut log = cluster.log("GET /apis/node.k8s.io/v1/runtimeclasses; /api/v1/nodes");
    let classes = sandboxes(lab, &mut log).await?;
    let nodes = cluster.act(&mut log, Who::Operator, Method::GET, "/api/v1/nodes", None).await?;
    // Nodes that tell which handlers they have (from Kubernetes 1.31 on).
    let told: Vec<(&str, Vec<&str>)> = items(&nodes)
        .filter_map(|n| Some((name_of(n), n["status"]["runtimeHandlers"].as_array()?.iter().filter_map(|h| h["name"].as_str()).collect())))
        .collect();
    let without: Vec<&str> = told.iter().filter(|(_, handlers)| !classes.iter().any(|(_, h)| handlers.contains(&h.as_str()))).map(|(n, _)| *n).collect();
    let shown: Vec<String> = classes.iter().map(|(c, h)| format!("{c}={h}")).collect();
    out.push(log.prove(
        Role::State,
        t("有安全容器运行时(RuntimeClass),且每个节点都装有其处理程序", "there is a secure container runtime (RuntimeClass), and every node has its handler"),
        t(
            format!("{};未装的节点:{without:?}", shown.join(", ")),
            format!("{}; nodes without: {without:?}", shown.join(", ")),
        ),
        whether(!classes.is_empty() && without.is_empty()),
    ));
    if !lab.drills() || classes.is_empty() {
        return Ok(());
    }
    required(lab, out, &classes).await
}

/// The policy that asks for a sandbox, at 拦截 in the drill's namespace: a pod without is refused, one with is let in.
async fn required(lab: &Lab<'_>, out: &mut Vec<Evidence>, classes: &[(String, String)]) -> anyhow::Result<()> {
    let field = lab.field()?;
    let mut log = lab.log(format!("policy {POLICY} = block in {}", field.namespace));
    field.switch(&mut log, POLICY, Some(Mode::Block)).await?;
    let bare = pod("attack-shared-kernel", spec(&field.probe(), &["true"]));
    // Gates hear of the switch within seconds.
    let begun = tokio::time::Instant::now();
    while field.attempt(&mut log, Who::Operator, "pods", &bare, true).await?.status < 300 && begun.elapsed().as_secs() < 15 {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    deployment::stopped(lab, out, &t("与宿主机共用内核的容器组", "a pod that shares the node's kernel"), &bare, POLICY).await?;
    let mut log = field.cluster.log("a pod with a sandboxed runtime (dry run)");
    let mut with = spec(&field.probe(), &["true"]);
    with["runtimeClassName"] = json!(classes.first().map(|(c, _)| c));
    let reply = field.attempt(&mut log, Who::Operator, "pods", &pod("sandboxed", with), true).await?;
    out.push(log.prove(
        Role::Control,
        t("对照:使用安全容器运行时的容器组被接受", "control: a pod with a sandboxed runtime is let in"),
        same(reply.status.to_string()),
        whether(reply.status == 201),
    ));
    let mut log = lab.log(format!("policy {POLICY} = default"));
    field.switch(&mut log, POLICY, None).await
}

/// AC-5.C2: which kernel each pod has.
pub(super) async fn kernels(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let cluster = lab.cluster()?;
    let mut log = cluster.log("GET /api/v1/pods");
    let classes = sandboxes(lab, &mut log).await?;
    let shown = lab.get(&mut log, Security, &format!("/clusters/{}", escape(&cluster.name))).await?;
    let base: Vec<(&str, &str)> = shown["base_platform"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, c)| c["approver"].is_string())
        .filter_map(|(_, c)| Some((c["namespace"].as_str()?, c["digest"].as_str()?)))
        .collect();
    let pods = cluster.act(&mut log, Who::Operator, Method::GET, "/api/v1/pods?fieldSelector=status.phase%3DRunning", None).await?;
    let (mut own, mut exempt, mut shared) = (0, 0, Vec::new());
    for pod in items(&pods) {
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        if namespace.starts_with(LABEL) {
            continue;
        }
        let class = pod["spec"]["runtimeClassName"].as_str().unwrap_or_default();
        let is_base = || is_base(pod, namespace, &base);
        match () {
            () if classes.iter().any(|(c, _)| c == class) => own += 1,
            () if is_base() => exempt += 1,
            () => shared.push(format!("{namespace}/{}", name_of(pod))),
        }
    }
    let some: Vec<&str> = shared.iter().take(20).map(String::as_str).collect();
    out.push(log.prove(
        Role::State,
        t("除基础平台组件外,每个容器实例都有自己的内核", "every container instance but those of the base platform has a kernel of its own"),
        t(
            format!("自有内核 {own},基础平台 {exempt},共用节点内核 {}:{}", shared.len(), some.join(", ")),
            format!("own kernel {own}, base platform {exempt}, sharing the node's {}: {}", shared.len(), some.join(", ")),
        ),
        whether(shared.is_empty()),
    ));
    if lab.drills() {
        for (class, _) in &classes {
            escape_from(lab, out, Some(class), Role::State).await?;
        }
    }
    Ok(())
}

/// Whether every image that runs in a pod is an approved component of its namespace.
fn is_base(pod: &Value, namespace: &str, base: &[(&str, &str)]) -> bool {
    let statuses = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"].iter().flat_map(|list| pod["status"][*list].as_array().into_iter().flatten());
    let mut digests = statuses.map(|s| {
        let id = s["imageID"].as_str().unwrap_or_default();
        id.rsplit_once('@').map_or(id, |(_, d)| d).parse::<Digest>().map(|d| d.to_string()).unwrap_or_default()
    });
    let mut any = false;
    digests.all(|digest| {
        any = true;
        base.contains(&(namespace, digest.as_str()))
    }) && any
}

/// AC-5.S1.
pub(super) async fn escape_drill(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let mut log = lab.cluster()?.log("GET /apis/node.k8s.io/v1/runtimeclasses");
    let classes = sandboxes(lab, &mut log).await?;
    if classes.is_empty() {
        out.push(log.prove(Role::Attack, t("有安全容器运行时可供演练", "there is a secure runtime to drill with"), t("没有", "there is none"), Answer::Negative));
    }
    for (class, _) in &classes {
        escape_from(lab, out, Some(class), Role::Attack).await?;
    }
    // The same attacker beside it: the ways out are shut there too, but the kernel is the node's.
    escape_from(lab, out, None, Role::Control).await
}

/// Runs the attacker in a pod of a runtime class (or the node's own runtime) and reads what it found.
async fn escape_from(lab: &Lab<'_>, out: &mut Vec<Evidence>, class: Option<&str>, role: Role) -> anyhow::Result<()> {
    let field = lab.field()?;
    let name = format!("escape-{}-{}", class.unwrap_or("node"), hex::encode(jinwu_trust::random::bytes::<2>()));
    let mut log = field.cluster.log(format!("pod {name}: /probe escape"));
    let mut spec = spec(&field.probe(), &["escape"]);
    spec["restartPolicy"] = json!("Never");
    spec["containers"][0]["env"] = json!([{"name": "NODE_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}]);
    if let Some(class) = class {
        spec["runtimeClassName"] = json!(class);
    }
    field.make(&mut log, "pods", &pod(&name, spec)).await?;
    let ended = field.cluster.until(&mut log, &field.at(&format!("pods/{name}")), START, |p| p["status"]["phase"] == "Succeeded" || p["status"]["phase"] == "Failed").await?;
    let ended = ended.with_context(|| format!("pod {name} did not end in time"))?;
    let said = field.cluster.ask(&mut log, Who::Operator, Method::GET, &field.at(&format!("pods/{name}/log")), None).await?.text();
    let kernel = node_kernel(field, &mut log, &ended).await?;
    field.drop(&mut log, "pods", &name).await?;
    let report = Report::read(&said).with_context(|| format!("the probe said: {said}"))?;
    let own = report.kernel != kernel;
    let open: Vec<String> = report.open;
    let actual = t(
        format!("内核 {}(节点 {kernel}),试了 {} 条途径,可行:{open:?}", report.kernel, report.ways),
        format!("kernel {} (the node's {kernel}), {} ways tried, open: {open:?}", report.kernel, report.ways),
    );
    let (expected, good) = match class {
        Some(class) => (
            t(format!("{class}:有自己的内核,逃逸途径均被阻断"), format!("{class}: a kernel of its own, every way out is shut")),
            own && open.is_empty() && report.ways > 0,
        ),
        None => (
            t("对照:普通运行时的容器与节点共用内核,同一程序如实报告", "control: with the ordinary runtime the kernel is the node's, and the same program says so"),
            !own && report.ways > 0,
        ),
    };
    out.push(log.prove(role, expected, actual, whether(good)));
    Ok(())
}

async fn node_kernel(field: &Field<'_>, log: &mut Log, pod: &Value) -> anyhow::Result<String> {
    let node = pod["spec"]["nodeName"].as_str().context("the pod has no node")?;
    let node = field.cluster.act(log, Who::Operator, Method::GET, &format!("/api/v1/nodes/{node}"), None).await?;
    Ok(node["status"]["nodeInfo"]["kernelVersion"].as_str().unwrap_or_default().to_owned())
}

/// What the attacker printed.
struct Report {
    kernel: String,
    ways: usize,
    open: Vec<String>,
}

impl Report {
    fn read(text: &str) -> Option<Report> {
        let lines: Vec<Value> = text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
        let kernel = lines.iter().find_map(|l| l["kernel"].as_str())?.to_owned();
        let ways: Vec<&Value> = lines.iter().filter(|l| l["way"].is_string()).collect();
        let open = ways.iter().filter(|w| w["outcome"] != "stopped").map(|w| format!("{}: {}", w["way"].as_str().unwrap_or_default(), w["detail"].as_str().unwrap_or_default())).collect();
        Some(Report { kernel, ways: ways.len(), open })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read() {
        let text = "{\"kernel\":\"4.19.0-gvisor\",\"uid\":\"65532\"}\n{\"way\":\"a\",\"outcome\":\"stopped\",\"detail\":\"x\"}\n{\"way\":\"b\",\"outcome\":\"open\",\"detail\":\"y\"}\nnoise\n";
        let report = Report::read(text).unwrap();
        assert_eq!((report.kernel.as_str(), report.ways, report.open), ("4.19.0-gvisor", 2, vec!["b: y".to_owned()]));
        assert!(Report::read("no json").is_none());
    }

    #[test]
    fn the_base_platform_is_known_by_namespace_and_digest() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let other = format!("sha256:{}", "cd".repeat(32));
        let pod = |ids: &[&str]| json!({"status": {"containerStatuses": ids.iter().map(|i| json!({"imageID": format!("r/x@{i}")})).collect::<Vec<_>>()}});
        let base = [("jinwu", digest.as_str())];
        assert!(is_base(&pod(&[&digest]), "jinwu", &base));
        assert!(!is_base(&pod(&[&digest]), "web", &base));
        assert!(!is_base(&pod(&[&digest, &other]), "jinwu", &base));
        assert!(!is_base(&pod(&[]), "jinwu", &base));
    }
}
