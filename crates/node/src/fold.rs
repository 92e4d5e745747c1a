//! Equal events of a moment: the first is told at once, the others as one with their number.

use jinwu_event::{Call, NodeEvent};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// How long equal events are counted together, nanoseconds.
pub const WINDOW: i64 = 10_000_000_000;
/// Most different events counted at once; beyond, all that were counted are told.
const MOST: usize = 16_384;

struct Counted {
    since: i64,
    /// The last one, and how many came after the first.
    last: Option<Box<NodeEvent>>,
    count: u32,
}

/// Counts equal events.
#[derive(Default)]
pub struct Folder {
    known: HashMap<u64, Counted>,
    swept: i64,
}

// === impl Folder ===

impl Folder {
    /// The event, if it is the first of its kind within the window. One that is counted is told by [`Folder::sweep`].
    pub fn take(&mut self, event: NodeEvent) -> Option<NodeEvent> {
        let key = key(&event);
        if let Some(counted) = self.known.get_mut(&key)
            && event.time - counted.since < WINDOW
        {
            counted.count = counted.count.saturating_add(event.count);
            counted.last = Some(Box::new(event));
            return None;
        }
        self.known.insert(key, Counted { since: event.time, last: None, count: 0 });
        Some(event)
    }

    /// What was counted in windows that are over at `now`, or all where there is no room for more.
    pub fn sweep(&mut self, now: i64, mut tell: impl FnMut(NodeEvent)) {
        let full = self.known.len() > MOST;
        if !full && now - self.swept < WINDOW / 10 {
            return;
        }
        self.swept = now;
        self.known.retain(|_, counted| {
            // A clock that was set back must not keep anything for ever.
            let over = full || now - counted.since >= WINDOW || counted.since > now;
            if over && let Some(mut last) = counted.last.take() {
                last.count = counted.count;
                tell(*last);
            }
            !over
        });
    }
}

/// What makes two events equal: who, in what, does what to what, with which answer.
fn key(event: &NodeEvent) -> u64 {
    let mut hasher = DefaultHasher::new();
    event.call.hash(&mut hasher);
    event.container.id.hash(&mut hasher);
    event.failed().hash(&mut hasher);
    event.verdict.hash(&mut hasher);
    event.paths.hash(&mut hasher);
    event.process.program.path.hash(&mut hasher);
    event.process.uid.hash(&mut hasher);
    match event.call {
        // Each start is one of its own unless it is the same line of the same parent.
        Call::Execve | Call::Execveat => {
            event.process.args.hash(&mut hasher);
            event.process.exe.hash(&mut hasher);
            event.process.parent.hash(&mut hasher);
        }
        Call::Procexit => event.process.args.hash(&mut hasher),
        _ => {
            event.path().hash(&mut hasher);
            event.process.name.hash(&mut hasher);
            if let Some(socket) = &event.socket {
                socket.remote.map(|r| r.ip()).hash(&mut hasher);
                let port = |a: Option<std::net::SocketAddr>| a.map(|a| a.port());
                // Of a connection that came in the own port counts, of one that goes out the other's.
                if matches!(event.call, Call::Accept | Call::Accept4) { port(socket.local).hash(&mut hasher) } else { port(socket.remote).hash(&mut hasher) }
            }
            if event.call == Call::Dns {
                event.data.get(2..).hash(&mut hasher);
            }
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jinwu_event::{Origin, Verdict};

    fn event(time: i64, path: &str) -> NodeEvent {
        NodeEvent {
            number: 0,
            time,
            host: "n".into(),
            call: Call::Unlink,
            result: 0,
            args: [0; 6],
            target: None,
            texts: [None, None],
            paths: [Some(path.into()), None],
            file: None,
            socket: None,
            data: Vec::new(),
            extra: None,
            process: Default::default(),
            ancestors: std::sync::Arc::from([]),
            tid: 1,
            container: Default::default(),
            origin: Origin::Syscall,
            verdict: Verdict::Passed,
            created: false,
            io_uring: false,
            compat: false,
            count: 1,
        }
    }

    #[test]
    fn equal_ones_are_counted_and_none_is_lost() {
        let mut folder = Folder::default();
        let mut told = 0;
        for i in 0..1000 {
            if let Some(e) = folder.take(event(i, if i % 2 == 0 { "/a" } else { "/b" })) {
                told += e.count;
            }
        }
        assert_eq!(told, 2);
        folder.sweep(WINDOW + 1000, |e| told += e.count);
        assert_eq!(told, 1000);
        assert!(folder.take(event(WINDOW + 2000, "/a")).is_some());
    }

    #[test]
    fn different_ones_beyond_the_room_are_told() {
        let mut folder = Folder::default();
        let mut told = 0;
        for i in 0..100_000 {
            told += folder.take(event(1, &format!("/{i}"))).map_or(0, |e| e.count);
            told += folder.take(event(1, &format!("/{i}"))).map_or(0, |e| e.count);
            folder.sweep(1, |e| told += e.count);
        }
        assert!(folder.known.len() <= MOST + 1);
        folder.sweep(2 * WINDOW, |e| told += e.count);
        assert_eq!(told, 200_000);
    }
}
