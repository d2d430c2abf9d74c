//! Hundreds of malformed answers, the same ones in every run: no call panics, every fault has the right class, and no
//! key comes out of garbage.

use super::{Call, Contract, provider_key_order, span};
use crate::support::driver_contract::stage::OptionalCalls;
use crate::support::garbage::{bytes, class, effect_of, fuzz, masked, need, text, wait};
use crate::support::orders::{clear, id};
use crate::support::stub::Stub;
use http::Method;
use keysmith::gateway::http::LARGEST_EXPORT;
use keysmith::gateway::transport::LARGEST_ANSWER;
use keysmith::gateway::{Gateway, Minted};
use keysmith::plan::capability::Recovery;
use keysmith::plan::fault::{Fault, FaultKind, Outcome};
use keysmith::plan::listing::Listed;
use proptest::strategy::Strategy;
use serde_json::{Value, json};

type Checked = Result<(), String>;

fn garbage(contract: &Contract) -> impl Strategy<Value = Vec<u8>> + use<> {
    bytes((contract.sound)().all(), contract.envelope())
}

impl Contract {
    fn envelope(&self) -> &'static str {
        match self.listing.0 {
            "" => "results",
            name => name,
        }
    }

    /// The rows of a listing; `None` if it is no listing. Revoked keys are left out.
    fn rows<'a>(&self, json: &'a Value) -> Option<Vec<&'a Value>> {
        let (envelope, bare) = self.listing;
        let rows = json.as_array().filter(|_| bare).or_else(|| json[envelope].as_array())?;
        Some(rows.iter().filter(|row| row["revoked"] != json!(true)).collect())
    }

    /// Every returned key is in the answer, and every other row was counted as skipped.
    fn listed(&self, driver: &dyn Gateway, outcome: Result<Vec<Listed>, Fault>, json: &Value) -> Checked {
        class(&outcome, Outcome::NotApplied)?;
        let Ok(keys) = outcome else { return Ok(()) };
        let skipped = usize::try_from(driver.take_skipped()).unwrap_or(usize::MAX);
        let rows = self.rows(json).ok_or("what is no listing was taken for one")?;
        for key in &keys {
            let same = rows.iter().any(|row| text(row, self.id) == Some(key.id.0.as_str()));
            need(same, "a key that was not listed")?;
        }
        let seen = keys.len() + skipped;
        need(seen == rows.len() || self.idless_rows && seen < rows.len(), "not the keys that were listed")?;
        need((self.whole)(json), "a page was taken for all")
    }

    /// A returned key is in the answer; without a returned key, the answer has none, or it was counted as skipped.
    async fn got(&self, driver: &dyn Gateway, json: &Value) -> Checked {
        let asked = self.key_id();
        let outcome = driver.get(&id(&asked)).await;
        class(&outcome, Outcome::NotApplied)?;
        let Ok(found) = outcome else { return Ok(()) };
        if let Some(inside) = self.inside {
            let key = &json[inside];
            let gone = key["status"] == "deleted" || !key["deleted_at"].is_null();
            return need(
                key.is_object() && found.is_none() == gone,
                "a key that is not in the answer, or gone",
            );
        }
        let rows = || self.rows(json).unwrap_or_default();
        let shown: Vec<&Value> = if self.looks_by_listing { rows() } else { vec![json] };
        let named = |name: &str| shown.iter().any(|row| text(row, self.id) == Some(name));
        match found {
            Some(key) => need(named(&key.id.0), "another id"),
            None if self.looks_by_listing => {
                need(!named(&asked) || driver.take_skipped() > 0, "a listed key was taken for gone")
            }
            None => need(
                text(json, self.id).is_none() || json["revoked"] == json!(true),
                "a 2xx was taken for gone",
            ),
        }
    }

    fn minted(&self, outcome: Result<Minted, Fault>, json: &Value) -> Checked {
        class(&outcome, Outcome::Unknown)?;
        outcome.map_or(Ok(()), |minted| self.believed(&minted, json))
    }

    fn believed(&self, minted: &Minted, json: &Value) -> Checked {
        let secret = clear(&minted.secret);
        let places = [json, self.key_in(json)];
        let shown = |place: &Value| self.secret.iter().any(|field| text(place, field) == Some(secret));
        need(places.into_iter().any(shown) && !masked(secret), "minted without a key")?;
        let key = minted.key.id.0.as_str();
        let named = self.id == "name"
            || self.looks_by_listing
            || [self.id, "token_id"].iter().any(|it| places.iter().any(|place| text(place, it) == Some(key)));
        need(named && !key.is_empty(), "minted without an id")
    }

    /// Makes every call to a vendor that sends this answer to every request.
    async fn judge(&self, body: &[u8]) -> Checked {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let driver = self.stubbed(&Stub::always(200, body.to_vec()));
        let (driver, key) = (driver.as_ref(), id(&self.key_id()));
        self.listed(driver, driver.list().await, &json)?;
        self.got(driver, &json).await?;
        self.minted(driver.mint(&self.order("n")).await, &json)?;
        self.judge_recovery(driver, &json).await?;
        class(&driver.amend(&key, &self.amendment()).await, Outcome::Unknown)?;
        class(&driver.revoke(&key).await, Outcome::Unknown)?;
        class(&driver.whose().await, Outcome::NotApplied)?;
        class(&driver.balance().await, Outcome::NotApplied)?;
        if driver.capabilities().usage.spending.is_some() {
            class(&driver.spending(&span(), std::slice::from_ref(&key)).await, Outcome::NotApplied)?;
        }
        if let Some(models) = driver.models() {
            class(&models.catalog().await, Outcome::NotApplied)?;
        }
        self.judge_provider_keys(driver, &json).await?;
        self.judge_creation(&json, body).await
    }

    async fn judge_recovery(&self, driver: &dyn Gateway, json: &Value) -> Checked {
        let key = id(&self.key_id());
        match driver.capabilities().recovery {
            Recovery::Reveal => {
                let revealed = driver.recover(&key).await;
                class(&revealed, Outcome::NotApplied)?;
                let Ok(revealed) = revealed else { return Ok(()) };
                let secret = revealed.as_ref().map(clear).ok_or("a 2xx was taken for gone")?;
                let shown = self.secret.iter().any(|field| text(json, field) == Some(secret));
                need(shown && !masked(secret), "revealed without a key")
            }
            Recovery::Rotate | Recovery::Once => match driver.reissue(&key, &self.order("n")).await {
                Ok(Some(minted)) => self.believed(&minted, json),
                Ok(None) => Ok(()),
                // The read of the key had no effect; the effect of the other calls is unknown.
                Err(fault) => need(fault.kind.is_malformed(), &format!("{fault:?}")),
            },
        }
    }

    async fn judge_provider_keys(&self, driver: &dyn Gateway, json: &Value) -> Checked {
        let Some(keys) = driver.provider_keys() else { return Ok(()) };
        let key = id(&self.key_id());
        class(&keys.list().await, Outcome::NotApplied)?;
        let created = keys.create(&provider_key_order()).await;
        class(&created, Outcome::Unknown)?;
        if let Ok(created) = created {
            let named = [json, self.key_in(json)].into_iter().any(|it| text(it, "id") == Some(&created.id.0));
            need(named, "created without an id")?;
        }
        class(&keys.assign(&key, &[]).await, Outcome::Unknown)?;
        class(&keys.delete(&key).await, Outcome::Unknown)
    }

    /// A malformed answer to the create call, beside a correct listing.
    async fn judge_creation(&self, json: &Value, body: &[u8]) -> Checked {
        let (created, listing) = (body.to_vec(), (self.sound)().listing.to_string());
        let half = Stub::by(move |request| match *request.method() {
            Method::POST => (200, created.clone().into()),
            _ => (200, listing.clone().into()),
        });
        self.minted(self.stubbed(&half).mint(&self.order("n")).await, json)
    }
}

