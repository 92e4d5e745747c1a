//! One image by the policies of the admission gate: its report by the present engines, its findings.

use crate::app::App;
use crate::gate::{MAX_FINDINGS, Parts, USERS, by_policy, examine, over};
use jinwu_admission::images;
use jinwu_admission::protocol::ImageFinding;
use jinwu_model::report::{ImageReport, UnscannableReason};
use jinwu_model::{DecisionId, Mode, PolicyId, ProjectName, ProtectionLevel, RepositoryName, Tag, Text, Violation};
use jinwu_policy::{Facts, ImageFacts, PolicySet, Scope};
use jinwu_registry::Registry;
use jinwu_registry::manifest;
use jinwu_registry::meta::StoredManifest;
use std::collections::BTreeMap;

/// What is known about one runnable image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Image {
    pub(super) uid: Option<u32>,
    pub(super) user_basis: String,
    pub(super) findings: Vec<ImageFinding>,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) enum Obstacle {
    /// It will be the same next time.
    Lasting(Text),
    /// It may be gone in a moment.
    Passing(Text),
}

/// `None`: nothing a runtime runs.
pub(super) async fn judge(
    app: &App,
    registry: &Registry,
    repository: &RepositoryName,
    tag: Option<&Tag>,
    stored: &StoredManifest,
) -> Result<Option<Image>, Obstacle> {
    let project_name = repository.project();
    let Some(project) = app.identity.project(&project_name) else {
        return Err(Obstacle::Passing(gone(&project_name)));
    };
    let kept = kept(app, repository, stored).await;
    let fresh = kept.is_none();
    let report = match kept {
        Some(report) => report,
        None => {
            let parsed = manifest::parse(&stored.body, Some(&stored.media_type)).map_err(|f| {
                Obstacle::Lasting(Text::new(format!("清单不可读:{}", f.message), format!("the manifest cannot be read: {}", f.message)))
            })?;
            let (config, layers) = registry.content(&parsed).await;
            let parts = Parts { digest: stored.digest.clone(), media_type: stored.media_type.clone(), bytes: stored.body.clone(), config, layers };
            match examine(&app.analyses, &parts).await {
                Some(report) => report,
                None => return Ok(None),
            }
        }
    };
    let facts = ImageFacts {
        repository: repository.clone(),
        project: project_name.to_string(),
        tags: tag.iter().map(ToString::to_string).collect(),
        digest: stored.digest.clone(),
        media_type: stored.media_type.clone(),
    };
    let snapshot = app.policies.snapshot(&project_name);
    let by_users = app.clusters.image_policies().map_err(|detail| Obstacle::Passing(unjudgeable(&detail)))?;
    let (id, now, of) = (DecisionId(uuid::Uuid::now_v7().to_string()), app.now(), app.clone());
    let (repository, digest) = (repository.clone(), stored.digest.clone());
    // Expressions may take a while on a large report: off the async threads.
    let judged = tokio::task::spawn_blocking(move || {
        let facts = Facts::new(&facts, &report)?;
        let scope = Scope { level: project.level, modes: &snapshot.modes, exceptions: &snapshot.exceptions, now };
        let mut decision = jinwu_policy::judge(&snapshot.set, jinwu_model::Gate::Admission, &scope, &facts, id);
        decision.add(images::judge(&by_users, &facts, &scope, &over(USERS)));
        if fresh && !passing(&report) {
            // Derived: without it the next question composes it again.
            if let Err(error) = of.analyses.save_report(&repository, &digest, &report, &decision) {
                tracing::warn!(%repository, %digest, %error, "the report cannot be kept and will be composed again");
            }
        }
        Ok::<_, String>(Image {
            uid: report.configuration.uid,
            user_basis: report.configuration.user_basis.clone(),
            findings: findings(&snapshot.set, project.level, &snapshot.modes, &decision.violations),
        })
    })
    .await;
    match judged {
        Ok(Ok(image)) => Ok(Some(image)),
        Ok(Err(detail)) => Err(Obstacle::Passing(unjudgeable(&detail))),
        Err(error) => Err(Obstacle::Passing(unjudgeable(&error.to_string()))),
    }
}

fn unjudgeable(detail: &str) -> Text {
    Text::new(format!("无法裁决:{detail}"), format!("it cannot be judged: {detail}"))
}

fn gone(project: &ProjectName) -> Text {
    Text::new(format!("项目 {project} 不存在"), format!("project {project} does not exist"))
}

/// The report kept of the image, where the engines that made it are the present ones.
async fn kept(app: &App, repository: &RepositoryName, stored: &StoredManifest) -> Option<ImageReport> {
    let (of, repository, digest) = (app.clone(), repository.clone(), stored.digest.clone());
    let saved = tokio::task::spawn_blocking(move || of.analyses.saved_report(&repository, &digest)).await.ok()?.ok()??;
    let report = saved.as_object().and_then(|o| o.get("report")).cloned()?;
    let report: ImageReport = serde_json::from_value(report).ok()?;
    (report.image == stored.digest && report.engines == app.analyses.engines() && !passing(&report)).then_some(report)
}

