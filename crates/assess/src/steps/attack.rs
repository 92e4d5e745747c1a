//! Pushing a planted image: it has to be refused by its policy, to leave its records, and to pass
//! when the guard is off (or the drill would prove nothing).

use super::{Lab, same, t};
use crate::evidence::{Evidence, Role, whether};
use crate::sample::{self, Sample};
use crate::target::Reply;
use crate::trail::{self, Expect};
use anyhow::Context as _;
use jinwu_model::{Mode, PolicyId};
use jinwu_standard::verdict::Answer;
use serde_json::Value;

const TAG: &str = "attack";

/// The whole drill with one planted image.
pub(super) async fn planted(lab: &Lab<'_>, out: &mut Vec<Evidence>, name: &str) -> anyhow::Result<()> {
    let sample = sample::named(name).with_context(|| format!("no sample {name}"))?;
    let policy = sample.policy.clone().context("a good image is no attack")?;
    let decision = attack(lab, out, &sample, &policy).await?;
    trace(lab, out, &sample, &policy, decision.as_deref()).await?;
    if !lab.is_off(&policy) {
        control(lab, out, &sample, &policy).await?;
    }
    Ok(())
}

fn repository(lab: &Lab<'_>, sample: &Sample) -> anyhow::Result<String> {
    Ok(format!("{}/{}", lab.ground()?.own, sample.name))
}

/// Pushes; gives the decision when it was refused.
async fn attack(lab: &Lab<'_>, out: &mut Vec<Evidence>, sample: &Sample, policy: &PolicyId) -> anyhow::Result<Option<String>> {
    let ground = lab.ground()?;
    let repository = repository(lab, sample)?;
    let mut log = lab.log(format!("push {repository}:{TAG} ({})", sample.title.en));
    let ci = ground.ci()?;
    ground.remember(&repository, &sample.image.digest.to_string());
    let reply = ci.push(&mut log, &repository, TAG, &sample.image).await?;
    let (answer, actual) = judge(&reply, policy);
    // Refused means also: not there.
    let there = ci.manifest(&mut log, &repository, &sample.image.digest.to_string()).await?;
    let (answer, actual) = match (answer, there.status) {
        (Answer::Affirmative, 404) => (answer, actual),
        (Answer::Affirmative, status) => (Answer::Negative, t(format!("{};但仍可拉取({status})", actual.zh), format!("{}; but it can be pulled ({status})", actual.en))),
        other => (other.0, actual),
    };
    let expected = t(
        format!("推送被策略 {policy} 拒绝(403 DENIED),镜像不在仓库中(404)"),
        format!("the push is refused by policy {policy} (403 DENIED) and the image is not in the registry (404)"),
    );
    out.push(log.prove(Role::Attack, expected, actual, answer));
    Ok(reply.decision().map(|(id, _)| id).filter(|_| reply.status == 403))
}

/// A refusal counts when the policy meant is among those that refused; any other failure to push
/// proves nothing.
fn judge(reply: &Reply, policy: &PolicyId) -> (Answer, jinwu_model::Text) {
    match (reply.status, reply.decision()) {
        (201, _) => (Answer::Negative, t("推送成功(201),攻击未被阻断", "the push succeeded (201): the attack was not stopped")),
        (403, Some((decision, policies))) if policies.contains(&policy.0) => (
            Answer::Affirmative,
            t(format!("403,裁决 {decision},策略 {}", policies.join(", ")), format!("403, decision {decision}, policies {}", policies.join(", "))),
        ),
        (403, Some((decision, policies))) => (
            Answer::Unknown,
            t(format!("403,但由其他策略拒绝:{}(裁决 {decision})", policies.join(", ")), format!("403, but refused by other policies: {} (decision {decision})", policies.join(", "))),
        ),
        (status, _) => {
            let (code, message) = reply.failure().unwrap_or_default();
            (Answer::Unknown, t(format!("未得到裁决:{status} {code} {message}"), format!("no decision: {status} {code} {message}")))
        }
    }
}

