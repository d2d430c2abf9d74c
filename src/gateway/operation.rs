//! What an account requests of its vendor: how a call is counted, and what a refusal of it says of the token.

/// One kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A listing of keys.
    List,
    /// A look at one key.
    Get,
    /// Whose account it is.
    Whose,
    /// A new key.
    Mint,
    /// A key made another order's.
    Reissue,
    /// The secret of a key.
    Recover,
    /// A change of a key.
    Amend,
    /// The removal of a key.
    Revoke,
    /// A listing of provider keys.
    ListProviderKeys,
    /// A new provider key.
    CreateProviderKey,
    /// A change of what a provider key is assigned to.
    AssignProviderKey,
    /// The removal of a provider key.
    DeleteProviderKey,
    /// Spending of keys.
    Usage,
    /// What the account has left.
    Balance,
    /// A look at the settings of the project.
    ProjectSettings,
    /// A change of them.
    ChangeProjectSettings,
}

impl Operation {
    /// Every one.
    pub const ALL: [Self; 16] = [
        Self::List,
        Self::Get,
        Self::Whose,
        Self::Mint,
        Self::Reissue,
        Self::Recover,
        Self::Amend,
        Self::Revoke,
        Self::ListProviderKeys,
        Self::CreateProviderKey,
        Self::AssignProviderKey,
        Self::DeleteProviderKey,
        Self::Usage,
        Self::Balance,
        Self::ProjectSettings,
        Self::ChangeProjectSettings,
    ];

    /// Its name in metrics and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Get => "get",
            Self::Whose => "whose",
            Self::Mint => "mint",
            Self::Reissue => "reissue",
            Self::Recover => "recover",
            Self::Amend => "amend",
            Self::Revoke => "revoke",
            Self::ListProviderKeys => "list_deposits",
            Self::CreateProviderKey => "deposit",
            Self::AssignProviderKey => "reassign",
            Self::DeleteProviderKey => "remove",
            Self::Usage => "usage",
            Self::Balance => "balance",
            Self::ProjectSettings => "project_settings",
            Self::ChangeProjectSettings => "change_project_settings",
        }
    }

    /// Whether a 403 to it says that the token may do nothing with keys. That something beside keys may not be read or
    /// changed says nothing of keys.
    pub const fn forbidden_blames_token(self) -> bool {
        match self {
            Self::List
            | Self::Get
            | Self::Mint
            | Self::Reissue
            | Self::Recover
            | Self::Amend
            | Self::Revoke => true,
            Self::Whose
            | Self::ListProviderKeys
            | Self::CreateProviderKey
            | Self::AssignProviderKey
            | Self::DeleteProviderKey
            | Self::Usage
            | Self::Balance
            | Self::ProjectSettings
            | Self::ChangeProjectSettings => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_operation_has_a_label_of_its_own() {
        let labels: BTreeSet<_> = Operation::ALL.iter().map(|it| it.label()).collect();
        assert_eq!(labels.len(), Operation::ALL.len());
        let plain = |label: &&str| label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(labels.iter().all(plain), "{labels:?}");
    }
}
