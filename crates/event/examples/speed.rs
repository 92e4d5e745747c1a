//! How long the shipped rules take over a mixed stream of events on one thread, the best of many batches:
//! `cargo run --release -p jinwu-event --example speed`.
#![forbid(unsafe_code)]

use jinwu_detect::{RuleSet, Scratch, Sequences, content};
use jinwu_event::{Call, Container, File, Layer, NodeEvent, Process, Socket, Who};
use std::sync::Arc;
use std::time::Instant;

const BATCHES: usize = 50;
const ROUNDS: usize = 500;

fn process(name: &str, path: &str, args: &[&str]) -> Process {
    Process {
        pid: 4242,
        name: name.into(),
        exe: path.into(),
        args: args.iter().map(|a| (*a).to_owned()).collect(),
        env: (0..20).map(|i| format!("VARIABLE_{i}=value of the variable")).collect(),
        cwd: "/srv/app".into(),
        program: File { path: Some(path.into()), mode: 0o100_755, layer: Layer::Lower, ..File::default() },
        uid: 1000,
        user: Some("app".into()),
        pid_namespace: 4_026_532_001,
        ..Process::default()
    }
}

fn who() -> Who {
    let container = Container { id: "0123456789abcdef".repeat(4), image: "registry.example/shop/web:1.2".into(), name: "web".into(), privileged: Some(false), resolved: true, ..Container::default() };
    Who {
        process: Arc::new(process("python3", "/usr/local/bin/python3.12", &["/srv/app/main.py", "--port", "8080", "--workers", "4"])),
        ancestors: [process("gunicorn", "/usr/local/bin/python3.12", &["app:app"]), process("tini", "/usr/bin/tini", &["--", "gunicorn"]), process("containerd-shim", "/usr/bin/containerd-shim-runc-v2", &["-id", "x"])].map(Arc::new).into(),
        container: Arc::new(container),
    }
}

fn event(call: Call, path: &str) -> NodeEvent {
    let mut event = NodeEvent::bare(call, who(), 1_790_000_000_000_000_000, "node-1".into());
    if !path.is_empty() {
        event.texts[0] = Some(path.into());
        event.paths[0] = Some(path.into());
        event.file = Some(File { path: Some(path.into()), mode: 0o100_644, layer: Layer::Lower, ..File::default() });
    }
    if matches!(call, Call::Connect | Call::Accept4 | Call::Sendto) {
        event.socket = Some(Socket { family: 2, kind: 1, protocol: 6, local: Some(([10, 0, 0, 5], 40000).into()), remote: Some(([10, 0, 0, 9], 5432).into()), path: None });
    }
    event
}

/// Names and events of the stream.
fn stream() -> Vec<(&'static str, NodeEvent)> {
    let mut written = event(Call::Openat, "/srv/app/data/state.json");
    written.args[2] = 0o1101;
    let mut renamed = event(Call::Rename, "/srv/app/data/a");
    renamed.texts[1] = Some("/srv/app/data/b".into());
    renamed.paths[1] = Some("/srv/app/data/b".into());
    vec![
        ("open to read", event(Call::Openat, "/usr/local/lib/python3.12/site-packages/requests/models.py")),
        ("open to write", written),
        ("open of what is not there", NodeEvent { result: -2, file: None, ..event(Call::Openat, "/srv/app/none") }),
        ("start of a program", event(Call::Execve, "/usr/bin/date")),
        ("connect", event(Call::Connect, "")),
        ("accept", event(Call::Accept4, "")),
        ("rename", renamed),
        ("unlink", event(Call::Unlinkat, "/srv/app/data/b")),
        ("mmap", event(Call::Mmap, "/usr/lib/libssl.so.3")),
        ("end of a process", event(Call::Procexit, "")),
    ]
}

/// Nanoseconds of one call, in the batch that took least.
fn best(mut work: impl FnMut()) -> f64 {
    let batch = |work: &mut dyn FnMut()| {
        let begun = Instant::now();
        (0..ROUNDS).for_each(|_| work());
        begun.elapsed().as_nanos() as f64 / ROUNDS as f64
    };
    (0..BATCHES).map(|_| batch(&mut work)).fold(f64::INFINITY, f64::min)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (rules, _) = RuleSet::load(&content::node())?;
    let (mut scratch, mut sequences) = (Scratch::default(), Sequences::default());
    let (mut all, mut hits) = (0.0, 0);
    println!("{} rules, {} sequences", rules.rules().len(), rules.sequences().len());
    let stream = stream();
    for (name, event) in &stream {
        let only_rules = best(|| rules.evaluate_with(event, &mut scratch, |_| hits += 1));
        let mut time = event.time;
        let only_sequences = best(|| {
            time += 1_000_000;
            hits += sequences.observe_with(&rules, event, time, &mut scratch).len();
        });
        println!("{name:>26}: {only_rules:>7.0} ns rules, {only_sequences:>6.0} ns sequences");
        all += only_rules + only_sequences;
    }
    println!("{:>26}: {:>7.0} ns an event ({hits} hits)", "mixed", all / stream.len() as f64);
    Ok(())
}
