//! The reference pages that are written from the code: the fields of each kind, events, the command line, what each vendor
//! supports. `make generate` writes them; here they are compared.

use super::manifests::{keysmith, root};
use crate::charts::golden::updating;
use keysmith::api::EventReason;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;

/// A page: its file below `docs/pages/reference`, and its text.
type Page = (String, String);

const WRITTEN: &str = "<!-- Written from the code by `make generate`. -->\n\n";

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace('<', "&lt;")
}

/// What may be written into a field, in a few words.
fn kind_of(schema: &Value) -> String {
    let name = schema["type"].as_str().unwrap_or(if schema["x-kubernetes-int-or-string"] == true {
        "integer or string"
    } else {
        "object"
    });
    let values: Vec<_> = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut text = match (name, values.is_empty()) {
        ("array", _) => format!("list of {}", kind_of(&schema["items"])),
        ("object", _) if schema["additionalProperties"].is_object() => {
            format!("map of {}", kind_of(&schema["additionalProperties"]))
        }
        (_, false) => values.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", "),
        (name, true) => name.to_owned(),
    };
    for (field, words) in [("minimum", "at least"), ("maximum", "at most"), ("maxItems", "at most")] {
        if let Some(bound) = schema[field].as_f64().filter(|it| it.abs() < 1e15) {
            let _ = write!(text, ", {words} {bound}");
        }
    }
    text
}

fn fields(schema: &Value, path: &str, rows: &mut String) {
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let must = required.iter().any(|it| *it == name);
        let description = cell(field["description"].as_str().unwrap_or_default());
        let star = if must { ", **required**" } else { "" };
        let _ = writeln!(rows, "| `{path}` | {}{star} | {description} |", kind_of(field));
        // Conditions are those of Kubernetes.
        if !path.ends_with("conditions") {
            let inner = if field["type"] == "array" { &field["items"] } else { field };
            let suffix = if field["type"] == "array" { "[]" } else { "" };
            fields(inner, &format!("{path}{suffix}"), rows);
        }
    }
}

/// The rules of the schema, as the messages that a user gets.
fn rules(schema: &Value, path: &str, found: &mut Vec<String>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let message = rule["message"].as_str().unwrap_or_default();
        let field = rule["fieldPath"].as_str().unwrap_or_default();
        found.push(format!("- `{path}{field}`: {}", cell(message)));
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        rules(field, &format!("{path}.{name}"), found);
    }
    if schema["items"].is_object() {
        rules(&schema["items"], &format!("{path}[]"), found);
    }
}

