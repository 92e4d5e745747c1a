//! `jinwu demo`: a good image and one bad image per built-in policy, pushed with the real `skopeo`.
//!
//! For every image the expected and the actual outcome, the text skopeo showed, and the records that
//! the push left, as the audit administrator finds them. Exits with 1 when one outcome is wrong: the
//! good image refused, a bad one accepted or refused by another policy, a record missing.

use crate::output::say;
use super::assess;
use crate::client::{Client, escape};
use crate::{Common, output, session};
use anyhow::{Context as _, bail};
use base64::Engine as _;
use jinwu_assess::sample::{self, Sample};
use jinwu_assess::target::probe;
use jinwu_assess::trail::{self, Expect};
use jinwu_identity::AdminRole;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Where the images go; made at first start, level 4.
const PROJECT: &str = "demo";
const TAG: &str = "demo";
/// One push may take this long.
const PATIENCE: Duration = Duration::from_secs(180);
/// Of what skopeo writes this much is shown.
const MAX_SHOWN: usize = 4000;

/// What became of one image.
struct Outcome {
    sample: Sample,
    accepted: bool,
    /// What skopeo wrote.
    text: String,
    decision: Option<String>,
    records: Vec<Value>,
    /// What is wrong, in words; empty when all is as expected.
    faults: Vec<String>,
}

struct Demo<'a> {
    registry: String,
    source: IpAddr,
    robot: String,
    audit: Client,
    dir: &'a Path,
}

