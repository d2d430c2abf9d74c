//! Commands that read and write resources only: what a person would otherwise do with `kubectl get`, `annotate` and
//! `patch`. None of them calls a vendor.

pub mod doctor;
pub mod report;
pub mod request;
pub mod select;
pub mod status;
pub mod whose;
