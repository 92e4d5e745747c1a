//! What may start in a cluster: IP-6, and IP-4 where an image becomes an instance.

use super::{Lab, same, t};
use crate::cluster::manifest::{PRIVILEGED, pod, spec};
use crate::cluster::{Who, items, message, name_of};
use crate::evidence::{Evidence, Role, whether};
use crate::sample::{self, Sample};
use crate::target::{As, Reply};
use crate::target::registry::escape;
use crate::trail;
use anyhow::{Context as _, bail};
use http::Method;
use jinwu_identity::AdminRole::SecurityAdministrator as Security;
use jinwu_model::{Mode, PolicyId, Text};
use jinwu_standard::verdict::Answer;
use serde_json::{Value, json};

/// What a gate's refusal says: decision and policies.
pub(super) fn refusal(reply: &Reply) -> Option<(String, Vec<String>)> {
    let text = message(reply);
    let mut policies: Vec<String> = text.split("[jinwu/").skip(1).filter_map(|rest| Some(rest.split_once(']')?.0.to_owned())).collect();
    policies.sort();
    policies.dedup();
    let after = text.rsplit_once("decision ")?.1;
    let decision: String = after.chars().take_while(|c| c.is_ascii_hexdigit() || *c == '-').collect();
    (reply.status == 403 && decision.len() == 36).then_some((decision, policies))
}

/// Tries to create a pod that `policy` has to refuse; the decision when it did.
pub(super) async fn stopped(lab: &Lab<'_>, out: &mut Vec<Evidence>, title: &Text, object: &Value, policy: &str) -> anyhow::Result<()> {
    let field = lab.field()?;
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let mut log = field.cluster.log(format!("kubectl -n {} create pod {name} ({})", field.namespace, title.en));
    let reply = field.attempt(&mut log, Who::Operator, "pods", object, false).await?;
    if reply.status < 300 {
        field.drop(&mut log, "pods", name).await?;
    }
    let found = refusal(&reply);
    let (answer, actual) = match &found {
        Some((decision, policies)) if policies.iter().any(|p| p == policy) => {
            (Answer::Affirmative, t(format!("403,裁决 {decision},策略 {}", policies.join(", ")), format!("403, decision {decision}, policies {}", policies.join(", "))))
        }
        Some((_, policies)) => (Answer::Unknown, t(format!("403,但由其他策略拒绝:{}", policies.join(", ")), format!("403, but refused by other policies: {}", policies.join(", ")))),
        None if reply.status < 300 => (Answer::Negative, t("实例已创建,攻击未被阻断", "the instance was created: the attack was not stopped")),
        None => (Answer::Unknown, same(format!("{} {}", reply.status, message(&reply)))),
    };
    let expected = t(format!("{}:创建被策略 {policy} 拒绝(403)", title.zh), format!("{}: creating it is refused by policy {policy} (403)", title.en));
    out.push(log.prove(Role::Attack, expected, actual, answer));
    let expected = t(format!("告警与拦截记录,同一裁决,主体 {}", field.cluster.operator), format!("alarm and interception, one decision, subject {}", field.cluster.operator));
    let Some((decision, _)) = found else {
        let log = lab.log("GET /api/v1/ledger");
        out.push(log.prove(Role::Trace, expected, t("没有拦截", "nothing was intercepted"), Answer::Negative));
        return Ok(());
    };
    let mut log = lab.log(format!("GET /api/v1/ledger?decision={decision}"));
    let missing = |records: &[Value]| trail::missing_of_gate(records, &field.cluster.name, policy, &field.cluster.operator);
    let records = trail::find(lab.target, &mut log, &format!("decision={}", escape(&decision)), |r| missing(r).is_empty()).await?;
    let faults = missing(&records);
    let actual = if faults.is_empty() { t(format!("{} 条", records.len()), format!("{} records", records.len())) } else { same(faults.join("; ")) };
    out.push(log.prove(Role::Trace, expected, actual, whether(faults.is_empty())));
    Ok(())
}

