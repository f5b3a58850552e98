//! What is known of a function's versions, and what a deploy, a promotion or a rollback makes of
//! it. Pure: nothing here reads a file or compiles.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use verge_runtime::Digest;

use super::share::Share;

/// The format of what is kept; another one is not read.
pub const FORMAT: u32 = 1;

/// Most bytes of what an operator calls a version, or a reason that is kept.
const TEXT_BYTES_MAX: usize = 200;

/// A function's versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionState {
    /// [`FORMAT`].
    pub format: u32,
    /// The component that the configuration names: when it becomes another one, that one runs.
    #[serde(with = "hex")]
    pub configured: Digest,
    /// The version that runs.
    #[serde(with = "hex")]
    pub live: Digest,
    /// The version that runs beside it, if one does.
    pub beside: Option<BesideState>,
    /// When a deploy or a promotion made the live version so, in milliseconds of Unix time: from
    /// then on it is watched. None where the configuration or a rollback did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted_ms: Option<u64>,
    /// Those that are kept, the one deployed last first.
    pub versions: Vec<Version>,
}

/// A version that runs beside the live one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BesideState {
    /// Which one.
    #[serde(with = "hex")]
    pub digest: Digest,
    /// How.
    pub mode: BesideMode,
}

/// How a version runs beside the live one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BesideMode {
    /// For a share of the requests.
    Share(Share),
    /// For nobody: after the live one, with its input, and without effects.
    Shadow,
}

/// One version of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// Its component.
    #[serde(with = "hex")]
    pub digest: Digest,
    /// When it was deployed, RFC 3339.
    pub deployed: String,
    /// What brought it: `configuration` or `deploy`.
    pub source: Source,
    /// The key that its signature was checked with, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// The signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Bytes of its component.
    pub bytes: u64,
    /// Counts up with each version that becomes the live one; none if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<u64>,
    /// Why it was rolled back, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
}

/// What brought a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The component that the configuration names.
    Configuration,
    /// A deploy.
    Deploy,
}

/// Why nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unchanged {
    /// The version runs already.
    #[error("version {0} is the one that runs")]
    IsLive(String),
    /// There is no version to promote.
    #[error("no version runs beside the live one")]
    NothingBeside,
    /// There is no such version.
    #[error("no version that is kept begins with `{0}`")]
    NotKept(String),
    /// Several versions begin so.
    #[error("more than one version begins with `{0}`")]
    Ambiguous(String),
    /// There is no version to go back to.
    #[error("no version that ran before this one is kept")]
    NothingBefore,
}

impl FunctionState {
    /// A function with the version that the configuration names.
    #[must_use]
    pub fn begin(version: Version) -> Self {
        let mut state = Self {
            format: FORMAT,
            configured: version.digest,
            live: version.digest,
            beside: None,
            promoted_ms: None,
            versions: Vec::new(),
        };
        state.make_live(version);
        state
    }

    /// A version, if it is kept.
    #[must_use]
    pub fn version(&self, digest: &Digest) -> Option<&Version> {
        self.versions.iter().find(|known| known.digest == *digest)
    }

    /// When a deploy or a promotion made the live version so.
    #[must_use]
    pub fn promoted(&self) -> Option<SystemTime> {
        let since = Duration::from_millis(self.promoted_ms?);
        SystemTime::UNIX_EPOCH.checked_add(since)
    }

    /// The same, with what is known now of who signed the configured version.
    #[must_use]
    pub fn signed(mut self, signer: Option<&str>, signature: Option<&str>) -> Self {
        for version in &mut self.versions {
            if version.digest == self.configured && signer.is_some() {
                version.signer = signer.map(str::to_owned);
                version.signature = signature.map(str::to_owned);
            }
        }
        self
    }

    /// The configuration names another component: it becomes the live one.
    #[must_use]
    pub fn follow(&self, version: Version, kept: usize) -> Self {
        let mut state = self.clone();
        state.configured = version.digest;
        state.beside = None;
        state.promoted_ms = None;
        state.make_live(version);
        state.prune(kept);
        state
    }

    /// With a version that takes the live one's place at `now`, or runs beside it.
    ///
    /// # Errors
    /// It is the live one.
    pub fn deploy(
        &self,
        version: Version,
        mode: Option<BesideMode>,
        kept: usize,
        now: SystemTime,
    ) -> Result<Self, Unchanged> {
        if version.digest == self.live {
            return Err(Unchanged::IsLive(version.digest.short().to_string()));
        }
        let mut state = self.clone();
        state.beside = None;
        match mode {
            None => {
                state.make_live(version);
                state.promoted_ms = Some(millis(now));
            }
            Some(mode) => {
                state.beside = Some(BesideState {
                    digest: version.digest,
                    mode,
                });
                state.put_first(version);
            }
        }
        state.prune(kept);
        Ok(state)
    }

