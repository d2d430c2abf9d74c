//! ConsoleTokens: permitted endpoints, checks of the token's bytes, and the warning before expiry.

use super::capability::{Capabilities, Endpoint, Minting};
use super::identity::AnyToken;
use super::policy::Policy;
use super::spec_error::SpecError;
use super::{names, pasted};
use crate::api::console_token::{CaBundleRef, Mint, MintedSecret};
use crate::api::gateway_api_key::KeyType;
use crate::api::{ConsoleTokenSpec, Reason};
use std::collections::BTreeSet;
use url::Url;

/// Origins to which credentials may be sent, besides the vendors' own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints(Vec<Url>);

/// Origins that applications may be sent to with their keys, besides the vendors' own gateways and the origins of
/// admitted endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gateways(Vec<Url>);

impl Gateways {
    /// Reads `--allowed-gateway-urls`: https origins such as `https://llm.example.com`.
    pub fn parse<'a>(list: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let Endpoints(origins) = Endpoints::parse(list)?;
        match origins.iter().find(|it| it.scheme() != "https") {
            Some(plain) => Err(format!(
                "{} is not https; applications would send their keys in the clear",
                plain.origin().ascii_serialization()
            )),
            None => Ok(Self(origins)),
        }
    }

    /// The origins, for messages.
    pub fn shown(&self) -> String {
        Endpoints(self.0.clone()).shown()
    }

    /// Whether applications may be sent to this `gatewayUrl`: at the vendor's own gateway, at the origin of the
    /// admitted endpoint, or at an origin of the list. A user who may write a ConsoleToken would otherwise have the keys of
    /// every application of its namespace sent to a server of their own.
    pub fn admit(
        &self,
        gateway_url: Option<&str>,
        own: Option<&str>,
        endpoint: &Url,
    ) -> Result<(), SpecError> {
        let refuse = |message: String| SpecError {
            reason: Reason::EndpointNotAdmitted,
            ..SpecError::invalid("spec.gatewayUrl", message)
        };
        let Some(text) = gateway_url else { return Ok(()) };
        let url = origin(text).map_err(refuse)?;
        let own = own.and_then(|own| origin(own).ok());
        let same = |other: &Url| url.origin() == other.origin();
        if own.iter().chain(&self.0).chain([endpoint]).any(same) {
            return Ok(());
        }
        let shown = url.origin().ascii_serialization();
        let instead = own.map(|own| format!("leave it out for {}, or ", own.origin().ascii_serialization()));
        Err(refuse(format!(
            "{shown} is not admitted, and applications keep the address that they have; {}have the operator started with \
             --allowed-gateway-urls={shown} (chart: allowedGatewayUrls), https only",
            instead.unwrap_or_default()
        )))
    }
}

impl Endpoints {
    /// Reads `--allowed-endpoints`: origins such as `https://llm.example.com` or `http://127.0.0.1:8787`.
    pub fn parse<'a>(list: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let list = list.into_iter().map(str::trim).filter(|it| !it.is_empty());
        list.map(listed).collect::<Result<_, _>>().map(Self)
    }

    /// The hosts of the list, in lower case.
    pub fn hosts(&self) -> BTreeSet<String> {
        self.0.iter().filter_map(|it| it.host_str()).map(str::to_ascii_lowercase).collect()
    }

    /// The origins, for messages.
    pub fn shown(&self) -> String {
        let origins: Vec<_> = self.0.iter().map(|it| it.origin().ascii_serialization()).collect();
        if origins.is_empty() { "none but the vendors' own".to_owned() } else { origins.join(",") }
    }

    /// The URL to call, if credentials may be sent there: the vendor's own origin, if it has one, or one in the
    /// list.
    pub fn admit(&self, endpoint: Option<&str>, default: Endpoint) -> Result<Url, SpecError> {
        let refuse = |message: String| SpecError {
            reason: Reason::EndpointNotAdmitted,
            ..SpecError::invalid("spec.endpoint", message)
        };
        let Some(text) = endpoint.or(default.own()) else {
            let message = "is required, because this vendor's software runs wherever people install it; write its URL, such as https://llm.example.com";
            return Err(SpecError::invalid("spec.endpoint", message));
        };
        let url = origin(text).map_err(refuse)?;
        let own = default.own().map(origin).transpose().map_err(refuse)?;
        let same = |other: &Url| url.origin() == other.origin();
        if own.iter().chain(&self.0).any(same) {
            return Ok(url);
        }
        // Only the origin is repeated, although the text is the user's own.
        let shown = url.origin().ascii_serialization();
        let instead = default.own().map(|own| format!("leave it out for {own}, or ")).unwrap_or_default();
        Err(refuse(format!(
            "{shown} is not admitted; {instead}have the operator started with --allowed-endpoints={shown} (chart: allowedEndpoints)"
        )))
    }
}

