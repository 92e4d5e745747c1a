//! An agent as small as can be: the hooks, and an ear for the suite.

use crate::ask::{Answer, Ask, Told};
use anyhow::{Context as _, Result};
use jinwu_event::{Call, Reason, Record, Verdict};
use jinwu_sensor::enforce::glass::Glass;
use jinwu_sensor::enforce::{Alone, FOLDER, FileId, withdraw};
use jinwu_trust::VerifyingKey;
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The node's name in commands.
pub(crate) const NODE: &str = "vm";

pub(crate) fn run() -> Result<()> {
    let observed = [Call::Open, Call::Unlink, Call::Mkdir, Call::Connect, Call::Sendto, Call::IoUringSetup, Call::Mmap, Call::Mprotect, Call::Chmod, Call::Rename];
    let alone = Alone::start(Path::new(FOLDER), &observed)?;
    let mut out = std::io::stdout().lock();
    let mut say = |answer: &Answer| -> Result<()> {
        serde_json::to_writer(&mut out, answer)?;
        writeln!(out)?;
        Ok(out.flush()?)
    };
    say(&Answer::Failed(alone.missing.join(" ")))?;
    for line in std::io::stdin().lock().lines() {
        let ask: Ask = serde_json::from_str(&line?)?;
        let answer = answer(&alone, ask).unwrap_or_else(|error| Answer::Failed(format!("{error:#}")));
        say(&answer)?;
    }
    Ok(())
}

fn answer(alone: &Alone, ask: Ask) -> Result<Answer> {
    let enforcer = &alone.enforcer;
    match ask {
        Ask::Container(cgroup, policy) => enforcer.put_container(cgroup, &policy)?,
        Ask::RemoveContainer(cgroup) => enforcer.remove_container(cgroup)?,
        Ask::Policy(id, policy) => enforcer.put_policy(id, &policy)?,
        Ask::Content(path, content) => enforcer.put_content(FileId::of(&path)?, content)?,
        Ask::GuardFile(path) => enforcer.guard_file(FileId::of(&path)?)?,
        Ask::Records => return Ok(Answer::Records(alone.records()?.iter().filter_map(|r| told(r)).collect())),
        Ask::Untold => return Ok(Answer::Records(enforcer.untold()?.iter().filter_map(|r| told(r)).collect())),
        Ask::Told => enforcer.told(boot())?,
        Ask::Glass(text, key) => {
            let key = VerifyingKey::from_pem(&key).context("a key")?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
            let glass = Glass::check(text.as_bytes(), &[key], NODE, now)?;
            enforcer.break_glass(glass.until_boot(now, boot()))?;
        }
        Ask::CloseGlass => enforcer.break_glass(0)?,
        Ask::Lost => return Ok(Answer::Lost(alone.lost())),
        Ask::Withdraw => withdraw(Path::new(FOLDER))?,
    }
    Ok(Answer::Done)
}

fn boot() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn told(bytes: &[u8]) -> Option<Told> {
    let record = Record::read(bytes)?;
    let head = &record.head;
    Some(Told {
        call: Call::of(head.call)?.name().to_owned(),
        verdict: Verdict::of(head.verdict)?.name().to_owned(),
        reason: Reason::of(head.reason)?.name().to_owned(),
        policy: head.policy,
        rule: head.rule,
        cgroup: head.cgroup,
        result: head.result,
        flags: head.flags,
        texts: (0..jinwu_event::record::TEXTS).map(|i| record.text(i).map(|t| String::from_utf8_lossy(t).into_owned()).unwrap_or_default()).collect(),
        remote: head.remote_port,
    })
}