pub fn a_sound_answer_is_read_by_every_decoder(contract: &Contract) {
    wait(async {
        for body in (contract.sound)().all() {
            contract.judge(body.to_string().as_bytes()).await.unwrap();
        }
        let by = |body: &Value| contract.stubbed(&Stub::always(200, body.to_string()));
        let sound = (contract.sound)();
        assert_eq!(by(&sound.listing).list().await.unwrap().len(), 1);
        let (key, order) = (id(&contract.key_id()), contract.order("n"));
        let (created, listing) = (sound.key.to_string(), sound.listing.to_string());
        let vendor = contract.stubbed(&Stub::by(move |request| match *request.method() {
            Method::GET
                if ["keys/", "/list", "/v1/keys"].iter().any(|it| request.uri().path().ends_with(it)) =>
            {
                (200, listing.clone().into())
            }
            _ => (200, created.clone().into()),
        }));
        vendor.mint(&order).await.unwrap();
        match vendor.capabilities().recovery {
            Recovery::Reveal => drop(vendor.recover(&key).await.unwrap().unwrap()),
            Recovery::Rotate if contract.amends => drop(vendor.reissue(&key, &order).await.unwrap().unwrap()),
            Recovery::Rotate | Recovery::Once => {}
        }
        if let Some((body, micros)) = &sound.spending {
            let spent = by(body).spending(&span(), std::slice::from_ref(&key)).await.unwrap();
            assert_eq!(spent.iter().map(|it| it.micros).sum::<u64>(), *micros);
        }
        if let Some((body, micros)) = &sound.balance {
            assert_eq!(by(body).balance().await.unwrap().unwrap().micros, *micros);
        }
        if let Some(keys) = vendor.provider_keys() {
            keys.create(&provider_key_order()).await.unwrap();
        }
    });
}

pub fn no_answer_makes_a_decoder_panic_or_believe(contract: &Contract) {
    fuzz(1000, &garbage(contract), |body| wait(contract.judge(&body)));
}

