//! Tokens of RS256 and ES256, and the keys of RFC 7515's examples to sign them with.

use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer;
use rsa::{BigUint, Pkcs1v15Sign, RsaPrivateKey};

use super::*;
use crate::key::{Algorithm, KeySet};

/// RFC 7515 A.2.
pub(super) const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const RSA_D: &str = "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ";
const RSA_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

/// RFC 7515 A.3.
const EC_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const EC_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const EC_D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
const EC_SIGNATURE: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

/// The claims of both.
const RFC_CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

pub(super) fn bytes(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("it is base64url")
}

/// The public keys, by these names.
pub(super) fn rsa_jwk(kid: &str) -> Value {
    json!({"kty": "RSA", "kid": kid, "n": RSA_N, "e": "AQAB"})
}

pub(super) fn ec_jwk(kid: &str) -> Value {
    json!({"kty": "EC", "kid": kid, "crv": "P-256", "x": EC_X, "y": EC_Y})
}

pub(super) fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

pub(super) fn rs256(header: &Value, claims: &Value) -> String {
    let number = |text| BigUint::from_bytes_be(&bytes(text));
    let key = RsaPrivateKey::from_components(
        number(RSA_N),
        BigUint::from(65_537_u32),
        number(RSA_D),
        Vec::new(),
    );
    let signed = format!("{}.{}", encode(header), encode(claims));
    let scheme = Pkcs1v15Sign {
        hash_len: Some(32),
        // RFC 8017 9.2, note 1.
        prefix: Box::new([
            0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
            0x01, 0x05, 0x00, 0x04, 0x20,
        ]),
    };
    let hash = <Sha256 as sha2::Digest>::digest(signed.as_bytes());
    let signature = key.expect("the RFC's key").sign(scheme, &hash);
    let signature = URL_SAFE_NO_PAD.encode(signature.expect("it signs"));
    format!("{signed}.{signature}")
}

