//! Mutants of the protocol, which prove that the histories detect a missing rule.

/// A missing rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A Secret is written whatever serial or fence it has.
    WritesWithoutGuard,
    /// A new claim does not raise the Secret's fence.
    RaisesNoFence,
    /// A create call without an answer is sent again.
    SendsTwice,
    /// The old key is revoked before the new one is made.
    DeletesFirst,
    /// Unused keys are computed from a fresh listing and an older reading of the resource.
    ReadsBeforeListing,
    /// Unused keys are never revoked.
    RevokesNoUnused,
    /// A replica that cannot commit revokes the key that it created.
    CompensatesBlindly,
    /// A replica that takes over adopts the key in the Secret without raising its fence, and otherwise revokes every
    /// older attempt, the key in the Secret among them.
    FirstDraft,
    /// A served key is replaced after one listing without it.
    BelievesOneLook,
    /// Any difference in a Secret counts as a lost key.
    RemakesOnMetadata,
    /// A removed finalizer is not restored.
    ForgetsTheFinalizer,
    /// Retained keys are not written into the ledger.
    WritesNoLedger,
    /// Nothing limits how many keys a resource creates.
    HasNoBrake,
    /// No dry run checks whether the Secret would be stored.
    AsksNothing,
    /// A Secret that was read once counts as unchanged, whatever the watch says.
    NeverReadsAgain,
    /// A token that leads to another account is used as before.
    DoubtsNothing,
    /// A sweep revokes an orphan that it sees for the first time.
    SweepsAtOnce,
    /// A sweep goes by the marks of resources, and not by the keys that they name.
    SweepsByMarksAlone,
    /// A sweep does not look into the ledger.
    SweepsWithoutLedger,
    /// A sweep does not mind that the ledger lacks keys.
    SweepsWhatTheLedgerLacks,
    /// A sweep removes the ledger's entry of a key that it misses for the first time.
    ClosesEntriesAtOnce,
    /// A sweep does not mind that its listing may show a different account.
    SweepsInDoubt,
    /// A sweep goes on although the ledger lacks a key and could not be marked.
    SweepsAfterStop,
    /// A sweep finds no orphan.
    SweepsNothing,
}

impl Mutant {
    /// Whether it is a mutant of the sweep.
    pub const fn sweeps(self) -> bool {
        matches!(
            self,
            Self::SweepsAtOnce
                | Self::SweepsByMarksAlone
                | Self::SweepsWithoutLedger
                | Self::SweepsWhatTheLedgerLacks
                | Self::ClosesEntriesAtOnce
                | Self::SweepsInDoubt
                | Self::SweepsAfterStop
                | Self::SweepsNothing
        )
    }

    /// Those that random histories must catch. The others take rare histories, which `sweeping` has.
    pub const ALL: [Self; 22] = [
        Self::WritesWithoutGuard,
        Self::RaisesNoFence,
        Self::SendsTwice,
        Self::DeletesFirst,
        Self::ReadsBeforeListing,
        Self::RevokesNoUnused,
        Self::CompensatesBlindly,
        Self::FirstDraft,
        Self::BelievesOneLook,
        Self::RemakesOnMetadata,
        Self::ForgetsTheFinalizer,
        Self::WritesNoLedger,
        Self::HasNoBrake,
        Self::AsksNothing,
        Self::NeverReadsAgain,
        Self::DoubtsNothing,
        Self::SweepsAtOnce,
        Self::SweepsByMarksAlone,
        Self::SweepsWithoutLedger,
        Self::SweepsWhatTheLedgerLacks,
        Self::ClosesEntriesAtOnce,
        Self::SweepsNothing,
    ];
}
