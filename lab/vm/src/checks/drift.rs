//! Code that did not come with the image.

use crate::ask::{Ask, Told};
use crate::world::{Agent, Container, Outcome, Report};
use anyhow::Result;
use jinwu_sensor::enforce::{ContainerPolicy, Content, Mode};

/// Which way a try must go.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Went,
    Refused,
    /// The program runs, the library in it does not.
    Without,
}
use Way::{Refused, Went, Without};

/// The matrix: what was done before, what is tried, how it goes.
const MATRIX: &[(&str, &[&str], &str, Way)] = &[
    ("a static program of the image", &[], "exec /bin/act hello", Went),
    ("a dynamic program of the image", &[], "exec /bin/dynamic hello", Went),
    ("a script of the image", &[], "exec /bin/script", Went),
    ("a script of the image given to a shell", &[], "exec /bin/sh /bin/script", Went),
    ("a program dropped into the upper layer", &["copy /bin/act /tmp/dropped"], "exec /tmp/dropped hello", Refused),
    ("a program dropped among the image's", &["copy /bin/act /bin/dropped"], "exec /bin/dropped hello", Refused),
    ("a program on a tmpfs", &[], "mounted tmpfs /mnt and 3 copy /bin/act /mnt/x exec /mnt/x hello", Refused),
    ("a program in /dev/shm", &[], "mounted tmpfs /dev/shm and 3 copy /bin/act /dev/shm/x exec /dev/shm/x hello", Refused),
    ("a program in memory (memfd)", &[], "memfd /bin/act hello", Refused),
    ("a dropped program by execveat", &["copy /bin/act /tmp/at"], "execveat /tmp/at hello", Refused),
    ("a dropped program by fexecve", &["copy /bin/act /tmp/fd"], "fexecve /tmp/fd hello", Refused),
    ("the dynamic loader with a dropped program", &["copy /bin/dynamic /tmp/loaded"], "exec /lib64/ld-linux-x86-64.so.2 /tmp/loaded hello", Refused),
    ("the dynamic loader with the image's program", &[], "exec /lib64/ld-linux-x86-64.so.2 /bin/dynamic hello", Went),
    ("a preloaded library that was dropped", &["copy /lib/evil.so /tmp/evil.so"], "preload /tmp/evil.so /bin/dynamic hello", Without),
    ("a dropped script started by its #!", &["copy /bin/script /tmp/s.sh"], "exec /tmp/s.sh", Refused),
    ("a dropped script given to a shell", &["copy /bin/script /tmp/t.sh"], "exec /bin/sh /tmp/t.sh", Refused),
    ("a dropped script behind an option", &["copy /bin/script /tmp/u.sh"], "exec /bin/sh -x /tmp/u.sh", Refused),
    ("a dropped script by a symbolic link", &["copy /bin/script /tmp/v.sh", "symlink /tmp/v.sh /tmp/linked"], "exec /bin/sh /tmp/linked", Refused),
    ("a dropped file that is data of an image's script", &["copy /bin/script /tmp/data"], "exec /bin/sh /bin/reads /tmp/data", Went),
    ("a program of the image after chmod", &["chmod /bin/changed"], "exec /bin/changed hello", Went),
    ("a program of the image after chown", &["chown /bin/owned"], "exec /bin/owned hello", Went),
    ("a hard link of a program of the image", &["link /bin/linkable /bin/hard"], "exec /bin/hard hello", Went),
    ("a renamed program of the image", &["rename /bin/movable /tmp/moved"], "exec /tmp/moved hello", Went),
    ("a program of the image that was written", &["append /bin/written"], "exec /bin/written hello", Refused),
    ("a program of the image written by a mapping", &["write-mapped /bin/mapped"], "exec /bin/mapped hello", Refused),
    ("a program of the image replaced", &["copy /bin/act /tmp/new", "rename /tmp/new /bin/replaced"], "exec /bin/replaced hello", Refused),
    ("a written program after chmod and rename", &["append /bin/hidden", "chmod /bin/hidden", "rename /bin/hidden /bin/seen"], "exec /bin/seen hello", Refused),
    ("code of a dropped file mapped", &["copy /bin/act /tmp/code"], "map /tmp/code", Refused),
    ("code of a dropped file made executable later", &["copy /bin/act /tmp/later"], "mprotect /tmp/later", Refused),
    ("code of the image mapped", &[], "map /bin/act", Went),
    ("code of the image made executable later", &[], "mprotect /bin/act", Went),
    ("code of the image after chmod made executable later", &["chmod /lib/late.so"], "mprotect /lib/late.so", Went),
    ("a dropped program on a bind mount", &["copy /bin/act /tmp/bound"], "mounted /tmp /mnt exec /mnt/bound hello", Refused),
    ("the image's program on a bind mount", &[], "mounted /bin /mnt exec /mnt/act hello", Went),
    ("a dropped program after chroot to a tmpfs", &[], "mounted tmpfs /mnt and 3 copy /bin/act /mnt/x chroot /mnt exec /x hello", Refused),
    ("code a program makes for itself (JIT)", &[], "jit", Went),
    ("a copy of a program, not run", &["copy /bin/act /tmp/copied", "chmod /tmp/copied"], "open /tmp/copied", Went),
];

