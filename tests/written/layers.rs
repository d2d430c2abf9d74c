//! The laws of the layers hold in the source text.

use super::manifests::{files, root};
use keysmith::gateway::DRIVERS;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

#[test]
fn the_pure_layer_neither_waits_nor_reads_a_clock() {
    let mut sources = files(&root().join("src/plan"), "rs");
    sources.push(root().join("src/plan.rs"));
    for path in sources {
        let text = fs::read_to_string(&path).unwrap();
        for forbidden in [
            "async fn",
            ".await",
            "kube::Client",
            "Timestamp::now",
            "SystemTime",
            "Instant",
            "tokio::",
            "std::fs",
        ] {
            assert!(!text.contains(forbidden), "{} has {forbidden}", path.display());
        }
    }
}

/// The engine acts through ports, so that the histories run the code that ships.
#[test]
fn the_engine_knows_no_client_no_runtime_and_no_clock() {
    let mut sources = files(&root().join("src/protocol"), "rs");
    sources.push(root().join("src/protocol.rs"));
    assert!(sources.len() > 15, "{sources:?}");
    for path in sources {
        let text = fs::read_to_string(&path).unwrap();
        for forbidden in [
            "kube::Client",
            "Api::",
            "Api<",
            "tokio::time",
            "tokio::spawn",
            "Timestamp::now",
            "reqwest",
            "std::fs",
            "crate::controller",
            "crate::operator",
            "crate::runtime",
            "gateway::account::Account",
        ] {
            assert!(!text.contains(forbidden), "{} has {forbidden}", path.display());
        }
    }
}

/// Texts for users count as well: statements about vendors come from the registry.
#[test]
fn a_vendor_is_named_in_its_own_folder_in_the_registry_and_in_the_specification_only() {
    let mut names: Vec<_> = DRIVERS.iter().map(|it| it.field().to_lowercase()).collect();
    let title = |it: &str| it.split(" v").next().unwrap_or_default().to_lowercase();
    names.extend(DRIVERS.iter().map(|it| title(it.capabilities.title)));
    // `pub mod`, and the paths that tests use.
    let may = [
        "src/gateway.rs",
        "src/gateway/registry.rs",
        "src/api/console_token.rs",
        "src/api/console_token/vendor.rs",
        "src/cli/emulate.rs",
    ];
    for path in files(&root().join("src"), "rs") {
        let shown = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let own = |name: &String| {
            let folder = format!("src/gateway/{name}");
            shown == format!("{folder}.rs") || shown.starts_with(&format!("{folder}/"))
        };
        let emulated = shown.starts_with("src/emulator");
        if emulated || may.contains(&shown.as_str()) || shown.ends_with("/tests.rs") || names.iter().any(own)
        {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        // Tests and documentation may give examples.
        let code = text.split("#[cfg(test)]").next().unwrap();
        for line in code.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            let found = names.iter().find(|name| line.to_lowercase().contains(*name));
            assert_eq!(found, None, "{shown}: {line}");
        }
    }
}

/// A module knows those below it and no other: what two modules need of each other is in a third.
#[test]
fn modules_know_each_other_in_one_direction_only() {
    // Not in `src/protocol/key` and `provider_key`, where a port is given the critical section that it runs.
    for folder in [
        "src",
        "src/plan",
        "src/plan/report",
        "src/protocol",
        "src/controller",
        "src/gateway",
        "src/cluster",
        "src/runtime",
        "src/api",
    ] {
        let knows = knows(folder);
        assert!(knows.len() > 3 && knows.values().any(|it| !it.is_empty()), "{folder}: {knows:?}");
        assert_eq!(circle(&knows), None, "a circle of modules in {folder}");
    }
}

/// The modules of a folder, and which of them each names: in its code, without tests.
fn knows(folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let inside = folder.trim_start_matches("src").trim_start_matches('/');
    let path = if inside.is_empty() {
        "crate::".to_owned()
    } else {
        format!("crate::{}::", inside.replace('/', "::"))
    };
    let named = Regex::new(&format!(r"{path}(?:(\w+)|\{{([^;]*?)\}};)")).unwrap();
    let tests = Regex::new(r"#\[cfg\(test\)\]\n(?:#\[[^\n]*\]\n)*mod tests \{").unwrap();
    let mut knows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let top = root().join(folder);
    for file in files(&top, "rs").into_iter().filter(|it| !it.ends_with("tests.rs")) {
        let within = file.strip_prefix(&top).unwrap();
        let module = within.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let text = tests.split(&text).next().unwrap();
        let code: Vec<_> = text.lines().filter(|it| !it.trim_start().starts_with("//")).collect();
        let code = absolute(&code.join("\n"), folder, within);
        let found = named.captures_iter(&code).flat_map(|it| match (it.get(1), it.get(2)) {
            (Some(one), _) => vec![one.as_str().to_owned()],
            (_, Some(several)) => first_names(several.as_str()),
            _ => Vec::new(),
        });
        let found: Vec<_> = found.collect();
        knows.entry(module).or_default().extend(found);
    }
    for name in ["lib", "main"] {
        knows.remove(name);
    }
    let modules: BTreeSet<_> = knows.keys().cloned().collect();
    for (module, named) in &mut knows {
        named.retain(|it| it != module && modules.contains(it));
    }
    knows
}

/// Paths that begin with `super` as those that begin with `crate`.
fn absolute(code: &str, folder: &str, within: &Path) -> String {
    let above: Vec<_> = folder.split('/').skip(1).map(str::to_owned).collect();
    let own: Vec<_> =
        within.iter().map(|it| it.to_string_lossy().trim_end_matches(".rs").to_owned()).collect();
    let mut module = [above, own].concat();
    let mut code = code.to_owned();
    let mut supers = "super::".repeat(module.len());
    while !module.is_empty() {
        let ups = supers.matches("super::").count();
        let base = &module[..module.len().saturating_sub(ups)];
        let base: Vec<_> = base.iter().flat_map(|it| [it.as_str(), "::"]).collect();
        let base = base.concat();
        code = code.replace(&supers, &format!("crate::{base}"));
        supers = supers["super::".len()..].to_owned();
        if supers.is_empty() {
            module.clear();
        }
    }
    code
}

/// The first name of each path in a list of imports.
fn first_names(list: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut names = vec![String::new()];
    for letter in list.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => names.push(String::new()),
            _ if depth == 0 => names.last_mut().unwrap().push(letter),
            _ => {}
        }
    }
    let first = |it: &String| it.trim().split([':', ' ']).next().unwrap_or_default().to_owned();
    names.iter().map(first).collect()
}

/// The modules of a circle, if there is one.
fn circle(knows: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut left = knows.clone();
    loop {
        let free: Vec<_> = left.iter().filter(|it| it.1.is_empty()).map(|it| it.0.clone()).collect();
        if free.is_empty() {
            return (!left.is_empty())
                .then(|| left.iter().map(|(it, knows)| format!("{it} -> {knows:?}")).collect());
        }
        left.retain(|it, _| !free.contains(it));
        for known in left.values_mut() {
            known.retain(|it| !free.contains(it));
        }
    }
}
