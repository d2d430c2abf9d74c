//! Tables for people, and text that is safe to show in a terminal.

use jiff::Timestamp;
use std::fmt::Write;

/// Aligns rows of cells in columns; the first row holds the titles.
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

/// How far away a time is, in its largest unit from two on: `in 20d`, `90s ago`.
pub fn away(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.as_second().saturating_sub(now.as_second());
    let length = seconds.unsigned_abs();
    let length = match length {
        0..120 => format!("{length}s"),
        120..7200 => format!("{}m", length / 60),
        7200..172_800 => format!("{}h", length / 3600),
        _ => format!("{}d", length / 86_400),
    };
    if seconds < 0 { format!("{length} ago") } else { format!("in {length}") }
}

/// Invisible characters that change how text is shown: general category Cf (format), Zl and Zp (line and paragraph
/// separators), and characters with the property `Default_Ignorable_Code_Point` (fillers, variation selectors, tags).
/// Source: the Unicode Character Database, version 17, `extracted/DerivedGeneralCategory.txt` and
/// `DerivedCoreProperties.txt`. Control characters (Cc) are left out: the standard library recognises them.
const INVISIBLE: [(char, char); 31] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{2029}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{2064}'),
    ('\u{2065}', '\u{2065}'),
    ('\u{2066}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fff8}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e001f}'),
    ('\u{e0020}', '\u{e007f}'),
    ('\u{e0080}', '\u{e0fff}'),
];

/// Whether a character moves the cursor, reorders the text around it, or is invisible.
fn is_hidden(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    c.is_control() || INVISIBLE.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// Escapes one line of text. Names at a vendor are arbitrary text and must not move the cursor, reorder what is on the
/// screen, or hide a part of themselves.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Escapes several lines of text.
pub fn printable_lines(text: &str) -> String {
    let shown = |c: char| if c != '\n' && is_hidden(c) { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(shown).collect()
}

/// Escapes every string in a JSON document. JSON escapes control characters, but the first program that prints a field
/// undoes that; JSON does not escape bidirectional and invisible characters.
pub fn printable_json(value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::String(text) => *text = printable(text),
        Value::Array(items) => items.iter_mut().for_each(printable_json),
        Value::Object(fields) => {
            let shown = std::mem::take(fields).into_iter().map(|(name, mut value)| {
                printable_json(&mut value);
                (printable(&name), value)
            });
            *fields = shown.collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn control_bidirectional_and_invisible_characters_are_not_shown() {
        let hidden = [
            '\0',
            '\t',
            '\n',
            '\r',
            '\u{1b}',
            '\u{7f}',
            '\u{85}',
            '\u{9b}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202b}',
            '\u{202c}',
            '\u{202d}',
            '\u{202e}',
            '\u{2060}',
            '\u{2061}',
            '\u{2064}',
            '\u{2066}',
            '\u{2067}',
            '\u{2068}',
            '\u{2069}',
            '\u{206a}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{fff9}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e007f}',
            '\u{e0100}',
        ];
        for c in hidden {
            assert_eq!(printable(&format!("a{c}b")), "a\u{fffd}b", "U+{:04X}", u32::from(c));
            let mut document = json!({"a": [format!("a{c}b")], format!("a{c}"): 1});
            printable_json(&mut document);
            assert!(!document.to_string().contains(c), "U+{:04X}", u32::from(c));
        }
        assert_eq!(printable_lines("a\u{202e}b\nc\rd"), "a\u{fffd}b\nc\u{fffd}d");
    }

    #[test]
    fn what_people_write_is_shown_as_it_is() {
        for text in [
            "Production Backend [ks-2ffmf2-x-1]",
            "Zürich – «été» ",
            "日本語キー",
            "مفتاح",
            "🔑 ключ",
            "\u{e000}",
        ] {
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn the_table_of_invisible_characters_is_in_order() {
        assert!(INVISIBLE.iter().all(|(first, last)| first <= last));
        assert!(INVISIBLE.windows(2).all(|it| it[0].1 < it[1].0));
    }
}