/// Whether it failed in a way that may not happen again.
fn passing(report: &ImageReport) -> bool {
    report.unscannable.iter().any(|u| matches!(u.reason, UnscannableReason::WorkerCrashed | UnscannableReason::TimedOut))
}

/// One finding for each policy that is not met, and one for what an exception covers of it.
fn findings(set: &PolicySet, level: ProtectionLevel, switched: &BTreeMap<PolicyId, Mode>, violations: &[Violation]) -> Vec<ImageFinding> {
    let mut out = Vec::new();
    for excepted in [false, true] {
        for (policy, group) in by_policy(violations.iter().filter(|v| v.exception.is_some() == excepted)) {
            let Some(first) = group.first() else { continue };
            let mut modes = match set.get(policy) {
                Some(document) => ProtectionLevel::ALL.map(|l| document.spec.modes.at(l)),
                None => images::default_modes(&group),
            };
            // What the project has set holds at the project's level.
            if let (Some(mode), Some(at)) = (switched.get(policy), modes.get_mut(usize::from(level.get()).saturating_sub(1))) {
                *at = *mode;
            }
            out.push(ImageFinding {
                policy: policy.clone(),
                clauses: first.clauses.clone(),
                modes,
                finding: Text::new(joined(&group, |t| &t.zh, "另有 {} 项"), joined(&group, |t| &t.en, "{} more")),
                advice: first.advice.clone(),
                exception: first.exception.clone(),
            });
        }
    }
    out
}

fn joined(group: &[&Violation], language: fn(&Text) -> &str, rest: &str) -> String {
    let mut parts: Vec<String> = group.iter().take(MAX_FINDINGS).map(|v| language(&v.finding).to_owned()).collect();
    if group.len() > MAX_FINDINGS {
        parts.push(rest.replace("{}", &(group.len() - MAX_FINDINGS).to_string()));
    }
    parts.join("; ")
}

/// Several images of one reference as the worst of them: whichever a node picks, it is no worse.
pub(super) fn worst(images: Vec<Image>) -> Option<Image> {
    let mut images = images.into_iter();
    let mut all = images.next()?;
    for image in images {
        let rank = |uid: Option<u32>| match uid {
            None => 0,
            Some(0) => 1,
            Some(_) => 2,
        };
        if rank(image.uid) < rank(all.uid) {
            all.uid = image.uid;
            all.user_basis = image.user_basis;
        }
        for finding in image.findings {
            let same = |f: &ImageFinding| f.policy == finding.policy && f.exception == finding.exception;
            if !all.findings.iter().any(same) {
                all.findings.push(finding);
            }
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(policy: &str, n: usize, exception: Option<&str>) -> Violation {
        Violation {
            policy: PolicyId(policy.into()),
            clauses: vec![],
            mode: Mode::Block,
            finding: Text::new(format!("甲{n}"), format!("a{n}")),
            advice: Text::new("改", "fix"),
            exception: exception.map(str::to_owned),
            evidence: serde_json::Value::Null,
        }
    }

    #[test]
    fn findings_are_by_policy_with_the_modes_of_levels_and_project() {
        let set = PolicySet::load([]).unwrap();
        let mut all: Vec<Violation> = (0..7).map(|n| violation("known-vulnerability", n, None)).collect();
        all.push(violation("known-vulnerability", 9, Some("x-1")));
        all.push(violation("root-user", 0, None));
        let switched = BTreeMap::from([(PolicyId("root-user".into()), Mode::Allow)]);
        let found = findings(&set, ProtectionLevel::FOUR, &switched, &all);
        let brief: Vec<_> = found.iter().map(|f| (f.policy.0.as_str(), f.exception.as_deref())).collect();
        assert_eq!(brief, [("known-vulnerability", None), ("root-user", None), ("known-vulnerability", Some("x-1"))]);
        assert!(found[0].finding.en.ends_with("a4; 2 more") && found[0].finding.zh.ends_with("另有 2 项"), "{}", found[0].finding);
        let defaults = set.get(&PolicyId("root-user".into())).unwrap().spec.modes;
        assert_eq!(found[1].modes, [defaults.one, defaults.two, defaults.three, Mode::Allow]);
    }

    #[test]
    fn the_worst_of_an_index_counts() {
        let image = |uid, policy: &str| Image {
            uid,
            user_basis: format!("{uid:?}"),
            findings: findings(&PolicySet::load([]).unwrap(), ProtectionLevel::FOUR, &BTreeMap::new(), &[violation(policy, 0, None)]),
        };
        let all = worst(vec![image(Some(1000), "malware"), image(Some(0), "root-user"), image(Some(0), "malware")]).unwrap();
        assert_eq!((all.uid, all.findings.len()), (Some(0), 2));
        assert_eq!(worst(vec![image(Some(0), "malware"), image(None, "malware")]).unwrap().uid, None, "cannot be told");
        assert!(worst(vec![]).is_none());
    }
}
