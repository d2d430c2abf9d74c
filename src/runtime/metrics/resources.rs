//! The state of resources, tokens and queues, read from the caches at each scrape. So a series goes with its object, and no
//! pass has to keep it up to date.

use crate::plan::identity::TokenRef;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A resource, as far as metrics show it.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace; empty for one without.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The conditions in its status.
    pub conditions: &'a [Condition],
    /// Whether it is being deleted.
    pub deleting: bool,
    /// When its key, or the token as declared, expires.
    pub expires_at: Option<Timestamp>,
    /// When its key is replaced next.
    pub next_rotation: Option<Timestamp>,
    /// Previous keys that still exist at the vendor.
    pub previous: usize,
}

/// The access of a console token to its vendor.
#[derive(Clone, Debug)]
pub struct TokenHealth {
    /// The token.
    pub token: TokenRef,
    /// Whether new work may start with it.
    pub ready: bool,
    /// Whether it may lead to another account than the one that its keys were made in.
    pub doubted: bool,
    /// Whether calls are held back because the vendor refused it.
    pub held_back: bool,
    /// When the newest listing of its account began.
    pub listed_at: Option<Timestamp>,
    /// Passes that wait for a turn at its account.
    pub waiting: usize,
}

/// What is exported at a scrape.
pub trait Source: Send + Sync {
    /// Visits every resource of every kind.
    fn each_resource(&self, visit: &mut dyn FnMut(Resource<'_>));
    /// The console tokens.
    fn tokens(&self) -> Vec<TokenHealth>;
    /// Passes that wait for a turn, and for how many seconds the first of them has waited.
    fn queue(&self) -> (usize, f64);
}

/// Reads a source at each scrape, once there is one.
#[derive(Clone, Default)]
pub(super) struct Resources(Arc<Mutex<Option<Arc<dyn Source>>>>);

impl fmt::Debug for Resources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Resources")
    }
}

/// The kinds and the names of their metrics.
const CONDITIONS: [(&str, &[&str], &str); 4] = [
    ("key_condition", &["GatewayApiKey"], "Conditions of a GatewayApiKey"),
    ("provider_key_condition", &["ProviderKey"], "Conditions of a ProviderKey"),
    (
        "console_token_condition",
        &["ConsoleToken", "ClusterConsoleToken"],
        "Conditions of a ConsoleToken, or of a ClusterConsoleToken, which has no namespace",
    ),
    ("project_settings_condition", &["ProjectSettings"], "Conditions of ProjectSettings"),
];

type Encoded = Result<(), fmt::Error>;

/// Name and help of a family.
#[derive(Clone, Copy)]
struct Named<'a> {
    name: &'a str,
    help: &'a str,
}

const fn named<'a>(name: &'a str, help: &'a str) -> Named<'a> {
    Named { name, help }
}

