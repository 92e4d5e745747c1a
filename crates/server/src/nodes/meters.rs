//! What containers use, as their sensors measure it, with a day of history at growing steps. In memory: it begins anew
//! with the server.

use jinwu_event::Use;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, VecDeque};

/// A container as a sensor tells it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measured {
    pub id: String,
    #[serde(deserialize_with = "or_none")]
    pub name: String,
    #[serde(deserialize_with = "or_none")]
    pub image: String,
    #[serde(deserialize_with = "or_none")]
    pub namespace: String,
    #[serde(deserialize_with = "or_none")]
    pub pod: String,
    /// When it started, as the sensor tells it.
    pub started: Value,
    #[serde(rename = "use")]
    pub used: Use,
    /// Its processes with their command lines.
    pub processes: Vec<Value>,
}

/// A container with its history.
#[derive(Clone, Debug)]
pub struct Container {
    pub node: String,
    /// When it was told last, Unix milliseconds.
    pub seen: i64,
    pub now: Measured,
    steps: [VecDeque<Point>; STEPS.len()],
}

/// All containers, by whole id.
#[derive(Default)]
pub struct Meters(Mutex<HashMap<String, Container>>);

/// Numbers of a moment in the order of [`KEPT`]; [`ABSENT`] where there is none.
#[derive(Clone, Copy, Debug)]
struct Point {
    time: i64,
    numbers: [u64; KEPT.len()],
}

/// What history keeps.
const KEPT: [&str; 14] = [
    "cpu", "throttled", "throttled_time", "memory", "oom_kills", "pids", "read_bytes", "write_bytes", "read_operations", "write_operations",
    "received_bytes", "received_packets", "sent_bytes", "sent_packets",
];
/// Where memory stands among them: of it a step keeps the most, of counters the last.
const MEMORY: usize = 3;
const ABSENT: u64 = u64::MAX;
/// Milliseconds between points, and how many: 20 minutes, 2 hours, 24 hours. 46 KB with the room queues keep ahead.
const STEPS: [(i64, usize); 3] = [(10_000, 120), (60_000, 120), (720_000, 120)];
/// Containers known at once; beyond it those gone longest are forgotten, new ones are not measured.
pub const MAX_CONTAINERS: usize = 4_000;
/// Containers of one node's report that are read.
const MAX_TOLD: usize = 1_000;
/// A container not told of for so long is gone; its history stays a day. Milliseconds.
pub const GONE: i64 = 60_000;
const FORGOTTEN: i64 = 24 * 3_600_000;
/// Bounds of what is kept of a container's now.
const MAX_PROCESSES: usize = 64;
const MAX_PROCESS: usize = 300;
const MAX_WORD: usize = 256;

/// A text; absent and null are none.
fn or_none<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(from)?.unwrap_or_default())
}

fn kept(used: &Use) -> [Option<u64>; KEPT.len()] {
    [
        used.cpu, used.throttled, used.throttled_time, used.memory, used.oom_kills, used.pids, used.read_bytes, used.write_bytes,
        used.read_operations, used.write_operations, used.received_bytes, used.received_packets, used.sent_bytes, used.sent_packets,
    ]
}

// === impl Measured ===

impl Measured {
    /// Within bounds, or nothing where it names no container.
    fn bounded(mut self) -> Option<Self> {
        let good = !self.id.is_empty() && self.id.len() <= 128 && !self.id.chars().any(char::is_control);
        for word in [&mut self.name, &mut self.image, &mut self.namespace, &mut self.pod] {
            clip(word, MAX_WORD);
        }
        if self.started.is_array() || self.started.is_object() || self.started.as_str().is_some_and(|s| s.len() > 64) {
            self.started = Value::Null;
        }
        self.processes.truncate(MAX_PROCESSES);
        self.processes.iter_mut().for_each(bound);
        self.processes.shrink_to_fit();
        good.then_some(self)
    }
}

fn clip(text: &mut String, most: usize) {
    if let Some((at, _)) = text.char_indices().nth(most) {
        text.truncate(at);
    }
    text.shrink_to_fit();
}

/// A process within bounds: flat, its texts short.
fn bound(process: &mut Value) {
    match process {
        Value::String(text) => clip(text, MAX_PROCESS),
        Value::Object(members) => {
            members.retain(|name, value| name.len() <= 32 && !value.is_object() && !value.is_array());
            *members = std::mem::take(members).into_iter().take(8).collect();
            members.values_mut().for_each(|v| {
                if let Value::String(text) = v {
                    clip(text, MAX_PROCESS);
                }
            });
        }
        Value::Array(_) => *process = Value::Null,
        _ => {}
    }
}

// === impl Container ===

