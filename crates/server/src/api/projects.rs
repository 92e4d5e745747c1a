//! Projects and their members.

use super::{Answer, ApiError, Call, Endpoint, Who, json};
use http::{Method, StatusCode};
use jinwu_identity::Permission;
use jinwu_model::{Kind, ProjectName, ProtectionLevel};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewProject {
    name: ProjectName,
    level: ProtectionLevel,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Level {
    level: ProtectionLevel,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint { method: Method::GET, path: "/projects", who: Who::Either(Permission::ProjectRead, Permission::PolicyRead), summary: "项目列表 / list projects", run: |c| Box::pin(list(c)) },
        Endpoint { method: Method::POST, path: "/projects", who: Who::Admin(Permission::ProjectWrite), summary: "新建项目 / create a project", run: |c| Box::pin(create(c)) },
        Endpoint { method: Method::DELETE, path: "/projects/{project}", who: Who::Admin(Permission::ProjectWrite), summary: "删除没有镜像的项目 / delete a project without images", run: |c| Box::pin(delete(c)) },
        // The level decides every policy's mode, so it is the security administrator's.
        Endpoint { method: Method::PUT, path: "/projects/{project}/level", who: Who::Admin(Permission::PolicyWrite), summary: "设置项目保护等级 / set a project's protection level", run: |c| Box::pin(level(c)) },
        Endpoint { method: Method::DELETE, path: "/projects/{project}/members/{name}", who: Who::Admin(Permission::ProjectWrite), summary: "移除成员 / remove a member", run: |c| Box::pin(remove(c)) },
    ]
}

async fn list(call: Call) -> Answer {
    json(json!({ "projects": call.app.identity.projects() }))
}

async fn create(call: Call) -> Answer {
    let ask: NewProject = call.read()?;
    let entry = call.entry(Kind::Project, "create", &format!("project:{}", ask.name)).with("level", ask.level.get());
    json(call.change(entry, move |app| app.identity.create_project(ask.name, ask.level)).await?)
}

async fn delete(call: Call) -> Answer {
    let project = call.project()?;
    let registry = call.app.registry().cloned().ok_or_else(|| ApiError::unavailable("the registry is starting"))?;
    if let Some(repository) = registry.meta().first_repository(&project).map_err(ApiError::unavailable)? {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "conflict",
            format!("{repository} 中还有镜像,先删除 / {repository} still holds images; delete them first"),
        ));
    }
    let entry = call.entry(Kind::Project, "delete", &format!("project:{project}"));
    call.change(entry, move |app| {
        app.identity.delete_project(&project)?;
        app.policies.forget_project(&project).map_err(|e| jinwu_identity::IdentityError::Storage(e.to_string()))
    })
    .await?;
    json(json!({}))
}

async fn level(call: Call) -> Answer {
    let ask: Level = call.read()?;
    let project = call.project()?;
    let entry = call.entry(Kind::Policy, "level-set", &format!("project:{project}")).with("level", ask.level.get());
    call.change(entry, move |app| app.identity.set_project_level(&project, ask.level)).await?;
    json(json!({}))
}

async fn remove(call: Call) -> Answer {
    let (project, name) = (call.project()?, call.part("name"));
    let entry = call.entry(Kind::Project, "member-remove", &format!("project:{project}")).with("account", name.clone());
    call.change(entry, move |app| app.identity.remove_member(project.as_str(), &name)).await?;
    json(json!({}))
}
