//! Nodes of a cluster enrol by the token of their sensor's pod, without anybody carrying a code.
//!
//! The cluster's gate tells by which keys its API server signs tokens (the cluster's own JWKS); the server checks
//! signature, issuer, audience and time, and that the token is of the sensor's service account, in a pod on that node.
//! A token counts once. That its pod still runs is not asked: a token lives an hour at most.

use super::{NodeError, Nodes};
use jinwu_admission::protocol::Issuer;
use jinwu_documents::Write;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

/// For whom a token must be issued.
pub const AUDIENCE: &str = "jinwu";
/// The sensor's service account.
pub const NAMESPACE: &str = "jinwu-sensor";
pub const ACCOUNT: &str = "jinwu-agent";
/// Longest life of a token that is taken, seconds.
const LONGEST: i64 = 3_700;
/// Seconds two clocks may be apart.
const SKEW: i64 = 60;
const MAX_TOKEN: usize = 16 << 10;
/// Keys of one cluster.
const MAX_KEYS: usize = 20;
/// By what API servers sign.
const SIGNED_BY: [Algorithm; 5] = [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::ES256, Algorithm::ES384];

/// What a token of a pod says.
#[derive(Deserialize)]
struct Claims {
    exp: i64,
    iat: i64,
    #[serde(default)]
    jti: String,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Bound,
}

/// What it is bound to.
#[derive(Deserialize)]
struct Bound {
    namespace: String,
    serviceaccount: Named,
    #[serde(default)]
    pod: Option<Named>,
    #[serde(default)]
    node: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// What a good token comes to.
pub(super) struct Taken {
    /// By what it is recognised if it comes again.
    pub(super) mark: String,
    /// Unix milliseconds.
    pub(super) until: i64,
}

fn refused(why: impl std::fmt::Display) -> NodeError {
    NodeError::Credential(format!("服务账号令牌不被接受 / the service account token is not accepted: {why}"))
}

/// Checks a token for a node at `now` (Unix milliseconds).
pub(super) fn check(issuer: &Issuer, token: &str, node: &str, now: i64) -> Result<Taken, NodeError> {
    if token.len() > MAX_TOKEN {
        return Err(refused(format!("{} bytes are more than {MAX_TOKEN}", token.len())));
    }
    let header = jsonwebtoken::decode_header(token).map_err(refused)?;
    if !SIGNED_BY.contains(&header.alg) {
        return Err(refused(format!("signed by {:?}", header.alg)));
    }
    let set: JwkSet = serde_json::from_value(issuer.keys.clone()).map_err(refused)?;
    let key = header.kid.as_deref().and_then(|kid| set.find(kid)).ok_or_else(|| refused("no key of the cluster has signed it"))?;
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[&issuer.issuer]);
    validation.set_required_spec_claims(&["exp", "aud", "iss"]);
    // One clock rules everything.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    let decoding = DecodingKey::from_jwk(key).map_err(refused)?;
    let claims = jsonwebtoken::decode::<Claims>(token, &decoding, &validation).map_err(refused)?.claims;
    let seconds = now / 1000;
    if seconds >= claims.exp.saturating_add(SKEW) || claims.iat > seconds + SKEW || claims.exp.saturating_sub(claims.iat) > LONGEST {
        return Err(refused(format!("its time is from {} to {}, {LONGEST} s at most; now is {seconds}", claims.iat, claims.exp)));
    }
    let bound = &claims.kubernetes;
    if bound.namespace != NAMESPACE || bound.serviceaccount.name != ACCOUNT {
        return Err(refused(format!("it is of {}/{}, not of {NAMESPACE}/{ACCOUNT}", bound.namespace, bound.serviceaccount.name)));
    }
    if bound.pod.is_none() {
        return Err(refused("it is bound to no pod"));
    }
    match &bound.node {
        None => return Err(refused("it names no node (Kubernetes 1.30 or later does); enrol by jinwu node code NODE")),
        Some(bound) if bound.name != node => return Err(refused(format!("its pod is on node {}, not on {node}", bound.name))),
        Some(_) => {}
    }
    let named = if claims.jti.is_empty() { token } else { &claims.jti };
    let mark = hex::encode(jinwu_trust::sha256(format!("{}\0{named}", issuer.issuer).as_bytes()));
    Ok(Taken { mark, until: claims.exp.saturating_add(SKEW).saturating_mul(1000) })
}

// === impl Nodes ===

impl Nodes {
    /// By which keys a cluster signs tokens; whether that is news.
    ///
    /// # Errors
    /// They are no public keys.
    pub fn put_issuer(&self, cluster: &str, issuer: Issuer) -> Result<bool, NodeError> {
        let unfit = |why: String| NodeError::Invalid(format!("签发者的公钥不符 / these are no issuer's public keys: {why}"));
        let set: JwkSet = serde_json::from_value(issuer.keys.clone()).map_err(|e| unfit(e.to_string()))?;
        if issuer.issuer.is_empty() || issuer.issuer.len() > 500 || set.keys.is_empty() || set.keys.len() > MAX_KEYS {
            return Err(unfit(format!("1 to {MAX_KEYS} keys and the issuer's name")));
        }
        use jsonwebtoken::jwk::AlgorithmParameters as Parameters;
        if set.keys.iter().any(|k| !matches!(k.algorithm, Parameters::RSA(_) | Parameters::EllipticCurve(_))) {
            return Err(unfit("RSA or elliptic curves alone".into()));
        }
        let mut state = self.state.write();
        if state.issuers.get(cluster) == Some(&issuer) {
            return Ok(false);
        }
        self.store.apply(&[Write::put("issuer", cluster, &issuer)?])?;
        state.issuers.insert(cluster.to_owned(), issuer);
        Ok(true)
    }

    /// A cluster is gone, and with it those who could enrol by its tokens.
    ///
    /// # Errors
    /// As of writing.
    pub fn forget_issuer(&self, cluster: &str) -> Result<(), NodeError> {
        let mut state = self.state.write();
        if state.issuers.contains_key(cluster) {
            self.store.apply(&[Write::remove("issuer", cluster)])?;
            state.issuers.remove(cluster);
        }
        Ok(())
    }
}
