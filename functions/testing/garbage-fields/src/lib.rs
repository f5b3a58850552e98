//! Hostile: gives the node what no message may have. The SDK's types cannot express most of it, so
//! this guest speaks to the contract itself.
//!
//! The query says what it tries on the request: `name`, `value`, `forbidden`, `huge`, `many`,
//! `empty-name`, `nul`, `transfer-encoding`, `connection`, `host`, `half` (a good edit together with
//! a bad one), `target`, `method`, `authority`, `scheme`, `origin`, `key-parts`, `context`; an edit
//! with `response-` in front is tried on a response of its own. It answers 200 with the host's
//! word: `accepted`, or `refused: ` and the contract's name of the error (`name-invalid`, ...;
//! `false` where the contract has no error). `error-text` fails with a text of 1 MiB that forges
//! log lines; `response-status` answers with status 42. Anything else goes on.

#[cfg(target_arch = "wasm32")]
mod component;