impl Container {
    fn new(node: &str, now: Measured) -> Self {
        Container { node: node.to_owned(), seen: 0, now, steps: Default::default() }
    }

    fn take(&mut self, now: Measured, time: i64) {
        let point = Point { time, numbers: kept(&now.used).map(|n| n.unwrap_or(ABSENT)) };
        for (queue, (step, most)) in self.steps.iter_mut().zip(STEPS) {
            match queue.back_mut() {
                Some(last) if last.time.div_euclid(step) == time.div_euclid(step) => last.replace(&point),
                _ => {
                    queue.push_back(point);
                    if queue.len() > most {
                        queue.pop_front();
                    }
                }
            }
        }
        (self.seen, self.now) = (time, now);
    }

    pub fn here(&self, now: i64) -> bool {
        now - self.seen <= GONE
    }

    /// Points from the oldest on, each step only where no finer one reaches.
    fn points(&self) -> Vec<Point> {
        let mut all: Vec<Point> = Vec::new();
        for (n, queue) in self.steps.iter().enumerate().rev() {
            let finer = self.steps.iter().take(n).filter_map(|q| q.front()).map(|p| p.time).min().unwrap_or(i64::MAX);
            let since = all.last().map_or(i64::MIN, |p| p.time);
            all.extend(queue.iter().filter(|p| p.time > since && p.time < finer));
        }
        all
    }

    /// History as `[{time, cpu, memory, …}]`, oldest first; counters count from the container's start.
    pub fn history(&self) -> Value {
        let of = |point: &Point| {
            let mut members: Map<String, Value> = KEPT.iter().zip(point.numbers).filter(|(_, n)| *n != ABSENT).map(|(name, n)| ((*name).to_owned(), n.into())).collect();
            members.insert("time".into(), point.time.into());
            Value::Object(members)
        };
        self.points().iter().map(of).collect()
    }

    /// What it used a second between the last two points: processors and bytes.
    pub fn rates(&self) -> Value {
        let [queue, ..] = &self.steps;
        let mut last = queue.iter().rev();
        let (Some(b), Some(a)) = (last.next(), last.next()) else { return json!({}) };
        let seconds = (b.time - a.time) as f64 / 1000.0;
        let rate = |name: &str| {
            let at = KEPT.iter().position(|k| *k == name)?;
            let (from, to) = (*a.numbers.get(at)?, *b.numbers.get(at)?);
            // A counter that went back began anew.
            (seconds > 0.0 && from != ABSENT && to != ABSENT && to >= from).then(|| (to - from) as f64 / seconds)
        };
        json!({
            "cpu": rate("cpu").map(|n| n / 1e9),
            "throttled": rate("throttled_time").map(|n| n / 1e9),
            "received_bytes": rate("received_bytes"),
            "sent_bytes": rate("sent_bytes"),
            "read_bytes": rate("read_bytes"),
            "write_bytes": rate("write_bytes"),
        })
    }

    /// As the API shows it.
    pub fn view(&self, now: i64) -> Value {
        let m = &self.now;
        json!({
            "node": self.node, "id": m.id, "name": m.name, "image": m.image, "namespace": m.namespace, "pod": m.pod,
            "started": m.started, "seen": self.seen, "here": self.here(now), "use": m.used, "rates": self.rates(),
        })
    }
}

// === impl Point ===

impl Point {
    fn replace(&mut self, newer: &Point) {
        let memory = match (self.numbers[MEMORY], newer.numbers[MEMORY]) {
            (ABSENT, n) | (n, ABSENT) => n,
            (a, b) => a.max(b),
        };
        *self = *newer;
        self.numbers[MEMORY] = memory;
    }
}

// === impl Meters ===

impl Meters {
    /// What a node says of its containers at `now` (Unix milliseconds). A container that another node tells of is not
    /// this one's to tell of.
    pub(crate) fn take(&self, node: &str, told: Vec<Value>, now: i64) {
        let told: Vec<Measured> = told.into_iter().take(MAX_TOLD).filter_map(|v| serde_json::from_value::<Measured>(v).ok()?.bounded()).collect();
        let mut all = self.0.lock();
        all.retain(|_, c| now - c.seen <= FORGOTTEN);
        for measured in told {
            if all.get(&measured.id).is_some_and(|c| c.node != node && c.here(now)) {
                continue;
            }
            if !all.contains_key(&measured.id) && all.len() >= MAX_CONTAINERS {
                let Some(oldest) = all.iter().filter(|(_, c)| !c.here(now)).min_by_key(|(_, c)| c.seen).map(|(id, _)| id.clone()) else { continue };
                all.remove(&oldest);
            }
            let kept = all.entry(measured.id.clone()).or_insert_with(|| Container::new(node, Measured::default()));
            if kept.node != node {
                *kept = Container::new(node, Measured::default());
            }
            kept.take(measured, now);
        }
    }