    /// With the version beside the live one in its place at `now`, or with the kept one whose
    /// digest begins with `wanted`.
    ///
    /// # Errors
    /// There is none, or it is the live one.
    pub fn promote(&self, wanted: Option<&str>, now: SystemTime) -> Result<Self, Unchanged> {
        let version = match (wanted, &self.beside) {
            (Some(wanted), _) => self.find(wanted)?,
            (None, None) => return Err(Unchanged::NothingBeside),
            (None, Some(beside)) => self
                .version(&beside.digest)
                .ok_or(Unchanged::NothingBeside)?,
        };
        if version.digest == self.live {
            return Err(Unchanged::IsLive(version.digest.short().to_string()));
        }
        let version = version.clone();
        let mut state = self.clone();
        state.beside = None;
        state.live = version.digest;
        state.promoted_ms = Some(millis(now));
        let turn = state.next_turn();
        for known in &mut state.versions {
            if known.digest == version.digest {
                known.turn = Some(turn);
                known.withdrawn = None;
            }
        }
        Ok(state)
    }

    /// Without the version that runs beside the live one; else with the version that was live
    /// before it. Returns the version that is taken back, too. One that was live earlier, and whose
    /// trial beside the live one ends without it being `is_at_fault`, can be gone back to as before.
    ///
    /// # Errors
    /// There is none to go back to.
    pub fn roll_back(&self, reason: &str, is_at_fault: bool) -> Result<(Self, Digest), Unchanged> {
        let mut state = self.clone();
        let (withdrawn, is_trial) = match state.beside.take() {
            Some(beside) => (beside.digest, true),
            None => {
                state.live = self.before().ok_or(Unchanged::NothingBefore)?.digest;
                state.promoted_ms = None;
                (self.live, false)
            }
        };
        for known in &mut state.versions {
            let was_live = is_trial && known.turn.is_some();
            if known.digest == withdrawn && (is_at_fault || !was_live) {
                known.withdrawn = Some(bounded(reason));
            }
        }
        Ok((state, withdrawn))
    }

    /// The version that a rollback of the live one goes back to.
    fn before(&self) -> Option<&Version> {
        let now = self.version(&self.live).and_then(|version| version.turn);
        let before = self.versions.iter().filter(|version| {
            version.withdrawn.is_none() && version.turn.is_some() && version.turn < now
        });
        before.max_by_key(|version| version.turn)
    }

    fn is_running(&self, digest: &Digest) -> bool {
        *digest == self.live || self.beside.as_ref().is_some_and(|b| b.digest == *digest)
    }

    fn find(&self, wanted: &str) -> Result<&Version, Unchanged> {
        let wanted = wanted.to_ascii_lowercase();
        let named = |version: &&Version| version.digest.to_string().starts_with(&wanted);
        let mut found = self.versions.iter().filter(named);
        match (found.next(), found.next()) {
            (Some(version), None) => Ok(version),
            (None, _) => Err(Unchanged::NotKept(bounded(&wanted))),
            (Some(_), Some(_)) => Err(Unchanged::Ambiguous(bounded(&wanted))),
        }
    }

    fn next_turn(&self) -> u64 {
        let turns = self.versions.iter().filter_map(|version| version.turn);
        turns.max().map_or(1, |turn| turn.saturating_add(1))
    }

    fn make_live(&mut self, mut version: Version) {
        self.live = version.digest;
        version.turn = Some(self.next_turn());
        self.put_first(version);
    }

    /// A version that was there before is deployed anew; one that was live is no less so for it.
    fn put_first(&mut self, mut version: Version) {
        let known = self.version(&version.digest);
        let known = known.filter(|known| known.withdrawn.is_none());
        version.turn = version.turn.or(known.and_then(|known| known.turn));
        self.versions.retain(|known| known.digest != version.digest);
        self.versions.insert(0, version);
    }

