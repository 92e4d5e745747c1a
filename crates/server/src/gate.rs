//! The push gate: layers' analyses, one report, one decision, its records, an answer a person
//! understands.

mod answer;
mod kind;

use crate::analysis::Analyses;
use crate::app::App;
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use jinwu_model::report::{FaultKind, ImageReport, IntegrityFault, Location, Unscannable, UnscannableReason};
use jinwu_model::{Decision, DecisionId, Kind, Outcome, Record};
use jinwu_policy::{Facts, ImageFacts, Scope};
use jinwu_registry::seam::{Gate, ManifestPush, Ruling};
use jinwu_scan::client::{ComposeRequest, LayerDescriptor, LayerOutcome};

pub struct PushGate(pub App);

#[async_trait]
impl Gate for PushGate {
    async fn judge(&self, push: ManifestPush) -> Ruling {
        let outcomes = outcomes(&self.0.analyses, &push).await;
        let image = kind::of(&push, &outcomes);
        if image == kind::Shape::Artifact {
            return Ruling::Permit { decision: None, warnings: vec![] };
        }
        let report = report(&self.0.analyses, &push, &outcomes, image).await;
        self.0.analyses.forget_failures(push.layers.iter().map(|l| l.digest.clone()));
        self.decide(&push, report).await
    }
}

/// Every layer's analysis by the present engines, whatever way the layer got here.
async fn outcomes(analyses: &Analyses, push: &ManifestPush) -> Vec<LayerOutcome> {
    if kind::is_index(&push.media_type) {
        return vec![];
    }
    join_all(push.layers.iter().map(|layer| async move {
        if layer.path.is_none() {
            return LayerOutcome::Unscannable { reason: UnscannableReason::Unreadable, detail: "foreign layer: its bytes are elsewhere".into() };
        }
        if layer.media_type.ends_with("+encrypted") {
            return LayerOutcome::Unscannable { reason: UnscannableReason::Encrypted, detail: format!("media type {}", layer.media_type) };
        }
        analyses.of(&layer.digest, layer.path.as_deref(), layer.size).await
    }))
    .await
}

async fn report(analyses: &Analyses, push: &ManifestPush, outcomes: &[LayerOutcome], image: kind::Shape) -> ImageReport {
    let mut failed = None;
    let config = push.config.clone().unwrap_or_else(|| {
        failed = Some(Unscannable {
            layer: None,
            reason: UnscannableReason::TooLarge,
            detail: "the configuration is larger than 4 MiB or cannot be read".into(),
        });
        Bytes::from_static(b"{}")
    });
    let layers = push
        .layers
        .iter()
        .zip(outcomes)
        .map(|(l, o)| (LayerDescriptor { digest: l.digest.clone(), size: l.size, media_type: l.media_type.clone() }, o.clone()))
        .collect();
    let request = ComposeRequest {
        image: push.digest.clone(),
        manifest: push.bytes.clone(),
        manifest_media_type: push.media_type.clone(),
        config,
        config_media_type: kind::config_media_type(&push.bytes),
        layers,
    };
    let mut report = match analyses.compose(request).await {
        Ok(report) => report,
        Err(unscannable) => {
            failed = Some(unscannable);
            ImageReport::empty(push.digest.clone())
        }
    };
    report.unscannable.extend(failed);
    if image == kind::Shape::Disguised {
        report.faults.push(IntegrityFault {
            kind: FaultKind::DisguisedImage,
            location: Location { layer: None, path: "manifest.config.mediaType".into(), inner: None, line: None, deleted: false, owner: None },
            detail: format!("runnable image whose configuration calls itself {}", kind::config_media_type(&push.bytes)),
        });
    }
    report
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
        let id = DecisionId(uuid::Uuid::now_v7().to_string());
        let now = app.now();
        // Expressions may take a while on a large report: off the async threads.
        let judged = tokio::task::spawn_blocking(move || {
            let facts = Facts::new(&facts, &report)?;
            let scope = Scope { level: project.level, modes: &snapshot.modes, exceptions: &snapshot.exceptions, now };
            Ok::<_, String>((jinwu_policy::judge(&snapshot.set, jinwu_model::Gate::Push, &scope, &facts, id), report, snapshot.generation))
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
