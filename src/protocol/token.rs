//! State of a ConsoleToken, as its controller last verified it.

use super::ports::VendorPort;
use crate::plan::naming::Serial;
use std::sync::Arc;

/// State of a ConsoleToken.
pub struct TokenState<V> {
    /// The account at the vendor: kept while the token is not Ready, so that keys made with it can be cleaned up.
    pub account: Option<Arc<V>>,
    /// Why this may not be the account that the keys were made in: then nothing is created and nothing is revoked.
    pub doubt: Option<String>,
    /// Whether new work may start, and if not, why.
    pub ready: Result<(), String>,
    /// Whether only a user can make it ready.
    pub stalled: bool,
    /// The token is lost for good: the Secret went with its namespace, which is being deleted.
    pub lost: bool,
    /// UID of the ConsoleToken: a later one of the same name is a different one.
    pub uid: String,
    /// Serial of the token, where Keysmith minted it.
    pub serial: Option<Serial>,
    /// Fingerprint of the token, endpoint and account id that the connection was made with.
    pub fingerprint: String,
}

impl<V> Clone for TokenState<V> {
    fn clone(&self) -> Self {
        Self {
            account: self.account.clone(),
            doubt: self.doubt.clone(),
            ready: self.ready.clone(),
            stalled: self.stalled,
            lost: self.lost,
            uid: self.uid.clone(),
            serial: self.serial,
            fingerprint: self.fingerprint.clone(),
        }
    }
}

impl<V: VendorPort> TokenState<V> {
    /// The account, if keys made with it may be deleted: not while the account is in doubt.
    pub fn trusted(&self) -> Result<&Arc<V>, String> {
        self.doubt.clone().map_or(Ok(()), Err)?;
        self.account.as_ref().ok_or_else(|| "it has not been verified".to_owned())
    }

    /// The account, if new work may start with it now.
    pub fn usable(&self) -> Result<&Arc<V>, String> {
        self.doubt.clone().map_or(Ok(()), Err)?;
        self.ready.clone()?;
        let account = self.account.as_ref().ok_or("it has not been verified")?;
        account.usable().map_err(|fault| fault.to_string())?;
        Ok(account)
    }
}
