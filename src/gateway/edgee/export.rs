//! Spending, as the sum of Edgee's exported log (contract §1.11). Neither the spelling of the columns nor the unit of
//! the cost is documented: columns are found by name, whatever their case and separators, and the cost is assumed to
//! be US dollars, as everywhere else in the Console API.

use super::Edgee;
use crate::gateway::http::{Call, LARGEST_EXPORT};
use crate::gateway::lenient;
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::listing::KeyId;
use crate::plan::usage::{Span, Spending};
use http::Method;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// Number of ids per request, so that the URL fits through every proxy.
const IDS_AT_ONCE: usize = 50;

impl Edgee {
    /// What these keys spent within the span.
    pub(super) async fn spent(&self, span: &Span, keys: &[KeyId]) -> Result<Vec<Spending>, Fault> {
        let mut all = Vec::new();
        for some in keys.chunks(IDS_AT_ONCE) {
            all.extend(self.export(span, some).await?);
        }
        Ok(all)
    }

    async fn export(&self, span: &Span, keys: &[KeyId]) -> Result<Vec<Spending>, Fault> {
        let (from, to) = span.days();
        let (from, to) = (from.to_string(), to.to_string());
        let mut query = vec![("from_date", from.as_str()), ("to_date", to.as_str()), ("format", "csv")];
        query.extend(keys.iter().map(|id| ("api_key_id[]", id.0.as_str())));
        let path = self.path(&["logs", "export"]);
        let call = Call { query: &query, limit: LARGEST_EXPORT, ..Call::new(Method::GET, &path) };
        let answer = self.wire.send(call).await?;
        sums(answer.bytes()).ok_or(Fault::without_effect(FaultKind::Malformed(
            "the exported log has no columns for time, key and cost",
        )))
    }
}

/// Spending by key, from CSV with a header or from a JSON array of records. `None`: the body is neither.
pub fn sums(body: &[u8]) -> Option<Vec<Spending>> {
    let mut sums = BTreeMap::new();
    match body.trim_ascii_start().first() {
        Some(b'[' | b'{') => json(body, &mut sums)?,
        None => {}
        Some(_) => csv(body, &mut sums)?,
    }
    Some(sums.into_values().collect())
}

type Sums = BTreeMap<String, Spending>;

fn count(sums: &mut Sums, key: &str, cost: u64, at: Option<Timestamp>) {
    let one =
        sums.entry(key.to_owned()).or_insert_with(|| Spending { key: key.to_owned(), ..Spending::default() });
    one.micros = one.micros.saturating_add(cost);
    one.calls = Some(one.calls.unwrap_or(0).saturating_add(1));
    one.last_used_at = one.last_used_at.max(at);
}

/// Whether a column has that name, regardless of case and separators.
fn is_column(name: &str, wanted: &str) -> bool {
    let letters = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|it| it.to_ascii_lowercase()).collect()
    };
    letters(name) == wanted
}

const TIMES: [&str; 4] = ["timestamp", "time", "date", "createdat"];
const KEYS: [&str; 4] = ["apikeyid", "apikey", "apikeyname", "key"];
const COSTS: [&str; 4] = ["cost", "totalcost", "costusd", "totalcostusd"];

fn csv(body: &[u8], sums: &mut Sums) -> Option<()> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(body);
    let header = reader.headers().ok()?.clone();
    let place =
        |names: &[&str]| names.iter().find_map(|name| header.iter().position(|it| is_column(it, name)));
    let (key, cost, time) = (place(&KEYS)?, place(&COSTS)?, place(&TIMES)?);
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).ok()? {
        let text = |place| std::str::from_utf8(record.get(place)?).ok();
        // A truncated row is malformed; an empty cell corresponds to null in JSON.
        let cost = match text(cost)?.trim() {
            "" => 0,
            cost => lenient::amount(cost.trim_start_matches('$'))?,
        };
        count(sums, text(key)?, cost, text(time).and_then(|it| it.parse().ok()));
    }
    Some(())
}

fn json(body: &[u8], sums: &mut Sums) -> Option<()> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let records = document.get("data").unwrap_or(&document).as_array()?;
    for record in records {
        let record = record.as_object()?;
        let value = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| record.iter().find(|(it, _)| is_column(it, name)))
                .map(|(_, value)| value)
        };
        let cost = match value(&COSTS)? {
            Value::String(text) => lenient::amount(text)?,
            Value::Number(number) => lenient::amount(&number.to_string())?,
            Value::Null => 0,
            _ => return None,
        };
        let at = value(&TIMES).and_then(Value::as_str).and_then(|text| text.parse().ok());
        count(sums, value(&KEYS)?.as_str()?, cost, at);
    }
    Some(())
}
