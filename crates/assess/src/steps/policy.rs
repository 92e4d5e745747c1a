//! Policies: which are there, what they do at the asked level, and what the projects made of them.

use super::{Lab, attack, same, t};
use crate::evidence::{Evidence, Role, whether};
use crate::target::registry::escape;
use crate::trail;
use anyhow::Context as _;
use jinwu_identity::AdminRole::SecurityAdministrator as Security;
use jinwu_model::Mode;
use jinwu_standard::verdict::Answer;
use serde_json::Value;
use std::collections::BTreeMap;

/// Images looked at in one inspection of the stock.
const MAX_STOCK: usize = 50;

/// The weakest mode that meets a clause asking for alarm and interception at this level: from level 3
/// on 拦截, below 告警.
fn wanted(lab: &Lab<'_>) -> Mode {
    if lab.level.get() >= 3 { Mode::Block } else { Mode::Alert }
}

fn mode(value: &Value) -> Option<Mode> {
    value.as_str()?.parse().ok()
}

/// The policy's default at the asked level, and its mode in every project of that level.
pub(super) async fn in_force(lab: &Lab<'_>, out: &mut Vec<Evidence>, policy: &str) -> anyhow::Result<Value> {
    let wanted = wanted(lab);
    let mut log = lab.log("GET /api/v1/policies");
    let answer = lab.get(&mut log, Security, "/policies").await?;
    let found = answer["policies"].as_array().into_iter().flatten().find(|p| p["id"] == policy).cloned().unwrap_or_default();
    let default = mode(&found["modes"][lab.level.to_string()]);
    out.push(log.prove(
        Role::State,
        t(format!("内置策略 {policy} 存在,{} 级缺省模式不弱于{}", lab.level, wanted.zh()), format!("built-in policy {policy} exists, its default at level {} is {wanted} or stronger", lab.level)),
        default.map_or(t("策略不存在", "there is no such policy"), |m| t(m.zh(), m.as_str())),
        whether(default.is_some_and(|m| m >= wanted)),
    ));
    let mut log = lab.log(format!("GET /api/v1/projects/*/policies ({policy})"));
    let projects = lab.projects(&mut log).await?;
    let mut weak = Vec::new();
    for (project, _) in &projects {
        let answer = lab.get(&mut log, Security, &format!("/projects/{}/policies", escape(project))).await?;
        let entry = answer["policies"].as_array().into_iter().flatten().find(|p| p["id"] == policy);
        let is = entry.and_then(|p| mode(&p["mode"])).with_context(|| format!("{project} does not say the mode of {policy}"))?;
        if is < wanted {
            weak.push(format!("{project}={is}"));
        }
    }
    let expected = t(
        format!("{} 级及以上的每个项目中,策略 {policy} 的模式不弱于{}", lab.level, wanted.zh()),
        format!("in every project of level {} and above, policy {policy} is {wanted} or stronger", lab.level),
    );
    let (actual, answer) = if projects.is_empty() {
        (t("没有该等级的项目", "no project of that level"), Answer::NotApplicable)
    } else if weak.is_empty() {
        (t(format!("{} 个项目均符合", projects.len()), format!("{} projects, all so", projects.len())), Answer::Affirmative)
    } else {
        (same(weak.join(", ")), Answer::Negative)
    };
    out.push(log.prove(Role::State, expected, actual, answer));
    Ok(found)
}

/// AU-2.C3.
pub(super) async fn switches(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let mut log = lab.log("GET /api/v1/policies");
    let answer = lab.get(&mut log, Security, "/policies").await?;
    let built_in: Vec<&Value> = answer["policies"].as_array().into_iter().flatten().filter(|p| p["builtin"] == true).collect();
    let whole = built_in.iter().all(|p| ["1", "2", "3", "4"].iter().all(|l| mode(&p["modes"][*l]).is_some()));
    let names: Vec<&str> = built_in.iter().filter_map(|p| p["id"].as_str()).collect();
    out.push(log.prove(
        Role::State,
        t("有内置风险策略,每项在各等级均有模式(放行、告警、拦截)", "there are built-in risk policies, each with a mode (allow, alert, block) at every level"),
        t(format!("{} 项:{}", names.len(), names.join(", ")), format!("{}: {}", names.len(), names.join(", "))),
        whether(!built_in.is_empty() && whole),
    ));
    let mut log = lab.log("GET /api/v1/openapi.json");
    let document = lab.get(&mut log, Security, "/openapi.json").await?;
    let switch = &document["paths"]["/api/v1/projects/{project}/policies/{policy}"]["put"];
    out.push(log.prove(
        Role::State,
        t("有切换策略模式的接口,且仅安全管理员可用", "an interface switches a policy's mode, for the security administrator only"),
        same(format!("PUT /api/v1/projects/{{project}}/policies/{{policy}}: {}", switch["x-who"].as_str().unwrap_or("-"))),
        whether(switch["x-who"] == "policy-write"),
    ));
    if lab.drills() {
        attack::modes(lab, out, "root-user").await?;
    }
    Ok(())
}

