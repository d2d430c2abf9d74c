//! The output of `keysmith usage`, per key or summed.

use super::{Reading, Row};
use crate::columns::{aligned, printable, printable_json};
use crate::plan::money;
use crate::plan::time;
use crate::plan::usage::Span;
use crate::session::{answers, unanswered};
use serde::Serialize;
use std::collections::BTreeMap;

/// The grouping of the sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// One line per GatewayApiKey.
    Key,
    /// One line per namespace.
    Namespace,
    /// One line per value of a label.
    Label(String),
}

impl std::str::FromStr for By {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "key" => Ok(Self::Key),
            "namespace" => Ok(Self::Namespace),
            _ => match text.strip_prefix("label=").filter(|label| !label.is_empty()) {
                Some(label) => Ok(Self::Label(label.to_owned())),
                None => Err("write key, namespace, or label= and the name of a label".to_owned()),
            },
        }
    }
}

/// One line: the group and its sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sum {
    /// Namespace and name, a namespace, or the value of a label; empty for keys without the label.
    pub of: String,
    /// The driver.
    pub vendor: String,
    /// Spent, a decimal number.
    pub spent: String,
    /// The vendor's currency.
    pub currency: String,
    /// Calls, where the vendor counts them.
    pub calls: Option<u64>,
    /// The last use within the span, RFC 3339.
    pub last_used_at: Option<jiff::Timestamp>,
    /// The number of GatewayApiKeys in the group.
    pub keys: usize,
}

/// Sums the rows by group. Amounts of different vendors or currencies are never added.
pub fn sums(rows: &[Row], by: &By) -> Vec<Sum> {
    let mut groups: BTreeMap<(String, &str, &str), Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let of = match by {
            By::Key => format!("{}/{}", row.namespace, row.name),
            By::Namespace => row.namespace.clone(),
            By::Label(label) => row.labels.get(label).cloned().unwrap_or_default(),
        };
        groups.entry((of, row.vendor.as_str(), row.currency.as_str())).or_default().push(row);
    }
    let sum = |((of, vendor, currency), rows): ((String, &str, &str), Vec<&Row>)| Sum {
        of,
        vendor: vendor.to_owned(),
        spent: money::decimal(rows.iter().map(|row| row.micros).fold(0, u64::saturating_add)),
        currency: currency.to_owned(),
        calls: rows.iter().filter_map(|row| row.calls).reduce(u64::saturating_add),
        last_used_at: rows.iter().filter_map(|row| row.last_used_at).max(),
        keys: rows.len(),
    };
    groups.into_iter().map(sum).collect()
}

fn title(by: &By) -> &str {
    match by {
        By::Key => "KEY",
        By::Namespace => "NAMESPACE",
        By::Label(label) => label,
    }
}

fn cells(sum: &Sum) -> Vec<String> {
    let of = if sum.of.is_empty() { "-" } else { &sum.of };
    vec![
        printable(of),
        sum.vendor.clone(),
        sum.spent.clone(),
        sum.currency.clone(),
        sum.calls.map_or_else(|| "-".to_owned(), |calls| calls.to_string()),
        sum.last_used_at.map_or_else(|| "-".to_owned(), time::clock),
        sum.keys.to_string(),
    ]
}

const TITLES: [&str; 6] = ["VENDOR", "SPENT", "CURRENCY", "CALLS", "LAST USED", "KEYS"];

/// The sums as a table, with the span and the completeness below it; without a table if there are no rows.
pub fn text(reading: &Reading, by: &By, span: &Span) -> String {
    let mut below = vec![format!("from {} until {}", time::clock(span.since), time::clock(span.until))];
    below.extend(completeness(reading));
    let below = below.join("\n");
    if reading.rows.is_empty() {
        return format!("{below}\n");
    }
    let titles = std::iter::once(title(by)).chain(TITLES).map(printable).collect();
    let sums = sums(&reading.rows, by);
    let lines: Vec<_> = std::iter::once(titles).chain(sums.iter().map(cells)).collect();
    format!("{}\n{below}\n", aligned(&lines))
}

