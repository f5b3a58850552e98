//! A recording as it is played: which answer belongs to which question, and where the guest asks
//! otherwise than it did.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use parking_lot::Mutex;
use serde_json::Value;
use verge_http::Failure;

use super::redact::Redactor;
use super::{RecordedContent, Recording, words};
use crate::capabilities::LogLevel;

/// Turns that an answer waits for those that came before it: a guest may have given one up.
const TURNS_MAX: u32 = 1000;
/// Differences that are kept; the rest is counted.
const DIFFERENCES_MAX: usize = 50;
/// Content that is kept of what the guest wrote.
const WRITTEN_MAX: usize = 64 << 20;

/// Where a guest did otherwise than it was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The place of the recorded question, from 1 on.
    pub place: Option<usize>,
    /// What was recorded there; `None` if there was no such question.
    pub expected: Option<String>,
    /// What was done now; `None` if nothing was asked.
    pub got: Option<String>,
}

/// See the file's head.
pub(crate) struct Script {
    pub(super) recording: Recording,
    playing: Mutex<Playing>,
}

#[derive(Default)]
struct Playing {
    /// Which questions were asked.
    used: Vec<bool>,
    /// All before it were.
    cursor: usize,
    /// Ranks of answers that are waited for.
    waiting: Arc<Mutex<BTreeSet<u32>>>,
    /// The last time that was told, by clock.
    times: HashMap<&'static str, Value>,
    differences: Vec<Difference>,
    more: usize,
    message: Value,
    log: Vec<(LogLevel, String)>,
    written: Vec<u8>,
    written_bytes: u64,
    /// What was left out of the recording and the guest has looked at.
    read: BTreeSet<String>,
    is_past_cut: bool,
}

/// What the guest did, for whoever compares it.
pub(super) struct Played {
    pub(super) differences: Vec<Difference>,
    pub(super) more: usize,
    pub(super) message: Value,
    pub(super) log: Vec<(LogLevel, String)>,
    pub(super) written: Vec<u8>,
    pub(super) written_bytes: u64,
    pub(super) read: Vec<String>,
    pub(super) is_past_cut: bool,
}

pub(super) enum Found {
    Answer(Value, Option<InTurn>),
    Never,
    Nothing,
}

impl Script {
    pub(super) fn new(recording: Recording) -> Self {
        let playing = Playing {
            used: vec![false; recording.calls.len()],
            ..Playing::default()
        };
        Self {
            recording,
            playing: Mutex::new(playing),
        }
    }

    /// The answer to a question.
    pub(super) fn find(&self, call: &'static str, mut ask: Value) -> Found {
        let mut redactor = Redactor::new(self.recording.redacted_fields.clone());
        redactor.value(&mut ask);
        let mut playing = self.playing.lock();
        let calls = &self.recording.calls;
        let open = || {
            let all = calls.iter().enumerate().skip(playing.cursor);
            all.filter(|(place, known)| {
                known.call == call && playing.used.get(*place) == Some(&false)
            })
        };
        let same = open().find(|(_, known)| known.ask == ask);
        let place = match same {
            Some((place, _)) => place,
            None => {
                let other = open().next().map(|(place, _)| place);
                if self.recording.is_cut && other.is_none() {
                    playing.is_past_cut = true;
                }
                if let Some(time) = playing.times.get(call).cloned() {
                    // Time goes on from where the recording ends.
                    playing.differ(None, None, Some(shown(call, &ask)));
                    return Found::Answer(time, None);
                }
                let expected = other.and_then(|place| calls.get(place));
                let expected = expected.map(|known| shown(&known.call, &known.ask));
                playing.differ(other, expected, Some(shown(call, &ask)));
                if let Some(place) = other {
                    playing.use_up(place);
                }
                return Found::Nothing;
            }
        };
        playing.use_up(place);
        let Some(known) = calls.get(place) else {
            return Found::Nothing;
        };
        if self.recording.is_cut && known.answer.is_none() {
            playing.is_past_cut = true;
        }
        let Some(answer) = known.answer.clone() else {
            return Found::Never;
        };
        if let Some(left_out) = answer.get("redacted").and_then(Value::as_str) {
            playing.read.insert(left_out.to_owned());
        }
        if call.starts_with("clock.") {
            playing.times.insert(call, answer.clone());
        }
        let turn = known.came.map(|came| {
            playing.waiting.lock().insert(came);
            InTurn {
                came,
                waiting: Arc::clone(&playing.waiting),
                turns: 0,
            }
        });
        Found::Answer(answer, turn)
    }

    pub(super) fn seed(&self) -> Option<[u8; 32]> {
        let seed = super::blob::unhex(self.recording.seed.as_deref()?)?;
        seed.try_into().ok()
    }

