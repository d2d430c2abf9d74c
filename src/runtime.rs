//! Facilities of the process that are neither policy nor Kubernetes nor vendor: clock, logs, metrics, HTTP endpoints,
//! leader election, liveness.

pub mod clock;
pub mod critical;
pub mod leadership;
pub mod liveness;
pub mod memory;
pub mod metrics;
pub mod server;
pub mod telemetry;
pub mod turns;
