//! Carries an assessment out, step by step, and cleans up whatever happens.

use crate::assessment::{Assessment, Clause, Installation, Step, StepKind};
use crate::cluster::Cluster;
use crate::cluster::field::Field;
use crate::evidence::Role;
use crate::ground::Ground;
use crate::steps::{self, Lab};
use crate::target::{As, Target};
use http::Method;
use jinwu_identity::AdminRole::SystemAdministrator;
use jinwu_model::{PolicyId, ProtectionLevel, Text, Verdict};
use jinwu_standard::verdict::Answer;
use jinwu_standard::{LevelTable, catalogue};
use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

/// What to assess.
#[derive(Clone, Debug)]
pub struct Options {
    pub level: ProtectionLevel,
    /// False: inspections only, nothing is changed in the installation.
    pub drills: bool,
    /// Only these clauses; empty: all.
    pub only: BTreeSet<String>,
    /// Policies left off in the drill project. Proves that drills can fail; never set in earnest.
    pub guards_off: BTreeSet<PolicyId>,
}

/// One step may take this long.
const STEP_TIME: Duration = Duration::from_secs(480);
/// Making and removing the drill ground.
const GROUND_TIME: Duration = Duration::from_secs(120);

/// Runs every step. When `stop` completes, the rest is 待确认 and what was made is removed. Only an
/// installation that cannot be asked at all is an error.
pub async fn run(target: &Target, cluster: Option<&Cluster>, options: &Options, stop: impl Future<Output = ()>, progress: impl Fn(&str)) -> anyhow::Result<Assessment> {
    let started = jiff::Timestamp::now();
    let installation = installation(target).await?;
    let table = LevelTable::builtin();
    let ground = Ground::new(target);
    let mut prepared = Err(Text::new("仅检查,未做模拟", "inspections only: no drill was run"));
    tokio::pin!(stop);
    let mut stopped = false;
    if options.drills {
        progress("ground");
        let mut log = target.log("prepare");
        let work = tokio::time::timeout(GROUND_TIME, ground.prepare(&mut log, options.level, &options.guards_off));
        prepared = tokio::select! {
            result = work => match result {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(failure(target, "演练场地未能建立", "the drill ground could not be made", &error)),
                Err(_) => Err(Text::new("演练场地未能及时建立", "the drill ground could not be made in time")),
            },
            () = &mut stop => { stopped = true; Err(interrupted()) }
        };
    }
    let field = cluster.map(|c| Field::new(c, target, &ground, &options.guards_off));
    if let (Some(field), Ok(()), false) = (&field, &prepared, stopped) {
        progress("ground in the cluster");
        let mut log = field.cluster.log("prepare");
        let work = tokio::time::timeout(GROUND_TIME, field.prepare(&mut log, options.level, &ground));
        prepared = tokio::select! {
            result = work => match result {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(failure(target, "集群中的演练场地未能建立", "the drill ground in the cluster could not be made", &error)),
                Err(_) => Err(Text::new("集群中的演练场地未能及时建立", "the drill ground in the cluster could not be made in time")),
            },
            () = &mut stop => { stopped = true; Err(interrupted()) }
        };
    }
    let ready = prepared.is_ok();
    let lab = Lab::new(
        target,
        options.level,
        ready.then_some(&ground),
        cluster,
        field.as_ref().filter(|_| ready),
        &options.guards_off,
        started.as_millisecond(),
    );
    let mut clauses = Vec::new();
    for entry in catalogue::clauses() {
        let mut clause = Clause {
            id: entry.id.clone(),
            family: entry.family.clone(),
            title: entry.heading(),
            verdict: Verdict::Unconfirmed,
            reason: Text::default(),
            steps: vec![],
        };
        match table.requirement(&entry.id, options.level) {
            None => {
                clause.verdict = Verdict::NotApplicable;
                clause.reason = Text::new("该等级不要求此条款(待核)", "not asked at this level (to be verified)");
            }
            Some(_) if !options.only.is_empty() && !options.only.contains(entry.id.as_str()) => {
                clause.reason = Text::new("本次未评估此条款(--clause)", "this clause was not asked for (--clause)");
            }
            Some(_) if !steps::CLAUSES.contains(&entry.id.as_str()) => {
                clause.reason = Text::new("本版本尚无此条款的检查与模拟步骤,未取得证据", "this version has no steps for this clause: no evidence was collected");
            }
            Some(_) if cluster.is_none() && steps::OF_CLUSTERS.contains(&entry.id.as_str()) => {
                clause.reason = Text::new("未给出集群(--kubeconfig),未取得证据", "no cluster was given (--kubeconfig): no evidence was collected");
            }
            Some(_) => {
                // Drills first: inspections may then read the records they left.
                let drills = entry.simulations.iter().map(|i| (i, StepKind::Drill));
                let inspections = entry.checks.iter().map(|i| (i, StepKind::Inspection));
                for (item, kind) in drills.chain(inspections) {
                    let object = lab.object(&item.id);
                    let why = match (&prepared, kind, stopped) {
                        (_, _, true) => Some(interrupted()),
                        (Err(why), StepKind::Drill, _) => Some(why.clone()),
                        _ => None,
                    };
                    if let Some(why) = why {
                        clause.steps.push(Step::not_run(&item.id, kind, item.text.clone(), object, why));
                        continue;
                    }
                    progress(&item.id);
                    let mut evidence = Vec::new();
                    let work = tokio::time::timeout(STEP_TIME, steps::run(&item.id, &lab, &mut evidence));
                    let result = tokio::select! {
                        result = work => Some(result),
                        () = &mut stop => None,
                    };
                    let error = match result {
                        Some(Ok(Ok(()))) => None,
                        Some(Ok(Err(error))) => Some(failure(target, "执行出错", "the step failed", &error)),
                        Some(Err(_)) => Some(Text::new("超时(480 秒)", "timed out (480 s)")),
                        None => {
                            stopped = true;
                            Some(interrupted())
                        }
                    };
                    if let Some(error) = error {
                        let log = target.log(item.id.clone());
                        evidence.push(log.prove(Role::Error, Text::new("步骤执行完毕", "the step runs to its end"), error, Answer::Unknown));
                    }
                    // Inspections attack too where the ground allows; asked for and not possible is
                    // not the same as not asked for.
                    if let (Err(why), true) = (&prepared, options.drills) {
                        let log = target.log(item.id.clone());
                        evidence.push(log.prove(Role::Error, Text::new("模拟可以进行", "drills can be run"), why.clone(), Answer::Unknown));
                    }
                    clause.steps.push(Step::judged(&item.id, kind, item.text.clone(), object, evidence));
                }
                clause.steps.sort_by_key(|s| (s.kind == StepKind::Drill, s.id.clone()));
                clause.judge();
                // What an assessment with levels 1 to 3 says about strength is derived, not sourced.
                if let Some(mark) = table.requirement(&entry.id, options.level).and_then(|r| r.certainty.mark()) {
                    clause.reason = mark;
                }
            }
        }
        clauses.push(clause);
    }
    let mut left_behind = Vec::new();
    if options.drills {
        progress("clear");
        if let Some(field) = &field {
            let mut log = field.cluster.log("clear");
            match tokio::time::timeout(GROUND_TIME, field.clear(&mut log)).await {
                Ok(left) => left_behind.extend(left.into_iter().map(|l| target.mask.apply(&l))),
                Err(_) => left_behind.push(format!("{}: removal timed out", field.namespace)),
            }
        }
        let mut log = target.log("clear");
        match tokio::time::timeout(GROUND_TIME, ground.clear(&mut log)).await {
            Ok(left) => left_behind.extend(left.into_iter().map(|l| target.mask.apply(&l))),
            Err(_) => left_behind.push(format!("{}-*: removal timed out", ground.prefix())),
        }
    }
    let mut assessment = Assessment {
        standard: "T/ISEAA 004-2023",
        tool: format!("jinwu {}", env!("CARGO_PKG_VERSION")),
        level: options.level,
        started: started.to_string(),
        finished: jiff::Timestamp::now().to_string(),
        installation,
        drills: options.drills,
        guards_off: options.guards_off.iter().map(|p| p.0.clone()).collect(),
        clauses,
        left_behind,
    };
    assessment.number();
    Ok(assessment)
}

async fn installation(target: &Target) -> anyhow::Result<Installation> {
    let mut log = target.log("GET /api/v1/status");
    let status = target.act(&mut log, As::Admin(SystemAdministrator), Method::GET, "/status", None).await?;
    Ok(Installation {
        registry: target.registry().to_owned(),
        version: status["version"].as_str().unwrap_or_default().to_owned(),
        level: status["level"].as_u64().and_then(|l| u8::try_from(l).ok()),
        source: target.source.to_string(),
        engines: status["engines"].clone(),
        policies: status["policies"].as_str().unwrap_or_default().to_owned(),
    })
}

fn failure(target: &Target, zh: &str, en: &str, error: &anyhow::Error) -> Text {
    let error = target.mask.apply(&format!("{error:#}"));
    Text::new(format!("{zh}:{error}"), format!("{en}: {error}"))
}

fn interrupted() -> Text {
    Text::new("评估被中断", "the assessment was interrupted")
}
