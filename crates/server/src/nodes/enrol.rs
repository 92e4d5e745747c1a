//! How a node is let in, and who a certificate stands for.
//!
//! A certificate is recognised by its fingerprint, which is kept with the node it was issued to: whatever stands in
//! it, it counts for that node, and for none from the moment the node is removed.

use super::node::{Certificate, Node, check_name};
use super::{MAX_NODES, NodeError, Nodes, State, token};
use jinwu_documents::Write;
use jinwu_model::Masked;
use jinwu_node::protocol::{Enrol, Enrolled};
use serde::{Deserialize, Serialize};

/// Leave to enrol a node, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    pub node: String,
    #[serde(default)]
    pub cluster: String,
    /// Unix milliseconds.
    pub expires: i64,
}

/// Days a node's certificate is good for.
pub const DAYS: i64 = 7;
/// Minutes a code stands at most.
pub const MAX_MINUTES: i64 = 24 * 60;
/// Codes that stand at once.
const MAX_CODES: usize = 10_000;
/// Codes begin so, tokens do not.
const PREFIX: &str = "jwn_";

/// What a code is kept as.
fn fingerprint(code: &str) -> String {
    hex::encode(jinwu_trust::sha256(code.as_bytes()))
}

/// By what a node may come in.
enum Leave {
    Code(String, Code),
    Token(token::Taken),
}

/// Whether the credential is good for this node now.
fn leave(state: &State, ask: &Enrol, now: i64) -> Result<Leave, NodeError> {
    if ask.credential.starts_with(PREFIX) || ask.cluster.is_empty() {
        let hash = fingerprint(&ask.credential);
        let code = state.codes.get(&hash).filter(|c| c.node == ask.node && now < c.expires).cloned();
        return code.map(|code| Leave::Code(hash, code)).ok_or_else(|| {
            NodeError::Credential(
                "登记码无效、已使用、已过期或属于其他节点;由安全管理员以 jinwu node code 节点 重新签发 / the code is wrong, used, expired or another node's; the security administrator issues a new one with jinwu node code NODE"
                    .to_owned(),
            )
        });
    }
    let issuer = state.issuers.get(&ask.cluster).ok_or_else(|| {
        NodeError::Credential("该集群的关口尚未上报令牌签发者的公钥;稍候,或以 jinwu node code 节点 登记 / no gate of that cluster has told by which keys its tokens are signed; wait, or enrol by jinwu node code NODE".to_owned())
    })?;
    let taken = token::check(issuer, &ask.credential, &ask.node, now)?;
    // A name that another cluster's node has, or one let in by hand, is not this cluster's to take over.
    if state.nodes.get(&ask.node).is_some_and(|n| n.cluster != ask.cluster) {
        return Err(NodeError::Credential(format!(
            "已有不属于该集群的同名节点 {0};先以 jinwu node remove {0} 移除 / there is a node {0} that is not of this cluster; remove it first with jinwu node remove {0}",
            ask.node
        )));
    }
    if state.tokens.contains_key(&taken.mark) {
        return Err(NodeError::Credential("该令牌已用过一次;等待容器组得到新令牌 / this token was used before; wait until the pod has a new one".to_owned()));
    }
    Ok(Leave::Token(taken))
}

// === impl Nodes ===

impl Nodes {
    /// A code by which the node may enrol once until `now` + `minutes`. An earlier one of the same node ends.
    ///
    /// # Errors
    /// The name is none, or it would stand too long.
    pub fn code(&self, node: &str, cluster: &str, minutes: i64, now: i64) -> Result<(Masked, i64), NodeError> {
        check_name(node)?;
        if !cluster.is_empty() {
            crate::clusters::cluster::label("cluster", cluster).map_err(|e| NodeError::Invalid(e.to_string()))?;
        }
        if !(1..=MAX_MINUTES).contains(&minutes) {
            return Err(NodeError::Invalid(format!("有效期须为 1–{MAX_MINUTES} 分钟 / a code stands for 1 to {MAX_MINUTES} minutes")));
        }
        let code = format!("{PREFIX}{}", hex::encode(jinwu_trust::random::bytes::<16>()));
        let kept = Code { node: node.to_owned(), cluster: cluster.to_owned(), expires: now + minutes * 60_000 };
        let mut state = self.state.write();
        let ended: Vec<String> = state.codes.iter().filter(|(_, c)| c.node == node || now >= c.expires).map(|(hash, _)| hash.clone()).collect();
        if state.codes.len() - ended.len() >= MAX_CODES {
            return Err(NodeError::Refused(format!("未使用的登记码已达 {MAX_CODES} 个 / there are {MAX_CODES} unused codes already")));
        }
        let hash = fingerprint(&code);
        let mut writes = vec![Write::put("code", &hash, &kept)?];
        writes.extend(ended.iter().map(|hash| Write::remove("code", hash)));
        self.store.apply(&writes)?;
        state.codes.retain(|hash, _| !ended.contains(hash));
        let expires = kept.expires;
        state.codes.insert(hash, kept);
        Ok((Masked::new(code), expires))
    }

