//! What stands between a guest and everything outside: it asks what is real and writes it down, or
//! it answers from a recording.

use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::reel::{Reel, Taking, length_of};
use super::script::{Found, InTurn, Script};
use super::taped::Taped;
use super::{RecordedCall, RecordedContent, Tapes};
use crate::call::Input;
use crate::capabilities::LogLevel;
use crate::function::Inner;
use crate::outcome::Trigger;

/// What a question takes beside its text.
const CALL_BYTES: u64 = 64;
/// Content of this number is the request's.
pub(crate) const REQUEST: usize = 0;
/// Content of this number is the response's that a trigger was given.
pub(crate) const RESPONSE: usize = 1;

/// A future that the guest waits for.
pub(super) type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a recorded, or a repeated, call has instead of what is real.
pub(crate) struct Tape {
    pub(crate) roll: Arc<Roll>,
    pub(crate) capabilities: Taped,
}

/// See the file's head.
pub(crate) enum Roll {
    Record(Box<Reel>),
    Play(Box<Script>),
}

/// What becomes of a question.
pub(super) enum Asked {
    /// What is real is to be asked, and its answer told under this number.
    Live(usize),
    /// The recording has the answer.
    Answered(Value, Option<InTurn>),
    /// The recorded call ended before there was one.
    Never,
    /// The recording has no such question.
    Unknown,
}

impl Tapes {
    /// The tape of a call that begins; takes over what it is given.
    pub(crate) fn begin(
        &self,
        trigger: Trigger,
        function: &Inner,
        input: &mut Input,
    ) -> Option<Arc<Tape>> {
        let roll = match self {
            Self::Off => return None,
            Self::Record(recorder) if recorder.begins(trigger) => {
                let reel = Reel {
                    taking: Mutex::new(Taking::new(recorder.bounds(), input)),
                    recorder: Arc::clone(recorder),
                };
                Arc::new(Roll::Record(Box::new(reel)))
            }
            Self::Record(_) => return None,
            Self::Play(roll) => Arc::clone(roll),
        };
        input.scope = Roll::scope(&roll, &input.scope);
        let capabilities = Taped::new(Arc::clone(&function.capabilities), &roll);
        Some(Arc::new(Tape { roll, capabilities }))
    }
}

impl Roll {
    /// Begins a question.
    pub(super) fn ask(&self, call: &'static str, ask: Value) -> Asked {
        match self {
            Self::Play(script) => match script.find(call, ask) {
                Found::Answer(answer, turn) => Asked::Answered(answer, turn),
                Found::Never => Asked::Never,
                Found::Nothing => Asked::Unknown,
            },
            Self::Record(reel) => {
                let mut taking = reel.taking.lock();
                let bytes = CALL_BYTES + call.len() as u64 + length_of(&ask);
                if !taking.room(reel.recorder.bounds(), bytes) {
                    return Asked::Live(usize::MAX);
                }
                taking.calls.push(RecordedCall {
                    call: call.to_owned(),
                    ask,
                    answer: None,
                    came: None,
                });
                Asked::Live(taking.calls.len() - 1)
            }
        }
    }

    /// Tells what was answered.
    pub(super) fn tell(&self, number: usize, answer: Value, was_waited_for: bool) {
        let Self::Record(reel) = self else { return };
        let mut taking = reel.taking.lock();
        if taking.calls.get(number).is_none()
            || !taking.room(reel.recorder.bounds(), length_of(&answer))
        {
            return;
        }
        let came = taking.answers;
        taking.answers = taking.answers.saturating_add(1);
        if let Some(call) = taking.calls.get_mut(number) {
            call.answer = Some(answer);
            call.came = was_waited_for.then_some(came);
        }
    }

    /// Asks, and has the answer at once. `live` asks what is real; where there is a recording, that
    /// is nothing.
    pub(crate) fn answer<T: Serialize + DeserializeOwned>(
        &self,
        call: &'static str,
        ask: Value,
        live: impl FnOnce() -> T,
    ) -> T {
        match self.ask(call, ask) {
            Asked::Live(number) => {
                let answer = live();
                self.tell_as(number, &answer, false);
                answer
            }
            Asked::Answered(answer, _) => self.read(call, answer).unwrap_or_else(live),
            Asked::Never | Asked::Unknown => live(),
        }
    }

