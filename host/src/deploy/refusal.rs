//! Why an action on versions did nothing.

use super::state::Unchanged;

/// Why an action did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What sort of reason.
    pub kind: RefusalKind,
    /// What is wrong.
    pub what: String,
    /// What would be right; may be empty.
    pub expected: String,
}

/// What sort of reason an action has to do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// There is no such function.
    Unknown,
    /// What runs does not allow it.
    Conflict,
    /// The version cannot run.
    Unfit,
    /// The node cannot keep it.
    Failed,
}

impl Refusal {
    pub(super) fn new(
        kind: RefusalKind,
        what: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            what: what.into(),
            expected: expected.into(),
        }
    }
}

impl From<Unchanged> for Refusal {
    fn from(why: Unchanged) -> Self {
        let expected = match &why {
            Unchanged::IsLive(_) => "another version",
            Unchanged::NothingBeside => {
                "a version that was deployed with a share or as a shadow, or the digest of one"
            }
            Unchanged::NotKept(_) => "the beginning of a digest that GET /functions/NAME lists",
            Unchanged::Ambiguous(_) => "more digits",
            Unchanged::NothingBefore => "a function of which another version was live before",
        };
        Self::new(RefusalKind::Conflict, why.to_string(), expected)
    }
}

/// What was to be kept on disk is not.
pub(super) fn not_kept(what: String) -> Refusal {
    let expected = "a folder `deploy.folder` that can be written";
    Refusal::new(RefusalKind::Failed, what, expected)
}
