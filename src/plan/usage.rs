//! Spending of keys and balance of the account: which keys they belong to, and how they are rounded for status.

use super::capability::Capabilities;
use super::duration;
use super::money;
use super::naming::{Identity, Serial};
use super::spec_error::SpecError;
use crate::api::console_token::{Balance, UsageSpec};
use crate::api::gateway_api_key::Usage;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Minimum interval between two reads.
const SHORTEST: SignedDuration = SignedDuration::from_mins(1);

/// How often spending and balance are read. A field that the vendor does not support is refused by name.
pub fn interval(spec: &UsageSpec, capabilities: &Capabilities) -> Result<SignedDuration, SpecError> {
    let (title, support) = (capabilities.title, &capabilities.usage);
    if support.spending.is_none() && !support.balance {
        let message = format!("{title} tells neither spending nor balance to such a token; leave it out");
        return Err(SpecError::unsupported("spec.usage", message));
    }
    if spec.low_balance.is_some() && !support.balance {
        let message = format!("{title} does not tell what the account has left; leave it out");
        return Err(SpecError::unsupported("spec.usage.lowBalance", message));
    }
    if spec.path.is_some() && !support.path {
        let message = format!("{title} has a fixed path for spending; leave it out");
        return Err(SpecError::unsupported("spec.usage.path", message));
    }
    if spec.low_balance.as_deref().is_some_and(|it| money::micros(it).is_none()) {
        let message = "must be a decimal number that is not negative, such as \"20\"";
        return Err(SpecError::invalid("spec.usage.lowBalance", message));
    }
    let interval = duration::parse("spec.usage.interval", &spec.interval)?;
    if interval < SHORTEST {
        return Err(SpecError::invalid("spec.usage.interval", "must be at least 1m"));
    }
    Ok(interval)
}

/// An amount of money from the vendor, in millionths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    /// Millionths; negative for an account with debt.
    pub micros: i64,
    /// The currency in the vendor's spelling.
    pub currency: String,
}

/// Spending of one key within a time span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    /// The vendor's id of the key or its whole name, whichever the vendor shows.
    pub key: String,
    /// Millionths of the vendor's currency.
    pub micros: u64,
    /// Number of calls, if the vendor counts them.
    pub calls: Option<u64>,
    /// Last use within the span, in the vendor's precision.
    pub last_used_at: Option<Timestamp>,
}

/// The requested time span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its start.
    pub since: Timestamp,
    /// Its end.
    pub until: Timestamp,
    /// Path of the usage endpoint, for a vendor that does not document it.
    pub path: Option<String>,
}

impl Span {
    /// The current calendar month, in UTC.
    pub fn month(now: Timestamp) -> Self {
        let first = now.to_zoned(TimeZone::UTC).date().first_of_month();
        let since = first.to_zoned(TimeZone::UTC).map_or(now, |it| it.timestamp());
        Self { since, until: now, path: None }
    }

    /// Its first day and the day after its last day, in UTC.
    pub fn days(&self) -> (Date, Date) {
        let date = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
        (date(self.since), date(self.until).tomorrow().unwrap_or(Date::MAX))
    }
}

/// Spending of all keys of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// When it was read.
    pub as_of: Timestamp,
    /// The requested time span.
    pub span: Span,
    /// Spending per key.
    pub keys: Vec<Spending>,
}

impl Spent {
    /// Total spending of all keys with these marks, including deleted keys.
    pub fn of(&self, identity: &Identity, id: Option<&str>) -> Spending {
        let mut all = Spending::default();
        let ours = |it: &&Spending| identity.serial_in(&it.key).is_some() || Some(it.key.as_str()) == id;
        for one in self.keys.iter().filter(ours) {
            all.micros = all.micros.saturating_add(one.micros);
            all.calls = all.calls.zip(one.calls).map(|(one, other)| one.saturating_add(other)).or(one.calls);
            all.last_used_at = all.last_used_at.max(one.last_used_at);
        }
        all
    }

    /// Spending of one key in millionths, found by serial or id: a budget belongs to a single key.
    pub fn of_key(&self, identity: &Identity, serial: Option<Serial>, id: Option<&str>) -> u64 {
        let this = |it: &&Spending| {
            Some(it.key.as_str()) == id || serial.is_some() && identity.serial_in(&it.key) == serial
        };
        self.keys.iter().filter(this).map(|it| it.micros).fold(0, u64::saturating_add)
    }

    /// The spending for status.
    pub fn told(&self, identity: &Identity, id: Option<&str>, currency: &str) -> Usage {
        Usage {
            spent: money::decimal(coarse(self.of(identity, id).micros)),
            currency: currency.to_owned(),
            since: self.span.since,
        }
    }
}

/// Rounds down to two significant digits, so that status is not written for every call.
fn coarse(micros: u64) -> u64 {
    let mut step = 10_000;
    while micros / step >= 100 {
        step *= 10;
    }
    micros / step * step
}

/// The spent share in steps of five percent, rounded down.
pub(super) fn share(spent: u64, budget: u64) -> u64 {
    let percent = (u128::from(spent) * 100).checked_div(u128::from(budget)).unwrap_or_default();
    u64::try_from(percent / 5 * 5).unwrap_or(u64::MAX)
}