    /// Asks, and waits for the answer.
    pub(super) fn answer_later<T: Serialize + DeserializeOwned + Send + 'static>(
        self: &Arc<Self>,
        call: &'static str,
        ask: Value,
        live: impl FnOnce() -> Later<T>,
    ) -> Later<T> {
        match self.ask(call, ask) {
            Asked::Live(number) => {
                let (answer, roll) = (live(), Arc::clone(self));
                Box::pin(async move {
                    let answer = answer.await;
                    roll.tell_as(number, &answer, true);
                    answer
                })
            }
            Asked::Answered(answer, turn) => match self.read(call, answer) {
                Some(answer) => Box::pin(async move {
                    if let Some(turn) = turn {
                        turn.await;
                    }
                    answer
                }),
                None => live(),
            },
            Asked::Never => Box::pin(std::future::pending()),
            Asked::Unknown => live(),
        }
    }

    fn tell_as<T: Serialize>(&self, number: usize, answer: &T, was_waited_for: bool) {
        let answer = serde_json::to_value(answer).unwrap_or_default();
        self.tell(number, answer, was_waited_for);
    }

    /// An answer of a recording; `None`, and a difference, when it is none to such a question.
    pub(super) fn read<T: DeserializeOwned>(&self, call: &str, answer: Value) -> Option<T> {
        let read = serde_json::from_value(answer);
        if let (Self::Play(script), Err(error)) = (self, &read) {
            script.note_damage(call, &error.to_string());
        }
        read.ok()
    }

    /// Keeps, or has, what randomness comes from.
    pub(super) fn seed(&self, drawn: [u8; 32]) -> [u8; 32] {
        match self {
            Self::Record(reel) => {
                reel.taking.lock().seed = Some(super::blob::hex(&drawn));
                drawn
            }
            Self::Play(script) => script.seed().unwrap_or(drawn),
        }
    }

    /// A further content, of which as much is recorded as is read.
    pub(super) fn add_content(&self, content: RecordedContent) -> usize {
        let Self::Record(reel) = self else {
            return usize::MAX;
        };
        let mut taking = reel.taking.lock();
        if !taking.room(reel.recorder.bounds(), CALL_BYTES) {
            return usize::MAX;
        }
        taking.contents.push(content);
        taking.contents.len() - 1
    }

    /// Changes what is recorded of a content, when there is room for `piece`.
    pub(super) fn note_content<P: Serialize>(
        &self,
        number: usize,
        piece: P,
        add: impl FnOnce(&mut RecordedContent, P),
    ) {
        let Self::Record(reel) = self else { return };
        let mut taking = reel.taking.lock();
        if taking.contents.get(number).is_some()
            && taking.room(reel.recorder.bounds(), 2 + length_of(&piece))
            && let Some(content) = taking.contents.get_mut(number)
        {
            add(content, piece);
        }
    }

    /// The guest wrote content.
    pub(crate) fn note_written(&self, piece: &[u8]) {
        match self {
            Self::Record(reel) => {
                let mut taking = reel.taking.lock();
                taking.written_bytes = taking.written_bytes.saturating_add(piece.len() as u64);
                // In the worst case as hexadecimal digits, or all of it control characters.
                let bytes = length_of(&super::Blob(piece.to_vec()));
                if taking.room(reel.recorder.bounds(), bytes) {
                    taking.written.extend_from_slice(piece);
                }
            }
            Self::Play(script) => script.note_written(piece),
        }
    }

    /// The message as the guest left it.
    pub(super) fn note_message(&self, message: Value) {
        match self {
            Self::Record(reel) => {
                let mut taking = reel.taking.lock();
                if taking.room(reel.recorder.bounds(), length_of(&message)) {
                    taking.message = message;
                }
            }
            Self::Play(script) => script.note_message(message),
        }
    }

    /// The guest was given a secret.
    pub(super) fn note_secret(&self, name: &str, secret: &Arc<[u8]>) {
        let Self::Record(reel) = self else { return };
        let mut taking = reel.taking.lock();
        if !taking.secrets.iter().any(|(known, _)| known == name) {
            taking.secrets.push((name.to_owned(), Arc::clone(secret)));
        }
    }

    /// The guest logged a line.
    pub(super) fn note_log(&self, level: LogLevel, message: &str) {
        if let Self::Play(script) = self {
            script.note_log(level, message);
        }
    }

    /// The lowest level that is logged.
    pub(super) fn threshold(&self, live: impl FnOnce() -> LogLevel) -> LogLevel {
        match self {
            Self::Record(_) => live(),
            Self::Play(script) => script.recording.log_level,
        }
    }

    /// The guest looked at fields of its message.
    pub(crate) fn note_read<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) {
        if let Self::Play(script) = self {
            script.note_read(names);
        }
    }

    /// The guest looked at all of them.
    pub(crate) fn note_read_all(&self) {
        if let Self::Play(script) = self {
            script.note_read_all();
        }
    }
}