fn good(way: Way, outcome: &Outcome) -> bool {
    match way {
        Went => outcome.went(),
        // Loaders and shells say it in their own words.
        Refused => outcome.refused() || outcome.code != Some(0) && outcome.out.contains("failed to map segment"),
        Without => outcome.code == Some(0) && outcome.out.contains("hello") && !outcome.out.lines().any(|l| l == "evil"),
    }
}

pub(crate) fn run(agent: &mut Agent, report: &mut Report) -> Result<()> {
    let blocked = ContainerPolicy { drift: Mode::Block, ..ContainerPolicy::default() };
    let container = Container::new("drift")?;
    container.put(agent, &blocked)?;
    agent.records()?;
    // The first program settles which file system the container's root is.
    container.exec("/bin/act hello")?;
    for (name, before, try_, way) in MATRIX {
        for step in *before {
            let done = container.run(step)?;
            if !done.went() {
                report.check(&format!("drift: {name}: {step}"), false, &done);
            }
        }
        let outcome = container.run(try_)?;
        let records = agent.records()?;
        let told = records.iter().any(|r| denied(r, &container));
        report.check(&format!("drift: {name}"), good(*way, &outcome) && told == (*way != Went), &(outcome, records));
    }
    forgotten(report, &container)?;
    alarm(agent, report)?;
    start(agent, report)?;
    held(agent, report)?;
    volume(agent, report)
}