/// With the namespace's guard off the same pods are let in (asked without making them).
pub(super) async fn let_in_unguarded(lab: &Lab<'_>, out: &mut Vec<Evidence>, pods: &[Value]) -> anyhow::Result<()> {
    if lab.any_off() {
        return Ok(());
    }
    let field = lab.field()?;
    let mut log = field.cluster.log(format!("enforcement of {} = allow; create the same pods (dry run)", field.namespace));
    let refused = field
        .unguarded(&mut log, async |log| {
            let mut refused = Vec::new();
            for object in pods {
                let reply = field.attempt(log, Who::Operator, "pods", object, true).await?;
                if reply.status != 201 {
                    refused.push(format!("{}: {} {}", object["metadata"]["name"].as_str().unwrap_or_default(), reply.status, message(&reply)));
                }
            }
            Ok(refused)
        })
        .await?;
    out.push(log.prove(
        Role::Control,
        t("对照:关闭该命名空间的防护后,同样的创建均被接受,说明攻击真实", "control: with the namespace's guard off the same creations are all accepted, so the attacks are real"),
        if refused.is_empty() { t(format!("{} 项均被接受", pods.len()), format!("all {} accepted", pods.len())) } else { same(refused.join("; ")) },
        whether(refused.is_empty()),
    ));
    Ok(())
}

/// Puts a bad image into the drill's project, past the registry's own gate; its reference by digest.
pub(super) async fn stocked(lab: &Lab<'_>, sample: &Sample, tag: &str) -> anyhow::Result<String> {
    let ground = lab.ground()?;
    let repository = format!("{}/stocked-{}", ground.own, sample.name);
    let policy = sample.policy.clone().context("a good image needs no way past the gate")?;
    let mut log = lab.log("prepare");
    ground.remember(&repository, &sample.image.digest.to_string());
    ground.switch(&mut log, &ground.own, &policy, Some(Mode::Allow)).await?;
    let pushed = ground.ci()?.push(&mut log, &repository, tag, &sample.image).await;
    ground.switch(&mut log, &ground.own, &policy, lab.is_off(&policy).then_some(Mode::Allow)).await?;
    let pushed = pushed?;
    if pushed.status != 201 {
        bail!("{}: {} {}", sample.name, pushed.status, pushed.text());
    }
    Ok(format!("{}/{repository}@{}", lab.target.registry(), sample.image.digest))
}

/// The mode a policy has by default at the asked level.
async fn default_mode(lab: &Lab<'_>, policy: &str) -> anyhow::Result<Option<Mode>> {
    let mut log = lab.log("GET /api/v1/policies");
    let answer = lab.get(&mut log, Security, "/policies").await?;
    let found = answer["policies"].as_array().into_iter().flatten().find(|p| p["id"] == policy).cloned().unwrap_or_default();
    Ok(found["modes"][lab.level.to_string()].as_str().and_then(|m| m.parse().ok()))
}

/// The guard's own state: the gates are there, know the newest policies, and act at full strength everywhere.
pub(super) async fn gates(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let cluster = lab.cluster()?;
    let mut log = lab.log(format!("GET /api/v1/clusters/{}", cluster.name));
    let shown = lab.get(&mut log, Security, &format!("/clusters/{}", escape(&cluster.name))).await?;
    let now = crate::ground::now();
    let gates: Vec<&str> = shown["gates"].as_object().into_iter().flatten().filter(|(_, g)| g["seen"].as_i64().is_some_and(|s| now - s < 120_000)).map(|(n, _)| n.as_str()).collect();
    out.push(log.prove(
        Role::State,
        t("集群关口在用,至少两个副本在两分钟内有联系", "the cluster's gates are in use; two or more were heard of within two minutes"),
        same(gates.join(", ")),
        whether(gates.len() >= 2),
    ));
    let log = lab.log(format!("GET /api/v1/clusters/{} (enforcement)", cluster.name));
    let weak: Vec<String> = shown["enforcement"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, mode)| **mode != "block")
        .map(|(namespace, mode)| format!("{namespace}={}", mode.as_str().unwrap_or_default()))
        .collect();
    out.push(log.prove(
        Role::State,
        t("各命名空间的策略均可拦截(无命名空间停留在放行或告警)", "policies may block in every namespace: none is left at allow or alert"),
        if weak.is_empty() { t("均为拦截", "all at block") } else { same(weak.join(", ")) },
        if lab.level.get() >= 3 { whether(weak.is_empty()) } else { Answer::NotApplicable },
    ));
    Ok(())
}

