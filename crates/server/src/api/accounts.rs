//! Accounts: the system administrator's.

use super::{Answer, Call, Endpoint, Who, json};
use http::Method;
use jinwu_identity::{IdentityError, Permission};
use jinwu_model::Kind;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    name: String,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let write = Who::Admin(Permission::AccountWrite);
    vec![
        Endpoint { method: Method::GET, path: "/accounts", who: Who::Admin(Permission::AccountRead), summary: "账号列表 / list accounts", run: |c| Box::pin(list(c)) },
        Endpoint { method: Method::POST, path: "/accounts", who: write, summary: "新建账号(无任何角色) / create an account without any role", run: |c| Box::pin(create(c)) },
        Endpoint { method: Method::POST, path: "/accounts/{name}/reset", who: write, summary: "重置口令与第二因素 / reset password and second factor", run: |c| Box::pin(reset(c)) },
        Endpoint { method: Method::POST, path: "/accounts/{name}/disable", who: write, summary: "停用 / disable", run: |c| Box::pin(set_disabled(c, true)) },
        Endpoint { method: Method::POST, path: "/accounts/{name}/enable", who: write, summary: "启用 / enable", run: |c| Box::pin(set_disabled(c, false)) },
        Endpoint { method: Method::POST, path: "/accounts/{name}/unlock", who: write, summary: "解锁 / unlock", run: |c| Box::pin(unlock(c)) },
    ]
}

async fn list(call: Call) -> Answer {
    json(json!({ "accounts": call.app.identity.accounts() }))
}

async fn create(call: Call) -> Answer {
    let ask: NewAccount = call.read()?;
    let entry = call.entry(Kind::Account, "create", &format!("account:{}", ask.name));
    let name = ask.name.clone();
    let made = call.change(entry, move |app| app.identity.create_account(&ask.name)).await?;
    json(json!({"name": name, "password": made.password.reveal(), "totp": made.totp.as_ref().map(|t| t.reveal())}))
}

async fn reset(call: Call) -> Answer {
    let name = call.part("name");
    let entry = call.entry(Kind::Account, "reset", &format!("account:{name}"));
    let of = name.clone();
    let made = call
        .change(entry, move |app| {
            let made = app.identity.reset_account(&of)?;
            crate::initial::forget(&app.config, &of);
            Ok::<_, IdentityError>(made)
        })
        .await?;
    json(json!({"name": name, "password": made.password.reveal(), "totp": made.totp.as_ref().map(|t| t.reveal())}))
}

async fn set_disabled(call: Call, disabled: bool) -> Answer {
    let name = call.part("name");
    let entry = call.entry(Kind::Account, if disabled { "disable" } else { "enable" }, &format!("account:{name}"));
    call.change(entry, move |app| app.identity.set_disabled(&name, disabled)).await?;
    json(json!({}))
}

async fn unlock(call: Call) -> Answer {
    let name = call.part("name");
    let entry = call.entry(Kind::Account, "unlock", &format!("account:{name}"));
    call.change(entry, move |app| app.identity.unlock(&name)).await?;
    json(json!({}))
}
