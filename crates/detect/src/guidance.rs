//! What Jinwu adds to a rule under the key `jinwu`: words for people, and where it belongs.
//!
//! Falco warns about the key and loads the file.

use crate::loader::Reader;
use crate::problem::{Place, Report};
use crate::yaml::Node;
use jinwu_model::{ClauseId, Grade, Mode, Record, Text};
use serde::Serialize;

/// Title, description, advice, technique, grade, clauses and mode of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Guidance {
    pub title: Text,
    /// The English half is the rule's `desc`.
    pub description: Text,
    /// 处置建议: what to do about a hit.
    pub advice: Text,
    /// MITRE ATT&CK technique ids, `T1552.007`.
    pub techniques: Vec<String>,
    /// How bad a true hit is.
    pub grade: Grade,
    pub clauses: Vec<ClauseId>,
    /// Default mode.
    pub mode: Mode,
}

const KEYS: &[&str] = &["title", "description", "advice", "attack", "grade", "clauses", "mode"];

// === impl Guidance ===

impl Guidance {
    /// The record of a hit, with what there is to say about it.
    pub fn tell(&self, record: Record) -> Record {
        record
            .with("finding", format!("{} / {}", self.title.zh, self.title.en))
            .with("description", self.description.to_string())
            .with("advice", self.advice.to_string())
            .with("clauses", self.clauses.iter().map(ToString::to_string).collect::<Vec<_>>())
            .with("techniques", self.techniques.clone())
            .with("grade", serde_json::to_value(self.grade).unwrap_or_default())
    }

    /// Reads the member `jinwu` of a rule or sequence; `None` when there is none or it is wrong.
    pub(crate) fn read(reader: &Reader<'_>, desc: &str, report: &mut Report) -> Option<Guidance> {
        let node = reader.node.get("jinwu")?;
        let inner = Reader { node, place: Place { line: node.line, ..reader.place.clone() }, what: format!("{}, jinwu", reader.what) };
        inner.known_keys(KEYS, report);
        let both = |key: &str, report: &mut Report| {
            let member = |language: &str| node.get(key).and_then(|n| n.get(language)).and_then(Node::text).map(|t| t.trim().to_owned());
            let text = member("zh").zip(member("en")).map(|(zh, en)| Text { zh, en });
            if text.is_none() {
                inner.fail(node.line, &format!("{key} needs zh and en"), report);
            }
            text
        };
        let title = both("title", report)?;
        let advice = both("advice", report)?;
        let description = Text::new(inner.needed("description", report)?, desc.trim());
        let mut clauses = Vec::new();
        for word in inner.words("clauses", report) {
            match word.parse::<ClauseId>() {
                Ok(clause) => clauses.push(clause),
                Err(message) => inner.fail(node.line, &message, report),
            }
        }
        let mode = parsed(&inner, "mode", report)?;
        let grade = parsed(&inner, "grade", report)?;
        let techniques = inner.words("attack", report);
        if techniques.is_empty() || clauses.is_empty() {
            inner.fail(node.line, "attack and clauses need at least one entry each", report);
        }
        if let Some(bad) = techniques.iter().find(|t| !technique(t)) {
            inner.fail(node.line, &format!("attack {bad:?} is not a technique id such as T1552.007"), report);
        }
        Some(Guidance { title, description, advice, techniques, grade, clauses, mode })
    }
}

fn parsed<T: std::str::FromStr<Err = String>>(reader: &Reader<'_>, key: &str, report: &mut Report) -> Option<T> {
    match reader.needed(key, report)?.parse() {
        Ok(value) => Some(value),
        Err(message) => {
            reader.fail(reader.place.line, &message, report);
            None
        }
    }
}

fn technique(text: &str) -> bool {
    let digits = |t: &str, n: usize| t.len() == n && t.bytes().all(|b| b.is_ascii_digit());
    let (main, sub) = text.split_once('.').unwrap_or((text, "000"));
    main.strip_prefix('T').is_some_and(|t| digits(t, 4)) && digits(sub, 3)
}
