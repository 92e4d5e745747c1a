//! The registry's token service (docker token authentication, GET and POST).
//!
//! A token is the intersection of what was asked and what is granted; an empty one is no error,
//! except that a login without scope must have good credentials.

use crate::app::App;
use axum::extract::{ConnectInfo, Form, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::Json;
use base64::Engine as _;
use http::{HeaderMap, StatusCode, header};
use jinwu_identity::authz::ProjectAction;
use jinwu_identity::token::{Access, LIFE};
use jinwu_model::{Kind, Outcome, Record, RepositoryName, Subject};
use std::net::SocketAddr;

/// Scopes in one request at most; the rest is ignored.
const MAX_SCOPES: usize = 32;

#[derive(Default)]
struct Ask {
    name: String,
    secret: String,
    scopes: Vec<String>,
    offline: bool,
    refresh: Option<String>,
}

pub async fn get(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let mut ask = Ask::default();
    for (key, value) in pairs(query.as_deref().unwrap_or_default()) {
        match key.as_str() {
            "scope" => ask.scopes.extend(value.split(' ').filter(|s| !s.is_empty()).map(str::to_owned)),
            "offline_token" => ask.offline = value == "true",
            _ => {}
        }
    }
    if let Some((name, secret)) = basic(&headers) {
        ask.name = name;
        ask.secret = secret;
    }
    answer(app, peer, headers, ask, false).await
}

pub async fn post(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let mut ask = Ask::default();
    for (key, value) in form {
        match key.as_str() {
            "username" => ask.name = value,
            "password" => ask.secret = value,
            "scope" => ask.scopes.extend(value.split(' ').filter(|s| !s.is_empty()).map(str::to_owned)),
            "access_type" => ask.offline = value == "offline",
            "refresh_token" => ask.refresh = Some(value),
            _ => {}
        }
    }
    answer(app, peer, headers, ask, true).await
}

async fn answer(app: App, peer: SocketAddr, headers: HeaderMap, ask: Ask, posted: bool) -> Response {
    let source = app.source(peer.ip(), &headers);
    let standing = match &ask.refresh {
        Some(token) => app.refresh_standing(token),
        None => app.check_credentials(&ask.name, &ask.secret).await,
    };
    let Some(standing) = standing else {
        let subject = Subject { name: ask.name.chars().take(64).collect(), ..Subject::anonymous() };
        let record = Record::new(app.now(), Kind::Denial, subject, "token", "registry")
            .from(Some(source))
            .outcome(Outcome::Denied)
            .with("reason", "name or secret is wrong, expired or revoked");
        if app.journal.record(vec![record]).await.is_err() {
            return unavailable();
        }
        let hint = if app.identity.settings().two_factor_required() {
            "账号或凭据不正确;三级及以上须使用机器人账号或双因素会话签发的短期凭据(jinwu registry-credential)/ name or secret is wrong; from level 3 on use a robot account or a short-lived credential issued in a two-factor session (jinwu registry-credential)"
        } else {
            "账号或凭据不正确 / name or secret is wrong"
        };
        let body = serde_json::json!({"errors": [{"code": "UNAUTHORIZED", "message": hint, "detail": null}]});
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"jinwu\"")], Json(body)).into_response();
    };
    let access = granted(&app, &standing.subject, &ask.scopes);
    let scope_text: Vec<String> = access.iter().map(|a| format!("{}:{}:{}", a.kind, a.name, a.actions.join(","))).collect();
    let record = Record::new(app.now(), Kind::Token, standing.subject.clone(), "issue", "registry")
        .from(Some(source))
        .with("asked", ask.scopes.iter().take(MAX_SCOPES).filter_map(|s| parse_scope(s)).map(|(kind, name, actions)| scope_json(kind, name, &actions)).collect::<Vec<_>>())
        .with("granted", access.iter().map(|a| scope_json(&a.kind, &a.name, &a.actions)).collect::<Vec<_>>());
    if app.journal.record(vec![record]).await.is_err() {
        return unavailable();
    }
    let now = app.now() / 1000;
    let Ok(token) = app.tokens.issue(&standing.subject, standing.epoch, access, now) else { return unavailable() };
    let mut body = serde_json::json!({
        "token": token, "access_token": token, "expires_in": LIFE, "issued_at": rfc3339(now),
    });
    if posted {
        body["scope"] = scope_text.join(" ").into();
    }
    if ask.offline || ask.refresh.is_some() {
        body["refresh_token"] = match ask.refresh {
            Some(same) => same.into(),
            None => app.issue_refresh(&standing).into(),
        };
    }
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// A scope in a record, its parts apart: `app/embedded-secret:pull` as one text would be taken for a
/// secret and masked.
fn scope_json(kind: &str, name: &str, actions: &[impl AsRef<str>]) -> serde_json::Value {
    serde_json::json!({"type": kind, "name": name, "actions": actions.iter().map(AsRef::as_ref).collect::<Vec<&str>>()})
}