/// IP-6.C1: what runs already, judged as if everything were enforced.
pub(super) async fn running(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let cluster = lab.cluster()?;
    let mut log = cluster.log(format!("list pods; POST /api/v1/clusters/{}/preview", cluster.name));
    let namespaces = cluster.act(&mut log, Who::Operator, Method::GET, "/api/v1/namespaces", None).await?;
    let levels: std::collections::BTreeMap<&str, &Value> = items(&namespaces).map(|n| (name_of(n), &n["metadata"]["labels"]["jinwu.io/level"])).collect();
    let (mut seen, mut faults, mut next) = (0, Vec::new(), String::new());
    loop {
        let mut quiet = cluster.log("");
        let page = cluster.act(&mut quiet, Who::Operator, Method::GET, &format!("/api/v1/pods?limit=100{next}"), None).await?;
        let pods: Vec<&Value> = items(&page).filter(|p| !p["metadata"]["namespace"].as_str().unwrap_or_default().starts_with(crate::ground::LABEL)).collect();
        let objects: Vec<Value> = pods
            .iter()
            .map(|p| {
                let level = levels.get(p["metadata"]["namespace"].as_str().unwrap_or_default()).filter(|l| l.is_string());
                json!({"group": "", "version": "v1", "kind": "Pod", "resource": "pods", "level_label": level, "object": lean(p)})
            })
            .collect();
        let ask = json!({"level": lab.level, "objects": objects});
        let path = format!("/clusters/{}/preview", escape(&cluster.name));
        let answer = lab.target.act(&mut log, As::Admin(Security), Method::POST, &path, Some(&ask)).await?;
        let answers = answer["objects"].as_array().filter(|a| a.len() == pods.len()).context("the preview's answer is not whole")?;
        seen += pods.len();
        for (pod, answer) in pods.iter().zip(answers) {
            let of_clause = |v: &&Value| v["clauses"].as_array().is_some_and(|c| c.iter().any(|c| c == "IP-6"));
            let mut policies: Vec<&str> = answer["violations"].as_array().into_iter().flatten().filter(of_clause).filter_map(|v| v["policy"].as_str()).collect();
            policies.dedup();
            if let Some(why) = answer["unreadable"].as_str() {
                policies.push(why);
            }
            if !policies.is_empty() {
                faults.push(format!("{}/{}: {}", pod["metadata"]["namespace"].as_str().unwrap_or_default(), name_of(pod), policies.join(", ")));
            }
        }
        match page["metadata"]["continue"].as_str().filter(|c| !c.is_empty()) {
            Some(place) => next = format!("&continue={}", escape(place)),
            None => break,
        }
    }
    let some: Vec<&str> = faults.iter().take(20).map(String::as_str).collect();
    out.push(log.prove(
        Role::State,
        t("除基础平台组件外,没有以特权用户或特权模式运行的容器实例", "but for the base platform, no container instance runs by a privileged user or in privileged mode"),
        t(format!("容器组 {seen} 个,不符 {}:{}", faults.len(), some.join("; ")), format!("{seen} pods, {} at fault: {}", faults.len(), some.join("; "))),
        if seen == 0 { Answer::NotApplicable } else { whether(faults.is_empty()) },
    ));
    Ok(())
}

