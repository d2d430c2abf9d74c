//! Keysmith: LLM-gateway keys as Kubernetes resources.
//!
//! The code map, in the order in which data flows (ARCHITECTURE.md has the picture):
//!
//! - [`api`]: what users write. Data only.
//! - [`plan`]: what should happen next. Pure: no I/O, no `async`, no clock.
//! - [`gateway`]: what the vendors understand. One folder per vendor, a registry with a row for each driver, HTTP in one file.
//! - [`protocol`]: the engine: observe, decide, act, report, generic over its ports. No client, no clock.
//! - [`cluster`]: what Kubernetes understands. Claims, status, Secrets, watches, events.
//! - [`controller`]: the loop, and one file per kind. It waits, and never thinks.
//! - [`runtime`]: clock, critical sections, leader election, liveness, metrics, logs, health endpoint.
//! - [`operator`]: the wiring of all that.
//! - [`cli`]: the command line; [`orphans`]: the command that shows and removes what is left behind; [`usage`]: the one
//!   that shows what keys spent; [`session`] is what both work with; [`uninstall`] says whether the operator can go;
//!   [`commands`]: those that read and write resources only; [`output`]: how all of them print, and end.
//! - [`emulator`] (feature `emulator`): the vendors as a local server with faults.

pub mod api;
pub mod cli;
pub mod cluster;
mod columns;
pub mod commands;
pub mod controller;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod explain;
pub(crate) mod flags;
pub mod gateway;
pub mod operator;
pub mod orphans;
pub mod output;
pub mod plan;
pub mod protocol;
pub mod runtime;
pub mod session;
pub mod uninstall;
pub mod usage;
