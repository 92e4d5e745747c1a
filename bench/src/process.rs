//! Processes that are measured; each ends with its value.

use crate::machine;
use anyhow::Context as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Standard output and errors go to `log`.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> anyhow::Result<Process> {
        let out = std::fs::File::create(log).with_context(|| log.display().to_string())?;
        let child = command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).spawn().with_context(|| name.to_owned())?;
        Ok(Process { name: name.to_owned(), child })
    }

    /// Asks until `ready` says yes.
    pub(crate) fn wait_for(&mut self, seconds: u64, mut ready: impl FnMut() -> bool) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_secs(seconds);
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("{} ended with {status}", self.name);
            }
            anyhow::ensure!(Instant::now() < until, "{} was not ready in {seconds} s", self.name);
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// User and system time so far, to a hundredth of a second.
    pub(crate) fn cpu(&self) -> Duration {
        machine::cpu(self.child.id())
    }

    /// Peak resident memory in MiB.
    pub(crate) fn peak(&self) -> f64 {
        machine::peak(self.child.id())
    }

    /// SIGKILL, and the end of it.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
