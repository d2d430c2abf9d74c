//! What becomes of one effect, and how a model operator lets others go first.

use std::future::poll_fn;
use std::task::Poll;

/// What becomes of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// Carried out and answered.
    #[default]
    Fine,
    /// Certainly not carried out.
    Fails,
    /// Not carried out, but its sender cannot know.
    Unknown,
    /// Carried out, and the answer lost.
    Lost,
    /// Given up on, and carried out so many seconds after it was sent: at most the deadline of a call and the
    /// half minute that a vendor may still work on it then. Kubernetes does not do that in this model.
    Late(u8),
}

/// Lets the schedule choose who goes next. Every effect of a model operator is preceded by one of these, so a future
/// that is dropped was dropped between two effects.
pub async fn turn() {
    let mut waited = false;
    poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}
