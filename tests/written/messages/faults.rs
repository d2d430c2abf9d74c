//! The status messages after a failed vendor call, one for each class of fault.

use super::{Book, at};
use keysmith::plan::fault::{Fault, FaultKind, Occurrence, Unreachable};
use keysmith::plan::report;
use keysmith::plan::report::call_purpose::CallPurpose;

fn kinds() -> Vec<FaultKind> {
    vec![
        FaultKind::TokenRefused,
        FaultKind::Forbidden,
        FaultKind::NotFound,
        FaultKind::Conflict,
        FaultKind::Rejected { status: 400, fields: Vec::new() },
        FaultKind::Rejected { status: 422, fields: vec!["spec.budget"] },
        FaultKind::Rejected { status: 415, fields: Vec::new() },
        FaultKind::RejectedOurs { status: 422, fields: vec!["token_type"] },
        FaultKind::NoCredit,
        FaultKind::NoSettings,
        FaultKind::KeyLimit { status: 403 },
        FaultKind::Unfit("it knows no such team; check spec.vendor of the ConsoleToken"),
        FaultKind::Throttled { until: None },
        FaultKind::Failed { status: 503, until: None },
        FaultKind::Timeout { seconds: 30 },
        FaultKind::Disconnected,
        FaultKind::Unreachable(Unreachable::Connect),
        FaultKind::Unreachable(Unreachable::Certificate),
        FaultKind::Unreachable(Unreachable::Private),
        FaultKind::Redirected { status: 302 },
        FaultKind::TooLarge { limit: 4_194_304 },
        FaultKind::Malformed("it is not JSON"),
        FaultKind::MalformedField { entry: Some(3), field: "expires_at" },
        FaultKind::BreakerOpen,
        FaultKind::NoOutcome,
    ]
}

pub fn all(book: &mut Book) {
    for kind in kinds() {
        book.ready(&report::failed(
            &Fault::without_effect(kind),
            CallPurpose::MakeKey,
            at(5),
            Occurrence::Repeated,
        ));
    }
    let late = Fault::ambiguous(FaultKind::Timeout { seconds: 30 });
    for purpose in CallPurpose::ALL {
        book.ready(&report::failed(&late, *purpose, at(5), Occurrence::First));
    }
}
