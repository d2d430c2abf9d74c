//! Keysmith as users install it: the image is built and runs on a real control plane under its own service account,
//! installed by the chart, by kustomize, and by the commands of the documentation.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]
#![allow(
    clippy::needless_pass_by_value,
    clippy::type_complexity,
    reason = "tables and fakes hand things over as they come"
)]
#![allow(clippy::disallowed_methods, reason = "tests may look at secrets and clocks")]

mod support {
    #[allow(dead_code, reason = "the stories use the rest")]
    pub mod canary;
    #[allow(dead_code, reason = "the tests of the chart use the rest")]
    pub mod helm;
    pub mod image;
    pub mod node;
    #[allow(dead_code, reason = "the stories use the rest")]
    pub mod plane;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod policies;
    #[allow(dead_code, reason = "the stories use the rest")]
    pub mod process;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod rights;
}
mod installs {
    mod image;
    mod kustomize;
    mod lifecycle;
    mod namespaced;
    mod readme;
    mod shell;
    mod side_by_side;
    mod site;
}