/// The records the attack left, as the audit administrator finds them.
async fn trace(lab: &Lab<'_>, out: &mut Vec<Evidence>, sample: &Sample, policy: &PolicyId, decision: Option<&str>) -> anyhow::Result<()> {
    let ground = lab.ground()?;
    let object = format!("{}:{TAG}", repository(lab, sample)?);
    let expected = t(
        format!("告警、拦截记录与被拒推送各有记录,同一裁决,主体 {},来源 {}", ground.ci_name(), lab.target.source),
        format!("alarm, interception and denied push, one decision, subject {}, source {}", ground.ci_name(), lab.target.source),
    );
    let Some(decision) = decision else {
        let mut log = lab.log(format!("GET /api/v1/ledger?kind=alarm&object={object}"));
        let records = trail::find(lab.target, &mut log, &format!("kind=alarm&since={}&object={object}", lab.since), |_| true).await?;
        let actual = t(
            format!("没有拦截;告警记录 {} 条", records.len()),
            format!("nothing was intercepted; {} alarm records", records.len()),
        );
        out.push(log.prove(Role::Trace, expected, actual, Answer::Negative));
        return Ok(());
    };
    let expect = Expect { decision, policy: &policy.0, subject: &ground.ci_name(), object: &object, source: lab.target.source, refused: true };
    out.push(traced(lab, &expect, expected).await?);
    Ok(())
}

async fn traced(lab: &Lab<'_>, expect: &Expect<'_>, expected: jinwu_model::Text) -> anyhow::Result<Evidence> {
    let mut log = lab.log(format!("GET /api/v1/ledger?decision={}", expect.decision));
    let records = trail::find(lab.target, &mut log, &format!("decision={}", expect.decision), |r| trail::missing(r, expect).is_empty()).await?;
    let faults = trail::missing(&records, expect);
    let kinds: Vec<&str> = records.iter().filter_map(|r| r["kind"].as_str()).collect();
    let actual = if faults.is_empty() { same(format!("{} ({})", records.len(), kinds.join(", "))) } else { same(faults.join("; ")) };
    Ok(log.prove(Role::Trace, expected, actual, whether(faults.is_empty())))
}

/// With the policy on 放行 the same push succeeds; then back to the level's default.
async fn control(lab: &Lab<'_>, out: &mut Vec<Evidence>, sample: &Sample, policy: &PolicyId) -> anyhow::Result<()> {
    let ground = lab.ground()?;
    let repository = repository(lab, sample)?;
    let mut log = lab.log(format!("policy {policy} = allow; push {repository}:{TAG}"));
    ground.switch(&mut log, &ground.own, policy, Some(Mode::Allow)).await?;
    let pushed = ground.ci()?.push(&mut log, &repository, TAG, &sample.image).await;
    if pushed.as_ref().is_ok_and(|r| r.status == 201) {
        ground.ci()?.delete(&mut log, &repository, &sample.image.digest.to_string()).await?;
    }
    // Back to the default before anything else can fail.
    ground.switch(&mut log, &ground.own, policy, None).await?;
    let pushed = pushed?;
    out.push(log.prove(
        Role::Control,
        t(format!("对照:策略 {policy} 置为放行后同一推送成功(201),说明攻击真实"), format!("control: with policy {policy} on allow the same push succeeds (201), so the attack is real")),
        t(format!("{}", pushed.status), format!("{} {}", pushed.status, pushed.failure().unwrap_or_default().1)),
        whether(pushed.status == 201),
    ));
    Ok(())
}

