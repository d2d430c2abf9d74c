//! Identities: a console token, a namespaced object, an account at a vendor. A name alone is not unique across
//! namespaces and kinds.

use super::class::ControllerClass;
use crate::api::kind::{NamesToken, Token};
use crate::api::shared::{ConsoleTokenKind, ConsoleTokenRef};
use crate::api::{
    ClusterConsoleToken, ClusterConsoleTokenSpec, ConsoleToken, ConsoleTokenSpec, ConsoleTokenStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use std::fmt;
use std::sync::Arc;
use url::Url;

/// The kinds that a reference to a console token can have. A kind that this version does not know is refused by the
/// API server, by serde and by `read`, and never mistaken for another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenKind {
    /// A ConsoleToken, which is namespaced.
    ConsoleToken,
    /// A ClusterConsoleToken, which is cluster-scoped.
    ClusterConsoleToken,
}

impl TokenKind {
    /// Its name in Kubernetes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConsoleToken => "ConsoleToken",
            Self::ClusterConsoleToken => "ClusterConsoleToken",
        }
    }

    /// The kind stored under this name. Data from before a second kind existed has no name.
    pub fn read(written: Option<&str>) -> Option<Self> {
        match written {
            None | Some("ConsoleToken") => Some(Self::ConsoleToken),
            Some("ClusterConsoleToken") => Some(Self::ClusterConsoleToken),
            Some(_) => None,
        }
    }
}

/// The identity of a console token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenRef {
    /// Its kind.
    pub kind: TokenKind,
    /// Its namespace; `None` for a cluster-scoped kind.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl TokenRef {
    /// The console token that this resource references.
    pub fn named_by<K: NamesToken + ResourceExt>(object: &K) -> Self {
        Self::named(object.console_token_ref(), object.namespace())
    }

    /// The console token that a resource in this namespace references. A new kind does not compile until its
    /// namespace is handled here.
    pub fn named(reference: &ConsoleTokenRef, namespace: Option<String>) -> Self {
        match reference.kind {
            None | Some(ConsoleTokenKind::ConsoleToken) => Self::beside(namespace, &reference.name),
            Some(ConsoleTokenKind::ClusterConsoleToken) => Self::shared(&reference.name),
        }
    }

    /// Whether a resource in this namespace references this console token.
    pub fn is_named(&self, reference: &ConsoleTokenRef, namespace: Option<&str>) -> bool {
        let kind = match reference.kind {
            None | Some(ConsoleTokenKind::ConsoleToken) => TokenKind::ConsoleToken,
            Some(ConsoleTokenKind::ClusterConsoleToken) => TokenKind::ClusterConsoleToken,
        };
        let near = match kind {
            TokenKind::ConsoleToken => self.namespace.as_deref() == namespace,
            TokenKind::ClusterConsoleToken => true,
        };
        self.kind == kind && near && self.name == reference.name
    }

    /// The ConsoleToken with this name in this namespace.
    pub fn beside(namespace: Option<String>, name: &str) -> Self {
        Self { kind: TokenKind::ConsoleToken, namespace, name: name.to_owned() }
    }

    /// The ClusterConsoleToken with this name.
    pub fn shared(name: &str) -> Self {
        Self { kind: TokenKind::ClusterConsoleToken, namespace: None, name: name.to_owned() }
    }

    /// The token of the same kind, and in the same namespace, with this name: the issuer of a minted one.
    #[must_use]
    pub fn sibling(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    /// A reference to this token from a resource that may name it.
    pub fn reference(&self) -> ConsoleTokenRef {
        let kind = match self.kind {
            TokenKind::ConsoleToken => None,
            TokenKind::ClusterConsoleToken => Some(ConsoleTokenKind::ClusterConsoleToken),
        };
        ConsoleTokenRef { kind, name: self.name.clone() }
    }

    /// Kind and name, for messages: `ConsoleToken edgee`.
    pub fn titled(&self) -> String {
        format!("{} {}", self.kind.name(), self.name)
    }
}

/// A console token of either kind.
#[derive(Clone, Debug)]
pub enum AnyToken {
    /// A ConsoleToken.
    Namespaced(Arc<ConsoleToken>),
    /// A ClusterConsoleToken.
    Cluster(Arc<ClusterConsoleToken>),
}

/// Evaluates an expression with the token of either kind: `with_token!(self, it => it.uid())`.
macro_rules! with_token {
    ($token:expr, $name:ident => $body:expr) => {
        match $token {
            $crate::plan::identity::AnyToken::Namespaced($name) => $body,
            $crate::plan::identity::AnyToken::Cluster($name) => $body,
        }
    };
}
pub(crate) use with_token;

/// Logs a line about a console token, with its kind, namespace and name.
macro_rules! log_token {
    ($level:ident, $token:expr, $($rest:tt)+) => {{
        let $crate::plan::identity::TokenRef { kind, namespace, name } = $token.reference();
        tracing::$level!(kind = kind.name(), namespace, name, $($rest)+)
    }};
}
pub(crate) use log_token;

impl AnyToken {
    /// Its identity.
    pub fn reference(&self) -> TokenRef {
        match self {
            Self::Namespaced(token) => TokenRef::beside(token.namespace(), &token.name_any()),
            Self::Cluster(token) => TokenRef::shared(&token.name_any()),
        }
    }

