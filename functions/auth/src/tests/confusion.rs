//! A key is used for its own algorithm alone, and weak or foreign keys are not used at all.

use super::signed::{RSA_N, bytes, ec_jwk, es256, rs256, rsa_jwk, set, verdict};
use super::*;

fn changed(mut jwk: Value, name: &str, value: Value) -> Value {
    jwk[name] = value;
    jwk
}

/// What becomes of a good token of this algorithm, signed with the RFC's keys, when this is the
/// set.
fn with_key(alg: &str, jwk: Value) -> Option<String> {
    let keys = set(&[jwk]);
    let _host = Host::new().config("audience", "shop").config("jwks", keys);
    let header = json!({"alg": alg, "kid": "k"});
    verdict(&match alg {
        "RS256" => rs256(&header, &good()),
        _ => es256(&header, &good()),
    })
}

#[test]
fn public_key_is_no_shared_secret() {
    // The oldest trick: the public key, which everybody knows, as the secret of HS256.
    let keys = set(&[rsa_jwk("k")]);
    let host = Host::new().config("audience", "shop").config("jwks", &keys);
    for secret in [bytes(RSA_N), RSA_N.as_bytes().to_vec(), keys.into_bytes()] {
        let forged = sign(&json!({"alg": "HS256", "kid": "k"}), &good(), &secret);
        assert!(verdict(&forged).expect("refused").contains("algorithm"));
    }
    drop(host);
    // With a secret there, the secret alone counts.
    let _host = Host::new()
        .config("audience", "shop")
        .config("jwks", set(&[rsa_jwk("k")]))
        .secret("jwt-key", KEY_BYTES);
    let forged = sign(&json!({"alg": "HS256", "kid": "k"}), &good(), &bytes(RSA_N));
    assert!(verdict(&forged).expect("refused").contains("signature"));
}

#[test]
fn published_shared_secret_is_no_key() {
    let oct = json!({"kty": "oct", "kid": "k", "k": URL_SAFE_NO_PAD.encode(KEY_BYTES)});
    let _host = Host::new()
        .config("audience", "shop")
        .config("jwks", set(&[oct]));
    let header = json!({"alg": "HS256", "kid": "k"});
    let refused = verdict(&sign(&header, &good(), KEY_BYTES));
    assert!(refused.expect("refused").contains("algorithm"));
}

#[test]
fn key_of_another_type_is_not_used() {
    for (alg, jwk) in [("RS256", ec_jwk("k")), ("ES256", rsa_jwk("k"))] {
        let refused = with_key(alg, jwk).expect("refused");
        assert!(refused.contains("algorithm"), "{alg}: {refused}");
    }
}

#[test]
fn key_for_something_else_is_not_used() {
    let others = [
        ("alg", json!("ES384")),
        ("alg", json!(1)),
        ("use", json!("enc")),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!("verify")),
        ("kty", json!("OKP")),
    ];
    for (name, value) in others {
        let refused = with_key("ES256", changed(ec_jwk("k"), name, value.clone()));
        assert!(refused.is_some(), "{name} {value}");
    }
    for (name, value) in [
        ("alg", json!("ES256")),
        ("use", json!("sig")),
        ("key_ops", json!(["sign", "verify"])),
    ] {
        let passed = with_key("ES256", changed(ec_jwk("k"), name, value));
        assert_eq!(passed, None, "{name}");
    }
}

