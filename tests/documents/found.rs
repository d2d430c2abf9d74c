//! The commands in the documentation: those of blocks, and those in the text that are whole.

use crate::support::ground::root;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

/// What a reader types into a shell.
const PROGRAMS: [&str; 10] = [
    "kubectl",
    "keysmith",
    "helm",
    "curl",
    "make",
    "cargo",
    "install",
    "ln",
    "printf",
    "target/debug/keysmith",
];

/// A name of a command in the text, such as `kubectl apply` or `keysmith orphans`: nothing to be typed as it stands.
fn is_a_mention(text: &str) -> bool {
    let mut words = text.split(' ');
    let program = words.next().unwrap_or_default();
    let mut rest: Vec<_> = words.collect();
    if program == "kubectl" && rest.first() == Some(&"keysmith") {
        rest.remove(0);
    }
    let named = |word: &&str| word.bytes().all(|it| it.is_ascii_lowercase() || it == b'-');
    match rest.as_slice() {
        [] | ["rollout", "restart"] => true,
        [verb, flag] if ["kubectl", "keysmith"].contains(&program) => named(verb) && flag.starts_with('-'),
        [one] => program != "make" && program != "curl" && named(one) && !one.starts_with("--"),
        _ => false,
    }
}

/// The pages that people write. Those of flags and values are generated.
fn pages() -> Vec<String> {
    let mut pages: Vec<_> = ["README.md", "SECURITY.md", "deploy/README.md", "charts/keysmith/README.md"]
        .map(str::to_owned)
        .into();
    let mut folders = vec![root().join("docs/pages")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "md") {
                pages.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    pages.retain(|it| {
        !it.contains("/reference/api/")
            && !["command-line.md", "chart.md"].iter().any(|name| it.ends_with(name))
    });
    pages.sort();
    assert!(pages.len() > 30, "{pages:?}");
    pages
}

/// The blocks of a language, without their indentation, and the text around all blocks.
fn split(page: &str, language: &str) -> (Vec<String>, String) {
    let (mut blocks, mut text, mut block) = (Vec::new(), String::new(), None::<(usize, bool, String)>);
    for line in page.lines() {
        let bare = line.trim_start();
        match (&mut block, bare.strip_prefix("```")) {
            (None, Some(tag)) => block = Some((line.len() - bare.len(), tag == language, String::new())),
            (Some(_), Some(_)) => {
                let (_, wanted, content) = block.take().unwrap();
                if wanted {
                    blocks.push(content);
                }
            }
            (Some((indent, _, content)), None) => {
                *content += line.get(*indent..).unwrap_or_default();
                content.push('\n');
            }
            (None, None) => {
                text += line;
                text.push('\n');
            }
        }
    }
    assert!(block.is_none(), "a block does not end");
    (blocks, text)
}

fn read(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap()
}

/// The YAML blocks of every page: page and text.
pub fn yaml() -> Vec<(String, String)> {
    pages()
        .into_iter()
        .flat_map(|page| split(&read(&page), "yaml").0.into_iter().map(move |it| (page.clone(), it)))
        .collect()
}

/// The commands of a block, one per line; a line that is continued and a here-document are one.
fn commands(block: &str) -> Vec<String> {
    let (mut found, mut open, mut ending) = (Vec::<String>::new(), false, None::<&str>);
    for line in block.lines() {
        if open || ending.is_some() {
            let last = found.last_mut().unwrap();
            last.push('\n');
            last.push_str(line);
        } else if !line.trim().is_empty() {
            found.push(line.to_owned());
        }
        match ending {
            Some(word) if line == word => ending = None,
            Some(_) => {}
            None => {
                open = line.ends_with('\\');
                ending = line.split_once("<<").map(|(_, word)| word.trim());
            }
        }
    }
    found.iter().map(|it| without_comment(it)).collect()
}

fn without_comment(command: &str) -> String {
    static COMMENT: LazyLock<regex::Regex> = LazyLock::new(|| regex::Regex::new(r"\s+# [^\n]*$").unwrap());
    let first = command.lines().next().unwrap_or_default();
    if command.contains('\n') { command.to_owned() } else { COMMENT.replace(first, "").into_owned() }
}

/// Every command of every page, once.
pub fn all() -> BTreeSet<String> {
    static SPAN: LazyLock<regex::Regex> = LazyLock::new(|| regex::Regex::new(r"`([^`\n]+)`").unwrap());
    let mut all = BTreeSet::new();
    for page in pages() {
        let (blocks, text) = split(&read(&page), "sh");
        all.extend(blocks.iter().flat_map(|it| commands(it)));
        let spans = SPAN.captures_iter(&text).map(|it| it[1].to_owned());
        let typed = |it: &String| {
            let program = it.split(' ').next().unwrap_or_default();
            PROGRAMS.contains(&program) && it.contains(' ') && !is_a_mention(it)
        };
        all.extend(spans.filter(typed));
    }
    all
}

/// Whether a file of the repository has a text.
pub fn has(file: &str, text: &str) -> bool {
    Path::new(&root()).join(file).exists() && read(file).contains(text)
}
