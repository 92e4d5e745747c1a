//! What is tried, and how it must go.

mod drift;
mod rules;
mod survive;

use crate::world::{Agent, Report};
use anyhow::Result;
use jinwu_sensor::capability::{Capabilities, Rung, lsm_listed};

/// All of it, by what this kernel has.
pub(crate) fn run() -> Result<bool> {
    let mut report = Report::default();
    let listed = lsm_listed();
    println!("kernel {}", std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim());
    if let Err(why) = listed {
        return without(&mut report, why);
    }
    let mut agent = Agent::start()?;
    println!("hooks this kernel has not: {:?}", agent.missing);
    drift::run(&mut agent, &mut report)?;
    rules::run(&mut agent, &mut report)?;
    survive::run(agent, &mut report)?;
    Ok(report.end())
}

/// Where there are no security hooks nobody pretends to refuse anything.
fn without(report: &mut Report, why: String) -> Result<bool> {
    let capabilities = Capabilities::new(Err(why.clone()));
    report.check("without lsm=bpf the lesser rung is named", capabilities.rung == Rung::Tracepoint && !capabilities.lsm, &capabilities.rung);
    let prevent = capabilities.notes.iter().find(|n| n.what == "prevent");
    report.check("it says that nothing is refused, and why", prevent.is_some_and(|n| !n.can && n.why.contains("lsm=")), &prevent);
    let agent = Agent::start();
    let error = agent.as_ref().err().map(|e| format!("{e:#}"));
    report.check("the hooks do not start, with the reason", error.as_deref().is_some_and(|e| e.contains("lsm=")), &error);
    report.check("nothing is pinned", !std::path::Path::new(jinwu_sensor::enforce::FOLDER).exists(), &"pins");
    let container = crate::world::Container::new("plain")?;
    let unlinked = container.run("and 3 copy /bin/act /tmp/x unlink /tmp/x")?;
    report.check("containers run as ever", unlinked.went(), &unlinked);
    Ok(report.end())
}
