//! Every endpoint against every role. The table is the server's own list, so an endpoint that is
//! forgotten here cannot exist; the golden list below is what a reviewer reads when it changes.

use jinwu_identity::AdminRole;
use jinwu_lab::Server;
use jinwu_server::api::{Who, table};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Path parameters that name nothing, and a body that fits nothing: what may pass fails behind the
/// door (400, 404, 409), what may not fails at it (401, 403).
fn path_of(path: &str) -> String {
    path.split('/').map(|p| if p.starts_with('{') { "nothing-here" } else { p }).collect::<Vec<_>>().join("/")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_endpoint_against_every_role() -> anyhow::Result<()> {
    let server = Server::start()?;
    let sys = server.log_in("sysadmin").await?;
    let sec = server.log_in("secadmin").await?;
    let audit = server.log_in("auditadmin").await?;
    let person = sys.ok("POST", "/accounts", Some(&json!({"name": "plain"}))).await?;
    let text = |v: &Value, m: &str| v[m].as_str().unwrap_or_default().to_owned();
    let plain = server.log_in_as("plain", &text(&person, "password"), &text(&person, "totp")).await?;
    let sessions = [
        (Some(AdminRole::SystemAdministrator), &sys),
        (Some(AdminRole::SecurityAdministrator), &sec),
        (Some(AdminRole::AuditAdministrator), &audit),
        (None, &plain),
    ];
    let mut checked = 0;
    for endpoint in table() {
        // Ends its own session, which the next endpoint needs; tried by itself in tokens.rs.
        if endpoint.path == "/logout" {
            continue;
        }
        let path = path_of(endpoint.path);
        let method = endpoint.method.as_str();
        let body = (method != "GET").then(|| json!({"fits": "nothing"}));
        let nobody = server.call(method, &path, None, body.as_ref()).await?;
        let open = endpoint.who == Who::Anyone;
        assert_eq!(nobody.status != StatusCode::UNAUTHORIZED, open, "{method} {path} without a session: {nobody:?}");
        let forged = server.call(method, &path, Some("jws_forged"), body.as_ref()).await?;
        assert!(forged.status == StatusCode::UNAUTHORIZED || open, "{method} {path} with a forged session");
        for (role, session) in &sessions {
            let holds = |p| role.is_some_and(|r: AdminRole| r.holds(p));
            let allowed = match endpoint.who {
                Who::Anyone | Who::Session => true,
                Who::Admin(p) | Who::Project(p, _) => holds(p),
                Who::Either(a, b) => holds(a) || holds(b),
                Who::Any(all) => all.iter().any(|p| holds(*p)),
            };
            // A valid body would change things; what is asked here is the door alone.
            let answer = session.call(method, &path, body.as_ref()).await?;
            assert_eq!(answer.status != StatusCode::FORBIDDEN, allowed, "{method} {path} as {role:?}: {answer:?}");
            assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{method} {path}");
            checked += 1;
        }
    }
    assert!(checked > 150, "{checked}");
    // What was refused is remembered, with the true address.
    let denials = audit.records("kind=denial&subject=plain").await?;
    assert!(denials.iter().all(|r| r["source"] == "127.0.0.1" && r["outcome"] == "denied"), "{denials:?}");
    assert!(denials.len() > 20, "{}", denials.len());
    Ok(())
}

#[test]
fn no_permission_is_shared_between_administrators() {
    let mut lines: Vec<String> = table()
        .into_iter()
        .map(|e| {
            let who = match e.who {
                Who::Anyone => "anyone".to_owned(),
                Who::Session => "session".to_owned(),
                Who::Admin(p) => holder(p).to_owned(),
                Who::Either(a, b) => format!("{}+{}", holder(a), holder(b)),
                Who::Any(all) => all.iter().map(|p| holder(*p)).collect::<Vec<_>>().join("+"),
                Who::Project(p, _) => format!("{}+member", holder(p)),
            };
            format!("{} {} {who}", e.method, e.path)
        })
        .collect();
    lines.sort();
    let golden: Vec<&str> = include_str!("endpoints.txt").lines().collect();
    assert_eq!(lines, golden, "an endpoint came, went or changed hands: review it and change endpoints.txt");
}

fn holder(permission: jinwu_identity::Permission) -> &'static str {
    AdminRole::ALL.into_iter().find(|r| r.holds(permission)).map_or("nobody", |r| match r {
        AdminRole::SystemAdministrator => "system",
        AdminRole::SecurityAdministrator => "security",
        AdminRole::AuditAdministrator => "audit",
    })
}

/// The API's description is committed, so that a change of it is seen in review.
#[test]
fn the_committed_description_is_the_served_one() {
    let committed: Value = serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap_or(Value::Null);
    let served = jinwu_server::api::openapi();
    assert_eq!(committed, served, "write this to docs/openapi.json:\n{}", serde_json::to_string_pretty(&served).unwrap_or_default());
}
