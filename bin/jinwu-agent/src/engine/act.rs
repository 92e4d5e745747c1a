//! What follows from findings and orders.

use super::{ALARMS, Engine, REMEMBERED, now};
use crate::local::Said;
use anyhow::{Context as _, Result};
use jinwu_event::{Class, Container, NodeEvent, Process, Verdict};
use jinwu_node::judge::Finding;
use jinwu_node::response::{Command, Response};
use jinwu_sensor::{Sensor, respond, snapshot};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Engine {
    /// Carries out what findings ask for, then records them with what was done.
    pub(super) fn respond(&mut self, sensor: &mut Sensor) {
        for (event, finding) in std::mem::take(&mut self.todo) {
            let Some((event, finding)) = self.first(event, finding) else { continue };
            let mut done = Vec::new();
            for response in finding.responses.iter().copied() {
                if event.container.is_node() && response != Response::Kill {
                    done.push((response, Err("这是节点本身,不是容器 / this is the node itself, no container".to_owned())));
                    continue;
                }
                let result = self.carry_out(sensor, response, &event.container, Some(&event.process), &finding.decision.0);
                done.push((response, result.map(|_| ()).map_err(|e| format!("{e:#}"))));
            }
            self.counters.alarms.fetch_add(1, Ordering::Relaxed);
            let entries = self.writer.finding(&event, &finding, &done);
            if self.alarms.len() >= REMEMBERED {
                self.alarms.pop_front();
            }
            if let Some(first) = entries.first() {
                self.alarms.push_back(serde_json::to_value(first).unwrap_or_default());
            }
            self.kept.extend(entries);
        }
    }

    /// The alarm, if none like it was told within a minute. Those that are followed by something are told each time.
    pub(super) fn first(&mut self, event: NodeEvent, finding: Finding) -> Option<(NodeEvent, Finding)> {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        if !finding.responses.is_empty() || event.verdict != Verdict::Passed {
            return Some((event, finding));
        }
        let mut hasher = DefaultHasher::new();
        (&finding.rule, &event.container.id, &event.process.program.path, &event.process.name, event.path(), event.process.uid).hash(&mut hasher);
        event.socket.as_ref().and_then(|s| s.remote).map(|r| r.ip()).hash(&mut hasher);
        if event.call.class() == Class::Process {
            // Another command is another act, and so is the same by somebody else.
            (&event.process.args, event.ancestors.first().map(|a| &a.name)).hash(&mut hasher);
        }
        match self.repeated.entry(hasher.finish()) {
            std::collections::hash_map::Entry::Occupied(mut entry) => {
                let (_, count, last) = entry.get_mut();
                *count += 1;
                *last = Some(Box::new((event, finding)));
                None
            }
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert((Instant::now(), 0, None));
                Some((event, finding))
            }
        }
    }

    /// Alarms that repeated ones stand for, once their minute is over.
    pub(super) fn repeat(&mut self, all: bool) {
        let full = all || self.repeated.len() > 8192;
        let mut over = Vec::new();
        self.repeated.retain(|_, (since, count, last)| {
            let keep = !full && since.elapsed() < ALARMS;
            if !keep && let Some(last) = last.take() {
                over.push((*count, last));
            }
            keep
        });
        for (count, last) in over {
            let (mut event, finding) = *last;
            event.count = count;
            let entries = self.writer.finding(&event, &finding, &[]);
            self.kept.extend(entries);
        }
    }

    pub(super) fn carry_out(&mut self, sensor: &mut Sensor, response: Response, container: &Arc<Container>, process: Option<&Process>, decision: &str) -> Result<String> {
        let id = container.id.as_str();
        let folder = || sensor.containers.folder(id).context("容器已经结束 / the container has ended");
        match response {
            Response::Snapshot => {
                let pids = respond::processes(&folder()?);
                let evidence = snapshot::take(&pids, &self.config.root);
                let text = self.writer.mask_all(&serde_json::to_string_pretty(&evidence)?);
                let place = self.config.data.join("evidence");
                std::fs::create_dir_all(&place)?;
                let name = format!("{}-{}.json", container.short_id(), decision.replace('/', "_"));
                jinwu_trust::files::write(&place.join(&name), text.as_bytes(), 0o600)?;
                let said = json!({"file": name, "sha256": hex::encode(jinwu_trust::sha256(text.as_bytes())), "processes": evidence.processes.len(), "connections": evidence.connections.len(), "changed": evidence.changed.len(), "cut": evidence.cut});
                self.own("evidence", json!({"container": id, "decision": decision, "evidence": said}));
                Ok(name)
            }
            Response::Kill => {
                let process = process.context("哪个进程? / which process?")?;
                let since_boot = sensor.since_boot(process.started);
                Ok(format!("{} processes ended", respond::kill(process.pid, since_boot)?))
            }
            Response::Pause | Response::Resume => {
                respond::freeze(&folder()?, response == Response::Pause)?;
                if response == Response::Pause { self.paused.insert(id.to_owned()) } else { self.paused.remove(id) };
                Ok(String::new())
            }
            Response::Stop => Ok(format!("{} processes ended", respond::stop(&folder()?)?)),
            Response::Isolate => {
                let reachable = self.judge.settings().isolated_may_reach.clone();
                let (skel, folder) = (sensor.skel(), folder()?);
                respond::set_reachable(&skel.maps.reachable, &reachable)?;
                self.isolation.isolate(id, &folder, &skel.progs.isolated_out, &skel.progs.isolated_in)?;
                Ok(String::new())
            }
            Response::Release => {
                anyhow::ensure!(self.isolation.release(id), "容器没有被隔离 / the container is not isolated");
                Ok(String::new())
            }
        }
    }

    pub(super) fn command(&mut self, sensor: &mut Sensor, command: &Command) -> Said {
        let found = sensor.containers.find(&command.container);
        let result = match &found {
            None => Err(format!("本节点没有容器 {0},或有多个以此开头 / there is no container {0} on this node, or several begin so", command.container)),
            Some(container) => {
                let process = match command.pid {
                    Some(pid) => {
                        let inside = sensor.containers.folder(&container.id).is_some_and(|f| respond::processes(&f).contains(&pid));
                        if inside { Ok(sensor.processes.by_pid(pid)) } else { Err(format!("进程 {pid} 不在该容器中 / process {pid} is not in that container")) }
                    }
                    None => Ok(None),
                };
                process.and_then(|process| {
                    // Evidence first: what is ended cannot be looked at any more.
                    if matches!(command.response, Response::Kill | Response::Stop | Response::Isolate | Response::Pause) {
                        let evidence = self.carry_out(sensor, Response::Snapshot, container, None, &command.decision);
                        if let Err(error) = evidence {
                            tracing::warn!(error = format!("{error:#}"), "no evidence was taken");
                        }
                    }
                    self.carry_out(sensor, command.response, container, process.as_deref(), &command.decision).map_err(|e| format!("{e:#}"))
                })
            }
        };
        let entry = self.writer.response(command, found.as_deref(), &result, &self.config.node, now());
        self.kept.push(entry);
        result
    }
}