    /// The credential.
    pub fn spec(&self) -> &ConsoleTokenSpec {
        with_token!(self, token => token.token_spec())
    }

    /// Which namespaces may use it; `None`: it is used in its own namespace only.
    pub fn sharing(&self) -> Option<&ClusterConsoleTokenSpec> {
        with_token!(self, token => token.sharing())
    }

    /// Its status, if it has one yet.
    pub fn status(&self) -> Option<&ConsoleTokenStatus> {
        with_token!(self, token => token.status.as_ref())
    }

    /// Its metadata.
    pub fn meta(&self) -> &ObjectMeta {
        with_token!(self, token => &token.metadata)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }

    /// Its UID.
    pub fn uid(&self) -> Option<String> {
        self.meta().uid.clone()
    }

    /// Whether it is being deleted.
    pub fn is_deleted(&self) -> bool {
        self.meta().deletion_timestamp.is_some()
    }

    /// The annotation of that name.
    pub fn annotation(&self, name: &str) -> Option<&String> {
        self.meta().annotations.as_ref()?.get(name)
    }

    /// Whether the pass over this token may still change something: a finalizer of Keysmith's is there.
    pub fn has_finalizer(&self) -> bool {
        let finalizers = self.meta().finalizers.as_deref().unwrap_or_default();
        ControllerClass::of_finalizers(finalizers).is_some()
    }

    /// The class of the operator that works with it.
    pub fn class(&self) -> ControllerClass {
        ControllerClass::of_spec(self.spec().controller_class.as_deref())
    }
}

impl From<ConsoleToken> for AnyToken {
    fn from(token: ConsoleToken) -> Self {
        Self::Namespaced(Arc::new(token))
    }
}

impl From<ClusterConsoleToken> for AnyToken {
    fn from(token: ClusterConsoleToken) -> Self {
        Self::Cluster(Arc::new(token))
    }
}

impl From<Arc<ConsoleToken>> for AnyToken {
    fn from(token: Arc<ConsoleToken>) -> Self {
        Self::Namespaced(token)
    }
}

impl From<Arc<ClusterConsoleToken>> for AnyToken {
    fn from(token: Arc<ClusterConsoleToken>) -> Self {
        Self::Cluster(token)
    }
}

impl fmt::Display for TokenRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(formatter, "{namespace}/{}", self.name),
            None => formatter.write_str(&self.name),
        }
    }
}

/// A namespaced object whose kind is clear from the context, such as a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectName {
    /// The object with this name in this namespace.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// A vendor's management API at one URL; the URL is normalized.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VendorApi {
    vendor: String,
    endpoint: String,
}

impl VendorApi {
    /// The API of this driver at this URL.
    pub fn new(vendor: &str, endpoint: &str) -> Self {
        let spelt = Url::parse(endpoint).map_or_else(|_| endpoint.to_owned(), String::from);
        Self { vendor: vendor.to_owned(), endpoint: spelt.trim_end_matches('/').to_owned() }
    }

    /// The name of the driver.
    pub fn vendor(&self) -> &str {
        &self.vendor
    }

    /// The URL, in one spelling.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

/// An account at a vendor, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccountId {
    /// The organization, project or user that the vendor shows or the specification names.
    Organization {
        /// Its API.
        api: VendorApi,
        /// The vendor's id.
        id: String,
    },
    /// The vendor shows no id: the account that this console token leads to.
    OfToken {
        /// Its API.
        api: VendorApi,
        /// The console token.
        token: TokenRef,
    },
    /// The vendor was not asked yet: the account that this credential leads to. Never stored outside this process.
    OfCredential {
        /// Its API.
        api: VendorApi,
        /// Salted hash of the credential.
        hash: String,
    },
}

impl AccountId {
    /// The account with this id or, if the id is empty, the one that the console token leads to.
    pub fn of(api: VendorApi, id: &str, token: TokenRef) -> Self {
        if id.is_empty() { Self::OfToken { api, token } } else { Self::organization(api, id) }
    }

    /// The account with this id.
    pub fn organization(api: VendorApi, id: &str) -> Self {
        Self::Organization { api, id: id.to_owned() }
    }

    /// The API of the account.
    pub const fn api(&self) -> &VendorApi {
        match self {
            Self::Organization { api, .. } | Self::OfToken { api, .. } | Self::OfCredential { api, .. } => {
                api
            }
        }
    }

    /// The vendor's id, if known.
    pub fn told(&self) -> Option<&str> {
        match self {
            Self::Organization { id, .. } => Some(id),
            Self::OfToken { .. } | Self::OfCredential { .. } => None,
        }
    }
}

/// An account and the console token that leads to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The account.
    pub account: AccountId,
    /// The console token.
    pub token: TokenRef,
}

impl Route {
    /// Whether both are known to lead to the same account: by the ids if both are known, otherwise only if they are
    /// the same console token.
    pub fn meets(&self, other: &Self) -> bool {
        match (self.account.told(), other.account.told()) {
            (Some(_), Some(_)) => self.account == other.account,
            _ => self.account.api() == other.account.api() && self.token == other.token,
        }
    }
}

#[cfg(test)]
mod tests;
