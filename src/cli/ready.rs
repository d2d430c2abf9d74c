//! `keysmith ready`: whether an operator is ready, asked over the network. The chart's `helm test` runs it, because the
//! image has no other program that could ask.

use crate::flags;
use crate::output::{Failure, print, tell};
use clap::Args;
use jiff::SignedDuration;
use reqwest::{Client, StatusCode, Url};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time between two questions, and the longest wait for one answer.
const PAUSE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);
/// No answer of the operator is longer; another server's may be.
const LONGEST: usize = 16 * 1024;

/// The arguments of `keysmith ready`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 ready, 1 not ready in time, 2 a flag or its value is wrong.")]
pub struct Arguments {
    /// Where the operator serves /readyz, by plain http.
    #[arg(long, default_value = "http://127.0.0.1:8080/readyz", value_parser = url)]
    url: Url,
    /// How long to ask again while it is not ready, or does not answer.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = flags::interval)]
    timeout: SignedDuration,
}

fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|it| it.scheme() == "http" && it.has_host());
    url.ok_or_else(|| "write such as http://127.0.0.1:8080/readyz; https is not served".to_owned())
}

/// A client for plain http. reqwest takes no client without a configuration of TLS; this one trusts nobody.
fn client() -> Result<Client, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(Client::builder().tls_backend_preconfigured(tls).no_proxy().timeout(PATIENCE).build()?)
}

/// Asks until the operator is ready.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let client = client()?;
    let deadline = Instant::now() + arguments.timeout.unsigned_abs();
    loop {
        let why = match ask(&client, &arguments.url).await {
            Ok(answer) => {
                print(&answer)?;
                return Ok(ExitCode::SUCCESS);
            }
            Err(why) => why,
        };
        if Instant::now() + PAUSE >= deadline {
            tell(&why);
            return Ok(ExitCode::FAILURE);
        }
        sleep(PAUSE).await;
    }
}

/// The answer of a ready operator, or what it lacks.
async fn ask(client: &Client, url: &Url) -> Result<String, String> {
    let silent = |error: &reqwest::Error| {
        let why = if error.is_timeout() { "no answer in time" } else { "no connection" };
        format!("{url}: {why}; check that the operator runs, and that a NetworkPolicy lets this pod reach it")
    };
    let answer = client.get(url.clone()).send().await.map_err(|error| silent(&error))?;
    let status = answer.status();
    let mut text = answer.text().await.map_err(|error| silent(&error))?;
    text.truncate(text.floor_char_boundary(LONGEST));
    match status {
        StatusCode::OK => Ok(format!("{}\n", text.trim_end())),
        _ => Err(format!("{url}: {}: {}", status.as_u16(), text.trim_end())),
    }
}
