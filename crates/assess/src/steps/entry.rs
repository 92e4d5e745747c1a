//! IA-3: who may enter a running container, and by which way.

use super::deployment::refusal;
use super::{Lab, platform, same, t, tls};
use crate::cluster::field::HOST;
use crate::cluster::{Who, message};
use crate::evidence::{Evidence, Log, Role, whether};
use crate::target::Reply;
use crate::trail;
use http::Method;
use jinwu_model::Text;
use jinwu_standard::verdict::Answer;
use serde_json::json;
use std::time::Duration;

const POLICY: &str = "container-entry";

/// IA-3.C1.
pub(super) async fn mechanism(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let cluster = lab.cluster()?;
    let mut log = cluster.log("SubjectAccessReview create pods/exec (a user without any role)");
    let nobody = format!("{}nobody", crate::ground::LABEL);
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": nobody, "groups": ["system:authenticated"], "resourceAttributes": {"verb": "create", "resource": "pods", "subresource": "exec", "namespace": "default"}}});
    let answer = cluster.act(&mut log, Who::Operator, Method::POST, "/apis/authorization.k8s.io/v1/subjectaccessreviews", Some(&review)).await?;
    out.push(log.prove(
        Role::State,
        t("未授权的用户不得进入容器(RBAC)", "a user without a role may not enter containers (RBAC)"),
        same(format!("allowed={}", answer["status"]["allowed"])),
        whether(answer["status"]["allowed"] == false),
    ));
    super::policy::in_force(lab, out, POLICY).await?;
    platform::kubelets(lab, Role::State, out).await
}

/// IA-3.C2: the way into a container leads over the API server and the kubelets.
pub(super) async fn secure_protocol(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let cluster = lab.cluster()?;
    out.push(tls::plain(cluster.port(), cluster.log(""), Role::State, "/api/v1/namespaces/default/pods").await?);
    platform::kubelet_protocol(lab, out).await
}

/// IA-3.S1.
pub(super) async fn intrusion(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let field = lab.field()?;
    let person = format!("{}-person", field.namespace);
    let mut log = field.cluster.log("prepare");
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "enter"},
        "rules": [{"apiGroups": [""], "resources": ["pods/exec", "pods/attach", "pods/portforward"], "verbs": ["get", "create"]}]});
    field.make(&mut log, "roles", &role).await?;
    field.make(&mut log, "serviceaccounts", &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}})).await?;
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "enter"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "enter"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": person}, {"kind": "ServiceAccount", "name": "robot", "namespace": field.namespace}]});
    field.make(&mut log, "rolebindings", &binding).await?;
    let robot = field.token(&mut log, "robot").await?;
    let way = |way: &str| format!("{}/{HOST}/{way}", field.at("pods"));
    let exec = format!("{}?container=app&command=/probe&command=true&stdout=true", way("exec"));

    // Nobody, somebody without a role: the API server's own answer.
    for (zh, en, who) in [("匿名", "nobody", Who::Nobody), ("无角色的用户", "a user without a role", Who::As("assess-nobody"))] {
        let mut log = field.cluster.log(format!("exec as {en}"));
        let reply = field.cluster.enter(&mut log, who, &exec).await?;
        out.push(shut(log, t(format!("{zh}进入容器被拒绝(401/403)"), format!("{en}: entering is refused (401/403)")), &reply, false));
    }
    // A role alone opens nothing.
    let person_ = Who::As(&person);
    for (zh, en, who, path) in [
        ("有角色而无许可的人员 exec", "exec by a person with a role and without leave", person_, exec.clone()),
        ("有角色而无许可的人员 attach", "attach by a person with a role and without leave", person_, format!("{}?container=app&stdout=true", way("attach"))),
        ("有角色而无许可的人员 port-forward", "port-forward by a person with a role and without leave", person_, format!("{}?ports=8080", way("portforward"))),
        ("有角色的服务账号 exec", "exec by a service account with a role", Who::Token(&robot), exec.clone()),
    ] {
        let mut log = field.cluster.log(en);
        let reply = field.cluster.enter(&mut log, who, &path).await?;
        let found = refusal(&reply);
        out.push(shut(log, t(format!("{zh}:被策略 {POLICY} 拒绝"), format!("{en}: refused by policy {POLICY}")), &reply, true));
        let subject = if matches!(who, Who::Token(_)) { format!("system:serviceaccount:{}:robot", field.namespace) } else { person.clone() };
        out.push(traced(lab, found.map(|(d, _)| d), &subject).await?);
    }
    // Asked for and not approved is not leave.
    let mut log = field.cluster.log("exec with leave asked for and not approved");
    let asked = field.leave(&mut log, &person, HOST, &["exec"], 5, false).await?;
    let reply = field.cluster.enter(&mut log, person_, &exec).await?;
    out.push(shut(log, t("仅申请而未批准:仍被拒绝", "asked for and not approved: still refused"), &reply, true));
    let mut log = lab.log("end of the request");
    field.end_leave(&mut log, &asked).await?;

    // With leave, exactly what it names, and no longer than it holds.
    let mut log = field.cluster.log("exec with leave");
    let leave = field.leave(&mut log, &person, HOST, &["exec"], 5, true).await?;
    let open = until(lab, &mut log, person_, &exec, 101).await?;
    out.push(log.prove(
        Role::Control,
        t("对照:经他人批准的许可在有效期内可以进入(101)", "control: leave approved by somebody else opens the container while it holds (101)"),
        same(open.status.to_string()),
        whether(open.status == 101),
    ));
    let mut log = field.cluster.log("port-forward with leave for exec");
    let reply = field.cluster.enter(&mut log, person_, &format!("{}?ports=8080", way("portforward"))).await?;
    out.push(shut(log, t("许可之外的方式(port-forward)仍被拒绝", "a way the leave does not name (port-forward) stays shut"), &reply, true));
    let mut log = field.cluster.log("exec after the leave was revoked");
    field.end_leave(&mut log, &leave).await?;
    let reply = until(lab, &mut log, person_, &exec, 403).await?;
    out.push(shut(log, t("许可撤销之后被拒绝", "once the leave is revoked it is refused"), &reply, true));
    let mut log = lab.log("GET /api/v1/ledger?kind=entry");
    let query = format!("kind=entry&since={}&subject={}", lab.since, crate::target::registry::escape(&person));
    let entered = |r: &serde_json::Value| r["action"] == "container-entered" && r["detail"]["grant"] == leave.as_str();
    let records = trail::find(lab.target, &mut log, &query, |rs| rs.iter().any(entered)).await?;
    out.push(log.prove(
        Role::Trace,
        t("进入容器有记录:人员、客体、所用许可", "the entry is recorded: person, object, the leave it used"),
        t(format!("{} 条", records.len()), format!("{} records", records.len())),
        whether(records.iter().any(entered)),
    ));
    // The same entry as the API server tells it, which knows the address.
    let object = format!("pod:{}/{HOST}/exec", field.namespace);
    let query = format!("kind=entry&since={}&object={}", lab.since, crate::target::registry::escape(&object));
    let mut log = lab.log(format!("GET /api/v1/ledger?{query}"));
    let told = |r: &serde_json::Value| r["outcome"] == "success" && r["source"].is_string() && (r["detail"]["impersonated"] == person.as_str() || r["subject"]["name"] == person.as_str());
    let records = trail::find(lab.target, &mut log, &query, |rs| rs.iter().any(told)).await?;
    out.push(log.prove(
        Role::Trace,
        t("进入容器的审计事件有记录,含人员与来源地址", "the audit event of the entry is recorded, with person and source address"),
        match records.iter().find(|r| told(r)) {
            Some(record) => same(trail::line(record)),
            None => t(format!("{} 条记录,均不符", records.len()), format!("{} records, none fits", records.len())),
        },
        whether(records.iter().any(told)),
    ));
    platform::kubelets(lab, Role::Attack, out).await?;
    if !lab.any_off() {
        let mut log = field.cluster.log("enforcement = allow; exec without leave");
        let status = field.unguarded(&mut log, async |log| Ok(field.cluster.enter(log, person_, &exec).await?.status)).await?;
        out.push(log.prove(
            Role::Control,
            t("对照:关闭防护后,同一人员无许可即可进入(101),说明攻击真实", "control: with the guard off the same person enters without leave (101), so the attack is real"),
            same(status.to_string()),
            whether(status == 101),
        ));
    }
    Ok(())
}

