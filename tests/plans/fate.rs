//! The outcome of one effect, and the point at which a model operator yields to others.

use std::future::poll_fn;
use std::task::Poll;

/// The outcome of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// Carried out and answered.
    #[default]
    Fine,
    /// Certainly not applied.
    Fails,
    /// Not applied, but the sender cannot know that.
    Unknown,
    /// Applied, and the answer is lost.
    Lost,
    /// The sender gives up, and the request is applied so many seconds after it was sent: at most the deadline of a
    /// call plus the half minute for which a vendor may still work on it. Kubernetes does not do that in this model.
    Late(u8),
}

/// Lets the schedule choose who goes next. Every effect of a model operator is preceded by a yield, so a future that is
/// dropped was dropped between two effects.
pub async fn turn() {
    let mut waited = false;
    poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}
