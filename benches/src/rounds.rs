//! Interleaved rounds, and what is said about their results.

use std::fmt;

use anyhow::{Context as _, Result};

/// How often and how long is measured; `--rounds N` and `--seconds S` change it.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// Rounds; each measures every contender once.
    pub count: usize,
    /// Seconds for one contender in one round.
    pub seconds: f64,
}

impl Rounds {
    /// `count` rounds of `seconds`, unless the command line says otherwise.
    ///
    /// # Errors
    /// When an option has no number.
    pub fn from_arguments(count: usize, seconds: f64) -> Result<Self> {
        let mut rounds = Self { count, seconds };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || -> Result<f64> {
                let value = arguments.next();
                let value = value.with_context(|| format!("{argument} needs a number"))?;
                value.parse().with_context(|| format!("{argument} {value}"))
            };
            match argument.as_str() {
                "--rounds" => rounds.count = (number()? as usize).max(1),
                "--seconds" => rounds.seconds = number()?.max(0.1),
                // Cargo's own, and filters meant for other benches.
                _ => {}
            }
        }
        Ok(rounds)
    }
}

/// Measures each contender once in each round. Each round begins with another
/// one, so that none always comes after the same. The result is one list of
/// samples for each contender.
///
/// # Errors
/// The first error of `measure`.
pub fn interleave<C, S>(
    rounds: usize,
    contenders: &mut [C],
    mut measure: impl FnMut(&mut C) -> Result<S>,
) -> Result<Vec<Vec<S>>> {
    let count = contenders.len();
    let mut samples: Vec<Vec<S>> = contenders.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for step in 0..count {
            let index = (round + step) % count;
            if let (Some(contender), Some(list)) =
                (contenders.get_mut(index), samples.get_mut(index))
            {
                list.push(measure(contender)?);
            }
        }
    }
    Ok(samples)
}

/// The median of some rounds, with the quartiles around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Half of the rounds are below.
    pub median: f64,
    /// A quarter of the rounds is below.
    pub low: f64,
    /// A quarter of the rounds is above.
    pub high: f64,
}

impl Spread {
    /// The spread of `values`; all zero if there are none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self {
            median: quantile(&sorted, 0.5),
            low: quantile(&sorted, 0.25),
            high: quantile(&sorted, 0.75),
        }
    }

    /// The spread of `first / second`, round by round.
    #[must_use]
    pub fn of_ratios(
        first: impl IntoIterator<Item = f64>,
        second: impl IntoIterator<Item = f64>,
    ) -> Self {
        Self::of(first.into_iter().zip(second).map(|(a, b)| a / b))
    }

    /// What a ratio says: only where the quartiles lie on one side of 1 is
    /// there a difference to speak of.
    #[must_use]
    pub fn verdict(&self, more: &'static str, less: &'static str) -> &'static str {
        if self.low >= 1.0 {
            more
        } else if self.high < 1.0 {
            less
        } else {
            "no difference that the spread lets one see"
        }
    }
}

/// The value at `share` of a sorted list, interpolated.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let place = last as f64 * share;
    let at = |index: usize| sorted.get(index.min(last)).copied().unwrap_or(0.0);
    let (below, above) = (at(place.floor() as usize), at(place.ceil() as usize));
    below + (above - below) * place.fract()
}

impl fmt::Display for Spread {
    /// As `21.4 (20.9-22.0)`; the precision is that of the format.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = formatter.precision().unwrap_or(1);
        let Self { median, low, high } = self;
        let text = format!("{median:.digits$} ({low:.digits$}-{high:.digits$})");
        formatter.pad_integral(true, "", &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_interpolated() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]);
        assert_eq!((spread.low, spread.median, spread.high), (1.75, 2.5, 3.25));
        assert_eq!(Spread::of([]).median, 0.0);
        assert_eq!(format!("{spread:.2}"), "2.50 (1.75-3.25)");
    }

    #[test]
    fn nothing_is_concluded_from_a_ratio_that_crosses_one() {
        let verdict = |values: [f64; 3]| Spread::of(values).verdict("more", "less");
        assert_eq!(verdict([1.0, 1.1, 1.2]), "more");
        assert_eq!(verdict([0.8, 0.9, 0.95]), "less");
        assert!(verdict([0.8, 1.0, 1.2]).starts_with("no difference"));
    }

    #[test]
    fn every_contender_is_measured_in_every_round() {
        let mut order = Vec::new();
        let samples = interleave(3, &mut ['a', 'b'], |name| {
            order.push(*name);
            Ok(order.len())
        });
        assert_eq!(samples.unwrap(), [vec![1, 4, 5], vec![2, 3, 6]]);
        assert_eq!(order, ['a', 'b', 'b', 'a', 'a', 'b']);
    }
}
