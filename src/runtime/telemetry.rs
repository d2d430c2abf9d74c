//! Logs: format, filter and sanitizing of lines.

use crate::columns::printable;
use clap::ValueEnum;
use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Format of the logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// kube-client logs the whole body of a response that it cannot decode, and a body may be a Secret. That target stays
/// off at every level; the caller logs the error itself.
const NEVER: &str = "kube_client::client=off";
/// kube's log lines on restarted watches are redundant with Keysmith's own.
const WATCHES: &str = "kube_runtime";
const KEYSMITH: &str = "keysmith";
/// Our own modules, as the prefixes of their log targets.
const MODULES: [&str; 17] = [
    "api",
    "cli",
    "cluster",
    "columns",
    "commands",
    "controller",
    "emulator",
    "explain",
    "gateway",
    "operator",
    "orphans",
    "plan",
    "protocol",
    "runtime",
    "session",
    "uninstall",
    "usage",
];
/// The libraries that log; a name is a prefix, such as `kube` for `kube_runtime`.
const LIBRARIES: [&str; 14] = [
    "kube",
    "kube_client",
    "kube_core",
    "kube_runtime",
    "hyper",
    "hyper_util",
    "reqwest",
    "rustls",
    "tower",
    "axum",
    "tokio",
    "tokio_util",
    "h2",
    "mio",
];

/// The log filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

