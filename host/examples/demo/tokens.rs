//! The demo's secrets: the admin token, the key of the function `auth`, and a
//! token that it accepts. All are random, and readable by their owner alone.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{hmac, rand};

use crate::places::Places;

/// How long a token lasts, in seconds: as long as a demo may run.
const JWT_SECONDS: u64 = 24 * 60 * 60;

/// Writes the admin token and the key unless they are there, and a fresh token for
/// alice. Returns whether the first two were made now.
pub(crate) fn ensure(places: &Places, now: SystemTime) -> anyhow::Result<bool> {
    let mut made = false;
    for path in [&places.admin_token, &places.jwt_key] {
        if !path.is_file() {
            write_private(path, &random_word()?)?;
            made = true;
        }
    }
    let key = std::fs::read(&places.jwt_key)?;
    let expires = now.duration_since(UNIX_EPOCH)?.as_secs() + JWT_SECONDS;
    write_private(&places.jwt(), &jwt(&key, expires))?;
    Ok(made)
}

/// A token of RFC 7519 for alice, signed with HS256.
fn jwt(key: &[u8], expires: u64) -> String {
    let header = base64url(br#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = format!(r#"{{"sub":"alice","aud":"demo","exp":{expires}}}"#);
    let signed = format!("{header}.{}", base64url(claims.as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", base64url(signature.as_ref()))
}

/// 256 random bits in hexadecimal digits.
fn random_word() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("no randomness could be had"))?;
    Ok(bytes.iter().fold(String::new(), |mut word, byte| {
        let _ = write!(word, "{byte:02x}");
        word
    }))
}

/// RFC 4648 5, without padding (RFC 7515 2).
fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..=chunk.len() {
            let six = (bits >> (18 - 6 * place)) & 0x3f;
            text.push(char::from(LETTERS[six as usize]));
        }
    }
    text
}

/// Secrets are readable by their owner alone.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?
        .write_all(text.as_bytes())
}
