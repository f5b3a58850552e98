//! A recorded call once more: the same guest, the same input, and the recording's answers instead of
//! everything outside.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use verge_http::Body;

use super::body::TapedBody;
use super::roll::{REQUEST, RESPONSE, Roll};
use super::script::{Difference, Script};
use super::{Blob, Recording, RecordingError, Tapes, words};
use crate::capabilities::{CallId, Capabilities, LogLevel};
use crate::engine::{Compiled, Engine};
use crate::function::{Function, FunctionSettings, LoadError};
use crate::grants::Grants;
use crate::message::{Call, NoScope, Verdict};
use crate::outcome::{CallEnd, CallFailure, CallReceipt, Outcome, PendingEnd, Trigger};
use crate::quarantine::QuarantineSettings;
use crate::stock::Isolation;

/// How often it is looked whether a guest has ended that goes on after its response, and for how
/// long beyond its deadline.
const LOOK_EVERY: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a recording could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file is not right.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The component cannot be loaded as it was.
    #[error("{0}")]
    Load(#[from] LoadError),
    /// The guest did not end.
    #[error("the guest did not end")]
    Endless,
}

/// What a call came to when it was made again.
#[derive(Debug)]
pub struct Replayed {
    /// What it cost, and how it ended.
    pub receipt: CallReceipt,
    /// Why it failed, if it did.
    pub failure: Option<CallFailure>,
    /// What the guest logged.
    pub log: Vec<(LogLevel, String)>,
    /// The message as it left it.
    pub message: Value,
    /// Content that it wrote.
    pub content: Blob,
    /// Bytes of content that it wrote.
    pub content_bytes: u64,
    /// Where it asked otherwise than it was recorded.
    pub differences: Vec<Difference>,
    /// Further differences.
    pub more_differences: usize,
    /// What was left out of the recording and the guest looked at: secrets and fields.
    pub redacted: Vec<String>,
    /// It went on where a recording that was cut off ends.
    pub is_past_cut: bool,
}

impl Engine {
    /// Makes a recorded call again, with `compiled` as its component. Nothing but the recording
    /// is asked, and nothing is changed. Its limits are those of the recording.
    ///
    /// # Errors
    /// It cannot be made.
    pub async fn replay(
        &self,
        compiled: &Compiled,
        recording: Recording,
    ) -> Result<Replayed, ReplayError> {
        let damaged = |what: String| ReplayError::Recording(RecordingError::Damaged(what));
        let trigger = words::trigger(&recording.trigger)
            .ok_or_else(|| damaged(format!("`{}` is no trigger", recording.trigger)))?;
        let limits = recording.limits;
        let settings = FunctionSettings {
            name: recording.function.as_str().into(),
            limits,
            grants: Grants::ALL,
            capabilities: Arc::new(Nobody),
            quarantine: QuarantineSettings {
                failures: 0,
                ..QuarantineSettings::default()
            },
            isolation: Isolation::Fresh,
        };
        let roll = Arc::new(Roll::Play(Box::new(Script::new(recording))));
        let function = self.load_taped(compiled, settings, Tapes::Play(Arc::clone(&roll)))?;
        let (receipt, failure) = call(&function, trigger, &roll).await.map_err(damaged)?;
        let patience = limits.deadline.saturating_add(PATIENCE);
        let (receipt, failure) = match failure {
            Ended::Now(failure) => (receipt, failure),
            Ended::Later(pending) => {
                let end = end_of(&pending, patience)
                    .await
                    .ok_or(ReplayError::Endless)?;
                (end.receipt, end.failure)
            }
        };
        let Roll::Play(script) = &*roll else {
            return Err(ReplayError::Endless);
        };
        let played = script.played();
        Ok(Replayed {
            receipt,
            failure,
            log: played.log,
            message: played.message,
            content: Blob(played.written),
            content_bytes: played.written_bytes,
            differences: played.differences,
            more_differences: played.more,
            redacted: played.read,
            is_past_cut: played.is_past_cut,
        })
    }
}

impl Replayed {
    /// What is not as in the recording; nothing when the outcome is the same. A failure is the same
    /// when it is of the same kind and, where the guest says why, for the same reason: where exactly
    /// a limit ends a guest depends on the machine.
    #[must_use]
    pub fn differs_from(&self, recording: &Recording) -> Option<String> {
        let (then, now) = (&recording.outcome, self.receipt.outcome.label());
        if then.outcome != now {
            return Some(format!("recorded {}, now {now}", then.outcome));
        }
        match self.receipt.outcome {
            Outcome::Trapped | Outcome::Refused => {
                let detail = self.failure.as_ref().map(|failure| failure.detail.as_str());
                let (then, now) = (reason(then.detail.as_deref()), reason(detail));
                (then != now).then(|| format!("recorded \"{then}\", now \"{now}\""))
            }
            Outcome::Responded | Outcome::Continued => {
                if then.message != self.message {
                    let (then, now) = (&then.message, &self.message);
                    return Some(format!("recorded {then}, now {now}"));
                }
                let is_whole = then.content.0.len() as u64 == then.content_bytes;
                let is_same = match is_whole {
                    true => then.content == self.content,
                    false => then.content_bytes == self.content_bytes,
                };
                let (then, now) = (then.content_bytes, self.content_bytes);
                (!is_same).then(|| {
                    format!("the content is another one: recorded {then} bytes, now {now}")
                })
            }
            _ => None,
        }
    }
}

