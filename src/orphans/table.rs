//! How `keysmith orphans` shows what it found.

use super::Row;
use crate::columns::{aligned, printable};
use jiff::Timestamp;

const TITLES: [&str; 7] = ["VENDOR", "ACCOUNT", "KEY ID", "NAME", "CREATED", "LAST USED", "WHY"];

/// As a table; one line where there is nothing.
pub fn text(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no orphaned keys, and nothing in the ledger\n".to_owned();
    }
    let mut lines = vec![TITLES.map(str::to_owned).to_vec()];
    lines.extend(rows.iter().map(|row| cells(row).to_vec()));
    aligned(&lines)
}

/// As JSON: `{"keys": […]}`.
pub fn json(rows: &[Row]) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&serde_json::json!({ "keys": rows })).map(|text| text + "\n")
}

fn cells(row: &Row) -> [String; TITLES.len()] {
    let or_dash = |text: Option<&str>| printable(text.filter(|it| !it.is_empty()).unwrap_or("-"));
    let time = |time: Option<Timestamp>| time.map_or("-".to_owned(), crate::plan::report::clock);
    [
        or_dash(Some(&row.vendor)),
        or_dash(Some(&row.account)),
        or_dash(row.key_id.as_deref()),
        or_dash(row.name.as_deref()),
        time(row.created_at),
        time(row.last_used_at),
        printable(&row.why),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_per_key_and_no_control_characters() {
        let row = Row {
            vendor: "acme".into(),
            account: String::new(),
            endpoint: String::new(),
            key_id: Some("key_1".into()),
            name: Some("a\u{1b}[2Jb\nc".into()),
            created_at: Some(Timestamp::UNIX_EPOCH),
            last_used_at: None,
            why: "nobody's".into(),
            ledger: None,
        };
        let shown = text(&[row.clone(), row]);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("VENDOR  ACCOUNT  KEY ID  NAME"), "{shown}");
        assert!(lines[1].contains("1970-01-01T00:00:00Z  -          nobody's"), "{shown}");
        assert!(!shown.contains('\u{1b}') && text(&[]).lines().count() == 1);
    }
}