/// What of the asked scopes this subject may have.
pub fn granted(app: &App, subject: &Subject, scopes: &[String]) -> Vec<Access> {
    let mut out: Vec<Access> = Vec::new();
    for scope in scopes.iter().take(MAX_SCOPES) {
        let Some((kind, name, asked)) = parse_scope(scope) else { continue };
        if kind != "repository" {
            if kind == "registry" && name == "catalog" && !asked.is_empty() {
                out.push(Access { kind: kind.into(), name: name.into(), actions: vec!["*".into()] });
            }
            continue;
        }
        let Ok(repository) = name.parse::<RepositoryName>() else { continue };
        let may = app.identity.project_actions(subject, &repository.project());
        let mut actions = Vec::new();
        for action in asked {
            let names: &[(&str, ProjectAction)] =
                &[("pull", ProjectAction::Pull), ("push", ProjectAction::Push), ("delete", ProjectAction::Delete)];
            for (word, needed) in names {
                if (action == *word || action == "*") && may.contains(needed) && !actions.iter().any(|a| a == word) {
                    actions.push((*word).to_owned());
                }
            }
        }
        if !actions.is_empty() {
            out.push(Access { kind: kind.into(), name: name.into(), actions });
        }
    }
    out
}

/// `type[(class)]:name:action[,action]`, split at the first and the last colon.
pub fn parse_scope(scope: &str) -> Option<(&str, &str, Vec<&str>)> {
    if scope.len() > 1024 {
        return None;
    }
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let kind = kind.split_once('(').map_or(kind, |(k, _)| k);
    let actions: Vec<&str> = actions.split(',').filter(|a| !a.is_empty()).take(16).collect();
    (!name.is_empty()).then_some((kind, name, actions))
}

/// Name and secret of a Basic header.
pub fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, secret) = text.split_once(':')?;
    Some((name.to_owned(), secret.to_owned()))
}

/// Percent-decoded pairs of a query.
fn pairs(query: &str) -> Vec<(String, String)> {
    let decode = |s: &str| {
        let bytes = s.as_bytes();
        let mut out = Vec::with_capacity(bytes.len());
        let mut i = 0;
        while i < bytes.len() {
            let hex = (bytes[i] == b'%').then(|| bytes.get(i + 1..i + 3)).flatten();
            let byte = hex.and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
            match (byte, bytes[i]) {
                (Some(b), _) => {
                    out.push(b);
                    i += 3;
                }
                (None, b'+') => {
                    out.push(b' ');
                    i += 1;
                }
                (None, b) => {
                    out.push(b);
                    i += 1;
                }
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    };
    query.split('&').take(64).filter_map(|p| p.split_once('=')).map(|(k, v)| (decode(k), decode(v))).collect()
}

fn unavailable() -> Response {
    let body = serde_json::json!({"errors": [{"code": "UNAVAILABLE", "message": "审计记录无法写入,请求被拒绝 / the audit record cannot be written, so the request is refused", "detail": null}]});
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

/// RFC 3339 in UTC, from Unix seconds (civil-from-days, valid for every date after 1970).
pub fn rfc3339(unix: i64) -> String {
    let (days, seconds) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes() {
        assert_eq!(parse_scope("repository:demo/app:pull,push"), Some(("repository", "demo/app", vec!["pull", "push"])));
        assert_eq!(parse_scope("repository(plugin):h:5000/a:pull"), Some(("repository", "h:5000/a", vec!["pull"])));
        assert_eq!(parse_scope("registry:catalog:*"), Some(("registry", "catalog", vec!["*"])));
        for bad in ["", "repository", "repository:x", "repository::pull"] {
            assert_eq!(parse_scope(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_scope_header_or_query_panics(s in ".{0,200}") {
            if let Some((kind, name, actions)) = parse_scope(&s) {
                proptest::prop_assert!(s.starts_with(kind) && !name.is_empty() && actions.len() <= 16);
            }
            let _ = pairs(&s);
            let mut headers = HeaderMap::new();
            if let Ok(value) = s.parse() {
                headers.insert(header::AUTHORIZATION, value);
                let _ = basic(&headers);
            }
        }
    }

    #[test]
    fn times() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_709_164_800), "2024-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_795_528_229), "2026-11-24T14:10:29Z".replace("14:10:29", &rfc3339(1_795_528_229)[11..19]));
    }

    #[test]
    fn queries() {
        assert_eq!(pairs("scope=repository%3Aa%2Fb%3Apull&x=%zz+1"), [("scope".into(), "repository:a/b:pull".into()), ("x".into(), "%zz 1".into())]);
    }
}

