//! Real systems at level 3: Debian 11 as it was released is refused with its CVEs and the versions
//! that fix them; the same packages with their security updates pass.

use jinwu_lab::image::Image;
use jinwu_lab::{Server, program};
use serde_json::{Value, json};
use std::process::Command;

/// A root file system of the suite from the machine's own mirror; kept in the cache between runs.
fn debootstrap(name: &str, suite: &str, pockets: &[&str]) -> anyhow::Result<Vec<u8>> {
    let cache = std::env::var_os("JINWU_CACHE").map_or_else(std::env::temp_dir, std::path::PathBuf::from).join("debian");
    std::fs::create_dir_all(&cache)?;
    let kept = cache.join(format!("{name}.tar"));
    if !kept.exists() {
        let (mirror, security) = mirrors()?;
        let beside = cache.join(format!("{name}.{}.tar", std::process::id()));
        let mut command = Command::new(program::installed("mmdebstrap")?);
        command.args(["--quiet", "--mode=root", "--variant=minbase", "--aptopt=Acquire::Check-Valid-Until \"false\"", suite]).arg(&beside);
        for pocket in pockets {
            let base = if pocket.contains("security") { &security } else { &mirror };
            command.arg(format!("deb {base} {pocket} main"));
        }
        program::run(&mut command)?;
        std::fs::rename(&beside, &kept)?;
    }
    Ok(std::fs::read(kept)?)
}

/// The archive and security mirrors this machine's apt uses.
fn mirrors() -> anyhow::Result<(String, String)> {
    let targets = program::run(Command::new("apt-get").args(["indextargets", "--format", "$(LABEL) $(REPO_URI)"]))?;
    let of = |label: &str| targets.lines().filter_map(|l| l.split_once(' ')).find(|(l, _)| *l == label).map(|(_, uri)| uri.to_owned());
    let missing = || anyhow::anyhow!("apt knows no archive of Debian; run apt-get update");
    let main = of("Debian").ok_or_else(missing)?;
    let security = of("Debian-Security").ok_or_else(missing)?;
    Ok((main, security))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn debian_11_is_refused_without_and_passes_with_its_security_updates() -> anyhow::Result<()> {
    let server = Server::start()?;
    let sys = server.log_in("sysadmin").await?;
    let sec = server.log_in("secadmin").await?;
    sys.ok("POST", "/projects", Some(&json!({"name": "three", "level": 3}))).await?;
    let (robot, _) = server.robot();
    let actions = ["repository:pull", "repository:push", "repository:list"];
    let grants = json!({"demo": actions, "open": actions, "three": actions});
    let grant = sys.ok("POST", "/grants", Some(&json!({"change": "robot", "robot": robot, "grants": grants, "reason": "test"}))).await?;
    sec.ok("POST", &format!("/grants/{}/approve", grant["id"].as_str().unwrap_or_default()), None).await?;
    let image = |tar: Vec<u8>| Image::new(&[tar], &json!({"User": "65532"}));
    let old = debootstrap("bullseye-main", "bullseye", &["bullseye"])?;
    let refused = server.push("three/debian", "main", &image(old)).await?;
    assert_eq!(refused.status(), 403);
    let body: Value = refused.json().await?;
    let text = body["errors"][0]["message"].as_str().unwrap_or_default();
    assert!(text.contains("[known-vulnerability]") && text.contains("CVE-"), "{text}");
    let violations = body["errors"][0]["detail"]["violations"].as_array().cloned().unwrap_or_default();
    let vulnerable: Vec<&Value> = violations.iter().filter(|v| v["policy"] == "known-vulnerability").collect();
    assert!(vulnerable.len() > 20, "{}", vulnerable.len());
    assert!(vulnerable.iter().any(|v| v["evidence"]["fixed_version"].as_str().is_some_and(|f| !f.is_empty())));
    let new = debootstrap("bullseye-security", "bullseye", &["bullseye", "bullseye-security"])?;
    let passed = server.push("three/debian", "security", &image(new)).await?;
    let status = passed.status();
    assert_eq!(status, 201, "{}", passed.text().await?);
    let twelve = debootstrap("bookworm-security", "bookworm", &["bookworm", "bookworm-security"])?;
    let passed = server.push("three/debian", "twelve", &image(twelve)).await?;
    assert_eq!(passed.status(), 201, "{}", passed.text().await?);
    let report = sec.ok("GET", "/report?repository=three/debian&reference=security", None).await?;
    assert_eq!(report["report"]["coverage"]["state"], "covered");
    assert!(report["report"]["packages"].as_array().is_some_and(|p| p.len() > 80));
    Ok(())
}
