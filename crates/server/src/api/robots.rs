//! Robot accounts. What a robot may do is a grant and needs two people.

use super::{Answer, Call, Endpoint, Who, json};
use http::Method;
use jinwu_identity::Permission;
use jinwu_model::Kind;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRobot {
    name: String,
    /// Days until it expires; 366 at most.
    days: i64,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let write = Who::Admin(Permission::RobotWrite);
    vec![
        Endpoint { method: Method::GET, path: "/robots", who: Who::Either(Permission::RobotRead, Permission::GrantApprove), summary: "机器人账号列表 / list robots", run: |c| Box::pin(list(c)) },
        Endpoint { method: Method::POST, path: "/robots", who: write, summary: "新建机器人账号(获批前无权限) / create a robot; it may do nothing until a grant is approved", run: |c| Box::pin(create(c)) },
        Endpoint { method: Method::POST, path: "/robots/{name}/rotate", who: write, summary: "更换密钥 / rotate the secret", run: |c| Box::pin(rotate(c)) },
        Endpoint { method: Method::POST, path: "/robots/{name}/disable", who: write, summary: "立即撤销 / revoke at once", run: |c| Box::pin(set_disabled(c, true)) },
        Endpoint { method: Method::POST, path: "/robots/{name}/enable", who: write, summary: "恢复 / enable again", run: |c| Box::pin(set_disabled(c, false)) },
        Endpoint { method: Method::DELETE, path: "/robots/{name}", who: write, summary: "删除 / delete", run: |c| Box::pin(delete(c)) },
    ]
}

async fn list(call: Call) -> Answer {
    json(json!({ "robots": call.app.identity.robots() }))
}

async fn create(call: Call) -> Answer {
    let ask: NewRobot = call.read()?;
    let entry = call.entry(Kind::Robot, "create", &format!("robot:{}", ask.name)).with("days", ask.days);
    let name = ask.name.clone();
    let life = ask.days.saturating_mul(24 * 3600 * 1000);
    let secret = call.change(entry, move |app| app.identity.create_robot(&ask.name, life)).await?;
    json(json!({"name": name, "secret": secret.reveal()}))
}

async fn rotate(call: Call) -> Answer {
    let name = call.part("name");
    let entry = call.entry(Kind::Robot, "rotate", &format!("robot:{name}"));
    let of = name.clone();
    let secret = call.change(entry, move |app| app.identity.rotate_robot(&of)).await?;
    json(json!({"name": name, "secret": secret.reveal()}))
}

async fn set_disabled(call: Call, disabled: bool) -> Answer {
    let name = call.part("name");
    let entry = call.entry(Kind::Robot, if disabled { "disable" } else { "enable" }, &format!("robot:{name}"));
    call.change(entry, move |app| app.identity.set_robot_disabled(&name, disabled)).await?;
    json(json!({}))
}

async fn delete(call: Call) -> Answer {
    let name = call.part("name");
    let entry = call.entry(Kind::Robot, "delete", &format!("robot:{name}"));
    call.change(entry, move |app| app.identity.delete_robot(&name)).await?;
    json(json!({}))
}
