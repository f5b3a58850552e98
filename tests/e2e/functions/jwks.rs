//! `auth` with the keys of an issuer: fetched once for all calls, rotated, and used on while the
//! issuer is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use parking_lot::Mutex;
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};
use verge_base::{Clock, ManualClock};
use verge_tests::guests::{function, function_with_limits, runtime};
use verge_tests::node::Setup;
use verge_tests::origin::{hang_up, respond, respond_in_steps};
use verge_tests::{Origin, TestNode, eventually};

use super::token::{base64url, seconds};

/// Where the clock of these tests stands first.
const NOW: u64 = 1_767_225_600;

/// A key pair of an issuer.
struct Signer {
    kid: &'static str,
    alg: &'static str,
    pair: KeyPair,
}

impl Signer {
    fn es256(kid: &'static str) -> Self {
        let (alg, pair) = ("ES256", KeyPair::generate().unwrap());
        Self { kid, alg, pair }
    }

    fn rs256(kid: &'static str) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let alg = "RS256";
        Self { kid, alg, pair }
    }

    /// As the issuer publishes it (RFC 7518 6.2 and 6.3).
    fn jwk(&self) -> Value {
        let public = self.pair.der_bytes();
        match self.alg {
            "ES256" => {
                let (x, y) = public[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": self.kid, "use": "sig",
                       "x": base64url(x), "y": base64url(y)})
            }
            _ => {
                let [modulus, exponent] = integers(public);
                json!({"kty": "RSA", "kid": self.kid, "alg": "RS256",
                       "n": base64url(&modulus), "e": base64url(&exponent)})
            }
        }
    }

    /// A token for alice, which lasts for days.
    fn token(&self) -> String {
        self.token_until(NOW + 1_000_000)
    }

    fn token_until(&self, expires: u64) -> String {
        let header = json!({"alg": self.alg, "kid": self.kid}).to_string();
        let claims = json!({"sub": "alice", "aud": "shop", "exp": expires}).to_string();
        let text = format!(
            "{}.{}",
            base64url(header.as_bytes()),
            base64url(claims.as_bytes())
        );
        let signature = self.pair.sign(text.as_bytes()).unwrap();
        let signature = match self.alg {
            // RFC 7518 3.4: two numbers of 32 bytes, not ASN.1.
            "ES256" => integers(&signature).map(|number| padded(&number)).concat(),
            _ => signature,
        };
        format!("Bearer {text}.{}", base64url(&signature))
    }
}

/// The two numbers of an ASN.1 sequence (X.690), without leading zeros.
fn integers(der: &[u8]) -> [Vec<u8>; 2] {
    let mut rest = element(der).0;
    [(); 2].map(|()| {
        let (number, behind) = element(rest);
        rest = behind;
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        number[zeros..].to_vec()
    })
}

/// What an element holds, and what comes behind it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, content) = match der[1] {
        long @ 0x81.. => {
            let (length, content) = der[2..].split_at(usize::from(long & 0x7f));
            let length = length
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, content)
        }
        short => (usize::from(short), &der[2..]),
    };
    content.split_at(length)
}

fn padded(number: &[u8]) -> Vec<u8> {
    let mut whole = vec![0; 32 - number.len()];
    whole.extend_from_slice(number);
    whole
}

/// An issuer that answers as it is told.
struct Issuer {
    origin: Origin,
    set: Arc<Mutex<Option<String>>>,
}

impl Issuer {
    async fn publishing(keys: &[&Signer]) -> Self {
        let set = Arc::new(Mutex::new(None));
        let told = Arc::clone(&set);
        let origin = Origin::start(move |_| {
            let set = told.lock().clone();
            async move {
                match set {
                    Some(set) => respond(200, &[("content-type", "application/json")], set),
                    None => hang_up(),
                }
            }
        })
        .await;
        let issuer = Self { origin, set };
        issuer.publish(keys);
        issuer
    }

