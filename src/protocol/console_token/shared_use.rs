//! What each namespace has of a ClusterConsoleToken, for its status.

use super::TokenPass;
use super::ports::TokenPorts;
use crate::api::ConsoleTokenStatus;
use crate::cluster::object;
use crate::plan::limits::Uses;

impl<P: TokenPorts> TokenPass<P> {
    /// Writes how many keys and how much budget each namespace has.
    pub(super) fn report_namespaces(&self, status: &mut ConsoleTokenStatus) {
        if self.token.sharing().is_none() {
            return;
        }
        let mut uses = Uses::default();
        self.ports.each_key_of(&self.reference(), |key| {
            if let Some(status) = &key.status {
                uses.count(&object::namespace(key), status);
            }
        });
        (status.namespaces, status.more_namespaces) = uses.shown();
    }
}
