//! The token service and who gets through it.

use jinwu_lab::{Server, image};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

async fn token(server: &Server, name: &str, secret: &str, query: &str) -> anyhow::Result<(StatusCode, Value)> {
    let response = server.http.get(server.url(&format!("/token?service=jinwu{query}"))).basic_auth(name, Some(secret)).send().await?;
    Ok((response.status(), response.json().await.unwrap_or(Value::Null)))
}

/// The `access` claim of a token.
fn access(token: &Value) -> Value {
    let text = token["token"].as_str().unwrap_or_default();
    let middle = text.split('.').nth(1).unwrap_or_default();
    let bytes = decode(middle);
    serde_json::from_slice::<Value>(&bytes).unwrap_or(Value::Null)["access"].clone()
}

/// base64url without padding.
fn decode(text: &str) -> Vec<u8> {
    let value = |c: u8| "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".bytes().position(|x| x == c).unwrap_or(0) as u32;
    let mut out = Vec::new();
    for chunk in text.as_bytes().chunks(4) {
        let n = chunk.iter().fold(0u32, |n, c| n << 6 | value(*c)) << (6 * (4 - chunk.len()));
        out.extend_from_slice(&n.to_be_bytes()[1..chunk.len()]);
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scopes_are_intersected_and_revocation_bites_at_once() -> anyhow::Result<()> {
    let server = Server::start()?;
    let (name, secret) = server.robot();
    // The dance every client begins with.
    let ping = server.http.get(server.url("/v2/")).send().await?;
    assert_eq!(ping.status(), 401);
    let challenge = ping.headers()["www-authenticate"].to_str()?.to_owned();
    assert_eq!(challenge, format!("Bearer realm=\"https://{}/token\",service=\"jinwu\"", server.registry));
    let asked = server.http.get(server.url("/v2/demo/x/manifests/1")).send().await?;
    assert!(asked.headers()["www-authenticate"].to_str()?.contains("scope=\"repository:demo/x:pull\""));
    // A login without scope checks the credentials.
    assert_eq!(token(&server, name, secret, "").await?.0, 200);
    assert_eq!(token(&server, name, "wrong", "").await?.0, 401);
    assert_eq!(token(&server, "sysadmin", &server.initial.accounts[0].password, "").await?.0, 401, "a password alone opens no registry");
    // What is asked and what is granted.
    let (_, both) = token(&server, name, secret, "&scope=repository:demo/a:pull,push,delete&scope=repository:open/a:pull,delete").await?;
    assert_eq!(
        access(&both),
        json!([{"type": "repository", "name": "demo/a", "actions": ["pull", "push"]}, {"type": "repository", "name": "open/a", "actions": ["pull", "delete"]}])
    );
    assert!(both["expires_in"].as_i64().is_some_and(|n| n >= 60) && both["issued_at"].is_string() && both["access_token"] == both["token"]);
    let (status, none) = token(&server, name, secret, "&scope=repository:elsewhere/a:pull").await?;
    assert_eq!((status, access(&none)), (StatusCode::OK, json!([])), "nothing granted is no error");
    // POST, offline, refresh.
    let form = [("grant_type", "password"), ("username", name), ("password", secret), ("service", "jinwu"), ("scope", "repository:open/a:pull"), ("access_type", "offline")];
    let posted: Value = server.http.post(server.url("/token")).form(&form).send().await?.json().await?;
    let refresh = posted["refresh_token"].as_str().unwrap_or_default().to_owned();
    assert_eq!(posted["scope"], "repository:open/a:pull");
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str()), ("service", "jinwu"), ("scope", "repository:demo/a:pull")];
    let refreshed: Value = server.http.post(server.url("/token")).form(&form).send().await?.json().await?;
    assert_eq!(access(&refreshed), json!([{"type": "repository", "name": "demo/a", "actions": ["pull"]}]));
    // A token that covers less asks for more with 401, a right that is missing is 403.
    let pull = both["token"].as_str().unwrap_or_default().to_owned();
    let bearer = |method: Method, path: &str| server.http.request(method, server.url(path)).bearer_auth(&pull);
    let narrow = bearer(Method::POST, "/v2/open/a/blobs/uploads/").send().await?;
    assert_eq!(narrow.status(), 401);
    assert!(narrow.headers()["www-authenticate"].to_str()?.contains("error=\"insufficient_scope\""));
    let denied = bearer(Method::DELETE, "/v2/demo/a/manifests/1").send().await?;
    assert_eq!(denied.status(), 403);
    assert_eq!(denied.json::<Value>().await?["errors"][0]["code"], "DENIED");
    assert_eq!(bearer(Method::GET, "/v2/nowhere/a/tags/list").send().await?.status(), 403, "not there looks like not yours");
    // Revoked: the unexpired token, the refresh token and Basic end together.
    assert_eq!(bearer(Method::GET, "/v2/").send().await?.status(), 200);
    let sys = server.log_in("sysadmin").await?;
    sys.ok("POST", &format!("/robots/{name}/disable"), None).await?;
    assert_eq!(bearer(Method::GET, "/v2/").send().await?.status(), 401);
    assert_eq!(server.http.post(server.url("/token")).form(&form).send().await?.status(), 401);
    assert_eq!(token(&server, name, secret, "").await?.0, 401);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_pulls_with_a_short_lived_credential_and_a_role_of_two_approvals() -> anyhow::Result<()> {
    let server = Server::start()?;
    let picture = image::Image::good(1);
    let pushed = server.push("open/app", "1", &picture).await?;
    assert_eq!(pushed.status(), 201, "{}", pushed.text().await?);
    let sys = server.log_in("sysadmin").await?;
    let sec = server.log_in("secadmin").await?;
    let made = sys.ok("POST", "/accounts", Some(&json!({"name": "li"}))).await?;
    let (password, seed) = (made["password"].as_str().unwrap_or_default(), made["totp"].as_str().unwrap_or_default());
    let li = server.log_in_as("li", password, seed).await?;
    let credential = li.ok("POST", "/registry-credential", None).await?;
    let secret = credential["secret"].as_str().unwrap_or_default().to_owned();
    let pull = async |path: &str| -> anyhow::Result<u16> { Ok(server.http.get(server.url(path)).basic_auth("li", Some(&secret)).send().await?.status().as_u16()) };
    assert_eq!(pull("/v2/open/app/manifests/1").await?, 403, "no role yet");
    let grant = sys.ok("POST", "/grants", Some(&json!({"change": "member", "project": "open", "account": "li", "role": "guest", "reason": "reads images"}))).await?;
    let id = grant["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(pull("/v2/open/app/manifests/1").await?, 403, "proposed is not granted");
    assert_eq!(sys.call("POST", &format!("/grants/{id}/approve"), None).await?.status, 403, "who proposes cannot approve");
    sec.ok("POST", &format!("/grants/{id}/approve"), None).await?;
    assert_eq!(pull("/v2/open/app/manifests/1").await?, 200);
    let digest = picture.digest();
    assert_eq!(pull(&format!("/v2/open/app/manifests/{digest}")).await?, 200);
    let push = server.http.post(server.url("/v2/open/app/blobs/uploads/")).basic_auth("li", Some(&secret)).header("content-length", 0).send().await?;
    assert_eq!(push.status(), 403, "a guest pulls only");
    let audit = server.log_in("auditadmin").await?;
    let pulls = audit.records("kind=pull&subject=li").await?;
    assert_eq!(pulls.len(), 2);
    assert!(pulls.iter().all(|r| r["source"] == "127.0.0.1" && r["detail"]["digest"] == digest.as_str()));
    // Log-out ends the session at once.
    li.ok("POST", "/logout", None).await?;
    assert_eq!(li.call("GET", "/me", None).await?.status, 401);
    Ok(())
}
