//! Everything that needs no control plane: the emulator, the drivers, the simulated cluster, the chart, the command line, and
//! the documents for users. One program, because linking takes longer than most tests; `cargo test --test fast edgee` runs
//! those of one module.
//!
//! `KEYSMITH_UPDATE=1 cargo test --all-features --test fast -- golden reference config_map written_down` writes the generated
//! files; `make generate` runs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]
#![allow(
    clippy::needless_pass_by_value,
    clippy::type_complexity,
    clippy::too_many_arguments,
    clippy::similar_names,
    clippy::items_after_statements,
    reason = "tables and fakes hand things over as they come"
)]
#![allow(clippy::disallowed_methods, reason = "tests may look at secrets and clocks")]

mod support {
    pub mod cluster;
    pub mod driver_contract;
    pub mod garbage;
    pub mod helm;
    pub mod hostile;
    pub mod invariants;
    pub mod logged;
    pub mod orders;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod random;
    pub mod stub;
    pub mod vendor;
}

mod charts {
    mod alerts;
    mod combinations;
    pub mod golden;
    mod pods;
    mod published;
    pub mod reference;
    mod rules;
}
mod cluster {
    mod workloads;
}
mod cluster_rules {
    mod applying;
    mod controller;
    mod deleting;
    mod faults;
    mod reading;
    mod secrets;
    mod updating;
    mod validating;
    mod watching;
    mod widgets;
}
mod cortecs {
    mod contract;
    mod faults;
    mod keys;
    mod money;
    mod project;
    mod refusals;
    mod world;
}
mod edenai {
    mod budgets;
    mod contract;
    mod expiry;
    mod faults;
    mod issuer;
    mod left;
    mod listing;
    mod reissue;
    mod spending;
    mod v2;
    mod v3;
    mod whose;
    mod world;
}
mod edgee {
    mod account;
    mod coding;
    mod contract;
    mod echoes;
    mod export;
    mod faults;
    mod listing;
    mod paths;
    mod provider_keys;
    mod refusals;
    mod secrets;
    mod settings;
    mod stub;
    mod tcp;
    mod throttling;
    mod tls;
    mod waiting;
    mod world;
}
mod litellm_driver {
    mod contract;
    mod faults;
    mod quirks;
    mod world;
}
mod openrouter {
    mod contract;
    mod faults;
    mod quirks;
    mod world;
}
mod emulator {
    mod access;
    mod accounts;
    mod control;
    mod cortecs;
    mod cortecs_projects;
    mod distorted;
    mod edenai_budgets;
    mod edenai_v2;
    mod edenai_v3;
    mod edenai_v3_access;
    mod export;
    mod faults;
    mod gateway;
    mod handle;
    mod keys;
    mod listing;
    mod provider_keys;
    mod support;
    mod tcp;
}
mod proven {
    mod invariants;
}
mod written {
    mod command;
    mod gitops;
    mod layers;
    mod manifests;
    mod messages;
    mod reference;
    mod vendors;
    mod versions;
}
