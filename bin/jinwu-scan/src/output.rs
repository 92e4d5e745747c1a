//! Reports for people and for programs.

mod cyclonedx;
mod sarif;
mod table;

use crate::source::Image;
use clap::ValueEnum;
use jinwu_model::report::{ImageReport, Location};
use jinwu_model::{Decision, Text};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// 供人阅读 / for people
    Table,
    /// 完整报告 / the whole report
    Json,
    /// SARIF 2.1.0
    Sarif,
    /// CycloneDX 1.6
    Cyclonedx,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    Zh,
    En,
}

impl Language {
    pub(crate) fn of<'a>(self, zh: &'a str, en: &'a str) -> &'a str {
        match self {
            Language::Zh => zh,
            Language::En => en,
        }
    }

    fn text(self, text: &Text) -> &str {
        self.of(&text.zh, &text.en)
    }
}

pub(crate) fn render(
    format: Format,
    language: Language,
    image: &Image,
    report: &ImageReport,
    decision: Option<&Decision>,
) -> Result<String, String> {
    let json = match format {
        Format::Table => return Ok(table::render(language, image, report, decision)),
        Format::Json => serde_json::json!({ "name": image.name, "report": report, "decision": decision }),
        Format::Sarif => sarif::render(language, report, decision),
        Format::Cyclonedx => cyclonedx::render(image, report),
    };
    serde_json::to_string_pretty(&json).map(|text| text + "\n").map_err(|e| e.to_string())
}

/// Path, member and line of a location.
fn place(location: &Location) -> String {
    let mut text = location.path.clone();
    if let Some(inner) = &location.inner {
        text.push_str(&format!("!/{inner}"));
    }
    if let Some(line) = location.line {
        text.push_str(&format!(":{line}"));
    }
    text
}

/// Text of an image made safe for a terminal: control characters are shown, not obeyed.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}
