//! Failures of vendor calls, classified by consequence: who has to act, when to retry, and whether the call may
//! have had an effect.

use crate::api::Reason;
use jiff::Timestamp;

/// A failed vendor call. It contains nothing that the vendor sent: a body is untrusted and may contain a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct Fault {
    /// What failed.
    pub kind: FaultKind,
    /// Whether the call may have changed something at the vendor.
    pub effect: Outcome,
}

/// Whether a failed call may have changed something at the vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Certainly not: the call was refused before it was carried out.
    NotApplied,
    /// Perhaps: timeout, reset, 5xx, or a malformed response. The outcome is looked up; the call is never repeated.
    Unknown,
}

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// 401.
    #[error("the vendor does not accept the console token (401)")]
    TokenRefused,
    /// 403.
    #[error("the console token has no right to do that (403)")]
    Forbidden,
    /// 404 on something other than the requested object.
    #[error("the vendor does not know the path (404)")]
    NotFound,
    /// The token's project has no settings yet: 404 when they are read, or an empty response.
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
        /// The fields that the vendor blamed, as paths in the specification, limited to those that were sent.
        fields: Vec<&'static str>,
    },
    /// The same, if all blamed fields are fields that no specification sets.
    #[error("the vendor refused the request as invalid ({status}): {}, which Keysmith fills in", .fields.join(", "))]
    RejectedOurs {
        /// HTTP status.
        status: u16,
        /// The blamed fields, by the vendor's names, limited to those that were sent.
        fields: Vec<&'static str>,
    },
    /// The account has reached its limit of keys, or this token may not create any: the vendor does not say which.
    #[error(
        "the vendor made no key ({status}): the account has as many as it may have, or the token may not make any"
    )]
    KeyLimit {
        /// HTTP status.
        status: u16,
    },
    /// The ConsoleToken does not fit what the vendor has, such as a team that does not exist. Says what, and what to do.
    #[error("the vendor cannot carry it out: {0}")]
    Unfit(&'static str),
    /// 429, or our own rate limit.
    #[error("the vendor asks for fewer calls (429)")]
    Throttled {
        /// Earliest retry, if the vendor named one.
        until: Option<Timestamp>,
    },
    /// 5xx.
    #[error("the vendor failed ({status})")]
    Failed {
        /// HTTP status.
        status: u16,
        /// Earliest retry, if the vendor named one.
        until: Option<Timestamp>,
    },
    /// No response in time.
    #[error("the vendor did not answer within {seconds} s")]
    Timeout {
        /// The timeout of the whole call.
        seconds: u64,
    },
    /// The connection broke.
    #[error("the connection to the vendor broke")]
    Disconnected,
    /// The connection could not be made.
    #[error("the vendor cannot be reached: {0}")]
    Unreachable(Unreachable),
    /// 3xx. A redirect is not followed, because it would receive the credential.
    #[error("the endpoint redirects elsewhere ({status}), which Keysmith does not follow")]
    Redirected {
        /// HTTP status.
        status: u16,
    },
    /// The response is larger than any valid one.
    #[error("the vendor's answer is larger than {} MiB", .limit / 1_048_576)]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The response is malformed.
    #[error("the vendor's answer cannot be understood: {0}")]
    Malformed(&'static str),
    /// A field of the response is malformed.
    #[error("the vendor's answer cannot be understood: {field}{} is missing or of another type", of_entry(*.entry))]
    MalformedField {
        /// The entry of a listing, counted from 1.
        entry: Option<usize>,
        /// The field, by the vendor's name, limited to those that a driver reads.
        field: &'static str,
    },
    /// The circuit breaker is open after another call was refused.
    #[error("the vendor refuses the console token; see condition Ready of the ConsoleToken")]
    BreakerOpen,
    /// A create call was not applied, and its fault is not remembered.
    #[error("the last create call came to nothing")]
    NoOutcome,
}

/// Why a connection could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// The name does not resolve, or no server listens.
    #[error("no connection to its address")]
    Connect,
    /// The certificate is untrusted, expired, or for another host.
    #[error("its certificate is not trusted")]
    Certificate,
    /// The name leads to addresses that are not public, and its origin is not listed.
    #[error("its name leads to an address that is not public")]
    Private,
}

