//! Ways into a running container, and past the API server (IA-3).

use super::{Found, Read};
use crate::judge::Question;
use crate::review::Request;
use jinwu_model::Text;

pub const CONTAINER_ENTRY: &str = "container-entry";

/// Reads a CONNECT. The options of the request are not needed: the path says who is entered.
pub(super) fn read<'a>(request: &Request<'_>) -> Read<'a> {
    let way = match request.sub_resource() {
        "exec" => "exec",
        "attach" => "attach",
        "portforward" => "portforward",
        _ => "proxy",
    };
    let target = match request.resource.resource.as_str() {
        "services" => format!("service/{}", request.name()),
        _ => request.name().to_owned(),
    };
    Read::Entry { way, namespace: request.namespace().to_owned(), target }
}

/// Gives the leave by which someone enters; without one, a finding.
pub fn judge(q: &Question<'_, '_>, way: &str, namespace: &str, target: &str, found: &mut Vec<Found>) -> Option<String> {
    let person = q.request.user_info.username.as_str();
    if let Some(grant) = q.rules.grant(person, namespace, target, way, q.now) {
        return Some(grant.id.clone());
    }
    let place = if namespace.is_empty() { format!("node/{target}") } else { format!("{namespace}/{target}") };
    let shown: String = person.chars().filter(|c| !c.is_control()).take(200).collect();
    let (zh, en) = if shown.starts_with("system:serviceaccount:") { ("(服务账号缺省一律不许)", " (service accounts never may by default)") } else { ("", "") };
    found.push(Found::new(
        CONTAINER_ENTRY,
        Text::new(format!("{shown} 没有以 {way} 进入 {place} 的有效许可{zh}"), format!("{shown} has no valid leave to enter {place} by {way}{en}")),
        Text::new(
            format!("先申请,由安全管理员批准:jinwu cluster enter {place} --way {way} --reason \"…\" --minutes 30"),
            format!("ask first, the security administrator approves: jinwu cluster enter {place} --way {way} --reason \"…\" --minutes 30"),
        ),
    ));
    None
}
