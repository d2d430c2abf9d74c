//! What can go wrong at a vendor, classed by consequence: who has to act, when to try again, and above all
//! whether the call may have had an effect.

use crate::api::Reason;
use jiff::Timestamp;

/// A vendor call that did not succeed. Holds nothing the vendor sent: bodies are hostile, and may hold a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct Fault {
    /// What went wrong.
    pub kind: FaultKind,
    /// Whether the call may have changed something at the vendor.
    pub effect: Outcome,
}

/// Whether a failed call may have changed something at the vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Certainly not: refused before it was carried out.
    NotApplied,
    /// Perhaps: timeout, reset, 5xx, or an answer that cannot be read. Recovered, never resent.
    Unknown,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// 401.
    #[error("the vendor does not accept the console token (401)")]
    TokenRefused,
    /// 403.
    #[error("the console token has no right to do that (403)")]
    Forbidden,
    /// 404 on something that is not the object itself.
    #[error("the vendor does not know the path (404)")]
    NotFound,
    /// The project that a token leads to has no settings yet: 404 to a question for them, or an empty answer.
    #[error(
        "the project has no configuration at the vendor yet: open its settings in the vendor's console and save them once"
    )]
    NoSettings,
    /// 409.
    #[error("the vendor reports a conflict (409), such as a name that is in use")]
    Conflict,
    /// 402.
    #[error("the account has no credit left (402): add credit in the vendor's console")]
    NoCredit,
    /// 400, 405, 413, 415, 422. Names only fields of our own request.
    #[error("the vendor refused the request as invalid ({status}){}", listed(.fields))]
    Rejected {
        /// HTTP status.
        status: u16,
        /// The fields that the vendor named, by their paths in the specification, out of those that it was sent.
        fields: Vec<&'static str>,
    },
    /// The same, and all that the vendor named are fields that no specification sets.
    #[error("the vendor refused the request as invalid ({status}): {}, which Keysmith fills in", .fields.join(", "))]
    RejectedOurs {
        /// HTTP status.
        status: u16,
        /// The fields, by the vendor's names for them, out of those that it was sent.
        fields: Vec<&'static str>,
    },
    /// The vendor says that there may be no more keys, or that this token may make none: it does not say which.
    #[error(
        "the vendor made no key ({status}): the account has as many as it may have, or the token may not make any"
    )]
    KeyLimit {
        /// HTTP status.
        status: u16,
    },
    /// 429, or our own limit.
    #[error("the vendor asks for fewer calls (429)")]
    Throttled {
        /// Not before this time, if the vendor said so.
        until: Option<Timestamp>,
    },
    /// 5xx.
    #[error("the vendor failed ({status})")]
    Failed {
        /// HTTP status.
        status: u16,
        /// Not before this time, if the vendor said so.
        until: Option<Timestamp>,
    },
    /// No answer in time.
    #[error("the vendor did not answer within {seconds} s")]
    Timeout {
        /// The deadline of the whole call.
        seconds: u64,
    },
    /// The connection broke.
    #[error("the connection to the vendor broke")]
    Disconnected,
    /// The connection could not be made.
    #[error("the vendor cannot be reached: {0}")]
    Unreachable(Unreachable),
    /// 3xx. A credential follows no redirect.
    #[error("the endpoint redirects elsewhere ({status}), which Keysmith does not follow")]
    Redirected {
        /// HTTP status.
        status: u16,
    },
    /// More bytes than any answer of the vendor has.
    #[error("the vendor's answer is larger than {} MiB", .limit / 1_048_576)]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// Not what the vendor documents.
    #[error("the vendor's answer cannot be understood: {0}")]
    Malformed(&'static str),
    /// A field is not what the vendor documents.
    #[error("the vendor's answer cannot be understood: {field}{} is missing or of another type", of_entry(*.entry))]
    MalformedField {
        /// The entry of a listing, counted from 1.
        entry: Option<usize>,
        /// The field, by the vendor's name for it, out of those that a driver reads.
        field: &'static str,
    },
    /// A breaker is open: another call was refused already.
    #[error("the vendor refuses the console token; see condition Ready of the ConsoleToken")]
    BreakerOpen,
    /// A create call came to nothing, and how it failed is not remembered.
    #[error("the last create call came to nothing")]
    NoOutcome,
}

/// Why a connection could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// The name does not resolve, or nobody listens.
    #[error("no connection to its address")]
    Connect,
    /// The certificate is not trusted, expired, or somebody else's.
    #[error("its certificate is not trusted")]
    Certificate,
}

