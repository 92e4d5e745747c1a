//! AC-2: roles in projects, and nothing across projects.

use super::{Lab, same, t};
use crate::evidence::{Evidence, Role, whether};
use crate::ground::{Ground, Person};
use crate::sample;
use crate::target::As;
use crate::target::registry::{Registry, escape};
use crate::trail;
use anyhow::Context as _;
use http::Method;
use jinwu_identity::AdminRole::{SecurityAdministrator as Security, SystemAdministrator as System};
use jinwu_standard::verdict::Answer;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Roles and what they may do, as the installation says.
async fn project_roles(lab: &Lab<'_>, log: &mut crate::evidence::Log) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let answer = lab.get(log, System, "/roles").await?;
    let roles = answer["roles"].as_object().context("no list of roles")?;
    let actions = |v: &Value| v["actions"].as_array().into_iter().flatten().filter_map(|a| a.as_str().map(str::to_owned)).collect();
    Ok(roles.iter().map(|(name, role)| (name.clone(), actions(role))).collect())
}

/// The built-in roles.
const ROLES: [&str; 5] = ["project-admin", "maintainer", "developer", "guest", "limited-guest"];

/// AC-2.C1.
pub(super) async fn fine_grained(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let mut log = lab.log("GET /api/v1/roles");
    let roles = project_roles(lab, &mut log).await?;
    let distinct: BTreeSet<&BTreeSet<String>> = ROLES.iter().filter_map(|r| roles.get(*r)).collect();
    let push = |role: &str| roles.get(role).is_some_and(|a| a.contains("repository:push"));
    let graded = push("developer") && !push("guest") && roles.get("maintainer").is_some_and(|a| a.contains("repository:delete"));
    out.push(log.prove(
        Role::State,
        t("五种内置项目角色,各有不同的拉取、推送、删除权限", "five built-in project roles with different rights to pull, push and delete"),
        same(roles.keys().cloned().collect::<Vec<_>>().join(", ")),
        whether(distinct.len() == ROLES.len() && graded),
    ));
    let mut log = lab.log("GET /api/v1/openapi.json");
    let document = lab.get(&mut log, System, "/openapi.json").await?;
    let who = |path: &str, method: &str| document["paths"][format!("/api/v1{path}")][method]["x-who"].as_str().unwrap_or_default().to_owned();
    let (propose, approve) = (who("/grants", "post"), who("/grants/{id}/approve", "post"));
    out.push(log.prove(
        Role::State,
        t("权限变更由系统管理员申请、安全管理员批准", "rights are proposed by the system administrator and approved by the security administrator"),
        same(format!("POST /grants: {propose}; POST /grants/{{id}}/approve: {approve}")),
        whether(propose == "grant-propose" && approve == "grant-approve"),
    ));
    Ok(())
}

/// AC-2.C2.
pub(super) async fn by_project(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let mut log = lab.log("GET /api/v1/projects");
    let answer = lab.get(&mut log, System, "/projects").await?;
    let projects = answer["projects"].as_array().cloned().unwrap_or_default();
    let shaped = projects.iter().all(|p| p["level"].is_u64() && p["members"].is_object());
    let names: Vec<&str> = projects.iter().filter_map(|p| p["name"].as_str()).collect();
    out.push(log.prove(
        Role::State,
        t("镜像按项目管理,每个项目有自己的成员与保护等级", "images are managed by project, each with its own members and protection level"),
        same(names.join(", ")),
        whether(!projects.is_empty() && shaped),
    ));
    let mut log = lab.log("GET /api/v1/robots");
    let answer = lab.get(&mut log, Security, "/robots").await?;
    let robots = answer["robots"].as_array().cloned().unwrap_or_default();
    let scoped = robots.iter().all(|r| r["grants"].is_object());
    out.push(log.prove(
        Role::State,
        t("机器人账号的权限按项目授予", "robots receive their rights by project"),
        t(format!("{} 个", robots.len()), format!("{}", robots.len())),
        if robots.is_empty() { Answer::NotApplicable } else { whether(scoped) },
    ));
    Ok(())
}

/// AC-2.S1.
pub(super) async fn roles(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let ground = lab.ground()?;
    let mut log = lab.log("GET /api/v1/roles");
    let known = project_roles(lab, &mut log).await?;
    let image = sample::good().image;
    for role in ROLES {
        let may = known.get(role).with_context(|| format!("{role} is not a role of this installation"))?;
        let mut log = lab.log(format!("grant {role} in {}: proposed and approved", ground.own));
        let person = ground.person(&mut log, role, &ground.own, role).await?;
        out.push(log.prove(
            Role::State,
            t(format!("{role}:系统管理员申请、安全管理员批准后生效,双因素登录取得凭据"), format!("{role}: proposed by one administrator, approved by another; credential from a two-factor session")),
            same(person.name.clone()),
            Answer::Affirmative,
        ));
        inside(lab, out, ground, role, may, &person, &image).await?;
        outside(lab, out, ground, role, &person, &image).await?;
    }
    revocation(lab, out, ground).await
}

