//! Quirk 10: only the creation of provider keys is documented. Other calls are tried, and only the listing proves their
//! effect.

use super::stub::{Stub, refusing, saying};
use super::world::{ORG, PROVIDER_KEYS, World, id, provider_key_order, world};
use keysmith::emulator::Effect;
use keysmith::emulator::edgee::{ProviderKeyRecord, Support};
use keysmith::gateway::{Gateway, ProviderKeyOrder, ProviderKeys};
use keysmith::plan::fault::Outcome as Consequence;
use keysmith::plan::listing::KeyId;
use secrecy::SecretString;
use std::collections::BTreeSet;

impl World {
    fn provider_keys(&self) -> Vec<ProviderKeyRecord> {
        self.emulator.edgee().provider_keys(ORG)
    }
}

fn ids(ids: &[&str]) -> BTreeSet<KeyId> {
    ids.iter().copied().map(id).collect()
}

#[tokio::test(start_paused = true)]
async fn a_provider_key_arrives_with_its_credential_and_its_assigned_keys() {
    for status in [200, 201] {
        let world = world();
        world.switch(|it| it.create_status = status);
        let edgee = world.edgee();
        let order = provider_key_order("team", &["key_000001", "key_000002"]);
        let made = edgee.provider_keys().unwrap().create(&order).await.unwrap();
        let kept = world.provider_keys().remove(0);
        assert_eq!(made.id, id(&kept.id));
        assert_eq!(made.created_at, Some(kept.created_at));
        assert_eq!((kept.provider.as_str(), kept.name.as_str()), ("anthropic", "team"));
        assert_eq!(kept.provider_key, "sk-ant-emulated-credential");
        assert_eq!(kept.api_key_ids, ["key_000001", "key_000002"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_key_for_the_whole_organization_says_so_in_words() {
    let stub = Stub::always(200, r#"{"id":"pk_1"}"#);
    let edgee = stub.edgee();
    edgee.create(&provider_key_order("all", &[])).await.unwrap();
    assert_eq!(stub.sent()["api_key_ids"], serde_json::json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_json_credential_is_sent_as_text() {
    let world = world();
    let credential = r#"{"endpoint":"https://x.openai.azure.com","api_key":"quote \" and ü"}"#;
    let order = ProviderKeyOrder {
        provider: "azure".to_owned(),
        credential: SecretString::from(credential),
        ..provider_key_order("azure", &[])
    };
    world.edgee().create(&order).await.unwrap();
    assert_eq!(world.provider_keys()[0].provider_key, credential);
}

#[tokio::test(start_paused = true)]
async fn a_listing_of_provider_keys_has_what_the_vendor_shows() {
    for bare in [false, true] {
        let world = world();
        world.switch(|it| it.bare_provider_keys = bare);
        let edgee = world.edgee();
        let provider_keys = edgee.provider_keys().unwrap();
        assert!(provider_keys.list().await.unwrap().is_empty());
        let made = provider_keys.create(&provider_key_order("team", &["key_000001"])).await.unwrap();
        let listed = provider_keys.list().await.unwrap().remove(0);
        assert_eq!(listed.id, (!bare).then_some(made.id));
        assert_eq!(listed.name.as_deref(), (!bare).then_some("team"));
        assert_eq!(listed.assigned_to, (!bare).then(|| ids(&["key_000001"])));
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_of_provider_keys_may_also_be_paged() {
    let first = r#"{"data":[{"id":"pk_1"}],"has_more":true,"last_key":"pk_1"}"#;
    let stub = Stub::by(move |request| {
        let later = request.uri().query().is_some_and(|it| it.contains("start_key=pk_1"));
        (200, if later { r#"{"data":[{"id":"pk_2"}]}"# } else { first }.into())
    });
    let edgee = stub.edgee();
    let listed = edgee.provider_keys().unwrap().list().await.unwrap();
    let shown: Vec<_> = listed.into_iter().map(|it| it.id.unwrap().0).collect();
    assert_eq!(shown, ["pk_1", "pk_2"]);
}

#[tokio::test(start_paused = true)]
async fn whether_an_assignment_changed_is_seen_in_the_listing_and_not_in_the_answer() {
    for support in [Support::Full, Support::UnknownPath, Support::DoesNothing] {
        let world = world();
        world.switch(|it| it.provider_key_update = support);
        let edgee = world.edgee();
        let provider_keys = edgee.provider_keys().unwrap();
        let made = provider_keys.create(&provider_key_order("team", &["key_000001"])).await.unwrap();
        let to = [id("key_000002"), id("key_000003")];
        provider_keys.assign(&made.id, &to).await.unwrap();
        let expected = match support {
            Support::Full => ids(&["key_000002", "key_000003"]),
            Support::UnknownPath | Support::DoesNothing => ids(&["key_000001"]),
        };
        assert_eq!(provider_keys.list().await.unwrap()[0].assigned_to, Some(expected), "{support:?}");
        let kept = world.provider_keys().remove(0);
        assert_eq!((kept.name.as_str(), kept.active), ("team", true));
        assert_eq!(kept.provider_key, "sk-ant-emulated-credential");
    }
}

#[tokio::test(start_paused = true)]
async fn removal_of_a_provider_key_is_seen_in_the_listing_and_not_in_the_answer() {
    for support in [Support::Full, Support::UnknownPath, Support::DoesNothing] {
        for no_content in [false, true] {
            let world = world();
            world.switch(|it| (it.provider_key_delete, it.delete_no_content) = (support, no_content));
            let edgee = world.edgee();
            let provider_keys = edgee.provider_keys().unwrap();
            let made = provider_keys.create(&provider_key_order("team", &[])).await.unwrap();
            provider_keys.delete(&made.id).await.unwrap();
            let left = usize::from(support != Support::Full);
            assert_eq!(provider_keys.list().await.unwrap().len(), left, "{support:?}");
            assert_eq!(world.provider_keys().len(), left, "{support:?}");
            provider_keys.delete(&made.id).await.unwrap();
        }
    }
}

/// The endpoints are not documented, so a vendor may lack them, whatever status it answers.
#[tokio::test(start_paused = true)]
async fn a_vendor_without_the_undocumented_endpoints_is_no_fault() {
    for status in [400, 403, 404, 405, 410, 422, 501] {
        let edgee = refusing(status);
        edgee.assign(&id("pk_1"), &[]).await.unwrap();
        edgee.delete(&id("pk_1")).await.unwrap();
    }
    for status in [401, 409, 429, 500] {
        let edgee = refusing(status);
        assert!(edgee.assign(&id("pk_1"), &[]).await.is_err(), "{status}");
        assert!(edgee.delete(&id("pk_1")).await.is_err(), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_key_whose_answer_is_lost_is_ambiguous_and_in_the_listing() {
    let lost = [
        (Effect::DropAfter, 1),
        (Effect::HangAfter, 1),
        (Effect::Truncate, 1),
        (Effect::AppliedStatus { code: 500 }, 1),
        (Effect::DropBefore, 0),
        (Effect::Html, 0),
    ];
    for (effect, left) in lost {
        let world = world();
        world.fault_once("POST", PROVIDER_KEYS, effect.clone());
        let edgee = world.edgee();
        let provider_keys = edgee.provider_keys().unwrap();
        let fault = provider_keys.create(&provider_key_order("team", &[])).await.unwrap_err();
        assert_eq!(fault.effect, Consequence::Unknown, "{effect:?}");
        assert_eq!(provider_keys.list().await.unwrap().len(), left, "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_answer_without_an_id_may_still_have_made_a_provider_key() {
    for body in ["", "{}", "[]", r#"{"id":null}"#, r#"{"id":""}"#, r#"{"id":7}"#] {
        let fault = saying(body).create(&provider_key_order("n", &[])).await.expect_err(body);
        assert_eq!(fault.effect, Consequence::Unknown, "{body}");
        assert!(fault.kind.is_malformed(), "{body}: {fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_fields_of_a_provider_key_are_ignored() {
    let body = r#"{"id":"pk_1","name":"n","api_key_ids":["k"],"region":{"a":[1]},"created_at":null}"#;
    assert_eq!(saying(body).create(&provider_key_order("n", &[])).await.unwrap().id, id("pk_1"));
    let edgee = saying(format!("[{body}]"));
    let listed = edgee.provider_keys().unwrap().list().await.unwrap();
    assert_eq!(listed[0].assigned_to, Some(ids(&["k"])));
}

/// The endpoint is not documented, but a 2xx answer that is no JSON does not come from the vendor.
#[tokio::test(start_paused = true)]
async fn an_answer_to_a_change_that_is_none_is_not_believed() {
    for lie in ["<html></html>", "[]", "null", "7", r#"{"error":"no"}"#, r#"{"id":"#] {
        let fault = saying(lie).assign(&id("pk_1"), &[]).await.expect_err(lie);
        assert!(fault.kind.is_malformed(), "{lie}: {fault}");
        assert_eq!(fault.effect, Consequence::Unknown, "{lie}");
    }
    for lie in ["<html></html>", r#"{"id":"#] {
        let fault = saying(lie).delete(&id("pk_1")).await.expect_err(lie);
        assert_eq!(fault.effect, Consequence::Unknown, "{lie}");
    }
    for answer in ["", "{}", r#"{"id":"pk_1"}"#] {
        saying(answer).assign(&id("pk_1"), &[]).await.expect(answer);
        saying(answer).delete(&id("pk_1")).await.expect(answer);
    }
}