pub(super) fn es256(header: &Value, claims: &Value) -> String {
    let key = SigningKey::from_slice(&bytes(EC_D)).expect("the RFC's key");
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature: p256::ecdsa::Signature = key.sign(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(signature.to_bytes());
    format!("{signed}.{signature}")
}

/// A function that knows the keys `rsa` and `ec` by its settings.
fn knowing() -> Host {
    let keys = set(&[rsa_jwk("rsa"), ec_jwk("ec")]);
    Host::new().config("audience", "shop").config("jwks", keys)
}

/// What becomes of a token.
pub(super) fn verdict(token: &str) -> Option<String> {
    refusal(&mut asking(token))
}

fn joe() -> Rules {
    Rules {
        audience: None,
        issuer: Some("joe".into()),
        skew: 0,
    }
}

#[test]
fn examples_of_rfc_7515_appendix_a_2_and_a_3_verify() {
    let cases = [
        (rsa_jwk("k"), "eyJhbGciOiJSUzI1NiJ9", RSA_SIGNATURE),
        (ec_jwk("k"), "eyJhbGciOiJFUzI1NiJ9", EC_SIGNATURE),
    ];
    for (jwk, header, signature) in cases {
        let set = KeySet::read(set(&[jwk]).as_bytes()).expect("it is a set");
        let text = format!("{header}.{RFC_CLAIMS}.{signature}");
        let token = Token::read(&text).expect("it has three parts");
        let key = set.find(token.algorithm, None).expect("the only one");
        let claims = token.verify(&key, &joe(), 1_300_819_379);
        assert_eq!(
            claims.expect("it is valid").text("iss").as_deref(),
            Some("joe")
        );
        // Each bit counts.
        let mut other = bytes(signature);
        other[40] ^= 1;
        let other = format!("{header}.{RFC_CLAIMS}.{}", URL_SAFE_NO_PAD.encode(other));
        let other = Token::read(&other).expect("it has three parts");
        let refused = other.verify(&key, &joe(), 1_300_819_379);
        assert_eq!(refused.expect_err("changed"), Invalid::Signature);
    }
}

#[test]
fn keys_of_rfc_7517_appendix_a_1_are_found_by_name() {
    let example = json!({"keys": [
        {"kty": "EC", "crv": "P-256",
         "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
         "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
         "use": "enc", "kid": "1"},
        {"kty": "RSA",
         "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
         "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"},
    ]});
    let set = KeySet::read(example.to_string().as_bytes()).expect("it is a set");
    let found = set.find(Algorithm::Rs256, Some("2011-04-29"));
    assert!(matches!(found, Ok(Key::Rs256(_))));
    // That one is for encryption.
    let found = set.find(Algorithm::Es256, Some("1"));
    assert_eq!(found.err(), Some(Invalid::Algorithm));
    let found = set.find(Algorithm::Rs256, Some("none"));
    assert_eq!(found.err(), Some(Invalid::Key));
}

#[test]
fn tokens_of_both_algorithms_pass_with_keys_of_the_settings() {
    let _host = knowing();
    let header = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
    assert_eq!(verdict(&rs256(&header("RS256", "rsa"), &good())), None);
    assert_eq!(verdict(&es256(&header("ES256", "ec"), &good())), None);
    // One key for each: a token need not name it.
    assert_eq!(verdict(&rs256(&json!({"alg": "RS256"}), &good())), None);
    assert_eq!(verdict(&es256(&json!({"alg": "ES256"}), &good())), None);
    let mut request = asking(&es256(&header("ES256", "ec"), &good()));
    assert_eq!(refusal(&mut request), None);
    assert_eq!(request.header_lines("x-auth-subject"), ["alice"]);
    // Claims are checked as for shared secrets.
    let late = es256(&header("ES256", "ec"), &with("exp", json!(NOW - 60)));
    assert!(verdict(&late).expect("refused").contains("has expired"));
}

#[test]
fn both_sorts_of_keys_can_be_there() {
    let host = knowing().secret("jwt-key", KEY_BYTES);
    assert_eq!(verdict(&token(&good())), None);
    assert_eq!(verdict(&rs256(&json!({"alg": "RS256"}), &good())), None);
    drop(host);
}

#[test]
fn without_a_name_only_one_key_may_fit() {
    let keys = set(&[ec_jwk("a"), ec_jwk("b")]);
    let _host = Host::new().config("audience", "shop").config("jwks", keys);
    let refused = verdict(&es256(&json!({"alg": "ES256"}), &good()));
    assert!(refused.expect("refused").contains("key of the token"));
    let named = es256(&json!({"alg": "ES256", "kid": "b"}), &good());
    assert_eq!(verdict(&named), None);
}

#[test]
fn settings_that_are_no_keys_fail_the_function_by_name() {
    for (jwks, why) in [
        ("", "`jwks`"),
        ("[]", "`jwks`"),
        ("{\"keys\": 1}", "`keys`"),
    ] {
        let _host = Host::new().config("jwks", jwks);
        let error = authenticate(&mut asking("a.b.c")).expect_err("there is no set");
        assert!(error.to_string().contains(why), "{error}");
    }
    let _host = knowing().config("jwks-url", "http://issuer/jwks");
    let error = authenticate(&mut asking("a.b.c")).expect_err("both are set");
    assert!(error.to_string().contains("one of them"), "{error}");
}

/// What an issuer signs for somebody else is nothing here, unless that is meant.
#[test]
fn keys_of_an_issuer_need_an_audience() {
    let elsewhere =
        json!({"sub": "eve", "aud": "other", "iss": "https://elsewhere", "exp": NOW + 600});
    let stolen = es256(&json!({"alg": "ES256"}), &elsewhere);
    for (name, value) in [
        ("jwks", set(&[ec_jwk("k")])),
        ("jwks-url", "http://issuer/jwks".to_owned()),
    ] {
        let _host = Host::new().config(name, value);
        let error = authenticate(&mut asking(&stolen)).expect_err("it is for nobody known");
        assert!(error.to_string().contains("`audience`"), "{error}");
    }
    let host = knowing();
    let refused = verdict(&stolen).expect("refused");
    assert!(refused.contains("another audience"), "{refused}");
    let _host = host.config("audience", "*");
    assert_eq!(verdict(&stolen), None);
}