/// In the own project a role can do what its table says and nothing more.
async fn inside(lab: &Lab<'_>, out: &mut Vec<Evidence>, ground: &Ground<'_>, role: &str, may: &BTreeSet<String>, person: &Person, image: &sample::Image) -> anyhow::Result<()> {
    let member = Registry::login(lab.target, &person.name, &person.secret);
    let repository = format!("{}/base", ground.own);
    let tag = format!("by-{role}");
    let mut log = lab.log(format!("{role} in {}: pull, push, delete", ground.own));
    // Somebody else's tag, so that deleting does not depend on pushing.
    let spare = format!("spare-{role}");
    let made = ground.ci()?.push(&mut log, &repository, &spare, image).await?;
    anyhow::ensure!(made.status == 201, "spare tag: {} {}", made.status, made.text());
    let pulled = member.pull(&mut log, &repository, "latest").await?.status;
    let pushed = member.push(&mut log, &repository, &tag, image).await?.status;
    let deleted = member.delete(&mut log, &repository, &spare).await?.status;
    let (mut over, mut under) = (Vec::new(), Vec::new());
    for (action, status, good) in [("pull", pulled, 200), ("push", pushed, 201), ("delete", deleted, 202)] {
        match (may.contains(&format!("repository:{action}")), status) {
            (true, s) if s == good => {}
            (true, s) => under.push(format!("{action}: {s}")),
            (false, 401 | 403) => {}
            (false, s) if s == good => over.push(format!("{action}: {s}")),
            (false, s) => under.push(format!("{action}: {s}?")),
        }
    }
    let allowed: Vec<&str> = ["pull", "push", "delete"].into_iter().filter(|a| may.contains(&format!("repository:{a}"))).collect();
    let actual = same(format!("pull {pulled}, push {pushed}, delete {deleted}"));
    let answer = match (over.is_empty(), under.is_empty()) {
        (false, _) => Answer::Negative,
        (true, false) => Answer::Unknown,
        (true, true) => Answer::Affirmative,
    };
    out.push(log.prove(
        Role::Attack,
        t(format!("{role} 在本项目仅可:{}", allowed.join("、")), format!("{role} in its own project may only: {}", allowed.join(", "))),
        actual,
        answer,
    ));
    Ok(())
}

/// In somebody else's project nothing can be done, and the attempts are recorded.
async fn outside(lab: &Lab<'_>, out: &mut Vec<Evidence>, ground: &Ground<'_>, role: &str, person: &Person, image: &sample::Image) -> anyhow::Result<()> {
    let member = Registry::login(lab.target, &person.name, &person.secret);
    let repository = format!("{}/base", ground.other);
    let mut log = lab.log(format!("{role} of {} in {}: pull, list, push, mount, delete, API", ground.own, ground.other));
    let mut got = vec![
        ("pull", member.pull(&mut log, &repository, "latest").await?.status),
        ("tags", member.request(&mut log, Method::GET, &format!("/v2/{repository}/tags/list"), None, None).await?.status),
        ("push", member.push(&mut log, &repository, "intruder", image).await?.status),
        ("delete", member.delete(&mut log, &repository, &image.digest.to_string()).await?.status),
    ];
    got.push(("mount", mount(&mut log, ground, &member, image).await?));
    for path in ["/ledger", "/accounts", "/policies"] {
        got.push((path, lab.target.api(&mut log, As::Token(&person.session), Method::GET, path, None).await?.status));
    }
    let path = format!("/projects/{}/policies", ground.other);
    got.push(("policies of the other project", lab.target.api(&mut log, As::Token(&person.session), Method::GET, &path, None).await?.status));
    let through: Vec<String> = got.iter().filter(|(_, s)| (200..400).contains(s)).map(|(a, s)| format!("{a}: {s}")).collect();
    let unclear = got.iter().any(|(_, s)| !matches!(s, 401 | 403 | 404) && !(200..400).contains(s));
    let text: Vec<String> = got.iter().map(|(a, s)| format!("{a} {s}")).collect();
    out.push(log.prove(
        Role::Attack,
        t(format!("{role} 对其他项目与管理接口的访问均被拒绝(401/403/404)"), format!("{role}: every access to another project and to the administrators' API is refused (401/403/404)")),
        same(text.join(", ")),
        if through.is_empty() { if unclear { Answer::Unknown } else { Answer::Affirmative } } else { Answer::Negative },
    ));
    let query = format!("kind=denial&since={}&subject={}", lab.since, person.name);
    let mut log = lab.log(format!("GET /api/v1/ledger?{query}"));
    let source = lab.target.source.to_string();
    let good = |r: &Value| r["object"].as_str().is_some_and(|o| o.starts_with(&repository)) && r["source"] == source.as_str() && r["outcome"] == "denied";
    let records = trail::find(lab.target, &mut log, &query, |rs| rs.iter().any(good)).await?;
    let found = records.iter().find(|r| good(r));
    out.push(log.prove(
        Role::Trace,
        t(format!("越权尝试有记录:主体 {},客体 {repository},来源 {source}", person.name), format!("the attempts are recorded: subject {}, object {repository}, source {source}", person.name)),
        found.map_or_else(|| t(format!("{} 条,均不符", records.len()), format!("{} records, none fits", records.len())), |r| same(trail::line(r))),
        whether(found.is_some()),
    ));
    Ok(())
}

