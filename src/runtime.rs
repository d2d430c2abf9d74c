//! Facilities of the process that are neither policy nor Kubernetes nor vendor: clock, logs, metrics, HTTP endpoints,
//! leader election, liveness.

pub mod clock;
pub mod critical;
pub mod liveness;
pub mod memory;
pub mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod server;
pub mod telemetry;
pub mod traces;
pub mod turns;