    pub(super) fn content(&self, number: usize) -> Option<&RecordedContent> {
        self.recording.contents.get(number)
    }

    /// What a content has at a place.
    pub(super) fn frame(
        &self,
        number: usize,
        place: usize,
    ) -> Option<Result<Frame<Bytes>, Failure>> {
        let content = self.content(number)?;
        if let Some(piece) = content.pieces.get(place) {
            return Some(Ok(Frame::data(Bytes::copy_from_slice(&piece.0))));
        }
        let is_behind = place > content.pieces.len();
        match content.end.as_deref() {
            _ if is_behind => None,
            Some("complete") if content.trailers.is_empty() => None,
            Some("complete") => {
                let trailers = content.trailers.iter();
                let trailers: HeaderMap = trailers.filter_map(super::input::field).collect();
                Some(Ok(Frame::trailers(trailers)))
            }
            Some(word) => Some(Err(words::failure(word))),
            None => {
                let mut playing = self.playing.lock();
                playing.is_past_cut |= self.recording.is_cut;
                let got = "read more of a content than was read".to_owned();
                playing.differ(None, None, Some(got));
                Some(Err(words::INTERNAL))
            }
        }
    }

    pub(super) fn note_damage(&self, call: &str, why: &str) {
        let told = format!("its answer cannot be read: {why}");
        let mut playing = self.playing.lock();
        playing.differ(None, Some(format!("{call}: {told}")), None);
    }

    pub(super) fn note_written(&self, piece: &[u8]) {
        let mut playing = self.playing.lock();
        playing.written_bytes = playing.written_bytes.saturating_add(piece.len() as u64);
        if playing.written.len() + piece.len() <= WRITTEN_MAX {
            playing.written.extend_from_slice(piece);
        }
    }

    /// What may be logged is bounded by the call's limit.
    pub(super) fn note_log(&self, level: LogLevel, message: &str) {
        let line = (level, message.to_owned());
        self.playing.lock().log.push(line);
    }

    pub(super) fn stores(&self) -> Vec<String> {
        self.recording.stores.clone()
    }

    pub(super) fn note_message(&self, message: Value) {
        self.playing.lock().message = message;
    }

    pub(super) fn note_read<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) {
        let left_out = &self.recording.redacted;
        let mut playing = self.playing.lock();
        for name in names {
            let name = format!("field {}", name.as_ref().to_ascii_lowercase());
            if left_out.contains(&name) {
                playing.read.insert(name);
            }
        }
    }

    pub(super) fn note_read_all(&self) {
        let left_out = self.recording.redacted.iter();
        let fields = left_out.filter(|name| name.starts_with("field "));
        self.playing.lock().read.extend(fields.cloned());
    }

    /// What was done, once the guest has ended; what it did not ask any more is a difference, too.
    pub(super) fn played(&self) -> Played {
        let mut playing = self.playing.lock();
        let mut redactor = Redactor::new(self.recording.redacted_fields.clone());
        let mut message = playing.message.clone();
        redactor.value(&mut message);
        for (place, known) in self.recording.calls.iter().enumerate() {
            if playing.used.get(place) == Some(&false) {
                let expected = shown(&known.call, &known.ask);
                playing.differ(Some(place), Some(expected), None);
            }
        }
        Played {
            differences: std::mem::take(&mut playing.differences),
            more: playing.more,
            message,
            log: std::mem::take(&mut playing.log),
            written: std::mem::take(&mut playing.written),
            written_bytes: playing.written_bytes,
            read: playing.read.iter().cloned().collect(),
            is_past_cut: playing.is_past_cut,
        }
    }
}

impl Playing {
    fn use_up(&mut self, place: usize) {
        if let Some(used) = self.used.get_mut(place) {
            *used = true;
        }
        while self.used.get(self.cursor) == Some(&true) {
            self.cursor += 1;
        }
    }

    fn differ(&mut self, place: Option<usize>, expected: Option<String>, got: Option<String>) {
        if self.differences.len() >= DIFFERENCES_MAX {
            self.more += 1;
            return;
        }
        self.differences.push(Difference {
            place: place.map(|place| place + 1),
            expected,
            got,
        });
    }
}

/// A question in a line.
fn shown(call: &str, ask: &Value) -> String {
    match ask {
        Value::Null => call.to_owned(),
        ask => format!("{call} {ask}"),
    }
}

/// Ready when the answers that came before have been taken: a guest may wait for several at once.
pub(super) struct InTurn {
    came: u32,
    waiting: Arc<Mutex<BTreeSet<u32>>>,
    turns: u32,
}

impl Future for InTurn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.turns += 1;
        let first = self.waiting.lock().first().copied();
        if first.is_none_or(|first| first >= self.came) || self.turns > TURNS_MAX {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for InTurn {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.came);
    }
}