/// An image that stands in a project of the asked level.
pub(super) struct Stocked {
    pub(super) name: String,
    /// Report and decision as kept; absent when there is none.
    pub(super) kept: Option<Value>,
}

/// Images pushed to projects of the asked level and not deleted since, newest first, with their reports.
pub(super) async fn stock(lab: &Lab<'_>, log: &mut crate::evidence::Log) -> anyhow::Result<Vec<Stocked>> {
    let projects: Vec<String> = lab.projects(log).await?.into_iter().map(|(name, _)| name).collect();
    let mut images: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut gone: BTreeMap<(String, String), u64> = BTreeMap::new();
    for project in &projects {
        for (kind, map) in [("push", &mut images), ("delete", &mut gone)] {
            let query = format!("kind={kind}&outcome=success&limit=2000&object={}", escape(&format!("{project}/")));
            for record in trail::find(lab.target, log, &query, |_| true).await? {
                let object = record["object"].as_str().unwrap_or_default();
                let (Some(digest), true) = (record["detail"]["digest"].as_str(), object.starts_with(&format!("{project}/"))) else { continue };
                let by_digest = object.contains('@');
                // Deleting a tag leaves the manifest; blobs have actions of their own.
                if record["action"] != kind || (kind == "delete" && !by_digest) {
                    continue;
                }
                let repository = object.split_once('@').or_else(|| object.rsplit_once(':')).map_or(object, |(r, _)| r);
                let at = record["seq"].as_u64().unwrap_or_default();
                let last = map.entry((repository.to_owned(), digest.to_owned())).or_default();
                *last = at.max(*last);
            }
        }
    }
    let mut standing: Vec<_> = images.into_iter().filter(|(key, at)| gone.get(key).is_none_or(|g| g < at)).collect();
    standing.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
    let mut out = Vec::new();
    for ((repository, digest), _) in standing.into_iter().take(MAX_STOCK) {
        let path = format!("/report?repository={}&reference={}", escape(&repository), escape(&digest));
        let reply = lab.target.api(log, crate::target::As::Admin(Security), http::Method::GET, &path, None).await?;
        let kept = (reply.status == 200).then(|| reply.json());
        out.push(Stocked { name: format!("{repository}@{digest}"), kept });
    }
    Ok(out)
}

/// No image in stock violates `policy` without an approved exception.
pub(super) async fn stock_meets(lab: &Lab<'_>, out: &mut Vec<Evidence>, policy: &str) -> anyhow::Result<()> {
    let mut log = lab.log(format!("GET /api/v1/report ({policy})"));
    let stock = stock(lab, &mut log).await?;
    let violates = |s: &&Stocked| {
        let violations = s.kept.iter().filter_map(|k| k["decision"]["violations"].as_array()).flatten();
        violations.into_iter().any(|v| v["policy"] == policy && v["exception"].is_null())
    };
    let bad: Vec<&str> = stock.iter().filter(violates).map(|s| s.name.as_str()).collect();
    let known = stock.iter().filter(|s| s.kept.is_some()).count();
    let expected = t(
        format!("{} 级及以上项目在库镜像(最近 {MAX_STOCK} 个)的扫描报告中没有策略 {policy} 的发现", lab.level),
        format!("reports of the images in projects of level {} and above (the latest {MAX_STOCK}) show no violation of {policy}", lab.level),
    );
    let (actual, answer) = if stock.is_empty() {
        (t("没有在库镜像", "no images in stock"), Answer::NotApplicable)
    } else if bad.is_empty() {
        let text = t(format!("{known} 个镜像有报告,均无发现"), format!("{known} images with reports, none violates"));
        // Artifacts that are no images have no report; with none at all nothing was looked at.
        (text, if known > 0 { Answer::Affirmative } else { Answer::NotApplicable })
    } else {
        (same(bad.join(", ")), Answer::Negative)
    };
    out.push(log.prove(Role::State, expected, actual, answer));
    Ok(())
}
