//! What root asks on the node itself, through a socket only root may open.

use crate::engine::{Ask, now};
use anyhow::{Context as _, Result};
use jinwu_node::response::{Command, Response};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Longest question, bytes.
const LONGEST: u64 = 64 << 10;
/// How long the sensor's thread may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of a command.
pub(crate) type Said = Result<String, String>;

/// The engine's end of what is asked of it.
pub(crate) struct Control {
    receive: Mutex<Receiver<Ask>>,
    ready: Arc<AtomicBool>,
}

/// The asker's end.
#[derive(Clone)]
pub(crate) struct Asker {
    send: Sender<Ask>,
    ready: Arc<AtomicBool>,
}

/// A question as it travels, one JSON document in a line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask", deny_unknown_fields)]
pub(crate) enum Question {
    Status,
    Containers,
    Alarms,
    Respond {
        container: String,
        response: Response,
        #[serde(default)]
        pid: Option<u32>,
        reason: String,
    },
}

pub(crate) fn pair() -> (Control, Asker) {
    let (send, receive) = channel();
    let ready = Arc::new(AtomicBool::new(false));
    (Control { receive: Mutex::new(receive), ready: ready.clone() }, Asker { send, ready })
}

// === impl Control ===

impl Control {
    pub(crate) fn next(&self) -> Option<Ask> {
        self.receive.lock().try_recv().ok()
    }

    pub(crate) fn ready(&self) {
        self.ready.store(true, Ordering::Release);
    }
}

// === impl Asker ===

impl Asker {
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    pub(crate) fn ask<T>(&self, make: impl FnOnce(Sender<T>) -> Ask) -> Result<T, String> {
        let (send, receive) = channel();
        self.send.send(make(send)).map_err(|_| "the sensor has ended".to_owned())?;
        receive.recv_timeout(PATIENCE).map_err(|_| "the sensor does not answer".to_owned())
    }
}

/// Answers on `path` until the process ends.
///
/// # Errors
/// The socket cannot be made.
pub(crate) fn serve(path: &Path, asker: Asker) -> Result<()> {
    let _ = std::fs::remove_file(path);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let listener = UnixListener::bind(path).with_context(|| format!("{} cannot be made", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    std::thread::Builder::new().name("local".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let answer = read(&stream).map_or_else(|e| json!({"error": e}), |question| answer(&asker, question));
            let mut stream = stream;
            let _ = writeln!(stream, "{answer}");
        }
    })?;
    Ok(())
}

fn read(stream: &UnixStream) -> Result<Question, String> {
    let mut line = String::new();
    let stream = stream.try_clone().map_err(|e| e.to_string())?;
    BufReader::new(std::io::Read::take(stream, LONGEST)).read_line(&mut line).map_err(|e| e.to_string())?;
    serde_json::from_str(&line).map_err(|e| e.to_string())
}

fn answer(asker: &Asker, question: Question) -> Value {
    let said = match question {
        Question::Status => asker.ask(Ask::Status),
        Question::Containers => asker.ask(Ask::Containers),
        Question::Alarms => asker.ask(Ask::Alarms),
        Question::Respond { container, response, pid, reason } => {
            let issued = now();
            let id = format!("local-{issued:x}-{}", std::process::id());
            let command = Command { decision: id.clone(), id, node: String::new(), container, response, pid, reason, by: "root (local)".into(), issued, expires: issued + 60_000 };
            asker.ask(|to| Ask::Command(Box::new(command), to)).and_then(|said| said).map(|said| json!({"done": response.name(), "said": said}))
        }
    };
    said.unwrap_or_else(|error| json!({"error": error}))
}

/// Asks the sensor that runs on this node.
///
/// # Errors
/// None runs, or it says why not.
pub(crate) fn ask(path: &Path, question: &Question) -> Result<Value> {
    let mut stream = UnixStream::connect(path)
        .with_context(|| format!("没有传感器在运行({0} 不可用),先启动 jinwu-agent run / no sensor runs ({0} cannot be used): start jinwu-agent run first", path.display()))?;
    writeln!(stream, "{}", serde_json::to_string(question)?)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let answer: Value = serde_json::from_str(&line).context("the sensor's answer cannot be read")?;
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        anyhow::bail!("{error}");
    }
    Ok(answer)
}
