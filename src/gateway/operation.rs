//! The kinds of calls: the label of each in metrics, and whether a 403 on it blames the token.

/// One kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A listing of keys.
    List,
    /// A read of one key.
    Get,
    /// The account's id.
    Whose,
    /// A new key.
    Mint,
    /// A key that is reused for another order.
    Reissue,
    /// The secret of a key.
    Recover,
    /// A change of a key.
    Amend,
    /// A revocation.
    Revoke,
    /// A listing of provider keys.
    ListProviderKeys,
    /// A new provider key.
    CreateProviderKey,
    /// An assignment of a provider key.
    AssignProviderKey,
    /// A deletion of a provider key.
    DeleteProviderKey,
    /// Spending of keys.
    Usage,
    /// The account's balance.
    Balance,
    /// A listing of models.
    Models,
    /// A read of the project's settings.
    ProjectSettings,
    /// A change of the project's settings.
    ChangeProjectSettings,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 17] = [
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
        Self::Models,
        Self::ProjectSettings,
        Self::ChangeProjectSettings,
    ];

    /// Label in metrics and logs.
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
            Self::ListProviderKeys => "list_provider_keys",
            Self::CreateProviderKey => "create_provider_key",
            Self::AssignProviderKey => "assign_provider_key",
            Self::DeleteProviderKey => "delete_provider_key",
            Self::Usage => "usage",
            Self::Balance => "balance",
            Self::Models => "models",
            Self::ProjectSettings => "project_settings",
            Self::ChangeProjectSettings => "change_project_settings",
        }
    }

    /// Whether a 403 on this call means that the token cannot manage keys. 403 on another endpoint does not mean
    /// that, so it must not open the breaker.
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
            | Self::Models
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
