//! Where the server is and how to speak to it.

use crate::output::say;
use crate::client::Client;
use crate::{Common, output, session};
use jinwu_identity::AdminRole;
use serde_json::{Value, json};
use std::process::ExitCode;

/// What `serve` leaves for others to find it by.
fn endpoint(common: &Common) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(common.data.join("run").join("server.json")).ok()?).ok()
}

pub(crate) fn info(common: &Common) -> anyhow::Result<ExitCode> {
    let Some(at) = endpoint(common) else {
        anyhow::bail!("{} 中没有服务 / no server has run on {}", common.data.display(), common.data.display());
    };
    let initial = session::initial(common);
    let value = json!({
        "registry": at["registry"], "api": at["api"],
        "ca": common.data.join("tls").join("ca.crt"), "data": common.data,
        "accounts": initial.as_ref().map(|i| json!(i.accounts)).unwrap_or(json!([])),
        "robot": initial.as_ref().map(|i| json!(i.robot)).unwrap_or(Value::Null),
    });
    if common.json {
        say!("{value}");
        return Ok(ExitCode::SUCCESS);
    }
    let lang = common.lang;
    say!("{}  {}", lang.pick("镜像仓库", "registry"), output::text(&value, "registry"));
    say!("{}  {}", lang.pick("管理接口", "API     "), output::text(&value, "api"));
    say!("{}  {}", lang.pick("CA 证书 ", "CA      "), output::text(&value, "ca"));
    say!("{}  {}", lang.pick("数据目录", "data    "), output::text(&value, "data"));
    match initial {
        None => say!("{}", lang.pick("初始凭据均已更改", "the initial credentials were all changed")),
        Some(initial) => {
            say!();
            let rows: Vec<Vec<String>> = initial
                .accounts
                .iter()
                .map(|a| vec![lang.pick(a.role.zh(), a.role.as_str()).to_owned(), a.name.clone(), a.password.clone(), a.totp.clone()])
                .collect();
            let header = match lang {
                output::Lang::Zh => ["角色", "账号", "初始口令", "TOTP 种子"],
                output::Lang::En => ["role", "account", "initial password", "TOTP seed"],
            };
            output::table(&header, &rows);
            if !initial.robot.secret.is_empty() {
                say!("{}  {}  {}", lang.pick("机器人账号", "robot"), initial.robot.name, initial.robot.secret);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn status(common: &Common) -> anyhow::Result<ExitCode> {
    let ready = Client::new(&common.data).get("/health").await;
    let value = match (&ready, endpoint(common)) {
        (Ok(health), Some(at)) => json!({"server": {"pid": at["pid"], "ready": health["ready"]}, "registry": at["registry"], "api": at["api"]}),
        _ => json!({"server": {"pid": null, "ready": false}}),
    };
    if common.json {
        say!("{value}");
    } else {
        match &ready {
            Ok(_) => {
                say!("{} {}", common.lang.pick("运行中", "running"), value["api"].as_str().unwrap_or_default());
                if let Ok(client) = session::open(common, AdminRole::SystemAdministrator).await
                    && let Ok(more) = client.get("/status").await
                {
                    output::json(&more);
                }
            }
            Err(error) => say!("{}: {error:#}", common.lang.pick("未运行", "not running")),
        }
    }
    Ok(if ready.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
