//! Texts that a vendor may send to have them repeated, and a check for them.

use std::fmt::Debug;

pub const CANARY: &str = "CANARY-7d1f0c";

/// Answers full of the canary: pages, errors in every shape, and almost sound ones.
pub fn bodies() -> Vec<String> {
    vec![
        CANARY.to_owned(),
        format!("<html>{CANARY}</html>"),
        format!(r#""{CANARY}""#),
        format!(r#"{{"{CANARY}":"{CANARY}"}}"#),
        format!(r#"{{"error":"{CANARY}","message":"{CANARY}"}}"#),
        format!(r#"{{"detail":"{CANARY}","details":["{CANARY}"],"name":["{CANARY}"],"{CANARY}":["x"]}}"#),
        format!(
            r#"{{"error":{{"type":"{CANARY}","message":{{"{CANARY}":["{CANARY}"],"name":["{CANARY}"]}}}}}}"#
        ),
        format!(
            r#"{{"error":{{"type":"{CANARY}","message":"{CANARY}","params":[
                {{"param":"{CANARY}","message":"{CANARY}"}},{{"param":"name","message":"{CANARY}"}}]}}}}"#
        ),
        format!(r#"{{"id":7,"name":"{CANARY}","key":"{CANARY}"}}"#),
        format!(r#"{{"id":"{CANARY}","name":["{CANARY}"],"key":{{"{CANARY}":"{CANARY}"}}}}"#),
        format!(r#"{{"id":"{CANARY}","key":"{CANARY}***","api_key_ids":"{CANARY}"}}"#),
        format!(r#"{{"id":"{CANARY}","key":"{CANARY}","created_at":"{CANARY}","models":"{CANARY}"}}"#),
        format!(r#"{{"id":"{CANARY}","name":"{CANARY}","secret":"{CANARY}…","token":"{CANARY}*"}}"#),
        format!(
            r#"{{"id":"{CANARY}","name":"n","secret":"{CANARY}","token":["{CANARY}"],"balance":"{CANARY}"}}"#
        ),
        format!(r#"{{"api_key":"{CANARY}****","created_at":"{CANARY}","project_id":["{CANARY}"]}}"#),
        format!(r#"{{"api_keys":[{{"name":["{CANARY}"]}}],"rows":[{{"cost":"{CANARY}"}}]}}"#),
        format!(r#"{{"usage":[{{"token":"{CANARY}","data":{{"{CANARY}":{{"{CANARY}":{{}}}}}}}}]}}"#),
        format!(r#"{{"current_balance":"{CANARY}","currency":"{CANARY}","credits":"{CANARY}"}}"#),
        format!(r#"{{"results":[{{"id":"{CANARY}","balance":"{CANARY}"}}],"total_count":"{CANARY}"}}"#),
        format!(r#"[{{"name":"{CANARY}","balance":"{CANARY}","expire_time":"{CANARY}"}}]"#),
        format!(r#"{{"data":[{{"id":"{CANARY}","active":"{CANARY}"}}],"last_key":"{CANARY}"}}"#),
        format!(r#"{{"data":[],"has_more":true,"last_key":"{CANARY}"}}"#),
        format!(r#"{{"id":"{CANARY}","key":"{CANARY}"#),
        format!("Timestamp,API Key,{CANARY}\n{CANARY},{CANARY},{CANARY}\n"),
        format!("Timestamp,API Key,Cost\n{CANARY},{CANARY},{CANARY}\n"),
    ]
}

/// The statuses with which each of them is sent.
pub const STATUSES: [u16; 11] = [200, 302, 400, 401, 403, 404, 409, 422, 429, 500, 503];

/// Fails if the text holds the canary or a credential of the emulated vendors.
pub fn silent(shown: &str) {
    for secret in [CANARY, "emulated", "Bearer"] {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
}

/// Shows a value by its `Debug`, or an empty text if the type has no `Debug`.
pub struct Probe<'a, T>(pub &'a T);

impl<T: Debug> Probe<'_, T> {
    pub fn shown(&self) -> String {
        format!("{:?} {:#?}", self.0, self.0)
    }
}

pub trait WithoutDebug {
    fn shown(&self) -> String {
        String::new()
    }
}

impl<T> WithoutDebug for Probe<'_, T> {}
