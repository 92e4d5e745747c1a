//! IA-2: who may come to the registry, and over which protocol.

use super::{Lab, same, t, tls};
use crate::evidence::{Evidence, Role, whether};
use crate::sample;
use crate::target::probe::{self, LEGACY_SUITES};
use crate::target::registry::{Registry, escape};
use crate::target::{As, Reply};
use crate::trail;
use base64::Engine as _;
use http::Method;
use jinwu_identity::AdminRole::SystemAdministrator as System;
use jinwu_model::Text;
use jinwu_standard::verdict::Answer;
use serde_json::json;

/// IA-2.C1.
pub(super) async fn mechanism(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let mut log = lab.log("GET /v2/");
    let reply = Registry::nobody(lab.target).bare(&mut log, Method::GET, "/v2/", None).await?;
    let challenge = reply.header("www-authenticate").unwrap_or_default().to_owned();
    out.push(log.prove(
        Role::State,
        t("未带凭据的请求得到 401 与 Bearer 令牌质询", "a request without credentials gets 401 and a Bearer challenge"),
        same(format!("{} {challenge}", reply.status)),
        whether(reply.status == 401 && challenge.starts_with("Bearer realm=\"https://")),
    ));
    factors(lab, out).await?;
    let mut log = lab.log("GET /api/v1/robots");
    let robots = lab.get(&mut log, System, "/robots").await?;
    let now = crate::ground::now();
    let year = 366 * 24 * 3600 * 1000;
    let endless: Vec<&str> = robots["robots"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|r| r["expires"].as_i64().is_none_or(|e| e > now + year))
        .filter_map(|r| r["name"].as_str())
        .collect();
    out.push(log.prove(
        Role::State,
        t("机器人账号均有期限(不超过一年)", "every robot account expires within a year"),
        t(format!("无期限者:{endless:?}"), format!("without expiry: {endless:?}")),
        whether(endless.is_empty()),
    ));
    Ok(())
}

