//! The metrics of functions: what the node measures of them, and what they
//! count by themselves.

use std::fmt;
use std::sync::Arc;

use super::super::super::exposition::Page;
use super::super::super::handles::FunctionMetrics;
use super::super::super::sample::{IdleSample, Sample};

pub(super) fn encode(all: &[Arc<FunctionMetrics>], page: &mut Page<'_>) -> fmt::Result {
    let help = "From the wish for an instance to its being ready, by start class.";
    let mut starts = page.histogram("verge_function_start_seconds", help)?;
    for function in all {
        for (class, histogram) in function.starts() {
            let labels = [("function", function.name()), ("start_class", class)];
            starts.put(labels, histogram)?;
        }
    }
    let help = "Time that the guest itself ran, for each call.";
    let mut cpu = page.histogram("verge_function_cpu_seconds", help)?;
    for function in all {
        cpu.put([("function", function.name())], &function.cpu)?;
    }
    let mut outcomes = page.counter("verge_function_outcomes", "Calls by outcome.")?;
    for function in all {
        for (outcome, number) in function.outcomes.all() {
            let labels = [("function", function.name()), ("outcome", outcome)];
            outcomes.put(labels, number)?;
        }
    }
    let help = "Failed calls, by the policy that said what becomes of the request.";
    let mut failures = page.counter("verge_function_failures", help)?;
    for function in all {
        for (policy, number) in function.failures.all() {
            let labels = [("function", function.name()), ("on_failure", policy)];
            failures.put(labels, number)?;
        }
    }
    let mut fetches = page.counter("verge_function_fetches", "Requests of functions.")?;
    for function in all {
        for (outcome, number) in function.fetches.all() {
            let labels = [("function", function.name()), ("outcome", outcome)];
            fetches.put(labels, number)?;
        }
    }
    let help = "Lines over a call's log limit.";
    let mut dropped = page.counter("verge_function_log_dropped_lines", help)?;
    for function in all {
        let number = function.dropped_lines.sum(0);
        dropped.put([("function", function.name())], number)?;
    }
    let help = "Work for after responses: what was run, and why other was not.";
    let mut deferred = page.counter("verge_function_deferred", help)?;
    for function in all {
        for (outcome, number) in function.deferred.all() {
            let labels = [("function", function.name()), ("outcome", outcome)];
            deferred.put(labels, number)?;
        }
    }
    let help = "Calls that were to be recorded, by what became of the recording.";
    let mut recordings = page.counter("verge_function_recordings", help)?;
    for function in all {
        for (result, number) in function.recordings.all() {
            let labels = [("function", function.name()), ("result", result)];
            recordings.put(labels, number)?;
        }
    }
    versions(all, page)?;
    own(all, page)
}

/// What versions of functions do, and what became of them.
fn versions(all: &[Arc<FunctionMetrics>], page: &mut Page<'_>) -> fmt::Result {
    let help = "Calls of the last few versions.";
    let mut calls = page.counter("verge_function_version_calls", help)?;
    for function in all {
        for version in function.versions() {
            let digest = version.digest.to_string();
            for (outcome, number) in version.calls() {
                let labels = [
                    ("function", function.name()),
                    ("version", digest.as_str()),
                    ("outcome", outcome),
                ];
                calls.put(labels, number)?;
            }
        }
    }
    let help = "Versions deployed, promoted and rolled back.";
    let mut deploys = page.counter("verge_function_deploys", help)?;
    for function in all {
        for (event, number) in function.deploys.all() {
            deploys.put([("function", function.name()), ("event", event)], number)?;
        }
    }
    let help = "Calls of versions in the shadow, by how they compare with the live one's.";
    let mut shadows = page.counter("verge_function_shadow_calls", help)?;
    for function in all {
        for (result, number) in function.shadows.all() {
            shadows.put([("function", function.name()), ("result", result)], number)?;
        }
    }
    Ok(())
}

/// Instances that wait.
pub(super) fn encode_idle(all: &[IdleSample], page: &mut Page<'_>) -> fmt::Result {
    let help = "Instances that wait for calls, made ahead or kept after a call.";
    let mut idle = page.gauge("verge_function_idle_instances", help)?;
    for sample in all {
        idle.put([("function", &*sample.function)], sample.instances)?;
    }
    Ok(())
}

/// Which versions run.
pub(super) fn encode_shares(sample: &Sample, page: &mut Page<'_>) -> fmt::Result {
    let help = "The part of the requests that a version gets; one in the shadow gets none.";
    let mut ratios = page.gauge("verge_function_share_ratio", help)?;
    for share in &sample.shares {
        let labels = [
            ("function", &*share.function),
            ("version", share.version.as_str()),
        ];
        ratios.put_ratio(labels, share.ratio)?;
    }
    let help = "Functions whose versions are not kept on disk as they are.";
    page.gauge("verge_function_versions_unkept", help)?
        .put_one(sample.unkept)
}

/// What functions count. Their names and labels are values here, and labels beside ours: two
/// functions that use one name for different things do not meet.
fn own(all: &[Arc<FunctionMetrics>], page: &mut Page<'_>) -> fmt::Result {
    let help = "Counters of functions, by the name that the function gave.";
    let mut counters = page.counter("verge_function_counter", help)?;
    for function in all {
        for (series, number) in function.guest().counters() {
            let mut labels = vec![("function", function.name()), ("counter", &*series.name)];
            labels.extend(series.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            counters.put(labels, number)?;
        }
    }
    let help = "Histograms of functions, by the name that the function gave.";
    let mut histograms = page.histogram("verge_function_histogram", help)?;
    for function in all {
        for (series, histogram) in function.guest().histograms() {
            let mut labels = vec![("function", function.name()), ("histogram", &*series.name)];
            labels.extend(series.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            let (sum, buckets) = histogram.read();
            histograms.put_values(labels, sum, &buckets)?;
        }
    }
    let help = "Updates of functions' metrics that were over `metric_series`.";
    let mut others = page.counter("verge_function_metric_overflows", help)?;
    for function in all {
        others.put([("function", function.name())], function.guest().others())?;
    }
    Ok(())
}