#[test]
fn weak_and_broken_keys_are_not_used() {
    let modulus = bytes(RSA_N);
    let number = |bytes: &[u8]| json!(URL_SAFE_NO_PAD.encode(bytes));
    let mut even = modulus.clone();
    even[255] &= 0xfe;
    let mut half = modulus[..255].to_vec();
    half[254] |= 1;
    let coordinate = json!(ec_jwk("k")["x"].as_str().expect("text"));
    let cases = [
        ("RS256", "n", number(&half)),
        ("RS256", "n", number(&even)),
        (
            "RS256",
            "n",
            number(&[&modulus[..], &modulus, &modulus].concat()),
        ),
        ("RS256", "n", json!(format!("{RSA_N}="))),
        ("RS256", "n", Value::Null),
        ("RS256", "e", number(&[1])),
        ("RS256", "e", number(&[2])),
        ("RS256", "e", number(&[1, 0, 0, 0, 0, 1])),
        ("RS256", "d", number(&modulus)),
        ("ES256", "crv", json!("P-384")),
        ("ES256", "y", coordinate),
        ("ES256", "x", number(&[1; 33])),
        ("ES256", "x", Value::Null),
        ("ES256", "d", number(&[1; 32])),
    ];
    for (alg, name, value) in cases {
        let jwk = if alg == "RS256" {
            rsa_jwk("k")
        } else {
            ec_jwk("k")
        };
        let refused = with_key(alg, changed(jwk, name, value.clone())).expect("refused");
        assert!(
            refused.contains("key of the token"),
            "{name} {value}: {refused}"
        );
    }
    assert_eq!(with_key("RS256", rsa_jwk("k")), None);
}

#[test]
fn signatures_of_another_form_are_refused() {
    let keys = set(&[rsa_jwk("rsa"), ec_jwk("ec")]);
    let _host = Host::new().config("audience", "shop").config("jwks", keys);
    let replaced = |token: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let mut signature = bytes(signature);
        change(&mut signature);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let ec = es256(&json!({"alg": "ES256", "kid": "ec"}), &good());
    let rsa = rs256(&json!({"alg": "RS256", "kid": "rsa"}), &good());
    let cut = |signature: &mut Vec<u8>| signature.truncate(signature.len() - 1);
    let longer = |signature: &mut Vec<u8>| signature.insert(0, 0);
    let zero = |signature: &mut Vec<u8>| signature.fill(0);
    // ASN.1, as TLS has it (RFC 7518 3.4 has not).
    let asn1 = |signature: &mut Vec<u8>| {
        let form = p256::ecdsa::Signature::from_slice(signature).expect("64 bytes");
        *signature = form.to_der().as_bytes().to_vec();
    };
    for token in [
        replaced(&ec, &cut),
        replaced(&ec, &longer),
        replaced(&ec, &zero),
        replaced(&ec, &asn1),
        replaced(&rsa, &cut),
        replaced(&rsa, &longer),
        replaced(&rsa, &zero),
    ] {
        assert!(verdict(&token).expect("refused").contains("signature"));
    }
    // The signature of the one is none of the other.
    let (head, _) = ec.rsplit_once('.').expect("three parts");
    let (_, signature) = rsa.rsplit_once('.').expect("three parts");
    assert!(verdict(&format!("{head}.{signature}")).is_some());
}

#[test]
fn critical_extensions_and_odd_names_are_refused() {
    let keys = set(&[ec_jwk("ec")]);
    let _host = Host::new().config("audience", "shop").config("jwks", keys);
    for header in [
        json!({"alg": "ES256", "kid": "ec", "crit": ["exp"], "exp": 1}),
        json!({"alg": "ES256", "kid": "ec", "crit": []}),
        json!({"alg": "ES256", "kid": 7}),
        json!({"alg": "ES256", "kid": "other"}),
        json!({"alg": "ES256K", "kid": "ec"}),
        json!({"alg": "none", "kid": "ec"}),
    ] {
        assert!(verdict(&es256(&header, &good())).is_some(), "{header}");
    }
    // Strict base64url: the same bits with some left over are another text.
    let token = es256(&json!({"alg": "ES256", "kid": "ec"}), &good());
    assert_eq!(verdict(&token), None);
    let last = token.chars().last().expect("it has a signature");
    let next = char::from_u32(u32::from(last) + 1).expect("a letter");
    let loose = format!("{}{next}", &token[..token.len() - 1]);
    assert!(verdict(&loose).expect("refused").contains("malformed"));
}
