//! Output of the commands, in one place: to a pipe that may be closed, without control characters for the terminal, and
//! with an exit code that tells a usage error from a failure.

use crate::columns::printable_lines;
use std::error::Error;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

/// Exit code: a flag or a value is wrong.
pub const USAGE: u8 = 2;

/// The error with which a command fails.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The name of the binary as a plugin of kubectl.
pub const PLUGIN: &str = "kubectl-keysmith";

/// Whether the binary was called as a plugin of kubectl.
pub fn is_plugin() -> bool {
    is_called(PLUGIN)
}

/// Whether the binary was called under that name.
pub fn is_called(name: &str) -> bool {
    let called = std::env::args_os().next();
    called.is_some_and(|it| Path::new(&it).file_stem().is_some_and(|it| it == name))
}

/// The command as the person who called it writes it, for messages that name another subcommand.
pub fn program() -> &'static str {
    if is_plugin() { "kubectl keysmith" } else { "keysmith" }
}

/// A wrong flag or value: `--flag: what, and what to write instead`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongFlag(pub String);

/// Prints the result. A closed pipe is no error: `head` closes it when it has enough lines.
pub fn print(text: &str) -> io::Result<()> {
    write(&mut io::stdout().lock(), text)
}

/// Prints a message to standard error, so that it does not mix with the result in a pipe. A failed write is ignored.
pub fn tell(text: &str) {
    let _ = write(&mut io::stderr().lock(), &format!("{text}\n"));
}

fn write(to: &mut impl Write, text: &str) -> io::Result<()> {
    let written = to.write_all(printable_lines(text).as_bytes()).and_then(|()| to.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Whether a person can be asked. `what`: the flag or command that asks first.
pub fn can_confirm(what: &str) -> Result<(), WrongFlag> {
    if io::stdin().is_terminal() {
        return Ok(());
    }
    Err(WrongFlag(format!("{what}: asks first, and there is no terminal to ask on; add --yes")))
}

/// Shows what will happen, and asks whether to go on.
pub async fn confirm(consequence: &str) -> Result<bool, Failure> {
    tell(consequence);
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        let mut stderr = io::stderr();
        write!(stderr, "type yes to go on: ").and_then(|()| stderr.flush())?;
        io::stdin().read_line(&mut answer).map(|_| answer)
    });
    Ok(answer.await??.trim() == "yes")
}

/// Prints the error of a failed command. The error is a whole sentence that already includes its cause.
pub fn fail(error: &Failure) -> ExitCode {
    if let Some(error) = error.downcast_ref::<kube::Error>() {
        tell(&format!("keysmith: {}", crate::cluster::sentence(error)));
        return ExitCode::FAILURE;
    }
    tell(&format!("keysmith: {error}"));
    if error.is::<WrongFlag>() { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed(ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_a_full_disk_is_one() {
        assert!(write(&mut Closed(ErrorKind::BrokenPipe), "text").is_ok());
        assert!(write(&mut Closed(ErrorKind::StorageFull), "text").is_err());
    }

    #[test]
    fn no_terminal_obeys_what_is_printed() {
        let mut shown = Vec::new();
        write(&mut shown, "a\u{1b}[2J\u{202e}b\n").unwrap();
        assert_eq!(String::from_utf8(shown).unwrap(), "a\u{fffd}[2J\u{fffd}b\n");
    }
}
