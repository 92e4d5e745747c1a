//! Accounts, robots, grants, projects.

use crate::output::say;
use crate::client::escape;
use crate::{Common, output, session};
use clap::Subcommand;
use http::Method;
use jinwu_identity::AdminRole;
use jinwu_identity::AdminRole::{SecurityAdministrator as Security, SystemAdministrator as System};
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum Account {
    List,
    /// 新建账号 / create an account without any role
    Create { name: String },
    /// 重置口令与第二因素 / reset password and second factor
    Reset { name: String },
    Disable { name: String },
    Enable { name: String },
    Unlock { name: String },
}

#[derive(Subcommand)]
pub(crate) enum Robot {
    List,
    /// 新建;获批授权前无权限 / create; it may do nothing until a grant is approved
    Create {
        name: String,
        #[arg(long, default_value_t = 90)]
        days: i64,
    },
    Rotate { name: String },
    /// 立即撤销 / revoke at once
    Revoke { name: String },
    Enable { name: String },
    Delete { name: String },
}

#[derive(Subcommand)]
pub(crate) enum Grant {
    List,
    /// 申请管理角色 / propose an administrator's role
    AdminRole { account: String, role: String, #[arg(long)] reason: String },
    /// 申请项目角色 / propose a project role
    Member { project: String, account: String, role: String, #[arg(long)] reason: String },
    /// 申请机器人权限,如 demo=repository:pull,repository:push / propose a robot's actions
    Robot { robot: String, #[arg(required = true)] grants: Vec<String>, #[arg(long)] reason: String },
    Approve { id: String },
    Reject { id: String },
}

#[derive(Subcommand)]
pub(crate) enum Project {
    List,
    Create { name: String, #[arg(long)] level: u8 },
    /// 设置保护等级(安全管理员)/ set the protection level
    Level { name: String, level: u8 },
    /// 移除成员 / remove a member
    RemoveMember { name: String, account: String },
}

/// Calls, prints the answer as JSON where it says something.
pub(super) async fn act(common: &Common, role: AdminRole, method: Method, path: String, body: Option<Value>) -> anyhow::Result<ExitCode> {
    let answer = session::open(common, role).await?.call(method, &path, body.as_ref()).await?;
    if common.json || answer.as_object().is_some_and(|o| !o.is_empty()) {
        output::json(&answer);
    } else {
        say!("{}", common.lang.pick("完成", "done"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists a member of an answer as a table of some of its members.
async fn list(common: &Common, role: AdminRole, path: &str, member: &str, columns: &[&str]) -> anyhow::Result<ExitCode> {
    let answer = session::open(common, role).await?.get(path).await?;
    if common.json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> =
        answer[member].as_array().into_iter().flatten().map(|entry| columns.iter().map(|c| output::text(entry, c)).collect()).collect();
    output::table(columns, &rows);
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn account(common: &Common, command: Account) -> anyhow::Result<ExitCode> {
    let of = |name: &str, verb: &str| format!("/accounts/{}/{verb}", escape(name));
    let (path, body) = match command {
        Account::List => return list(common, System, "/accounts", "accounts", &["name", "role", "disabled", "locked", "initial_password"]).await,
        Account::Create { name } => ("/accounts".to_owned(), Some(json!({ "name": name }))),
        Account::Reset { name } => (of(&name, "reset"), None),
        Account::Disable { name } => (of(&name, "disable"), None),
        Account::Enable { name } => (of(&name, "enable"), None),
        Account::Unlock { name } => (of(&name, "unlock"), None),
    };
    act(common, System, Method::POST, path, body).await
}

pub(crate) async fn robot(common: &Common, command: Robot) -> anyhow::Result<ExitCode> {
    let of = |name: &str, verb: &str| format!("/robots/{}/{verb}", escape(name));
    let (method, path, body) = match command {
        Robot::List => return list(common, System, "/robots", "robots", &["name", "approved", "disabled", "expires", "grants"]).await,
        Robot::Create { name, days } => (Method::POST, "/robots".to_owned(), Some(json!({"name": name, "days": days}))),
        Robot::Rotate { name } => (Method::POST, of(&name, "rotate"), None),
        Robot::Revoke { name } => (Method::POST, of(&name, "disable"), None),
        Robot::Enable { name } => (Method::POST, of(&name, "enable"), None),
        Robot::Delete { name } => (Method::DELETE, format!("/robots/{}", escape(&name)), None),
    };
    act(common, System, method, path, body).await
}

pub(crate) async fn grant(common: &Common, command: Grant) -> anyhow::Result<ExitCode> {
    let propose = |body| (System, "/grants".to_owned(), Some(body));
    let (role, path, body) = match command {
        Grant::List => {
            return list(common, System, "/grants", "grants", &["id", "state", "change", "account", "robot", "role", "project", "proposer", "reason"]).await;
        }
        Grant::AdminRole { account, role, reason } => {
            let role: AdminRole = role.parse()?;
            propose(json!({"change": "admin-role", "account": account, "role": role, "reason": reason}))
        }
        Grant::Member { project, account, role, reason } => {
            propose(json!({"change": "member", "project": project, "account": account, "role": role, "reason": reason}))
        }
        Grant::Robot { robot, grants, reason } => {
            let mut map = serde_json::Map::new();
            for grant in grants {
                let (project, actions) = grant.split_once('=').ok_or_else(|| anyhow::anyhow!("{grant}: 应为 项目=动作,动作 / expected project=action,action"))?;
                map.insert(project.to_owned(), json!(actions.split(',').collect::<Vec<_>>()));
            }
            propose(json!({"change": "robot", "robot": robot, "grants": map, "reason": reason}))
        }
        Grant::Approve { id } => (Security, format!("/grants/{}/approve", escape(&id)), None),
        Grant::Reject { id } => (Security, format!("/grants/{}/reject", escape(&id)), None),
    };
    act(common, role, Method::POST, path, body).await
}

pub(crate) async fn project(common: &Common, command: Project) -> anyhow::Result<ExitCode> {
    match command {
        Project::List => list(common, System, "/projects", "projects", &["name", "level", "members"]).await,
        Project::Create { name, level } => {
            act(common, System, Method::POST, "/projects".into(), Some(json!({"name": name, "level": level}))).await
        }
        Project::Level { name, level } => {
            act(common, Security, Method::PUT, format!("/projects/{}/level", escape(&name)), Some(json!({ "level": level }))).await
        }
        Project::RemoveMember { name, account } => {
            act(common, System, Method::DELETE, format!("/projects/{}/members/{}", escape(&name), escape(&account)), None).await
        }
    }
}

pub(crate) async fn credential(common: &Common, minutes: i64) -> anyhow::Result<ExitCode> {
    act(common, System, Method::POST, "/registry-credential".into(), Some(json!({ "minutes": minutes }))).await
}