/// AU-2: one policy through its three modes; each mode does what its name says and each switch is recorded.
pub(super) async fn modes(lab: &Lab<'_>, out: &mut Vec<Evidence>, name: &str) -> anyhow::Result<()> {
    let ground = lab.ground()?;
    let sample = sample::named(name).with_context(|| format!("no sample {name}"))?;
    let policy = sample.policy.clone().context("a good image is no attack")?;
    for mode in [Mode::Allow, Mode::Alert, Mode::Block] {
        let tag = format!("mode-{mode}");
        let repository = repository(lab, &sample)?;
        let object = format!("{repository}:{tag}");
        let mut log = lab.log(format!("policy {policy} = {mode}; push {object}"));
        ground.switch(&mut log, &ground.own, &policy, Some(mode)).await?;
        ground.remember(&repository, &sample.image.digest.to_string());
        let reply = ground.ci()?.push(&mut log, &repository, &tag, &sample.image).await?;
        let query = format!("kind=alarm&since={}&object={object}", lab.since);
        let wanted = usize::from(mode != Mode::Allow);
        let alarms = trail::find(lab.target, &mut log, &query, |r| r.len() >= wanted).await?;
        let (expected, good) = match mode {
            Mode::Allow => (t("放行:推送成功(201),无告警", "allow: the push succeeds (201), no alarm"), reply.status == 201 && alarms.is_empty()),
            Mode::Alert => (t("告警:推送成功(201),有告警", "alert: the push succeeds (201) with an alarm"), reply.status == 201 && !alarms.is_empty()),
            Mode::Block => (t("拦截:推送被拒(403),有告警", "block: the push is refused (403) with an alarm"), reply.status == 403 && !alarms.is_empty()),
        };
        let actual = t(format!("{},告警记录 {} 条", reply.status, alarms.len()), format!("{}, {} alarm records", reply.status, alarms.len()));
        out.push(log.prove(Role::State, expected, actual, whether(good)));
        if mode != Mode::Allow
            && let Some(decision) = alarms.first().and_then(|r| r["decision"].as_str())
        {
            let refused = mode == Mode::Block;
            let expect = Expect { decision, policy: &policy.0, subject: &ground.ci_name(), object: &object, source: lab.target.source, refused };
            let expected = if refused {
                t("同一裁决:告警、拦截记录、被拒推送", "one decision: alarm, interception, denied push")
            } else {
                t("同一裁决:告警、成功推送", "one decision: alarm, successful push")
            };
            out.push(traced(lab, &expect, expected).await?);
        }
        if reply.status == 201 {
            ground.ci()?.delete(&mut lab.log("clear"), &repository, &sample.image.digest.to_string()).await?;
        }
    }
    let mut log = lab.log(format!("GET /api/v1/ledger?kind=policy&object=policy:{policy}"));
    ground.switch(&mut log, &ground.own, &policy, lab.is_off(&policy).then_some(Mode::Allow)).await?;
    let query = format!("kind=policy&outcome=success&since={}&object=policy:{policy}", lab.since);
    let of_ground = |records: &[Value]| {
        let modes: std::collections::BTreeSet<&str> =
            records.iter().filter(|r| r["detail"]["project"] == ground.own.as_str() && r["source"] == lab.target.source.to_string()).filter_map(|r| r["detail"]["mode"].as_str()).collect();
        ["allow", "alert", "block"].iter().all(|m| modes.contains(m))
    };
    let records = trail::find(lab.target, &mut log, &query, of_ground).await?;
    let who: std::collections::BTreeSet<&str> = records.iter().filter_map(|r| r["subject"]["name"].as_str()).collect();
    out.push(log.prove(
        Role::Trace,
        t("三次切换均有记录:主体、策略、模式、来源", "all three switches recorded: subject, policy, mode, source"),
        t(format!("{} 条,主体 {who:?}", records.len()), format!("{} records, subjects {who:?}", records.len())),
        whether(of_ground(&records)),
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, headers: http::HeaderMap::new(), body: body.to_owned().into() }
    }

    #[test]
    fn only_the_policy_meant_counts() {
        let policy = PolicyId("malware".into());
        let by = |p: &str| format!(r#"{{"errors":[{{"code":"DENIED","message":"m","detail":{{"decision":"d","violations":[{{"policy":"{p}"}}]}}}}]}}"#);
        assert_eq!(judge(&reply(403, &by("malware")), &policy).0, Answer::Affirmative);
        assert_eq!(judge(&reply(403, &by("root-user")), &policy).0, Answer::Unknown, "refused, but not for what was planted");
        assert_eq!(judge(&reply(403, r#"{"errors":[{"code":"DENIED"}]}"#), &policy).0, Answer::Unknown, "no permission is no verdict");
        assert_eq!(judge(&reply(201, ""), &policy).0, Answer::Negative);
        assert_eq!(judge(&reply(503, "{}"), &policy).0, Answer::Unknown, "a scanner that is down proves nothing");
    }
}