    /// Leaves `kept` versions, or as many as run or would be gone back to. Those that nothing goes
    /// back to by itself leave first, and of them the one deployed longest ago.
    fn prune(&mut self, kept: usize) {
        while self.versions.len() > kept {
            let before = self.before().map(|version| version.digest);
            let may_go = |version: &&Version| {
                !self.is_running(&version.digest) && Some(version.digest) != before
            };
            let is_spent =
                |version: &Version| version.withdrawn.is_some() || version.turn.is_none();
            let all = || self.versions.iter().rev().filter(may_go);
            let gone = all().find(|version| is_spent(version)).or(all().next());
            let Some(gone) = gone.map(|version| version.digest) else {
                return;
            };
            self.versions.retain(|version| version.digest != gone);
        }
    }

    /// What is wrong with a state that was read, if anything is.
    ///
    /// # Errors
    /// A clause about it.
    pub fn check(self, kept_max: usize) -> Result<Self, String> {
        if self.format != FORMAT {
            return Err(format!("format {} is not {FORMAT}", self.format));
        }
        if self.versions.len() > kept_max {
            return Err(format!("it lists {} versions", self.versions.len()));
        }
        let running = [Some(&self.live), self.beside.as_ref().map(|b| &b.digest)];
        for digest in running.into_iter().flatten() {
            if self.version(digest).is_none() {
                return Err(format!("version {} runs but is not listed", digest.short()));
            }
        }
        Ok(self)
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// `text`, cut to what is kept of it.
fn bounded(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX.min(text.len()));
    text.get(..end).unwrap_or_default().to_owned()
}

/// A digest as text.
mod hex {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use verge_runtime::Digest;

    pub(super) fn serialize<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(digest)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(from)?;
        Digest::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no SHA-256 in hex")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::share::Sticky;
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn version(name: &str) -> Version {
        Version {
            digest: Digest::of(name.as_bytes()),
            deployed: "2026-01-01T00:00:00.000Z".to_owned(),
            source: Source::Deploy,
            signer: None,
            signature: None,
            bytes: 1,
            turn: None,
            withdrawn: None,
        }
    }

    fn share() -> Option<BesideMode> {
        Some(BesideMode::Share(Share {
            share: 500,
            sticky: Sticky::Client,
        }))
    }

    fn is_live(state: &FunctionState, name: &str) -> bool {
        state.live == Digest::of(name.as_bytes())
    }

    #[test]
    fn rollbacks_go_back_one_by_one_and_a_promotion_goes_forward_again() {
        let mut state = FunctionState::begin(version("a"));
        for name in ["b", "c"] {
            state = state.deploy(version(name), None, 5, NOW).unwrap();
            assert!(is_live(&state, name));
        }
        let (state, withdrawn) = state.roll_back("bad", false).unwrap();
        assert!(is_live(&state, "b"));
        assert_eq!(withdrawn, Digest::of(b"c"));
        assert_eq!(
            state.version(&withdrawn).unwrap().withdrawn.as_deref(),
            Some("bad")
        );
        let (state, _) = state.roll_back("bad", false).unwrap();
        assert!(is_live(&state, "a"));
        assert_eq!(
            state.roll_back("x", false).unwrap_err(),
            Unchanged::NothingBefore
        );
        let c = Digest::of(b"c").to_string();
        let state = state.promote(Some(&c[..10]), NOW).unwrap();
        assert!(is_live(&state, "c"));
        assert_eq!(state.version(&state.live).unwrap().withdrawn, None);
        // Before c, a was live; b had been taken back.
        let (state, _) = state.roll_back("bad", false).unwrap();
        assert!(is_live(&state, "a"));
    }

    #[test]
    fn version_beside_is_promoted_or_taken_away() {
        let state = FunctionState::begin(version("a"));
        assert_eq!(
            state.promote(None, NOW).unwrap_err(),
            Unchanged::NothingBeside
        );
        let shared = state.deploy(version("b"), share(), 5, NOW).unwrap();
        assert!(is_live(&shared, "a"));
        let promoted = shared.promote(None, NOW).unwrap();
        assert!(is_live(&promoted, "b") && promoted.beside.is_none());
        assert!(is_live(&promoted.roll_back("bad", false).unwrap().0, "a"));
        let (back, withdrawn) = shared.roll_back("bad", false).unwrap();
        assert!(is_live(&back, "a") && back.beside.is_none());
        assert_eq!(withdrawn, Digest::of(b"b"));
        assert_eq!(
            back.roll_back("bad", false).unwrap_err(),
            Unchanged::NothingBefore,
            "what only ran beside was never live"
        );
        let live = version("a");
        assert!(matches!(
            shared.deploy(live, None, 5, NOW),
            Err(Unchanged::IsLive(_))
        ));
    }

