//! Which functions had a part in a stored response, each as `name@digest` between spaces, so that
//! a purge by any of them finds it.

use std::sync::Arc;

/// Most functions that a stored response names: those of its route, and of the versions of them
/// that ran when it was freshened. One that would name more is not stored.
pub(crate) const MADE_BY_MAX: usize = 64;

/// What names take beside their bytes.
const OVERHEAD: u64 = 32;

/// More functions than are kept had a part in a response: a purge could miss it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyFunctions;

/// Those that had a part in what is stored or in what is newer, each once.
///
/// # Errors
/// They are more than [`MADE_BY_MAX`].
pub(crate) fn joined(
    stored: Option<&Arc<str>>,
    newer: Option<&str>,
) -> Result<Option<Arc<str>>, TooManyFunctions> {
    let known: Vec<&str> = stored.map_or_else(Vec::new, |stored| stored.split(' ').collect());
    let newer = newer.map_or_else(Vec::new, |newer| newer.split(' ').collect());
    let mut all = known.clone();
    all.extend(newer.into_iter().filter(|used| !known.contains(used)));
    if all.len() == known.len() {
        return Ok(stored.cloned());
    }
    if all.len() > MADE_BY_MAX {
        return Err(TooManyFunctions);
    }
    Ok(Some(all.join(" ").into()))
}

/// Bytes that the names take.
pub(crate) fn made_by_cost(made_by: Option<&Arc<str>>) -> u64 {
    made_by.map_or(0, |names| (names.len() as u64).saturating_add(OVERHEAD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_is_named_once_and_not_too_many_are() {
        let joined = |stored: Option<&str>, newer: Option<&str>| {
            let stored: Option<Arc<str>> = stored.map(Into::into);
            let joined = super::joined(stored.as_ref(), newer);
            joined.map(|names| names.map(|names| names.to_string()))
        };
        let rows = [
            (None, None, None),
            (Some("f@1"), None, Some("f@1")),
            (None, Some("f@1"), Some("f@1")),
            (Some("f@1 g@1"), Some("g@1"), Some("f@1 g@1")),
            (Some("f@1 g@1"), Some("f@2 g@1"), Some("f@1 g@1 f@2")),
        ];
        for (stored, newer, expected) in rows {
            assert_eq!(joined(stored, newer), Ok(expected.map(str::to_owned)));
        }
        let names: Vec<String> = (0..MADE_BY_MAX).map(|n| format!("f@{n}")).collect();
        let all = names.join(" ");
        assert_eq!(joined(Some(&all), Some("f@0")), Ok(Some(all.clone())));
        assert_eq!(joined(Some(&all), Some("g@0")), Err(TooManyFunctions));
    }
}
