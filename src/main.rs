//! The binary: parses the command line, runs the command, and prints its error.

use keysmith::cli::Cli;
use keysmith::output::fail;
use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::read();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(cli.execute()) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}
