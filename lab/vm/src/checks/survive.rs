//! The agent killed, started anew, attacked, and opened by who may.

use crate::agent::NODE;
use crate::ask::{Answer, Ask};
use crate::world::{Agent, Container, Report, node, stranger};
use anyhow::Result;
use jinwu_sensor::enforce::glass::Glass;
use jinwu_sensor::enforce::{ContainerPolicy, FOLDER, FileRule, Mode, Operation, Policy, Target};
use jinwu_trust::SigningKey;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const TRY: &str = "unlink /etc/passwd";

pub(crate) fn run(mut agent: Agent, report: &mut Report) -> Result<()> {
    let container = Container::new("survive")?;
    let rule = FileRule { id: 9, target: Target::Below("/etc".into()), block: vec![Operation::Unlink], alarm: vec![] };
    agent.tell(&Ask::Policy(2, Policy { files: vec![rule], ..Policy::default() }))?;
    container.put(&mut agent, &ContainerPolicy { policy: 2, drift: Mode::Block, ..ContainerPolicy::default() })?;
    container.exec("/bin/act hello")?;
    container.run("append /bin/written")?;
    guard(&mut agent, report, &container)?;
    glass(&mut agent, report, &container)?;
    full(&mut agent, report, &container)?;

    agent.records()?;
    agent.tell(&Ask::Told)?;
    agent.kill()?;
    let (refused, drift) = (container.run(TRY)?, container.exec("/bin/written hello")?);
    report.check("the agent is killed: what was refused is refused", refused.refused() && drift.refused(), &(refused, drift));
    let map = map("guards")?;
    let handle = node(&format!("join {} pin {map}", container.cgroup.display()))?;
    report.check("the agent is killed: a container gets no hold of its maps", handle.refused(), &handle);
    let unpinned = node(&format!("unlink {FOLDER}/links/on_open"))?;
    report.check("the agent is killed: its pins stay", unpinned.refused(), &unpinned);

    let mut agent = Agent::start()?;
    let untold = agent.list(&Ask::Untold)?;
    let (file, drift) = (untold.iter().any(|r| r.rule == 9 && r.texts[0] == "/etc/passwd"), untold.iter().any(|r| r.reason == "drift"));
    report.check("the next agent tells what was refused meanwhile", file && drift, &untold);
    let still = container.run(TRY)?;
    let records = agent.records()?;
    let once = records.iter().filter(|r| r.verdict == "denied" && r.rule == 9).count() == 1;
    report.check("the next agent has the policies, and its own hooks alone", still.refused() && once, &(still, &records));
    agent.tell(&Ask::Told)?;
    let untold = agent.list(&Ask::Untold)?;
    report.check("what was told is not told again", untold.is_empty(), &untold);

    agent.tell(&Ask::Withdraw)?;
    agent.kill()?;
    let mut free = container.run(TRY)?;
    // The kernel lets go of programs after grace periods.
    for _ in 0..50 {
        if free.went() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
        free = container.run(TRY)?;
    }
    report.check("withdrawn by the agent nothing is left", free.went() && !Path::new(FOLDER).exists(), &free);
    Ok(())
}

