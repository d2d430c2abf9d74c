//! What should happen next. No I/O, no `async`, no client, no clock: time is a field of the facts.
//!
//! `issuance` decides for keys, with a file for each chapter: `rotation`, `previous_keys`, `adoption`, `recovery`, `missing`,
//! `settings_drift`, `unused_keys` and `deletion`. `provider_key` decides for provider keys, `project` for settings of projects,
//! `token` says what a console token may be and where it may be sent. A `decision` is a step to take and the reason for it; `report` turns
//! reasons into text.

pub mod account;
pub mod adoption;
pub mod budget;
pub mod capability;
pub mod claim;
pub mod class;
pub mod contest;
pub mod credentials;
pub mod decision;
pub mod deletion;
pub mod desired;
pub mod drift;
pub mod duration;
pub mod expiry;
pub mod facts;
pub mod fault;
pub mod hash;
pub mod identity;
pub mod issuance;
pub mod leadership;
pub mod ledger;
pub mod limits;
pub mod listing;
pub mod mints;
mod missing;
pub mod models;
pub mod money;
pub mod names;
pub mod naming;
pub mod network;
pub mod notice;
pub mod orphans;
pub mod pasted;
pub mod policy;
pub mod preview;
pub mod previous_keys;
pub mod project;
pub mod provider_key;
pub mod recovery;
pub mod report;
pub mod requests;
pub mod retry;
pub mod rotation;
pub mod same;
pub mod selector;
pub mod settings;
mod settings_drift;
pub mod shard;
pub mod sighting;
pub mod spec_error;
pub mod spec_field;
pub mod storing;
pub mod succession;
pub mod template;
pub mod time;
pub mod token;
pub mod turns;
pub mod unused_keys;
pub mod usage;
pub mod window;
