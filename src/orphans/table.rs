//! The output of `keysmith orphans`, with a note on how many of the vendors answered.

use super::{Findings, Row};
use crate::columns::aligned;
use crate::session::{answers, unanswered};
use jiff::Timestamp;
use serde_json::json;

const TITLES: [&str; 7] = ["VENDOR", "ACCOUNT", "KEY ID", "NAME", "CREATED", "LAST USED", "WHY"];

/// The rows as a table, and beneath it how many ConsoleTokens answered, if not all did; one line if there are no rows.
pub fn text(findings: &Findings) -> String {
    let answers = answers(findings.answered(), findings.asked());
    if findings.rows.is_empty() {
        return format!("{}\n", nothing(findings, answers));
    }
    rows(&findings.rows) + &answers.map_or_else(String::new, |it| format!("\n{it}\n"))
}

/// The line for an empty result. It says that nothing is left only if every ConsoleToken was asked.
fn nothing(findings: &Findings, answers: Option<String>) -> String {
    let ledger = if findings.has_ledger { "nothing in the ledger" } else { "there is no ledger" };
    if !findings.unmatched.is_empty() {
        return "nothing was selected".to_owned();
    }
    match answers {
        None => format!("no orphaned keys, and {ledger}"),
        Some(answers) if findings.answered() == 0 => format!("{answers}; {ledger}"),
        Some(answers) => format!("no orphaned keys where {answers}, and {ledger}"),
    }
}

fn rows(rows: &[Row]) -> String {
    let mut lines = vec![TITLES.map(str::to_owned).to_vec()];
    lines.extend(rows.iter().map(|row| cells(row).to_vec()));
    aligned(&lines)
}

/// As JSON: `{"asked": 2, "answered": 1, "unanswered": [{"consoleToken": …, "why": …}], "keys": […]}`.
pub fn json(findings: &Findings) -> Result<String, serde_json::Error> {
    let document = json!({
        "asked": findings.asked(), "answered": findings.answered(), "unanswered": unanswered(&findings.unasked),
        "keys": findings.rows,
    });
    serde_json::to_string_pretty(&document).map(|text| text + "\n")
}

fn cells(row: &Row) -> [String; TITLES.len()] {
    let or_dash = |text: Option<&str>| text.filter(|it| !it.is_empty()).unwrap_or("-").to_owned();
    let time = |time: Option<Timestamp>| time.map_or("-".to_owned(), crate::plan::time::clock);
    [
        or_dash(Some(&row.vendor)),
        or_dash(Some(&row.account)),
        or_dash(row.key_id.as_deref()),
        or_dash(row.name.as_deref()),
        time(row.created_at),
        time(row.last_used_at),
        row.why.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::identity::TokenRef;
    use crate::plan::ledger::{Entry, Owner, Place, Why};
    use crate::plan::listing::{KeyId, Listed, Shown};
    use crate::plan::naming::ClusterId;
    use crate::session::Unasked;

    fn listed(id: &str, name: &str) -> Listed {
        Listed {
            id: KeyId(id.to_owned()),
            name: name.to_owned(),
            created_at: Some(Timestamp::UNIX_EPOCH),
            expires_at: None,
            last_used_at: None,
            spent: None,
            remaining: None,
            shown: Shown::default(),
            unread: Vec::new(),
        }
    }

    fn found(rows: Vec<Row>, unasked: usize, has_ledger: bool) -> Findings {
        let unasked = (0..unasked).map(|it| Unasked {
            token: TokenRef::beside(Some("shop".to_owned()), &it.to_string()),
            why: "why\u{202e}".to_owned(),
        });
        let unasked = unasked.collect();
        let cluster = ClusterId("c".into());
        Findings { rows, unasked, unmatched: Vec::new(), has_ledger, others: 0, cluster, asked: Vec::new() }
    }

    #[test]
    fn no_form_of_output_shows_control_or_bidirectional_or_invisible_characters() {
        for hidden in
            ["\u{1b}[2J", "\n", "\u{202e}", "\u{2066}", "\u{200b}", "\u{feff}", "\u{2028}", "\u{e0041}"]
        {
            let text = |prefix: &str| format!("{prefix}{hidden}x");
            let place =
                Place { vendor: "acme".into(), account: text("a"), endpoint: text("e"), ..Place::default() };
            let key = listed(&text("key_"), &text("n"));
            let entry = Entry {
                time: Timestamp::UNIX_EPOCH,
                owner: Owner { name: text("o"), ..Owner::default() },
                place: place.clone(),
                key_id: Some(text("key_")),
                mark: None,
                serial: None,
                why: Why::Retain,
            };
            let rows = vec![
                Row::listed(&place, &key, "nobody's").of_entry(&entry),
                Row::unlisted(&entry, &text("w")),
            ];
            let findings = found(rows, 1, true);
            let (table, json) = (super::text(&findings), json(&findings).unwrap());
            let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
            let again = format!("{parsed:?}");
            for shown in [&table, &json, &again] {
                let bad = hidden.chars().next().unwrap();
                assert!(bad == '\n' || !shown.contains(bad), "{hidden:?}: {shown}");
            }
            assert!(!parsed["keys"][0]["name"].as_str().unwrap().contains(hidden), "{json}");
            assert_eq!(table.lines().count(), 5, "{table}");
            assert!(
                findings.rows[0].is(&text("key_")) && findings.rows[0].key().unwrap().id.0 == text("key_")
            );
        }
    }

    #[test]
    fn nothing_is_left_is_said_only_where_everything_was_asked() {
        for (unasked, has_ledger, expected) in [
            (1, true, "nothing could be asked: 0 of 1 ConsoleTokens answered; nothing in the ledger\n"),
            (2, false, "nothing could be asked: 0 of 2 ConsoleTokens answered; there is no ledger\n"),
            (0, true, "there are no ConsoleTokens to ask; nothing in the ledger\n"),
        ] {
            assert_eq!(text(&found(Vec::new(), unasked, has_ledger)), expected);
        }
        assert_eq!(answers(1, 2).as_deref(), Some("1 of 2 ConsoleTokens answered"));
        assert_eq!(answers(2, 2), None);
        let document: serde_json::Value =
            serde_json::from_str(&json(&found(Vec::new(), 2, true)).unwrap()).unwrap();
        assert_eq!((&document["asked"], &document["answered"]), (&json!(2), &json!(0)));
        assert_eq!(document["unanswered"][0], json!({"consoleToken": "shop/0", "why": "why\u{fffd}"}));
    }
}
