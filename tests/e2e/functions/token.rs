//! JSON Web Tokens for tests, good and bad (RFC 7515, RFC 2104).

use sha2::{Digest as _, Sha256};

/// The key that the node under test knows.
pub(super) const KEY: &str = "a-test-key-of-at-least-32-bytes!";

/// Seconds since 1970, `offset` from now.
#[allow(
    clippy::disallowed_methods,
    reason = "the node under test runs on the system's clock"
)]
pub(super) fn seconds(offset: i64) -> i64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap() + offset
}

/// A token with these claims, signed with `key`.
pub(super) fn signed(claims: &serde_json::Value, key: &str) -> String {
    let head = base64url(br#"{"alg":"HS256","typ":"JWT"}"#);
    let text = format!("{head}.{}", base64url(claims.to_string().as_bytes()));
    let signature = hmac_sha256(key.as_bytes(), text.as_bytes());
    format!("{text}.{}", base64url(&signature))
}

/// A token that says that it needs no signature (RFC 7519 6).
pub(super) fn unsigned(claims: &serde_json::Value) -> String {
    let head = base64url(br#"{"alg":"none"}"#);
    format!("{head}.{}.", base64url(claims.to_string().as_bytes()))
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(text)
        .finalize();
    Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize()
        .to_vec()
}

pub(super) fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut bits = 0_u32;
        for place in 0..3 {
            bits = bits << 8 | u32::from(chunk.get(place).copied().unwrap_or(0));
        }
        for place in 0..=chunk.len() {
            let index = bits >> (18 - 6 * place) & 63;
            text.push(char::from(LETTERS[index as usize]));
        }
    }
    text
}

#[test]
fn tokens_are_those_of_the_standard() {
    // RFC 4231 4.3 (test case 2).
    let mac = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
    assert_eq!(mac[..4], [0x5b, 0xdc, 0xc1, 0x46]);
    // RFC 4648 10, without padding.
    assert_eq!(base64url(b"fooba"), "Zm9vYmE");
    assert_eq!(base64url(b"foobar"), "Zm9vYmFy");
}
