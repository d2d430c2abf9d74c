//! `keysmith report`: every key by namespace on one page, for people who do not use kubectl: HTML without anything that a
//! browser would have to fetch.

use super::select::Selection;
use super::status;
use super::status::view::{Key, Token, View};
use crate::columns::away;
use crate::output::{Failure, print, tell};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::collections::BTreeMap;
use std::process::ExitCode;

const STYLE: &str = include_str!("report/style.css");

/// The arguments of `keysmith report`.
#[derive(Debug, Args)]
#[command(
    after_help = "Write it to a file: keysmith report -A > keys.html. keysmith status -o json has the same for programs, and keysmith \
    orphans asks the vendors for keys that nobody manages. Exit codes: 0 written, 2 a flag or its value is wrong, 1 something went \
    wrong."
)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// A key that was not used for so long is idle.
    #[arg(long, value_name = "DURATION", default_value = "720h", value_parser = crate::cli::flags::interval)]
    idle_after: SignedDuration,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let kubernetes = arguments.selection.connect().await?;
    let view = status::read(&kubernetes, &arguments.selection).await?;
    view.unfit.iter().chain(&view.notes).for_each(|it| tell(it));
    print(&(page(&view, arguments.idle_after).into_string() + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// A key with its console token.
type Row<'a> = (&'a Token, &'a Key);

fn page(view: &View, idle_after: SignedDuration) -> Markup {
    let now = view.time;
    let mut teams: BTreeMap<&str, Vec<Row<'_>>> = BTreeMap::new();
    let rows: Vec<Row<'_>> =
        view.tokens.values().flat_map(|token| token.keys.iter().map(move |key| (token, key))).collect();
    for row in &rows {
        teams.entry(row.1.name.split('/').next().unwrap_or_default()).or_default().push(*row);
    }
    let idle = |key: &Key| {
        let since = key.last_used_at.map(|it| now.duration_since(it));
        key.serial.is_some() && since.is_some_and(|it| it > idle_after)
    };
    let lists: [(&str, &str, Vec<Row<'_>>); 4] = [
        (
            "Not Ready",
            "Applications may have no key, or one that will end.",
            filtered(&rows, |it| !it.health.ready),
        ),
        (
            "Without expiry",
            "Such a key works until a person revokes it. Set spec.expiresInDays or rotation.maxAge.",
            filtered(&rows, |it| it.serial.is_some() && it.expires_at.is_none() && it.rotates_at.is_none()),
        ),
        (
            "Without budget",
            "Such a key may spend whatever the account has. Set spec.budget.",
            filtered(&rows, |it| it.budget.is_none()),
        ),
        (
            "Idle",
            "The vendor saw no use for long. Delete the resource if no application needs the key. A key that was never used is not here, because not every vendor tells.",
            filtered(&rows, idle),
        ),
    ];
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Keys of LLM gateways" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Keys of LLM gateways" }
                p.when { "As of " (format!("{now:.0}")) ". Amounts are of the calendar month, in UTC." }
                ul.figures {
                    (figure(rows.len(), "keys"))
                    @for (title, _, found) in &lists { (figure(found.len(), &title.to_lowercase())) }
                    (figure(view.tokens.values().filter_map(|it| it.orphans).sum::<u32>() as usize, "orphans"))
                }
                h2 { "Console tokens" }
                (tokens(view))
                @for (team, keys) in &teams {
                    h2 { "Namespace " (team) }
                    (table(keys, now))
                }
                @for (title, why, found) in &lists {
                    @if !found.is_empty() {
                        h2 { (title) }
                        p { (why) }
                        ul { @for (_, key) in found { li { b { (key.name) } @if !key.health.ready { ": " (key.health.message) } } } }
                    }
                }
            }
        }
    }
}

fn filtered<'a>(rows: &[Row<'a>], by: impl Fn(&Key) -> bool) -> Vec<Row<'a>> {
    rows.iter().copied().filter(|(_, key)| by(key)).collect()
}

fn figure(count: usize, what: &str) -> Markup {
    html! { li { b { (count) } " " (what) } }
}

fn state(ready: bool, reason: &str) -> Markup {
    html! { @if ready { span.good { "Ready" } } @else { span.bad { (reason) } } }
}

