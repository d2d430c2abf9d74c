//! Completion of `kubectl keysmith`: kubectl calls a program `kubectl_complete-keysmith` with the words after the plugin's
//! name, of which the last is to be completed, and reads candidates, a line each, and a last line that says what else the
//! shell may offer.

use clap::{Arg, Command};

/// Name of the program that kubectl looks for.
pub const PROGRAM: &str = "kubectl_complete-keysmith";
/// Last line: no file names beside these.
const ALONE: &str = ":4";
/// Last line: file names as well.
const FILES: &str = ":0";

/// The answer for these words.
pub fn answer(command: &Command, words: &[String]) -> String {
    let Some((last, before)) = words.split_last() else { return format!("{ALONE}\n") };
    let mut current = command;
    for word in before {
        current = current.find_subcommand(word).unwrap_or(current);
    }
    let flags = || current.get_arguments().chain(command.get_arguments().filter(|it| it.is_global_set()));
    let takes_value = |it: &&Arg| it.get_action().takes_values() && !it.is_positional();
    let awaiting = before.last().and_then(|word| flags().filter(takes_value).find(|it| is_named(it, word)));
    let (candidates, end): (Vec<_>, _) = match awaiting {
        Some(flag) => {
            let values = flag.get_possible_values();
            // Flags with a file say so in the name of their value.
            let is_file = flag.get_value_names().into_iter().flatten().any(|it| it == "FILE");
            let end = if is_file { FILES } else { ALONE };
            (values.iter().map(|it| (it.get_name().to_owned(), help(it.get_help()))).collect(), end)
        }
        None if last.starts_with('-') => {
            let named = flags().filter(|it| !it.is_hide_set());
            (
                named.filter_map(|it| Some((format!("--{}", it.get_long()?), help(it.get_help())))).collect(),
                ALONE,
            )
        }
        None => {
            let subcommands = current.get_subcommands().filter(|it| !it.is_hide_set());
            (subcommands.map(|it| (it.get_name().to_owned(), help(it.get_about()))).collect(), ALONE)
        }
    };
    let fitting = candidates.into_iter().filter(|(name, _)| name.starts_with(last.as_str()));
    let lines =
        fitting.map(|(name, help)| if help.is_empty() { name + "\n" } else { format!("{name}\t{help}\n") });
    lines.collect::<String>() + end + "\n"
}

fn is_named(flag: &Arg, word: &str) -> bool {
    let long = flag.get_long().is_some_and(|it| word.strip_prefix("--") == Some(it));
    let short =
        flag.get_short().is_some_and(|it| word.strip_prefix('-').is_some_and(|word| word.chars().eq([it])));
    long || short
}

/// The first sentence of a help text.
fn help(text: Option<&clap::builder::StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn completed(words: &[&str]) -> (Vec<String>, String) {
        let words: Vec<_> = words.iter().map(|it| (*it).to_owned()).collect();
        let mut lines: Vec<_> =
            answer(&super::super::Cli::command(), &words).lines().map(str::to_owned).collect();
        let end = lines.pop().unwrap();
        (lines.into_iter().map(|it| it.split('\t').next().unwrap().to_owned()).collect(), end)
    }

    #[test]
    fn subcommands_flags_and_values_are_completed() {
        let (mut names, end) = completed(&["r"]);
        names.sort();
        assert_eq!(
            (names.as_slice(), end.as_str()),
            (["ready", "report", "resume", "rotate", "run"].map(str::to_owned).as_slice(), ALONE)
        );
        assert!(completed(&["rotate", "--"]).0.contains(&"--wait".to_owned()));
        assert_eq!(completed(&["status", "-o", "j"]), (vec!["json".to_owned()], ALONE.to_owned()));
        assert_eq!(completed(&["plan", "-f", ""]), (vec![], FILES.to_owned()));
        assert_eq!(completed(&["plan", "-n", ""]), (vec![], ALONE.to_owned()));
        assert_eq!(completed(&["rotate", "chec"]), (vec![], ALONE.to_owned()));
        assert!(completed(&[""]).0.contains(&"whose".to_owned()));
    }
}
