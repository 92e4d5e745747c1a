//! Logging in and out, passwords, registry credentials.

use super::{Answer, ApiError, Call, Endpoint, Who, json};
use http::Method;
use jinwu_identity::IdentityError;
use jinwu_model::{Kind, Outcome, Subject};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    name: String,
    password: String,
    #[serde(default)]
    code: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    old: String,
    new: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CredentialLife {
    /// Minutes, at most 720.
    minutes: Option<i64>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint { method: Method::POST, path: "/login", who: Who::Anyone, summary: "登录:口令加动态验证码 / log in with password and TOTP code", run: |c| Box::pin(login(c)) },
        Endpoint { method: Method::POST, path: "/logout", who: Who::Session, summary: "退出 / log out", run: |c| Box::pin(logout(c)) },
        Endpoint { method: Method::GET, path: "/me", who: Who::Session, summary: "当前账号 / the account of this session", run: |c| Box::pin(me(c)) },
        Endpoint { method: Method::POST, path: "/password", who: Who::Session, summary: "修改口令 / change the password", run: |c| Box::pin(password(c)) },
        Endpoint { method: Method::POST, path: "/registry-credential", who: Who::Session, summary: "签发短期仓库凭据 / issue a short-lived registry credential", run: |c| Box::pin(credential(c)) },
    ]
}

async fn login(call: Call) -> Answer {
    let ask: Login = call.read()?;
    let (app, name) = (call.app.clone(), ask.name.clone());
    let result = tokio::task::spawn_blocking(move || app.identity.login(&ask.name, &ask.password, ask.code.as_deref()))
        .await
        .map_err(ApiError::unavailable)?;
    let shown: String = name.chars().take(64).collect();
    let entry = call.entry(Kind::Login, "login", &format!("account:{shown}"));
    match result {
        Ok(done) => {
            let mut record = entry.with("two_factor", done.session.two_factor);
            record.subject = Subject::user(done.account.name.as_str());
            if let Err(error) = call.record(vec![record]).await {
                // A session that could not be recorded must not be.
                let _ = call.app.identity.logout(done.token.reveal());
                return Err(error);
            }
            json(json!({
                "token": done.token.reveal(), "name": done.account.name, "role": done.account.role,
                "two_factor": done.session.two_factor, "initial_password": done.account.initial,
            }))
        }
        Err(error) => {
            let mut record = entry.outcome(Outcome::Denied).with("reason", reason(&error));
            record.subject = Subject { name: shown, ..Subject::anonymous() };
            call.record(vec![record]).await?;
            Err(error.into())
        }
    }
}

fn reason(error: &IdentityError) -> &'static str {
    match error {
        IdentityError::CodeUsed => "code used already",
        IdentityError::Locked { .. } => "account locked",
        _ => "name, password or code is wrong",
    }
}

async fn logout(call: Call) -> Answer {
    let token = call.who()?.token.clone();
    call.change(call.entry(Kind::Logout, "logout", "session"), move |app| app.identity.logout(&token)).await?;
    json(json!({}))
}

async fn me(call: Call) -> Answer {
    let caller = call.who()?;
    let projects: std::collections::BTreeMap<String, String> = call
        .app
        .identity
        .projects()
        .into_iter()
        .filter_map(|p| p.members.get(&caller.account.name).map(|role| (p.name.to_string(), role.clone())))
        .collect();
    json(json!({
        "name": caller.account.name, "role": caller.account.role, "two_factor": caller.session.two_factor,
        "initial_password": caller.account.initial, "projects": projects, "source": call.source,
    }))
}

async fn password(call: Call) -> Answer {
    let ask: NewPassword = call.read()?;
    let name = call.who()?.account.name.clone();
    let entry = call.entry(Kind::Account, "password-change", &format!("account:{name}"));
    call.change(entry, move |app| {
        app.identity.change_password(&name, &ask.old, &ask.new)?;
        crate::initial::forget(&app.config, &name);
        Ok::<_, IdentityError>(())
    })
    .await?;
    json(json!({}))
}

async fn credential(call: Call) -> Answer {
    let ask: CredentialLife = if call.body.is_null() { CredentialLife::default() } else { call.read()? };
    let life = ask.minutes.unwrap_or(60).saturating_mul(60_000);
    let token = call.who()?.token.clone();
    let (name, secret, expires) =
        call.change(call.entry(Kind::Token, "registry-credential", "registry"), move |app| app.identity.issue_credential(&token, life)).await?;
    json(json!({"name": name, "secret": secret.reveal(), "expires": expires}))
}
