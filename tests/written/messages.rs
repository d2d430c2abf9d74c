//! Every condition reason, every event and every refusal, with the text for one example: `tests/written/messages.txt`, to be
//! read as users read it. A reason without an example does not pass.
//!
//! `KEYSMITH_UPDATE=1 cargo test --all-features --test fast messages` writes the file.

mod faults;
mod keys;
mod limits;
mod others;
mod refusals;
mod tokens;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use keysmith::api::verdict::Course;
use keysmith::api::{EventReason, Reason, Verdict};
use keysmith::plan::report::Notice;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The collected lines by chapter, and the reasons with an example.
#[derive(Default)]
pub struct Book {
    lines: Vec<String>,
    reasons: BTreeSet<String>,
    events: BTreeSet<String>,
}

impl Book {
    fn chapter(&mut self, title: &str) {
        self.lines.push(format!("\n## {title}\n"));
    }

    /// `Ready`, with the conditions for `GitOps` tools.
    pub fn ready(&mut self, verdict: &Verdict) {
        let course = match verdict.course {
            Course::Settled => "",
            Course::Reconciling => ", Reconciling",
            Course::Waiting => ", Reconciling for five minutes, then Stalled",
            Course::Stalled => ", Stalled",
        };
        let ready = if verdict.ready { "True" } else { "False" };
        self.reasons.insert(verdict.reason.as_str().to_owned());
        self.lines.push(format!(
            "Ready={ready} {}{course}\n    {}",
            verdict.reason.as_str(),
            verdict.message
        ));
    }

    /// Another condition.
    pub fn condition(&mut self, condition: &Condition) {
        let Condition { type_, status, reason, message, .. } = condition;
        self.reasons.insert(reason.clone());
        self.lines.push(format!("{type_}={status} {reason}\n    {message}"));
    }

    /// Every condition but `Ready` and those that follow from it.
    pub fn conditions(&mut self, conditions: &[Condition]) {
        let beside = |it: &&Condition| !["Ready", "Reconciling", "Stalled"].contains(&it.type_.as_str());
        conditions.iter().filter(beside).for_each(|it| self.condition(it));
    }

    /// An event.
    pub fn event(&mut self, notice: &Notice) {
        let kind = if notice.warning { "Warning" } else { "Normal" };
        self.events.insert(notice.reason.as_str().to_owned());
        self.lines.push(format!("Event {kind} {}\n    {}", notice.reason.as_str(), notice.note));
    }

    /// Any other text.
    pub fn text(&mut self, what: &str, text: &str) {
        self.lines.push(format!("{what}\n    {text}"));
    }
}

/// A time in the night of the examples, so many minutes after three.
fn at(minutes: i64) -> Timestamp {
    let night: Timestamp = "2026-11-28T03:00:00Z".parse().unwrap();
    Timestamp::from_second(night.as_second() + 60 * minutes).unwrap()
}

fn book() -> Book {
    let mut book = Book::default();
    book.lines.push(
        "What Keysmith says, one example each. Written by tests/written/messages.rs from the code; run `make generate` after a change,\n\
         and read what became of it: is it clear what is wrong, what happens next and when, and what to do?"
            .to_owned(),
    );
    for (title, write) in [
        ("GatewayApiKey: Ready", keys::ready as fn(&mut Book)),
        ("GatewayApiKey: other conditions", keys::conditions),
        ("GatewayApiKey: events", keys::events),
        ("GatewayApiKey: deletion", keys::deletion),
        ("Secrets that the API server does not store", keys::storing),
        ("ConsoleToken", tokens::ready),
        ("ConsoleToken: events", tokens::events),
        ("ProviderKey", others::provider_keys),
        ("ProjectSettings", others::projects),
        ("The operator", others::operator),
        ("The limits of a ClusterConsoleToken", limits::all),
        ("What goes wrong at a vendor", faults::all),
        ("Refused before any call: Unsupported, InvalidSpec, SecretInvalid, SecretMissing", refusals::all),
    ] {
        book.chapter(title);
        write(&mut book);
    }
    book
}

#[test]
fn every_message_is_written_down_and_read() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/written/messages.txt");
    let fresh = book().lines.join("\n") + "\n";
    if std::env::var_os("KEYSMITH_UPDATE").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    for (one, other) in written.lines().zip(fresh.lines()) {
        assert_eq!(
            one, other,
            "tests/written/messages.txt is stale: run make generate, and read the difference"
        );
    }
    assert_eq!(written.len(), fresh.len(), "tests/written/messages.txt is stale: run make generate");
}

#[test]
fn every_reason_has_an_example() {
    let book = book();
    for (reason, _) in Reason::ALL {
        assert!(
            book.reasons.contains(reason.as_str()),
            "no example of the condition reason {}",
            reason.as_str()
        );
    }
    for (reason, _) in EventReason::ALL {
        assert!(book.events.contains(reason.as_str()), "no example of the event {}", reason.as_str());
    }
}

/// Messages have one clause each, in the words of the field.
#[test]
fn messages_are_written_as_the_rules_of_the_house_say() {
    let book = book();
    for line in book.lines.iter().filter_map(|it| it.split_once("\n    ")).map(|(_, text)| text) {
        assert!(!line.ends_with('.') && !line.is_empty(), "a final period, or nothing: {line}");
        assert!(!line.contains("  ") && !line.contains(" ;") && !line.contains(";;"), "blanks: {line}");
        for word in ["somebody", "whoever", "nobody", "deposit", "spare", "Some(", "None", "lost and no key"]
        {
            assert!(!line.contains(word), "{word:?} in: {line}");
        }
        assert!(line.len() <= 1024, "longer than an event may be: {line}");
    }
}
