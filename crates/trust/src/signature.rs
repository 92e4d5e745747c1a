//! Other people's signatures: ECDSA P-256, RSA (2048 to 8192 bits, PKCS #1 v1.5) and Ed25519, with SHA-256, by a
//! public key in PEM.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;

/// SubjectPublicKeyInfo in base64 without line ends, by which two spellings of a key are known as one.
pub fn public_key(pem: &str) -> Option<String> {
    let body = pem.trim().strip_prefix("-----BEGIN PUBLIC KEY-----")?.strip_suffix("-----END PUBLIC KEY-----")?;
    let joined: String = body.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(&joined).ok().map(|_| joined)
}

/// Whether a signature is one of these bytes by this key, of whichever of the three kinds it is.
pub fn verify(pem: &str, message: &[u8], signature: &[u8]) -> bool {
    let Some(der) = public_key(pem).and_then(|b| base64::engine::general_purpose::STANDARD.decode(b).ok()) else { return false };
    let kinds: [&'static dyn VerificationAlgorithm; 3] = [&ECDSA_P256_SHA256_ASN1, &ED25519, &RSA_PKCS1_2048_8192_SHA256];
    kinds.into_iter().any(|kind| UnparsedPublicKey::new(kind, &der).verify(message, signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};

    fn pem(der: &[u8]) -> String {
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", base64::engine::general_purpose::STANDARD.encode(der))
    }

    #[test]
    fn three_kinds_of_keys_and_no_other_signature() {
        let random = SystemRandom::new();
        let message = b"what was signed";
        let ecdsa = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let ed = Ed25519KeyPair::generate().unwrap();
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut by_rsa = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut by_rsa).unwrap();
        let of = |der: Result<PublicKeyX509Der<'_>, _>| pem(der.map_err(|_: aws_lc_rs::error::Unspecified| ()).unwrap().as_ref());
        let all = [
            (of(ecdsa.public_key().as_der()), ecdsa.sign(&random, message).unwrap().as_ref().to_vec()),
            (of(ed.public_key().as_der()), ed.sign(message).as_ref().to_vec()),
            (of(rsa.public_key().as_der()), by_rsa),
        ];
        for (i, (key, _)) in all.iter().enumerate() {
            for (j, (_, signature)) in all.iter().enumerate() {
                assert_eq!(verify(key, message, signature), i == j, "key {i}, signature {j}");
            }
            assert!(!verify(key, b"something else", &all[i].1));
        }
        assert!(!verify("no key", message, &all[0].1) && !verify(&pem(b"short"), message, &all[0].1));
    }
}
