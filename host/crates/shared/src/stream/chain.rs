//! The order of purges, and how a loss is noticed.
//!
//! Every entry of the stream has the next number, the incarnation of the
//! stream, a token of its own and the token of the entry before it. A reader
//! that has numbers and tokens in a row has missed nothing. Redis can lose what
//! it had taken (asynchronous failover, eviction, restart without persistence):
//! then a number is missing, comes again, or follows a token that nobody read.
//! Pure: facts in, a decision out.

/// Names a stream for as long as Redis keeps it whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Incarnation(pub u64);

/// The place in the stream up to which a node has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The stream.
    pub incarnation: Incarnation,
    /// The number of the last entry read; 0 before the first.
    pub number: u64,
    /// That entry's token; `None` if it was never read.
    pub token: Option<u64>,
}

/// What Redis says about the stream as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// The stream.
    pub incarnation: Incarnation,
    /// The number of its last entry.
    pub number: u64,
    /// The token of its last entry.
    pub token: u64,
}

/// How an entry follows the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// It is the next.
    Next,
    /// Entries before it are gone, and were never read.
    Gap,
    /// Redis has lost entries that were read.
    Lost,
    /// It is of another stream.
    OtherStream,
}

/// What the tail means for a node that has read up to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// All has been read.
    Level,
    /// There is more to read.
    Behind,
    /// Redis has lost entries that were read.
    Lost,
    /// It is another stream.
    OtherStream,
}

impl Place {
    /// The beginning of a stream.
    #[must_use]
    pub(crate) fn beginning(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            number: 0,
            token: None,
        }
    }

    /// How an entry with these properties follows. At the beginning of a stream the oldest
    /// entries may have been trimmed: nothing is missed by that.
    #[must_use]
    pub(crate) fn decide_follows(
        &self,
        incarnation: Incarnation,
        number: u64,
        before: u64,
    ) -> Follows {
        if incarnation != self.incarnation {
            return Follows::OtherStream;
        }
        if number <= self.number {
            return Follows::Lost;
        }
        match self.token {
            None => Follows::Next,
            Some(_) if number > self.number.saturating_add(1) => Follows::Gap,
            Some(token) if token == before => Follows::Next,
            Some(_) => Follows::Lost,
        }
    }

    /// Where the node stands when this is the tail.
    #[must_use]
    pub(crate) fn decide_standing(&self, tail: &Tail) -> Standing {
        if tail.incarnation != self.incarnation {
            return Standing::OtherStream;
        }
        match self.token {
            None if tail.number > self.number => Standing::Behind,
            None => Standing::Level,
            Some(_) if tail.number > self.number => Standing::Behind,
            Some(token) if tail.number == self.number && tail.token == token => Standing::Level,
            Some(_) => Standing::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Incarnation = Incarnation(1);
    const OTHER: Incarnation = Incarnation(2);

    fn place(number: u64, token: u64) -> Place {
        Place {
            incarnation: ONE,
            number,
            token: Some(token),
        }
    }

    #[test]
    fn entries_follow_in_a_row_or_say_what_is_wrong() {
        for (what, incarnation, number, before, expected) in [
            ("the next", ONE, 8, 70, Follows::Next),
            ("one trimmed away", ONE, 9, 80, Follows::Gap),
            ("a lost entry's number again", ONE, 7, 60, Follows::Lost),
            ("a lower number", ONE, 3, 20, Follows::Lost),
            (
                "the next of what a failover left",
                ONE,
                8,
                71,
                Follows::Lost,
            ),
            ("another stream", OTHER, 8, 70, Follows::OtherStream),
        ] {
            let found = place(7, 70).decide_follows(incarnation, number, before);
            assert_eq!(found, expected, "{what}");
        }
        let first = Place::beginning(ONE);
        assert_eq!(first.decide_follows(ONE, 1, 0), Follows::Next);
        assert_eq!(first.decide_follows(ONE, 500, 9), Follows::Next);
    }

    #[test]
    fn the_tail_tells_loss_also_when_nothing_comes() {
        for (what, incarnation, number, token, expected) in [
            ("level", ONE, 7, 70, Standing::Level),
            ("more", ONE, 9, 90, Standing::Behind),
            ("the last entry lost", ONE, 6, 60, Standing::Lost),
            ("lost and written anew", ONE, 7, 71, Standing::Lost),
            ("restarted empty", OTHER, 0, 0, Standing::OtherStream),
        ] {
            let tail = Tail {
                incarnation,
                number,
                token,
            };
            assert_eq!(place(7, 70).decide_standing(&tail), expected, "{what}");
        }
        let tail = Tail {
            incarnation: ONE,
            number: 0,
            token: 0,
        };
        let first = Place::beginning(ONE);
        assert_eq!(first.decide_standing(&tail), Standing::Level);
    }
}
