//! The function host: the only user of wasmtime.
//!
//! An [`Engine`] compiles components and turns them into [`Function`]s, off the
//! request path. A function is called once for each trigger of each request;
//! every call runs an instance of its own within [`Limits`], gives the message
//! back, and says what it cost in a [`CallReceipt`]. Where the instance comes
//! from is the function's [`Isolation`].
//!
//! A guest can fail in any way it likes: the caller gets its message as it was
//! and a [`FunctionFault`](verge_http::failure::FunctionFault), never a panic.
//! Dropping a call, or the body of a response that is still being written, ends
//! its guest.

mod bindings;
mod call;
pub mod capabilities;
mod code_cache;
mod concurrent;
mod digest;
mod engine;
mod function;
mod grants;
mod handles;
mod hostcalls;
mod limits;
mod linker;
pub mod message;
pub mod outcome;
pub mod quarantine;
pub mod record;
mod state;
mod stock;
mod ticker;
mod wasi;
mod wasi_http;

pub use capabilities::{
    CallId, Capabilities, Fetch, FetchError, FetchFuture, FetchOutcome, KvStore, KvStores,
    LogField, LogLevel, LogValue, RateAnswer, RateCounters, RateDecision, RatePolicy, Rates,
};
pub use digest::{Digest, ShortDigest};
pub use engine::{CodeOrigin, CompileError, Compiled, Engine, EngineError, EngineSettings};
pub use function::{Function, FunctionSettings, LoadError};
pub use grants::Grants;
pub use limits::{FetchLimits, Limits};
pub use linker::MissingImport;
pub use message::{
    Call, ClientFacts, ContentChange, Context, DeferredCall, EdgeRequest, HandlerCall,
    MiddlewareCall, Next, NoScope, RequestCall, RequestEffects, ResponseCall, ResponseEffects,
    Scope, SeenInput, Unanswered, Verdict,
};
pub use outcome::{CallEnd, CallFailure, CallReceipt, Outcome, PendingEnd, StartClass, Trigger};
pub use quarantine::QuarantineSettings;
pub use stock::Isolation;
pub use wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS as HIDDEN_FIELDS;