    #[test]
    fn as_many_versions_are_kept_as_asked_and_those_that_run_among_them() {
        let mut state = FunctionState::begin(version("a"));
        for number in 0..10 {
            state = state
                .deploy(version(&format!("{number}")), share(), 3, NOW)
                .unwrap();
        }
        assert_eq!(state.versions.len(), 3);
        assert!(is_live(&state, "a") && state.version(&state.live).is_some());
        assert!(state.version(&Digest::of(b"9")).is_some());
        assert!(state.version(&Digest::of(b"8")).is_some());
    }

    #[test]
    fn what_the_configuration_names_anew_is_live() {
        let state = FunctionState::begin(version("a"));
        let state = state.deploy(version("b"), share(), 5, NOW).unwrap();
        let state = state.follow(version("c"), 5);
        assert!(is_live(&state, "c") && state.beside.is_none());
        assert_eq!(state.configured, state.live);
        assert!(is_live(&state.roll_back("bad", false).unwrap().0, "a"));
    }

    #[test]
    fn state_is_read_as_it_was_written_or_not_at_all() {
        let state = FunctionState::begin(version("a"));
        let state = state.deploy(version("b"), share(), 5, NOW).unwrap();
        let text = serde_json::to_string(&state).unwrap();
        let read: FunctionState = serde_json::from_str(&text).unwrap();
        assert_eq!(read.clone().check(5), Ok(state));
        let mut other = read.clone();
        other.format = 2;
        assert!(other.check(5).is_err());
        let mut unlisted = read;
        unlisted.live = Digest::of(b"z");
        assert!(unlisted.check(5).is_err());
        for wrong in [
            "{}",
            "",
            &text.replace("5%", "500%"),
            &text.replace("live", "life"),
        ] {
            assert!(
                serde_json::from_str::<FunctionState>(wrong).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn version_to_go_back_to_is_kept_whatever_is_tried() {
        for kept in [2, 5] {
            let mut state = FunctionState::begin(version("a"));
            state = state.deploy(version("b"), None, kept, NOW).unwrap();
            for trial in ["c", "d", "e", "f", "g"] {
                state = state.deploy(version(trial), share(), kept, NOW).unwrap();
                state = state.roll_back("tried", true).unwrap().0;
            }
            // With the one that was on trial, which is listed until the next comes.
            assert!(state.versions.len() <= kept + 1, "{kept}");
            let (state, _) = state.roll_back("bad", true).unwrap();
            assert!(is_live(&state, "a"));
        }
    }

    #[test]
    fn trial_of_an_earlier_version_leaves_it_what_it_was() {
        let state = FunctionState::begin(version("a"));
        let state = state.deploy(version("b"), None, 5, NOW).unwrap();
        let tried = state.deploy(version("a"), share(), 5, NOW).unwrap();
        let (ended, _) = tried.roll_back("by hand", false).unwrap();
        assert!(is_live(&ended.roll_back("bad", true).unwrap().0, "a"));
        let (failed, _) = tried.roll_back("it failed", true).unwrap();
        assert_eq!(
            failed.roll_back("bad", true).unwrap_err(),
            Unchanged::NothingBefore,
            "nothing goes back to what has just failed"
        );
        // What was taken back is no candidate for having been tried once more.
        let (back, _) = state.roll_back("bad", true).unwrap();
        let tried = back.deploy(version("b"), share(), 5, NOW).unwrap();
        let (ended, _) = tried.roll_back("by hand", false).unwrap();
        let c = ended.deploy(version("c"), None, 5, NOW).unwrap();
        assert!(is_live(&c.roll_back("bad", true).unwrap().0, "a"));
    }

    #[test]
    fn state_says_since_when_its_live_version_is_watched() {
        let later = NOW + Duration::from_millis(1500);
        let state = FunctionState::begin(version("a"));
        assert_eq!(state.promoted(), None, "the configuration's is not");
        let shared = state.deploy(version("b"), share(), 5, later).unwrap();
        assert_eq!(shared.promoted(), None);
        let promoted = shared.promote(None, later).unwrap();
        assert_eq!(promoted.promoted(), Some(later));
        let tried = promoted.deploy(version("c"), share(), 5, NOW).unwrap();
        let (tried, _) = tried.roll_back("bad", true).unwrap();
        assert_eq!(tried.promoted(), Some(later), "a trial changes nothing");
        assert_eq!(tried.roll_back("bad", true).unwrap().0.promoted(), None);
        assert_eq!(tried.follow(version("d"), 5).promoted(), None);
    }
}
