//! Rules of the protocol that the model can leave out, to show that the histories notice.

/// A rule left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A Secret is written whatever serial or fence is on it.
    WritesWithoutGuard,
    /// A new claim does not raise the Secret's fence.
    RaisesNoFence,
    /// A create call without an answer is sent again.
    SendsTwice,
    /// The old key is revoked before the new one is made.
    DeletesFirst,
    /// Spares are what a fresh listing shows beside what an earlier reading of the resource names.
    ReadsBeforeListing,
    /// Spares stay.
    RevokesNoSpares,
    /// Whoever cannot commit revokes the key it made.
    CompensatesBlindly,
    /// Whoever takes over adopts what the Secret holds without raising its fence, and otherwise revokes every older
    /// attempt, the one in the Secret among them.
    FirstDraft,
    /// A served key that is not shown once is replaced.
    BelievesOneLook,
    /// A Secret in which anything differs has lost its key.
    RemakesOnMetadata,
    /// A finalizer that was taken off does not come back.
    ForgetsTheFinalizer,
}

impl Mutant {
    pub const ALL: [Self; 11] = [
        Self::WritesWithoutGuard,
        Self::RaisesNoFence,
        Self::SendsTwice,
        Self::DeletesFirst,
        Self::ReadsBeforeListing,
        Self::RevokesNoSpares,
        Self::CompensatesBlindly,
        Self::FirstDraft,
        Self::BelievesOneLook,
        Self::RemakesOnMetadata,
        Self::ForgetsTheFinalizer,
    ];
}
