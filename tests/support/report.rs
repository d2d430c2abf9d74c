//! Figures for `make chaos`, which sums what its programs append to one file.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;

/// Whether the whole set of cases runs, and not only a short part.
pub fn thorough() -> bool {
    std::env::var("KEYSMITH_CHAOS").is_ok_and(|it| it == "1")
}

/// Appends `name=number` lines to the file named by `KEYSMITH_CHAOS_REPORT`, if it is named.
pub fn add(figures: &[(&str, usize)]) {
    let Some(path) = std::env::var_os("KEYSMITH_CHAOS_REPORT") else {
        return;
    };
    let mut lines = String::new();
    for (name, number) in figures {
        writeln!(lines, "{name}={number}").unwrap();
    }
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    // One write, because other tests of this program append to it at the same time.
    file.write_all(lines.as_bytes()).unwrap();
}

/// Reports violations, and fails if there are any.
pub fn conclude(violations: &[String]) {
    add(&[("violations", violations.len())]);
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}