/// What a failure says, without the places of its backtrace: they differ between builds.
fn reason(detail: Option<&str>) -> String {
    let lines = detail.unwrap_or_default().lines().map(str::trim);
    let frame = |line: &&str| {
        let number = line.split(':').next().unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let told = lines.filter(|line| {
        !line.is_empty()
            && !line.starts_with("at ")
            && !line.starts_with("0x")
            && (!frame(line) || !line.contains("0x"))
            && !line.starts_with("error while executing at wasm backtrace")
            && *line != "Caused by:"
    });
    told.collect::<Vec<_>>().join("; ")
}

/// When it is known how a call ended.
enum Ended {
    Now(Option<CallFailure>),
    /// The guest went on after its response had begun.
    Later(PendingEnd),
}

impl Ended {
    fn of(pending: Option<PendingEnd>, failure: Option<CallFailure>) -> Self {
        match pending {
            Some(pending) => Self::Later(pending),
            None => Self::Now(failure),
        }
    }
}

/// Makes the call, and reads what it writes.
async fn call(
    function: &Function,
    trigger: Trigger,
    roll: &Arc<Roll>,
) -> Result<(CallReceipt, Ended), String> {
    let Roll::Play(script) = &**roll else {
        return Err("it is not played".to_owned());
    };
    let input = &script.recording.input;
    let id = script.recording.request.as_str();
    let call = Call {
        scope: Arc::new(NoScope),
    };
    let content = |number| TapedBody::played(roll, number);
    let request = || {
        let request = input.request.as_ref();
        request.ok_or_else(|| "`input.request` is not there".to_owned())
    };
    Ok(match trigger {
        Trigger::ViewerRequest | Trigger::OriginRequest => {
            let request = request()?.edge_request(id, content(REQUEST))?;
            let done = match trigger {
                Trigger::ViewerRequest => function.viewer_request(call, request).await,
                _ => function.origin_request(call, request).await,
            };
            let failure = match done.verdict {
                Ok(Verdict::Respond(response)) => {
                    read(response.into_body()).await;
                    None
                }
                Ok(Verdict::Continue) => None,
                Err(failure) => Some(failure),
            };
            (done.receipt, Ended::of(done.pending, failure))
        }
        Trigger::OriginResponse | Trigger::ViewerResponse => {
            let request = request()?.edge_request(id, Body::Empty)?;
            let response = input.response.as_ref();
            let response = response.ok_or_else(|| "`input.response` is not there".to_owned())?;
            let response = response.given_response(content(RESPONSE))?;
            let done = match trigger {
                Trigger::OriginResponse => function.origin_response(call, request, response).await,
                _ => function.viewer_response(call, request, response).await,
            };
            if done.pending.is_some() {
                read(done.response.into_body()).await;
            }
            (done.receipt, Ended::of(done.pending, done.result.err()))
        }
        Trigger::Handler => {
            // It has all of its request at once.
            roll.note_read_all();
            let request = request()?.handled_request(content(REQUEST))?;
            let done = function.handle(call, request, id.into()).await;
            let failure = match done.response {
                Ok(response) => {
                    read(response.into_body()).await;
                    None
                }
                Err(failure) => Some(failure),
            };
            (done.receipt, Ended::of(done.pending, failure))
        }
        Trigger::Deferred => {
            let payload = input.payload.0.clone();
            let done = function.deferred(call, id.into(), payload).await;
            (done.receipt, Ended::Now(done.result.err()))
        }
        Trigger::ViewerMiddleware | Trigger::OriginMiddleware => {
            return Err("calls of middleware are not recorded".to_owned());
        }
    })
}

/// Reads content to its end, which drives the guest that writes it.
async fn read(mut body: Body) {
    loop {
        let frame = std::future::poll_fn(|context| {
            http_body::Body::poll_frame(Pin::new(&mut body), context)
        });
        match frame.await {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return,
        }
    }
}

async fn end_of(pending: &PendingEnd, patience: Duration) -> Option<CallEnd> {
    let looking = async {
        loop {
            if let Some(end) = pending.get() {
                return end;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(patience, looking).await.ok()
}

/// Nothing is behind a recording.
struct Nobody;

impl Capabilities for Nobody {
    fn config(&self, _name: &str) -> Option<String> {
        None
    }

    fn secret(&self, _name: &str) -> Option<Arc<[u8]>> {
        None
    }

    fn log(&self, _call: &CallId, _level: LogLevel, _message: &str) {}

    fn call_ended(&self, _call: &CallId, _end: &CallEnd) {}
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn a_reason_has_no_places() {
        let one = "error while executing at wasm backtrace:\n    0:   0x29f7 - f.wasm!a\n\nCaused by:\n    wasm trap: wasm `unreachable` instruction executed";
        let other = one.replace("0x29f7", "0x3000").replace("!a", "!b");
        assert_eq!(reason(Some(one)), reason(Some(&other)));
        assert!(reason(Some(one)).contains("unreachable"));
        assert_ne!(reason(Some("no such user")), reason(Some("no such key")));
        assert_eq!(reason(None), "");
    }
}
