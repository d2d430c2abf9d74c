//! The chart's README: the table of values is written from the comments in `values.yaml`, and the schema knows the same
//! values.

use super::golden::updating;
use crate::support::helm::chart;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;

const BEGIN: &str = "<!-- values: written from values.yaml, see tests/charts/reference.rs -->\n";
const END: &str = "<!-- end of values -->\n";

/// One value: its path, its comment, and its default as JSON.
struct Row {
    path: String,
    comment: String,
    default: String,
}

/// The values at the leaves, in the order of the file, with the `# --` comment above each.
fn rows() -> Vec<Row> {
    let text = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let values: Value = serde_yaml::from_str(&text).unwrap();
    let (mut rows, mut path, mut comment) = (Vec::new(), Vec::<(usize, String)>::new(), String::new());
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some(words) = line.trim_start().strip_prefix('#') {
            let words = words.trim();
            match words.strip_prefix("-- ") {
                Some(first) => first.clone_into(&mut comment),
                None if !comment.is_empty() => comment = format!("{comment} {words}"),
                None => {}
            }
            continue;
        }
        let Some((name, _)) = line.trim_start().split_once(':') else {
            comment.clear();
            continue;
        };
        path.retain(|(column, _)| *column < indent);
        path.push((indent, name.to_owned()));
        let names: Vec<_> = path.iter().map(|(_, name)| name.as_str()).collect();
        let value = values.pointer(&format!("/{}", names.join("/"))).unwrap_or(&Value::Null);
        let words = std::mem::take(&mut comment);
        // A section whose values have rows of their own has no row, unless it has a comment.
        let has_parts = value.as_object().is_some_and(|it| !it.is_empty());
        let whole = ["resources", "podSecurityContext", "securityContext"].contains(&names[0]);
        if (has_parts && whole && names.len() == 1) || !(has_parts || whole && names.len() > 1) {
            rows.push(Row { path: names.join("."), comment: words, default: value.to_string() });
        } else if !words.is_empty() && !whole {
            rows.push(Row { path: names.join("."), comment: words, default: String::new() });
        }
    }
    rows
}

pub fn table() -> String {
    let mut text = String::from("| value | default | |\n| --- | --- | --- |\n");
    for row in rows() {
        let default = if row.default.is_empty() { String::new() } else { format!("`{}`", row.default) };
        // Writing to a String does not fail.
        let _ = writeln!(text, "| `{}` | {default} | {} |", row.path, row.comment);
    }
    text
}

#[test]
fn the_table_of_values_in_the_charts_readme_is_fresh() {
    let path = chart().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the place of the table");
    let (_, after) = rest.split_once(END).expect("its end");
    let fresh = format!("{before}{BEGIN}\n{}\n{END}{after}", table());
    if updating() {
        fs::write(&path, fresh).unwrap();
    } else {
        assert!(fresh == readme, "charts/keysmith/README.md is stale: run make generate");
    }
}

/// Every object of the schema that names its properties, with its path.
fn closed<'a>(schema: &'a Value, place: String, found: &mut Vec<(String, &'a Value)>) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        found.push((place.clone(), schema));
        for (name, part) in properties {
            closed(part, format!("{place}/{name}"), found);
        }
    }
    if let Some(items) = schema.get("items") {
        closed(items, format!("{place}/-"), found);
    }
}

#[test]
fn the_schema_knows_every_value_and_no_other() {
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(chart().join("values.schema.json")).unwrap()).unwrap();
    let values: Value =
        serde_yaml::from_str(&fs::read_to_string(chart().join("values.yaml")).unwrap()).unwrap();
    let mut objects = Vec::new();
    closed(&schema, String::new(), &mut objects);
    assert!(objects.len() > 10);
    for (place, object) in objects {
        // A parent chart shares its globals with every part, so that there are others.
        if place != "/global" {
            assert_eq!(object["additionalProperties"], false, "{place} takes anything");
        }
        if place.contains("/-") {
            continue;
        }
        let mut known: Vec<_> = object["properties"].as_object().unwrap().keys().collect();
        let mut given: Vec<_> = values.pointer(&place).unwrap().as_object().unwrap().keys().collect();
        known.sort();
        given.sort();
        assert_eq!(known, given, "below {place}");
    }
}
