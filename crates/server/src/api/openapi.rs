//! The API as OpenAPI 3.1, made from the table.

use super::{Who, table};
use serde_json::{Map, Value, json};

/// The document served at `/api/v1/openapi.json`.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in table() {
        let parameters: Vec<Value> = endpoint
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{').and_then(|p| p.strip_suffix('}')))
            .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
            .collect();
        let security = if endpoint.who == Who::Anyone { json!([]) } else { json!([{"session": []}]) };
        let operation = json!({
            "summary": endpoint.summary,
            "x-who": who(endpoint.who),
            "security": security,
            "parameters": parameters,
            "responses": {
                "200": {"description": "done"},
                "401": {"description": "no session"},
                "403": {"description": "this role may not"},
                "503": {"description": "cannot be recorded now"},
            },
        });
        let entry = paths.entry(format!("/api/v1{}", endpoint.path)).or_insert_with(|| json!({}));
        entry[endpoint.method.as_str().to_ascii_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Jinwu 金吾", "version": env!("CARGO_PKG_VERSION")},
        "components": {"securitySchemes": {"session": {"type": "http", "scheme": "bearer"}}},
        "paths": paths,
    })
}

fn who(who: Who) -> String {
    match who {
        Who::Anyone => "anyone".into(),
        Who::Session => "session".into(),
        Who::Admin(p) => word(p),
        Who::Either(a, b) => format!("{} | {}", word(a), word(b)),
        Who::Any(all) => all.iter().map(word).collect::<Vec<_>>().join(" | "),
        Who::Project(p, action) => format!("{} | project {}", word(p), word(action)),
    }
}

fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}
