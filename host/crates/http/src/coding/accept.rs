//! Accept-Encoding (RFC 9110 12.5.3) and its weights (12.4.2).

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use super::Coding;
use crate::syntax::{field_members, split_parameter, trim_ows};

/// The weight of what is named without one, in thousandths.
const FULL: u16 = 1000;

/// What a request accepts: a weight in thousandths for each coding that it names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptedCodings {
    named: [Option<u16>; Coding::ALL.len()],
    identity: Option<u16>,
    /// The weight of all that is not named.
    any: Option<u16>,
}

impl AcceptedCodings {
    /// From all Accept-Encoding lines. Of two weights for one coding the lower counts, and what
    /// has no valid weight is not accepted: content as it is can be read by all.
    #[must_use]
    pub fn of(request: &HeaderMap) -> Self {
        let mut accepted = Self::default();
        for member in field_members(request, &ACCEPT_ENCODING) {
            let mut parts = member.splitn(2, |byte| *byte == b';');
            let name = trim_ows(parts.next().unwrap_or_default());
            let weight = parts.next().map_or(Some(FULL), weight).unwrap_or(0);
            if let Some(place) = accepted.place(name) {
                *place = Some(place.map_or(weight, |known| known.min(weight)));
            }
        }
        accepted
    }

    fn place(&mut self, name: &[u8]) -> Option<&mut Option<u16>> {
        if name == b"*" {
            return Some(&mut self.any);
        }
        if name.eq_ignore_ascii_case(b"identity") {
            return Some(&mut self.identity);
        }
        // RFC 9110 8.4.1.3: x-gzip is gzip.
        let is = |coding: &Coding| {
            name.eq_ignore_ascii_case(coding.token().as_bytes())
                || (*coding == Coding::Gzip && name.eq_ignore_ascii_case(b"x-gzip"))
        };
        let coding = Coding::ALL.into_iter().find(is)?;
        self.named.get_mut(coding.index())
    }

    /// The weight of a coding; 0 if it is not accepted.
    #[must_use]
    pub fn weight(&self, coding: Coding) -> u16 {
        let named = self.named.get(coding.index()).copied().flatten();
        named.or(self.any).unwrap_or(0)
    }

    /// Whether content without a coding is accepted.
    #[must_use]
    pub fn accepts_identity(&self) -> bool {
        self.identity.or(self.any) != Some(0)
    }

    /// The coding with the highest weight, of equal ones the first of `preferences`; `None` if
    /// content goes as it is: nothing is accepted, or `identity` has a higher weight.
    #[must_use]
    pub fn select(&self, preferences: &[Coding]) -> Option<Coding> {
        let mut best: Option<(u16, Coding)> = None;
        for coding in preferences {
            let weight = self.weight(*coding);
            if weight > best.map_or(0, |(weight, _)| weight) {
                best = Some((weight, *coding));
            }
        }
        // Without a weight of its own, identity is what is left when nothing else is.
        let identity = self.identity.unwrap_or(0);
        best.filter(|(weight, _)| *weight >= identity)
            .map(|(_, coding)| coding)
    }
}

/// `q=0.5` among the parameters of a member, in thousandths; `None` if it is malformed.
fn weight(parameters: &[u8]) -> Option<u16> {
    let mut weight = FULL;
    for parameter in parameters.split(|byte| *byte == b';') {
        let (name, value) = split_parameter(trim_ows(parameter));
        if trim_ows(name).eq_ignore_ascii_case(b"q") {
            weight = weight.min(qvalue(value?)?);
        }
    }
    Some(weight)
}

/// `0`, `1`, or one of them with up to three decimals (RFC 9110 12.4.2).
fn qvalue(value: &[u8]) -> Option<u16> {
    let (whole, decimals) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut thousandths = match whole {
        b'0' => 0,
        b'1' => FULL,
        _ => return None,
    };
    let mut place = 100;
    for digit in decimals {
        let digit = char::from(*digit).to_digit(10)?;
        thousandths += u16::try_from(digit).ok()? * place;
        place /= 10;
    }
    (thousandths <= FULL).then_some(thousandths)
}
