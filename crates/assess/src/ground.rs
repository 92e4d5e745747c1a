//! Where drills are done: temporary projects, robots and accounts, labelled, bounded, removed at the end.
//!
//! Everything is called `assess-<six hexadecimal digits>-…`. Whatever is made is written down before
//! it is used, so that [`Ground::clear`] removes it also when a step failed half-way. Accounts cannot
//! be deleted (records name them); they are disabled and lose their roles with their project.

use crate::evidence::Log;
use crate::sample;
use crate::target::registry::{Registry, escape};
use crate::target::{As, Target};
use anyhow::{Context as _, bail};
use http::Method;
use jinwu_identity::AdminRole;
use jinwu_identity::AdminRole::{SecurityAdministrator as Security, SystemAdministrator as System};
use jinwu_model::{Mode, PolicyId, ProtectionLevel};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

/// All names begin with this.
pub const LABEL: &str = "assess-";
/// Things of an assessment that was killed are removed by a later one after this time, milliseconds.
const STALE: i64 = 2 * 3600 * 1000;

/// The place and its people.
pub struct Ground<'t> {
    target: &'t Target,
    prefix: String,
    /// Projects at the asked level: the first is where attacks happen, the second is "somebody else's".
    pub own: String,
    pub other: String,
    made: Mutex<Made>,
    robot: Mutex<Option<(String, String)>>,
}

#[derive(Default)]
struct Made {
    manifests: Vec<(String, String)>,
    accounts: Vec<String>,
    projects: Vec<String>,
    robots: Vec<String>,
}

/// A temporary person: a session with two factors and a registry credential.
pub struct Person {
    pub name: String,
    pub session: String,
    pub secret: String,
}

/// What a temporary robot or role may do with repositories.
pub const EVERYTHING: [&str; 4] = ["repository:pull", "repository:push", "repository:delete", "repository:list"];

impl<'t> Ground<'t> {
    /// Names only; nothing is made yet.
    pub fn new(target: &'t Target) -> Self {
        let prefix = format!("{LABEL}{}", hex::encode(jinwu_trust::random::bytes::<3>()));
        Ground {
            target,
            own: format!("{prefix}-a"),
            other: format!("{prefix}-b"),
            prefix,
            made: Mutex::default(),
            robot: Mutex::default(),
        }
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Makes both projects, the robot that pushes and deletes, and a good image in each project.
    pub async fn prepare(&self, log: &mut Log, level: ProtectionLevel, off: &BTreeSet<PolicyId>) -> anyhow::Result<()> {
        let stale = self.sweep(log).await;
        for project in [&self.own, &self.other] {
            self.project(log, project, level).await?;
            for policy in off {
                self.switch(log, project, policy, Some(Mode::Allow)).await?;
            }
        }
        let projects = stale.iter().chain([&self.own, &self.other]);
        let grants: Vec<(&str, &[&str])> = projects.map(|p| (p.as_str(), EVERYTHING.as_slice())).collect();
        let robot = self.robot(log, "ci", &grants).await?;
        *self.robot.lock() = Some(robot);
        self.made.lock().projects.extend(stale);
        let good = sample::good();
        for project in [&self.own, &self.other] {
            self.remember(&format!("{project}/base"), &good.image.digest.to_string());
            let reply = self.ci()?.push(log, &format!("{project}/base"), "latest", &good.image).await?;
            if reply.status != 201 {
                bail!("合格镜像被拒绝,演练无法进行 / the good image was refused, so no drill can be done: {} {}", reply.status, reply.text());
            }
        }
        Ok(())
    }

    /// The robot that may do everything in both projects.
    pub fn ci(&self) -> anyhow::Result<Registry<'t>> {
        let robot = self.robot.lock();
        let (name, secret) = robot.as_ref().context("the temporary robot was not made")?;
        Ok(Registry::login(self.target, name, secret))
    }

    /// Its name.
    pub fn ci_name(&self) -> String {
        format!("{}-ci", self.prefix)
    }

    /// Its secret, for attempts with wrong parts.
    pub fn ci_secret(&self) -> String {
        self.robot.lock().as_ref().map(|(_, s)| s.clone()).unwrap_or_default()
    }

    pub async fn project(&self, log: &mut Log, name: &str, level: ProtectionLevel) -> anyhow::Result<()> {
        self.made.lock().projects.push(name.to_owned());
        self.target.act(log, As::Admin(System), Method::POST, "/projects", Some(&json!({"name": name, "level": level}))).await.map(drop)
    }

