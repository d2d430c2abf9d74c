//! The messages about ProviderKeys, `ProjectSettings`, and of the operator itself.

use super::{Book, at};
use keysmith::api::condition::{self, DRIFTED};
use keysmith::api::{EventReason, Reason};
use keysmith::plan::fault::{Fault, FaultKind, Occurrence};
use keysmith::plan::provider_key::ProviderKeyWhy as Why;
use keysmith::plan::report::call_purpose::CallPurpose;
use keysmith::plan::report::deletion::DeletionBlocker;
use keysmith::plan::report::{Notice, deletion, project, provider_key};
use keysmith::plan::spec_error::SpecError;

pub fn provider_keys(book: &mut Book) {
    book.ready(&provider_key::at_rest(&[]));
    book.ready(&provider_key::at_rest(&["pk_000007".to_owned()]));
    book.ready(&provider_key::missing(at(0)));
    let fault = Fault::ambiguous(FaultKind::Timeout { seconds: 30 });
    book.ready(&provider_key::unanswered(Some(&fault), "2026-11-28T03:02:00Z"));
    book.ready(&provider_key::superseded("2026-11-28T03:02:00Z"));
    book.ready(&provider_key::assigned());
    book.ready(&provider_key::settled());
    book.ready(&provider_key::replacing());
    book.ready(&provider_key::gateway_key("checkout", "does not exist", true));
    book.ready(&provider_key::gateway_key("checkout", "has no key at the vendor yet", false));
    let refused = DeletionBlocker::Paused(Fault::without_effect(FaultKind::TokenRefused));
    book.ready(&deletion::provider_key_blocked(&refused, "ConsoleToken edgee", None));
    let timeout = Fault::ambiguous(FaultKind::Timeout { seconds: 30 });
    let failed = DeletionBlocker::Failed(CallPurpose::RemoveCredential, timeout);
    book.ready(&deletion::provider_key_blocked(&failed, "ConsoleToken edgee", Some(at(3))));
    let blocked =
        deletion::provider_key_blocked(&DeletionBlocker::TokenUnusable, "ClusterConsoleToken edgee", None);
    book.ready(&deletion::without_force(&blocked, "ClusterConsoleToken edgee"));
    book.ready(&deletion::provider_key_awaited(Some(at(3))));
    for why in [Why::Lost, Why::ContentChanged, Why::NeverCreated] {
        book.event(&provider_key::sent(why));
    }
    book.event(&provider_key::set_right());
    book.event(&provider_key::reassigned());
    book.event(&provider_key::removed());
    book.event(&provider_key::left_behind(&["pk_000007".to_owned()]));
}

pub fn projects(book: &mut Book) {
    let fields = ["euNative", "preference"];
    book.ready(&project::applied());
    book.ready(&project::observed(&fields));
    book.ready(&project::not_applied(&fields, at(5)));
    book.ready(&project::suspended());
    let able = keysmith::gateway::Vendors::default().able(|it| it.project_settings);
    book.ready(
        &SpecError::unsupported("spec.consoleTokenRef", project::unsupported("Edgee", able)).verdict(),
    );
    book.ready(&project::overruled("eu", "search"));
    book.ready(&project::forbidden(
        CallPurpose::ChangeProject,
        "ConsoleToken cortecs",
        at(5),
        Occurrence::Repeated,
    ));
    book.event(&project::updated(&fields));
    let message = project::drifted(&fields);
    book.condition(&condition::condition(DRIFTED, true, Reason::NotApplied, &message, Some(1)));
}

pub fn operator(book: &mut Book) {
    book.event(&Notice::news(EventReason::LeaderElection, "keysmith-7d9f8b6c5-x2x4z_0123456789abcdef leads"));
}
