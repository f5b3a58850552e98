//! Which address takes the next request: round-robin over those that are well.
//!
//! Pure: the pool says how each address stands, and acts on the answer.

/// How one address stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// Its last connection attempt failed a short while ago.
    pub(crate) penalised: bool,
    /// A former attempt of this request failed there.
    pub(crate) avoided: bool,
    /// Unused connections.
    pub(crate) idle: usize,
    /// Another connection may be opened.
    pub(crate) has_room: bool,
}

/// What the request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Any connection.
    Any,
    /// A new connection, after one that was reused had failed.
    Fresh,
}

/// What to do about the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// Take an unused connection of this address.
    Reuse(usize),
    /// Open a connection to this address.
    Open(usize),
    /// Close an unused connection of this address, and wait for its place.
    Replace(usize),
    /// Wait until a connection comes free.
    Wait,
}

/// Selects an address, beginning at index `start`.
///
/// Healthy addresses come before penalised ones, and a penalised one is not
/// used because the healthy ones are busy: its connection would probably fail.
/// Among equals, an address that this request has not failed at comes first.
pub(crate) fn select_address(candidates: &[Candidate], start: usize, need: Need) -> Selection {
    let any_healthy = candidates.iter().any(|candidate| !candidate.penalised);
    for avoided in [false, true] {
        let in_turn = (0..candidates.len())
            .map(|step| (start + step) % candidates.len())
            .filter_map(|index| candidates.get(index).map(|candidate| (index, candidate)))
            .filter(|(_, candidate)| {
                candidate.avoided == avoided && candidate.penalised != any_healthy
            });
        for (index, candidate) in in_turn {
            match need {
                Need::Any if candidate.idle > 0 => return Selection::Reuse(index),
                Need::Any | Need::Fresh if candidate.has_room => return Selection::Open(index),
                Need::Fresh if candidate.idle > 0 => return Selection::Replace(index),
                Need::Any | Need::Fresh => {}
            }
        }
    }
    Selection::Wait
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Candidate = Candidate {
        penalised: false,
        avoided: false,
        idle: 0,
        has_room: true,
    };
    const BUSY: Candidate = Candidate {
        has_room: false,
        ..FREE
    };
    const IDLE: Candidate = Candidate { idle: 2, ..BUSY };
    const DOWN: Candidate = Candidate {
        penalised: true,
        ..FREE
    };
    const AVOIDED: Candidate = Candidate {
        avoided: true,
        ..FREE
    };

    #[test]
    fn addresses_take_turns() {
        let all = [FREE, FREE, FREE];
        for (start, expected) in [(0, 0), (1, 1), (2, 2), (3, 0)] {
            assert_eq!(
                select_address(&all, start, Need::Any),
                Selection::Open(expected)
            );
        }
    }

    #[test]
    fn selection_by_standing() {
        use Need::{Any, Fresh};
        use Selection::{Open, Replace, Reuse, Wait};
        let table: &[(&[Candidate], Need, Selection, &str)] = &[
            (&[], Any, Wait, "nothing to select from"),
            (&[IDLE], Any, Reuse(0), "an unused connection is reused"),
            (&[IDLE], Fresh, Replace(0), "a fresh one takes its place"),
            (
                &[BUSY, FREE],
                Any,
                Open(1),
                "the turn passes on from a busy one",
            ),
            (&[BUSY, BUSY], Any, Wait, "all are busy"),
            (
                &[DOWN, FREE],
                Any,
                Open(1),
                "a penalised one is passed over",
            ),
            (
                &[DOWN, BUSY],
                Any,
                Wait,
                "even when the healthy ones are busy",
            ),
            (&[DOWN, DOWN], Any, Open(0), "unless no other exists"),
            (
                &[AVOIDED, FREE],
                Fresh,
                Open(1),
                "another address comes first",
            ),
            (&[AVOIDED], Fresh, Open(0), "where there is another"),
            (&[AVOIDED, BUSY], Fresh, Open(0), "that has room"),
            (&[AVOIDED, DOWN], Fresh, Open(0), "and is well"),
        ];
        for (candidates, need, expected, why) in table {
            assert_eq!(select_address(candidates, 0, *need), *expected, "{why}");
        }
    }
}