    /// Deletes a project made here.
    pub async fn drop_project(&self, log: &mut Log, name: &str) -> anyhow::Result<()> {
        self.target.act(log, As::Admin(System), Method::DELETE, &format!("/projects/{name}"), None).await?;
        self.made.lock().projects.retain(|p| p != name);
        Ok(())
    }

    /// A robot of one day, its grants proposed by one administrator and approved by another. Gives
    /// name and secret.
    pub async fn robot(&self, log: &mut Log, suffix: &str, grants: &[(&str, &[&str])]) -> anyhow::Result<(String, String)> {
        let name = format!("{}-{suffix}", self.prefix);
        self.made.lock().robots.push(name.clone());
        let made = self.target.act(log, As::Admin(System), Method::POST, "/robots", Some(&json!({"name": name, "days": 1}))).await?;
        let secret = made["secret"].as_str().context("the robot has no secret")?.to_owned();
        let grants: serde_json::Map<String, Value> = grants.iter().map(|(p, a)| ((*p).to_owned(), json!(a))).collect();
        self.grant(log, json!({"change": "robot", "robot": name, "grants": grants})).await?;
        Ok((name, secret))
    }

    pub async fn drop_robot(&self, log: &mut Log, name: &str) -> anyhow::Result<()> {
        self.target.act(log, As::Admin(System), Method::DELETE, &format!("/robots/{name}"), None).await?;
        self.made.lock().robots.retain(|r| r != name);
        Ok(())
    }

    /// An account without any role; gives its first password and TOTP seed.
    pub async fn account(&self, log: &mut Log, suffix: &str) -> anyhow::Result<(String, Value)> {
        let name = format!("{}-{suffix}", self.prefix);
        self.made.lock().accounts.push(name.clone());
        let made = self.target.act(log, As::Admin(System), Method::POST, "/accounts", Some(&json!({ "name": name }))).await?;
        Ok((name, made))
    }

    /// A person with a role in a project, logged in with both factors.
    pub async fn person(&self, log: &mut Log, suffix: &str, project: &str, role: &str) -> anyhow::Result<Person> {
        let (name, made) = self.account(log, suffix).await?;
        self.grant(log, json!({"change": "member", "project": project, "account": name, "role": role})).await?;
        let code = made["totp"].as_str().and_then(|seed| jinwu_identity::setup::code_at(seed, now()));
        let login = json!({"name": name, "password": made["password"], "code": code});
        let session = self.target.act(log, As::Nobody, Method::POST, "/login", Some(&login)).await?;
        let session = session["token"].as_str().context("the login gave no token")?.to_owned();
        let credential =
            self.target.act(log, As::Token(&session), Method::POST, "/registry-credential", Some(&json!({"minutes": 30}))).await?;
        let secret = credential["secret"].as_str().context("no credential was issued")?.to_owned();
        Ok(Person { name, session, secret })
    }

    /// Proposed by the system administrator, approved by the security administrator.
    pub async fn grant(&self, log: &mut Log, mut change: Value) -> anyhow::Result<String> {
        change["reason"] = json!("assessment drill, removed at its end");
        let proposed = self.target.act(log, As::Admin(System), Method::POST, "/grants", Some(&change)).await?;
        let id = proposed["id"].as_str().context("the proposal has no id")?.to_owned();
        self.target.act(log, As::Admin(Security), Method::POST, &format!("/grants/{}/approve", escape(&id)), None).await?;
        Ok(id)
    }

    /// Switches a policy in a temporary project; `None` is the level's default.
    pub async fn switch(&self, log: &mut Log, project: &str, policy: &PolicyId, mode: Option<Mode>) -> anyhow::Result<()> {
        if !project.starts_with(&self.prefix) {
            bail!("{project} is not a project of this assessment");
        }
        let path = format!("/projects/{project}/policies/{}", escape(&policy.0));
        self.target.act(log, As::Admin(Security), Method::PUT, &path, Some(&json!({"mode": mode.map(Mode::as_str)}))).await.map(drop)
    }

    /// A manifest to be deleted at the end; said before it is pushed.
    pub fn remember(&self, repository: &str, digest: &str) {
        self.made.lock().manifests.push((repository.to_owned(), digest.to_owned()));
    }

