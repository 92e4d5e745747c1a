//! What is inside images: IP-3, IP-4, MC-1, IM-2.

use super::policy::{in_force, stock, stock_meets};
use super::{Lab, attack, deployment, same, t};
use crate::evidence::{Evidence, Role, whether};
use crate::sample;
use crate::target::registry::escape;
use crate::trail;
use anyhow::Context as _;
use jinwu_identity::AdminRole::{SecurityAdministrator as Security, SystemAdministrator as System};
use jinwu_model::Grade;
use jinwu_standard::LevelTable;
use jinwu_standard::verdict::Answer;
use serde_json::Value;

/// An engine is there and says its version.
async fn engine(lab: &Lab<'_>, out: &mut Vec<Evidence>, name: &str, title: (&str, &str)) -> anyhow::Result<()> {
    let mut log = lab.log("GET /api/v1/status");
    let status = lab.get(&mut log, System, "/status").await?;
    let engines = status["engines"].as_object().cloned().unwrap_or_default();
    let found: Vec<String> = engines.iter().filter(|(k, _)| k.contains(name)).map(|(k, v)| format!("{k} {}", v.as_str().unwrap_or_default())).collect();
    out.push(log.prove(
        Role::State,
        t(format!("{}引擎在用并给出版本", title.0), format!("the {} engine is in use and says its version", title.1)),
        if found.is_empty() { t("没有该引擎", "there is no such engine") } else { same(found.join(", ")) },
        whether(!found.is_empty()),
    ));
    Ok(())
}

/// IP-3.C1.
pub(super) async fn secrets(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    engine(lab, out, "secrets", ("敏感信息扫描", "secret-scanning")).await?;
    in_force(lab, out, "embedded-secret").await?;
    stock_meets(lab, out, "embedded-secret").await?;
    if lab.drills() {
        attack::planted(lab, out, "embedded-secret").await?;
        attack::planted(lab, out, "embedded-secret-deleted").await?;
    }
    Ok(())
}

/// IP-3.C2.
pub(super) async fn environment(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    engine(lab, out, "secrets", ("敏感信息扫描", "secret-scanning")).await?;
    in_force(lab, out, "environment-password").await?;
    stock_meets(lab, out, "environment-password").await?;
    if lab.drills() {
        attack::planted(lab, out, "environment-password").await?;
    }
    Ok(())
}

/// IP-4.C1.
pub(super) async fn scanned(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    engine(lab, out, "advisor", ("漏洞数据", "advisory")).await?;
    let mut log = lab.log("GET /api/v1/report (stock)");
    let stock = stock(lab, &mut log).await?;
    let graded = stock.iter().filter_map(|s| s.kept.as_ref()).all(|k| ungraded(&k["report"]).is_empty());
    let known = stock.iter().filter(|s| s.kept.is_some()).count();
    out.push(log.prove(
        Role::State,
        t("在库镜像均有扫描报告,其漏洞按 GB/T 30279 分级并附依据", "images in stock have reports whose vulnerabilities are graded by GB/T 30279 with a basis"),
        t(format!("{known} 个镜像有报告,分级{}", if graded { "齐全" } else { "不全" }), format!("{known} images with reports, grading {}", if graded { "complete" } else { "incomplete" })),
        if known == 0 { Answer::NotApplicable } else { whether(graded) },
    ));
    if !lab.drills() {
        return Ok(());
    }
    // Scanned before it can be deployed: the report of a push that was just made, whatever became of it.
    let ground = lab.ground()?;
    let sample = sample::named("known-vulnerability").context("sample")?;
    let repository = format!("{}/scan-check", ground.own);
    let mut log = lab.log(format!("push {repository}:scan; GET /api/v1/report"));
    ground.remember(&repository, &sample.image.digest.to_string());
    ground.ci()?.push(&mut log, &repository, "scan", &sample.image).await?;
    let path = format!("/report?repository={}&reference={}", escape(&repository), escape(&sample.image.digest.to_string()));
    let kept = lab.get(&mut log, Security, &path).await?;
    let found = kept["report"]["vulnerabilities"].as_array().map_or(0, Vec::len);
    let bare = ungraded(&kept["report"]);
    out.push(log.prove(
        Role::State,
        t("推送应答之时已有扫描报告,植入的漏洞被发现,每项有等级与分级依据", "when the push is answered its report is there, the planted vulnerabilities are found, each with grade and basis"),
        t(format!("{} 项漏洞,无等级或依据 {} 项", found, bare.len()), format!("{found} vulnerabilities, {} without grade or basis", bare.len())),
        whether(found > 0 && bare.is_empty()),
    ));
    Ok(())
}

/// Vulnerabilities of a report that have no grade or no basis.
fn ungraded(report: &Value) -> Vec<String> {
    let all = report["vulnerabilities"].as_array().into_iter().flatten();
    all.filter(|v| {
        let grade = v["grade"].as_str().is_some_and(|g| g.parse::<Grade>().is_ok());
        !grade || v["grade_basis"].as_str().is_none_or(str::is_empty)
    })
    .map(|v| v["id"].as_str().unwrap_or_default().to_owned())
    .collect()
}

/// IP-4.C2.
pub(super) async fn vulnerable(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let policy = in_force(lab, out, "known-vulnerability").await?;
    threshold(lab, out, &policy).await?;
    if lab.drills() {
        attack::planted(lab, out, "known-vulnerability").await?;
        let asked = LevelTable::builtin().repair_threshold(lab.level).rank();
        for grade in [Grade::High, Grade::Medium, Grade::Low].into_iter().filter(|g| g.rank() >= asked) {
            attack::planted(lab, out, &format!("known-vulnerability-{}", grade.as_str())).await?;
        }
        attack::planted(lab, out, "uncovered-distribution").await?;
        attack::planted(lab, out, "unscannable-truncated").await?;
    } else {
        seen(lab, out, "known-vulnerability").await?;
    }
    // Where an image becomes an instance.
    if lab.cluster.is_some() {
        deployment::images(lab, out).await?;
    }
    Ok(())
}

