//! AU-1 and AU-2: images moved and the platform changed, and the ledger knows.

use super::{Lab, findings, intrusion, same, t};
use crate::evidence::{Evidence, Role, whether};
use crate::sample;
use crate::target::As;
use crate::target::registry::{Registry, escape};
use crate::trail;
use anyhow::Context as _;
use http::Method;
use jinwu_identity::AdminRole::{AuditAdministrator as Audit, SecurityAdministrator as Security, SystemAdministrator as System};
use jinwu_model::ProtectionLevel;
use jinwu_standard::verdict::Answer;
use serde_json::{Value, json};

/// AU-1.C1, AU-2.C1: an audit log exists, is whole, and only the audit administrator reads it.
pub(super) async fn function(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let mut log = lab.log("GET /api/v1/ledger/head");
    let head = lab.get(&mut log, Audit, "/ledger/head").await?;
    let records = head["records"].as_u64().unwrap_or_default();
    out.push(log.prove(
        Role::State,
        t("有审计账本且在写入", "there is an audit ledger and it is being written"),
        t(format!("{records} 条记录"), format!("{records} records")),
        whether(records > 0),
    ));
    let mut log = lab.log("GET /api/v1/ledger/verify");
    let verified = lab.get(&mut log, Audit, "/ledger/verify").await?;
    out.push(log.prove(
        Role::State,
        t("账本的哈希链与签名校验完整", "the ledger's chain and signatures verify"),
        same(format!("intact={} records={} faults={}", verified["intact"], verified["records"], verified["faults"])),
        whether(verified["intact"] == true),
    ));
    let mut log = lab.log("GET /api/v1/ledger (system and security administrator)");
    let mut got = Vec::new();
    for role in [System, Security] {
        got.push(lab.target.api(&mut log, As::Admin(role), Method::GET, "/ledger", None).await?.status);
    }
    out.push(log.prove(
        Role::State,
        t("系统管理员与安全管理员不能读取审计账本(403)", "system and security administrator cannot read the ledger (403)"),
        same(format!("{got:?}")),
        whether(got.iter().all(|s| *s == 403)),
    ));
    Ok(())
}

/// AU-1.C2.
pub(super) async fn image_records(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    for (kind, zh, en) in [("push", "上传", "upload"), ("pull", "下载", "download")] {
        let mut log = lab.log(format!("GET /api/v1/ledger?kind={kind}"));
        let records = trail::find(lab.target, &mut log, &format!("kind={kind}&limit=100"), |_| true).await?;
        let lacking: Vec<String> = records
            .iter()
            .filter(|r| !trail::is_complete(r) || r["source"].as_str().is_none_or(|s| s.parse::<std::net::IpAddr>().is_err()))
            .map(trail::line)
            .collect();
        out.push(log.prove(
            Role::State,
            t(format!("最近的{zh}记录均有时间、类型、主体、客体、结果与访问源 IP"), format!("the latest {en} records all have time, type, subject, object, result and source IP")),
            if lacking.is_empty() {
                t(format!("{} 条,均完整", records.len()), format!("{} records, all complete", records.len()))
            } else {
                same(lacking.join("; "))
            },
            if records.is_empty() { Answer::Unknown } else { whether(lacking.is_empty()) },
        ));
    }
    Ok(())
}

