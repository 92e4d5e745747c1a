//! Rules as data: `content/secrets/rules.toml`, read, checked and compiled.

use crate::assignment::Forms;
use crate::place::Place;
use crate::prefilter::Prefilter;
use crate::{Error, Result};
use jinwu_model::Text;
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;

/// Bytes before a keyword an expression may begin at.
pub(crate) const BEFORE: usize = 320;
/// Bytes after a keyword it may reach.
pub(crate) const AFTER: usize = 768;
/// The same for forms that span many lines (`long`).
pub(crate) const AFTER_LONG: usize = 16 << 10;

/// One form of secret.
#[derive(Clone, Debug)]
pub struct Rule {
    pub id: String,
    pub category: String,
    pub title: Text,
    /// Where the form was learned (rule set and rule, or the specification).
    pub origin: String,
    pub(crate) expression: Regex,
    pub(crate) group: usize,
    pub(crate) entropy: f64,
    pub(crate) start: bool,
    pub(crate) scope: Scope,
    pub(crate) long: bool,
    pub(crate) need: Option<u8>,
}

/// Which files a rule applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    #[default]
    Any,
    App,
    Config,
    Shell,
}

/// All rules and the searches that lead to them.
pub struct RuleSet {
    pub(crate) rules: Vec<Rule>,
    /// Keywords of all rules and of key blocks; owners are rule indexes, [`RuleSet::PEM`] and [`RuleSet::PEM_BASE64`].
    pub(crate) text: Prefilter,
    /// The same for files that are not text.
    pub(crate) binary: Prefilter,
    /// Words of names that hold secrets, for [`crate::assignment`].
    pub(crate) names: Prefilter,
    pub(crate) forms: Forms,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    rule: Vec<Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    id: String,
    category: String,
    zh: String,
    en: String,
    regex: String,
    keywords: Vec<String>,
    #[serde(default)]
    entropy: f64,
    #[serde(default)]
    binary: bool,
    #[serde(default)]
    start: bool,
    #[serde(default, rename = "where")]
    scope: Scope,
    #[serde(default)]
    long: bool,
    #[serde(default)]
    need: Option<String>,
    origin: String,
}

// === impl Scope ===

impl Scope {
    pub(crate) fn covers(self, place: Place) -> bool {
        match self {
            Scope::Any => true,
            Scope::App => !matches!(place, Place::Documentation | Place::Library),
            Scope::Config => matches!(place, Place::Configuration | Place::Shell),
            Scope::Shell => matches!(place, Place::Configuration | Place::Shell),
        }
    }
}

// === impl RuleSet ===

impl RuleSet {
    pub(crate) const PEM: u32 = u32::MAX;
    pub(crate) const PEM_BASE64: u32 = u32::MAX - 1;

    pub(crate) fn parse(text: &str) -> Result<Self> {
        let document: Document = toml::from_str(text).map_err(|e| Error::Toml(e.to_string()))?;
        let mut rules = Vec::with_capacity(document.rule.len());
        let mut keywords = vec![(b"PRIVATE KEY".to_vec(), Self::PEM), (b"LS0tLS1CRUdJTi".to_vec(), Self::PEM_BASE64)];
        let mut binary = keywords.clone();
        for (index, table) in document.rule.into_iter().enumerate() {
            let refuse = |detail: String| Error::Rule { rule: table.id.clone(), detail };
            if !["key", "token", "password", "connection-string"].contains(&table.category.as_str()) {
                return Err(refuse(format!("category {:?} is not key, token, password or connection-string", table.category)));
            }
            if table.keywords.is_empty() {
                return Err(refuse("has no keywords; every match must contain one".into()));
            }
            for k in &table.keywords {
                keywords.push((k.as_bytes().to_vec(), index as u32));
                if table.binary {
                    binary.push((k.as_bytes().to_vec(), index as u32));
                }
            }
            // Anchored at the keyword: the boundary before it is checked by hand.
            let source = if table.start {
                let body = table.regex.strip_prefix("\\b").ok_or_else(|| refuse("start = true needs an expression that begins with \\b".into()))?;
                format!("\\A(?:{body})")
            } else {
                table.regex.clone()
            };
            let expression = RegexBuilder::new(&source).unicode(false).size_limit(4 << 20).build().map_err(|e| refuse(e.to_string()))?;
            let group = expression.capture_names().position(|n| n == Some("s")).ok_or_else(|| refuse("the expression has no group (?P<s>…) for the secret".into()))?;
            rules.push(Rule {
                title: Text::new(table.zh, table.en),
                id: table.id,
                category: table.category,
                origin: table.origin,
                expression,
                group,
                entropy: table.entropy,
                start: table.start,
                scope: table.scope,
                long: table.long,
                need: table.need.as_deref().and_then(|n| n.bytes().next()),
            });
        }
        const NAMES: [&str; 20] = [
            "pass", "Pass", "PASS", "pwd", "Pwd", "PWD", "ecret", "ECRET", "oken", "OKEN", "_key", "-key", ".key", "Key", "KEY", "apikey", "\"key", "redential", "REDENTIAL", "uthorization",
        ];
        Ok(RuleSet {
            rules,
            text: Prefilter::build(keywords)?,
            binary: Prefilter::build(binary)?,
            forms: Forms::compile().map_err(|e| Error::Rule { rule: "assignment".into(), detail: e.to_string() })?,
            names: Prefilter::build(NAMES.iter().map(|n| (n.as_bytes().to_vec(), 0)))?,
        })
    }
}