/// Whether a refused call had an effect follows from its status alone, whatever the body is. A driver that looks a
/// refusal up gets garbage there as well.
pub fn no_body_changes_what_a_status_means(contract: &Contract) {
    let cases = (200..600_u16, garbage(contract));
    fuzz(300, &cases, |(status, body)| {
        wait(async {
            let driver = contract.stubbed(&Stub::always(status, body));
            let key = id(&contract.key_id());
            let changes = [
                (Call::Mint, driver.mint(&contract.order("n")).await.map(drop)),
                (Call::Amend, driver.amend(&key, &contract.amendment()).await),
                (Call::Revoke, driver.revoke(&key).await),
            ];
            for (call, outcome) in changes {
                // A key that is gone already counts as revoked. A driver without amendments sends no call.
                let gone = call == Call::Revoke && [404, 410].contains(&status);
                let unasked = call == Call::Amend && !contract.amends;
                match outcome {
                    Ok(()) => {
                        need(status < 300 || gone || unasked, &format!("{call:?}: a refusal was a success"))?;
                    }
                    Err(fault) => need(fault.effect == effect_of(status), &format!("{call:?}: {fault:?}"))?,
                }
            }
            let reads = [
                (true, driver.list().await.map(drop)),
                (true, driver.spending(&span(), std::slice::from_ref(&key)).await.map(drop)),
                (contract.tells_balance(), driver.balance().await.map(drop)),
            ];
            for (asked, outcome) in reads {
                need(outcome.is_err() || status < 300 || !asked, "a refusal was an answer")?;
            }
            if let Some(projects) = driver.projects() {
                need(projects.read().await.is_err() || status < 300, "a refusal was a project")?;
            }
            if let Some(models) = driver.models() {
                need(models.catalog().await.is_err() || status < 300, "a refusal was a listing of models")?;
            }
            if let Some(keys) = driver.provider_keys() {
                need(keys.list().await.is_err() || status < 300, "a refusal was a listing")?;
            }
            Ok(())
        })
    });
}

impl Contract {
    fn tells_balance(&self) -> bool {
        (self.sound)().balance.is_some()
    }

    /// Ten megabytes that begin like a correct answer: brackets, a listing, a key.
    fn enormous(&self) -> Vec<String> {
        let of = |open: &str, row: &str, close: &str| {
            let more = format!("{row},").repeat((10 << 20) / (row.len() + 1));
            format!("{open}{more}{row}{close}")
        };
        let key = (self.sound)().key.to_string();
        let row = json!({self.id: "n", self.name: "n"}).to_string();
        let (open, close) = match self.listing.0 {
            "" => ("[".to_owned(), "]"),
            name => (format!("{{\"{name}\":["), "]}"),
        };
        let open_key = format!("{},\"x\":[", key.trim_end_matches('}'));
        vec!["[".repeat(10 << 20), of(&open, &row, close), of(&open_key, "1", "]}")]
    }
}

/// However large the body is, the driver reads no more than the limit.
pub fn ten_megabytes_of_anything_are_too_large_for_every_decoder(contract: &Contract) {
    let kind = FaultKind::TooLarge { limit: LARGEST_ANSWER };
    let (certain, unsure) = (Fault::without_effect(kind.clone()), Fault::ambiguous(kind));
    for body in contract.enormous() {
        assert!(body.len() >= 10 << 20 && body.len() < LARGEST_EXPORT);
        wait(async {
            let driver = contract.stubbed(&Stub::always(200, body));
            let key = id(&contract.key_id());
            assert_eq!(driver.list().await.unwrap_err(), certain);
            assert_eq!(driver.get(&key).await.unwrap_err(), certain);
            assert_eq!(driver.mint(&contract.order("n")).await.err().unwrap(), unsure);
            assert_eq!(driver.revoke(&key).await.unwrap_err(), unsure);
            if contract.amends {
                assert_eq!(driver.amend(&key, &contract.amendment()).await.unwrap_err(), unsure);
            }
            if contract.tells_balance() {
                assert_eq!(driver.balance().await.unwrap_err(), certain);
            }
            if driver.capabilities().recovery == Recovery::Rotate && contract.amends {
                assert_eq!(driver.reissue(&key, &contract.order("n")).await.err().unwrap(), certain);
            }
            if Contract::reveals(driver.as_ref()) {
                assert_eq!(driver.recover(&key).await.unwrap_err(), certain);
            }
            if let Some(projects) = driver.projects() {
                assert_eq!(projects.read().await.err().unwrap(), certain);
            }
            if let Some(keys) = driver.provider_keys() {
                assert_eq!(keys.list().await.unwrap_err(), certain);
                assert_eq!(keys.create(&provider_key_order()).await.unwrap_err(), unsure);
            }
            // A body below the limit of an export that is no export.
            assert!(driver.spending(&span(), std::slice::from_ref(&key)).await.is_err());
        });
    }
}
