//! Acting as an account.
//!
//! Sessions are kept in `<data>/run/sessions/<account>`, mode 0600. Where there is none, and the
//! initial credentials still stand, the command logs in with those; once they were changed, a
//! person logs in with `jinwu login`.

use crate::output::say;
use crate::Common;
use crate::client::{Client, Refused};
use anyhow::{Context as _, bail};
use http::StatusCode;
use jinwu_identity::AdminRole;
use jinwu_identity::setup::Initial;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Serialize, Deserialize)]
struct Kept {
    name: String,
    role: Option<AdminRole>,
    token: String,
}

/// A client acting as `--as`, or as an account of the wanted role.
pub(crate) async fn open(common: &Common, role: AdminRole) -> anyhow::Result<Client> {
    let mut client = Client::new(&common.data);
    for kept in kept(common) {
        let wanted = common.account.as_ref().map_or(kept.role == Some(role), |name| *name == kept.name);
        if !wanted {
            continue;
        }
        client.token = Some(kept.token);
        match client.get("/me").await {
            Ok(_) => return Ok(client),
            Err(error) if status(&error) == Some(StatusCode::UNAUTHORIZED) => drop(std::fs::remove_file(path(common, &kept.name))),
            Err(error) => return Err(error),
        }
    }
    client.token = None;
    let initial = initial(common);
    let account = initial.iter().flat_map(|i| &i.accounts).find(|a| common.account.as_ref().map_or(a.role == role, |name| *name == a.name));
    let Some(account) = account else {
        let who = common.account.clone().unwrap_or_else(|| format!("{} ({})", role.zh(), role.as_str()));
        bail!("需要以 {who} 登录:jinwu login 账号 / log in as {who} first: jinwu login ACCOUNT");
    };
    log_in(common, &mut client, &account.name, &account.password, || jinwu_identity::setup::code_at(&account.totp, now())).await?;
    Ok(client)
}

/// Logs in and keeps the session. A code that was used already in this half minute is waited out.
async fn log_in(common: &Common, client: &mut Client, name: &str, password: &str, code: impl Fn() -> Option<String>) -> anyhow::Result<()> {
    for attempt in 0..2 {
        let answer = client.post("/login", &json!({"name": name, "password": password, "code": code()})).await;
        match answer {
            Ok(value) => {
                let token = value["token"].as_str().unwrap_or_default().to_owned();
                let role = serde_json::from_value(value["role"].clone()).unwrap_or_default();
                keep(common, &Kept { name: name.to_owned(), role, token: token.clone() })?;
                client.token = Some(token);
                return Ok(());
            }
            Err(error) if attempt == 0 && error.downcast_ref::<Refused>().is_some_and(|r| r.code == "code-used") => {
                let wait = 30_000 - now().rem_euclid(30_000) + 200;
                eprintln!("验证码已用过,等待下一个({} 秒)/ waiting for the next code ({} s)", wait / 1000, wait / 1000);
                tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())).await;
            }
            Err(error) => return Err(error),
        }
    }
    bail!("登录失败 / login failed")
}

pub(crate) async fn login_command(common: &Common, name: &str) -> anyhow::Result<ExitCode> {
    let mut client = Client::new(&common.data);
    let password = secret("JINWU_PASSWORD", "口令 / password: ")?;
    let code = secret("JINWU_CODE", "动态验证码 / code (empty: none): ")?;
    let code = Some(code).filter(|c| !c.is_empty());
    let body = json!({"name": name, "password": password, "code": code});
    let value = client.post("/login", &body).await?;
    let token = value["token"].as_str().unwrap_or_default().to_owned();
    client.token = Some(token.clone());
    keep(common, &Kept { name: name.to_owned(), role: serde_json::from_value(value["role"].clone()).unwrap_or_default(), token })?;
    say!("{}", common.lang.pick("已登录", "logged in"));
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn logout_command(common: &Common, name: &str) -> anyhow::Result<ExitCode> {
    let Some(kept) = kept(common).into_iter().find(|k| k.name == name) else {
        bail!("{name} 没有会话 / {name} has no session");
    };
    let mut client = Client::new(&common.data);
    client.token = Some(kept.token);
    let result = client.post("/logout", &json!({})).await;
    std::fs::remove_file(path(common, name))?;
    result?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn password_command(common: &Common, name: &str) -> anyhow::Result<ExitCode> {
    let as_named = Common { account: Some(name.to_owned()), ..common.clone() };
    // The role plays no part where the account is named.
    let client = open(&as_named, AdminRole::SystemAdministrator).await?;
    let old = match initial(common).and_then(|i| i.accounts.into_iter().find(|a| a.name == name)) {
        Some(account) => account.password,
        None => secret("JINWU_PASSWORD", "原口令 / present password: ")?,
    };
    let new = secret("JINWU_NEW_PASSWORD", "新口令 / new password: ")?;
    client.post("/password", &json!({"old": old, "new": new})).await?;
    say!("{}", common.lang.pick("口令已修改;该账号的其他会话均已结束", "password changed; the account's other sessions have ended"));
    Ok(ExitCode::SUCCESS)
}

/// The initial credentials that still stand.
pub(crate) fn initial(common: &Common) -> Option<Initial> {
    serde_json::from_slice(&std::fs::read(common.data.join("initial-credentials.json")).ok()?).ok()
}

fn path(common: &Common, name: &str) -> PathBuf {
    common.data.join("run").join("sessions").join(name.replace('/', "_"))
}

fn keep(common: &Common, kept: &Kept) -> anyhow::Result<()> {
    let path = path(common, &kept.name);
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    Ok(jinwu_trust::files::write(&path, &serde_json::to_vec(kept)?, 0o600)?)
}

fn kept(common: &Common) -> Vec<Kept> {
    let Ok(entries) = std::fs::read_dir(common.data.join("run").join("sessions")) else { return vec![] };
    entries.flatten().filter_map(|e| serde_json::from_slice(&std::fs::read(e.path()).ok()?).ok()).collect()
}

fn status(error: &anyhow::Error) -> Option<StatusCode> {
    error.downcast_ref::<Refused>().map(|r| r.status)
}

/// From the environment, or asked for without echo.
fn secret(variable: &str, prompt: &str) -> anyhow::Result<String> {
    match std::env::var(variable) {
        Ok(value) => Ok(value),
        Err(_) => rpassword::prompt_password(prompt).with_context(|| format!("no terminal to ask on; set {variable}")),
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}
