//! Settings drift: which settings of a key differ from the desired ones. Spending and last use are not settings.

use super::listing::{Limit, Listed, Shown};
use super::same;
use super::settings::Settings;
use super::spec_field::SpecField;
use crate::plan::listing::Setting;

/// A setting that can be changed on an existing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// `spec.displayName`
    DisplayName,
    /// `spec.active`
    Active,
    /// `spec.models`
    Models,
    /// `spec.budget`
    Budget,
    /// `spec.rateLimit`
    RateLimit,
    /// `spec.email`
    Email,
    /// `spec.debugMode`
    DebugMode,
    /// `spec.expiresInDays`
    Expiry,
}

/// The last sent values of settings that the vendor may not show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The e-mail address.
    pub email: Option<String>,
    /// The spending limit.
    pub budget: Option<Limit>,
}

impl Sent {
    /// The values in these settings.
    pub fn all(settings: &Settings) -> Self {
        Self { email: settings.email.clone(), budget: settings.budget }
    }
}

impl Field {
    /// The field of the specification for this setting.
    pub const fn spec(self) -> SpecField {
        match self {
            Self::DisplayName => SpecField::DisplayName,
            Self::Active => SpecField::Active,
            Self::Models => SpecField::Models,
            Self::Budget => SpecField::Budget,
            Self::RateLimit => SpecField::RateLimit,
            Self::Email => SpecField::Email,
            Self::DebugMode => SpecField::DebugMode,
            Self::Expiry => SpecField::ExpiresInDays,
        }
    }

    /// The setting for this field of the specification. `None`: no vendor accepts changes of it, so no capability
    /// table may list it as changeable in place.
    pub const fn of(field: SpecField) -> Option<Self> {
        match field {
            SpecField::DisplayName => Some(Self::DisplayName),
            SpecField::Active => Some(Self::Active),
            SpecField::Models => Some(Self::Models),
            SpecField::Budget => Some(Self::Budget),
            SpecField::RateLimit => Some(Self::RateLimit),
            SpecField::Email => Some(Self::Email),
            SpecField::DebugMode => Some(Self::DebugMode),
            SpecField::ExpiresInDays => Some(Self::Expiry),
            SpecField::ConsoleTokenRef
            | SpecField::Type
            | SpecField::CodingAssistant
            | SpecField::Rotation
            | SpecField::Secret
            | SpecField::DeletionPolicy
            | SpecField::ExternalId
            | SpecField::ManagementPolicy
            | SpecField::Suspend => None,
        }
    }

    /// The path below `spec`.
    pub const fn path(self) -> &'static str {
        self.spec().name()
    }
}

/// `spec.models, spec.active`, for messages.
pub fn paths(fields: &[Field]) -> String {
    fields.iter().map(|field| format!("spec.{}", field.path())).collect::<Vec<_>>().join(", ")
}

const ALL: [Field; 8] = [
    Field::DisplayName,
    Field::Active,
    Field::Models,
    Field::Budget,
    Field::RateLimit,
    Field::Email,
    Field::DebugMode,
    Field::Expiry,
];

/// The settings that differ. A field that the vendor does not show never differs, except e-mail address and budget,
/// which are compared with the last sent value. A difference in the vendor's spelling only does not count.
pub fn drift(wanted: &Settings, key: &Listed, sent: &Sent) -> Vec<Field> {
    let shown: &Shown = &key.shown;
    let differs = |field| match field {
        Field::DisplayName => {
            shown.display_name.as_ref().is_some_and(|it| !same::text(it, &wanted.display_name))
        }
        Field::Active => shown.active.is_some_and(|it| it != wanted.active),
        Field::Models => shown.models.as_ref().is_some_and(|it| !same::set(it, &wanted.models)),
        // A specification cannot have such a period, so the vendor's console set it.
        Field::Budget if shown.other_period => true,
        Field::Budget => match shown.budget {
            Setting::Hidden => {
                sent.budget != wanted.budget || shown.capped.is_some_and(|it| it != wanted.budget.is_some())
            }
            shown_limit if shown.may_be_reduced && is_below(shown_limit.value(), wanted.budget) => {
                sent.budget != wanted.budget
            }
            shown_limit => !same_limit(wanted.budget, shown_limit.value()),
        },
        Field::Email => match &shown.email {
            Setting::Hidden => sent.email != wanted.email,
            Setting::Unset => !same_email(wanted.email.as_deref(), None),
            Setting::Set(it) => !same_email(wanted.email.as_deref(), Some(it)),
        },
        Field::RateLimit => {
            shown.rate_limit != Setting::Hidden && shown.rate_limit.value() != wanted.rate_limit
        }
        Field::DebugMode => shown.debug_mode.is_some_and(|it| it != wanted.debug_mode),
        Field::Expiry => !key.unread_expiry() && wanted.expiry.differs(key.expires_at),
    };
    ALL.into_iter().filter(|field| differs(*field)).collect()
}

/// The settings that are equal in meaning but spelt differently from what the vendor shows; an edit of the
/// specification may change only the spelling.
pub fn spelt_otherwise(wanted: &Settings, key: &Listed) -> Vec<Field> {
    let shown: &Shown = &key.shown;
    let literally = |field: &Field| match field {
        Field::DisplayName => shown.display_name.as_ref().is_none_or(|it| *it == wanted.display_name),
        Field::Models => shown.models.as_ref().is_none_or(|it| {
            it.iter().all(|it| wanted.models.contains(it))
                && wanted.models.iter().all(|wanted| it.contains(wanted))
        }),
        Field::Email => {
            shown.email == Setting::Hidden || shown.email.as_ref().value() == wanted.email.as_ref()
        }
        // Sending the budget again would reset what is spent of it.
        Field::Active | Field::Budget | Field::RateLimit | Field::DebugMode | Field::Expiry => true,
    };
    let different = drift(wanted, key, &Sent::all(wanted));
    ALL.into_iter().filter(|field| !literally(field) && !different.contains(field)).collect()
}

