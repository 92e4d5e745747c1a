//! The push gate: layers' analyses, one report, one decision, its records, an answer a person
//! understands.

mod answer;
mod examine;
mod kind;

use crate::app::App;
use async_trait::async_trait;
use jinwu_model::report::ImageReport;
use jinwu_model::{Decision, DecisionId, Kind, Outcome, Record};
use jinwu_policy::{Facts, ImageFacts, Scope};
use jinwu_registry::seam::{Gate, ManifestPush, Ruling};
use std::time::{Duration, Instant};

pub(crate) use answer::{MAX_FINDINGS, by_policy};
pub(crate) use examine::{Parts, examine};
pub(crate) use kind::is_index;

pub struct PushGate(pub App);

/// For users' admission policies over one image.
pub(crate) const USERS: Duration = Duration::from_secs(5);

/// Whether the time from now on is over.
pub(crate) fn over(time: Duration) -> impl Fn() -> bool {
    let end = Instant::now() + time;
    move || Instant::now() >= end
}

#[async_trait]
impl Gate for PushGate {
    async fn judge(&self, push: ManifestPush) -> Ruling {
        match examine(&self.0.analyses, &Parts::of(&push)).await {
            Some(report) => self.decide(&push, report).await,
            None => Ruling::Permit { decision: None, warnings: vec![] },
        }
    }
}

impl PushGate {
    async fn decide(&self, push: &ManifestPush, report: ImageReport) -> Ruling {
        let app = &self.0;
        let project_name = push.repository.project();
        let Some(project) = app.identity.project(&project_name) else {
            return Ruling::Unavailable { message: format!("项目 {project_name} 已不存在 / project {project_name} is gone") };
        };
        let facts = ImageFacts {
            repository: push.repository.clone(),
            project: project_name.to_string(),
            tags: push.tags.iter().map(ToString::to_string).collect(),
            digest: push.digest.clone(),
            media_type: push.media_type.clone(),
        };
        let snapshot = app.policies.snapshot(&project_name);
        let by_users = match app.clusters.image_policies() {
            Ok(policies) => policies,
            Err(detail) => return Ruling::Unavailable { message: format!("无法裁决 / cannot be judged: {detail}") },
        };
        let id = DecisionId(uuid::Uuid::now_v7().to_string());
        let now = app.now();
        // Expressions may take a while on a large report: off the async threads.
        let judged = tokio::task::spawn_blocking(move || {
            let facts = Facts::new(&facts, &report)?;
            let scope = Scope { level: project.level, modes: &snapshot.modes, exceptions: &snapshot.exceptions, now };
            let mut decision = jinwu_policy::judge(&snapshot.set, jinwu_model::Gate::Push, &scope, &facts, id);
            decision.add(jinwu_admission::images::judge(&by_users, &facts, &scope, &over(USERS)));
            Ok::<_, String>((decision, report, snapshot.generation))
        })
        .await;
        let (decision, report, generation) = match judged {
            Ok(Ok(judged)) => judged,
            Ok(Err(detail)) => return Ruling::Unavailable { message: format!("无法裁决 / cannot be judged: {detail}") },
            Err(error) => return Ruling::Unavailable { message: format!("无法裁决 / cannot be judged: {error}") },
        };
        if let Err(error) = app.analyses.save_report(&push.repository, &push.digest, &report, &decision) {
            return Ruling::Unavailable { message: format!("报告无法保存 / the report cannot be kept: {error}") };
        }
        let records = records(app, push, &decision, &report, generation);
        if !records.is_empty()
            && let Err(error) = app.journal.record(records).await
        {
            return Ruling::Unavailable { message: format!("审计记录无法写入 / the audit record cannot be written: {error}") };
        }
        if decision.permit {
            return Ruling::Permit { decision: Some(decision.id.0.clone()), warnings: answer::warnings(&decision) };
        }
        let object = answer::object(push);
        Ruling::Refuse { message: answer::refusal(&object, &decision), detail: answer::detail(&decision) }
    }
}

/// An alarm for every policy that alerts or blocks; for a refusal also its interception and the
/// denied push. All carry the decision's id.
fn records(app: &App, push: &ManifestPush, decision: &Decision, report: &ImageReport, generation: u64) -> Vec<Record> {
    let object = answer::object(push);
    let entry = |kind: Kind, action: &str| {
        Record::new(app.now(), kind, push.caller.subject.clone(), action, object.clone())
            .from(Some(push.caller.source))
            .decision(Some(decision.id.clone()))
            .with("digest", push.digest.to_string())
            .with("gate", "push")
    };
    let mut out = Vec::new();
    let groups = answer::by_policy(decision.alarming());
    for (policy, group) in &groups {
        let findings: Vec<_> = group.iter().take(answer::MAX_FINDINGS).map(|v| v.finding.to_string()).collect();
        let clauses: Vec<String> = group.first().map(|v| v.clauses.iter().map(ToString::to_string).collect()).unwrap_or_default();
        out.push(
            entry(Kind::Alarm, "policy-violated")
                .outcome(if decision.permit { Outcome::Success } else { Outcome::Denied })
                .with("policy", policy.to_string())
                .with("clauses", clauses)
                .with("mode", group.first().map_or("", |v| v.mode.as_str()))
                .with("findings", findings)
                .with("count", group.len()),
        );
    }
    if !decision.permit {
        let blocking: Vec<String> = answer::by_policy(decision.blocking()).keys().map(ToString::to_string).collect();
        out.push(
            entry(Kind::Interception, "push-refused")
                .outcome(Outcome::Denied)
                .with("policies", blocking.clone())
                .with("policy_generation", generation)
                .with("engines", serde_json::to_value(&report.engines).unwrap_or_default()),
        );
        out.push(
            entry(Kind::Push, "push")
                .outcome(Outcome::Denied)
                .with("reason", format!("policies {}", blocking.join(", ")))
                .with("media_type", push.media_type.clone())
                .with("user_agent", push.caller.user_agent.clone()),
        );
    }
    out
}
