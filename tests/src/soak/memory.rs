//! Whether resident memory stays flat.

use std::fmt;
use std::time::{Duration, Instant};

/// Memory of the node beside its cache: program, connections, allocator.
const BESIDE_MIB: f64 = 192.0;

/// So much more, in percent of the quarter before, the last quarter may take.
const GROWTH_PERCENT: f64 = 5.0;

/// The same in MiB, for what comes and goes with the load.
const GROWTH_MIB: f64 = 8.0;

/// Resident memory over time, in MiB.
pub struct Memory {
    samples: Vec<(f64, f64)>,
}

/// Resident MiB of a process; `None` once it has ended.
fn resident(process: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

impl Memory {
    /// Looks at `process` four times a second until `end`.
    pub async fn watch(process: u32, end: Instant) -> Self {
        let begun = Instant::now();
        let mut samples = Vec::new();
        while Instant::now() < end {
            if let Some(mib) = resident(process) {
                samples.push((begun.elapsed().as_secs_f64(), mib));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Self { samples }
    }

    /// The mean of a quarter, counted from 0.
    fn quarter(&self, number: usize) -> f64 {
        let count = self.samples.len();
        let part = &self.samples[count * number / 4..count * (number + 1) / 4];
        part.iter().map(|(_, mib)| mib).sum::<f64>() / part.len().max(1) as f64
    }

    /// MiB for each minute in the second half, by least squares.
    fn slope(&self) -> f64 {
        let half = &self.samples[self.samples.len() / 2..];
        let count = half.len().max(1) as f64;
        let mean = |value: fn(&(f64, f64)) -> f64| half.iter().map(value).sum::<f64>() / count;
        let (time, mib) = (mean(|sample| sample.0), mean(|sample| sample.1));
        let products = half
            .iter()
            .map(|(at, value)| (at - time) * (value - mib))
            .sum::<f64>();
        let squares = half.iter().map(|(at, _)| (at - time).powi(2)).sum::<f64>();
        if squares > 0.0 {
            products / squares * 60.0
        } else {
            0.0
        }
    }

    fn most(&self) -> f64 {
        self.samples.iter().map(|(_, mib)| *mib).fold(0.0, f64::max)
    }

    /// What is wrong with it, for a cache of `cache_mib`.
    pub fn problem(&self, cache_mib: u64) -> Option<String> {
        let (before, last) = (self.quarter(2), self.quarter(3));
        let allowed = before * (1.0 + GROWTH_PERCENT / 100.0) + GROWTH_MIB;
        if last > allowed {
            return Some(format!(
                "memory grows: {before:.1} MiB in the third quarter, {last:.1} in the last, {allowed:.1} allowed"
            ));
        }
        let ceiling = cache_mib as f64 + BESIDE_MIB;
        (self.most() > ceiling)
            .then(|| format!("{:.1} MiB resident, {ceiling:.0} allowed", self.most()))
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, last] = [0, 1, 2, 3].map(|number| self.quarter(number));
        writeln!(
            formatter,
            "resident MiB by quarters: {first:.1} {second:.1} {third:.1} {last:.1}; most {:.1}",
            self.most()
        )?;
        write!(
            formatter,
            "slope in the second half: {:+.2} MiB a minute; allowed in the last quarter: \
             the one before + {GROWTH_PERCENT} % + {GROWTH_MIB} MiB",
            self.slope()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(value: impl Fn(f64) -> f64) -> Memory {
        let samples = (0..400).map(|index| f64::from(index) / 4.0);
        Memory {
            samples: samples.map(|at| (at, value(at))).collect(),
        }
    }

    #[test]
    fn memory_that_fills_up_and_stays_is_flat_and_a_leak_is_not() {
        let filling = memory(|at| 50.0 + 100.0 * (at / 10.0).min(1.0));
        assert_eq!(filling.problem(64), None);
        assert!(filling.slope().abs() < 0.01);
        let leaking = memory(|at| 50.0 + at);
        assert!(
            leaking
                .problem(64)
                .is_some_and(|what| what.contains("grows"))
        );
        assert!((leaking.slope() - 60.0).abs() < 0.01);
        assert!(memory(|_| 400.0).problem(64).is_some());
    }
}
