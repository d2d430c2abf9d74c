//! Metrics that are exported before they have a series: a query over a name that does not exist yet says nothing, and the
//! first increase of a counter that appears with it is not seen.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use std::fmt;

/// A metric that is exported although it has no series.
#[derive(Debug)]
pub(super) struct Always<M>(pub(super) M);

impl<M: EncodeMetric> EncodeMetric for Always<M> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.0.metric_type()
    }
}