/// Reads an entry of the list. Every path of an origin is permitted, so a path is refused: it would look like a
/// limit.
fn listed(text: &str) -> Result<Url, String> {
    // Text that may contain a password is not repeated.
    let shown = if text.contains('@') { "an entry" } else { text };
    let url = origin(text).map_err(|why| format!("{shown} {why}"))?;
    if url.path() != "/" {
        let origin = url.origin().ascii_serialization();
        return Err(format!("{shown} has a path; write the origin only (scheme, host, port): {origin}"));
    }
    Ok(url)
}

fn origin(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|_| "is not a URL; write scheme and host, such as https://llm.example.com".to_owned())?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none_or(str::is_empty) {
        return Err("must begin with https:// or http:// and name a host".to_owned());
    }
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err("must be scheme, host, port and path only".to_owned());
    }
    Ok(url)
}

/// Reads a token from bytes, if they can be one. `place` names Secret and entry for messages.
pub fn check_token(bytes: &[u8], place: &str) -> Result<String, SpecError> {
    let refused = |flaw| SpecError::secret("spec.secretRef", format!("{place} {flaw}"));
    pasted::bare(bytes).map(str::to_owned).map_err(refused)
}

/// The error for a ConsoleToken where only ClusterConsoleTokens are used.
pub fn cluster_tokens_only() -> SpecError {
    let message = "this installation uses ClusterConsoleTokens only, and keys made with this token keep working; have the platform team share \
                   one, and name it in spec.consoleTokenRef with kind: ClusterConsoleToken";
    SpecError { reason: Reason::KindNotAdmitted, ..SpecError::invalid(SpecError::SEVERAL, message) }
}

/// The location of a token, for messages.
pub fn place(token: &AnyToken) -> String {
    token.spec().token_secret().map_or_else(String::new, |it| format!("Secret {}, entry {}", it.name, it.key))
}

/// The message for a token that cannot come back, because its Secret was deleted with the namespace.
pub fn lost(token: &AnyToken) -> String {
    format!(
        "Secret {} is gone and cannot come back, because the namespace is being deleted",
        token.spec().secret_name()
    )
}

/// The error for a Secret that does not exist.
pub fn secret_missing(name: &str, namespace: &str) -> SpecError {
    let message = format!("Secret {name} does not exist in namespace {namespace}; create it");
    SpecError::missing("spec.secretRef.name", message)
}

/// The bundle of certificate authorities, for messages: `ConfigMap corporate-ca, entry ca.crt`.
fn bundle(place: &CaBundleRef) -> String {
    format!("{:?} {}, entry {}", place.kind.unwrap_or_default(), place.name, place.key)
}

/// The error for a bundle whose object does not exist.
pub fn bundle_missing(place: &CaBundleRef, namespace: &str) -> SpecError {
    let kind = place.kind.unwrap_or_default();
    let message = format!("{kind:?} {} does not exist in namespace {namespace}; create it", place.name);
    SpecError::missing("spec.caBundleRef.name", message)
}

/// The error for a bundle whose object does not have the entry.
pub fn bundle_entry_missing(place: &CaBundleRef) -> SpecError {
    let message =
        format!("{:?} {} has no entry {}; add it", place.kind.unwrap_or_default(), place.name, place.key);
    SpecError::missing("spec.caBundleRef.key", message)
}

/// The error for a bundle that RBAC does not allow to read.
pub fn bundle_unreadable(place: &CaBundleRef, error: &str) -> SpecError {
    let message =
        format!("{} cannot be read: {error}; grant Keysmith's ServiceAccount get on it", bundle(place));
    SpecError { reason: Reason::SecretRefused, ..SpecError::invalid("spec.caBundleRef", message) }
}

/// The error for a bundle whose content is not PEM. `what` completes "the bundle …".
pub fn bundle_invalid(place: &CaBundleRef, what: &str) -> SpecError {
    SpecError::secret("spec.caBundleRef", format!("{}, {what}", bundle(place)))
}

/// The error for an entry that the Secret does not have.
pub fn entry_missing(name: &str, entry: &str) -> SpecError {
    SpecError::missing("spec.secretRef.key", format!("Secret {name} has no entry {entry}; add it"))
}

/// Name of the GatewayApiKey that holds the key of a ConsoleToken with `mint`.
pub fn minted_name(token: &str) -> String {
    const SUFFIX: &str = "-console-token";
    // Kubernetes names have at most 253 characters.
    let whole = format!("{token}{SUFFIX}");
    if whole.len() <= 253 {
        return whole;
    }
    let short = super::hash::base32(&[token.as_bytes()], 16);
    format!("{}-{short}{SUFFIX}", token[..200].trim_end_matches(['-', '.']))
}