/// Taking a layer out of the other project by a cross-repository mount into the own one: 201 is
/// success. 202 begins an ordinary upload instead and gives nothing away; it counts as 404.
async fn mount(log: &mut crate::evidence::Log, ground: &Ground<'_>, member: &Registry<'_>, image: &sample::Image) -> anyhow::Result<u16> {
    let layer = image.layers.first().context("an image without layers")?;
    let query = format!("mount={}&from={}", escape(&layer.digest.to_string()), escape(&format!("{}/base", ground.other)));
    let path = format!("/v2/{}/mounted/blobs/uploads/?{query}", ground.own);
    let reply = member.request(log, Method::POST, &path, Some("application/octet-stream"), None).await?;
    if reply.status != 202 {
        return Ok(reply.status);
    }
    if let Some(upload) = reply.header("location").filter(|l| l.starts_with('/')) {
        member.request(log, Method::DELETE, upload, None, None).await?;
    }
    Ok(404)
}

/// What is taken away is gone at the next request, with the token that worked a moment ago.
async fn revocation(lab: &Lab<'_>, out: &mut Vec<Evidence>, ground: &Ground<'_>) -> anyhow::Result<()> {
    let repository = format!("{}/base", ground.own);
    let path = format!("/v2/{repository}/manifests/latest");
    let nobody = Registry::nobody(lab.target);

    let mut log = lab.log("robot: pull, disable, the same token again");
    let (name, secret) = ground.robot(&mut log, "revoked", &[(&ground.own, &["repository:pull"])]).await?;
    let challenge = nobody.bare(&mut log, Method::GET, &path, None).await?;
    let token = Registry::login(lab.target, &name, &secret).token(&mut log, &challenge).await?.context("the robot got no token")?;
    let bearer = format!("Bearer {token}");
    let before = nobody.bare(&mut log, Method::GET, &path, Some(&bearer)).await?.status;
    lab.target.act(&mut log, As::Admin(System), Method::POST, &format!("/robots/{name}/disable"), None).await?;
    let after = nobody.bare(&mut log, Method::GET, &path, Some(&bearer)).await?.status;
    let again = Registry::login(lab.target, &name, &secret).manifest(&mut log, &repository, "latest").await?.status;
    out.push(revoked(log, "机器人账号停用后,原令牌与密钥在下一请求即失效", "after the robot is disabled its token and secret fail at the next request", before, &[after, again]));

    let mut log = lab.log("member: pull, remove, the same token again");
    let person = ground.person(&mut log, "leaver", &ground.own, "guest").await?;
    let challenge = nobody.bare(&mut log, Method::GET, &path, None).await?;
    let token = Registry::login(lab.target, &person.name, &person.secret).token(&mut log, &challenge).await?.context("the member got no token")?;
    let bearer = format!("Bearer {token}");
    let before = nobody.bare(&mut log, Method::GET, &path, Some(&bearer)).await?.status;
    lab.target.act(&mut log, As::Admin(System), Method::DELETE, &format!("/projects/{}/members/{}", ground.own, person.name), None).await?;
    let after = nobody.bare(&mut log, Method::GET, &path, Some(&bearer)).await?.status;
    out.push(revoked(log, "移除项目成员后,原令牌在下一请求即失效", "after a member is removed the token fails at the next request", before, &[after]));
    Ok(())
}

fn revoked(log: crate::evidence::Log, zh: &str, en: &str, before: u16, after: &[u16]) -> Evidence {
    let after_text: Vec<String> = after.iter().map(u16::to_string).collect();
    let answer = if before != 200 {
        Answer::Unknown
    } else if after.contains(&200) {
        Answer::Negative
    } else if after.iter().all(|s| matches!(s, 401 | 403)) {
        Answer::Affirmative
    } else {
        Answer::Unknown
    };
    let actual = t(format!("此前 {before},此后 {}", after_text.join("、")), format!("before {before}, after {}", after_text.join(", ")));
    log.prove(Role::Attack, t(format!("{zh}(401/403)"), format!("{en} (401/403)")), actual, answer)
}