    fn publish(&self, keys: &[&Signer]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        *self.set.lock() = Some(json!({ "keys": keys }).to_string());
    }

    /// From now on connections are closed without an answer.
    fn fail(&self) {
        *self.set.lock() = None;
    }
}

async fn start(issuer: &Issuer, auth: &str) -> (TestNode, ManualClock) {
    let (clock, hands) = Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
    (start_at(clock, issuer, auth).await, hands)
}

async fn start_at(clock: Clock, issuer: &Issuer, auth: &str) -> TestNode {
    let toml = format!(
        "{}{auth}[origin.issuer]\naddresses = [\"{}\"]\nretries = 0\n\
         [[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         static = {{ body = \"let in\" }}\nviewer_request = [\"auth\"]\n",
        runtime(),
        issuer.origin.address
    );
    Setup::new().at(clock).start(&toml).await
}

const KEYS: &str = "config = { audience = \"shop\", jwks-url = \"http://issuer/keys.json\" }\n\
                    grants = { fetch = [\"issuer\"], cache = true, secret = [] }";

/// The status of a request with this token.
async fn status(node: &TestNode, token: &str) -> u16 {
    let mut client = node.client().await;
    let fields = [("authorization", token)];
    client.get_with("/", &fields).await.status.as_u16()
}

#[tokio::test]
async fn keys_of_an_issuer_are_fetched_once_and_rotated() {
    let (old, new) = (Signer::rs256("2026-01"), Signer::es256("2026-02"));
    let issuer = Issuer::publishing(&[&old]).await;
    let (node, hands) = start(&issuer, &function("auth", "auth", KEYS)).await;
    let tokens = [old.token(), old.token(), old.token(), old.token()];
    let many = tokens.iter().map(|token| status(&node, token));
    let many = futures_util::future::join_all(many).await;
    assert_eq!(many, [200; 4]);
    assert_eq!(issuer.origin.count(), 1, "one call fetches for all");
    assert_eq!(issuer.origin.requests()[0].target, "/keys.json");

    issuer.publish(&[&old, &new]);
    assert_eq!(
        status(&node, &new.token()).await,
        401,
        "within the interval"
    );
    assert_eq!(issuer.origin.count(), 1);
    hands.advance(Duration::from_secs(31));
    let both = [new.token(), old.token(), new.token()];
    let many = both.iter().map(|token| status(&node, token));
    assert_eq!(futures_util::future::join_all(many).await, [200; 3]);
    assert_eq!(issuer.origin.count(), 2);

    // Names that are made up do not reach the issuer.
    let made_up = Signer::es256("made-up").token();
    for _ in 0..5 {
        assert_eq!(status(&node, &made_up).await, 401);
    }
    assert_eq!(issuer.origin.count(), 2);

    // What is no longer published is out when the set is no longer fresh.
    issuer.publish(&[&new]);
    hands.advance(Duration::from_secs(301));
    assert_eq!(status(&node, &old.token()).await, 401);
    assert_eq!(status(&node, &new.token()).await, 200);
    assert_eq!(issuer.origin.count(), 3);
}

#[tokio::test]
async fn issuer_that_is_down_closes_no_doors() {
    let key = Signer::rs256("k");
    let issuer = Issuer::publishing(&[&key]).await;
    let (node, hands) = start(&issuer, &function("auth", "auth", KEYS)).await;
    assert_eq!(status(&node, &key.token()).await, 200);
    issuer.fail();
    hands.advance(Duration::from_secs(301));
    for _ in 0..4 {
        assert_eq!(status(&node, &key.token()).await, 200);
    }
    assert_eq!(issuer.origin.count(), 2, "it is asked once in an interval");
    // A day later its keys are too old.
    hands.advance(Duration::from_secs(86_401));
    assert_eq!(status(&node, &key.token()).await, 500);
    issuer.publish(&[&key]);
    hands.advance(Duration::from_secs(31));
    assert_eq!(status(&node, &key.token()).await, 200);
}

