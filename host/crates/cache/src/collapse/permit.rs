//! The obligation of the request that asks the origin.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, StatusCode, header};
use verge_http::Failure;
use verge_http::cache_control::RequestDirectives;

use super::lead::Lead;
use super::waiter::{Outcome, Released};
use crate::age::ResponseTimes;
use crate::body::{FillReader, FillWriter, FillWriterParts, fill_cost};
use crate::cache::freshen::{Former, Updated};
use crate::cache::{Inner, Newer};
use crate::key::Key;
use crate::partial::FillTarget;
use crate::policy::{
    Freshening, RefuseReason, RequestFacts, RoutePolicy, StoragePlan, Validators,
    decide_freshening, decide_reuse, select_validated,
};
use crate::refusals::NotStored;
use crate::response::{HeadParts, ResponseHead, StoredHead, StoredResponse};

/// The moment at which an origin request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentAt {
    /// request_time (RFC 9111 4.2.3).
    pub requested: Instant,
    /// The last purge before it.
    pub(crate) sequence: u64,
}

impl SentAt {
    /// What the request itself purged does not concern its response. Nothing else may have been
    /// purged before: then the response stays older than all of it.
    pub fn follow(&mut self, own: u64) {
        if own == self.sequence.saturating_add(1) {
            self.sequence = own;
        }
    }
}

/// The obligation to say how a fetch ended: by [`FillPermit::begin`],
/// [`FillPermit::freshen`], [`FillPermit::refuse`] or [`FillPermit::fail`].
/// Dropping it releases all followers as [`Released::Abandoned`].
#[must_use = "dropping a fill permit abandons those that wait"]
pub struct FillPermit {
    lead: Lead,
    sent: SentAt,
}

/// A response that is to be stored while it is passed on.
#[derive(Debug)]
pub struct FillStart<'a> {
    /// The head, after origin-response functions.
    pub response: ResponseHead<'a>,
    /// [`crate::policy::Storage::Store`]'s plan for it.
    pub plan: Box<StoragePlan>,
    /// The request's fields as Vary sees them.
    pub request: &'a HeaderMap,
    /// Of the route.
    pub route: &'a RoutePolicy,
    /// Names and digests of the functions that had a part in it.
    pub made_by: Option<Arc<str>>,
}

/// What came of [`FillPermit::begin`].
#[derive(Debug)]
#[must_use = "the writer must be brought to its end"]
pub enum Begun {
    /// Content may be written.
    Filling(Box<Filling>),
    /// It cannot be stored after all: the response is passed on as it comes.
    Refused(RefuseReason),
}

/// A fill at its beginning.
#[derive(Debug)]
pub struct Filling {
    /// The head under which it is stored.
    pub head: Arc<StoredHead>,
    /// Takes the content from the origin.
    pub writer: FillWriter,
    /// Gives the content to the client that asked.
    pub reader: FillReader,
}

/// A 304 to a request with the validators of what is stored.
#[derive(Clone, Copy, Debug)]
pub struct NotModified<'a> {
    /// Its head.
    pub response: &'a ResponseHead<'a>,
    /// The fields of the client's request, as Vary sees them.
    pub request: &'a HeaderMap,
    /// Of that request.
    pub facts: RequestFacts<'a>,
    /// Of its route.
    pub route: &'a RoutePolicy,
    /// Names and digests of the functions that had a part in it.
    pub made_by: Option<&'a str>,
}

impl NotModified<'_> {
    fn validators(&self) -> Validators<'_> {
        Validators::of(self.response.fields, self.response.times.received_wall)
    }
}

/// What came of a 304.
#[derive(Debug)]
#[must_use = "another representation has to be asked for again"]
pub enum Freshened {
    /// The freshened response is stored, and answers the request.
    Stored(Arc<StoredResponse>),
    /// The freshened response answers the request and is not stored.
    Used(Arc<StoredResponse>, RefuseReason),
    /// The 304 was not about what is stored, or that has been purged since: the request is
    /// sent again, without preconditions (RFC 9111 4.3.4).
    OtherRepresentation(FillPermit),
}

