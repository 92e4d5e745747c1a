//! The registry's doorkeeper: bearer tokens and Basic credentials, project roles.

use crate::app::App;
use crate::token;
use async_trait::async_trait;
use http::{HeaderMap, header};
use jinwu_identity::authz::ProjectAction;
use jinwu_model::{Kind, Outcome, Record, RepositoryName, Subject};
use jinwu_registry::seam::{Access, Action, Caller, Refusal};
use std::net::{IpAddr, SocketAddr};

pub struct Door(pub App);

const WHO: &str = "须先登录 / authentication required";

#[async_trait]
impl Access for Door {
    async fn authenticate(&self, headers: &HeaderMap, peer: SocketAddr, needed: &[(RepositoryName, Action)]) -> Result<Caller, Refusal> {
        let app = &self.0;
        let source = app.source(peer.ip(), headers);
        let user_agent: String =
            headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default().chars().take(200).collect();
        let caller = |subject, scopes| Caller { subject, source, scopes, user_agent: user_agent.clone() };
        let Some(value) = headers.get(header::AUTHORIZATION).map(|v| v.to_str().unwrap_or_default()) else {
            // Asking without credentials what one would need is how every client begins; asking for
            // somebody's repository without credentials is remembered.
            if !needed.is_empty() && app.anonymous.one_by_one(source, app.now()) {
                self.denial(Subject::anonymous(), source, needed, "no credentials").await?;
            }
            return Err(challenge(headers, needed, None, WHO));
        };
        if let Some(bearer) = value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")) {
            return match app.tokens.check(bearer.trim(), app.now() / 1000).filter(|claims| app.identity.standing(claims)) {
                Some(claims) => {
                    let scopes = claims.access.iter().filter(|a| a.kind == "repository").map(|a| (a.name.clone(), actions(&a.actions)));
                    let subject = Subject { kind: claims.kind, name: claims.sub.clone() };
                    Ok(caller(subject, Some(scopes.collect())))
                }
                None => Err(challenge(headers, needed, Some("invalid_token"), "令牌无效、已过期或已撤销 / the token is invalid, expired or revoked")),
            };
        }
        let given = token::basic(headers);
        let standing = match &given {
            Some((name, secret)) => app.check_credentials(name, secret).await,
            None => None,
        };
        match standing {
            Some(standing) => Ok(caller(standing.subject, None)),
            None => {
                let name = given.map(|(name, _)| name.chars().take(64).collect()).unwrap_or_default();
                let subject = Subject { name, ..Subject::anonymous() };
                self.denial(subject, source, needed, "name or secret is wrong, expired or revoked").await?;
                Err(challenge(headers, needed, None, "账号或凭据不正确 / name or secret is wrong"))
            }
        }
    }

    async fn permit(&self, caller: &Caller, headers: &HeaderMap, repository: &RepositoryName, action: Action) -> Result<(), Refusal> {
        let app = &self.0;
        if !app.identity.project_actions(&caller.subject, &repository.project()).contains(&needed(action)) {
            self.denial(caller.subject.clone(), caller.source, &[(repository.clone(), action)], "no permission").await?;
            let message = format!(
                "{} 无权对 {repository} 执行 {};请由系统管理员申请、安全管理员批准项目角色 / {} may not {} {repository}; ask for a project role",
                caller.subject,
                word(action),
                caller.subject,
                word(action)
            );
            return Err(Refusal::Denied { message });
        }
        let covered = match &caller.scopes {
            None => true,
            Some(scopes) => scopes.iter().any(|(name, actions)| name == repository.as_str() && actions.contains(&action)),
        };
        if covered {
            return Ok(());
        }
        // The subject may, the token may not: the client is to fetch a wider one.
        Err(challenge(headers, &[(repository.clone(), action)], Some("insufficient_scope"), "令牌范围不足 / the token does not cover this"))
    }

    fn may(&self, caller: &Caller, repository: &RepositoryName, action: Action) -> bool {
        // A token is issued for what a client asked at first; a mount from another repository the
        // subject may read is decided by the subject's present roles.
        self.0.identity.project_actions(&caller.subject, &repository.project()).contains(&needed(action))
    }
}

impl Door {
    async fn denial(&self, subject: Subject, source: IpAddr, needed: &[(RepositoryName, Action)], reason: &str) -> Result<(), Refusal> {
        let object = needed.first().map_or_else(|| "registry".to_owned(), |(r, _)| r.to_string());
        let action = needed.last().map_or("login", |(_, a)| word(*a));
        let record = Record::new(self.0.now(), Kind::Denial, subject, action, object)
            .from(Some(source))
            .outcome(Outcome::Denied)
            .with("reason", reason);
        self.0.journal.record(vec![record]).await.map(drop).map_err(|e| Refusal::Unavailable {
            message: format!("审计记录无法写入,请求被拒绝 / the audit record cannot be written, so the request is refused: {e}"),
        })
    }
}

fn needed(action: Action) -> ProjectAction {
    match action {
        Action::Pull => ProjectAction::Pull,
        Action::Push => ProjectAction::Push,
        Action::Delete => ProjectAction::Delete,
    }
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Pull => "pull",
        Action::Push => "push",
        Action::Delete => "delete",
    }
}

fn actions(words: &[String]) -> Vec<Action> {
    words
        .iter()
        .filter_map(|w| match w.as_str() {
            "pull" => Some(Action::Pull),
            "push" => Some(Action::Push),
            "delete" => Some(Action::Delete),
            _ => None,
        })
        .collect()
}

/// WWW-Authenticate in the form every client knows; the realm names the host the client spoke to.
fn challenge(headers: &HeaderMap, needed: &[(RepositoryName, Action)], error: Option<&str>, message: &str) -> Refusal {
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).filter(|h| plain_host(h));
    let realm = host.map_or_else(|| "/token".to_owned(), |h| format!("https://{h}/token"));
    let mut header = format!("Bearer realm=\"{realm}\",service=\"{}\"", crate::SERVICE);
    if let Some((repository, _)) = needed.first() {
        let words: Vec<&str> = needed.iter().map(|(_, a)| word(*a)).collect();
        header.push_str(&format!(",scope=\"repository:{repository}:{}\"", words.join(",")));
    }
    if let Some(error) = error {
        header.push_str(&format!(",error=\"{error}\""));
    }
    Refusal::Challenge { header, message: message.to_owned() }
}

/// Letters of a host and port: nothing that could leave the quotes of a challenge.
fn plain_host(host: &str) -> bool {
    host.len() <= 255 && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b))
}