    pub(super) fn forget(&self, node: &str) {
        self.0.lock().retain(|_, c| c.node != node);
    }

    /// Whether another node tells of this container now.
    pub(crate) fn elsewhere(&self, node: &str, container: &str, now: i64) -> bool {
        self.0.lock().get(container).is_some_and(|c| c.node != node && c.here(now))
    }

    /// How many containers a node has now.
    pub fn count(&self, node: &str, now: i64) -> usize {
        self.0.lock().values().filter(|c| c.node == node && c.here(now)).count()
    }

    /// Containers that are here, of one node or all, as `view` makes them; by node, namespace, pod and name.
    pub fn list<T>(&self, node: Option<&str>, now: i64, view: impl Fn(&Container) -> T) -> Vec<T> {
        let all = self.0.lock();
        let mut here: Vec<&Container> = all.values().filter(|c| c.here(now) && node.is_none_or(|n| n == c.node)).collect();
        here.sort_by_key(|c| (&c.node, &c.now.namespace, &c.now.pod, &c.now.name, &c.now.id));
        here.into_iter().map(view).collect()
    }

    /// A container of a node by its whole id, or by a beginning of at least eight characters that only one has.
    pub fn find<T>(&self, node: &str, id: &str, view: impl Fn(&Container) -> T) -> Option<T> {
        let all = self.0.lock();
        if let Some(exact) = all.get(id).filter(|c| c.node == node) {
            return Some(view(exact));
        }
        let mut fits = all.iter().filter(|(whole, c)| c.node == node && id.len() >= 8 && whole.starts_with(id));
        let (found, other) = (fits.next()?, fits.next());
        other.is_none().then(|| view(found.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(id: &str, cpu: u64, memory: u64) -> Value {
        json!({"id": id, "name": "web", "namespace": null, "use": {"cpu": cpu, "memory": memory, "new_in_a_later_version": 1}, "processes": ["sh -c x"]})
    }

    #[test]
    fn history_reaches_a_day_back_and_stays_within_its_memory() {
        let meters = Meters::default();
        let begun = 1_700_000_000_000;
        for n in 0..(26 * 360) {
            meters.take("n1", vec![told("c", n * 5_000_000_000, if n % 100 == 3 { 900 } else { 100 })], begun + n as i64 * 10_000);
        }
        let (points, rates, bytes) = meters
            .find("n1", "c", |c| (c.points(), c.rates(), c.steps.iter().map(|q| q.capacity() * size_of::<Point>()).sum::<usize>()))
            .unwrap();
        assert!(bytes + MAX_PROCESSES * MAX_PROCESS < 67_108, "{bytes} of history");
        let (first, last) = (points[0].time, points[points.len() - 1].time);
        assert!((23 * 3_600_000..=24 * 3_600_000).contains(&(last - first)), "{}", last - first);
        assert!(points.windows(2).all(|w| w[0].time < w[1].time));
        assert!(points.iter().filter(|p| p.numbers[MEMORY] == 900).count() > 60, "peaks of memory stay");
        assert_eq!(rates["cpu"], 0.5);
    }

    #[test]
    fn a_container_is_told_of_by_its_node_alone() {
        let meters = Meters::default();
        meters.take("n1", vec![told("c", 1, 1)], 1000);
        meters.take("n2", vec![told("c", 9, 9), json!(7), json!({"id": ""}), json!({"id": "d", "use": "none"})], 2000);
        assert_eq!(meters.count("n2", 2000), 0);
        assert!(meters.elsewhere("n2", "c", 2000) && !meters.elsewhere("n1", "c", 2000));
        meters.take("n2", vec![told("c", 9, 9)], 2000 + GONE);
        assert_eq!((meters.count("n1", 2000 + GONE), meters.count("n2", 2000 + GONE)), (0, 1), "gone from one, here on the other");
    }

    #[test]
    fn what_is_kept_of_now_is_bounded() {
        let meters = Meters::default();
        let many: Vec<Value> = (0..500).map(|n| json!({"pid": n, "command": "x".repeat(10_000), "nested": {"a": [1]}})).collect();
        meters.take("n1", vec![json!({"id": "c", "name": "n".repeat(5000), "processes": many, "started": {"a": 1}})], 1000);
        let size = meters.find("n1", "c", |c| serde_json::to_string(&c.now).unwrap().len()).unwrap();
        assert!(size < 30_000, "{size}");
        for n in 0..5_000 {
            meters.take("n1", vec![told(&format!("c{n}"), 1, 1)], 1000);
        }
        assert_eq!(meters.count("n1", 1000), MAX_CONTAINERS);
    }
}