    /// Removes everything; gives what could not be removed, in words.
    pub async fn clear(&self, log: &mut Log) -> Vec<String> {
        let made = std::mem::take(&mut *self.made.lock());
        let mut left = Vec::new();
        if let Ok(ci) = self.ci() {
            let mut manifests = made.manifests;
            for project in &made.projects {
                match images(log, &ci, project).await {
                    Ok(found) => manifests.extend(found),
                    Err(error) => left.push(format!("{project}: {error:#}")),
                }
            }
            for (repository, digest) in manifests {
                match ci.delete(log, &repository, &digest).await {
                    Ok(reply) if matches!(reply.status, 202 | 404) => {}
                    Ok(reply) => left.push(format!("{repository}@{digest}: {}", reply.status)),
                    Err(error) => left.push(format!("{repository}@{digest}: {error:#}")),
                }
            }
        }
        let mut ends = self.open_matters(log).await;
        ends.extend(made.accounts.iter().map(|name| (Method::POST, System, format!("/accounts/{name}/disable"))));
        ends.extend(made.projects.iter().map(|name| (Method::DELETE, System, format!("/projects/{}", escape(name)))));
        ends.extend(made.robots.iter().map(|name| (Method::DELETE, System, format!("/robots/{name}"))));
        for (method, role, path) in ends {
            match self.target.api(log, As::Admin(role), method, &path, None).await {
                // Absent: it was never made, or is gone.
                Ok(reply) if reply.status < 300 || reply.status == 404 => {}
                Ok(reply) => left.push(format!("{path}: {} {}", reply.status, reply.text())),
                Err(error) => left.push(format!("{path}: {error:#}")),
            }
        }
        *self.robot.lock() = None;
        left
    }

    /// Proposals not decided and exceptions not ended, of this assessment only.
    async fn open_matters(&self, log: &mut Log) -> Vec<(Method, AdminRole, String)> {
        let mut ends = Vec::new();
        for (path, list) in [("/grants", "grants"), ("/exceptions", "exceptions")] {
            let Ok(answer) = self.target.act(log, As::Admin(Security), Method::GET, path, None).await else { continue };
            for entry in answer[list].as_array().into_iter().flatten() {
                let of = |member: &str| entry[member].as_str().is_some_and(|v| v.starts_with(&self.prefix));
                let ours = of("project") || of("robot") || of("account");
                let Some(id) = entry["id"].as_str().filter(|_| ours).map(escape) else { continue };
                if list == "exceptions" {
                    ends.push((Method::DELETE, Security, format!("/exceptions/{id}")));
                } else if entry["state"] == "proposed" {
                    ends.push((Method::POST, Security, format!("/grants/{id}/reject")));
                }
            }
        }
        ends
    }

    /// Removes robots and disables accounts that an assessment killed long ago left behind, and gives its
    /// projects, to be cleared with this one's. What does not work is not this assessment's failure.
    async fn sweep(&self, log: &mut Log) -> Vec<String> {
        let mut projects = Vec::new();
        for (path, list) in [("/robots", "robots"), ("/accounts", "accounts"), ("/projects", "projects")] {
            let Ok(answer) = self.target.act(log, As::Admin(System), Method::GET, path, None).await else { continue };
            for entry in answer[list].as_array().into_iter().flatten() {
                let (name, created) = (entry["name"].as_str().unwrap_or_default(), entry["created"].as_i64().unwrap_or(i64::MAX));
                if !name.starts_with(LABEL) || now().saturating_sub(created) <= STALE {
                    continue;
                }
                let (method, path) = match list {
                    "robots" => (Method::DELETE, format!("/robots/{}", escape(name))),
                    "accounts" if entry["disabled"] == true => continue,
                    "accounts" => (Method::POST, format!("/accounts/{}/disable", escape(name))),
                    _ => {
                        projects.push(name.to_owned());
                        continue;
                    }
                };
                let _ = self.target.api(log, As::Admin(System), method, &path, None).await;
            }
        }
        projects
    }
}

/// Every tagged image of a project, as a robot that may pull there sees it.
async fn images(log: &mut Log, ci: &Registry<'_>, project: &str) -> anyhow::Result<Vec<(String, String)>> {
    let catalog = ci.request(log, Method::GET, "/v2/_catalog?n=1000", None, None).await?.json();
    let names = catalog["repositories"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut out = Vec::new();
    for repository in names.filter(|r| r.split('/').next() == Some(project)) {
        let tags = ci.request(log, Method::GET, &format!("/v2/{repository}/tags/list"), None, None).await?.json();
        for tag in tags["tags"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let manifest = ci.manifest(log, repository, tag).await?;
            if let Some(digest) = manifest.header("docker-content-digest").filter(|_| manifest.status == 200) {
                out.push((repository.to_owned(), digest.to_owned()));
            }
        }
    }
    out.sort();
    out.dedup();
    Ok(out)
}

/// Unix milliseconds.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}
