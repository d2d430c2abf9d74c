//! `keysmith report`: every key by namespace on one page, for people who do not use kubectl: HTML without anything that a
//! browser would have to fetch.

use super::select::Selection;
use super::status;
use super::status::view::{Key, Token, View};
use crate::columns::{away, printable};
use crate::output::{Failure, print, tell};
use crate::session::vendors::AskArguments;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::collections::BTreeMap;
use std::process::ExitCode;

mod unmanaged;

use unmanaged::Unmanaged;

const STYLE: &str = include_str!("report/style.css");

/// The arguments of `keysmith report`.
#[derive(Debug, Args)]
#[command(
    after_help = "Write it to a file: keysmith report -A > keys.html. keysmith status -o json has the same for programs. With \
    --ask-vendors the page has the keys in the accounts that no resource is about, too. Exit codes: 0 written, 2 a flag or its value \
    is wrong, 1 a vendor that was to be asked did not answer, or something went wrong."
)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// A key that was not used for so long is idle.
    #[arg(long, value_name = "DURATION", default_value = "720h", value_parser = crate::flags::interval)]
    idle_after: SignedDuration,
    #[command(flatten)]
    ask: AskArguments,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let kubernetes = arguments.selection.connect().await?;
    let view = status::read(&kubernetes, &arguments.selection).await?;
    view.unfit.iter().chain(&view.notes).for_each(|it| tell(it));
    let unmanaged = match arguments.ask.session(&kubernetes).await? {
        Some(session) => Some(unmanaged::read(&session, arguments.selection.namespace(&kubernetes)).await?),
        None => None,
    };
    let whole = unmanaged.as_ref().is_none_or(|(_, unasked)| unasked.is_empty());
    for unasked in unmanaged.iter().flat_map(|it| &it.1) {
        tell(&unasked.sentence());
    }
    let rows = unmanaged.as_ref().map(|it| it.0.as_slice());
    print(&(page(&view, arguments.idle_after, rows).into_string() + "\n"))?;
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A key with its console token.
type Row<'a> = (&'a Token, &'a Key);

/// `unmanaged`: the keys at the vendors that no resource accounts for, where the vendors were asked.
fn page(view: &View, idle_after: SignedDuration, unmanaged: Option<&[Unmanaged]>) -> Markup {
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
                    @if let Some(keys) = unmanaged { (figure(keys.len(), "at the vendors without a resource")) }
                }
                h2 { "Console tokens" }
                (tokens(view))
                @if let Some(keys) = unmanaged { (without_resource(keys, now)) }
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

fn without_resource(keys: &[Unmanaged], now: Timestamp) -> Markup {
    html! {
        h2 { "At the vendors, without a resource" }
        @if keys.is_empty() {
            p { "Every key in the accounts that were asked has its resource." }
        } @else {
            p { "No resource in this cluster is about these keys. One that is not switched off or expired works." }
            div.wide { table {
                thead { tr { th { "Account" } th { "Key" } th { "Id" } th { "Made" } th { "Last use" } th { "What it is" } } }
                tbody { @for key in keys { tr {
                    td { (printable(&key.account)) }
                    td { b { (printable(&key.name)) } }
                    td { (printable(&key.id)) }
                    td { (when(key.created_at, now)) }
                    td { (when(key.last_used_at, now)) }
                    td { (key.what) }
                } } }
            } }
        }
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
    fn each_key_is_in_secret_under_what_is_missing_and_nothing_in_it_is_markup() {
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
        let html = page(&view, SignedDuration::from_hours(720), None).into_string();
        assert!(!html.contains(message) && html.contains("&lt;script&gt;"), "{html}");
        for part in
            ["<h2>Not Ready</h2>", "<h2>Without expiry</h2>", "<h2>Without budget</h2>", "<h2>Idle</h2>"]
        {
            let rest = html.split(part).nth(1).unwrap_or_else(|| panic!("{part}: {html}"));
            let list = rest.split("</ul>").next().unwrap();
            assert!(list.contains("<b>shop/bad</b>") && !list.contains("shop/good"), "{part} {list}");
        }
        assert!(html.contains("5 Monthly") && html.contains("in 30d"), "{html}");
        assert!(!html.contains("without a resource"), "nobody was asked: {html}");
        let key = Unmanaged {
            account: "edgee, org_1".to_owned(),
            id: "key_9".to_owned(),
            name: "<b>by hand</b>\u{202e}".to_owned(),
            created_at: None,
            last_used_at: None,
            what: "made by a person",
        };
        let asked = page(&view, SignedDuration::from_hours(720), Some(&[key])).into_string();
        assert!(asked.contains("&lt;b&gt;by hand") && asked.contains("<td>key_9</td>"), "{asked}");
        assert!(
            !asked.contains('\u{202e}') && asked.contains("<b>1</b> at the vendors without a resource"),
            "{asked}"
        );
        assert!(!html.contains("http://") && !html.contains("https://"), "nothing is fetched: {html}");
    }
}