/// AU-1.S1: different people in different projects move images; every movement is found.
pub(super) async fn image_use(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let ground = lab.ground()?;
    let image = sample::good().image;
    let mut log = lab.log("people of two projects");
    let first = ground.person(&mut log, "mover-a", &ground.own, "developer").await?;
    let second = ground.person(&mut log, "mover-b", &ground.other, "maintainer").await?;
    let (robot, secret) = ground.robot(&mut log, "mover", &[(&ground.other, &["repository:pull", "repository:push"])]).await?;
    let movers = [(&ground.own, first.name, first.secret), (&ground.other, second.name, second.secret), (&ground.other, robot, secret)];
    for (project, name, secret) in movers {
        let who = Registry::login(lab.target, &name, &secret);
        let repository = format!("{project}/moved");
        let tag = format!("by-{name}");
        let object = format!("{repository}:{tag}");
        let mut log = lab.log(format!("{name}: push and pull {object}; GET /api/v1/ledger"));
        ground.remember(&repository, &image.digest.to_string());
        let pushed = who.push(&mut log, &repository, &tag, &image).await?;
        let pulled = who.pull(&mut log, &repository, &tag).await?;
        anyhow::ensure!(pushed.status == 201 && pulled.status == 200, "push {} pull {}", pushed.status, pulled.status);
        for kind in ["push", "pull"] {
            let query = format!("kind={kind}&outcome=success&since={}&object={}", lab.since, escape(&object));
            let source = lab.target.source.to_string();
            let good = |r: &Value| {
                trail::is_complete(r)
                    && r["subject"]["name"] == name.as_str()
                    && r["source"] == source.as_str()
                    && r["object"] == object.as_str()
                    && r["detail"]["digest"] == image.digest.to_string()
                    && r["time"].as_i64().is_some_and(|t| t >= lab.since)
            };
            let mut log = lab.log(format!("GET /api/v1/ledger?{query}"));
            let records = trail::find(lab.target, &mut log, &query, |rs| rs.iter().any(good)).await?;
            let found = records.iter().find(|r| good(r));
            out.push(log.prove(
                Role::Trace,
                t(format!("{name} 的 {kind} 有记录:时间、主体、{object}、摘要、来源 {source}"), format!("the {kind} by {name} is recorded: time, subject, {object}, digest, source {source}")),
                found.map_or_else(|| t(format!("{} 条,均不符", records.len()), format!("{} records, none fits", records.len())), |r| same(trail::line(r))),
                whether(found.is_some()),
            ));
        }
        out.push(log.prove(
            Role::Control,
            t("上传与下载确已发生", "upload and download did happen"),
            same(format!("push {}, pull {}", pushed.status, pulled.status)),
            Answer::Affirmative,
        ));
    }
    Ok(())
}

/// Kinds of records about the platform itself.
const PLATFORM: [(&str, &str, &str); 5] =
    [("account", "账号", "accounts"), ("robot", "机器人账号", "robots"), ("project", "项目", "projects"), ("grant", "授权", "grants"), ("policy", "策略", "policies")];

/// AU-2.C2.
pub(super) async fn platform_records(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    for (kind, zh, en) in PLATFORM {
        let mut log = lab.log(format!("GET /api/v1/ledger?kind={kind}"));
        let records = trail::find(lab.target, &mut log, &format!("kind={kind}&limit=100"), |_| true).await?;
        let lacking: Vec<String> = records.iter().filter(|r| !trail::is_complete(r)).map(trail::line).collect();
        out.push(log.prove(
            Role::State,
            t(format!("{zh}事件的记录有时间、类型、主体、客体与结果"), format!("records about {en} have time, type, subject, object and result")),
            if lacking.is_empty() {
                t(format!("{} 条,均完整", records.len()), format!("{} records, all complete", records.len()))
            } else {
                same(lacking.join("; "))
            },
            if records.is_empty() { Answer::Unknown } else { whether(lacking.is_empty()) },
        ));
    }
    // The settings its events come by.
    if lab.cluster.is_some() { findings(lab, out, "AU-2").await } else { Ok(()) }
}

/// One change and the record it must leave.
struct Deed {
    kind: &'static str,
    action: &'static str,
    object: String,
    subject: String,
}