/// A pod without what plays no part in a judgement.
fn lean(pod: &Value) -> Value {
    let mut pod = pod.clone();
    if let Some(metadata) = pod["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    pod["status"] = json!({});
    pod
}

/// IP-6.C2: every form of privileged mode and privileged user, the image's own USER included.
pub(super) async fn privileged(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    gates(lab, out).await?;
    if !lab.drills() {
        return Ok(());
    }
    let probe = lab.field()?.probe();
    let mut pods = Vec::new();
    for attack in PRIVILEGED {
        if default_mode(lab, attack.policy).await?.is_none_or(|m| m < Mode::Block) {
            continue;
        }
        let object = attack.pod(&probe);
        stopped(lab, out, &t(attack.zh, attack.en), &object, attack.policy).await?;
        pods.push(object);
    }
    let root = sample::named("root-user").context("sample")?;
    let mut own = spec(&stocked(lab, &root, "1").await?, &[]);
    own["securityContext"] = json!({"seccompProfile": {"type": "RuntimeDefault"}});
    let object = pod("attack-root-by-image", own);
    stopped(lab, out, &t("镜像自身以 root 运行(未写 runAsUser)", "the image itself runs as root (no runAsUser given)"), &object, "privileged-user").await?;
    pods.push(object);
    let_in_unguarded(lab, out, &pods).await
}

/// IP-4: unsafe, unknown and exchanged images do not become instances.
pub(super) async fn images(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    gates(lab, out).await?;
    if !lab.drills() {
        return Ok(());
    }
    let ground = lab.ground()?;
    let registry = lab.target.registry();
    let unsafe_image = stocked(lab, &sample::named("known-vulnerability").context("sample")?, "1").await?;
    let vulnerable = pod("attack-vulnerable", spec(&unsafe_image, &[]));
    stopped(lab, out, &t("含已知漏洞的在库镜像", "an image in stock with known vulnerabilities"), &vulnerable, "known-vulnerability").await?;
    let infected = pod("attack-malware", spec(&stocked(lab, &sample::named("malware").context("sample")?, "1").await?, &[]));
    stopped(lab, out, &t("含恶意代码的在库镜像", "an image in stock with malware"), &infected, "malware").await?;
    let never = pod("attack-unscanned", spec(&format!("{registry}/{}/never-pushed:1", ground.own), &[]));
    stopped(lab, out, &t("从未扫描的镜像", "an image that was never scanned"), &never, "unknown-image").await?;
    let foreign = pod("attack-foreign", spec("registry.invalid/library/app:1", &[]));
    stopped(lab, out, &t("不许可的仓库的镜像", "an image of a registry that is not allowed"), &foreign, "image-registry").await?;
    exchanged(lab, out).await?;
    let_in_unguarded(lab, out, &[vulnerable, infected, never, foreign]).await
}

/// A tag that stands for a good image is bound to its digest; made to stand for a bad one, it is refused.
async fn exchanged(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let (field, ground) = (lab.field()?, lab.ground()?);
    let repository = format!("{}/exchanged", ground.own);
    let reference = format!("{}/{repository}:1", lab.target.registry());
    let (good, bad) = (sample::good(), sample::named("malware").context("sample")?);
    let policy = PolicyId("malware".into());
    let mut log = field.cluster.log(format!("push {reference} (good); create a pod of it (dry run)"));
    for image in [&good.image, &bad.image] {
        ground.remember(&repository, &image.digest.to_string());
    }
    ground.ci()?.push(&mut log, &repository, "1", &good.image).await?;
    let object = pod("exchanged", spec(&reference, &[]));
    let reply = field.attempt(&mut log, Who::Operator, "pods", &object, true).await?;
    let bound = reply.json()["spec"]["containers"][0]["image"].as_str().unwrap_or_default().to_owned();
    out.push(log.prove(
        Role::State,
        t("标签在创建时被替换为当时的摘要", "the tag is replaced by the digest it stands for when the pod is created"),
        same(format!("{} {bound}", reply.status)),
        whether(reply.status == 201 && bound.ends_with(&format!("@{}", good.image.digest))),
    ));
    let mut log = lab.log(format!("push {reference} (bad, past the registry's gate)"));
    ground.switch(&mut log, &ground.own, &policy, Some(Mode::Allow)).await?;
    let pushed = ground.ci()?.push(&mut log, &repository, "1", &bad.image).await;
    ground.switch(&mut log, &ground.own, &policy, lab.is_off(&policy).then_some(Mode::Allow)).await?;
    if pushed?.status != 201 {
        bail!("the bad image could not be put under the tag");
    }
    stopped(lab, out, &t("扫描之后被换过的标签", "a tag exchanged after the scan"), &object, "malware").await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read() {
        let text = "admission webhook \"x\" denied the request: 金吾拒绝了 …:\n1. [jinwu/privileged-container] a\n2. [jinwu/host-namespaces] b\n裁决 / decision 019abcde-0000-7000-8000-000000000001";
        let reply = |status| Reply { status, headers: http::HeaderMap::new(), body: json!({ "message": text }).to_string().into() };
        let (decision, policies) = refusal(&reply(403)).unwrap();
        assert_eq!((decision.as_str(), policies.join(",")), ("019abcde-0000-7000-8000-000000000001", "host-namespaces,privileged-container".into()));
        assert!(refusal(&reply(500)).is_none());
    }
}
