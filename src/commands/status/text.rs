//! `keysmith status` for people.

use super::view::{Health, Key, Token, View};
use crate::columns::away;
use crate::output::program;
use jiff::Timestamp;
use std::fmt::Write;

/// The tree.
pub fn text(view: &View) -> String {
    if view.tokens.is_empty() {
        return "no console tokens and no keys\n".to_owned();
    }
    let parts: Vec<_> = view.tokens.values().map(|token| one(token, view.time)).collect();
    parts.join("\n")
}

/// A line with a label; lines of one resource are aligned.
fn line(text: &mut String, depth: usize, label: &str, value: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{:indent$}{label:<9} {value}", "", indent = depth * 2);
}

fn head(text: &mut String, depth: usize, kind: &str, name: &str, health: &Health) {
    let state = if health.ready { "Ready".to_owned() } else { format!("not Ready, {}", health.reason) };
    let _ = writeln!(text, "{:indent$}{kind} {name}: {state}", "", indent = depth * 2);
    if !health.ready {
        line(text, depth + 1, "why", &health.message);
    }
}

fn when(at: Timestamp, now: Timestamp) -> String {
    format!("{at:.0} ({})", away(at, now))
}

fn one(token: &Token, now: Timestamp) -> String {
    let mut text = String::new();
    if token.unreadable {
        let _ = writeln!(text, "{} {}: {}", token.kind, token.name, token.health.message);
    } else {
        head(&mut text, 0, token.kind, &token.name, &token.health);
    }
    if let Some(vendor) = &token.vendor {
        let account = token.account.as_ref().map_or_else(String::new, |it| format!(", account {it}"));
        line(&mut text, 1, "vendor", &format!("{vendor}{account}"));
    }
    if let Some(secret) = &token.secret {
        let expires = token.expires_at.map_or_else(String::new, |at| format!(", expires {}", when(at, now)));
        line(&mut text, 1, "Secret", &format!("{secret}{expires}"));
    }
    if let Some(orphans) = token.orphans {
        line(&mut text, 1, "orphans", &format!("{orphans}; {} orphans lists them", program()));
    }
    for key in &token.keys {
        describe(&mut text, key, now);
    }
    for key in &token.provider_keys {
        head(&mut text, 1, "ProviderKey", &key.name, &key.health);
    }
    text
}

fn describe(text: &mut String, key: &Key, now: Timestamp) {
    head(text, 1, "GatewayApiKey", &key.name, &key.health);
    if let (Some(serial), Some(id)) = (key.serial, &key.id) {
        let expires = key
            .expires_at
            .map_or_else(|| ", never expires".to_owned(), |at| format!(", expires {}", when(at, now)));
        line(text, 2, "key", &format!("serial {serial}, {id}{expires}"));
    }
    let readers = match key.read_by.as_slice() {
        [] => "read by no workload that is known".to_owned(),
        readers => format!("read by {}", readers.join(", ")),
    };
    line(text, 2, "Secret", &format!("{}, {readers}", key.secret));
    let spent = key.spent.iter().map(|it| format!("{it} this month"));
    let used = key.budget_used.iter().filter(|it| *it != "unknown").map(|it| format!("{it} of the budget"));
    let spending: Vec<_> = spent.chain(used).collect();
    if !spending.is_empty() {
        line(text, 2, "spent", &spending.join(", "));
    }
    for (kind, message) in &key.conditions {
        line(text, 2, "also", &format!("{kind}: {message}"));
    }
    for next in &key.next {
        let at = next.at.map_or_else(String::new, |at| format!("{}: ", when(at, now)));
        line(text, 2, "next", &format!("{at}{}", next.what));
    }
}
