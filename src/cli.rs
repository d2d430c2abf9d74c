//! The command line.

mod complete;
#[cfg(feature = "emulator")]
mod emulate;
mod ready;
mod run;

use crate::output::{Failure, PLUGIN, WrongFlag, is_called, is_plugin, print, program};
use crate::runtime::telemetry::{self, Filter, LogFormat};
use crate::{api, commands, explain, orphans, uninstall, usage};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use kube::ResourceExt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// LLM-gateway keys as Kubernetes resources.
#[derive(Debug, Parser)]
#[command(name = "keysmith", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How much Keysmith logs: error, warn, info, debug, trace or off. Libraries are asked for by name, such as
    /// debug,kube=debug.
    #[arg(long, global = true, env = "KEYSMITH_LOG_LEVEL", default_value = "info")]
    log_level: Filter,
    /// How logs are written, to standard error.
    #[arg(long, global = true, env = "KEYSMITH_LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator.
    Run(run::Arguments),
    /// Print the custom resource definitions, or write them to a folder.
    Crds {
        /// Write one file per kind to this folder instead.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Show what each vendor can do with a GatewayApiKey.
    Explain {
        /// Only this vendor.
        vendor: Option<String>,
        /// How to show it.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Show console tokens, their keys, the Secrets, the workloads that read them, and what happens next and when.
    Status(commands::status::Arguments),
    /// Check definitions, operator, clock, policies, console tokens and your rights, and say what to do.
    Doctor(commands::doctor::Arguments),
    /// Write a page (HTML) with every key by namespace: expiry, next rotation, spending, last use, and what lacks a limit.
    Report(commands::report::Arguments),
    /// Check files without a cluster: by the definitions of this version, and by what the operator refuses.
    Validate(commands::validate::Arguments),
    /// Show what applying files would do: changed in place, a new key, refused. Nothing is changed, no vendor is called.
    Plan(commands::plan::Arguments),
    /// Replace keys by new ones, with the overlap of every rotation.
    Rotate(commands::request::Rotate),
    /// Declare keys leaked: new ones now, and the leaked ones and all previous ones revoked at once.
    Leaked(commands::request::Leaked),
    /// Leave keys, their settings and their Secrets as they are.
    Suspend(commands::request::Suspend),
    /// End a suspension.
    Resume(commands::request::Suspend),
    /// Write resources for keys that exist at a vendor and that nothing manages, to be looked at first (Observe).
    Adopt(commands::adopt::Arguments),
    /// Find the resource of a key that was found somewhere, or of a name in a vendor's console.
    Whose(commands::whose::Arguments),
    /// List keys at the vendors that no resource accounts for, and those left behind on purpose; remove them on request.
    Orphans(orphans::command::Arguments),
    /// Show what keys spent, by key, namespace or label, as a table, CSV or JSON.
    Usage(usage::command::Arguments),
    /// Write a file for support: resources, events, logs and the doctor's findings, without credentials, listed before it is written.
    SupportBundle(commands::support_bundle::Arguments),
    /// Print the completion of a shell.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages to a folder.
    Man {
        /// The folder.
        dir: PathBuf,
    },
    /// Ask a running operator whether it is ready; `helm test` does so.
    Ready(ready::Arguments),
    /// Check whether resources are left that need the operator; the chart does so before it is uninstalled.
    UninstallCheck(uninstall::Arguments),
    /// Run the vendors as a local server, with faults on request, to try things without an account.
    #[cfg(feature = "emulator")]
    Emulate(emulate::Arguments),
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
}

/// The command line under the name with which the binary was called: `keysmith`, or `kubectl keysmith` as a plugin.
fn command() -> clap::Command {
    let command = Cli::command();
    if is_plugin() { command.name(PLUGIN).bin_name(program()).display_name(program()) } else { command }
}

impl Cli {
    /// Reads the command line of the process; a wrong one ends the process with exit code 2.
    pub fn read() -> Self {
        if is_called(complete::PROGRAM) {
            let words = std::env::args_os().skip(1).map(|it| it.to_string_lossy().into_owned());
            let words: Vec<_> = words.collect();
            // kubectl shows nothing of an answer that it cannot read.
            let _ = std::io::stdout().write_all(complete::answer(&Self::command(), &words).as_bytes());
            std::process::exit(0);
        }
        let matches = command().get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// Runs the subcommand.
    pub async fn execute(self) -> Result<ExitCode, Failure> {
        // The operator starts its log by itself, together with its traces.
        if !matches!(self.command, Command::Run(_)) {
            telemetry::start(self.log_format, &self.log_level, None)?;
        }
        match self.command {
            Command::Run(arguments) => run::run(arguments, self.log_format, &self.log_level).await?,
            Command::Crds { dir } => crds(dir)?,
            Command::Explain { vendor, output } => {
                let vendor = vendor.as_deref();
                let text = match output {
                    Output::Text => explain::text(vendor),
                    Output::Json => explain::json(vendor).map(|it| it + "\n"),
                };
                print(&text.map_err(WrongFlag)?)?;
            }
            Command::Status(arguments) => return commands::status::run(arguments).await,
            Command::Doctor(arguments) => return commands::doctor::run(arguments).await,
            Command::Report(arguments) => return commands::report::run(arguments).await,
            Command::Validate(arguments) => return commands::validate::run(&arguments),
            Command::Plan(arguments) => return commands::plan::run(arguments).await,
            Command::Rotate(arguments) => return commands::request::rotate(arguments).await,
            Command::Leaked(arguments) => return commands::request::leaked(arguments).await,
            Command::Suspend(arguments) => return commands::request::suspend(arguments, true).await,
            Command::Resume(arguments) => return commands::request::suspend(arguments, false).await,
            Command::Adopt(arguments) => return commands::adopt::run(arguments).await,
            Command::Whose(arguments) => return commands::whose::run(arguments).await,
            Command::SupportBundle(arguments) => return commands::support_bundle::run(arguments).await,
            Command::Completion { shell } => completion(shell)?,
            Command::Man { dir } => manual(&dir)?,
            Command::Orphans(arguments) => return orphans::command::run(arguments).await,
            Command::Usage(arguments) => return usage::command::run(arguments).await,
            Command::Ready(arguments) => return ready::run(arguments).await,
            Command::UninstallCheck(arguments) => return uninstall::run(arguments).await,
            #[cfg(feature = "emulator")]
            Command::Emulate(arguments) => emulate::run(arguments).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The custom resource definitions: file name and YAML.
pub fn crd_files() -> Result<Vec<(String, String)>, serde_yaml::Error> {
    api::crds()
        .into_iter()
        .map(|mut crd| {
            // Crate, chart and definitions share one version, so that a cluster shows which version its definitions are
            // of.
            let version = ("app.kubernetes.io/version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
            let name = ("app.kubernetes.io/name".to_owned(), "keysmith".to_owned());
            crd.labels_mut().extend([name, version]);
            let yaml = serde_yaml::to_string(&crd)?;
            let text = format!(
                "# Written by `keysmith crds`; edit src/api instead, then run `make generate`.\n{yaml}"
            );
            Ok((format!("{}.yaml", crd.name_any()), text))
        })
        .collect()
}

fn completion(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut command = command();
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    Ok(print(&String::from_utf8(text)?)?)
}

fn manual(dir: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| format!("{}: cannot be written: {}", dir.display(), error.kind());
    std::fs::create_dir_all(dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), dir).map_err(failed)?;
    Ok(())
}

fn crds(dir: Option<PathBuf>) -> Result<(), Failure> {
    let files = crd_files()?;
    let Some(dir) = dir else {
        let documents: Vec<_> = files.into_iter().map(|(_, text)| text).collect();
        return Ok(print(&documents.join("---\n"))?);
    };
    let failed =
        |error: std::io::Error| format!("--dir {}: cannot be written: {}", dir.display(), error.kind());
    std::fs::create_dir_all(&dir).map_err(failed)?;
    for (name, text) in files {
        std::fs::write(dir.join(name), text).map_err(failed)?;
    }
    Ok(())
}
