//! Parsers for flag values. A mistyped value ends with exit code 2 and a message that says what to write.

pub mod network;

use crate::output::WrongFlag;
use crate::plan::duration;
use crate::plan::selector;
use crate::plan::token::{Endpoints, Gateways};
use jiff::SignedDuration;
use url::Url;

/// What `--allowed-endpoints` is for.
pub const ALLOWED_ENDPOINTS: &str = "Origins that console tokens may be sent to beside the vendors' own, such as \
    https://llm.example.com, separated by commas; plain http is possible here only";

/// `--allowed-endpoints`. clap does not parse this flag, because clap repeats a value that it refuses, and this value
/// may hold a password.
pub fn endpoints(text: Option<&str>) -> Result<Endpoints, WrongFlag> {
    let list = text.unwrap_or_default().split(',');
    Endpoints::parse(list).map_err(|error| WrongFlag(format!("--allowed-endpoints: {error}")))
}

/// What `--allowed-gateway-urls` is for.
pub const ALLOWED_GATEWAY_URLS: &str = "Origins that gatewayUrl of a ConsoleToken may send applications to beside the vendors' own and \
    admitted endpoints, such as https://llm.example.com, separated by commas; https only";

/// `--allowed-gateway-urls`, read as `endpoints` is.
pub fn gateways(text: Option<&str>) -> Result<Gateways, WrongFlag> {
    let list = text.unwrap_or_default().split(',');
    Gateways::parse(list).map_err(|error| WrongFlag(format!("--allowed-gateway-urls: {error}")))
}

/// The name of a namespace; empty if an environment variable is set but empty.
pub fn namespace(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || (text.len() <= 63 && is_label(text)) {
        return Ok(text.to_owned());
    }
    Err("no namespace can have this name; write lower-case letters, digits and -, such as shop".to_owned())
}

/// The name of a resource.
pub fn name(text: &str) -> Result<String, String> {
    if text.len() <= 253 && text.split('.').all(is_label) {
        return Ok(text.to_owned());
    }
    Err("no resource can have this name; write lower-case letters, digits, - and ., such as team-a"
        .to_owned())
}

/// Labels as in `kubectl get -l`.
pub fn selector(text: &str) -> Result<String, String> {
    selector::check(text).map(|()| text.to_owned())
}

/// A key's id at its vendor.
pub fn key_id(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("is empty; write a key's id at its vendor, as the column KEY ID shows it".to_owned());
    }
    Ok(text.to_owned())
}

/// A duration as in Go.
pub fn time(text: &str) -> Result<SignedDuration, String> {
    duration::parse("", text.trim()).map_err(|refusal| refusal.message)
}

/// The endpoint of a collector.
pub fn collector(text: &str) -> Result<Url, String> {
    let url =
        Url::parse(text.trim()).ok().filter(|it| matches!(it.scheme(), "http" | "https") && it.has_host());
    let url = url.filter(|it| {
        it.query().is_none() && it.fragment().is_none() && it.password().is_none() && it.username().is_empty()
    });
    url.ok_or_else(|| "write scheme, host and port, such as http://collector:4318".to_owned())
}

/// A duration that is at least a second.
pub fn interval(text: &str) -> Result<SignedDuration, String> {
    match time(text)? {
        it if it < SignedDuration::from_secs(1) => Err("must be at least 1s".to_owned()),
        it => Ok(it),
    }
}

/// A duration that is at least a second, or zero for never.
pub fn interval_or_none(text: &str) -> Result<SignedDuration, String> {
    match time(text)? {
        it if !it.is_zero() && it < SignedDuration::from_secs(1) => {
            Err("must be at least 1s, or 0s for none".to_owned())
        }
        it => Ok(it),
    }
}

fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(plain) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nothing_can_have_are_refused() {
        for text in ["shop", "shop-1", "1", "", " shop "] {
            assert_eq!(namespace(text), Ok(text.trim().to_owned()));
        }
        let long = "a".repeat(64);
        for text in ["Shop_x", "shop.x", "-shop", "shop-", "shop/x", "sh op", "*", "zürich", &long] {
            assert!(namespace(text).is_err_and(|it| it.contains("such as shop")), "{text}");
        }
        assert!(name("edgee.v2").is_ok());
        for text in ["", "Edgee", "a..b", "a/b", "a_b"] {
            assert!(name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_everywhere_else() {
        assert_eq!(interval("1h30m"), Ok(SignedDuration::from_mins(90)));
        assert_eq!(interval_or_none("0s"), Ok(SignedDuration::ZERO));
        assert!(interval("0s").is_err_and(|it| it == "must be at least 1s"));
        assert!(interval_or_none("1ms").is_err_and(|it| it.contains("0s for none")));
        for text in ["", "5", "-1s", "1d", "five", "99999999999999999999h"] {
            assert!(interval(text).is_err_and(|it| it.contains("write")), "{text}");
        }
    }
}
