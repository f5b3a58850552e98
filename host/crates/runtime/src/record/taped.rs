//! Capabilities behind a roll.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::blob::Blob;
use super::redact::secret_mark;
use super::roll::{Asked, Roll};
use crate::capabilities::{
    AclEntry, CallId, Capabilities, ConfigValue, FetchOutcome, GeoPlace, KvError, KvFuture, KvOp,
    KvStore, KvStores, LogField, LogLevel, LogValue, MetricUpdate, RateAnswer, RateDecision,
    RatePolicy, Rates, UnknownAcl,
};
use crate::outcome::CallEnd;

/// Stores that a guest can have open of a recording.
const STORES_MAX: usize = 256;

/// See the file's head.
pub(crate) struct Taped {
    inner: Arc<dyn Capabilities>,
    roll: Arc<Roll>,
    kv: Option<KvStores>,
}

impl Taped {
    pub(super) fn new(inner: Arc<dyn Capabilities>, roll: &Arc<Roll>) -> Self {
        let taped = |name: &Arc<str>, inner: Option<Arc<dyn KvStore>>| {
            let store = TapedStore {
                name: Arc::clone(name),
                inner,
                roll: Arc::clone(roll),
            };
            (Arc::clone(name), Arc::new(store) as Arc<dyn KvStore>)
        };
        let kv = match &**roll {
            Roll::Record(_) => inner.kv().map(|stores| {
                KvStores::new(stores.iter().map(|(name, store)| {
                    let store = Arc::clone(store);
                    taped(name, Some(store))
                }))
            }),
            Roll::Play(script) => {
                let names = script.stores().into_iter().take(STORES_MAX);
                Some(KvStores::new(
                    names.map(|name| taped(&name.as_str().into(), None)),
                ))
            }
        };
        Self {
            inner,
            roll: Arc::clone(roll),
            kv,
        }
    }

    fn rate<T: serde::Serialize + serde::de::DeserializeOwned + Send + 'static>(
        &self,
        call: &'static str,
        ask: Value,
        live: impl FnOnce(&dyn Rates) -> RateAnswer<T>,
        without: T,
    ) -> RateAnswer<T> {
        let inner = Arc::clone(&self.inner);
        let answer = self
            .roll
            .answer_later(call, ask, move || match inner.rates().map(live) {
                Some(RateAnswer::Now(answer)) => Box::pin(std::future::ready(answer)),
                Some(RateAnswer::Later(answer)) => answer,
                None => Box::pin(std::future::ready(without)),
            });
        RateAnswer::Later(answer)
    }
}

impl Capabilities for Taped {
    fn config(&self, name: &str) -> Option<String> {
        let ask = json!({ "name": name });
        self.roll
            .answer("config.get", ask, || self.inner.config(name))
    }

    fn config_value(&self, name: &str) -> Option<ConfigValue> {
        let ask = json!({ "name": name });
        self.roll
            .answer("config.get-value", ask, || self.inner.config_value(name))
    }

    fn config_all(&self) -> Vec<(String, String)> {
        self.roll
            .answer("config.get-all", Value::Null, || self.inner.config_all())
    }

    fn secret(&self, name: &str) -> Option<Arc<[u8]>> {
        match self.roll.ask("secret.get", json!({ "name": name })) {
            Asked::Live(number) => {
                let secret = self.inner.secret(name);
                let answer = match &secret {
                    Some(_) => json!({ "redacted": format!("secret {name}") }),
                    None => Value::Null,
                };
                self.roll.tell(number, answer, false);
                if let Some(secret) = &secret {
                    self.roll.note_secret(name, secret);
                }
                secret
            }
            Asked::Answered(Value::Null, _) | Asked::Never | Asked::Unknown => None,
            Asked::Answered(..) => Some(secret_mark(name).into_bytes().into()),
        }
    }

    fn rates(&self) -> Option<&dyn Rates> {
        match (&*self.roll, self.inner.rates()) {
            (Roll::Record(_), None) => None,
            _ => Some(self),
        }
    }

    fn kv(&self) -> Option<&KvStores> {
        self.kv.as_ref()
    }

    fn log(&self, call: &CallId, level: LogLevel, message: &str) {
        let ask = json!({ "level": level, "message": message });
        self.roll
            .answer("log", ask, || self.inner.log(call, level, message));
        self.roll.note_log(level, message);
    }