fn kinds() -> Vec<Page> {
    let page = |crd: Value| {
        let (names, version) = (&crd["spec"]["names"], &crd["spec"]["versions"][0]);
        let kind = names["kind"].as_str().unwrap();
        let schema = &version["schema"]["openAPIV3Schema"]["properties"];
        let short: Vec<_> =
            names["shortNames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let scope = crd["spec"]["scope"].as_str().unwrap_or_default().to_lowercase();
        let mut text = format!("{WRITTEN}# {kind}\n\n");
        let _ = writeln!(
            text,
            "`keysmith.dev/{}`, {scope}, short name `{}`. Examples and what an edit does: [Fields](../fields.md).\n",
            version["name"].as_str().unwrap_or_default(),
            short.join("`, `")
        );
        for part in ["spec", "status"] {
            let mut rows = String::new();
            fields(&schema[part], "", &mut rows);
            let _ = writeln!(text, "## {part}\n\n| field | | |\n| --- | --- | --- |\n{rows}");
        }
        let mut found = Vec::new();
        rules(&schema["spec"], "spec", &mut found);
        if !found.is_empty() {
            let _ = writeln!(
                text,
                "## Rules\n\nThe API server refuses what breaks one of these.\n\n{}",
                found.join("\n")
            );
        }
        (format!("api/{}.md", kind.to_lowercase()), text)
    };
    keysmith::api::crds().into_iter().map(|crd| page(serde_json::to_value(crd).unwrap())).collect()
}

/// What to do about an event. A new reason does not compile until it has an answer.
const fn cure(reason: EventReason) -> &'static str {
    use EventReason as E;
    match reason {
        E::Rotated => {
            "nothing, if applications read the Secret again; otherwise restart them before the overlap ends"
        }
        E::KeyLost => "find out who deletes keys in the vendor's console",
        E::KeyExpired => "find out from earlier events why no key took over in time",
        E::LeakedKeyRevoked => "restart applications that still have the leaked key",
        E::LeakOpen => "revoke the key in the vendor's console now; mend what the message names",
        E::PreviousKeyInUse => "find the application that did not read the Secret again, and restart it",
        E::RotationOverdue => "mend what the message names, before the key expires",
        E::SecretRestored => "find out who edits or deletes the Secret, if it comes again",
        E::SecretContested => "find the policy, controller or job that changes the Secret back",
        E::DriftCorrected => "change the specification instead of the vendor's console",
        E::UnusedKeyFound | E::UnusedKeyRevoked => {
            "nothing, if a create call was answered late; to keep a key that a person copied, take the mark out of its name in the vendor's console before it is revoked"
        }
        E::ExpiryUnconfirmed => "look at the key in the vendor's console: it may never expire",
        E::BudgetLow => "raise the budget, or find out what spends it",
        E::BudgetExhausted => "raise the budget, or wait for the next period",
        E::ModelUnknown => {
            "correct the name in spec.models; leave it where the vendor is still to add the model"
        }
        E::ConsumersMissing => "correct spec.rotation.restart, or make the workload",
        E::ConsumersForbidden => "grant Keysmith the right, `rbac.restartWorkloads` in the chart",
        E::LeftBehind => {
            "delete the key in the vendor's console, or with `keysmith orphans`, when it is not needed"
        }
        E::Redeposited => "find out who deletes provider keys in the vendor's console",
        E::SecretNotHeld => {
            "grant Keysmith `update` on Secrets; until then do not delete the Secret of the token"
        }
        E::AccountAccepted => "delete the keys of the old account; `keysmith orphans` lists them",
        E::UsageUnread => "mend what the message names; keys do not depend on it",
        E::LowBalance => "add credit in the vendor's console",
        E::ExpiringSoon => "put a new token into the Secret, and move `expiresAt`",
        E::OrphansFound => {
            "look at `keysmith orphans`; those that Keysmith may delete go with the next sweep"
        }
        E::OrphansRevoked => "find out from the message whose keys they were",
        E::PreviousKeyRevoked
        | E::PreviousKeyDisabled
        | E::PreviousKeyEnabled
        | E::Relinked
        | E::TakenOver
        | E::SecretUpdated
        | E::Updated
        | E::BudgetAvailable
        | E::ConsumersRestarted
        | E::Revoked
        | E::Reassigned
        | E::Removed
        | E::LeaderElection => "nothing",
        E::Ready(_) => "as for the reason of the condition",
    }
}

fn events() -> Page {
    let mut text = format!(
        "{WRITTEN}# Events\n\nAn event is sent once for each change, and may be dropped under load: conditions are what to rely on. A change of \
         `Ready` is an event with the [reason of the condition](conditions.md#reasons).\n\n\
         | reason | what happened | what to do |\n| --- | --- | --- |\n"
    );
    for (reason, meaning) in EventReason::ALL {
        let _ = writeln!(text, "| `{}` | {} | {} |", reason.as_str(), cell(meaning), cure(*reason));
    }
    ("events.md".to_owned(), text)
}

fn command_line() -> Page {
    let mut text = format!(
        "{WRITTEN}# Command line\n\nWhat `--help` says. [Flags](flags.md) has the flags of the operator as a table.\n"
    );
    let (_, help, _) = keysmith(&["--help"]);
    let listed = help.split("\nCommands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    for command in std::iter::once("").chain(names.filter(|it| *it != "help")) {
        let arguments: Vec<_> = [command, "--help"].into_iter().filter(|it| !it.is_empty()).collect();
        let (ok, help, _) = keysmith(&arguments);
        assert!(ok, "{command}");
        let lines: Vec<_> = help.lines().map(str::trim_end).collect();
        let title = format!("keysmith {command}");
        let _ = writeln!(text, "\n## {}\n\n```text\n{}\n```", title.trim_end(), lines.join("\n").trim_end());
    }
    ("command-line.md".to_owned(), text)
}