/// The balance for status.
pub fn balance(money: &Money) -> Balance {
    let amount = money::decimal(coarse(money.micros.unsigned_abs()));
    let amount = if money.micros < 0 { format!("-{amount}") } else { amount };
    // The text comes from the vendor and is reduced to what a currency code can contain.
    let currency = money
        .currency
        .chars()
        .filter(char::is_ascii_alphabetic)
        .take(8)
        .map(|it| it.to_ascii_uppercase())
        .collect();
    Balance { amount, currency }
}

/// Whether the balance is below the threshold.
pub fn is_low(money: &Money, threshold: &str) -> bool {
    money::micros(threshold).is_some_and(|least| money.micros < i64::try_from(least).unwrap_or(i64::MAX))
}

/// What the keys of one GatewayApiKey spent in the current calendar month.
#[derive(Clone, Debug)]
pub struct KeySpending {
    /// Namespace of the GatewayApiKey.
    pub namespace: String,
    /// Name of the GatewayApiKey.
    pub name: String,
    /// The vendor's currency.
    pub currency: &'static str,
    /// Spent, in millionths.
    pub micros: u64,
    /// The budget, in millionths, if there is one.
    pub budget: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::naming::{ClusterId, Mark};

    fn spent(keys: Vec<Spending>) -> Spent {
        let now = "2026-11-21T10:00:00Z".parse().unwrap();
        Spent { as_of: now, span: Span::month(now), keys }
    }

    fn one(key: &str, micros: u64) -> Spending {
        Spending { key: key.to_owned(), micros, calls: Some(2), last_used_at: None }
    }

    #[test]
    fn what_the_vendor_does_not_tell_is_refused_by_name() {
        use crate::gateway::{cortecs, edenai_v2, edenai_v3, edgee};
        let spec = |path: Option<&str>, low: Option<&str>| UsageSpec {
            interval: "15m".to_owned(),
            path: path.map(str::to_owned),
            low_balance: low.map(str::to_owned),
        };
        let (place, low) = (Some("/manage/usage"), Some("20"));
        for (driver, spec, refused) in [
            (&edgee::CAPABILITIES, spec(None, None), None),
            (&edgee::CAPABILITIES, spec(None, low), Some("spec.usage.lowBalance")),
            (&edenai_v3::CAPABILITIES, spec(None, low), Some("spec.usage.lowBalance")),
            (&edenai_v3::ISSUER, spec(None, None), Some("spec.usage")),
            (&edenai_v2::CAPABILITIES, spec(None, low), None),
            (&edenai_v2::CAPABILITIES, spec(place, low), Some("spec.usage.path")),
            (&cortecs::CAPABILITIES, spec(place, low), None),
        ] {
            let said = interval(&spec, driver).err();
            assert_eq!(said.as_ref().map(|it| it.field.as_str()), refused, "{}: {spec:?}", driver.name);
            assert!(said.is_none_or(|it| it.message.starts_with(driver.title)));
        }
        let odd = spec(None, Some("-1"));
        assert_eq!(interval(&odd, &edenai_v2::CAPABILITIES).unwrap_err().field, "spec.usage.lowBalance");
        let often = UsageSpec { interval: "59s".to_owned(), ..spec(None, None) };
        assert_eq!(interval(&often, &edgee::CAPABILITIES).unwrap_err().field, "spec.usage.interval");
    }

    #[test]
    fn keys_of_one_resource_count_together_and_those_of_others_do_not() {
        let mark = Mark::new(&ClusterId("c".into()), "u");
        let (first, second) = (mark.name("x", Serial(1)), mark.name("renamed", Serial(2)));
        let other = Mark::new(&ClusterId("c".into()), "v").name("x", Serial(1));
        let all =
            spent(vec![one(&first, 5), one(&second, 6), one("key_3", 7), one(&other, 1000), one("", 1000)]);
        let sum = all.of(&mark.into(), Some("key_3"));
        assert_eq!((sum.micros, sum.calls), (18, Some(6)));
    }

    #[test]
    fn status_moves_in_steps_only() {
        let mark: Identity = Mark::new(&ClusterId("c".into()), "u").into();
        let name = mark.mark.name("x", Serial(1));
        let told = |micros| spent(vec![one(&name, micros)]).told(&mark, None, "USD");
        assert_eq!(told(12_345_678), told(12_999_999));
        assert_ne!(told(12_345_678), told(13_000_000));
        let usage = told(12_345_678);
        assert_eq!(usage.spent, "12");
        assert_eq!(told(9_999).spent, "0");
        assert_eq!(told(1_234_567_890).spent, "1200");
        assert_eq!(usage.since.to_string(), "2026-11-01T00:00:00Z");
    }

    #[test]
    fn a_balance_is_low_below_its_threshold_and_when_it_is_owed() {
        let money = |micros| Money { micros, currency: "EUR".to_owned() };
        assert!(is_low(&money(19_999_999), "20"));
        assert!(!is_low(&money(20_000_000), "20"));
        assert!(is_low(&money(-1), "0"));
        assert_eq!(balance(&money(-12_345_678)).amount, "-12");
        let hostile = Money { micros: 0, currency: "EUR\n<script>1234".to_owned() };
        assert_eq!(balance(&hostile).currency, "EURSCRIP");
    }
}