fn listed(fields: &[&'static str]) -> String {
    if fields.is_empty() { " and named no field".to_owned() } else { format!(": {}", fields.join(", ")) }
}

fn of_entry(entry: Option<usize>) -> String {
    entry.map_or_else(String::new, |number| format!(" of entry {number}"))
}

impl FaultKind {
    /// Whether the response is malformed.
    pub const fn is_malformed(&self) -> bool {
        matches!(self, Self::Malformed(_) | Self::MalformedField { .. })
    }

    /// Whether the vendor refused the request as invalid, whichever fields it blames.
    pub const fn is_rejection(&self) -> bool {
        matches!(self, Self::Rejected { .. } | Self::RejectedOurs { .. })
    }

    /// Whether there was no response at all. A 5xx and a malformed response are responses.
    pub const fn is_unanswered(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Disconnected)
    }

    /// Earliest retry that the vendor asked for.
    pub const fn not_before(&self) -> Option<Timestamp> {
        match self {
            Self::Throttled { until } | Self::Failed { until, .. } => *until,
            _ => None,
        }
    }
}

/// Whether a fault was there at the previous attempt, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occurrence {
    /// It was not.
    First,
    /// It was, which confirms it.
    Repeated,
}

impl Fault {
    /// A failure without any effect.
    pub const fn without_effect(kind: FaultKind) -> Self {
        Self { kind, effect: Outcome::NotApplied }
    }

    /// A failure whose outcome is unknown.
    pub const fn ambiguous(kind: FaultKind) -> Self {
        Self { kind, effect: Outcome::Unknown }
    }

    /// Whether calls with the console token are paused, because the token was refused. The controller of the token notices when it
    /// works again, and enqueues what waits for it.
    pub const fn is_paused(&self) -> bool {
        matches!(self.kind, FaultKind::BreakerOpen)
    }

    /// Whether calls are paused, or the console token is refused, which pauses them.
    pub const fn waits_for_token(&self) -> bool {
        matches!(self.kind, FaultKind::BreakerOpen | FaultKind::TokenRefused)
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
            | FaultKind::Unfit(_)
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

    /// Whether the token is at fault, not the call: such a fault opens the circuit breaker.
    pub const fn blames_token(&self) -> bool {
        matches!(self.kind, FaultKind::TokenRefused | FaultKind::Forbidden)
    }

    /// Whether a single occurrence already means that only a person can fix it. It is still retried now and then.
    pub const fn needs_a_person(&self) -> bool {
        self.kind.is_rejection()
            || matches!(
                self.kind,
                FaultKind::KeyLimit { .. }
                    | FaultKind::Unfit(_)
                    | FaultKind::NoCredit
                    | FaultKind::NoSettings
            )
    }

    /// Whether only a person can fix it. A fault that may be a passing mistake of the vendor has to be repeated.
    pub const fn stalls(&self, occurrence: Occurrence) -> bool {
        let confirmed = matches!(
            self.kind,
            FaultKind::TokenRefused
                | FaultKind::Forbidden
                | FaultKind::NotFound
                | FaultKind::Redirected { .. }
                | FaultKind::Unreachable(Unreachable::Certificate | Unreachable::Private)
        );
        self.needs_a_person() || confirmed && matches!(occurrence, Occurrence::Repeated)
    }

    /// The fault, told apart as far as a second one confirms the first.
    pub const fn name(&self) -> &'static str {
        match &self.kind {
            FaultKind::Unreachable(Unreachable::Certificate) => "certificate",
            FaultKind::Unreachable(Unreachable::Private) => "private_address",
            _ => self.label(),
        }
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
            FaultKind::Unfit(_) => "unfit",
            FaultKind::Throttled { .. } => "throttled",
            FaultKind::Failed { .. } => "failed",
            FaultKind::Timeout { .. } => "timeout",
            FaultKind::Disconnected => "disconnected",
            FaultKind::Unreachable(_) => "unreachable",
            FaultKind::Redirected { .. } => "redirected",
            FaultKind::TooLarge { .. } => "too_large",
            FaultKind::Malformed(_) | FaultKind::MalformedField { .. } => "malformed",
            FaultKind::BreakerOpen => "breaker_open",
            FaultKind::NoOutcome => "no_outcome",
        }
    }
}
