//! The ways in: TLS only, locks, initial credentials, the local socket.

use jinwu_lab::{Options, Server, program};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_and_old_tls_get_nothing() -> anyhow::Result<()> {
    let server = Server::start()?;
    let address = server.registry.replace("localhost", "127.0.0.1");
    let mut socket = tokio::net::TcpStream::connect(&address).await?;
    socket.write_all(b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut got = Vec::new();
    let _ = socket.read_to_end(&mut got).await;
    assert!(!got.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&got));
    let openssl = program::installed("openssl")?;
    let offer = |version: &str| {
        std::process::Command::new(&openssl)
            .args(["s_client", "-connect", &address, version, "-cipher", "DEFAULT:@SECLEVEL=0", "-brief"])
            .stdin(std::process::Stdio::null())
            .output()
            .map(|o| (o.status.success(), program::said(&o)))
    };
    for old in ["-tls1", "-tls1_1"] {
        let (connected, said) = offer(old)?;
        assert!(!connected && !said.contains("CONNECTION ESTABLISHED"), "{old}: {said}");
    }
    for current in ["-tls1_2", "-tls1_3"] {
        assert!(offer(current)?.1.contains("CONNECTION ESTABLISHED"), "{current}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_wrong_logins_lock_and_are_recorded() -> anyhow::Result<()> {
    let server = Server::start()?;
    for _ in 0..5 {
        let answer = server.call("POST", "/login", None, Some(&json!({"name": "secadmin", "password": "wrong", "code": "000000"}))).await?;
        assert_eq!(answer.status, 401);
    }
    let account = server.initial.accounts.iter().find(|a| a.name == "secadmin").map(|a| (a.password.clone(), a.totp.clone())).unwrap_or_default();
    let code = jinwu_identity::setup::code_at(&account.1, jinwu_lab::now());
    let right = server.call("POST", "/login", None, Some(&json!({"name": "secadmin", "password": account.0, "code": code}))).await?;
    assert_eq!((right.status.as_u16(), right.body["error"]["code"].as_str()), (429, Some("locked")));
    let nobody = server.call("POST", "/login", None, Some(&json!({"name": "nobody-here", "password": "x"}))).await?;
    assert_eq!(nobody.body["error"]["code"], "bad-credentials", "an account that is not there looks like a wrong password");
    let audit = server.log_in("auditadmin").await?;
    let failed = audit.records("kind=login&outcome=denied").await?;
    assert_eq!(failed.iter().filter(|r| r["subject"]["name"] == "secadmin").count(), 6);
    assert!(!failed.iter().any(|r| r.to_string().contains(&account.0)), "no password in a record");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn initial_credentials_are_private_and_go_when_changed() -> anyhow::Result<()> {
    let server = Server::start()?;
    let file = server.data.join("initial-credentials.json");
    assert_eq!(std::fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(server.data.join("run").join("api.sock"))?.permissions().mode() & 0o777, 0o600);
    let info: Value = serde_json::from_slice(&server.jinwu(&["--json", "info"])?.stdout)?;
    assert_eq!(info["accounts"].as_array().map(Vec::len), Some(3));
    assert_eq!(info["registry"], server.registry.as_str());
    for account in server.initial.accounts.clone() {
        let session = server.log_in(&account.name).await?;
        let weak = session.call("POST", "/password", Some(&json!({"old": account.password, "new": "short"}))).await?;
        assert_eq!(weak.status, 400);
        session.ok("POST", "/password", Some(&json!({"old": account.password, "new": "Another-Long-Passw0rd"}))).await?;
        let left = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(!left.contains(&account.password));
        assert_eq!(session.call("GET", "/me", None).await?.status, 401, "a changed password ends sessions");
    }
    assert!(!file.exists(), "gone with the last of them");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_acts_as_accounts_and_nobody_is_everybody() -> anyhow::Result<()> {
    let server = Server::start()?;
    let run = |arguments: &[&str]| server.jinwu(arguments).map(|o| (o.status.code(), program::said(&o)));
    let (code, said) = run(&["policy", "set", "open", "root-user", "拦截"])?;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["--as", "sysadmin", "policy", "list"])?;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("403"), "{said}");
    let (code, said) = run(&["--as", "sysadmin", "ledger", "search"])?;
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = run(&["--json", "ledger", "search", "--kind", "policy", "--since", "5m"])?;
    assert_eq!(code, Some(0), "{said}");
    let records: Value = serde_json::from_str(said.lines().last().unwrap_or_default())?;
    assert_eq!(records[0]["subject"]["name"], "secadmin");
    assert_eq!(records[0]["detail"]["mode"], "block");
    let (code, _) = run(&["--as", "nobody", "status"])?;
    assert_eq!(code, Some(0), "whether it runs is no secret");
    Ok(())
}

#[test]
fn bad_configuration_is_explained() -> anyhow::Result<()> {
    for (config, expected) in [
        ("nonsense = 1", "nonsense"),
        ("level = 7", "7"),
        ("trusted_proxies = [\"10.0.0.0/99\"]", "10.0.0.0/99"),
        ("scanner = \"/nowhere/jinwu-scan\"", "/nowhere/jinwu-scan"),
    ] {
        let error = match Server::start_with(Options { config: config.into(), ..Options::default() }) {
            Ok(_) => panic!("{config} was accepted"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(expected), "{config}: {error}");
    }
    Ok(())
}
