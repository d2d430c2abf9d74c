//! The documents about vendors agree with the table of capabilities.

use super::manifests::{files, keysmith, kustomized, root};
use serde_json::{Value, json};
use std::fs;

/// A copied folder is complete, except for what names something that only its author has.
#[test]
fn every_example_is_in_its_folder_and_every_folder_goes_to_the_emulator() {
    for (driver, folder) in FOLDERS {
        let (ok, _, _) = keysmith(&["explain", driver]);
        assert!(ok, "{folder} is for no driver");
        let path = root().join("deploy/examples").join(folder);
        let own = fs::read_to_string(path.join("kustomization.yaml")).unwrap();
        for file in files(&path, "yaml") {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let listed = own.contains(&format!("- {name}\n"));
            let expected = !matches!(name.as_str(), "kustomization.yaml" | "adopted.yaml");
            assert_eq!(listed, expected, "{folder}/{name}");
        }
        let kustomized = kustomized(&root().join("deploy/examples/emulator").join(folder));
        let tokens: Vec<_> = kustomized.iter().filter(|it| it["kind"] == "ConsoleToken").collect();
        assert!(!tokens.is_empty());
        for token in tokens {
            for field in ["endpoint", "gatewayUrl"] {
                let url = token["spec"][field].as_str().unwrap_or_default();
                assert!(url.starts_with("http://127.0.0.1:8787/"), "{field} of a token in {folder}: {url}");
            }
        }
    }
}

/// The drivers and the folders of their examples.
const FOLDERS: [(&str, &str); 6] = [
    ("edgee", "edgee"),
    ("edenai-v3", "edenai"),
    ("edenai-v2", "edenai-v2"),
    ("cortecs", "cortecs"),
    ("litellm", "litellm"),
    ("openrouter", "openrouter"),
];

#[test]
fn the_table_of_vendors_in_the_documentation_is_what_explain_says() {
    let readme = fs::read_to_string(root().join("docs/pages/reference/vendors.md")).unwrap();
    let section = readme.split("\n## Vendors\n").nth(1).unwrap().split("\n### ").next().unwrap();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let (_, json, _) = keysmith(&["explain", "-o", "json"]);
    let explained: Value = serde_json::from_str(&json).unwrap();
    // An issuer mints console tokens only, and has a table of its own.
    let drivers: Vec<_> = explained["drivers"].as_array().unwrap().iter().collect();
    let of_keys: Vec<_> = drivers.into_iter().filter(|it| it["types"] != json!(["Management"])).collect();
    let words = |list: &Value| {
        let words = list.as_array().unwrap().iter().map(|it| it.as_str().unwrap());
        words.filter(|it| *it != "Management").collect::<Vec<_>>().join(", ")
    };
    for (column, driver) in rows[0].iter().enumerate().skip(1) {
        let driver = of_keys.iter().find(|it| *driver == format!("`{}`", it["name"].as_str().unwrap()));
        let driver = driver.unwrap_or_else(|| panic!("{} is no driver", rows[0][column]));
        let said = |title: &str| {
            let row =
                rows.iter().find(|row| row[0].contains(title)).unwrap_or_else(|| panic!("no row {title}"));
            row[column].to_owned()
        };
        let yes = |field: &str| if driver[field] == true { "yes" } else { "no" };
        assert_eq!(said("`type`"), words(&driver["types"]));
        assert_eq!(said("`preset`"), words(&driver["presets"]));
        let periods = words(&driver["budget"]["periods"]);
        assert!(
            said("`budget.period`") == periods
                || periods.is_empty() && said("`budget.period`").starts_with("none")
        );
        assert!(said("amounts in").ends_with(driver["budget"]["currency"].as_str().unwrap()));
        assert_eq!(said("unknown models"), if driver["models"]["listed"] == true { "yes" } else { "no" });
        assert_eq!(said("`active`"), yes("disable"));
        assert_eq!(said("last use"), yes("lastUsed"));
        assert_eq!(said("orphans") == "revoked", driver["createdAt"] == true);
        assert_eq!(said("ProviderKey"), yes("providerKeys"));
        // The row of models names it as well.
        let last = rows.iter().find(|row| row[0] == "ProjectSettings").unwrap();
        assert_eq!(last[column], yes("projectSettings"));
        assert_eq!(said("what was spent").contains("balance"), driver["usage"]["balance"] == true);
        assert_eq!(said("`mint`") == "no", driver["consoleTokens"] == "Console");
        assert_eq!(said("a lost Secret") == "the same key", driver["recovery"] == "Reveal");
    }
    assert_eq!(rows[0].len(), 1 + of_keys.len());
}
