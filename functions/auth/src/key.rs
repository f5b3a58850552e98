//! Keys, each for one algorithm (RFC 8725 3.1), and sets of them as issuers publish them (JWKS,
//! RFC 7517).

use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Verifier;
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use verge_sdk::secret::Secret;

use crate::token::{Invalid, decode};

/// Smaller RSA keys are refused (RFC 7518 3.3).
const RSA_BITS_MIN: usize = 2048;

/// Keys that a set may have. More of them are not looked at.
const KEYS_MAX: usize = 64;

/// A coordinate of P-256, and half a signature, in bytes (RFC 7518 3.4, 6.2.1).
const P256_BYTES: usize = 32;

/// What stands before a SHA-256 hash in a signature (RFC 8017 9.2, note 1).
const SHA256_PREFIX: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// What a token can be signed with (RFC 7518 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Hs256,
    Rs256,
    Es256,
}

impl Algorithm {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "HS256" => Some(Self::Hs256),
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    /// The type of its keys, where others may know them: a shared secret is never one of a set.
    fn key_type(self) -> Option<&'static str> {
        match self {
            Self::Hs256 => None,
            Self::Rs256 => Some("RSA"),
            Self::Es256 => Some("EC"),
        }
    }
}

/// A key, which checks signatures of its own algorithm alone.
pub(crate) enum Key {
    Hs256(Secret),
    Rs256(Box<RsaPublicKey>),
    Es256(Box<p256::ecdsa::VerifyingKey>),
}

impl Key {
    /// Whether this key has signed `signed` by this algorithm.
    pub(crate) fn check(
        &self,
        algorithm: Algorithm,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), Invalid> {
        let is_right = match (self, algorithm) {
            (Self::Hs256(key), Algorithm::Hs256) => {
                // The comparison takes the same time wherever the signatures differ.
                let mac = Hmac::<Sha256>::new_from_slice(key.expose());
                mac.is_ok_and(|mac| mac.chain_update(signed).verify_slice(signature).is_ok())
            }
            (Self::Rs256(key), Algorithm::Rs256) => {
                let scheme = Pkcs1v15Sign {
                    hash_len: Some(<Sha256 as Digest>::output_size()),
                    prefix: Box::from(SHA256_PREFIX),
                };
                // RFC 8017 8.2.2: a signature is as long as the modulus.
                signature.len() == key.size()
                    && key
                        .verify(scheme, &Sha256::digest(signed), signature)
                        .is_ok()
            }
            (Self::Es256(key), Algorithm::Es256) => {
                // RFC 7518 3.4: two numbers of 32 bytes, not ASN.1.
                p256::ecdsa::Signature::from_slice(signature)
                    .is_ok_and(|signature| key.verify(signed, &signature).is_ok())
            }
            (Self::Hs256(_) | Self::Rs256(_) | Self::Es256(_), _) => {
                return Err(Invalid::Algorithm);
            }
        };
        is_right.then_some(()).ok_or(Invalid::Signature)
    }
}

/// Public keys by name.
#[derive(Debug)]
pub(crate) struct KeySet(Vec<Map<String, Value>>);

impl KeySet {
    /// Reads a JWK set (RFC 7517 5). Keys that nobody here can use are no error: a set may have
    /// keys for others.
    pub(crate) fn read(json: &[u8]) -> Result<Self, String> {
        let set: Map<String, Value> =
            serde_json::from_slice(json).map_err(|error| format!("it is no JWK set: {error}"))?;
        let keys = set.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or("it is no JWK set: there is no list `keys`")?;
        let keys = keys.iter().take(KEYS_MAX).filter_map(Value::as_object);
        Ok(Self(keys.cloned().collect()))
    }

    /// The key of that name, or the only one for the algorithm where the token names none.
    ///
    /// # Errors
    /// There is none, or it is not for this algorithm or cannot be used.
    pub(crate) fn find(&self, algorithm: Algorithm, id: Option<&str>) -> Result<Key, Invalid> {
        let fits = |jwk: &&Map<String, Value>| is_for(jwk, algorithm);
        let jwk = match id {
            None => {
                let mut fitting = self.0.iter().filter(fits);
                match (fitting.next(), fitting.next()) {
                    (Some(jwk), None) => jwk,
                    _ => return Err(Invalid::Key),
                }
            }
            Some(id) => {
                let of_name = |jwk: &&Map<String, Value>| text(jwk, "kid") == Some(id);
                let mut named = self.0.iter().filter(of_name).peekable();
                named.peek().ok_or(Invalid::Key)?;
                named.find(fits).ok_or(Invalid::Algorithm)?
            }
        };
        public_key(jwk, algorithm).ok_or(Invalid::Key)
    }
}

fn text<'k>(jwk: &'k Map<String, Value>, name: &str) -> Option<&'k str> {
    jwk.get(name).and_then(Value::as_str)
}

/// Whether a key may check signatures of this algorithm (RFC 7517 4.1 to 4.4).
fn is_for(jwk: &Map<String, Value>, algorithm: Algorithm) -> bool {
    let is_or_absent = |name: &str, wanted: &str| {
        let given = jwk.get(name);
        given.is_none_or(|given| given.as_str() == Some(wanted))
    };
    let verifies = jwk.get("key_ops").is_none_or(|operations| {
        let mut operations = operations.as_array().into_iter().flatten();
        operations.any(|operation| operation == "verify")
    });
    algorithm
        .key_type()
        .is_some_and(|wanted| text(jwk, "kty") == Some(wanted))
        && is_or_absent("alg", algorithm.name())
        && is_or_absent("use", "sig")
        && verifies
}

fn public_key(jwk: &Map<String, Value>, algorithm: Algorithm) -> Option<Key> {
    // Whoever reads a published private key can sign with it: it is nobody's any more.
    if jwk.contains_key("d") {
        return None;
    }
    let bytes = |name| text(jwk, name).and_then(|text| decode(text).ok());
    match algorithm {
        Algorithm::Hs256 => None,
        Algorithm::Rs256 => {
            let number = |name| bytes(name).map(|bytes| BigUint::from_bytes_be(&bytes));
            let (modulus, exponent) = (number("n")?, number("e")?);
            let is_odd = |number: &BigUint| number.to_bytes_be().last().is_some_and(|b| b & 1 == 1);
            let is_safe = modulus.bits() >= RSA_BITS_MIN
                && is_odd(&modulus)
                && is_odd(&exponent)
                && exponent > BigUint::from(1_u8);
            // It bounds both: 4096 bits, and an exponent of 33.
            let key = RsaPublicKey::new(modulus, exponent).ok()?;
            is_safe.then(|| Key::Rs256(Box::new(key)))
        }
        Algorithm::Es256 => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            let is_whole =
                text(jwk, "crv") == Some("P-256") && x.len() == P256_BYTES && y.len() == P256_BYTES;
            // SEC 1 2.3.3: an uncompressed point. It is refused if it is not on the curve.
            let point = [&[4][..], &x, &y].concat();
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?;
            is_whole.then(|| Key::Es256(Box::new(key)))
        }
    }
}
