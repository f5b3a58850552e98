//! What random exchanges are made of: what a client asks, what an origin says
//! if it is asked, what an operator purges. Few different values each, so that
//! they meet: bounds are hit exactly, and variants find each other.

use proptest::prelude::*;

/// Most steps of a case.
const STEPS_MAX: usize = 16;

/// What a Cache-Control field of a response says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Directives {
    pub(super) max_age: Option<u64>,
    pub(super) s_maxage: Option<u64>,
    pub(super) stale_while_revalidate: Option<u64>,
    pub(super) stale_if_error: Option<u64>,
    pub(super) no_store: bool,
    pub(super) private: bool,
    pub(super) no_cache: bool,
    pub(super) public: bool,
    pub(super) must_revalidate: bool,
    pub(super) proxy_revalidate: bool,
}

/// By which of the two fields that requests differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Varies {
    No,
    ByColour,
    BySize,
    ByBoth,
    /// By more than the request.
    ByAnything,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) number: u8,
    pub(super) is_weak: bool,
}

/// What an origin says now, whoever asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) status: u16,
    /// It closes the connection instead.
    pub(super) hangs_up: bool,
    pub(super) directives: Directives,
    /// Seconds from Date to Expires.
    pub(super) expires: Option<i64>,
    /// Seconds from Date to now.
    pub(super) dated: u64,
    pub(super) age: u64,
    /// Seconds from Last-Modified to the beginning of the case.
    pub(super) modified: Option<u64>,
    pub(super) tag: Option<Tag>,
    pub(super) varies: Varies,
    /// Its surrogate key.
    pub(super) key: Option<u8>,
}

/// The Cache-Control field of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    Nothing,
    NoCache,
    NoStore,
    MaxAge(u64),
    MinFresh(u64),
    /// `None` accepts any age.
    MaxStale(Option<u64>),
    OnlyIfCached,
    StaleIfError(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    FirstTwo,
    FromThird,
    LastThree,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) is_head: bool,
    pub(super) asks: Asks,
    pub(super) colour: Option<u8>,
    pub(super) size: Option<u8>,
    pub(super) has_authorization: bool,
    pub(super) part: Option<Part>,
    /// If-None-Match.
    pub(super) knows: Option<Tag>,
}

/// What the answer to an unsafe method names beside its target.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named {
    Nothing,
    /// The other URI of the case, in Location.
    ByLocation,
    /// The same in Content-Location, as a reference without authority.
    ByContentLocation,
    /// The same path on another origin.
    Elsewhere,
}

/// The second URI of a case stands below the first.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope {
    Uri(usize),
    Prefix(usize),
    Key(u8),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Seconds pass.
    Wait(u64),
    /// A GET or HEAD of one of the case's URIs, with what the origin says if it is asked.
    Ask(usize, Request, Planned),
    /// An unsafe method, the status that it is answered with, and what that names.
    Change(usize, &'static str, u16, Named),
    /// An operator's purge, soft or hard.
    Purge(Scope, bool),
}

fn seconds() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0_u64), Just(1), Just(5), Just(10), Just(60)]
}

fn seldom() -> impl Strategy<Value = bool> {
    prop_oneof![7 => Just(false), 1 => Just(true)]
}

fn sometimes<T: Clone + std::fmt::Debug + 'static>(
    value: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Option<T>> {
    prop_oneof![4 => Just(None), 1 => value.prop_map(Some)]
}

fn directives() -> impl Strategy<Value = Directives> {
    let max_age = prop_oneof![1 => Just(None), 3 => seconds().prop_map(Some)];
    let ages = (
        max_age,
        sometimes(seconds()),
        sometimes(seconds()),
        sometimes(seconds()),
    );
    let flags = (seldom(), seldom(), seldom(), seldom(), seldom(), seldom());
    (ages, flags).prop_map(|(ages, flags)| Directives {
        max_age: ages.0,
        s_maxage: ages.1,
        stale_while_revalidate: ages.2,
        stale_if_error: ages.3,
        no_store: flags.0,
        private: flags.1,
        no_cache: flags.2,
        public: flags.3,
        must_revalidate: flags.4,
        proxy_revalidate: flags.5,
    })
}

fn tag() -> impl Strategy<Value = Option<Tag>> {
    let tag = |number, is_weak| Just(Some(Tag { number, is_weak }));
    prop_oneof![
        3 => Just(None),
        3 => tag(1, false),
        2 => tag(2, false),
        1 => tag(1, true),
    ]
}

