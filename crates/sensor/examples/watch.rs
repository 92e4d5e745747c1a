//! Prints what the sensor sees for some seconds: `watch [SECONDS] [node]`.

use jinwu_event::Call;
use jinwu_sensor::{Notice, Options, Sensor};
fn main() -> anyhow::Result<()> {
    let seconds: u64 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(5);
    let node = std::env::args().nth(2).is_some();
    let calls: std::collections::BTreeSet<Call> = Call::ALL.iter().copied().filter(|c| !c.name().starts_with("recv")).collect();
    let mut sensor = Sensor::start(Options { host: "here".into(), root: "/".into(), scope: "/".into(), except: None, calls: calls.clone(), node_calls: if node { calls } else { Default::default() }, ring: 16 << 20, no_lsm: false })?;
    for note in &sensor.capabilities.notes { eprintln!("{note:?}"); }
    let start = std::time::Instant::now();
    let mut n = 0u64;
    while start.elapsed().as_secs() < seconds {
        sensor.round(std::time::Duration::from_millis(10), &mut |notice| if let Notice::Event(e) = notice {
            n += 1;
            println!("{} {:?} [{} {}] {} ({}) uid {:?} {} -> {} {:?} {:?} {:?} x{}", e.container.short_id(), e.container.runtime, e.container.name, e.container.image, e.process.command_line().chars().take(60).collect::<String>(), e.ancestors.iter().map(|a| a.name.as_str()).collect::<Vec<_>>().join("<"), e.process.user, e.call.name(), e.result, e.paths, e.file.as_ref().map(|f| (f.path.clone(), f.layer)), e.socket.as_ref().map(|s| s.remote), e.count);
        })?;
    }
    eprintln!("{n} events, {} processes, losses {:?}, unreadable {}", sensor.processes.len(), sensor.losses(), sensor.unreadable);
    Ok(())
}
