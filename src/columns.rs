//! Tables for people's eyes.

use std::fmt::Write;

/// Lines of cells, the first of them the titles, in columns as wide as they have to be.
pub fn aligned(lines: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for line in lines {
        for (place, cell) in line.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(place) {
                Some(known) => *known = (*known).max(width),
                None => widths.push(width),
            }
        }
    }
    let mut text = String::new();
    for line in lines {
        let padded: Vec<_> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        // Writing to a String does not fail.
        let _ = writeln!(text, "{}", padded.join("  ").trim_end());
    }
    text
}

/// Whoever may name things at the vendor does not move the reader's cursor.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