/// The clause names all four grades; which of them count at a level the level table says for repair
/// (IP-2), and an image is insecure exactly when it has something to be repaired.
async fn threshold(lab: &Lab<'_>, out: &mut Vec<Evidence>, policy: &Value) -> anyhow::Result<()> {
    let asked = LevelTable::builtin().repair_threshold(lab.level);
    let is = policy["params"]["thresholds"][lab.level.to_string()].as_u64();
    let word = |rank: u64| Grade::ALL.into_iter().find(|g| u64::from(g.rank()) == rank && *g != Grade::Ungraded).map_or("?", Grade::zh);
    let log = lab.log("GET /api/v1/policies (known-vulnerability params.thresholds)");
    out.push(log.prove(
        Role::State,
        t(format!("{} 级:{}及以上的漏洞均告警并阻断", lab.level, asked.zh()), format!("level {}: vulnerabilities of grade {} and above are alarmed and blocked", lab.level, asked.as_str())),
        is.map_or(t("策略未给出阈值", "the policy has no threshold"), |r| t(format!("策略阈值:{}及以上", word(r)), format!("the policy's threshold is rank {r}"))),
        is.map_or(Answer::Unknown, |r| whether(r <= u64::from(asked.rank()))),
    ));
    Ok(())
}

/// Records of earlier interceptions by a policy, where no drill is run.
async fn seen(lab: &Lab<'_>, out: &mut Vec<Evidence>, policy: &str) -> anyhow::Result<()> {
    let mut log = lab.log("GET /api/v1/ledger?kind=interception");
    let records = trail::find(lab.target, &mut log, "kind=interception&limit=1000", |_| true).await?;
    let of: Vec<&Value> = records.iter().filter(|r| r["detail"]["policies"].as_array().is_some_and(|p| p.iter().any(|p| p == policy))).collect();
    let linked = match of.first().and_then(|r| r["decision"].as_str()) {
        None => false,
        Some(decision) => {
            let all = trail::find(lab.target, &mut log, &format!("decision={}", escape(decision)), |_| true).await?;
            all.iter().any(|r| r["kind"] == "alarm" && r["detail"]["policy"] == policy)
        }
    };
    out.push(log.prove(
        Role::State,
        t(format!("有策略 {policy} 的拦截记录,并有同一裁决的告警"), format!("there are interceptions by {policy} with alarms of the same decision")),
        t(format!("拦截记录 {} 条", of.len()), format!("{} interceptions", of.len())),
        // Nothing was attempted yet: that proves nothing either way.
        if of.is_empty() { Answer::Unknown } else { whether(linked) },
    ));
    Ok(())
}

/// MC-1.C1.
pub(super) async fn malware_engine(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    engine(lab, out, "malware", ("恶意代码", "malware")).await
}

/// MC-1.C2.
pub(super) async fn malware_stopped(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    in_force(lab, out, "malware").await?;
    stock_meets(lab, out, "malware").await?;
    seen(lab, out, "malware").await
}

/// MC-1.S1.
pub(super) async fn malware_drill(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    attack::planted(lab, out, "malware").await?;
    attack::planted(lab, out, "malware-deleted").await?;
    // 阻止全部危险镜像入库 is asked from level 3 on: there what cannot be looked into stays out too.
    if lab.level.get() >= 3 {
        attack::planted(lab, out, "unscannable-encrypted").await?;
    }
    Ok(())
}

/// IM-2.C1.
pub(super) async fn user_defined(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    in_force(lab, out, "root-user").await?;
    stock_meets(lab, out, "root-user").await
}

/// IM-2.C2.
pub(super) async fn user_enforced(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    in_force(lab, out, "root-user").await?;
    if lab.drills() {
        // Undefined, by number, by another name of uid 0.
        for name in ["root-user", "root-user-zero", "root-user-name"] {
            attack::planted(lab, out, name).await?;
        }
    } else {
        seen(lab, out, "root-user").await?;
    }
    Ok(())
}

/// IM-2.S1: an instance runs what the registry gives out; an attacker's image that would run as root
/// must not get in, and so cannot be pulled to be run.
pub(super) async fn root_drill(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    for name in ["root-user", "root-user-zero", "root-user-name"] {
        attack::planted(lab, out, name).await?;
    }
    let ground = lab.ground()?;
    let repository = format!("{}/root-user", ground.own);
    let mut log = lab.log(format!("GET /v2/{repository}/manifests/attack"));
    let reply = ground.ci()?.pull(&mut log, &repository, "attack").await?;
    out.push(log.prove(
        Role::Attack,
        t("以最高权限运行的镜像无法被拉取,因而无法据以启动实例(404)", "the image that would run as root cannot be pulled, so no instance can be started from it (404)"),
        same(reply.status.to_string()),
        match reply.status {
            404 => Answer::Affirmative,
            200 => Answer::Negative,
            _ => Answer::Unknown,
        },
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn a_grade_needs_a_basis() {
        let report = json!({"vulnerabilities": [
            {"id": "CVE-1", "grade": "high", "grade_basis": "AV:N"},
            {"id": "CVE-2", "grade": "high", "grade_basis": ""},
            {"id": "CVE-3", "grade": "severe", "grade_basis": "x"},
        ]});
        assert_eq!(super::ungraded(&report), ["CVE-2", "CVE-3"]);
    }
}