/// One family of gauges.
struct Family<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Family<'_, '_> {
    /// Writes a gauge without labels.
    fn gauge<N>(&mut self, named: Named<'_>, value: N) -> Encoded
    where
        ConstGauge<N>: EncodeMetric,
    {
        let encoder = self.0.encode_descriptor(named.name, named.help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(encoder)
    }

    /// Writes the family: `fill` calls its argument once for each series.
    fn gauges(
        &mut self,
        named: Named<'_>,
        fill: impl FnOnce(&mut dyn FnMut(&[(&str, &str)], i64)),
    ) -> Encoded {
        let mut encoder = self.0.encode_descriptor(named.name, named.help, None, MetricType::Gauge)?;
        let mut failed = Ok(());
        fill(&mut |labels, value| {
            let written = encoder.encode_family(&labels).and_then(|it| ConstGauge::new(value).encode(it));
            failed = std::mem::replace(&mut failed, Ok(())).and(written);
        });
        failed
    }
}

fn count(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Resources {
    pub(super) fn set(&self, source: Option<Arc<dyn Source>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = source;
    }

    fn each(&self, mut visit: impl FnMut(Resource<'_>)) {
        let source = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(source) = source {
            source.each_resource(&mut visit);
        }
    }

    /// A gauge of each GatewayApiKey that has the value.
    fn of_keys(
        &self,
        family: &mut Family<'_, '_>,
        named: Named<'_>,
        value: impl Fn(&Resource<'_>) -> Option<i64>,
    ) -> Encoded {
        self.of_kinds(family, named, &["GatewayApiKey"], value)
    }

    fn of_kinds(
        &self,
        family: &mut Family<'_, '_>,
        named: Named<'_>,
        kinds: &[&str],
        value: impl Fn(&Resource<'_>) -> Option<i64>,
    ) -> Encoded {
        family.gauges(named, |series| {
            self.each(|it| {
                if let Some(value) = value(&it).filter(|_| kinds.contains(&it.kind)) {
                    series(&[("resource_namespace", it.namespace), ("resource_name", it.name)], value);
                }
            });
        })
    }

    fn conditions(&self, family: &mut Family<'_, '_>) -> Encoded {
        for (name, kinds, help) in CONDITIONS {
            let help = format!("{help}: 1 for the status and the reason that each has");
            family.gauges(named(name, &help), |series| {
                self.each(|it| {
                    for condition in it.conditions.iter().filter(|_| kinds.contains(&it.kind)) {
                        let labels = [
                            ("resource_namespace", it.namespace),
                            ("resource_name", it.name),
                            ("condition", &condition.type_),
                            ("status", &condition.status),
                            ("reason", &condition.reason),
                        ];
                        series(&labels, 1);
                    }
                });
            })?;
        }
        Ok(())
    }

    fn keys(&self, family: &mut Family<'_, '_>) -> Encoded {
        let expiry = named(
            "key_expiry_timestamp_seconds",
            "When the served key of a GatewayApiKey stops working, Unix seconds",
        );
        self.of_keys(family, expiry, |it| it.expires_at.map(Timestamp::as_second))?;
        let next = named(
            "key_next_rotation_timestamp_seconds",
            "When the key of a GatewayApiKey is replaced next, or the replacement tried again, Unix seconds",
        );
        self.of_keys(family, next, |it| it.next_rotation.map(Timestamp::as_second))?;
        let previous =
            named("key_previous", "Previous keys of a GatewayApiKey that still exist at the vendor");
        self.of_keys(family, previous, |it| Some(count(it.previous)))?;
        let kinds = &["ConsoleToken", "ClusterConsoleToken"][..];
        let expiry = named(
            "console_token_expiry_timestamp_seconds",
            "Declared expiry of a console token, Unix seconds",
        );
        self.of_kinds(family, expiry, kinds, |it| it.expires_at.map(Timestamp::as_second))
    }

    /// Deletions that wait: a namespace that does not end is one of these.
    fn deletions(&self, family: &mut Family<'_, '_>) -> Encoded {
        let blocked =
            named("deletion_blocked", "1 while a resource that is being deleted cannot go, by kind");
        family.gauges(blocked, |series| {
            self.each(|it| {
                let said = |condition: &Condition| {
                    condition.type_ == "Ready" && condition.reason == "DeletionBlocked"
                };
                if it.deleting && it.conditions.iter().any(said) {
                    let labels =
                        [("kind", it.kind), ("resource_namespace", it.namespace), ("resource_name", it.name)];
                    series(&labels, 1);
                }
            });
        })
    }

    fn tokens(&self, family: &mut Family<'_, '_>) -> Encoded {
        let source = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let tokens = source.as_ref().map_or_else(Vec::new, |it| it.tokens());
        let mut each = |family_name: Named<'_>, value: fn(&TokenHealth) -> Option<i64>| {
            family.gauges(family_name, |series| {
                for it in &tokens {
                    let namespace = it.token.namespace.as_deref().unwrap_or_default();
                    if let Some(value) = value(it) {
                        series(
                            &[("resource_namespace", namespace), ("resource_name", &it.token.name)],
                            value,
                        );
                    }
                }
            })
        };
        each(named("console_token_ready", "1 while the vendor accepts a console token"), |it| {
            Some(i64::from(it.ready))
        })?;
        let doubted =
            "1 while a console token does not seem to lead to the account that its keys were made in";
        each(named("accounts_doubted", doubted), |it| Some(i64::from(it.doubted)))?;
        let held = "1 while calls with a console token are held back because the vendor refused it";
        each(named("console_token_held_back", held), |it| Some(i64::from(it.held_back)))?;
        let listed = "When the newest complete listing of the account of a console token began, Unix seconds";
        each(named("console_token_last_poll_timestamp_seconds", listed), |it| {
            it.listed_at.map(Timestamp::as_second)
        })?;
        let waiting = "Passes over resources that wait for a turn at the account of a console token";
        each(named("console_token_passes_waiting", waiting), |it| Some(count(it.waiting)))?;
        let (waiting, oldest) = source.map_or((0, 0.0), |it| it.queue());
        family.gauge(named("queue_depth", "Passes over resources that wait for a turn"), count(waiting))?;
        family.gauge(
            named("queue_oldest_seconds", "For how long the first of the passes that wait has waited"),
            oldest,
        )
    }
}

impl Collector for Resources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Encoded {
        let mut family = Family(&mut encoder);
        self.keys(&mut family)?;
        self.conditions(&mut family)?;
        self.deletions(&mut family)?;
        self.tokens(&mut family)
    }
}

#[cfg(test)]
mod tests {
    use super::CONDITIONS;
    use crate::api;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_a_metric_of_its_conditions() {
        let kinds: BTreeSet<_> = api::crds().into_iter().map(|crd| crd.spec.names.kind).collect();
        let shown = CONDITIONS.iter().flat_map(|(_, kinds, _)| *kinds).map(|kind| (*kind).to_owned());
        assert_eq!(shown.collect::<BTreeSet<_>>(), kinds);
    }
}
