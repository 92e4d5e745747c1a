//! What sensors on nodes see and stop: AU-3, IP-6 and IP-7 of containers, IP-9, MC-2, CC-4.

use super::{Lab, same, t};
use crate::cluster::field::{Field, START};
use crate::cluster::manifest::{pod, spec};
use crate::cluster::{Who, items, name_of};
use crate::evidence::{Evidence, Log, Role, whether};
use crate::target::As;
use crate::target::registry::escape;
use crate::trail;
use anyhow::Context as _;
use http::Method;
use jinwu_identity::AdminRole::{AuditAdministrator as Audit, SecurityAdministrator as Security};
use jinwu_standard::verdict::Answer;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// From an act in a container to its record, or from a setting to the sensor that follows it.
const REACH: Duration = Duration::from_secs(30);

/// Every node of the cluster has a sensor that is heard; what it cannot do is told.
pub(super) async fn present(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<BTreeSet<String>> {
    let cluster = lab.cluster()?;
    let mut log = lab.log("GET /api/v1/nodes");
    let listed = lab.get(&mut log, Security, "/nodes").await?;
    let nodes: Vec<&Value> = listed["nodes"].as_array().into_iter().flatten().collect();
    let heard: BTreeSet<String> = nodes.iter().filter(|n| n["heard"] == true).filter_map(|n| n["name"].as_str().map(str::to_owned)).collect();
    let missing: Vec<&str> = cluster.nodes.iter().map(|(name, _)| name.as_str()).filter(|n| !heard.contains(*n)).collect();
    let rungs: Vec<String> = nodes.iter().filter(|n| n["heard"] == true).map(|n| format!("{}: {}", n["name"].as_str().unwrap_or_default(), n["rung"].as_str().unwrap_or("?"))).collect();
    out.push(log.prove(
        Role::State,
        t("每个节点有传感器在运行", "a sensor runs on every node"),
        if missing.is_empty() { same(rungs.join(", ")) } else { t(format!("没有传感器的节点:{}", missing.join("、")), format!("nodes without a sensor: {}", missing.join(", "))) },
        if heard.is_empty() { Answer::Unknown } else { whether(missing.is_empty()) },
    ));
    Ok(heard)
}

/// A sensor on every node, and no pod whose inside it does not see.
pub(super) async fn seeing(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<BTreeSet<String>> {
    let heard = present(lab, out).await?;
    let mut log = lab.log("pods in sandboxes");
    let sandboxed = sandboxed(lab, &mut log).await?;
    if !sandboxed.is_empty() {
        out.push(log.prove(
            Role::State,
            t("沙箱容器组内的事件同样可见", "events inside sandboxed pods are seen too"),
            t(format!("看不到沙箱内部的容器组:{}", sandboxed.join("、")), format!("pods whose inside is not seen: {}", sandboxed.join(", "))),
            Answer::Negative,
        ));
    }
    Ok(heard)
}

/// Running pods with a kernel of their own, but those of drills: a sensor of the node does not see into them.
async fn sandboxed(lab: &Lab<'_>, log: &mut Log) -> anyhow::Result<Vec<String>> {
    let cluster = lab.cluster()?;
    let pods = cluster.act(log, Who::Operator, Method::GET, "/api/v1/pods", None).await?;
    let inside = |p: &&Value| p["spec"]["runtimeClassName"].is_string() && p["status"]["phase"] == "Running" && !p["metadata"]["namespace"].as_str().is_some_and(|n| n.starts_with("assess-"));
    Ok(items(&pods).filter(inside).map(|p| format!("{}/{}", p["metadata"]["namespace"].as_str().unwrap_or_default(), name_of(p))).collect())
}

fn unique(what: &str) -> String {
    format!("{what}-{}", hex::encode(jinwu_trust::random::bytes::<3>()))
}

/// Runs the probe in a pod until it ends; answers what it printed. `POD` among the arguments stands for the pod's address.
async fn probe(field: &Field<'_>, log: &mut Log, name: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let arguments: Vec<&str> = arguments.iter().map(|a| if *a == "POD" { "$(POD)" } else { *a }).collect();
    let mut spec = spec(&field.probe(), &arguments);
    spec["restartPolicy"] = json!("Never");
    if let (Some("spread"), Some((node, _))) = (arguments.first().copied(), field.cluster.nodes.first()) {
        // A node's sensor tells what spreads there.
        spec["nodeSelector"] = json!({"kubernetes.io/hostname": node});
    }
    spec["containers"][0]["env"] = json!([{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]);
    // The image has nothing but the program.
    spec["volumes"] = json!([{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}]);
    spec["containers"][0]["volumeMounts"] = json!([{"name": "tmp", "mountPath": "/tmp"}]);
    field.make(log, "pods", &pod(name, spec)).await?;
    let ended = field.cluster.until(log, &field.at(&format!("pods/{name}")), START, |p| p["status"]["phase"] == "Succeeded" || p["status"]["phase"] == "Failed").await?;
    ended.with_context(|| format!("pod {name} did not end in time"))?;
    let said = field.cluster.ask(log, Who::Operator, Method::GET, &field.at(&format!("pods/{name}/log")), None).await?.text();
    field.drop(log, "pods", name).await?;
    Ok(said)
}

/// How an act ended, of what a probe printed.
fn outcome(said: &str, way: &str) -> Option<(bool, String)> {
    said.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok()).find(|l| l["way"] == way).map(|l| (l["outcome"] == "open", l["detail"].as_str().unwrap_or_default().to_owned()))
}

/// Records of the drill's namespace.
async fn records(lab: &Lab<'_>, log: &mut Log, query: &str, wanted: impl Fn(&[&Value]) -> bool) -> anyhow::Result<Vec<Value>> {
    let namespace = lab.field()?.namespace.clone();
    let of = move |records: &[Value]| records.iter().filter(|r| r["detail"]["container"]["namespace"] == namespace.as_str()).cloned().collect::<Vec<_>>();
    let begun = tokio::time::Instant::now();
    loop {
        let found = trail::find(lab.target, log, &format!("since={}&limit=2000&{query}", lab.since), |_| true).await?;
        let found = of(&found);
        let seen: Vec<&Value> = found.iter().collect();
        if wanted(&seen) || begun.elapsed() > REACH {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// AU-3.C1.
pub(super) async fn audited(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    seeing(lab, out).await?;
    let mut log = lab.log("GET /api/v1/ledger?kind=process");
    let found = lab.get(&mut log, Audit, "/ledger?kind=process&limit=1").await?;
    let any = found["records"].as_array().is_some_and(|r| !r.is_empty());
    out.push(log.prove(Role::State, t("账本中有容器实例的进程事件", "the ledger holds process events of containers"), same(any.to_string()), if any { Answer::Affirmative } else { Answer::Unknown }));
    Ok(())
}

/// AU-3.C2 and AU-3.S1: what a container does stands in the ledger, with time, kind and security state.
pub(super) async fn recorded(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    if !lab.drills() {
        return audited(lab, out).await;
    }
    let field = lab.field()?;
    let name = unique("act");
    let mut log = field.cluster.log(format!("pod {name}: /probe act"));
    probe(field, &mut log, &name, &["act", &name]).await?;
    let wanted = [("process", "exec"), ("process", "exit"), ("file", "create"), ("file", "write"), ("file", "chmod"), ("file", "rename"), ("file", "delete"), ("network", "connect"), ("network", "accept"), ("network", "dns")];
    let of_pod = |r: &&&Value| r["detail"]["container"]["pod"] == name.as_str();
    let has = |all: &[&Value], kind: &str, action: &str| all.iter().filter(of_pod).any(|r| r["kind"] == kind && r["action"] == action);
    for kind in ["process", "file", "network"] {
        let acts: Vec<&str> = wanted.iter().filter(|(k, _)| *k == kind).map(|(_, a)| *a).collect();
        let mut log = lab.log(format!("GET /api/v1/ledger?kind={kind}"));
        let found = records(lab, &mut log, &format!("kind={kind}"), |all| acts.iter().all(|a| has(all, kind, a))).await?;
        let all: Vec<&Value> = found.iter().collect();
        let missing: Vec<&str> = acts.iter().copied().filter(|a| !has(&all, kind, a)).collect();
        let incomplete = all.iter().filter(of_pod).filter(|r| !trail::is_complete(r) || !r["detail"]["state"].is_string()).count();
        out.push(log.prove(
            Role::Attack,
            t(format!("容器内的 {kind} 事件({})均有记录,含时间、类型、主体、安全状态", acts.join("、")), format!("{kind} events of the container ({}) are recorded, with time, kind, subject and security state", acts.join(", "))),
            if missing.is_empty() { t(format!("均有;不完整的 {incomplete} 条"), format!("all of them; {incomplete} incomplete")) } else { t(format!("缺少:{}", missing.join("、")), format!("missing: {}", missing.join(", "))) },
            whether(missing.is_empty() && incomplete == 0),
        ));
    }
    Ok(())
}

/// Other settings of sensors for the drill's namespace while `work` runs; then those of before.
async fn with_scope<T>(lab: &Lab<'_>, scope: Value, work: impl AsyncFnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let field = lab.field()?;
    let mut log = lab.log("PUT /api/v1/node-settings/*");
    let shown = lab.get(&mut log, Security, &format!("/node-settings/{}", escape("*"))).await?;
    let before = shown["set"].clone();
    let mut during = before.clone();
    let mut scopes = before["scopes"].as_array().cloned().unwrap_or_default();
    let mut own = scope;
    own["namespace"] = json!(field.namespace);
    scopes.insert(0, own);
    during["scopes"] = json!(scopes);
    let path = format!("/node-settings/{}", escape("*"));
    lab.target.act(&mut log, As::Admin(Security), Method::PUT, &path, Some(&during)).await?;
    let result = async {
        // Until every sensor follows.
        let begun = tokio::time::Instant::now();
        loop {
            let listed = lab.get(&mut log, Security, "/nodes").await?;
            let late = listed["nodes"].as_array().into_iter().flatten().any(|n| n["heard"] == true && n["current"] != true);
            if !late || begun.elapsed() > REACH {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        work().await
    }
    .await;
    lab.target.act(&mut log, As::Admin(Security), Method::PUT, &path, Some(&before)).await?;
    result
}

/// IP-7 of containers: a program that did not come with the image is not started, and the alarm has its interception.
pub(super) async fn intrusion(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let field = lab.field()?;
    for (mode, stopped) in [("allow", false), ("block", true)] {
        let name = unique("dropped");
        let mut log = field.cluster.log(format!("pod {name}: /probe dropped (drift: {mode})"));
        let said = with_scope(lab, json!({"drift": mode}), async || probe(field, &mut log, &name, &["dropped"]).await).await?;
        let (open, detail) = outcome(&said, "dropped-program").with_context(|| format!("the probe said: {said}"))?;
        out.push(log.prove(
            if stopped { Role::Attack } else { Role::Control },
            if stopped { t("写入容器的程序没有执行成功", "a program written into the container does not run") } else { t("对照:放行时同一程序执行成功", "control: at 放行 the same program runs") },
            same(detail),
            whether(open != stopped),
        ));
        if stopped {
            told(lab, out, &name, "drift").await?;
        }
    }
    Ok(())
}

/// The alarm of a rule about a pod, and the interception linked to it.
async fn told(lab: &Lab<'_>, out: &mut Vec<Evidence>, pod: &str, rule: &str) -> anyhow::Result<()> {
    let mut log = lab.log(format!("GET /api/v1/ledger?kind=alarm ({rule})"));
    let is = |r: &&&Value| r["detail"]["policy"] == rule && r["detail"]["container"]["pod"] == pod;
    let alarms = records(lab, &mut log, "kind=alarm", |all| all.iter().any(|r| is(&r))).await?;
    let decisions: BTreeSet<String> = alarms.iter().collect::<Vec<_>>().iter().filter(is).filter_map(|r| r["decision"].as_str().map(str::to_owned)).collect();
    let interceptions = records(lab, &mut log, "kind=interception", |all| all.iter().any(|r| r["decision"].as_str().is_some_and(|d| decisions.contains(d)))).await?;
    let linked = interceptions.iter().filter(|r| r["decision"].as_str().is_some_and(|d| decisions.contains(d))).count();
    out.push(log.prove(
        Role::State,
        t("告警与拦截记录以同一裁决关联,含容器、进程与原因", "alarm and interception are linked by one decision, with container, process and reason"),
        t(format!("告警 {},拦截 {linked}", decisions.len()), format!("{} alarms, {linked} interceptions", decisions.len())),
        whether(!decisions.is_empty() && linked > 0),
    ));
    Ok(())
}

/// MC-2.C1: sensors watch written files.
pub(super) async fn malware_watched(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    for node in seeing(lab, out).await? {
        let mut log = lab.log(format!("GET /api/v1/nodes/{node}"));
        let shown = lab.get(&mut log, Security, &format!("/nodes/{}", escape(&node))).await?;
        let note = shown["capabilities"]["notes"].as_array().into_iter().flatten().find(|n| n["what"] == "files").cloned().unwrap_or_default();
        out.push(log.prove(
            Role::State,
            t(format!("{node}:写入容器的文件由恶意代码与 webshell 引擎判定"), format!("{node}: files written in containers are judged by the engines for malware and webshells")),
            same(note["why"].as_str().unwrap_or("?")),
            whether(note["can"] == true),
        ));
    }
    Ok(())
}

/// A webshell, put together here so that no scanner takes this source for one.
fn webshell() -> String {
    let parts = ["<?p", "hp @ev", "al($_PO", "ST['cmd']); sys", "tem(base64_de", "code($_REQ", "UEST['x'])); ?>"];
    hex::encode(format!("#!/probe true\n{}\n", parts.concat()))
}

/// MC-2.C2 and MC-2.S1: malicious code uploaded, downloaded or spread does not run.
pub(super) async fn malware_stopped(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    if !lab.drills() {
        return malware_watched(lab, out).await;
    }
    let field = lab.field()?;
    let content = webshell();
    let ways = [("upload", "上传", "uploaded"), ("download", "下载", "downloaded")];
    for (way, zh, en) in ways {
        let name = unique(way);
        let mut log = field.cluster.log(format!("pod {name}: /probe spread {way} (malware: allow)"));
        let said = with_scope(lab, json!({"malware": "allow", "drift": "allow"}), async || probe(field, &mut log, &name, &["spread", way, "POD", &content]).await).await?;
        let (open, detail) = outcome(&said, way).with_context(|| format!("the probe said: {said}"))?;
        out.push(log.prove(Role::Control, t(format!("对照:放行时{zh}的恶意代码执行成功"), format!("control: at 放行 malicious code that was {en} runs")), same(detail), whether(open)));
    }
    with_scope(lab, json!({"malware": "block", "drift": "allow"}), async || {
        for (way, zh, en) in ways {
            let name = unique(way);
            let mut log = field.cluster.log(format!("pod {name}: /probe spread {way} (malware: block)"));
            let said = probe(field, &mut log, &name, &["spread", way, "POD", &content]).await?;
            let (open, detail) = outcome(&said, way).with_context(|| format!("the probe said: {said}"))?;
            out.push(log.prove(Role::Attack, t(format!("{zh}到容器的恶意代码没有执行"), format!("malicious code that was {en} does not run")), same(detail), whether(!open)));
            told(lab, out, &name, "malware").await?;
        }
        Ok(())
    })
    .await?;
    let mut log = lab.log("GET /api/v1/ledger?kind=alarm (malware)");
    let alarms = records(lab, &mut log, "kind=alarm", |all| all.iter().any(|r| r["detail"]["output"].as_str().is_some_and(|o| o.contains("横向")))).await?;
    let said: Vec<&str> = alarms.iter().filter(|r| r["detail"]["policy"] == "malware").filter_map(|r| r["detail"]["output"].as_str()).collect();
    let spread = said.iter().any(|o| o.contains("横向"));
    out.push(log.prove(Role::State, t("同一恶意代码出现在另一容器时告警为横向扩散", "the same code in another container is told as lateral spread"), same(format!("{} alarms", said.len())), whether(spread)));
    Ok(())
}

/// IP-6 at run time: a container that runs as root though admission should have refused it.
pub(super) async fn privileged_at_start(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let field = lab.field()?;
    let name = unique("root");
    let mut log = field.cluster.log(format!("pod {name} as uid 0, admission off"));
    let result = field
        .unguarded(&mut log, async |log: &mut Log| {
            with_scope(lab, json!({"privileged": "block"}), async || {
                let mut spec = spec(&field.probe(), &["burn", "25"]);
                spec["restartPolicy"] = json!("Never");
                spec["securityContext"] = json!({"runAsUser": 0, "runAsNonRoot": false});
                field.make(log, "pods", &pod(&name, spec)).await?;
                let ended = field.cluster.until(log, &field.at(&format!("pods/{name}")), REACH, |p| p["status"]["phase"] == "Failed" || p["status"]["phase"] == "Succeeded").await?;
                field.drop(log, "pods", &name).await?;
                Ok(ended)
            })
            .await
        })
        .await?;
    let code = result.as_ref().map(|p| p["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"].clone()).unwrap_or_default();
    out.push(log.prove(
        Role::Attack,
        t("绕过准入以 root 运行的容器在启动时被终止", "a container that got past admission and runs as root is ended at its start"),
        t(format!("退出码 {code}"), format!("exit code {code}")),
        whether(code == 137),
    ));
    told(lab, out, &name, "privileged-container").await
}

/// IP-9.C1: a container is isolated and released, paused and stopped, each with its reason in the ledger.
pub(super) async fn responded(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    present(lab, out).await?;
    if !lab.drills() {
        return Ok(());
    }
    let field = lab.field()?;
    let victim = unique("victim");
    let mut log = field.cluster.log(format!("pod {victim}: /probe serve"));
    field.make(&mut log, "pods", &pod(&victim, spec(&field.probe(), &["serve"]))).await?;
    let running = field.running(&mut log, &victim).await?;
    let (address, node) = (running["status"]["podIP"].as_str().unwrap_or_default().to_owned(), running["spec"]["nodeName"].as_str().unwrap_or_default().to_owned());
    let id = running["status"]["containerStatuses"][0]["containerID"].as_str().and_then(|i| i.rsplit('/').next()).unwrap_or_default().to_owned();
    let call = async |log: &mut Log| -> anyhow::Result<bool> {
        let said = probe(field, log, &unique("call"), &["call", &format!("{address}:8080")]).await?;
        Ok(outcome(&said, "connect").is_some_and(|(open, _)| open))
    };
    let before = call(&mut log).await?;
    out.push(log.prove(Role::Control, t("对照:隔离前其他容器组可以连接它", "control: before, another pod connects to it"), same(before.to_string()), whether(before)));
    for (response, connects, zh, en) in [("isolate", Some(false), "隔离后不能连接", "isolated, it cannot be connected to"), ("release", Some(true), "解除隔离后可以连接", "released, it can"), ("stop", None, "已停止", "stopped")] {
        let mut log = lab.log(format!("POST /api/v1/nodes/{node}/containers/…/responses {response}"));
        let done = order(lab, &mut log, &node, &id, response).await?;
        let reached = match connects {
            Some(_) => Some(call(&mut log).await?),
            None => None,
        };
        out.push(log.prove(Role::Attack, t(zh, en), same(format!("{done}; {reached:?}")), whether(done == "done" && reached == connects)));
    }
    let mut log = lab.log("GET /api/v1/ledger?kind=response");
    field.drop(&mut log, "pods", &victim).await?;
    let found = trail::find(lab.target, &mut log, &format!("since={}&kind=response&limit=100", lab.since), |r| r.len() >= 3).await?;
    let reasons = found.iter().filter(|r| r["detail"]["container"]["id"] == id.as_str() && r["detail"]["reason"].is_string()).count();
    out.push(log.prove(Role::State, t("每次响应都有记录:谁、为何、结果", "each response is recorded: who, why, with which result"), t(format!("{reasons} 条"), format!("{reasons} records")), whether(reasons >= 3)));
    Ok(())
}

/// Orders a response and waits until it is carried out; answers its state.
async fn order(lab: &Lab<'_>, log: &mut Log, node: &str, id: &str, response: &str) -> anyhow::Result<String> {
    let path = format!("/nodes/{}/containers/{}/responses", escape(node), escape(id));
    let ordered = lab.target.act(log, As::Admin(Security), Method::POST, &path, Some(&json!({"response": response, "reason": "drill"}))).await?;
    let mark = ordered["id"].clone();
    let begun = tokio::time::Instant::now();
    loop {
        let all = lab.get(log, Security, &format!("/nodes/{}/responses", escape(node))).await?;
        let state = all["responses"].as_array().into_iter().flatten().find(|r| r["id"] == mark).and_then(|r| r["state"].as_str()).unwrap_or_default().to_owned();
        if (state != "open" && !state.is_empty()) || begun.elapsed() > REACH {
            return Ok(state);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// IP-9.C2: incidents gather alarms and close only with the four texts.
pub(super) async fn analysed(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let mut log = lab.log("GET /api/v1/incidents");
    let listed = lab.get(&mut log, Security, "/incidents").await?;
    let incidents: Vec<&Value> = listed["incidents"].as_array().into_iter().flatten().collect();
    out.push(log.prove(Role::State, t("告警按工作负载汇集为事件", "alarms gather to incidents by workload"), same(incidents.len().to_string()), if incidents.is_empty() { Answer::Unknown } else { Answer::Affirmative }));
    if let Some(open) = incidents.iter().find(|i| i["state"] != "closed") {
        let mut log = lab.log("POST /api/v1/incidents/…/close without its texts");
        let path = format!("/incidents/{}/close", escape(open["id"].as_str().unwrap_or_default()));
        let reply = lab.target.api(&mut log, As::Admin(Security), Method::POST, &path, Some(&json!({"intrusion": "", "impact": "", "recovery": "", "keys": ""}))).await?;
        out.push(log.prove(
            Role::Attack,
            t("未写明入侵途径、影响、恢复与更换的密钥,不能结案(422)", "without way of intrusion, impact, recovery and exchanged keys it does not close (422)"),
            same(format!("{} {}", reply.status, reply.peek())),
            whether(reply.status == 422 || reply.status == 400),
        ));
    }
    Ok(())
}

/// CC-4.C1.
pub(super) async fn monitored(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    present(lab, out).await?;
    let mut log = lab.log("GET /api/v1/metrics");
    let reply = lab.target.api(&mut log, As::Admin(Security), Method::GET, "/metrics", None).await?;
    let text = reply.text();
    let lines = text.lines().filter(|l| l.starts_with("jinwu_container_")).count();
    out.push(log.prove(Role::State, t("容器指标集中可取(API、终端、Prometheus)", "meters of containers in one place (API, terminal, Prometheus)"), same(format!("{lines} series")), whether(lines > 0)));
    Ok(())
}

/// CC-4.C2: processor, memory, network, processes, with their limits.
pub(super) async fn indicators(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let mut log = lab.log("GET /api/v1/containers");
    let listed = lab.get(&mut log, Security, "/containers").await?;
    let containers: Vec<&Value> = listed["containers"].as_array().into_iter().flatten().collect();
    for (member, zh, en) in [("cpu", "CPU 使用", "processor use"), ("memory", "内存使用", "memory use"), ("received_bytes", "网络接收", "network received"), ("sent_bytes", "网络发送", "network sent"), ("pids", "进程数", "number of processes")] {
        let with = containers.iter().filter(|c| c["use"][member].is_number()).count();
        let log = lab.log(format!("GET /api/v1/containers ({member})"));
        out.push(log.prove(Role::State, t(format!("{zh}有数据"), format!("{en} is told")), t(format!("{with}/{} 个容器", containers.len()), format!("{with} of {} containers", containers.len())), if containers.is_empty() { Answer::Unknown } else { whether(with > 0) }));
    }
    for (member, zh, en) in [("cpu_limit", "CPU 限制", "processor limit"), ("memory_limit", "内存限制", "memory limit")] {
        let with = containers.iter().filter(|c| c["use"][member].is_number()).count();
        let log = lab.log(format!("GET /api/v1/containers ({member})"));
        out.push(log.prove(Role::State, t(format!("设有{zh}的容器显示其值"), format!("{en} is told of containers that have one")), same(with.to_string()), if with > 0 { Answer::Affirmative } else { Answer::Unknown }));
    }
    let mut log = lab.log("GET /api/v1/nodes/…/containers (processes)");
    let mut containers = Vec::new();
    for (node, _) in &lab.cluster()?.nodes {
        let listed = lab.get(&mut log, Security, &format!("/nodes/{}/containers", escape(node))).await?;
        containers.extend(listed["containers"].as_array().cloned().unwrap_or_default());
    }
    let with = containers.iter().filter(|c| c["processes"].as_array().is_some_and(|p| p.iter().any(|p| p["command"].is_string()))).count();
    out.push(log.prove(Role::State, t("进程及其命令行可见", "processes with their command lines"), same(with.to_string()), whether(with > 0)));
    Ok(())
}

/// CC-4.S1: an overloaded container is seen to be one.
pub(super) async fn overloaded(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let field = lab.field()?;
    let name = unique("burn");
    let mut log = field.cluster.log(format!("pod {name}: /probe burn 40, limit 200m"));
    let mut spec = spec(&field.probe(), &["burn", "40"]);
    spec["restartPolicy"] = json!("Never");
    spec["containers"][0]["resources"]["limits"]["cpu"] = json!("200m");
    field.make(&mut log, "pods", &pod(&name, spec)).await?;
    let begun = tokio::time::Instant::now();
    let used = loop {
        let mut quiet = lab.log("");
        let listed = lab.get(&mut quiet, Security, "/containers").await?;
        let found = listed["containers"].as_array().into_iter().flatten().find(|c| c["pod"] == name.as_str() && c["name"] == "app").map(|c| c["use"].clone());
        let strained = found.as_ref().is_some_and(|u| u["throttled"].as_u64().is_some_and(|t| t > 10) && u["cpu"].as_u64().is_some_and(|c| c > 500_000_000));
        if strained || begun.elapsed() > Duration::from_secs(45) {
            break found.unwrap_or_default();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    field.drop(&mut log, "pods", &name).await?;
    log.note(&format!("> GET /api/v1/containers\n< {used}"));
    let good = used["throttled"].as_u64().is_some_and(|t| t > 10) && used["cpu_limit"].as_f64().is_some_and(|l| (l - 0.2).abs() < 0.01);
    out.push(log.prove(
        Role::Attack,
        t("超过 CPU 限制的容器:使用、限制与节流次数可见", "a container beyond its processor limit: use, limit and throttling are seen"),
        same(format!("cpu {} ns, limit {}, throttled {}", used["cpu"], used["cpu_limit"], used["throttled"])),
        whether(good),
    ));
    Ok(())
}
