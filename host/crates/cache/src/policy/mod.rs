//! The rules of a shared cache (RFC 9111), as functions of facts and times.
//!
//! Every decision is an enum whose "no" names its reason; the reason's label is
//! the metric label and the access-log word. Nothing here does I/O, asks for
//! the time, or knows how responses are kept.

mod advice;
mod form;
mod freshen;
mod invalidation;
mod key;
mod lifetime;
mod lookup;
mod nominated;
mod onward;
mod reasons;
mod reuse;
mod route;
mod stale;
mod storage;
mod tier;

pub use form::{Form, decide_form};
pub use freshen::{
    Freshening, HeadFreshening, Validators, decide_freshening, decide_head_freshening,
    select_validated,
};
pub(crate) use freshen::{storable_fields, updated_fields};
pub use invalidation::{
    Invalidation, InvalidationRefusal, RelatedTarget, decide_invalidation, is_safe, names_target,
    select_related_targets,
};
pub use key::{
    CookieChange, KEY_PART_BYTES, KeyPolicy, KeyRefusal, NamePattern, ParameterRule, PolicyPart,
    QueryRule, ReducedQuery, TRACKING_PARAMETERS, UnkeyedInput, field_value,
};
pub use lookup::{BypassReason, LookupDecision, LookupFacts, decide_lookup};
pub use nominated::{Nominated, decide_nominated};
pub use onward::{Onward, OnwardFacts, decide_onward};
pub use reasons::{LifetimeSource, RefuseReason};
pub use reuse::{Freshness, Reuse, ValidateReason, decide_reuse};
pub use route::{
    BypassRule, HEURISTIC_MAX, OriginDirectives, RoutePolicy, STALE_ON_FAILURE, SetCookie,
    StatusMatch, StatusTtls,
};
pub use stale::{
    OriginError, StaleGrant, StaleOnError, StaleRefusal, StaleWindows, decide_stale_on_error,
};
pub(crate) use storage::sets_own_cookie;
pub use storage::{
    RequestFacts, RequestMethod, Storage, StorageFacts, StoragePlan, decide_storage, directives_of,
};
pub use tier::{TierDecision, TierFacts, TierFound, TierRefusal, decide_tier};
