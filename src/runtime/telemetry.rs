//! Logs.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// kube-client logs the whole body of an answer that it cannot decode, and a body may be a Secret. That one
/// target stays off whatever level is asked for; the error itself is logged by whoever made the call.
const NEVER: &str = "kube_client::client=off";

/// Starts logging to standard error. `filter` is a level or a list of `target=level`.
pub fn start(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(format!("{filter},{NEVER}")).map_err(|error| {
        format!("--log-level: {error}; use error, warn, info, debug, trace or target=level")
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| error.to_string())
}