#[tokio::test]
async fn issuer_that_never_answers_is_asked_once_in_an_interval() {
    let key = Signer::es256("k");
    let issuer = Origin::start(|_| async { std::future::pending().await }).await;
    let set = Arc::default();
    let issuer = Issuer {
        origin: issuer,
        set,
    };
    // The deadline ends the call before it has waited long enough.
    let keys = format!("cpu = \"10s\"\ndeadline = \"100ms\"\n{KEYS}");
    let auth = function_with_limits("auth", "auth", &keys);
    // By the system's clock, which ends it.
    let node = start_at(Clock::system(), &issuer, &auth).await;
    for _ in 0..5 {
        assert_eq!(status(&node, &key.token()).await, 500);
    }
    assert_eq!(issuer.origin.count(), 1);
}

/// The set before is used instead, long before the call's own deadline.
#[tokio::test]
async fn issuer_that_answers_byte_by_byte_is_given_up_in_time() {
    let key = Signer::es256("k");
    let jwks = json!({ "keys": [key.jwk()] }).to_string();
    let asked = Arc::new(AtomicUsize::new(0));
    let origin = Origin::start(move |_| {
        let jwks = jwks.clone();
        let is_first = asked.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if is_first {
                return respond(200, &[], jwks);
            }
            let (pieces, response) = respond_in_steps(200, &[]);
            tokio::spawn(async move {
                let mut beat = tokio::time::interval(Duration::from_millis(10));
                while pieces.send(Some(Bytes::from_static(b" "))).is_ok() {
                    beat.tick().await;
                }
            });
            response
        }
    })
    .await;
    let set = Arc::default();
    let issuer = Issuer { origin, set };
    let keys = "deadline = \"10s\"\ncpu = \"5s\"\ngrants = { fetch = [\"issuer\"], cache = true, secret = [] }\n\
                config = { audience = \"shop\", jwks-url = \"http://issuer/keys.json\", \
                jwks-ttl = \"1s\", jwks-interval = \"1s\", jwks-timeout = \"200ms\" }";
    let auth = function_with_limits("auth", "auth", keys);
    let node = start_at(Clock::system(), &issuer, &auth).await;
    let token = key.token_until(u64::try_from(seconds(600)).unwrap());
    assert_eq!(status(&node, &token).await, 200);
    eventually("the set is fetched again", async || {
        assert_eq!(status(&node, &token).await, 200);
        issuer.origin.count() > 1
    })
    .await;
    assert_eq!(status(&node, &token).await, 200);
}

/// Default limits: what a signature costs is far below the CPU budget.
#[tokio::test]
async fn signatures_are_checked_within_the_default_budget() {
    for key in [Signer::rs256("k"), Signer::es256("k")] {
        let issuer = Issuer::publishing(&[&key]).await;
        // The budget is of CPU time; how long a busy machine takes for it is another matter.
        let keys = format!("deadline = \"30s\"\n{KEYS}");
        let auth = function_with_limits("auth", "auth", &keys);
        // By the system's clock, which counts.
        let node = start_at(Clock::system(), &issuer, &auth).await;
        let token = key.token_until(u64::try_from(seconds(600)).unwrap());
        assert_eq!(status(&node, &token).await, 200);
        let mut client = node.client().await;
        let mut spent = Vec::new();
        for _ in 0..20 {
            let reply = client.get_with("/", &[("authorization", &token)]).await;
            assert_eq!(reply.status, 200);
            let receipt = node.receipt(&reply.field("x-request-id")).await;
            spent.push(receipt["functions"][0]["cpu_us"].as_f64().unwrap());
        }
        spent.sort_by(f64::total_cmp);
        println!(
            "{}: {} us of CPU at the median, {} at most",
            key.alg, spent[10], spent[19]
        );
        assert!(
            spent[0] > 0.0 && spent[10] < 10_000.0,
            "{}: {spent:?}",
            key.alg
        );
    }
}