    fn log_with(&self, call: &CallId, level: LogLevel, message: &str, fields: &[LogField]) {
        let said: Vec<(&str, Blob)> = fields
            .iter()
            .map(|field| {
                let value = match &field.value {
                    LogValue::Text(text) => text.clone(),
                    LogValue::Integer(number) => number.to_string(),
                    LogValue::Unsigned(number) => number.to_string(),
                    LogValue::Float(number) => format!("{number:?}"),
                    LogValue::Boolean(is) => is.to_string(),
                };
                (field.name.as_str(), Blob(value.into_bytes()))
            })
            .collect();
        let ask = json!({ "level": level, "message": message, "fields": said });
        self.roll.answer("log", ask, || {
            self.inner.log_with(call, level, message, fields);
        });
        self.roll.note_log(level, message);
    }

    fn log_threshold(&self) -> LogLevel {
        // Asked for each line: only the first answer is of interest.
        self.roll.threshold(|| self.inner.log_threshold())
    }

    fn acl(&self, name: &str, address: IpAddr) -> Result<Option<AclEntry>, UnknownAcl> {
        let ask = json!({ "name": name, "address": address });
        self.roll
            .answer("acl.lookup", ask, || self.inner.acl(name, address))
    }

    fn geo(&self, address: IpAddr) -> Option<GeoPlace> {
        let ask = json!({ "address": address });
        self.roll
            .answer("geo.lookup", ask, || self.inner.geo(address))
    }

    fn count(&self, name: &str, labels: &[(String, String)], update: MetricUpdate) {
        let amount = match update {
            MetricUpdate::Count(amount) => format!("count {amount}"),
            MetricUpdate::Observe(value) => format!("observe {value:?}"),
        };
        let ask = json!({ "name": name, "labels": labels, "update": amount });
        self.roll
            .answer("metrics", ask, || self.inner.count(name, labels, update));
    }

    fn call_ended(&self, call: &CallId, end: &CallEnd) {
        self.inner.call_ended(call, end);
    }

    fn fetched(&self, call: &CallId, outcome: FetchOutcome) {
        self.inner.fetched(call, outcome);
    }
}

impl Rates for Taped {
    fn check(&self, key: &str, policy: RatePolicy, cost: u32) -> RateAnswer<RateDecision> {
        let ask = json!({ "key": key, "policy": policy, "cost": cost });
        let refused = RateDecision {
            allowed: false,
            remaining: 0,
            reset_after: Duration::ZERO,
            retry_after: Duration::ZERO,
        };
        let key = key.to_owned();
        let live = move |rates: &dyn Rates| rates.check(&key, policy, cost);
        self.rate("rate-limit.check", ask, live, refused)
    }

    fn count(&self, key: &str, window: Duration, amount: u32) -> RateAnswer<u64> {
        let ask = json!({ "key": key, "window": window, "amount": amount });
        let key = key.to_owned();
        let live = move |rates: &dyn Rates| rates.count(&key, window, amount);
        self.rate("rate-limit.count", ask, live, 0)
    }

    fn penalize(&self, key: &str, duration: Duration) -> RateAnswer<()> {
        let ask = json!({ "key": key, "duration": duration });
        let key = key.to_owned();
        let live = move |rates: &dyn Rates| rates.penalize(&key, duration);
        self.rate("rate-limit.penalize", ask, live, ())
    }

    fn penalty(&self, key: &str) -> RateAnswer<Option<Duration>> {
        let ask = json!({ "key": key });
        let key = key.to_owned();
        let live = move |rates: &dyn Rates| rates.penalty(&key);
        self.rate("rate-limit.penalty", ask, live, None)
    }
}

/// A store behind a roll.
struct TapedStore {
    name: Arc<str>,
    inner: Option<Arc<dyn KvStore>>,
    roll: Arc<Roll>,
}

impl KvStore for TapedStore {
    fn run(&self, op: KvOp) -> KvFuture {
        let call = match op {
            KvOp::Get { .. } => "kv.get",
            KvOp::Exists { .. } => "kv.exists",
            KvOp::Set { .. } => "kv.set",
            KvOp::Delete { .. } => "kv.delete",
            KvOp::Increment { .. } => "kv.increment",
            KvOp::Swap { .. } => "kv.swap",
            KvOp::List { .. } => "kv.list",
        };
        let ask = json!({ "store": self.name, "op": op });
        let inner = self.inner.clone();
        self.roll.answer_later(call, ask, move || match inner {
            Some(inner) => inner.run(op),
            None => Box::pin(std::future::ready(Err(KvError::Unavailable))),
        })
    }
}
