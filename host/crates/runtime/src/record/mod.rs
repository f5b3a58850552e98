//! Recordings of calls: what a function was given and told, so that the call can be made again
//! elsewhere, with the same outcome.
//!
//! Everything from outside enters a guest at one boundary: its message, its
//! [`Capabilities`](crate::Capabilities), its [`Scope`](crate::Scope), and the clocks and the
//! randomness of WASI. A `Roll` stands there. It asks what is real and writes the
//! answers down, or it has them from a recording and asks nobody.

mod blob;
mod body;
mod deck;
mod file;
mod input;
mod redact;
mod reel;
mod replay;
mod roll;
mod scope;
mod script;
mod taped;
mod words;
mod written;

use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderName;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use verge_base::Ledger;

pub use self::blob::Blob;
pub(crate) use self::blob::{bytes, float};
pub(crate) use self::deck::{Deck, Drawn};
pub use self::file::RecordingError;
pub use self::input::{RecordedInput, RecordedMessage};
pub use self::reel::Unsealed;
pub use self::replay::{ReplayError, Replayed};
pub(crate) use self::roll::{REQUEST, RESPONSE, Roll, Tape};
pub use self::script::Difference;
pub(crate) use self::written::note_step;
use crate::capabilities::LogLevel;
use crate::limits::Limits;
use crate::outcome::{Outcome, Trigger};

/// The version of what a recording's file has.
pub const RECORDING_FORMAT: u32 = 1;

/// What keeps the recordings of one function. Called on the request path: it answers at once.
pub trait Recorder: Send + Sync {
    /// Whether a call that begins now is recorded.
    fn begins(&self, trigger: Trigger) -> bool;

    /// What one recording, and all together, may come to.
    fn bounds(&self) -> &RecordBounds;

    /// A recorded call has ended; `failed` as its outcome says. What is not wanted is dropped.
    fn take(&self, outcome: Outcome, recording: Unsealed);
}

/// What recordings may come to.
#[derive(Clone, Debug)]
pub struct RecordBounds {
    /// Bytes of one recording's file.
    pub bytes: u64,
    /// Memory of all recordings that are not written yet.
    pub memory: Ledger,
    /// Fields whose values are left out.
    pub redacted: Vec<HeaderName>,
}

/// Whether calls of a function are recorded, or answered from a recording.
#[derive(Clone)]
pub(crate) enum Tapes {
    /// Neither: the usual case.
    Off,
    Record(Arc<dyn Recorder>),
    Play(Arc<Roll>),
}

impl Tapes {
    pub(crate) fn are_on(&self) -> bool {
        !matches!(self, Self::Off)
    }
}

/// One call, as it is on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// [`RECORDING_FORMAT`].
    pub verge_recording: u32,
    /// The version of Verge that wrote it.
    pub version: String,
    /// The function's name.
    pub function: String,
    /// The SHA-256 of its component, in hexadecimal.
    pub digest: String,
    /// Files in which its component was.
    pub component: Vec<PathBuf>,
    /// The trigger that it ran for.
    pub trigger: String,
    /// How the instance came to the call. What a reused one kept of calls before is not here.
    pub start: String,
    /// The id of the request.
    pub request: String,
    /// When the call ended, in milliseconds since 1970.
    pub ended_at_ms: u64,
    /// What it might use.
    pub limits: Limits,
    /// The lowest level that it might log.
    pub log_level: LogLevel,
    /// The key-value stores that it was granted.
    pub stores: Vec<String>,
    /// What it was given.
    pub input: RecordedInput,
    /// What its randomness came from, in hexadecimal, if it asked WASI for anything.
    pub seed: Option<String>,
    /// Content as far as it was read: the first two are the request's and the response's.
    pub contents: Vec<RecordedContent>,
    /// What it asked the host for, in order.
    pub calls: Vec<RecordedCall>,
    /// It came to more than a recording may: calls and content after some point are missing.
    pub is_cut: bool,
    /// Fields whose values are left out.
    pub redacted_fields: Vec<String>,
    /// What was left out: names of secrets and fields.
    pub redacted: Vec<String>,
    /// What became of it.
    pub outcome: RecordedOutcome,
}

/// Content that arrived.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedContent {
    /// Its length, if that was known before.
    pub length: Option<u64>,
    /// It was known to have none.
    pub is_empty: bool,
    /// As it came.
    pub pieces: Vec<Blob>,
    /// Fields behind it.
    pub trailers: Vec<(String, Blob)>,
    /// `complete`, the word of a failure, or none if it was not read to its end.
    pub end: Option<String>,
}

/// One question to the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedCall {
    /// Whom it is for, such as `kv.get`.
    pub call: String,
    /// What was asked.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub ask: Value,
    /// What was answered; none when the call ended before.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "present")]
    pub answer: Option<Value>,
    /// How many answers had come before this one, where it was waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came: Option<u32>,
}

/// What became of a call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedOutcome {
    /// Its word, see [`Outcome::label`].
    pub outcome: String,
    /// Why it failed, with the guest's backtrace.
    pub detail: Option<String>,
    /// The message as the function left it: a response, or the request that goes on.
    pub message: Value,
    /// Content that it wrote, as far as it is recorded.
    pub content: Blob,
    /// Bytes of content that it wrote.
    pub content_bytes: u64,
    /// CPU time in microseconds.
    pub cpu_us: u64,
    /// Time in microseconds.
    pub wall_us: u64,
    /// Calls into the host.
    pub hostcalls: u32,
    /// The most bytes of linear memory it had.
    pub memory_peak: u64,
}

/// An answer of `null` is an answer.
mod present {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    pub(super) fn serialize<S: Serializer>(
        answer: &Option<Value>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        answer.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Value>, D::Error> {
        Value::deserialize(deserializer).map(Some)
    }
}