fn when(at: Option<Timestamp>, now: Timestamp) -> Markup {
    html! { @if let Some(at) = at { time datetime=(at.to_string()) title=(format!("{at:.0}")) { (away(at, now)) } } @else { "–" } }
}

fn tokens(view: &View) -> Markup {
    html! {
        div.wide { table {
            thead { tr { th { "Token" } th { "State" } th { "Vendor" } th { "Account" } th { "Expires" } th { "Keys" } th { "Orphans" } } }
            tbody { @for token in view.tokens.values() { tr {
                td { b { (token.name) } }
                td { (state(token.health.ready, &token.health.reason)) }
                td { (or_dash(token.vendor.as_deref())) }
                td { (or_dash(token.account.as_deref())) }
                td { (when(token.expires_at, view.time)) }
                td { (token.keys.len()) }
                td { (token.orphans.unwrap_or_default()) }
            } } }
        } }
    }
}

fn table(rows: &[Row<'_>], now: Timestamp) -> Markup {
    html! {
        div.wide { table {
            thead { tr {
                th { "Key" } th { "State" } th { "Token" } th { "Expires" } th { "New key" } th { "Spent" } th { "Budget" } th { "Used" }
                th { "Last use" } th { "Read by" }
            } }
            tbody { @for (token, key) in rows { tr {
                td { b { (key.name.split('/').next_back().unwrap_or_default()) } }
                td { (state(key.health.ready, &key.health.reason)) }
                td { (token.name) }
                td { (when(key.expires_at, now)) }
                td { (when(key.rotates_at, now)) }
                td { (or_dash(key.spent.as_deref())) }
                td { (or_dash(key.budget.as_deref())) }
                td { (or_dash(key.budget_used.as_deref())) }
                td { (when(key.last_used_at, now)) }
                td { (or_dash(Some(key.read_by.join(", ").as_str()).filter(|it| !it.is_empty()))) }
            } } }
        } }
    }
}

fn or_dash(text: Option<&str>) -> Markup {
    html! { (text.unwrap_or("–")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::GatewayApiKey;
    use crate::commands::status::workloads::Readers;
    use serde_json::{Value, json};

    fn key(name: &str, spec: &Value, status: &Value) -> GatewayApiKey {
        let mut key = json!({
            "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"consoleTokenRef": {"name": "edgee"}}, "status": status,
        });
        key["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        serde_json::from_value(key).unwrap()
    }

    #[test]
    fn each_key_stands_under_what_is_missing_and_nothing_in_it_is_markup() {
        let mut view = View::new("2026-11-30T00:00:00Z".parse().unwrap());
        let ready = json!([{"type": "Ready", "status": "True", "reason": "Issued", "message": "",
            "lastTransitionTime": "2026-11-01T00:00:00Z"}]);
        let good = json!({"serial": 1, "conditions": ready, "expiresAt": "2026-12-30T00:00:00Z", "lastUsedAt": "2026-11-29T00:00:00Z"});
        view.add_key(
            &key("good", &json!({"budget": {"amount": "5", "period": "Monthly"}}), &good),
            &Readers::default(),
        );
        let message = "<script>alert(1)</script>";
        let bad = json!({"serial": 1, "lastUsedAt": "2026-01-01T00:00:00Z", "conditions": [{"type": "Ready",
            "status": "False", "reason": "Bad", "message": message, "lastTransitionTime": "2026-11-01T00:00:00Z"}]});
        view.add_key(&key("bad", &json!({}), &bad), &Readers::default());
        let html = page(&view, SignedDuration::from_hours(720)).into_string();
        assert!(!html.contains(message) && html.contains("&lt;script&gt;"), "{html}");
        for part in
            ["<h2>Not Ready</h2>", "<h2>Without expiry</h2>", "<h2>Without budget</h2>", "<h2>Idle</h2>"]
        {
            let rest = html.split(part).nth(1).unwrap_or_else(|| panic!("{part}: {html}"));
            let list = rest.split("</ul>").next().unwrap();
            assert!(list.contains("<b>shop/bad</b>") && !list.contains("shop/good"), "{part} {list}");
        }
        assert!(html.contains("5 Monthly") && html.contains("in 30d"), "{html}");
        assert!(!html.contains("http://") && !html.contains("https://"), "nothing is fetched: {html}");
    }
}