/// Whether a shown limit of the wanted period is below the wanted one.
fn is_below(shown: Option<Limit>, wanted: Option<Limit>) -> bool {
    shown
        .zip(wanted)
        .is_some_and(|(shown, wanted)| shown.period == wanted.period && shown.micros < wanted.micros)
}

fn same_limit(wanted: Option<Limit>, shown: Option<Limit>) -> bool {
    match (wanted, shown) {
        (Some(wanted), Some(shown)) => {
            wanted.period == shown.period && same::amount(wanted.micros, shown.micros)
        }
        (wanted, shown) => wanted == shown,
    }
}

fn same_email(wanted: Option<&str>, shown: Option<&str>) -> bool {
    match (wanted, shown) {
        (Some(wanted), Some(shown)) => same::text(wanted, shown),
        (wanted, shown) => wanted == shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::shared::Period;
    use crate::plan::listing::KeyId;

    const MONTHLY: Period = Period::Monthly;

    fn wanted() -> Settings {
        Settings {
            display_name: "Production B\u{fc}ro".to_owned(),
            active: true,
            models: vec!["openai/gpt-5.2".to_owned(), "anthropic/claude".to_owned()],
            budget: Some(Limit { micros: 10_005_000, period: MONTHLY }),
            email: Some("Ann@Example.com".to_owned()),
            ..Settings::default()
        }
    }

    fn shown(change: impl FnOnce(&mut Shown)) -> Listed {
        let mut shown = Shown::of(&wanted());
        change(&mut shown);
        let (created_at, expires_at, last_used_at, spent, remaining) = (None, None, None, None, None);
        let (id, name, unread) = (KeyId("key_1".to_owned()), String::new(), Vec::new());
        Listed { id, name, created_at, expires_at, last_used_at, spent, remaining, shown, unread }
    }

    #[expect(clippy::unnecessary_wraps, reason = "as a listing shows it")]
    fn list(models: &[&str]) -> Option<Vec<String>> {
        Some(models.iter().map(|it| (*it).to_owned()).collect())
    }

    fn budget(micros: u64, period: Period) -> Setting<Limit> {
        Setting::Set(Limit { micros, period })
    }

    #[test]
    fn what_the_vendor_writes_in_its_own_way_is_no_drift() {
        let name = |text: &str| shown(|it| it.display_name = Some(text.to_owned()));
        let models = |models: &[&str]| shown(|it| it.models = list(models));
        let email = |text: &str| shown(|it| it.email = Setting::Set(text.to_owned()));
        let table = [
            (name("production b\u{fc}ro"), vec![Field::DisplayName]),
            (name(" Production  Bu\u{308}ro "), vec![Field::DisplayName]),
            (models(&["Anthropic/Claude", "OPENAI/gpt-5.2", "openai/gpt-5.2"]), vec![Field::Models]),
            (email("ann@example.com "), vec![Field::Email]),
            // Sending the budget again would reset what is spent of it.
            (shown(|it| it.budget = budget(10_010_000, MONTHLY)), vec![]),
            (shown(|it| it.budget = budget(10_000_000, MONTHLY)), vec![]),
        ];
        for (key, fields) in table {
            assert_eq!(drift(&wanted(), &key, &Sent::default()), [], "{:?}", key.shown);
            assert_eq!(spelt_otherwise(&wanted(), &key), fields, "{:?}", key.shown);
        }
        let reordered = models(&["anthropic/claude", "openai/gpt-5.2", "openai/gpt-5.2"]);
        for same in [shown(|_| ()), reordered] {
            assert_eq!(drift(&wanted(), &same, &Sent::default()), []);
            assert_eq!(spelt_otherwise(&wanted(), &same), []);
        }
    }

    #[test]
    fn what_means_something_else_is_drift() {
        let table = [
            (shown(|it| it.display_name = Some("Production Buro".to_owned())), Field::DisplayName),
            (shown(|it| it.display_name = Some(String::new())), Field::DisplayName),
            (shown(|it| it.models = list(&["openai/gpt-5.2"])), Field::Models),
            (shown(|it| it.models = list(&[])), Field::Models),
            (shown(|it| it.email = Setting::Unset), Field::Email),
            (shown(|it| it.email = Setting::Set("ann@example.org".to_owned())), Field::Email),
            (shown(|it| it.budget = Setting::Unset), Field::Budget),
            (shown(|it| it.budget = budget(0, MONTHLY)), Field::Budget),
            (shown(|it| it.budget = budget(10_020_000, MONTHLY)), Field::Budget),
            (shown(|it| it.budget = budget(10_005_000, Period::Weekly)), Field::Budget),
            (shown(|it| it.active = Some(false)), Field::Active),
        ];
        for (key, field) in table {
            assert_eq!(drift(&wanted(), &key, &Sent::default()), [field], "{:?}", key.shown);
            assert_eq!(spelt_otherwise(&wanted(), &key), [], "{:?}", key.shown);
        }
    }
}
