//! What a process needs that is neither policy nor Kubernetes nor a vendor.

pub mod clock;
pub mod critical;
pub mod leadership;
pub mod liveness;
pub mod metrics;
pub mod server;
pub mod telemetry;