/// People have two factors where the level asks for them.
pub(super) async fn factors(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let mut log = lab.log("GET /api/v1/status");
    let status = lab.get(&mut log, System, "/status").await?;
    let two = status["two_factor_required"] == true;
    out.push(log.prove(
        Role::State,
        t("三级及以上:人员须双因素(口令加动态验证码)会话方可取得仓库凭据", "from level 3 on people get registry credentials in a two-factor session (password and TOTP) only"),
        same(format!("two_factor_required={two}")),
        if lab.level.get() >= 3 { whether(two) } else { Answer::Affirmative },
    ));
    let mut log = lab.log("GET /api/v1/accounts");
    let accounts = lab.get(&mut log, System, "/accounts").await?;
    let one: Vec<String> = accounts["accounts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|a| a["disabled"] != true && a["second_factor"] != true)
        .filter_map(|a| a["name"].as_str().map(str::to_owned))
        .collect();
    let all = accounts["accounts"].as_array().map_or(0, Vec::len);
    out.push(log.prove(
        Role::State,
        t("每个启用的账号都有第二因素(三级及以上)", "every enabled account has a second factor (from level 3 on)"),
        t(format!("账号 {all} 个,缺第二因素:{one:?}"), format!("{all} accounts, without a second factor: {one:?}")),
        if lab.level.get() >= 3 { whether(one.is_empty() && all > 0) } else { whether(all > 0) },
    ));
    Ok(())
}

/// IA-2.C2.
pub(super) async fn secure_protocol(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    tls::strong(lab.target.port(), |command| lab.log(command), "/v2/", out).await
}

/// IA-2.S1.
pub(super) async fn intrusion(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let ground = lab.ground()?;
    let repository = format!("{}/base", ground.own);
    let good = sample::good().image;
    let layer = good.layers.first().map(|l| l.digest.to_string()).unwrap_or_default();
    let requests: Vec<(Method, String)> = vec![
        (Method::GET, "/v2/".into()),
        (Method::GET, "/v2/_catalog".into()),
        (Method::GET, format!("/v2/{repository}/tags/list")),
        (Method::GET, format!("/v2/{repository}/manifests/latest")),
        (Method::HEAD, format!("/v2/{repository}/manifests/latest")),
        (Method::GET, format!("/v2/{repository}/blobs/{layer}")),
        (Method::GET, format!("/v2/{repository}/referrers/{}", good.digest)),
        (Method::POST, format!("/v2/{repository}/blobs/uploads/")),
        (Method::DELETE, format!("/v2/{repository}/manifests/{}", good.digest)),
        (Method::GET, "/api/v1/ledger".into()),
        (Method::GET, "/api/v1/accounts".into()),
        (Method::GET, "/api/v1/policies".into()),
    ];
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let basic = |name: &str, secret: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{secret}")));
    let claims = json!({"iss": "jinwu", "sub": ground.ci_name(), "aud": "jinwu", "exp": 4_102_444_800u64, "nbf": 0, "iat": 0,
        "access": [{"type": "repository", "name": repository, "actions": ["pull", "push", "delete"]}]});
    let forged = format!("{}.{}.", engine.encode(r#"{"alg":"none","typ":"JWT"}"#), engine.encode(claims.to_string()));
    let secret = ground.ci_secret();
    // The last character changed: everything else about it is right.
    let near: String = secret.chars().take(secret.len().saturating_sub(1)).chain([if secret.ends_with('A') { 'B' } else { 'A' }]).collect();
    let attempts: Vec<(&str, &str, Option<String>)> = vec![
        ("匿名", "nobody", None),
        ("机器人账号加错误密钥", "the robot's name with a wrong secret", Some(basic(&ground.ci_name(), &near))),
        ("不存在的账号", "an account that does not exist", Some(basic(&format!("{}-nobody", ground.prefix()), &near))),
        ("空口令", "an empty password", Some(basic(&ground.ci_name(), ""))),
        ("伪造令牌(alg none)", "a forged token (alg none)", Some(format!("Bearer {forged}"))),
        ("任意令牌", "an arbitrary token", Some(format!("Bearer {}", jinwu_trust::random::password(48)))),
    ];
    let nobody = Registry::nobody(lab.target);
    for (zh, en, authorization) in &attempts {
        let mut log = lab.log(format!("{} requests as {en}", requests.len()));
        let mut got = Vec::new();
        for (method, path) in &requests {
            let reply = nobody.bare(&mut log, method.clone(), path, authorization.as_deref()).await?;
            if reply.status != 401 {
                got.push(format!("{method} {path}: {}", reply.status));
            }
        }
        let actual = if got.is_empty() { t(format!("{} 个请求均为 401", requests.len()), format!("all {} requests: 401", requests.len())) } else { same(got.join("; ")) };
        // 400 and 404 give nothing away; anything that succeeded does.
        let through = got.iter().any(|g| [": 200", ": 201", ": 202", ": 204", ": 206", ": 307"].iter().any(|s| g.ends_with(s)));
        let answer = if got.is_empty() { Answer::Affirmative } else if through { Answer::Negative } else { Answer::Unknown };
        out.push(log.prove(Role::Attack, t(format!("{zh}:每个请求均为 401,不返回内容"), format!("{en}: every request gets 401 and no content")), actual, answer));
    }
    tokens(lab, out, &repository, &near).await?;
    traces(lab, out, &repository).await?;
    out.push(tls::plain(lab.target.port(), lab.log(""), Role::Attack, &format!("/v2/{repository}/manifests/latest")).await?);
    let mut log = lab.log("ClientHello TLS 1.0");
    let hello = probe::hello(lab.target.port(), &mut log, 0x0301, &LEGACY_SUITES).await?;
    out.push(tls::refused(log, Role::Attack, "以 TLS 1.0 连接被拒绝".into(), "connecting with TLS 1.0 is refused".into(), &hello));
    let mut log = lab.log(format!("pull {repository}:latest with the right secret"));
    let reply = ground.ci()?.pull(&mut log, &repository, "latest").await?;
    out.push(log.prove(
        Role::Control,
        t("对照:凭据正确时可拉取同一镜像(200)", "control: with the right secret the same image is pulled (200)"),
        same(reply.status.to_string()),
        whether(reply.status == 200),
    ));
    Ok(())
}

/// The token service gives nobody a token that opens anything.
async fn tokens(lab: &Lab<'_>, out: &mut Vec<Evidence>, repository: &str, near: &str) -> anyhow::Result<()> {
    let path = format!("/token?service=jinwu&scope={}", escape(&format!("repository:{repository}:pull,push")));
    let ci = lab.ground()?.ci_name();
    for (zh, en, who) in [
        ("匿名申请令牌", "a token for nobody", Registry::nobody(lab.target)),
        ("以错误密钥申请令牌", "a token for a wrong secret", Registry::login(lab.target, &ci, near)),
    ] {
        let mut log = lab.log(format!("GET {path} ({en})"));
        let reply = who.ask(&mut log, &path).await?;
        let opened = match reply.json()["token"].as_str() {
            None => None,
            Some(token) => {
                let manifest = format!("/v2/{repository}/manifests/latest");
                Some(Registry::nobody(lab.target).bare(&mut log, Method::GET, &manifest, Some(&format!("Bearer {token}"))).await?)
            }
        };
        let (actual, answer) = match (&reply, &opened) {
            (_, Some(Reply { status: 200, .. })) => (t("所得令牌可以拉取镜像", "the token pulls images"), Answer::Negative),
            (_, Some(other)) => (same(format!("{}, token opens nothing: {}", reply.status, other.status)), whether(matches!(other.status, 401 | 403))),
            (reply, None) => (same(reply.status.to_string()), if reply.status == 401 { Answer::Affirmative } else { Answer::Unknown }),
        };
        out.push(log.prove(Role::Attack, t(format!("{zh}:401,或令牌不含任何权限"), format!("{en}: 401, or a token that opens nothing")), actual, answer));
    }
    // An administrator's session is no registry token, and a registry token no session.
    let mut log = lab.log("GET /api/v1/ledger with a registry token");
    let challenge = Registry::nobody(lab.target).bare(&mut log, Method::GET, &format!("/v2/{repository}/manifests/latest"), None).await?;
    let token = lab.ground()?.ci()?.token(&mut log, &challenge).await?.unwrap_or_default();
    let reply = lab.target.api(&mut log, As::Token(&token), Method::GET, "/ledger", None).await?;
    out.push(log.prove(
        Role::Attack,
        t("仓库令牌不能用于管理接口(401)", "a registry token is no session of the API (401)"),
        same(reply.status.to_string()),
        match reply.status {
            401 | 403 if !token.is_empty() => Answer::Affirmative,
            200 => Answer::Negative,
            _ => Answer::Unknown,
        },
    ));
    Ok(())
}

/// The attempts stand in the ledger with their source.
async fn traces(lab: &Lab<'_>, out: &mut Vec<Evidence>, repository: &str) -> anyhow::Result<()> {
    let source = lab.target.source.to_string();
    let ci = lab.ground()?.ci_name();
    type Is = fn(&serde_json::Value) -> bool;
    let looks: [(Text, String, Is); 3] = [
        (
            t("匿名访问被记录:拒绝、客体、来源", "anonymous access is recorded: denial, object, source"),
            format!("kind=denial&since={}&object={repository}", lab.since),
            |r| r["subject"]["kind"] == "anonymous" && r["subject"]["name"] == "",
        ),
        (
            t("错误凭据被记录:拒绝、自称的主体、来源", "wrong credentials are recorded: denial, claimed subject, source"),
            format!("kind=denial&since={}&subject={ci}", lab.since),
            |r| r["subject"]["kind"] == "anonymous",
        ),
        (
            t("未登录访问管理接口被记录", "access to the API without a session is recorded"),
            format!("kind=denial&since={}&object=api:/ledger", lab.since),
            |r| r["subject"]["kind"] == "anonymous",
        ),
    ];
    for (expected, query, is) in looks {
        let mut log = lab.log(format!("GET /api/v1/ledger?{query}"));
        let good = |r: &serde_json::Value| is(r) && r["outcome"] == "denied" && r["source"] == source.as_str() && trail::is_complete(r);
        let records = trail::find(lab.target, &mut log, &query, |rs| rs.iter().any(good)).await?;
        let found = records.iter().find(|r| good(r));
        let actual = found.map_or_else(|| t(format!("{} 条,均不符", records.len()), format!("{} records, none fits", records.len())), |r| same(trail::line(r)));
        out.push(log.prove(Role::Trace, expected, actual, whether(found.is_some())));
    }
    Ok(())
}
