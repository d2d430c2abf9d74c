//! `keysmith emulate`.

use super::run::{cannot_listen, signalled};
use crate::emulator::{Emulator, serve};
use crate::output::{Failure, print};
use crate::runtime::clock::Clock;
use clap::Args;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// The arguments of `keysmith emulate`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where to listen.
    #[arg(long, env = "KEYSMITH_EMULATOR_ADDRESS", default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
}

/// Serves until the process receives a signal to stop.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let clock = Clock::system();
    let emulator = Emulator::new(move || clock.now());
    let seed = emulator.seed_demo();
    let listener = TcpListener::bind(arguments.listen)
        .await
        .map_err(|error| cannot_listen("--listen", arguments.listen, &error))?;
    let address = listener.local_addr()?;
    print(&format!(
        "The vendors, emulated, at http://{address}\n\n\
         Edgee console API  http://{address}/edgee           (endpoint of a ConsoleToken)\n\
         Edgee gateway      http://{address}/edgee-gateway   (gatewayUrl of a ConsoleToken)\n\
         organization       {}\n\
         console token      {}\n\n\
         Eden AI            http://{address}/edenai          (endpoint, v2 and v3)\n\
         Eden AI gateway    http://{address}/edenai-gateway  (gatewayUrl)\n\
         auth key, v3       {}\n\
         issuer key, v3     {}\n\
         API key, v2        {}\n\n\
         Cortecs            http://{address}/cortecs         (endpoint)\n\
         Cortecs gateway    http://{address}/cortecs-gateway (gatewayUrl)\n\
         management key     {}\n\n\
         LiteLLM            http://{address}/litellm         (endpoint)\n\
         LiteLLM gateway    http://{address}/litellm-gateway (gatewayUrl)\n\
         master key         {}\n\n\
         OpenRouter         http://{address}/openrouter      (endpoint)\n\
         OpenRouter gateway http://{address}/openrouter-gateway (gatewayUrl)\n\
         management key, OpenRouter {}\n\n\
         control            http://{address}/_emulator/state\n\n\
         Start the operator with --allowed-endpoints=http://{address}\n",
        seed.organization,
        seed.token,
        seed.edenai_v3,
        seed.edenai_issuer,
        seed.edenai_v2,
        seed.cortecs,
        seed.litellm,
        seed.openrouter,
    ))?;
    serve(emulator, listener, signalled()).await?;
    Ok(())
}
