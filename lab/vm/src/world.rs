//! Containers, their agent, and a list of what went as it should.

use crate::ask::{Answer, Ask, Told};
use anyhow::{Context as _, Result, bail};
use jinwu_sensor::enforce::ContainerPolicy;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

pub(crate) const CGROUPS: &str = "/sys/fs/cgroup";

/// The agent under test: another process, started and killed by this one.
pub(crate) struct Agent {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Hooks this kernel has not.
    pub(crate) missing: String,
}

/// A container: an overlay whose lower layer is the image, and a cgroup.
pub(crate) struct Container {
    pub(crate) cgroup: PathBuf,
    pub(crate) id: u64,
    pub(crate) root: PathBuf,
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
}

#[derive(Default)]
pub(crate) struct Report {
    failed: usize,
    passed: usize,
}

// === impl Report ===

impl Report {
    pub(crate) fn check(&mut self, name: &str, good: bool, seen: &dyn std::fmt::Debug) {
        if good {
            self.passed += 1;
            println!("PASS {name}");
        } else {
            self.failed += 1;
            println!("FAIL {name}: {seen:?}");
        }
    }

    pub(crate) fn end(&self) -> bool {
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0 && self.passed > 0
    }
}

// === impl Agent ===

impl Agent {
    pub(crate) fn start() -> Result<Self> {
        let mut child = Command::new("/act").args(["join", "/sys/fs/cgroup/agent", "exec", "/agent", "agent"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().context("stdin")?;
        let mut output = BufReader::new(child.stdout.take().context("stdout")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let Ok(Answer::Failed(missing)) = serde_json::from_str(&line) else {
            bail!("{}", line.trim().trim_start_matches("FAIL "));
        };
        Ok(Agent { child, input, output, missing })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ask(&mut self, ask: &Ask) -> Result<Answer> {
        serde_json::to_writer(&mut self.input, ask)?;
        writeln!(self.input)?;
        self.input.flush()?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("the agent's answer to {ask:?}: {line:?}"))
    }

    pub(crate) fn tell(&mut self, ask: &Ask) -> Result<()> {
        match self.ask(ask)? {
            Answer::Done => Ok(()),
            other => bail!("{ask:?}: {other:?}"),
        }
    }

    pub(crate) fn records(&mut self) -> Result<Vec<Told>> {
        self.list(&Ask::Records)
    }

    pub(crate) fn list(&mut self, ask: &Ask) -> Result<Vec<Told>> {
        match self.ask(ask)? {
            Answer::Records(records) => Ok(records),
            other => bail!("{ask:?}: {other:?}"),
        }
    }

    /// As a crash is: at once, without a word.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        // Its task is gone when the kernel has forgotten it, a grace period later.
        std::thread::sleep(std::time::Duration::from_millis(300));
        Ok(())
    }
}

// === impl Container ===

impl Container {
    /// # Errors
    /// When a mount or a cgroup cannot be made.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let base = PathBuf::from("/containers").join(name);
        let root = base.join("root");
        for dir in ["upper", "work", "root"] {
            std::fs::create_dir_all(base.join(dir))?;
        }
        let options = format!("lowerdir=/image,upperdir={0}/upper,workdir={0}/work", base.display());
        let done = Command::new("/bin/busybox").args(["mount", "-t", "overlay", "-o", &options, "overlay"]).arg(&root).status()?;
        anyhow::ensure!(done.success(), "the overlay of {name} cannot be mounted");
        let cgroup = Path::new(CGROUPS).join(name);
        std::fs::create_dir(&cgroup)?;
        let id = std::fs::metadata(&cgroup)?.ino();
        Ok(Container { cgroup, id, root })
    }

    pub(crate) fn put(&self, agent: &mut Agent, policy: &ContainerPolicy) -> Result<()> {
        agent.tell(&Ask::Container(self.id, policy.clone()))
    }

    /// Has a program of the image try something.
    pub(crate) fn run(&self, try_: &str) -> Result<Outcome> {
        self.enter(&format!("exec /bin/act {try_}"))
    }

    /// The same as user 1000.
    pub(crate) fn as_user(&self, try_: &str) -> Result<Outcome> {
        self.enter(&format!("user 1000 exec /bin/act {try_}"))
    }

    /// Has a program of the image start a command.
    pub(crate) fn exec(&self, command: &str) -> Result<Outcome> {
        self.run(&format!("exec {command}"))
    }

    fn enter(&self, words: &str) -> Result<Outcome> {
        let output = Command::new("/act").arg("enter").arg(&self.cgroup).arg(&self.root).args(words.split_whitespace()).output()?;
        Ok(Outcome::new(&output))
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

// === impl Outcome ===

impl Outcome {
    fn new(output: &Output) -> Self {
        let out = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        Outcome { code: output.status.code(), out: String::from_utf8_lossy(&out).trim().to_owned() }
    }

    pub(crate) fn went(&self) -> bool {
        self.code == Some(0) && !self.out.contains("evil")
    }

    /// Refused by the kernel, before anything was done. A shell says it in words.
    pub(crate) fn refused(&self) -> bool {
        self.code != Some(0) && (self.out.lines().last() == Some("EPERM") || self.out.to_lowercase().contains("operation not permitted"))
    }
}

/// By a program that what started the agent started too.
pub(crate) fn node(try_: &str) -> Result<Outcome> {
    Ok(Outcome::new(&Command::new("/act").args(try_.split_whitespace()).output()?))
}

/// By root of the node, but nobody the agent has to do with.
pub(crate) fn stranger(try_: &str) -> Result<Outcome> {
    let script = format!("/act {try_}; code=$?; exit $code");
    Ok(Outcome::new(&Command::new("/bin/busybox").args(["sh", "-c", &script]).output()?))
}