fn vendor_fields() -> Page {
    let (_, json, _) = keysmith(&["explain", "-o", "json"]);
    let explained: Value = serde_json::from_str(&json).unwrap();
    let mut text = format!(
        "{WRITTEN}# Fields by vendor\n\nWhat each vendor makes of the fields of a GatewayApiKey, as `keysmith explain` prints it. [Vendors](vendors.md) \
         compares them.\n"
    );
    for driver in explained["drivers"].as_array().unwrap() {
        let name = driver["name"].as_str().unwrap();
        let _ = writeln!(text, "\n## {name}\n\n| field | support | |\n| --- | --- | --- |");
        for row in driver["fields"].as_array().unwrap() {
            let said = |field: &str| cell(row[field].as_str().unwrap_or_default());
            let support = match row["support"].as_str().unwrap_or_default() {
                "InPlace" => "a change reaches the key",
                "AtCreation" => "fixed when a key is made",
                "Operator" => "by Keysmith",
                _ => "refused",
            };
            let _ = writeln!(text, "| `{}` | {support} | {} |", said("field"), said("note"));
        }
    }
    ("vendor-fields.md".to_owned(), text)
}

fn chart_values() -> Page {
    let table = crate::charts::reference::table();
    let text = format!(
        "{WRITTEN}# Chart values\n\nWhat `charts/keysmith/values.yaml` says of each. [With Helm](../start/helm.md) installs it.\n\n{table}"
    );
    ("chart.md".to_owned(), text)
}

#[test]
fn the_reference_is_written_down_as_the_code_says_it() {
    let folder = root().join("docs/pages/reference");
    let pages = kinds().into_iter().chain([events(), command_line(), vendor_fields(), chart_values()]);
    let mut stale = Vec::new();
    for (name, text) in pages {
        let path = folder.join(&name);
        if updating() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &text).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != text {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "{stale:?} are stale: run make generate and read the diff");
}

/// Every page of the documentation, and README.
pub fn documents() -> String {
    let mut text = fs::read_to_string(root().join("README.md")).unwrap();
    for path in super::manifests::files(&root().join("docs/pages"), "md") {
        text.push_str(&fs::read_to_string(path).unwrap());
    }
    text
}

#[test]
fn every_metric_is_in_the_reference() {
    let page = fs::read_to_string(root().join("docs/pages/reference/metrics.md")).unwrap();
    let metrics = keysmith::runtime::metrics::Metrics::default();
    metrics.leads(true);
    let text = keysmith::runtime::metrics::text::classic(&metrics.text());
    let families: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(families.len() > 40);
    for family in families {
        assert!(page.contains(&format!("`{family}`")), "{family} is not in reference/metrics.md");
    }
}

/// A reason without an answer helps no reader.
#[test]
fn every_reason_has_a_row_that_says_what_to_do() {
    let page = fs::read_to_string(root().join("docs/pages/reference/conditions.md")).unwrap();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    for (reason, _) in keysmith::api::Reason::ALL {
        let named = format!("`{}`", reason.as_str());
        let row = rows.iter().find(|row| row[0].split([',', ';']).any(|it| it.trim() == named));
        let row = row.unwrap_or_else(|| panic!("no row of {named}"));
        assert!(row.last().is_some_and(|cure| cure.len() > 5), "{row:?}");
    }
}

/// A picture is drawn from its source.
#[test]
fn every_picture_is_of_its_source() {
    use sha2::Digest as _;
    for source in super::manifests::files(&root().join("docs/pictures"), "d2") {
        let name = source.file_stem().unwrap().to_string_lossy().into_owned();
        let svg = fs::read_to_string(root().join(format!("docs/pages/pictures/{name}.svg"))).unwrap();
        let hash = sha2::Sha256::digest(fs::read(&source).unwrap());
        let hash: Vec<_> = hash.iter().map(|it| format!("{it:02x}")).collect();
        assert!(svg.contains(&hash.concat()), "{name}.svg is not of its source: run make pictures");
    }
}