fn planned() -> impl Strategy<Value = Planned> {
    let status = prop_oneof![
        12 => Just(200_u16), 1 => Just(404), 1 => Just(410), 1 => Just(500), 1 => Just(503), 1 => Just(299)
    ];
    let times = (
        prop_oneof![3 => Just(None), 1 => Just(Some(-5_i64)), 1 => Just(Some(10))],
        prop_oneof![5 => Just(0_u64), 1 => Just(5), 1 => Just(20)],
        prop_oneof![4 => Just(0_u64), 1 => Just(5)],
        prop_oneof![3 => Just(None), 1 => Just(Some(100_u64)), 1 => Just(Some(205))],
    );
    let varies = prop_oneof![
        6 => Just(Varies::No), 4 => Just(Varies::ByColour), 2 => Just(Varies::BySize),
        2 => Just(Varies::ByBoth), 1 => Just(Varies::ByAnything)
    ];
    let key = prop_oneof![2 => Just(None), 1 => Just(Some(1_u8)), 1 => Just(Some(2))];
    let hangs_up = prop_oneof![24 => Just(false), 1 => Just(true)];
    (status, hangs_up, directives(), times, tag(), varies, key).prop_map(
        |(status, hangs_up, directives, times, tag, varies, key)| Planned {
            status,
            hangs_up,
            directives,
            expires: times.0,
            dated: times.1,
            age: times.2,
            modified: times.3,
            tag,
            varies,
            key,
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let asks = prop_oneof![
        10 => Just(Asks::Nothing),
        1 => Just(Asks::NoCache),
        1 => Just(Asks::NoStore),
        1 => seconds().prop_map(Asks::MaxAge),
        1 => seconds().prop_map(Asks::MinFresh),
        1 => seconds().prop_map(|most| Asks::MaxStale(Some(most))),
        1 => Just(Asks::MaxStale(None)),
        1 => Just(Asks::OnlyIfCached),
        1 => seconds().prop_map(Asks::StaleIfError),
    ];
    let value = || prop_oneof![2 => Just(None), 1 => Just(Some(1_u8)), 1 => Just(Some(2))];
    let part = prop_oneof![
        12 => Just(None),
        1 => Just(Some(Part::FirstTwo)),
        1 => Just(Some(Part::FromThird)),
        1 => Just(Some(Part::LastThree)),
    ];
    let knows = prop_oneof![5 => Just(None), 1 => tag()];
    (seldom(), asks, value(), value(), seldom(), part, knows).prop_map(
        |(is_head, asks, colour, size, has_authorization, part, knows)| Request {
            is_head,
            asks,
            colour,
            size,
            has_authorization,
            part,
            knows,
        },
    )
}

fn change() -> impl Strategy<Value = Step> {
    let method = prop_oneof![
        Just("POST"),
        Just("PUT"),
        Just("DELETE"),
        Just("PATCH"),
        Just("M-SEARCH")
    ];
    let status = prop_oneof![Just(200_u16), Just(303), Just(404), Just(500)];
    let named = prop_oneof![
        3 => Just(Named::Nothing),
        1 => Just(Named::ByLocation),
        1 => Just(Named::ByContentLocation),
        1 => Just(Named::Elsewhere),
    ];
    (0..2_usize, method, status, named)
        .prop_map(|(uri, method, status, named)| Step::Change(uri, method, status, named))
}

fn purge() -> impl Strategy<Value = Step> {
    let scope = prop_oneof![
        (0..2_usize).prop_map(Scope::Uri),
        (0..2_usize).prop_map(Scope::Prefix),
        (1..3_u8).prop_map(Scope::Key),
    ];
    (scope, any::<bool>()).prop_map(|(scope, is_soft)| Step::Purge(scope, is_soft))
}

/// A case: what happens one after the other.
pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let uri = prop_oneof![3 => Just(0_usize), 1 => Just(1)];
    let step = prop_oneof![
        6 => seconds().prop_map(Step::Wait),
        20 => (uri, request(), planned()).prop_map(|(uri, request, planned)| Step::Ask(uri, request, planned)),
        1 => change(),
        1 => purge(),
    ];
    proptest::collection::vec(step, 1..STEPS_MAX)
}
