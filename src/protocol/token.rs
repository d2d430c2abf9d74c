//! What a ConsoleToken is good for, as its controller found out last.

use super::ports::VendorPort;
use crate::plan::naming::Serial;
use std::sync::Arc;

/// What a ConsoleToken is good for.
pub struct TokenState<V> {
    /// The account at the vendor: kept while the token is not Ready, so that what it made can be cleaned up.
    pub account: Option<Arc<V>>,
    /// Why the account may not be the one that the keys were made in: nothing is made, nothing is revoked.
    pub doubt: Option<String>,
    /// Whether new work may be begun, and if not, why.
    pub ready: Result<(), String>,
    /// Whether only a person can make it ready.
    pub stalled: bool,
    /// Its token is gone and cannot come back: the Secret went with its namespace, which is being deleted.
    pub lost: bool,
    /// UID of the ConsoleToken: one of the same name that came later is another.
    pub uid: String,
    /// Serial of the credential, where Keysmith made it.
    pub serial: Option<Serial>,
    /// Fingerprint of the credential, endpoint and account that the connection was made of.
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
    /// The account, if what was made with it may be removed: not while it may be another one.
    pub fn trusted(&self) -> Result<&Arc<V>, String> {
        self.doubt.clone().map_or(Ok(()), Err)?;
        self.account.as_ref().ok_or_else(|| "it has not been verified".to_owned())
    }

    /// The account, if new work may be begun with it now.
    pub fn usable(&self) -> Result<&Arc<V>, String> {
        self.doubt.clone().map_or(Ok(()), Err)?;
        self.ready.clone()?;
        let account = self.account.as_ref().ok_or("it has not been verified")?;
        account.usable().map_err(|fault| fault.to_string())?;
        Ok(account)
    }
}