/// Checks `spec.mint` of a ConsoleToken against what the vendor supports. `issuer`: what the referenced
/// ConsoleToken's vendor supports, if that ConsoleToken exists.
pub fn check_mint(
    token: &AnyToken,
    mint: &Mint,
    own: &Capabilities,
    issuer: Option<&Capabilities>,
) -> Result<(), SpecError> {
    let title = own.title;
    if own.console_tokens == Minting::Console {
        let message = format!(
            "{title} makes console tokens in its console only; make one there, put it into a Secret and use spec.secretRef"
        );
        return Err(SpecError::unsupported("spec.mint", message));
    }
    if !mint.scopes.is_empty() && own.console_tokens == Minting::Peer {
        let message = format!("{title} has no scopes; leave them out");
        return Err(SpecError::unsupported("spec.mint.scopes", message));
    }
    // Skipped during deletion, because the token is still needed to delete the keys created with it.
    if !token.is_deleted() {
        check_minted(token, mint, own)?;
    }
    let name = &mint.issuer_ref.name;
    if name == token.name() {
        let message =
            "a console token cannot mint itself; name one whose token was created in the vendor's console";
        return Err(SpecError::invalid("spec.mint.issuerRef", message));
    }
    let Some(issuer) = issuer else {
        let message = match token {
            AnyToken::Namespaced(_) => {
                format!(
                    "ConsoleToken {name} does not exist in this namespace, or has another controllerClass; create it"
                )
            }
            AnyToken::Cluster(_) => format!(
                "ClusterConsoleToken {name} does not exist, or has another controllerClass; create it"
            ),
        };
        return Err(SpecError {
            reason: Reason::ConsoleTokenMissing,
            ..SpecError::invalid("spec.mint.issuerRef", message)
        });
    };
    if issuer.name != own.name || !issuer.types.contains(&KeyType::Management) {
        let how = if own.issuer.is_empty() { String::new() } else { format!(", {}", own.issuer) };
        let message = format!(
            "{} {name} ({}) is no issuer of console tokens of {title}; name one that is{how}",
            token.reference().kind.name(),
            issuer.title
        );
        return Err(SpecError::unsupported("spec.mint.issuerRef", message));
    }
    Ok(())
}

/// Checks for invalid fields and for fields without effect in a minted token.
fn check_minted(token: &AnyToken, mint: &Mint, own: &Capabilities) -> Result<(), SpecError> {
    check_secret(&mint.secret)?;
    if token.spec().expires_at.is_some() {
        let message = "has no effect on a token that Keysmith makes and replaces; set spec.mint.rotation.maxAge, or leave it out";
        return Err(SpecError::idle("spec.expiresAt", message));
    }
    mint.rotation.as_ref().map_or(Ok(()), |rotation| Policy::of_mint(rotation, own).map(drop))
}

/// Checks the name and entry of the Secret for a minted token.
fn check_secret(secret: &MintedSecret) -> Result<(), SpecError> {
    let refuse = |field: &str, name: &str, said| SpecError::invalid(field, format!("{name:?} {said}"));
    names::object(&secret.name).map_err(|said| refuse("spec.mint.secret.name", &secret.name, said))?;
    let key = secret.key_ref().key;
    names::entry(&key).map_err(|said| refuse("spec.mint.secret.key", &key, said))
}

/// Checks for invalid fields of any ConsoleToken, whatever its vendor.
pub fn check_spec(spec: &ConsoleTokenSpec) -> Result<(), SpecError> {
    if let Some(place) = &spec.secret_ref {
        check_ref("spec.secretRef", &place.name, Some(&place.key))?;
    }
    if let Some(place) = &spec.ca_bundle_ref {
        check_ref("spec.caBundleRef", &place.name, Some(&place.key))?;
    }
    if spec.gateway_url.as_deref().is_some_and(|it| origin(it).is_err()) {
        let message = "is no URL to call; write http:// or https://, a host and perhaps a path, such as https://llm.example.com";
        return Err(SpecError::invalid("spec.gatewayUrl", message));
    }
    Ok(())
}

/// Checks a reference to a Secret, or to an entry of one.
pub fn check_ref(field: &str, name: &str, key: Option<&str>) -> Result<(), SpecError> {
    let refuse = |part: &str, value: &str, said| {
        SpecError::invalid(format!("{field}.{part}"), format!("{value:?} {said}"))
    };
    names::object(name).map_err(|said| refuse("name", name, said))?;
    key.map_or(Ok(()), |key| names::entry(key).map_err(|said| refuse("key", key, said)))
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "tables hand their rows over")]
mod tests;