impl FillPermit {
    pub(crate) fn new(lead: Lead) -> Self {
        let sent = lead.inner().sent_at();
        Self { lead, sent }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &Key {
        self.lead.key()
    }

    /// The origin request is being sent: called right before, and again for a
    /// retry. A purge from now on concerns the response.
    pub fn mark_sent(&mut self) -> SentAt {
        self.sent = self.lead.inner().sent_at();
        self.lead.mark_sent(self.sent.sequence);
        self.sent
    }

    /// The origin request was sent at `sent`, before this permit was had.
    pub fn mark_sent_at(&mut self, sent: SentAt) {
        self.sent = sent;
        self.lead.mark_sent(sent.sequence);
    }

    /// Whether any request waits for this one now.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.lead.is_followed()
    }

    /// The times of a response whose head arrives now.
    #[must_use]
    pub fn received_now(&self) -> ResponseTimes {
        ResponseTimes::received_now(&self.lead.inner().clock, self.sent.requested)
    }

    /// Begins to store a response. Followers whose requests it answers get it
    /// from its beginning, if it is fresh; else they are released.
    pub fn begin(self, start: FillStart<'_>) -> Begun {
        self.begin_into(start, FillTarget::Own)
    }

    /// The same, with what becomes of the response when it is complete.
    pub fn begin_into(self, start: FillStart<'_>, target: FillTarget) -> Begun {
        self.lead.mark_sent(self.sent.sequence);
        let expected = content_length(start.response.fields);
        let head = match self.stored_head(start, expected) {
            Ok(head) => head,
            Err(reason) => {
                self.note(NotStored::Refused(reason));
                self.release_marked(Released::Refused(reason));
                return Begun::Refused(reason);
            }
        };
        Begun::Filling(Box::new(self.fill(head, expected, target)))
    }

    /// A fill under `head`; followers get it if it is fresh, and are released else.
    pub(crate) fn fill(
        mut self,
        head: Arc<StoredHead>,
        expected: Option<u64>,
        target: FillTarget,
    ) -> Filling {
        let inner = Arc::clone(self.lead.inner());
        // A head that there was no memory for began no fill, so that few can be without.
        let reservation = inner.reserve(fill_cost(head.fields().len(), expected));
        let window = inner.settings.fill_window;
        let (fill, reader) = FillReader::open(expected, window, reservation);
        let is_shared = is_sharable(&head, inner.clock.now());
        if is_shared {
            self.lead
                .share(Outcome::Filling(Arc::clone(&head), Arc::clone(&fill)));
        } else {
            self.lead.share(Outcome::Released(Released::NotFresh));
            self.lead.leave_marked();
        }
        let writer = FillWriter::new(FillWriterParts {
            fill,
            head: Arc::clone(&head),
            lead: self.lead,
            is_shared,
            target,
        });
        Filling {
            head,
            writer,
            reader,
        }
    }

    pub(crate) fn inner(&self) -> &Inner {
        self.lead.inner()
    }

    /// What a tier had is as old as its own purge sequence.
    pub(crate) fn mark_found(&mut self, sequence: u64) {
        self.sent.sequence = sequence;
        self.lead.mark_sent(sequence);
    }

    fn stored_head(
        &self,
        start: FillStart<'_>,
        expected: Option<u64>,
    ) -> Result<Arc<StoredHead>, RefuseReason> {
        let inner = self.lead.inner();
        if expected.is_some_and(|length| length > inner.settings.max_object) {
            return Err(RefuseReason::ObjectTooLarge);
        }
        let variant_key = start
            .plan
            .vary
            .variant_key(start.request)
            .ok_or(RefuseReason::VaryAny)?;
        let head = StoredHead::new(
            &start.response,
            HeadParts {
                plan: *start.plan,
                variant_key,
                made_by: start.made_by,
                route: start.route,
                sequence: self.sent.sequence,
            },
        );
        let cost = head.cost().saturating_add(self.key().len() as u64);
        let reservation = inner.reserve(cost).ok_or(RefuseReason::MemoryExhausted)?;
        Ok(Arc::new(head.with_reservation(reservation)))
    }

    /// Freshens `stale`, with whose validators the origin was asked, by its
    /// 304 (RFC 9111 4.3.4).
    pub fn freshen(self, stale: &Arc<StoredResponse>, answer: &NotModified<'_>) -> Freshened {
        match decide_freshening(&stale.head().validators(), &answer.validators()) {
            Freshening::Update if !self.is_purged(stale) => {
                self.update(stale, answer, Former::Replaced)
            }
            Freshening::Update | Freshening::OtherRepresentation => {
                Freshened::OtherRepresentation(self)
            }
        }
    }

