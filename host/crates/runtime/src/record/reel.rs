//! A recording in the making, and when its call has ended.

use std::sync::Arc;

use http_body::Body as _;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use verge_base::{Clock, Reservation};
use verge_http::Body;

use super::redact::Redactor;
use super::roll::{Roll, Tape};
use super::{
    RECORDING_FORMAT, RecordBounds, RecordedCall, RecordedContent, RecordedInput, RecordedOutcome,
    Recorder, Recording,
};
use crate::call::Input;
use crate::capabilities::{KvStores, LogLevel};
use crate::function::Inner;
use crate::outcome::{CallFailure, CallReceipt};

/// Bytes of a recording's file that are kept for what is known only at the end: the outcome, with
/// its backtrace, and names.
const END_BYTES: u64 = 12 << 10;

/// A recording in the making.
pub(crate) struct Reel {
    pub(super) recorder: Arc<dyn Recorder>,
    pub(super) taking: Mutex<Taking>,
}

pub(super) struct Taking {
    pub(super) input: Option<RecordedInput>,
    /// Secrets that the guest was given.
    pub(super) secrets: Vec<(String, Arc<[u8]>)>,
    pub(super) seed: Option<String>,
    pub(super) calls: Vec<RecordedCall>,
    pub(super) contents: Vec<RecordedContent>,
    pub(super) message: Value,
    pub(super) written: Vec<u8>,
    pub(super) written_bytes: u64,
    pub(super) answers: u32,
    pub(super) is_cut: bool,
    /// Bytes that the file has so far, and memory for them.
    pub(super) bytes: u64,
    pub(super) held: Option<Reservation>,
}

/// A finished recording, with everything that must not be on disk still in it.
pub struct Unsealed {
    recording: Recording,
    redactor: Redactor,
    /// Its memory, until it is dropped.
    _held: Option<Reservation>,
}

impl Tape {
    /// The call has ended: what was recorded of it goes to whoever wants it.
    pub(crate) fn end(
        &self,
        function: &Inner,
        receipt: &CallReceipt,
        request: &str,
        failure: Option<&CallFailure>,
    ) {
        let Roll::Record(reel) = &*self.roll else {
            return;
        };
        let mut taking = reel.taking.lock();
        let Some((taken, held)) = taking.take_out() else {
            return;
        };
        let given = std::mem::take(&mut taking.secrets);
        drop(taking);
        let capabilities = &function.capabilities;
        let mut redactor = Redactor::new(reel.fields());
        // Those that this call was not given may have stayed in the guest's memory.
        for (name, secret) in capabilities.secrets().into_iter().chain(given) {
            redactor.add_secret(&name, secret);
        }
        let stores = capabilities.kv().into_iter().flat_map(KvStores::iter);
        let stores = stores.map(|(name, _)| name.to_string()).collect();
        let clock = &function.engine.clock;
        let outcome = RecordedOutcome {
            outcome: receipt.outcome.label().to_owned(),
            detail: failure.map(|failure| failure.detail.clone()),
            cpu_us: micros(receipt.cpu),
            wall_us: micros(receipt.wall),
            hostcalls: receipt.hostcalls,
            memory_peak: receipt.memory_peak,
            ..taken.outcome
        };
        let recording = Recording {
            verge_recording: RECORDING_FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            function: function.name.to_string(),
            digest: function.digest.to_string(),
            trigger: receipt.trigger.label().to_owned(),
            start: receipt.start.label().to_owned(),
            request: request.to_owned(),
            ended_at_ms: now_ms(clock),
            limits: function.limits,
            log_level: capabilities.log_threshold(),
            stores,
            redacted_fields: redactor.fields().to_vec(),
            outcome,
            ..taken
        };
        let unsealed = Unsealed {
            recording,
            redactor,
            _held: held,
        };
        reel.recorder.take(receipt.outcome, unsealed);
    }
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn now_ms(clock: &Clock) -> u64 {
    let since = clock.wall().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

impl Unsealed {
    /// How the call ended.
    #[must_use]
    pub fn outcome(&self) -> &str {
        &self.recording.outcome.outcome
    }

    /// The recording with what must not be on disk left out. Takes milliseconds: it is for a thread
    /// that no request waits for.
    #[must_use]
    pub fn seal(self) -> Recording {
        let Self {
            mut recording,
            mut redactor,
            ..
        } = self;
        recording.redact(&mut redactor);
        recording
    }
}

impl Reel {
    fn fields(&self) -> Vec<String> {
        let fields = self.recorder.bounds().redacted.iter();
        fields.map(|name| name.as_str().to_owned()).collect()
    }
}

impl Taking {
    pub(super) fn new(bounds: &RecordBounds, input: &Input) -> Self {
        let recorded = RecordedInput::of(input);
        let content = |body: Option<&Body>| {
            let body = body.filter(|body| !body.is_end_stream());
            RecordedContent {
                length: body.and_then(Body::exact_len),
                is_empty: body.is_none(),
                ..RecordedContent::default()
            }
        };
        let (request, response) = input.bodies();
        let mut taking = Self {
            input: None,
            secrets: Vec::new(),
            seed: None,
            calls: Vec::new(),
            contents: vec![content(request), content(response)],
            message: Value::Null,
            written: Vec::new(),
            written_bytes: 0,
            answers: 0,
            is_cut: false,
            bytes: 0,
            held: bounds.memory.try_reserve(0),
        };
        taking.is_cut = !taking.room(bounds, END_BYTES + length_of(&recorded));
        taking.input = Some(recorded);
        taking
    }

    /// Takes room for so many bytes; without it, nothing more is taken.
    pub(super) fn room(&mut self, bounds: &RecordBounds, bytes: u64) -> bool {
        let total = self.bytes.saturating_add(bytes);
        let fits = !self.is_cut
            && total <= bounds.bytes
            && self.held.as_mut().is_some_and(|held| held.try_grow(bytes));
        match fits {
            true => self.bytes = total,
            false => self.is_cut = true,
        }
        fits
    }

    /// The recording but for what its call's end says; `None` when it was taken.
    fn take_out(&mut self) -> Option<(Recording, Option<Reservation>)> {
        let recording = Recording {
            verge_recording: 0,
            version: String::new(),
            function: String::new(),
            digest: String::new(),
            component: Vec::new(),
            trigger: String::new(),
            start: String::new(),
            request: String::new(),
            ended_at_ms: 0,
            limits: crate::Limits::default(),
            log_level: LogLevel::Trace,
            stores: Vec::new(),
            input: self.input.take()?,
            seed: self.seed.take(),
            contents: std::mem::take(&mut self.contents),
            calls: std::mem::take(&mut self.calls),
            is_cut: self.is_cut,
            redacted_fields: Vec::new(),
            redacted: Vec::new(),
            outcome: RecordedOutcome {
                message: self.message.take(),
                content: super::Blob(std::mem::take(&mut self.written)),
                content_bytes: self.written_bytes,
                ..RecordedOutcome::default()
            },
        };
        self.is_cut = true;
        Some((recording, self.held.take()))
    }
}

/// How long a value is as JSON, without making it.
pub(super) fn length_of(value: &impl Serialize) -> u64 {
    struct Count(u64);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => u64::MAX,
    }
}