/// How many ConsoleTokens answered, if not all did, or that there was none to ask.
pub fn completeness(reading: &Reading) -> Option<String> {
    if reading.asked() == 0 {
        let what = if reading.uncounted.is_empty() {
            "there are no GatewayApiKeys to ask for"
        } else {
            "nothing could be asked"
        };
        return Some(what.to_owned());
    }
    answers(reading.answered, reading.asked())
}

/// As CSV with a header, for a spreadsheet.
pub fn csv(sums: &[Sum], by: &By) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let titles = ["vendor", "spent", "currency", "calls", "last_used_at", "keys"];
    let of = harmless(&title(by).to_ascii_lowercase());
    writer.write_record(std::iter::once(of.as_str()).chain(titles))?;
    for sum in sums {
        let or_empty = |text: Option<String>| text.unwrap_or_default();
        writer.write_record([
            harmless(&sum.of).as_str(),
            &sum.vendor,
            &sum.spent,
            &sum.currency,
            &or_empty(sum.calls.map(|it| it.to_string())),
            &or_empty(sum.last_used_at.map(time::clock)),
            &sum.keys.to_string(),
        ])?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// Escapes a spreadsheet formula: a user who may write labels must not get a formula into the spreadsheet of another
/// user.
fn harmless(text: &str) -> String {
    let text = printable(text);
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text }
}

/// As JSON: `{"since": …, "until": …, "asked": 2, "answered": 1, "unanswered": […], "uncounted": […], "usage": […]}`.
pub fn json(reading: &Reading, by: &By, span: &Span) -> Result<String, serde_json::Error> {
    let mut document = serde_json::json!({
        "since": span.since, "until": span.until, "asked": reading.asked(), "answered": reading.answered,
        "unanswered": unanswered(&reading.unasked), "uncounted": reading.uncounted, "usage": sums(&reading.rows, by),
    });
    printable_json(&mut document);
    serde_json::to_string_pretty(&document).map(|text| text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, team: &str, micros: u64, currency: &str) -> Row {
        Row {
            namespace: "shop".into(),
            name: name.into(),
            vendor: "acme".into(),
            console_token: "acme".into(),
            labels: BTreeMap::from([("team".to_owned(), team.to_owned())]),
            micros,
            currency: currency.into(),
            calls: Some(2),
            last_used_at: None,
        }
    }

    fn rows() -> Vec<Row> {
        vec![
            row("one", "=1+1", 1_500_000, "USD"),
            row("two", "red", 250_000, "USD"),
            row("three", "red", 250_000, "USD"),
            row("four", "red", 1_000_000, "EUR"),
        ]
    }

    #[test]
    fn money_of_one_currency_is_added_up_and_that_of_two_is_not() {
        let by = "label=team".parse().unwrap();
        let shown: Vec<_> =
            sums(&rows(), &by).into_iter().map(|it| (it.of, it.spent, it.currency, it.keys)).collect();
        let expected = [("=1+1", "1.50", "USD", 1), ("red", "1", "EUR", 1), ("red", "0.50", "USD", 2)];
        assert_eq!(
            shown,
            expected.map(|(of, spent, currency, keys)| (of.into(), spent.into(), currency.into(), keys))
        );
        assert_eq!(sums(&rows(), &By::Namespace).len(), 2);
        assert_eq!(sums(&rows(), &By::Key).len(), 4);
        assert!("label=".parse::<By>().is_err() && "team".parse::<By>().is_err());
    }

    #[test]
    fn a_spreadsheet_runs_nothing_that_a_label_says() {
        let by = By::Label("team".to_owned());
        let text = csv(&sums(&rows(), &by), &by).unwrap();
        assert!(
            text.starts_with(
                "team,vendor,spent,currency,calls,last_used_at,keys\n'=1+1,acme,1.50,USD,2,,1\n"
            ),
            "{text}"
        );
    }
}
