//! The faults of one point of a run, and the points at which each is possible.

/// One fault, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The operator dies before the request is carried out, or before the event is seen.
    KilledBefore,
    /// The operator dies after the request was carried out and before the answer is seen.
    KilledAfter,
    /// 503, not applied.
    Unavailable,
    /// The connection is refused: not a byte was sent.
    Refused,
    /// The connection breaks after the request was carried out; for an event, the watch breaks there.
    Lost,
    /// 409, not applied.
    Conflict,
    /// 429 with Retry-After, not applied.
    Throttled,
    /// A read is answered from the past.
    Stale,
    /// A watch event is never delivered.
    Dropped,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 9] = [
        Self::KilledBefore,
        Self::KilledAfter,
        Self::Unavailable,
        Self::Refused,
        Self::Lost,
        Self::Conflict,
        Self::Throttled,
        Self::Stale,
        Self::Dropped,
    ];

    /// The name in `KEYSMITH_SWEEP`.
    pub fn name(self) -> &'static str {
        match self {
            Self::KilledBefore => "killed-before",
            Self::KilledAfter => "killed-after",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::Conflict => "conflict",
            Self::Throttled => "throttled",
            Self::Stale => "stale",
            Self::Dropped => "dropped",
        }
    }

    /// The fault of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }

    /// Whether it kills the operator.
    pub fn kills(self) -> bool {
        matches!(self, Self::KilledBefore | Self::KilledAfter)
    }

    /// Whether it is possible at such a point. An impossible fault is neither run nor counted.
    pub fn applies(self, point: &Point) -> bool {
        let always = matches!(self, Self::KilledBefore | Self::Lost);
        let asked = always || matches!(self, Self::KilledAfter | Self::Unavailable | Self::Throttled);
        match point.sort {
            Sort::Event => always || self == Self::Dropped,
            Sort::Watch => asked,
            Sort::Read => asked || self == Self::Stale && point.has_past,
            Sort::Write => asked || self == Self::Conflict,
            Sort::VendorRead => asked || self == Self::Refused || self == Self::Stale && point.has_past,
            Sort::VendorWrite => asked || matches!(self, Self::Refused | Self::Conflict),
        }
    }
}

/// The kind of traffic of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Kubernetes: get, list, discovery.
    Read,
    /// Kubernetes: the opening of a watch.
    Watch,
    /// Kubernetes: create, update, patch, delete.
    Write,
    /// Kubernetes: one event of a watch, on its way to the operator.
    Event,
    /// A vendor call that changes nothing.
    VendorRead,
    /// A vendor call that may change something.
    VendorWrite,
}

/// One numbered point of a run.
#[derive(Clone, Debug)]
pub struct Point {
    /// What kind of traffic.
    pub sort: Sort,
    /// Verb and resource, for messages.
    pub what: String,
    /// Whether there is an older answer to this read.
    pub has_past: bool,
}

impl Point {
    /// A point without an older answer.
    pub fn new(sort: Sort, what: String) -> Self {
        Self { sort, what, has_past: false }
    }
}

/// A fault at a point, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// The number of the point.
    pub at: usize,
    /// The fault.
    pub fault: Fault,
}

impl std::fmt::Display for Strike {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.at, self.fault.name())
    }
}