/// Against the agent itself, by root of the node.
fn guard(agent: &mut Agent, report: &mut Report, container: &Container) -> Result<()> {
    let pid = agent.pid();
    std::fs::write("/agent.toml", "key = 1\n")?;
    agent.tell(&Ask::GuardFile("/agent.toml".into()))?;
    let cgroup = Path::new("/sys/fs/cgroup/agent");
    let attacks = [
        ("unlink a pin", format!("unlink {FOLDER}/links/on_open")),
        ("rename a pin", format!("rename {FOLDER}/links/on_open {FOLDER}/links/x")),
        ("rename its folder", format!("rename {FOLDER} /sys/fs/bpf/x")),
        ("mount over its folder", format!("mount {FOLDER}")),
        ("unmount bpffs", "umount /sys/fs/bpf".to_owned()),
        ("open a map", format!("pin {}", map("guards")?)),
        ("open the rules", format!("pin {}", map("containers")?)),
        ("detach a link", format!("detach {FOLDER}/links/on_open")),
        ("trace it", format!("ptrace {pid}")),
        ("freeze its cgroup", format!("put {}/cgroup.freeze 1", cgroup.display())),
        ("kill its cgroup", format!("put {}/cgroup.kill 1", cgroup.display())),
        ("write its settings", "append /agent.toml".to_owned()),
        ("remove its settings", "unlink /agent.toml".to_owned()),
    ];
    agent.records()?;
    for (name, try_) in attacks {
        let outcome = stranger(&try_)?;
        let told = agent.records()?.iter().any(|r| r.verdict == "denied" && r.reason == "guard");
        report.check(&format!("guard: {name}"), outcome.refused() && told, &(outcome, told));
    }
    for signal in [9, 19, 15] {
        let outcome = stranger(&format!("kill {pid} {signal}"))?;
        let told = agent.records()?.iter().any(|r| r.verdict == "denied" && r.reason == "guard");
        report.check(&format!("guard: signal {signal} of a stranger"), outcome.refused() && told, &(outcome, told));
    }
    let second = Agent::start().err().map(|e| format!("{e:#}"));
    report.check("guard: a second agent is told of the first", second.as_deref().is_some_and(|e| e.contains("another agent is in place")), &second);
    let manager = node(&format!("kill {pid} 18"))?;
    report.check("guard: a signal by the service manager's own program arrives", manager.went(), &manager);
    let still = container.run(TRY)?;
    report.check("guard: after all this what was refused is refused", still.refused(), &still);
    Ok(())
}

fn map(name: &str) -> Result<String> {
    for entry in std::fs::read_dir(FOLDER)?.flatten() {
        let path = entry.path().join(name);
        if path.exists() {
            return Ok(path.display().to_string());
        }
    }
    anyhow::bail!("no pin of {name}")
}

fn glass(agent: &mut Agent, report: &mut Report, container: &Container) -> Result<()> {
    let key = SigningKey::generate();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let glass = Glass { node: NODE.into(), purpose: "the drill".into(), from: now - 1, until: now + 600, signature: String::new() }.signed(&key);
    let text = serde_json::to_string(&glass)?;
    let wrong = agent.ask(&Ask::Glass(text.clone(), SigningKey::generate().verifying_key().to_pem()))?;
    let still = container.run(TRY)?;
    report.check("break-glass: another key opens nothing", matches!(wrong, Answer::Failed(_)) && still.refused(), &(wrong, still));
    agent.tell(&Ask::Glass(text, key.verifying_key().to_pem()))?;
    container.run("create /etc/sacrifice")?;
    agent.records()?;
    let open = container.run("unlink /etc/sacrifice")?;
    let told = agent.records()?.iter().any(|r| r.verdict == "alarmed" && r.rule == 9);
    report.check("break-glass: opened, it happens and is told", open.went() && told, &(open, told));
    agent.tell(&Ask::CloseGlass)?;
    let closed = container.run(TRY)?;
    report.check("break-glass: closed, it is refused", closed.refused(), &closed);
    Ok(())
}

/// A full ring changes no verdict, and what it loses is counted.
fn full(agent: &mut Agent, report: &mut Report, container: &Container) -> Result<()> {
    agent.records()?;
    let before = agent.ask(&Ask::Lost)?;
    let flood = container.run("flood 12000 /etc/passwd")?;
    let refused = container.run(TRY)?;
    let after = agent.ask(&Ask::Lost)?;
    let counted = matches!((&before, &after), (Answer::Lost(before), Answer::Lost(after)) if after > before);
    report.check("a full ring: the verdict stands, the loss is counted", flood.refused() && refused.refused() && counted, &(flood, refused, before, after));
    agent.records()?;
    Ok(())
}
