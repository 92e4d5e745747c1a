//! AC-4: permissions stay with a container instance that moves.

use super::{Lab, same, t};
use crate::cluster::field::{HOST, START, is_ready};
use crate::cluster::manifest::{ACCOUNT, deployment, spec};
use crate::cluster::{Who, items, name_of};
use crate::evidence::{Evidence, Log, Role, whether};
use anyhow::{Context as _, bail};
use http::Method;
use jinwu_inventory::Grants;
use jinwu_inventory::passport::{Difference, Passport, compare, passport};
use serde_json::{Value, json};

const MOVER: &str = "mover";

/// The permission passport of a pod of the drills' namespace.
async fn take(lab: &Lab<'_>, log: &mut Log, pod: &str) -> anyhow::Result<Passport> {
    let (inventory, not_read) = lab.inventory(log).await?;
    if !not_read.is_empty() {
        bail!("not everything could be read: {not_read:?}");
    }
    let found = inventory.pod_named(&lab.field()?.namespace, pod).with_context(|| format!("no pod {pod}"))?;
    let content = passport(&Grants::new(&inventory), found);
    log.note(&format!("# passport of {pod}: sha256 {}\n{}", digest(&content), content.canonical()));
    Ok(content)
}

fn digest(passport: &Passport) -> String {
    hex::encode(jinwu_trust::sha256(passport.canonical().as_bytes()))
}

fn told(differences: &[Difference]) -> String {
    differences.iter().map(|d| d.text.en.clone()).collect::<Vec<_>>().join("; ")
}

/// AC-4.C1: there is a tool that shows an instance's permissions.
pub(super) async fn shown(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    if !lab.drills() {
        let mut log = lab.cluster()?.log("jinwu cluster passport take");
        let (inventory, _) = lab.inventory(&mut log).await?;
        let grants = Grants::new(&inventory);
        let pod = inventory.pods.first().context("the cluster has no pod")?;
        let content = passport(&grants, pod);
        log.note(&content.canonical());
        out.push(log.prove(Role::State, t("可查看容器实例的权限(权限护照)", "an instance's permissions can be shown (permission passport)"), same(digest(&content)), whether(true)));
        return Ok(());
    }
    let mut log = lab.cluster()?.log(format!("jinwu cluster passport take {}/{HOST}", lab.field()?.namespace));
    let content = take(lab, &mut log, HOST).await?;
    let text = content.canonical();
    let whole = [ACCOUNT, "65532", "RuntimeDefault"].iter().all(|part| text.contains(part));
    out.push(log.prove(
        Role::State,
        t("可查看容器实例的权限(权限护照):服务账号、用户、seccomp 等均与其定义一致", "an instance's permissions can be shown (permission passport): account, user, seccomp are those of its definition"),
        same(digest(&content)),
        whether(whole),
    ));
    Ok(())
}

/// AC-4.C2: two states can be compared, and a change is seen.
pub(super) async fn compared(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    if !lab.drills() {
        return Ok(());
    }
    let field = lab.field()?;
    let mut log = field.cluster.log("passport, again, and after a role was bound to the account");
    let (first, second) = (take(lab, &mut log, HOST).await?, take(lab, &mut log, HOST).await?);
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "unordered"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}]});
    field.make(&mut log, "roles", &role).await?;
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "unordered"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "unordered"},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": field.namespace}]});
    field.make(&mut log, "rolebindings", &binding).await?;
    let changed = take(lab, &mut log, HOST).await?;
    field.drop(&mut log, "rolebindings", "unordered").await?;
    let (none, some) = (compare(&first, &second), compare(&second, &changed));
    out.push(log.prove(
        Role::State,
        t("可比较前后权限:未变则相同,多授的权限被指出", "states can be compared: the same while nothing changes, and a right given in addition is pointed out"),
        t(format!("未变:{} 处不同;变更后:{}", none.len(), told(&some)), format!("unchanged: {} differences; changed: {}", none.len(), told(&some))),
        whether(none.is_empty() && !some.is_empty()),
    ));
    Ok(())
}

/// AC-4.S1: an instance moves to another node and keeps its permissions.
pub(super) async fn moved(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let field = lab.field()?;
    let mut log = field.cluster.log("prepare: a deployment of one instance");
    field.make(&mut log, "deployments", &deployment(MOVER, 1, spec(&field.probe(), &["serve"]))).await?;
    let pods = format!("{}?labelSelector=app%3D{MOVER}", field.at("pods"));
    let ready = |list: &Value| items(list).find(|p| is_ready(p)).map(|p| (name_of(p).to_owned(), p["spec"]["nodeName"].as_str().unwrap_or_default().to_owned()));
    let first = field.cluster.until(&mut log, &pods, START, |l| ready(l).is_some()).await?.and_then(|l| ready(&l)).context("the instance did not come to run")?;
    let before = take(lab, &mut log, &first.0).await?;

    let mut log = field.cluster.log(format!("move {MOVER} away from {}", first.1));
    let elsewhere = json!({"spec": {"template": {"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "NotIn", "values": [first.1]}]}]}}}}}}});
    field.cluster.act(&mut log, Who::Operator, Method::PATCH, &field.at(&format!("deployments/{MOVER}")), Some(&elsewhere)).await?;
    let arrived = |list: &Value| ready(list).filter(|_| items(list).count() == 1).filter(|(_, node)| *node != first.1);
    let second = field.cluster.until(&mut log, &pods, START, |l| arrived(l).is_some()).await?.and_then(|l| arrived(&l));
    let Some(second) = second else {
        out.push(log.prove(Role::Control, t("实例迁移到另一节点", "the instance moves to another node"), t("未迁移:没有其他可用节点", "it did not: there is no other node"), jinwu_standard::verdict::Answer::Unknown));
        return Ok(());
    };
    let after = take(lab, &mut log, &second.0).await?;
    let differences = compare(&before, &after);
    out.push(log.prove(
        Role::Attack,
        t(format!("实例由 {} 迁移到 {},权限护照不变", first.1, second.1), format!("the instance moves from {} to {}; its permission passport stays the same", first.1, second.1)),
        if differences.is_empty() { same(digest(&after)) } else { same(told(&differences)) },
        whether(differences.is_empty()),
    ));
    Ok(())
}