    /// Takes the one of `variants`, with whose entity tags the origin was asked, that its 304
    /// selects for a request that none of them matches: its content answers this request, too
    /// (RFC 9111 4.3.1, 4.3.4).
    pub fn adopt(self, variants: &[Arc<StoredResponse>], answer: &NotModified<'_>) -> Freshened {
        let known = variants.iter().map(|stored| stored.head().validators());
        let selected = select_validated(known, &answer.validators());
        match selected.and_then(|index| variants.get(index)) {
            Some(variant) if !self.is_purged(variant) => self.update(variant, answer, Former::Kept),
            Some(_) | None => Freshened::OtherRepresentation(self),
        }
    }

    /// Whether `stored`, which was looked up before, has been purged since: then it answers
    /// nothing any more, whatever the origin says of it.
    #[must_use]
    pub fn is_purged(&self, stored: &StoredResponse) -> bool {
        self.lead.inner().is_purged_since(self.key(), stored)
    }

    fn update(
        self,
        stored: &Arc<StoredResponse>,
        answer: &NotModified<'_>,
        former: Former,
    ) -> Freshened {
        let newer = Newer {
            response: answer.response,
            request: answer.request,
            facts: answer.facts,
            route: answer.route,
            made_by: answer.made_by,
            sent: self.sent,
        };
        let updated = self
            .lead
            .inner()
            .freshen(self.key(), stored, &newer, former);
        match updated {
            Updated::Stored(response) => {
                if is_sharable(response.head(), self.lead.inner().clock.now()) {
                    self.lead.unmark();
                    self.lead.share(Outcome::Stored(Arc::clone(&response)));
                } else {
                    self.release_marked(Released::NotFresh);
                }
                Freshened::Stored(response)
            }
            Updated::Superseded { freshened, by } => {
                self.lead.share(Outcome::Stored(by));
                Freshened::Used(freshened, RefuseReason::Superseded)
            }
            Updated::Used(response, reason) => {
                self.note(NotStored::Refused(reason));
                self.release_refused(reason);
                Freshened::Used(response, reason)
            }
        }
    }

    /// The response is not stored: those that wait are released together, and
    /// requests for this key are not collapsed for a while, unless it is only about this one.
    pub fn refuse(self, reason: RefuseReason) {
        self.note(NotStored::Refused(reason));
        self.release_refused(reason);
    }

    /// There is no response: those that wait are released together with what
    /// happened, and the next request leads again.
    pub fn fail(mut self, failure: Failure) {
        self.note(NotStored::Failed(failure));
        self.lead
            .share(Outcome::Released(Released::Failed(failure)));
        self.lead.leave();
    }

    /// The origin answered with an error status, and the leader takes what is stored instead:
    /// those that wait decide for themselves, and the next request leads again.
    pub fn fail_with_status(mut self, status: StatusCode) {
        self.lead
            .share(Outcome::Released(Released::ErrorStatus(status)));
        self.lead.leave();
    }

    fn note(&self, reason: NotStored) {
        self.lead.inner().note_not_stored(self.key(), reason);
    }

    fn release_refused(mut self, reason: RefuseReason) {
        if reason == RefuseReason::VersionReplaced {
            // The next one runs what runs now, and its response is stored.
            self.lead
                .share(Outcome::Released(Released::Refused(reason)));
            self.lead.leave();
        } else {
            self.release_marked(Released::Refused(reason));
        }
    }

    fn release_marked(mut self, released: Released) {
        // Told first: whoever joins before the marker stands is told, too.
        self.lead.share(Outcome::Released(released));
        self.lead.leave_marked();
    }
}

/// Whether a response answers a request that asks for nothing special, right now.
fn is_sharable(head: &StoredHead, now: Instant) -> bool {
    decide_reuse(&RequestDirectives::default(), &head.freshness(now)).is_sharable()
}

/// The Content-Length of a response, if it is one number (RFC 9110 8.6).
fn content_length(fields: &HeaderMap) -> Option<u64> {
    let mut values = fields.get_all(header::CONTENT_LENGTH).iter();
    let value = values.next()?.to_str().ok()?;
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || values.next().is_some() {
        return None;
    }
    value.parse().ok()
}

impl fmt::Debug for FillPermit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FillPermit")
            .field("lead", &self.lead)
            .finish_non_exhaustive()
    }
}
