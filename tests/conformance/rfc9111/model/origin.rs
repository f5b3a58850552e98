//! The origin of the random exchanges: it answers as was planned for the path,
//! and notes what it answered. Dates are written by a formatter of its own.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use verge_tests::Recorded;
use verge_tests::origin::{OriginResponse, hang_up, respond};

use super::exchange::{Directives, Named, Planned, Tag, Varies};

/// One answer of the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// A response with content of this number.
    Content(u64),
    /// 304; the number stands in `x-note`.
    NotModified(u64),
    /// A response to HEAD.
    Head(u64),
    /// To an unsafe method.
    Changed,
    /// None: the connection was closed.
    HungUp,
}

/// What it says next about a path.
#[derive(Clone, Debug)]
pub(super) struct Says {
    pub(super) planned: Planned,
    pub(super) now: SystemTime,
    /// What Last-Modified counts from.
    pub(super) begun: SystemTime,
    /// For unsafe methods: what is named, and by which path.
    pub(super) named: (Named, String),
}

#[derive(Default)]
pub(super) struct Script(Mutex<State>);

#[derive(Default)]
struct State {
    says: HashMap<String, Says>,
    answered: Vec<Answered>,
    last: u64,
}

/// The content of a number; 8 bytes, whatever the number.
pub(super) fn content(number: u64) -> String {
    format!("{number:08}")
}

/// An IMF-fixdate (RFC 9110 5.6.7).
pub(super) fn date(time: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [(&str, u64); 12] = [
        ("Jan", 31),
        ("Feb", 28),
        ("Mar", 31),
        ("Apr", 30),
        ("May", 31),
        ("Jun", 30),
        ("Jul", 31),
        ("Aug", 31),
        ("Sep", 30),
        ("Oct", 31),
        ("Nov", 30),
        ("Dec", 31),
    ];
    let seconds = time.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (all_days, second) = (seconds / 86_400, seconds % 86_400);
    // Good until 2100.
    let is_leap = |year: u64| year.is_multiple_of(4);
    let (mut year, mut day) = (1970, all_days);
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 0;
    loop {
        let days = MONTHS[month].1 + u64::from(month == 1 && is_leap(year));
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    format!(
        "{}, {:02} {} {year} {:02}:{:02}:{:02} GMT",
        DAYS[(all_days % 7) as usize],
        day + 1,
        MONTHS[month].0,
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

fn cache_control(directives: &Directives) -> String {
    let ages = [
        (directives.max_age, "max-age"),
        (directives.s_maxage, "s-maxage"),
        (directives.stale_while_revalidate, "stale-while-revalidate"),
        (directives.stale_if_error, "stale-if-error"),
    ];
    let flags = [
        (directives.no_store, "no-store"),
        (directives.private, "private"),
        (directives.no_cache, "no-cache"),
        (directives.public, "public"),
        (directives.must_revalidate, "must-revalidate"),
        (directives.proxy_revalidate, "proxy-revalidate"),
    ];
    let ages = ages
        .iter()
        .filter_map(|(age, word)| age.map(|age| format!("{word}={age}")));
    let flags = flags.iter().filter(|(is_said, _)| *is_said);
    let words: Vec<String> = ages
        .chain(flags.map(|(_, word)| (*word).to_owned()))
        .collect();
    words.join(", ")
}

pub(super) fn written(tag: Tag) -> String {
    let weak = if tag.is_weak { "W/" } else { "" };
    format!("{weak}\"{}\"", tag.number)
}

impl Says {
    fn fields(&self, note: u64) -> Vec<(&'static str, String)> {
        let planned = &self.planned;
        let dated = self.now - Duration::from_secs(planned.dated);
        let mut fields = vec![
            ("date", date(dated)),
            ("age", planned.age.to_string()),
            ("x-note", note.to_string()),
        ];
        let directives = cache_control(&planned.directives);
        if !directives.is_empty() {
            fields.push(("cache-control", directives));
        }
        if let Some(seconds) = planned.expires {
            let step = Duration::from_secs(seconds.unsigned_abs());
            let at = if seconds < 0 {
                dated - step
            } else {
                dated + step
            };
            fields.push(("expires", date(at)));
        }
        fields.extend(self.modified().map(|at| ("last-modified", at)));
        fields.extend(planned.tag.map(|tag| ("etag", written(tag))));
        fields.extend(planned.key.map(|key| ("surrogate-key", format!("k{key}"))));
        let varies = match planned.varies {
            Varies::No => return fields,
            Varies::ByColour => "x-colour",
            Varies::BySize => "x-size",
            Varies::ByBoth => "x-size, x-colour",
            Varies::ByAnything => "*",
        };
        fields.push(("vary", varies.to_owned()));
        fields
    }

    fn modified(&self) -> Option<String> {
        let ago = self.planned.modified?;
        Some(date(self.begun - Duration::from_secs(ago)))
    }

    /// RFC 9110 13.2.2: If-None-Match by weak comparison, else If-Modified-Since, of which only
    /// the very date occurs here.
    fn is_known_to(&self, asked: &Recorded) -> bool {
        if self.planned.status != 200 {
            return false;
        }
        match asked.field("if-none-match") {
            Some(known) => self.planned.tag.is_some_and(|tag| {
                let plain = format!("\"{}\"", tag.number);
                known
                    .split(", ")
                    .any(|known| known.trim_start_matches("W/") == plain)
            }),
            None => {
                let since = asked.field("if-modified-since");
                since.is_some() && since == self.modified().as_deref()
            }
        }
    }

    fn change(&self, host: &str) -> OriginResponse {
        let (named, path) = &self.named;
        let field = match named {
            Named::Nothing => None,
            Named::ByLocation => Some(("location", format!("http://{host}{path}"))),
            Named::ByContentLocation => Some(("content-location", path.clone())),
            Named::Elsewhere => Some(("location", format!("http://elsewhere.example{path}"))),
        };
        let fields: Vec<_> = field.iter().map(|(n, v)| (*n, v.as_str())).collect();
        respond(self.planned.status, &fields, "")
    }
}

impl Script {
    pub(super) fn plan(&self, path: &str, says: Says) {
        let mut state = self.0.lock();
        state.says.insert(path.to_owned(), says);
        state.answered.clear();
    }

    /// What was answered since the last plan.
    pub(super) fn answered(&self) -> Vec<Answered> {
        self.0.lock().answered.clone()
    }

    pub(super) fn answer(&self, asked: &Recorded) -> OriginResponse {
        let mut state = self.0.lock();
        let Some(says) = state.says.get(asked.path()).cloned() else {
            return respond(599, &[], "");
        };
        if says.planned.hangs_up {
            state.answered.push(Answered::HungUp);
            return hang_up();
        }
        if asked.method != "GET" && asked.method != "HEAD" {
            state.answered.push(Answered::Changed);
            return says.change(asked.field("host").unwrap_or_default());
        }
        state.last += 1;
        let number = state.last;
        let mut fields = says.fields(number);
        let (status, body, answered) = if asked.method == "HEAD" {
            let answered = Answered::Head(number);
            (says.planned.status, content(number), answered)
        } else if says.is_known_to(asked) {
            (304, String::new(), Answered::NotModified(number))
        } else {
            fields.push(("x-id", number.to_string()));
            let answered = Answered::Content(number);
            (says.planned.status, content(number), answered)
        };
        state.answered.push(answered);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        respond(status, &fields, body)
    }
}

#[test]
fn dates_are_written_as_rfc_9110_5_6_7_says() {
    let at = |seconds| date(UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(at(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(at(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_eq!(at(1_800_000_000), "Fri, 15 Jan 2027 08:00:00 GMT");
}