impl Default for Filter {
    fn default() -> Self {
        Self(directives(Some("info"), &[]))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for Filter {
    type Err = String;

    /// Parses a level, or a list of levels and `target=level` separated by commas. An unknown word is an error here,
    /// because the logging library would treat it as a target and then log nothing else.
    fn from_str(text: &str) -> Result<Self, String> {
        let (mut level, mut targets) = (None, Vec::new());
        for item in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            match item.split_once('=') {
                None => level = Some(known_level(item)?),
                Some((target, of_target)) => {
                    targets.push(format!(
                        "{}={}",
                        known_target(target.trim())?,
                        known_level(of_target.trim())?
                    ));
                }
            }
        }
        let default = if targets.is_empty() { Some("info") } else { None };
        Ok(Self(directives(level.as_deref().or(default), &targets)))
    }
}

fn known_level(text: &str) -> Result<String, String> {
    let named = !text.bytes().any(|it| it.is_ascii_digit());
    let level = LevelFilter::from_str(text).ok().filter(|_| named && !text.is_empty());
    level.map(|level| level.to_string()).ok_or_else(|| {
        let hint = "write error, warn, info, debug, trace or off, or a list such as info,keysmith=debug";
        format!("{text:?} is no level; {hint}")
    })
}

fn known_target(text: &str) -> Result<&str, String> {
    let mut path = text.split("::");
    let (first, second) = (path.next().unwrap_or_default(), path.next());
    let known = match (first, second) {
        (KEYSMITH, Some(module)) => MODULES.contains(&module),
        (KEYSMITH, None) => true,
        (library, _) => LIBRARIES.contains(&library),
    };
    let plain = text.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_' || it == b':');
    if known && plain {
        return Ok(text);
    }
    Err(format!(
        "{text:?} logs nothing; write keysmith, one of its modules such as keysmith::controller, or one of {}",
        LIBRARIES.join(", ")
    ))
}

/// A level without a target applies to Keysmith's own lines: of libraries, at most `info` is logged, unless they are
/// named. Of two directives for the same target, the later one wins.
fn directives(level: Option<&str>, targets: &[String]) -> String {
    let others = match level {
        None => "warn",
        Some(level) if ["debug", "trace"].contains(&level) => "info",
        Some(level) => level,
    };
    let mut all = vec![others.to_owned()];
    let asked =
        targets.iter().filter_map(|it| it.split_once('=')).any(|(target, _)| WATCHES.starts_with(target));
    if others == "info" && !asked {
        all.push(format!("{WATCHES}=warn"));
    }
    all.push(format!("{KEYSMITH}={}", level.unwrap_or("info")));
    all.extend_from_slice(targets);
    all.push(NEVER.to_owned());
    all.join(",")
}

/// Writer to standard error, one line per event: text from vendors and users can neither start another line nor
/// reorder or hide a part of this one. Write errors are ignored: a lost log is no reason to exit.
#[derive(Clone, Copy)]
struct Lines(LogFormat);

impl Write for Lines {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().lock().write_all(line(self.0, buffer).as_bytes());
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

/// One log line; the logging library writes each event as a whole.
fn line(format: LogFormat, event: &[u8]) -> String {
    let text = String::from_utf8_lossy(event);
    let text = printable(text.strip_suffix('\n').unwrap_or(&text));
    let text = if format == LogFormat::Json { without_escapes(&text) } else { text };
    text + "\n"
}

/// JSON without escaped control characters, which the first program that prints a field would decode.
fn without_escapes(json: &str) -> String {
    let (mut shown, mut rest) = (String::with_capacity(json.len()), json);
    while let Some(place) = rest.find('\\') {
        let (before, escape) = rest.split_at(place);
        // Escapes are ASCII; other text stays as it is.
        let length = if escape[1..].starts_with('u') { 6 } else { 2 };
        let Some((escape, after)) = escape.split_at_checked(length) else { break };
        shown.push_str(before);
        let control = length == 6 || ["\\b", "\\f", "\\n", "\\r", "\\t"].contains(&escape);
        shown.push_str(if control { "\u{fffd}" } else { escape });
        rest = after;
    }
    shown + rest
}

/// Where traces go: to a collector, of a program that was built with the feature `otlp`.
#[cfg(feature = "otlp")]
pub type Traces<'a> = Option<&'a super::otlp::Export>;
/// Where traces go: nowhere, without the feature `otlp`.
#[cfg(not(feature = "otlp"))]
pub type Traces<'a> = Option<&'a std::convert::Infallible>;

/// Starts logging to standard error, and sending traces.
pub fn start(format: LogFormat, filter: &Filter, traces: Traces<'_>) -> Result<(), String> {
    let filter = EnvFilter::try_new(&filter.0).map_err(|error| format!("--log-level: {error}"))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(Lines(format));
    let lines = match format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let registry = tracing_subscriber::registry().with(lines.with_filter(filter));
    #[cfg(feature = "otlp")]
    let registry = registry.with(traces.map(super::otlp::Export::layer));
    #[cfg(not(feature = "otlp"))]
    let _ = traces;
    registry.try_init().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_levels_and_targets_are_refused_rather_than_taken_for_targets() {
        for (text, words) in [
            ("info;debug", "is no level"),
            ("inof", "\"inof\" is no level; write error, warn, info, debug, trace or off"),
            ("verbose", "is no level"),
            ("3", "is no level"),
            ("keysmith=inof", "\"inof\" is no level"),
            ("keysmith=", "is no level"),
            ("=debug", "logs nothing"),
            ("foo=debug", "\"foo\" logs nothing; write keysmith"),
            ("keysmit=debug", "logs nothing"),
            ("keysmith::controler=debug", "logs nothing"),
            ("keysmith[x]=debug", "logs nothing"),
            ("keysmith", "is no level"),
            ("info,kub=debug", "logs nothing"),
        ] {
            let error = text.parse::<Filter>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_level_is_for_the_lines_of_keysmith_and_libraries_are_asked_for_by_name() {
        let never = NEVER;
        for (text, expected) in [
            ("", "info,kube_runtime=warn,keysmith=info"),
            ("info", "info,kube_runtime=warn,keysmith=info"),
            (" INFO ", "info,kube_runtime=warn,keysmith=info"),
            ("off", "off,keysmith=off"),
            ("OFF", "off,keysmith=off"),
            ("Warn", "warn,keysmith=warn"),
            ("debug", "info,kube_runtime=warn,keysmith=debug"),
            ("trace", "info,kube_runtime=warn,keysmith=trace"),
            ("debug,kube=info", "info,keysmith=debug,kube=info"),
            ("debug, hyper=TRACE", "info,kube_runtime=warn,keysmith=debug,hyper=trace"),
            ("info,kube_runtime=warn", "info,keysmith=info,kube_runtime=warn"),
            ("keysmith=debug", "warn,keysmith=info,keysmith=debug"),
            ("keysmith::controller=debug", "warn,keysmith=info,keysmith::controller=debug"),
        ] {
            let filter: Filter = text.parse().unwrap();
            assert_eq!(filter.0, format!("{expected},{never}"), "{text}");
            assert!(EnvFilter::try_new(&filter.0).is_ok(), "{text}");
        }
        assert_eq!("info".parse(), Ok(Filter::default()));
    }

    #[test]
    fn the_chart_takes_and_refuses_the_same() {
        let schema = include_str!("../../charts/keysmith/values.schema.json");
        let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
        let pattern = &schema["properties"]["log"]["properties"]["level"]["pattern"];
        let pattern = regex::Regex::new(pattern.as_str().unwrap()).unwrap();
        let mut texts = vec!["", "OFF", "info", " Info , hyper=TRACE", "debug,kube=info", "keysmith=debug"];
        texts.extend([
            "inof",
            "verbose",
            "3",
            "foo=debug",
            "keysmith=inof",
            "keysmith",
            "keysmith=",
            "info;debug",
            "=debug",
        ]);
        texts.extend([
            "keysmith::controler=debug",
            "keysmith::protocol::key=debug",
            "keysmith[x]=debug",
            "kub=debug",
        ]);
        // The schema has the list twice: for the first part and for those after a comma.
        let modules = MODULES
            .iter()
            .flat_map(|it| [format!("keysmith::{it}=debug"), format!("info,keysmith::{it}=debug")]);
        let named: Vec<_> = LIBRARIES.iter().map(|it| format!("warn,{it}=debug")).chain(modules).collect();
        for text in texts.into_iter().chain(named.iter().map(String::as_str)) {
            assert_eq!(pattern.is_match(text), text.parse::<Filter>().is_ok(), "{text}");
        }
    }

    #[test]
    fn the_modules_that_can_be_named_are_those_that_there_are() {
        let lines = include_str!("../lib.rs").lines();
        let modules: Vec<_> = lines
            .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'))
            .filter(|module| *module != "output")
            .collect();
        assert_eq!(modules, MODULES);
    }

    #[test]
    fn an_event_is_one_line_that_no_name_at_a_vendor_can_break_or_reorder() {
        let event = "INFO name=\"a\nFORGED\" \u{1b}[2J\u{202e}x\n";
        let shown = line(LogFormat::Text, event.as_bytes());
        assert_eq!(shown, "INFO name=\"a\u{fffd}FORGED\" \u{fffd}[2J\u{fffd}x\n");
        let name = "a\nb\u{1b}[2J\u{202e}\u{7f}\"\\n\\u0041/";
        let event = serde_json::json!({"name": name}).to_string() + "\n";
        let shown: serde_json::Value =
            serde_json::from_str(&line(LogFormat::Json, event.as_bytes())).unwrap();
        assert_eq!(shown["name"], "a\u{fffd}b\u{fffd}[2J\u{fffd}\u{fffd}\"\\n\\u0041/");
        assert_eq!(line(LogFormat::Json, b"cut \\"), "cut \\\n");
    }
}
