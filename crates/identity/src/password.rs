//! Passwords: argon2id (RFC 9106) and the policy they must meet.

use crate::IdentityError;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

/// Shortest password accepted (level 3 and 4 practice asks for at least 8 with complexity; length helps more).
pub const MIN_LENGTH: usize = 12;
/// A new password must differ from this many before it.
pub const HISTORY: usize = 5;

/// PHC string of a password, argon2id with 19 MiB, two passes, one lane.
pub fn hash(password: &str) -> Result<String, IdentityError> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|h| h.to_string())
        .map_err(|e| IdentityError::Storage(format!("password could not be hashed: {e}")))
}

/// Constant-time comparison with a PHC string; a malformed one matches nothing.
pub fn verify(password: &str, phc: &str) -> bool {
    PasswordHash::new(phc).is_ok_and(|h| Argon2::default().verify_password(password.as_bytes(), &h).is_ok())
}

/// At least 12 characters of at least three classes, not containing the account's name, no run of
/// one character, at most 256 bytes.
pub fn check(password: &str, account: &str) -> Result<(), IdentityError> {
    let refuse = |zh: &str, en: &str| Err(IdentityError::Invalid(format!("{zh} / {en}")));
    if password.chars().count() < MIN_LENGTH {
        return refuse("口令至少 12 个字符", "a password has at least 12 characters");
    }
    if password.len() > 256 {
        return refuse("口令不得超过 256 字节", "a password has at most 256 bytes");
    }
    let classes = [
        password.chars().any(|c| c.is_lowercase()),
        password.chars().any(|c| c.is_uppercase()),
        password.chars().any(|c| c.is_ascii_digit()),
        password.chars().any(|c| !c.is_alphanumeric()),
    ];
    if classes.iter().filter(|c| **c).count() < 3 {
        return refuse(
            "口令须包含大写、小写、数字、符号中的至少三类",
            "a password mixes at least three of upper case, lower case, digits and symbols",
        );
    }
    if account.len() >= 3 && password.to_lowercase().contains(&account.to_lowercase()) {
        return refuse("口令不得包含账号名", "a password does not contain the account's name");
    }
    let mut distinct: Vec<char> = password.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 6 {
        return refuse("口令过于单一", "a password has at least six different characters");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_verify_and_differ() {
        let (a, b) = (hash("Correct-Horse-7").unwrap(), hash("Correct-Horse-7").unwrap());
        assert_ne!(a, b);
        assert!(a.starts_with("$argon2id$"));
        assert!(verify("Correct-Horse-7", &a));
        assert!(!verify("correct-horse-7", &a));
        assert!(!verify("x", "not a hash"));
    }

    #[test]
    fn policy() {
        assert!(check("Correct-Horse-7", "alice").is_ok());
        for bad in ["Short-7", "alllowercaseletters", "Alice-password-1", "aaaaaaaaaaA1-", "123456789012"] {
            assert!(check(bad, "alice").is_err(), "{bad}");
        }
    }
}