fn listed(fields: &[&'static str]) -> String {
    if fields.is_empty() { " and named no field".to_owned() } else { format!(": {}", fields.join(", ")) }
}

fn of_entry(entry: Option<usize>) -> String {
    entry.map_or_else(String::new, |number| format!(" of entry {number}"))
}

impl FaultKind {
    /// Whether the answer is not what the vendor documents.
    pub const fn is_malformed(&self) -> bool {
        matches!(self, Self::Malformed(_) | Self::MalformedField { .. })
    }

    /// Whether the vendor refused the request as invalid, whichever field it blames.
    pub const fn is_rejection(&self) -> bool {
        matches!(self, Self::Rejected { .. } | Self::RejectedOurs { .. })
    }

    /// Whether no answer came at all. A 5xx and an answer that cannot be read are answers.
    pub const fn is_unanswered(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Disconnected)
    }

    /// Before which time the vendor asked not to be called again.
    pub const fn not_before(&self) -> Option<Timestamp> {
        match self {
            Self::Throttled { until } | Self::Failed { until, .. } => *until,
            _ => None,
        }
    }
}

impl Fault {
    /// A call that certainly had no effect.
    pub const fn without_effect(kind: FaultKind) -> Self {
        Self { kind, effect: Outcome::NotApplied }
    }

    /// A call that may have had an effect.
    pub const fn ambiguous(kind: FaultKind) -> Self {
        Self { kind, effect: Outcome::Unknown }
    }

    /// The reason in a condition.
    pub const fn reason(&self) -> Reason {
        match &self.kind {
            FaultKind::TokenRefused => Reason::TokenRefused,
            FaultKind::Forbidden => Reason::Forbidden,
            FaultKind::BreakerOpen => Reason::ConsoleTokenNotReady,
            FaultKind::Throttled { .. } => Reason::VendorThrottled,
            FaultKind::NoCredit => Reason::NoCredit,
            FaultKind::Rejected { .. }
            | FaultKind::RejectedOurs { .. }
            | FaultKind::KeyLimit { .. }
            | FaultKind::NoSettings
            | FaultKind::Conflict
            | FaultKind::NotFound => Reason::VendorRejected,
            FaultKind::TooLarge { .. }
            | FaultKind::Malformed(_)
            | FaultKind::MalformedField { .. }
            | FaultKind::Redirected { .. } => Reason::VendorAnswerInvalid,
            FaultKind::Failed { .. }
            | FaultKind::Timeout { .. }
            | FaultKind::Disconnected
            | FaultKind::NoOutcome
            | FaultKind::Unreachable(_) => Reason::VendorUnavailable,
        }
    }

    /// Whether the token, not the call, is at fault: such a fault opens the breaker.
    pub const fn blames_token(&self) -> bool {
        matches!(self.kind, FaultKind::TokenRefused | FaultKind::Forbidden)
    }

    /// Whether only a person can mend it, at first sight. It is tried again all the same, now and then.
    pub const fn needs_a_person(&self) -> bool {
        self.kind.is_rejection()
            || matches!(self.kind, FaultKind::KeyLimit { .. } | FaultKind::NoCredit | FaultKind::NoSettings)
    }

    /// Whether nothing gets better until a person changes something. `again`: the same happened before, which confirms what
    /// may have been a mistake of the vendor's.
    pub const fn stalls(&self, again: bool) -> bool {
        let confirmed = matches!(
            self.kind,
            FaultKind::TokenRefused
                | FaultKind::Forbidden
                | FaultKind::NotFound
                | FaultKind::Redirected { .. }
                | FaultKind::Unreachable(Unreachable::Certificate)
        );
        self.needs_a_person() || again && confirmed
    }

    /// A short name for metrics.
    pub const fn label(&self) -> &'static str {
        match &self.kind {
            FaultKind::TokenRefused => "token_refused",
            FaultKind::Forbidden => "forbidden",
            FaultKind::NotFound => "not_found",
            FaultKind::Conflict => "conflict",
            FaultKind::NoCredit => "no_credit",
            FaultKind::NoSettings => "no_settings",
            FaultKind::Rejected { .. } | FaultKind::RejectedOurs { .. } => "rejected",
            FaultKind::KeyLimit { .. } => "key_limit",
            FaultKind::Throttled { .. } => "throttled",
            FaultKind::Failed { .. } => "failed",
            FaultKind::Timeout { .. } => "timeout",
            FaultKind::Disconnected => "disconnected",
            FaultKind::Unreachable(_) => "unreachable",
            FaultKind::Redirected { .. } => "redirected",
            FaultKind::TooLarge { .. } => "too_large",
            FaultKind::Malformed(_) | FaultKind::MalformedField { .. } => "strange",
            FaultKind::BreakerOpen => "breaker_open",
            FaultKind::NoOutcome => "no_outcome",
        }
    }
}
