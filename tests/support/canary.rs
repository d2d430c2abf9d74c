//! Searches every log line, at the finest level, for secrets while the tests run.

use std::io::Write;
use std::sync::{Mutex, Once, PoisonError};
use tracing_subscriber::EnvFilter;

/// The prefixes of every secret of the emulator and of the tests.
const MARKS: [&str; 10] = [
    "sk-edgee-emulated-",
    "ek_live_emulated",
    "sk-litellm-emulated-",
    "sk-or-v1-emulated-",
    "sk-eden-emulated-",
    "mgmt-eden-emulated-",
    "eden-v2-emulated-",
    "cortecs-emulated-",
    "canary-",
    "CANARY",
];

static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());
static START: Once = Once::new();

/// The forms in which a secret could leak: plain, base64 (at each offset), and as a list of numbers.
pub fn forms() -> Vec<String> {
    let mut forms = Vec::new();
    for mark in MARKS {
        forms.push(mark.to_owned());
        for offset in 0..3 {
            // The characters at both ends depend on the neighbours, so they are left out.
            let padded = [vec![0; offset], mark.as_bytes().to_vec()].concat();
            let text = base64(&padded);
            forms.push(text[if offset == 0 { 0 } else { offset + 1 }..text.len() - 2].to_owned());
        }
        let numbers: Vec<_> = mark.bytes().take(6).map(|byte| byte.to_string()).collect();
        forms.push(numbers.join(", "));
    }
    forms
}

fn base64(bytes: &[u8]) -> String {
    let json = serde_json::to_value(k8s_openapi::ByteString(bytes.to_vec())).unwrap();
    json.as_str().unwrap().trim_end_matches('=').to_owned()
}

/// The keys of the real LiteLLM, which no test chose.
const REAL: &str = r"\bsk-[A-Za-z0-9_-]{22}\b";

/// The first secret in a text, in the form in which it was found.
pub fn secret_in(text: &str) -> Option<String> {
    static KEYS: std::sync::OnceLock<regex::Regex> = std::sync::OnceLock::new();
    let real = KEYS.get_or_init(|| regex::Regex::new(REAL).expect("a pattern"));
    let fake = forms().into_iter().find(|form| text.contains(form));
    fake.or_else(|| real.find(text).map(|it| it.as_str()[..6].to_owned()))
}

/// One expression for all forms, because every log line of every story is searched.
struct Watcher(regex::bytes::Regex);

impl Write for &Watcher {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if self.0.is_match(line) {
            let text = String::from_utf8_lossy(line).into_owned();
            FOUND.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Starts to search every log line of this process, with the same exception as in the binary. The emulator is the
/// vendor here, and may log anything.
pub fn listen() {
    START.call_once(|| {
        let filter = EnvFilter::new("trace,kube_client::client=off,keysmith::emulator=off");
        let forms: Vec<_> = forms().iter().map(|form| regex::escape(form)).chain([REAL.to_owned()]).collect();
        let any = regex::bytes::Regex::new(&forms.join("|")).expect("escaped text is a pattern");
        let watcher = Box::leak(Box::new(Watcher(any)));
        let started = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(|| &*watcher)
            .with_ansi(false)
            .try_init();
        started.expect("no other listener");
    });
}

/// Fails if any log line so far held a secret. The message does not repeat the line.
pub fn assert_silent() {
    let found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let places: Vec<_> = found.iter().map(|line| line.chars().take(90).collect::<String>()).collect();
    assert!(places.is_empty(), "secrets in {} log lines, the first begins: {}", found.len(), places[0]);
}
