//! How much is tried, and where it is told.

use std::io::Write;

/// Whether minutes may be spent.
pub fn large() -> bool {
    std::env::var_os("KEYSMITH_CHAOS").is_some_and(|it| it != "0")
}

/// Appends lines to the file that `KEYSMITH_CHAOS_REPORT` names.
pub fn report(lines: &[String]) {
    let Some(path) = std::env::var_os("KEYSMITH_CHAOS_REPORT") else { return };
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    writeln!(file, "{}", lines.join("\n")).unwrap();
}