/// AU-2.S1: every kind of resource is made, changed and destroyed by those who may; every act is found.
pub(super) async fn platform_use(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let ground = lab.ground()?;
    let mut log = lab.log("create, change and destroy: project, robot, account, grant, policy mode, exception");
    let name_of = async |log: &mut crate::evidence::Log, role| {
        let me = lab.get(log, role, "/me").await?;
        Ok::<_, anyhow::Error>(me["name"].as_str().context("no name in /me")?.to_owned())
    };
    let (system, security) = (name_of(&mut log, System).await?, name_of(&mut log, Security).await?);
    let mut deeds: Vec<Deed> = Vec::new();
    let mut deed = |kind, action, object: String, subject: &str| deeds.push(Deed { kind, action, object, subject: subject.to_owned() });

    let project = format!("{}-c", ground.prefix());
    ground.project(&mut log, &project, lab.level).await?;
    deed("project", "create", format!("project:{project}"), &system);
    let other = if lab.level == ProtectionLevel::ONE { ProtectionLevel::TWO } else { ProtectionLevel::ONE };
    lab.target.act(&mut log, As::Admin(Security), Method::PUT, &format!("/projects/{project}/level"), Some(&json!({"level": other}))).await?;
    deed("policy", "level-set", format!("project:{project}"), &security);
    let policy = jinwu_model::PolicyId("exposed-ssh".into());
    ground.switch(&mut log, &project, &policy, Some(jinwu_model::Mode::Alert)).await?;
    deed("policy", "mode-set", format!("policy:{policy}"), &security);

    let body = json!({"policy": policy, "project": project, "reason": "assessment drill, removed at its end", "days": 1});
    let exception = lab.target.act(&mut log, As::Admin(System), Method::POST, "/exceptions", Some(&body)).await?;
    let exception = exception["id"].as_str().context("the exception has no id")?.to_owned();
    deed("exception", "propose", format!("exception:{exception}"), &system);
    lab.target.act(&mut log, As::Admin(Security), Method::POST, &format!("/exceptions/{exception}/approve"), None).await?;
    deed("exception", "approve", format!("exception:{exception}"), &security);
    lab.target.act(&mut log, As::Admin(Security), Method::DELETE, &format!("/exceptions/{exception}"), None).await?;
    deed("exception", "remove", format!("exception:{exception}"), &security);

    let (robot, _) = ground.robot(&mut log, "deeds", &[(&project, &["repository:pull"])]).await?;
    deed("robot", "create", format!("robot:{robot}"), &system);
    lab.target.act(&mut log, As::Admin(System), Method::POST, &format!("/robots/{robot}/rotate"), None).await?;
    deed("robot", "rotate", format!("robot:{robot}"), &system);
    lab.target.act(&mut log, As::Admin(System), Method::POST, &format!("/robots/{robot}/disable"), None).await?;
    deed("robot", "disable", format!("robot:{robot}"), &system);
    ground.drop_robot(&mut log, &robot).await?;
    deed("robot", "delete", format!("robot:{robot}"), &system);

    let (account, _) = ground.account(&mut log, "deeds-account").await?;
    deed("account", "create", format!("account:{account}"), &system);
    let grant = ground.grant(&mut log, json!({"change": "member", "project": project, "account": account, "role": "guest"})).await?;
    deed("grant", "approve", format!("grant:{grant}"), &security);
    lab.target.act(&mut log, As::Admin(System), Method::DELETE, &format!("/projects/{project}/members/{account}"), None).await?;
    deed("project", "member-remove", format!("project:{project}"), &system);
    lab.target.act(&mut log, As::Admin(System), Method::POST, &format!("/accounts/{account}/disable"), None).await?;
    deed("account", "disable", format!("account:{account}"), &system);
    ground.drop_project(&mut log, &project).await?;
    deed("project", "delete", format!("project:{project}"), &system);
    out.push(log.prove(
        Role::Control,
        t("创建、更新、销毁操作确已发生", "the creations, changes and destructions did happen"),
        t(format!("{} 项操作", deeds.len()), format!("{} acts", deeds.len())),
        Answer::Affirmative,
    ));

    let source = lab.target.source.to_string();
    let mut by_kind: std::collections::BTreeMap<&str, Vec<&Deed>> = std::collections::BTreeMap::new();
    for deed in &deeds {
        by_kind.entry(deed.kind).or_default().push(deed);
    }
    for (kind, deeds) in by_kind {
        let query = format!("kind={kind}&outcome=success&since={}&limit=1000", lab.since);
        let mut log = lab.log(format!("GET /api/v1/ledger?{query}"));
        let is = |r: &Value, d: &Deed| {
            trail::is_complete(r)
                && r["action"] == d.action
                && r["object"] == d.object.as_str()
                && r["subject"]["name"] == d.subject.as_str()
                && r["source"] == source.as_str()
        };
        let records = trail::find(lab.target, &mut log, &query, |rs| deeds.iter().all(|d| rs.iter().any(|r| is(r, d)))).await?;
        let missing: Vec<String> =
            deeds.iter().filter(|d| !records.iter().any(|r| is(r, d))).map(|d| format!("{} {} by {}", d.action, d.object, d.subject)).collect();
        let acts: Vec<&str> = deeds.iter().map(|d| d.action).collect();
        out.push(log.prove(
            Role::Trace,
            t(format!("{kind}:{} 均有记录(主体、客体、来源 {source}、成功)", acts.join("、")), format!("{kind}: {} all recorded (subject, object, source {source}, success)", acts.join(", "))),
            if missing.is_empty() { t(format!("{} 条均找到", deeds.len()), format!("all {} found", deeds.len())) } else { same(format!("missing: {}", missing.join("; "))) },
            whether(missing.is_empty()),
        ));
    }
    if lab.cluster.is_some() {
        intrusion::platform_use(lab, out).await?;
    }
    Ok(())
}
