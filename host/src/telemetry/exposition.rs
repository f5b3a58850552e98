//! Writes metric families as text: a typed cover over the encoder, so that a
//! counter cannot be written as a gauge. Knows no metric's name.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;

use super::counters::{Histogram, LabelledCounters};

/// The text being written.
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

/// A counter family being written.
pub(super) struct CounterText<'a>(MetricEncoder<'a>);

/// A gauge family being written.
pub(super) struct GaugeText<'a>(MetricEncoder<'a>);

/// A histogram family being written.
pub(super) struct HistogramText<'a>(MetricEncoder<'a>);

impl<'e> Page<'e> {
    pub(super) fn new(encoder: DescriptorEncoder<'e>) -> Self {
        Self(encoder)
    }

    fn begin<'a>(
        &'a mut self,
        name: &'a str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'a>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }

    pub(super) fn counter<'a>(
        &'a mut self,
        name: &'a str,
        help: &str,
    ) -> Result<CounterText<'a>, fmt::Error> {
        self.begin(name, help, MetricType::Counter).map(CounterText)
    }

    pub(super) fn gauge<'a>(
        &'a mut self,
        name: &'a str,
        help: &str,
    ) -> Result<GaugeText<'a>, fmt::Error> {
        self.begin(name, help, MetricType::Gauge).map(GaugeText)
    }

    pub(super) fn histogram<'a>(
        &'a mut self,
        name: &'a str,
        help: &str,
    ) -> Result<HistogramText<'a>, fmt::Error> {
        self.begin(name, help, MetricType::Histogram)
            .map(HistogramText)
    }
}

const NO_EXEMPLAR: Option<&Exemplar<NoLabelSet, u64>> = None;

impl CounterText<'_> {
    pub(super) fn put(&mut self, labels: impl EncodeLabelSet, value: u64) -> fmt::Result {
        self.0
            .encode_family(&labels)?
            .encode_counter(&value, NO_EXEMPLAR)
    }

    pub(super) fn put_one(mut self, value: u64) -> fmt::Result {
        self.0.encode_counter(&value, NO_EXEMPLAR)
    }

    pub(super) fn put_all<const N: usize>(
        mut self,
        label: &str,
        counters: &LabelledCounters<N>,
    ) -> fmt::Result {
        let mut all = counters.all().into_iter();
        all.try_for_each(|(value, number)| self.put([(label, value)], number))
    }
}

impl GaugeText<'_> {
    pub(super) fn put(&mut self, labels: impl EncodeLabelSet, value: u64) -> fmt::Result {
        self.0.encode_family(&labels)?.encode_gauge(&value)
    }

    pub(super) fn put_ratio(&mut self, labels: impl EncodeLabelSet, value: f64) -> fmt::Result {
        self.0.encode_family(&labels)?.encode_gauge(&value)
    }

    pub(super) fn put_one(mut self, value: u64) -> fmt::Result {
        self.0.encode_gauge(&value)
    }

    pub(super) fn put_seconds(mut self, value: Duration) -> fmt::Result {
        self.0.encode_gauge(&value.as_secs_f64())
    }
}

impl HistogramText<'_> {
    pub(super) fn put(
        &mut self,
        labels: impl EncodeLabelSet,
        histogram: &Histogram,
    ) -> fmt::Result {
        write_histogram(&mut self.0.encode_family(&labels)?, histogram)
    }

    /// One that was counted elsewhere: upper bounds, and how many were in each bucket alone.
    pub(super) fn put_values(
        &mut self,
        labels: impl EncodeLabelSet,
        sum: f64,
        buckets: &[(f64, u64)],
    ) -> fmt::Result {
        let count = buckets.iter().map(|(_, number)| number).sum();
        self.0
            .encode_family(&labels)?
            .encode_histogram::<NoLabelSet>(sum, count, buckets, None)
    }

    pub(super) fn put_one(mut self, histogram: &Histogram) -> fmt::Result {
        write_histogram(&mut self.0, histogram)
    }

    /// One that was counted elsewhere: upper bounds in seconds, and how many were in each
    /// bucket alone.
    pub(super) fn put_buckets(
        mut self,
        sum_seconds: f64,
        count: u64,
        buckets: &[(f64, u64)],
    ) -> fmt::Result {
        self.0
            .encode_histogram::<NoLabelSet>(sum_seconds, count, buckets, None)
    }
}

fn write_histogram(encoder: &mut MetricEncoder<'_>, histogram: &Histogram) -> fmt::Result {
    let read = histogram.read();
    encoder.encode_histogram::<NoLabelSet>(read.sum_seconds, read.count, &read.buckets, None)
}
