//! The context of a test's request.

use std::collections::HashMap;

use super::with;

/// Limits of the context, as `wit/types.wit` states them.
const CONTEXT_VALUES: usize = 32;
const CONTEXT_BYTES: usize = 4096;

#[derive(Default)]
pub(crate) struct Context(pub(crate) HashMap<String, Vec<u8>>);

pub(crate) fn get(name: &str) -> Option<Vec<u8>> {
    with(|state| state.context.0.get(name).cloned())
}

pub(crate) fn set(name: &str, value: &[u8]) -> bool {
    with(|state| state.context.set(name, value))
}

impl Context {
    fn set(&mut self, name: &str, value: &[u8]) -> bool {
        let others = self.0.iter().filter(|(key, _)| *key != name);
        let (mut values, mut bytes) = (1, name.len() + value.len());
        for (key, value) in others {
            values += 1;
            bytes += key.len() + value.len();
        }
        let fits = values <= CONTEXT_VALUES && bytes <= CONTEXT_BYTES;
        if fits {
            self.0.insert(name.to_owned(), value.to_owned());
        }
        fits
    }
}