    /// Lets a node in by its one-time code, or by the token of its sensor's pod; either counts once. Certificates it had
    /// before end with it.
    ///
    /// # Errors
    /// The code is unknown, used, expired or another node's (all look alike), the token is not accepted, or the request
    /// is no good: then code or token stand.
    pub fn enrol(&self, ask: &Enrol, now: i64) -> Result<Enrolled, NodeError> {
        check_name(&ask.node)?;
        let mut state = self.state.write();
        let leave = leave(&state, ask, now)?;
        if !state.nodes.contains_key(&ask.node) && state.nodes.len() >= MAX_NODES {
            return Err(NodeError::Refused(format!("最多 {MAX_NODES} 个节点 / {MAX_NODES} nodes at most")));
        }
        let (certificate, enrolled) = self.issue(&ask.node, &ask.request)?;
        let mut node = state.nodes.get(&ask.node).cloned().unwrap_or_else(|| Node::new(&ask.node, "", now));
        let ended: Vec<String> = node.certificates.drain(..).map(|c| c.fingerprint).collect();
        let over: Vec<String> = state.tokens.iter().filter(|(_, until)| now >= **until).map(|(mark, _)| mark.clone()).collect();
        let mut writes: Vec<Write> = over.iter().map(|mark| Write::remove("token", mark)).collect();
        match &leave {
            Leave::Code(hash, code) => {
                node.cluster.clone_from(&code.cluster);
                writes.push(Write::remove("code", hash));
            }
            Leave::Token(taken) => {
                node.cluster.clone_from(&ask.cluster);
                writes.push(Write::put("token", &taken.mark, &taken.until)?);
            }
        }
        node.enrolled = now;
        node.certificates.push(certificate.clone());
        writes.push(Write::put("node", &node.name, &node)?);
        self.store.apply(&writes)?;
        state.tokens.retain(|mark, _| !over.contains(mark));
        match leave {
            Leave::Code(hash, _) => drop(state.codes.remove(&hash)),
            Leave::Token(taken) => drop(state.tokens.insert(taken.mark, taken.until)),
        }
        state.certificates.retain(|fingerprint, _| !ended.contains(fingerprint));
        state.certificates.insert(certificate.fingerprint, node.name.clone());
        state.nodes.insert(node.name.clone(), node);
        Ok(enrolled)
    }

    /// Another certificate for a node that showed one; that one stands until it expires.
    ///
    /// # Errors
    /// The node was removed meanwhile, or the request is no good.
    pub fn renew(&self, name: &str, request: &str, now: i64) -> Result<Enrolled, NodeError> {
        let mut state = self.state.write();
        let mut node = state.nodes.get(name).cloned().ok_or_else(|| NodeError::Absent(name.to_owned()))?;
        let (certificate, enrolled) = self.issue(name, request)?;
        let ended = node.add(certificate.clone(), now);
        self.store.apply(&[Write::put("node", name, &node)?])?;
        state.certificates.retain(|fingerprint, _| !ended.contains(fingerprint));
        state.certificates.insert(certificate.fingerprint, name.to_owned());
        state.nodes.insert(name.to_owned(), node);
        Ok(enrolled)
    }

    fn issue(&self, name: &str, request: &str) -> Result<(Certificate, Enrolled), NodeError> {
        let uri = format!("jinwu://node/{name}");
        let signed = self.authority.sign_request(request, &uri, &uri, DAYS).map_err(|e| {
            NodeError::Invalid(format!("request 不是可用的证书签名请求(PEM,由其密钥自签)/ request is no usable certificate signing request (PEM, signed by its own key): {e}"))
        })?;
        let enrolled = Enrolled { certificate: signed.certificate, key: self.verifying_key() };
        Ok((Certificate { fingerprint: signed.fingerprint, until: signed.until * 1000 }, enrolled))
    }

    /// The node a certificate was issued to, if it still counts.
    pub fn by_certificate(&self, fingerprint: &str, now: i64) -> Option<String> {
        let state = self.state.read();
        let name = state.certificates.get(fingerprint)?;
        let stands = state.nodes.get(name)?.certificates.iter().any(|c| c.fingerprint == fingerprint && now < c.until);
        stands.then(|| name.clone())
    }
}
