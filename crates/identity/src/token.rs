//! Registry bearer tokens: JWT (RFC 7519) signed with Ed25519, claims as the distribution token
//! specification has them, plus the subject's epoch so that revocation bites at the next request.

use crate::IdentityError;
use base64::Engine as _;
use jinwu_model::{Subject, SubjectKind};
use jinwu_trust::SigningKey;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

/// Seconds a token lives. Clients treat less than 60 as 60.
pub const LIFE: i64 = 300;

/// `access` entry of the token specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub actions: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    pub exp: i64,
    pub nbf: i64,
    pub iat: i64,
    pub jti: String,
    pub access: Vec<Access>,
    /// `user` or `robot`.
    pub kind: SubjectKind,
    pub epoch: u64,
}

/// Makes and checks tokens with one key.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    service: String,
}

impl Tokens {
    /// `service` is issuer and audience at once: the registry issues for itself.
    pub fn new(key: &SigningKey, service: &str) -> Result<Self, IdentityError> {
        let x = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key.verifying_key().to_bytes());
        Ok(Tokens {
            encoding: EncodingKey::from_ed_der(&key.to_pkcs8_der()),
            decoding: DecodingKey::from_ed_components(&x).map_err(|e| IdentityError::Storage(e.to_string()))?,
            service: service.to_owned(),
        })
    }

    pub fn service(&self) -> &str {
        &self.service
    }

    /// `now` in Unix seconds.
    pub fn issue(&self, subject: &Subject, epoch: u64, access: Vec<Access>, now: i64) -> Result<String, IdentityError> {
        let claims = Claims {
            iss: self.service.clone(),
            sub: subject.name.clone(),
            aud: self.service.clone(),
            exp: now + LIFE,
            nbf: now - 5,
            iat: now,
            jti: hex::encode(jinwu_trust::random::bytes::<12>()),
            access,
            kind: subject.kind,
            epoch,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &self.encoding).map_err(|e| IdentityError::Storage(e.to_string()))
    }

    /// The claims of a token that is ours and unexpired at `now` (Unix seconds). Whether its
    /// subject still stands is [`crate::Identity::standing`]'s to say.
    pub fn check(&self, token: &str, now: i64) -> Option<Claims> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[&self.service]);
        validation.set_issuer(&[&self.service]);
        // The clock is the caller's, so that one clock rules everything.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation).ok()?.claims;
        (claims.nbf <= now && now < claims.exp).then_some(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_hold_until_they_expire_and_only_ours() {
        let key = SigningKey::generate();
        let ours = Tokens::new(&key, "jinwu").unwrap();
        let other = Tokens::new(&SigningKey::generate(), "jinwu").unwrap();
        let elsewhere = Tokens::new(&key, "other").unwrap();
        let token = ours.issue(&Subject::robot("ci"), 3, vec![], 1000).unwrap();
        let claims = ours.check(&token, 1000).unwrap();
        assert_eq!((claims.sub.as_str(), claims.epoch, claims.kind), ("ci", 3, SubjectKind::Robot));
        assert!(ours.check(&token, 1000 + LIFE).is_none(), "expired");
        assert!(other.check(&token, 1000).is_none(), "another key");
        assert!(elsewhere.check(&token, 1000).is_none(), "another audience");
        let mut parts: Vec<&str> = token.split('.').collect();
        let none = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        parts[0] = &none;
        assert!(ours.check(&format!("{}.{}.", parts[0], parts[1]), 1000).is_none(), "alg none");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(s in ".*") {
            let tokens = Tokens::new(&SigningKey::generate(), "jinwu").unwrap();
            proptest::prop_assert!(tokens.check(&s, 0).is_none());
        }
    }
}
