//! Messages with members of the evidence in braces.

use jinwu_model::Text;
use serde_json::Value;

/// Replaces `{a.b}` by the evidence's member; an absent member becomes `?`.
pub fn fill(template: &Text, evidence: &Value) -> Text {
    Text { zh: fill_one(&template.zh, evidence), en: fill_one(&template.en, evidence) }
}

fn fill_one(template: &str, evidence: &Value) -> String {
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        let Some(close) = rest[open..].find('}') else { break };
        out.push_str(&member(evidence, &rest[open + 1..open + close]));
        rest = &rest[open + close + 1..];
    }
    out.push_str(rest);
    out
}

fn member(evidence: &Value, path: &str) -> String {
    let mut at = evidence;
    for part in path.split('.') {
        match at.get(part) {
            Some(next) => at = next,
            None => return "?".into(),
        }
    }
    match at {
        Value::String(s) => s.chars().filter(|c| !c.is_control()).take(300).collect(),
        other => other.to_string().chars().take(300).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_filled_in() {
        let t = Text::new("{id} 在 {package.name}", "{id} in {package.name} {none}{");
        let filled = fill(&t, &serde_json::json!({"id": "CVE-1", "package": {"name": "ssl\n"}}));
        assert_eq!(filled.zh, "CVE-1 在 ssl");
        assert_eq!(filled.en, "CVE-1 in ssl ?{");
    }
}