pub(crate) async fn run(common: &Common) -> anyhow::Result<ExitCode> {
    let registry = assess::address(common)?;
    let (host, port) = registry.rsplit_once(':').context("registry address")?;
    let source = probe::connect(host, port.parse()?).await?.local_addr()?.ip().to_canonical();
    let (robot, secret) = robot(common)?;
    let dir = tempfile::tempdir()?;
    prepare(common, dir.path(), &registry, &robot, &secret)?;
    let auditor = Common { account: None, ..common.clone() };
    let audit = session::open(&auditor, AdminRole::AuditAdministrator).await?;
    let demo = Demo { registry, source, robot, audit, dir: dir.path() };
    let mut outcomes = Vec::new();
    for sample in sample::all() {
        let outcome = demo.push(sample).await?;
        if !common.json {
            show(common, &outcome);
        }
        outcomes.push(outcome);
    }
    let wrong = outcomes.iter().filter(|o| !o.faults.is_empty()).count();
    if common.json {
        let all: Vec<Value> = outcomes.iter().map(Outcome::json).collect();
        output::json(&json!({"images": all, "wrong": wrong}));
    } else {
        let right = outcomes.len() - wrong;
        say!("{}", match common.lang {
            output::Lang::Zh => format!("\n{} 个镜像,{right} 个符合预期,{wrong} 个不符", outcomes.len()),
            output::Lang::En => format!("\n{} images, {right} as expected, {wrong} not", outcomes.len()),
        });
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The robot of the first set-up while its secret stands, or the one of the environment.
fn robot(common: &Common) -> anyhow::Result<(String, String)> {
    if let (Ok(name), Ok(secret)) = (std::env::var("JINWU_ROBOT"), std::env::var("JINWU_ROBOT_SECRET")) {
        return Ok((name, secret));
    }
    match session::initial(common).map(|i| i.robot).filter(|r| !r.secret.is_empty()) {
        Some(robot) => Ok((robot.name, robot.secret)),
        None => bail!(
            "初始机器人账号的密钥已更换:用 JINWU_ROBOT 与 JINWU_ROBOT_SECRET 给出可推送到项目 {PROJECT} 的机器人账号 / the first robot's secret was changed: name a robot that may push to {PROJECT} in JINWU_ROBOT and JINWU_ROBOT_SECRET"
        ),
    }
}

/// CA, credentials and signature policy for skopeo, in files only this user reads.
fn prepare(common: &Common, dir: &Path, registry: &str, robot: &str, secret: &str) -> anyhow::Result<()> {
    let certificates = dir.join("certs");
    std::fs::create_dir(&certificates)?;
    let ca = assess::ca(common);
    std::fs::copy(&ca, certificates.join("ca.crt")).with_context(|| ca.display().to_string())?;
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{robot}:{secret}"));
    let auth = json!({"auths": {registry: {"auth": auth}}});
    jinwu_trust::files::write(&dir.join("auth.json"), auth.to_string().as_bytes(), 0o600)?;
    let policy = json!({"default": [{"type": "insecureAcceptAnything"}]});
    std::fs::write(dir.join("policy.json"), policy.to_string())?;
    Ok(())
}

// === impl Demo ===

impl Demo<'_> {
    async fn push(&self, sample: Sample) -> anyhow::Result<Outcome> {
        let layout = self.dir.join(sample.name);
        sample::write_oci_layout(&layout, &sample.image, TAG)?;
        let object = format!("{PROJECT}/{}:{TAG}", sample.name);
        let command = tokio::process::Command::new("skopeo")
            .arg("--policy")
            .arg(self.dir.join("policy.json"))
            .args(["copy", "--quiet", "--dest-authfile"])
            .arg(self.dir.join("auth.json"))
            .arg("--dest-cert-dir")
            .arg(self.dir.join("certs"))
            .arg(format!("oci:{}:{TAG}", layout.display()))
            .arg(format!("docker://{}/{object}", self.registry))
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .output();
        let done = tokio::time::timeout(PATIENCE, command)
            .await
            .with_context(|| format!("skopeo: {object} 超时 / timed out"))?
            .context("skopeo 无法运行,请先安装 / cannot be run; install it first")?;
        let text: String = String::from_utf8_lossy(&done.stderr).trim().chars().take(MAX_SHOWN).collect();
        let mut outcome =
            Outcome { accepted: done.status.success(), decision: decision(&text), text, sample, records: vec![], faults: vec![] };
        self.look(&mut outcome, &object).await?;
        Ok(outcome)
    }

    /// Finds the records and says what is wrong.
    async fn look(&self, outcome: &mut Outcome, object: &str) -> anyhow::Result<()> {
        let Some(policy) = outcome.sample.policy.clone() else {
            if !outcome.accepted {
                outcome.faults.push("the good image was refused".into());
            }
            // A permitted push has its record by object; there must be no alarm beside it.
            let pushed = self.records(&format!("kind=push&outcome=success&limit=1&object={}", escape(object)), |r| !r.is_empty()).await?;
            outcome.decision = pushed.first().and_then(|r| r["decision"].as_str()).map(str::to_owned);
            if pushed.is_empty() {
                outcome.faults.push("no push record".into());
            }
            outcome.records = match &outcome.decision {
                Some(decision) => self.records(&format!("decision={}", escape(decision)), |r| !r.is_empty()).await?,
                None => pushed,
            };
            if outcome.records.iter().any(|r| r["kind"] == "alarm") {
                outcome.faults.push("the good image raised an alarm".into());
            }
            return Ok(());
        };
        if outcome.accepted {
            outcome.faults.push(format!("accepted, {policy} should have refused it"));
        }
        let Some(decision) = outcome.decision.clone() else {
            outcome.faults.push("the answer names no decision".into());
            return Ok(());
        };
        let expect = Expect { decision: &decision, policy: &policy.0, subject: &self.robot, object, source: self.source, refused: true };
        outcome.records = self.records(&format!("decision={}", escape(&decision)), |r| trail::missing(r, &expect).is_empty()).await?;
        outcome.faults.extend(trail::missing(&outcome.records, &expect));
        let refused_by = outcome.records.iter().filter(|r| r["kind"] == "interception").filter_map(|r| r["detail"]["policies"].as_array());
        let others: Vec<&str> = refused_by.flatten().filter_map(Value::as_str).filter(|p| *p != policy.0).collect();
        if !others.is_empty() {
            outcome.faults.push(format!("also refused by {}", others.join(", ")));
        }
        Ok(())
    }

    async fn records(&self, query: &str, enough: impl Fn(&[Value]) -> bool) -> anyhow::Result<Vec<Value>> {
        let mut records = Vec::new();
        for attempt in 0..5u64 {
            tokio::time::sleep(Duration::from_millis(100 * attempt)).await;
            let answer = self.audit.get(&format!("/ledger?{query}")).await?;
            records = answer["records"].as_array().cloned().unwrap_or_default();
            if enough(&records) {
                break;
            }
        }
        Ok(records)
    }
}

/// The decision's id in a refusal: `… decision 0190…-…. …`.
fn decision(text: &str) -> Option<String> {
    let rest = text.split("decision ").nth(1)?;
    let id: String = rest.chars().take_while(|c| c.is_ascii_hexdigit() || *c == '-').collect();
    (id.len() == 36).then_some(id)
}

// === impl Outcome ===

impl Outcome {
    /// A push that failed without a decision was not refused: nobody judged it.
    fn actual(&self) -> (&'static str, &'static str) {
        match (self.accepted, &self.decision) {
            (true, _) => ("放行", "accepted"),
            (false, Some(_)) => ("拦截", "refused"),
            (false, None) => ("失败", "failed"),
        }
    }

    fn json(&self) -> Value {
        json!({
            "image": self.sample.name, "title": self.sample.title, "policy": self.sample.policy,
            "expected": if self.sample.policy.is_some() { "refused" } else { "accepted" },
            "actual": self.actual().1,
            "text": self.text, "decision": self.decision, "records": self.records, "faults": self.faults,
        })
    }
}

fn show(common: &Common, outcome: &Outcome) {
    let lang = common.lang;
    let word = |accepted: bool| if accepted { lang.pick("放行", "accepted") } else { lang.pick("拦截", "refused") };
    let expected = match &outcome.sample.policy {
        None => word(true).to_owned(),
        Some(policy) => format!("{} [{policy}]", word(false)),
    };
    let mark = if outcome.faults.is_empty() { '✓' } else { '✗' };
    say!(
        "{mark} {:<24} {}\n    {}: {expected}  {}: {}",
        outcome.sample.name,
        lang.pick(&outcome.sample.title.zh, &outcome.sample.title.en),
        lang.pick("预期", "expected"),
        lang.pick("实际", "actual"),
        lang.pick(outcome.actual().0, outcome.actual().1)
    );
    if !outcome.text.is_empty() {
        say!("    skopeo: {}", outcome.text.replace('\n', "\n            "));
    }
    for record in outcome.records.iter().rev() {
        say!("    {} {}", lang.pick("记录", "record"), trail::line(record));
    }
    for fault in &outcome.faults {
        say!("    {}: {fault}", lang.pick("不符", "wrong"));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_decision_is_found_in_a_refusal() {
        let id = "01934b5e-7c1a-7def-8123-456789abcdef";
        let text = format!("msg=\"denied: 金吾拦截:demo/x 违反 1 项策略,裁决 {id}。… || Jinwu refused demo/x: 1 policies violated, decision {id}. [malware] …\"");
        assert_eq!(super::decision(&text).as_deref(), Some(id));
        assert_eq!(super::decision("denied: no permission"), None);
        assert_eq!(super::decision("decision 12"), None);
    }
}