/// Asks again until the answer is `wanted`: gates hear of a change within seconds.
async fn until(lab: &Lab<'_>, log: &mut Log, who: Who<'_>, path: &str, wanted: u16) -> anyhow::Result<Reply> {
    let cluster = lab.cluster()?;
    let begun = tokio::time::Instant::now();
    loop {
        let reply = cluster.enter(log, who, path).await?;
        if reply.status == wanted || begun.elapsed() > Duration::from_secs(15) {
            return Ok(reply);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

fn shut(log: Log, expected: Text, reply: &Reply, by_policy: bool) -> Evidence {
    let policies = refusal(reply).map(|(_, p)| p).unwrap_or_default();
    let answer = match reply.status {
        101 | 200..300 => Answer::Negative,
        401 | 403 if !by_policy || policies.iter().any(|p| p == POLICY) => Answer::Affirmative,
        _ => Answer::Unknown,
    };
    let said: String = message(reply).chars().take(200).collect();
    log.prove(Role::Attack, expected, same(format!("{} {}", reply.status, if policies.is_empty() { said } else { policies.join(", ") })), answer)
}

async fn traced(lab: &Lab<'_>, decision: Option<String>, subject: &str) -> anyhow::Result<Evidence> {
    let cluster = lab.cluster()?;
    let expected = t(format!("告警与拦截记录,同一裁决,主体 {subject}"), format!("alarm and interception, one decision, subject {subject}"));
    let mut log = lab.log(format!("GET /api/v1/ledger?decision={}", decision.clone().unwrap_or_default()));
    let Some(decision) = decision else { return Ok(log.prove(Role::Trace, expected, t("没有拦截", "nothing was intercepted"), Answer::Negative)) };
    let missing = |records: &[serde_json::Value]| trail::missing_of_gate(records, &cluster.name, POLICY, subject);
    let records = trail::find(lab.target, &mut log, &format!("decision={decision}"), |r| missing(r).is_empty()).await?;
    let faults = missing(&records);
    let actual = if faults.is_empty() { t(format!("{} 条", records.len()), format!("{} records", records.len())) } else { same(faults.join("; ")) };
    Ok(log.prove(Role::Trace, expected, actual, whether(faults.is_empty())))
}