/// The kernel may drop files from its caches; what is known of them must not go with them.
fn forgotten(report: &mut Report, container: &Container) -> Result<()> {
    for _ in 0..2 {
        std::fs::write("/proc/sys/vm/drop_caches", "3")?;
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    for (path, went) in [("/bin/changed", true), ("/bin/hard", true), ("/tmp/moved", true), ("/bin/written", false), ("/bin/seen", false), ("/tmp/dropped", false), ("/bin/mapped", false)] {
        let outcome = container.exec(&format!("{path} hello"))?;
        report.check(&format!("drift: after caches were dropped: {path}"), if went { outcome.went() } else { outcome.refused() }, &outcome);
    }
    Ok(())
}

fn denied(record: &Told, container: &Container) -> bool {
    record.verdict == "denied" && record.cgroup == container.id && record.result == -1 && matches!(record.reason.as_str(), "drift" | "script")
}

fn alarm(agent: &mut Agent, report: &mut Report) -> Result<()> {
    let container = Container::new("alarm")?;
    container.put(agent, &ContainerPolicy { drift: Mode::Alarm, ..ContainerPolicy::default() })?;
    container.exec("/bin/act hello")?;
    container.run("copy /bin/act /tmp/dropped")?;
    agent.records()?;
    let outcome = container.exec("/tmp/dropped hello")?;
    let records = agent.records()?;
    let told = records.iter().find(|r| r.verdict == "alarmed" && r.reason == "drift" && r.result == 0);
    report.check("drift: alarm lets it run and tells it", outcome.went() && told.is_some_and(|r| r.texts[0] == "/tmp/dropped"), &(outcome, &records));
    let other = Container::new("allow")?;
    other.run("copy /bin/act /tmp/dropped")?;
    let outcome = other.exec("/tmp/dropped hello")?;
    report.check("drift: a container without a policy runs what it likes", outcome.went(), &outcome);
    Ok(())
}

/// What admission should have refused is caught at the start.
fn start(agent: &mut Agent, report: &mut Report) -> Result<()> {
    let container = Container::new("start")?;
    container.put(agent, &ContainerPolicy { root: Mode::Block, ..ContainerPolicy::default() })?;
    agent.records()?;
    let root = container.exec("/bin/act hello")?;
    let told = agent.records()?.iter().any(|r| r.verdict == "denied" && r.reason == "root");
    report.check("start: user 0 is refused", root.refused() && told, &(root, told));
    let user = container.as_user("hello")?;
    report.check("start: another user is not", user.went(), &user);
    container.put(agent, &ContainerPolicy { privileged: Mode::Block, ..ContainerPolicy::default() })?;
    let privileged = container.exec("/bin/act hello")?;
    let told = agent.records()?.iter().any(|r| r.verdict == "denied" && r.reason == "privileged");
    report.check("start: a privileged container is refused", privileged.refused() && told, &(privileged, told));
    let user = container.as_user("hello")?;
    report.check("start: one without capabilities is not", user.went(), &user);
    Ok(())
}

/// Files nobody has looked at.
fn held(agent: &mut Agent, report: &mut Report) -> Result<()> {
    let container = Container::new("held")?;
    container.put(agent, &ContainerPolicy { held: Mode::Block, ..ContainerPolicy::default() })?;
    container.exec("/bin/act hello")?;
    container.run("copy /bin/act /tmp/new")?;
    agent.records()?;
    let file = container.at("/tmp/new");
    let unknown = container.exec("/tmp/new hello")?;
    let reason = |agent: &mut Agent, reason: &str| -> Result<bool> { Ok(agent.records()?.iter().any(|r| r.verdict == "denied" && r.reason == reason)) };
    report.check("held: a new file waits", unknown.refused() && reason(agent, "held")?, &unknown);
    agent.tell(&Ask::Content(file.clone(), Some(Content::Clean)))?;
    let clean = container.exec("/tmp/new hello")?;
    report.check("held: a clean one runs", clean.went(), &clean);
    agent.tell(&Ask::Content(file.clone(), Some(Content::Malicious)))?;
    let malicious = container.exec("/tmp/new hello")?;
    report.check("held: a malicious one does not", malicious.refused() && reason(agent, "malicious")?, &malicious);
    agent.tell(&Ask::Content(file, Some(Content::Clean)))?;
    container.run("append /tmp/new")?;
    let written = container.exec("/tmp/new hello")?;
    report.check("held: a clean one that was written waits again", written.refused() && reason(agent, "held")?, &written);
    Ok(())
}

fn volume(agent: &mut Agent, report: &mut Report) -> Result<()> {
    let container = Container::new("volume")?;
    let place = container.at("/data");
    std::fs::create_dir_all(&place)?;
    crate::world::node(&format!("mounted tmpfs {} and 3 copy /act {0}/tool hello", place.display()))?;
    let device = jinwu_sensor::enforce::FileId::of(&place)?.device;
    container.put(agent, &ContainerPolicy { drift: Mode::Block, volumes: vec![device], ..ContainerPolicy::default() })?;
    container.exec("/bin/act hello")?;
    let permitted = container.exec("/data/tool hello")?;
    report.check("drift: a volume that may have programs", permitted.went(), &permitted);
    Ok(())
}
