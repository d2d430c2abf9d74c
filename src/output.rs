//! What commands print, in one place: to a pipe that may be closed, without characters that a terminal would obey, and with
//! the exit code that says whose mistake it was.

use crate::columns::printable_lines;
use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// A flag or a value is wrong.
pub const USAGE: u8 = 2;

/// What a command ends with when it does not get to its end.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A flag or a value that is wrong: `--flag: what, and what to write instead`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongFlag(pub String);

/// Prints what was asked for. A reader who has seen enough, such as `head`, is no error.
pub fn print(text: &str) -> io::Result<()> {
    write(&mut io::stdout().lock(), text)
}

/// Says what is no result, and so does not go into a pipe. Nothing can be done where nobody reads it.
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

/// The last word of a command that failed. An error is a whole sentence; what caused it is part of that sentence already.
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
