//! How nodes are let in, and what their certificates are good for.

use crate::{Node, ask, client, code, entry, request, status};
use jinwu_lab::Server;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_lets_one_node_in_once() -> anyhow::Result<()> {
    let server = Server::start()?;
    let security = server.log_in("secadmin").await?;
    let audit = server.log_in("auditadmin").await?;
    let (_, request) = request()?;
    let (wrong, _) = ask(&server, "n1", &format!("jwn_{}", "0".repeat(32)), &request).await?;
    assert_eq!(wrong, StatusCode::UNAUTHORIZED);
    let given = code(&security, "n1").await?;
    let (elsewhere, said) = ask(&server, "n2", &given, &request).await?;
    assert_eq!((elsewhere, said["error"]["code"].as_str()), (StatusCode::UNAUTHORIZED, Some("bad-credential")), "{said}");
    assert!(said["error"]["message"].as_str().is_some_and(|m| m.contains("jinwu node code")), "it says what to do: {said}");
    let (status, said) = ask(&server, "n1", &given, "no request").await?;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{said}");
    let (good, said) = ask(&server, "n1", &given, &request).await?;
    assert_eq!(good, StatusCode::OK, "a bad request did not use the code up: {said}");
    assert_eq!(ask(&server, "n1", &given, &request).await?.0, StatusCode::UNAUTHORIZED, "used");
    // A second code ends the first.
    let (first, second) = (code(&security, "n1").await?, code(&security, "n1").await?);
    assert_eq!(ask(&server, "n1", &first, &request).await?.0, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&server, "n1", &second, &request).await?.0, StatusCode::OK);
    let denials = audit.records("kind=denial&object=agent").await?;
    assert!(denials.len() >= 4 && denials.iter().all(|d| d["source"] == "127.0.0.1"), "{denials:?}");
    let all = serde_json::to_string(&audit.records("").await?)?;
    assert!(!all.contains(&given) && !all.contains(&second), "a code is in the ledger");
    assert_eq!(audit.records("kind=node&object=node:n1").await?.iter().filter(|r| r["action"] == "enrol").count(), 2);
    let stored = std::fs::read(server.data.join("nodes.db"))?;
    assert!(!stored.windows(given.len()).any(|w| w == given.as_bytes()), "a code is kept in plain text");
    for (name, minutes) in [("Not A Node", 5), ("n3", 0), ("n3", 24 * 60 + 1), ("n3", i64::MAX)] {
        let answer = security.call("POST", "/node-codes", Some(&json!({"node": name, "minutes": minutes}))).await?;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name} {minutes}: {answer:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_certificates_of_nodes_that_stand_count() -> anyhow::Result<()> {
    let mut server = Server::start()?;
    let (n1, n2) = {
        let security = server.log_in("secadmin").await?;
        (Node::enrol(&server, &security, "n1").await?, Node::enrol(&server, &security, "n2").await?)
    };
    assert_eq!(n1.send(&server, &[entry("n1", "a", "process", "exec", json!({}))], status()).await?, (1, 0));
    // None at all: everything but enrolment is refused, and everything else of the server is as before.
    for (method, path) in [(Method::POST, "/agent/v1/records"), (Method::GET, "/agent/v1/instructions"), (Method::POST, "/agent/v1/renew")] {
        let answer = server.http.request(method, server.url(path)).json(&json!({"records": []})).send().await?;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(answer.text().await?.contains("jinwu node code"), "{path} says what to do");
    }
    assert_eq!(server.call("GET", "/health", None, None).await?.status, StatusCode::OK);
    // One of an authority of somebody's own: the handshake ends, whatever name is in it.
    let other = jinwu_trust::Authority::generate("Jinwu nodes")?;
    let (key, wanted) = request()?;
    let forged = other.sign_request(&wanted, "jinwu://node/n1", "jinwu://node/n1", 7)?;
    let stranger = client(&server, &key, &forged.certificate)?;
    assert!(stranger.get(server.url("/agent/v1/instructions")).send().await.is_err(), "a foreign certificate got an answer");
    // A session is no node, and a node's certificate no session.
    let as_person = n1.http.get(server.url("/api/v1/nodes")).send().await?;
    assert_eq!(as_person.status(), StatusCode::UNAUTHORIZED);

    // Renewed over its own certificate; both stand, also after kill -9.
    let (key, wanted) = request()?;
    let renewed: jinwu_node::protocol::Enrolled = n1.ask(&server, Method::POST, "/renew", Some(&json!({ "request": wanted }))).await?.json().await?;
    assert_eq!(renewed.key, n1.enrolled.key, "the key that signs orders stays");
    server.kill();
    server.restart()?;
    let newer = Node { http: client(&server, &key, &renewed.certificate)?, name: "n1".into(), enrolled: renewed, key };
    let n1 = Node { http: client(&server, &n1.key, &n1.enrolled.certificate)?, ..n1 };
    let n2 = Node { http: client(&server, &n2.key, &n2.enrolled.certificate)?, ..n2 };
    for node in [&n1, &newer, &n2] {
        assert!(node.instructions(&server, "", 0).await?.is_some(), "{}", node.name);
    }
    // Removed: at once, also for a connection that stands and a question that waits.
    let generation = n1.instructions(&server, "", 0).await?.map(|i| i.generation).unwrap_or_default();
    let security = server.log_in("secadmin").await?;
    let patiently = format!("/instructions?have={generation}&wait=20");
    let waiting = newer.ask(&server, Method::GET, &patiently, None);
    let removing = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        security.ok("DELETE", "/nodes/n1", None).await
    };
    let begun = std::time::Instant::now();
    let (waited, removed) = tokio::join!(waiting, removing);
    removed?;
    assert_eq!(waited?.status(), StatusCode::UNAUTHORIZED);
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    assert_eq!(n1.ask(&server, Method::POST, "/records", Some(&json!({"records": []}))).await?.status(), StatusCode::UNAUTHORIZED);
    assert!(n2.instructions(&server, "", 0).await?.is_some(), "another node goes on");
    assert_eq!(security.call("DELETE", "/nodes/n1", None).await?.status, StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enrolling_anew_ends_what_was_before() -> anyhow::Result<()> {
    let server = Server::start()?;
    let security = server.log_in("secadmin").await?;
    let before = Node::enrol(&server, &security, "n1").await?;
    let after = Node::enrol(&server, &security, "n1").await?;
    assert_eq!(before.ask(&server, Method::GET, "/instructions", None).await?.status(), StatusCode::UNAUTHORIZED);
    assert!(after.instructions(&server, "", 0).await?.is_some());
    let shown = security.ok("GET", "/nodes/n1", None).await?;
    assert_eq!(shown["certificates"].as_array().map(Vec::len), Some(1), "{shown}");
    let days = (shown["certificate_until"].as_i64().unwrap_or(0) - jinwu_lab::now()) as f64 / 86_400_000.0;
    assert!((6.9..7.1).contains(&days), "{days}");
    Ok(())
}

/// A cluster's token issuer: its key, and what its gate tells of it.
struct Issuer {
    key: jsonwebtoken::EncodingKey,
    published: Value,
}

impl Issuer {
    fn new() -> anyhow::Result<Self> {
        let key = jsonwebtoken::EncodingKey::from_ec_der(&rcgen::KeyPair::generate()?.serialize_der());
        let mut jwk = serde_json::to_value(jsonwebtoken::jwk::Jwk::from_encoding_key(&key, jsonwebtoken::Algorithm::ES256)?)?;
        jwk["kid"] = json!("k1");
        Ok(Issuer { key, published: json!({"issuer": "https://kubernetes.default.svc", "keys": {"keys": [jwk]}}) })
    }

    /// A token as a kubelet gives one to a sensor's pod, with these claims over it.
    fn token(&self, jti: &str, claims: Value) -> anyhow::Result<String> {
        let now = jinwu_lab::now() / 1000;
        let mut all = json!({
            "iss": "https://kubernetes.default.svc", "aud": ["jinwu"], "iat": now, "nbf": now, "exp": now + 3600, "jti": jti,
            "kubernetes.io": {"namespace": "jinwu-sensor", "serviceaccount": {"name": "jinwu-agent", "uid": "1"}, "pod": {"name": "jinwu-agent-x", "uid": "2"}, "node": {"name": "w1", "uid": "3"}},
        });
        for (name, value) in claims.as_object().into_iter().flatten() {
            match (all[name].as_object_mut(), value.as_object()) {
                (Some(inside), Some(more)) => inside.extend(more.clone()),
                _ => all[name] = value.clone(),
            }
        }
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        header.kid = Some("k1".into());
        Ok(jsonwebtoken::encode(&header, &all, &self.key)?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_the_sensors_pod_lets_its_node_in_once() -> anyhow::Result<()> {
    let server = Server::start()?;
    let system = server.log_in("sysadmin").await?;
    let security = server.log_in("secadmin").await?;
    let made = system.ok("POST", "/clusters", Some(&json!({"name": "prod"}))).await?;
    let secret = made["secret"].as_str().unwrap_or_default().to_owned();
    let (issuer, stranger) = (Issuer::new()?, Issuer::new()?);
    let (_, wanted) = request()?;
    let ask = async |node: &str, token: &str| {
        let body = json!({"node": node, "cluster": "prod", "credential": token, "request": wanted});
        let answer = server.http.post(server.url("/agent/v1/enrol")).json(&body).send().await?;
        anyhow::Ok((answer.status().as_u16(), answer.text().await?))
    };
    let good = issuer.token("1", json!({}))?;
    assert_eq!(ask("w1", &good).await?.0, 401, "no gate has told of any key yet");
    let tell = async |secret: &str, body: &Value| anyhow::Ok(server.http.post(server.url("/gate/v1/issuer")).bearer_auth(secret).json(body).send().await?.status());
    assert_eq!(tell("jwg_other", &issuer.published).await?, StatusCode::UNAUTHORIZED);
    let symmetric = json!({"issuer": "x", "keys": {"keys": [{"kty": "oct", "kid": "k1", "k": "AAAA"}]}});
    assert_eq!(tell(&secret, &symmetric).await?, StatusCode::BAD_REQUEST, "a secret is no public key");
    assert_eq!(tell(&secret, &issuer.published).await?, StatusCode::OK);
    let late = jinwu_lab::now() / 1000 - 4000;
    for (what, node, token) in [
        ("another node", "w2", issuer.token("2", json!({}))?),
        ("another key", "w1", stranger.token("3", json!({}))?),
        ("for somebody else", "w1", issuer.token("4", json!({"aud": ["https://kubernetes.default.svc"]}))?),
        ("of another issuer", "w1", issuer.token("5", json!({"iss": "https://elsewhere"}))?),
        ("expired", "w1", issuer.token("6", json!({"iat": late, "exp": late + 3600}))?),
        ("for a year", "w1", issuer.token("7", json!({"exp": late + 31_000_000}))?),
        ("another account", "w1", issuer.token("8", json!({"kubernetes.io": {"serviceaccount": {"name": "default"}}}))?),
        ("another namespace", "w1", issuer.token("9", json!({"kubernetes.io": {"namespace": "shop"}}))?),
        ("no pod", "w1", issuer.token("10", json!({"kubernetes.io": {"pod": null}}))?),
        ("no node", "w1", issuer.token("11", json!({"kubernetes.io": {"node": null}}))?),
        ("nothing", "w1", "a.b.c".to_owned()),
    ] {
        let (status, said) = ask(node, &token).await?;
        assert_eq!(status, 401, "{what}: {said}");
    }
    let (status, said) = ask("w1", &good).await?;
    assert_eq!(status, 200, "{said}");
    assert_eq!(security.ok("GET", "/nodes/w1", None).await?["cluster"], "prod");
    assert_eq!(ask("w1", &good).await?.0, 401, "a token counts once");
    assert_eq!(ask("w1", &issuer.token("12", json!({}))?).await?.0, 200, "its pod was made again");
    // A node that was let in by hand is not a cluster's to take over.
    let _by_hand = Node::enrol(&server, &security, "w3").await?;
    assert_eq!(ask("w3", &issuer.token("13", json!({"kubernetes.io": {"node": {"name": "w3"}}}))?).await?.0, 401);
    system.ok("DELETE", "/clusters/prod", None).await?;
    assert_eq!(ask("w1", &issuer.token("14", json!({}))?).await?.0, 401, "the cluster is gone");
    Ok(())
}
