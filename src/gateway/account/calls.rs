//! The calls to the vendor that an account sends.

use super::{Account, Permit, able};
use crate::api::project_settings::ProjectValues;
use crate::gateway::operation::Operation;
use crate::gateway::{Amendment, CreatedProviderKey, Minted, Order, Project, ProviderKeyOrder};
use crate::plan::fault::Fault;
use crate::plan::listing::{KeyId, Listed, happened};
use crate::plan::usage::Money;
use secrecy::SecretString;

impl Account {
    /// One key. `None`: the vendor says that it is gone.
    pub async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        let key = self.call(Operation::Get, self.gateway.get(id)).await?;
        Ok(key.map(|key| key.as_of(self.clock.now())))
    }

    /// `get` as part of a revocation: a key is read before it is revoked, and neither call waits for a pause.
    pub async fn get_to_revoke(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        let key = self.revocation(Operation::Get, self.gateway.get(id)).await?;
        Ok(key.map(|key| key.as_of(self.clock.now())))
    }

    /// Creates a key: exactly one request, without retry.
    pub async fn mint(&self, order: &Order, _: &Permit) -> Result<Minted, Fault> {
        let minted = self.permitted(Operation::Mint, self.gateway.mint(order)).await?;
        Ok(self.dated(minted))
    }

    pub(super) fn dated(&self, minted: Minted) -> Minted {
        Minted { key: minted.key.as_of(self.clock.now()), ..minted }
    }

    /// Creates the key of an order out of an undelivered one. `None`: that key cannot be reused.
    pub async fn reissue(&self, id: &KeyId, order: &Order, _: &Permit) -> Result<Option<Minted>, Fault> {
        let Some(vendor) = self.gateway.another_secret() else { return Ok(None) };
        let minted = self.permitted(Operation::Reissue, vendor.reissue(id, order)).await?;
        Ok(minted.map(|minted| self.dated(minted)))
    }

    /// The secret of an existing key, where the vendor shows it (`Recovery::Reveal`). `None`: the vendor says that
    /// the key is gone.
    pub async fn recover(&self, id: &KeyId) -> Result<Option<SecretString>, Fault> {
        self.call(Operation::Recover, able(self.gateway.reveal())?.recover(id)).await
    }

    /// Changes settings of a key.
    pub async fn amend(&self, id: &KeyId, amendment: &Amendment) -> Result<(), Fault> {
        self.call(Operation::Amend, self.gateway.amend(id, amendment)).await
    }

    /// Revokes a key; a key that is already gone is a success.
    pub async fn revoke(&self, id: &KeyId) -> Result<(), Fault> {
        self.revocation(Operation::Revoke, self.gateway.revoke(id)).await
    }

    /// What the account has left, where the vendor returns it.
    pub async fn balance(&self) -> Result<Option<Money>, Fault> {
        let Some(vendor) = self.gateway.credit() else { return Ok(None) };
        self.call(Operation::Balance, vendor.balance()).await
    }

    /// The settings of the project.
    pub async fn project(&self) -> Result<Project, Fault> {
        self.call(Operation::ProjectSettings, able(self.gateway.projects())?.read()).await
    }

    /// Writes settings of a project that was just read.
    pub async fn change_project(&self, project: Project, wanted: &ProjectValues) -> Result<(), Fault> {
        self.call(Operation::ChangeProjectSettings, able(self.gateway.projects())?.write(project, wanted))
            .await
    }

    /// Creates a provider key: exactly one request, without retry.
    pub async fn create_provider_key(
        &self,
        order: &ProviderKeyOrder,
        _: &Permit,
    ) -> Result<CreatedProviderKey, Fault> {
        let made = self
            .permitted(Operation::CreateProviderKey, able(self.gateway.provider_keys())?.create(order))
            .await?;
        Ok(CreatedProviderKey { created_at: happened(made.created_at, self.clock.now()), ..made })
    }

    /// Tries to change the gateway keys that a provider key is assigned to.
    pub async fn assign_provider_key(&self, id: &KeyId, keys: &[KeyId]) -> Result<(), Fault> {
        self.call(Operation::AssignProviderKey, able(self.gateway.provider_keys())?.assign(id, keys)).await
    }

    /// Tries to delete a provider key.
    pub async fn delete_provider_key(&self, id: &KeyId) -> Result<(), Fault> {
        self.revocation(Operation::DeleteProviderKey, able(self.gateway.provider_keys())?.delete(id)).await
    }
}
