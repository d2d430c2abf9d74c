//! Commands that read and write resources only: what a person would otherwise do with `kubectl get`, `annotate` and
//! `patch`. None of them but `adopt` calls a vendor.

pub mod adopt;
pub mod doctor;
pub mod manifests;
pub mod plan;
pub mod report;
pub mod request;
pub mod select;
pub mod status;
pub mod support_bundle;
pub mod validate;
pub mod whose;
