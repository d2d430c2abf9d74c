//! The binary: parse, do, print what went wrong.

use clap::Parser;
use keysmith::cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(cli.execute()) {
        Ok(code) => code,
        Err(error) => fail(error.as_ref()),
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a command line program")]
fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprint!("keysmith: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!();
    ExitCode::FAILURE
}
