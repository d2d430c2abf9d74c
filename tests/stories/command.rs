//! `keysmith orphans` as users run it.

use super::binary::{serve_vendor, token_at};
use crate::support::world::{ORG, World, key_spec};
use crate::support::{canary, plane};
use k8s_openapi::api::core::v1::Namespace;
use keysmith::cluster::inventory;
use keysmith::cluster::ledger::Ledger;
use keysmith::emulator::edgee::NewKey;
use keysmith::plan::ledger::{Entry, Owner, Place, Why};
use keysmith::plan::naming::{ClusterId, Mark, Serial};
use keysmith::runtime::metrics::Metrics;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::process::Stdio;

/// Exit code, standard output, standard error.
pub async fn orphans(world: &World, vendor: u16, more: &[&str]) -> (i32, String, String) {
    let endpoints = format!("http://127.0.0.1:{vendor}");
    let place = ["orphans", "--namespace", &world.namespace, "--ledger-namespace", &world.namespace];
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_keysmith"))
        .args(place)
        .args(["--allowed-endpoints", &endpoints])
        .args(more)
        .env("KUBECONFIG", plane::kubeconfig())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(canary::secret_in(&format!("{out}{err}")), None);
    (output.status.code().unwrap(), out, err)
}

pub async fn orphans_are_listed_and_removed_from_the_command_line(world: &mut World) {
    world.stop().await;
    let vendor = serve_vendor(world).await;
    token_at(world, vendor).await;
    let (code, out, err) = orphans(world, vendor, &[]).await;
    assert!(code == 0 && out.contains("no orphaned keys"), "{code} {out}{err}");
    let namespaces: Api<Namespace> = Api::all(world.user.clone());
    let cluster = ClusterId(namespaces.get("kube-system").await.unwrap().uid().unwrap());
    // The metadata of the resources that account for keys is read first, and then the same resources as a whole.
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    let uid = world.api("GatewayApiKey").get("checkout").await.unwrap().uid().unwrap();
    for known in
        [inventory::marks(&world.user, &cluster).await, inventory::everything(&world.user, &cluster).await]
    {
        assert!(known.unwrap().marks.contains(&Mark::new(&cluster, &uid)));
    }
    // The vendor of every story counts ids from one, and resources of other stories account for low ids.
    for _ in 0..400 {
        let filler = world.edgee().add_key(ORG, NewKey::named("of another story"));
        assert!(world.vendor().delete_key(&filler.id));
    }
    let name = Mark::new(&cluster, "gone").name("dropped", Serial(1));
    let dropped = world.edgee().add_key(ORG, NewKey::named(&name)).id;
    let retained = world.edgee().add_key(ORG, NewKey::named("retained")).id;
    let by_hand = world.edgee().add_key(ORG, NewKey::named("by hand")).id;
    let entry = Entry {
        time: world.clock.now(),
        owner: Owner { namespace: world.namespace.clone(), ..Owner::default() },
        place: Place {
            vendor: "edgee".into(),
            account: ORG.into(),
            endpoint: format!("http://127.0.0.1:{vendor}/edgee"),
            console_token: "edgee".into(),
            console_token_kind: None,
        },
        key_id: Some(retained.clone()),
        mark: None,
        serial: None,
        why: Why::Retain,
    };
    let ledger = Ledger::new(world.user.clone(), &world.namespace, Metrics::default());
    ledger.record(&[entry]).await.unwrap();
    let (code, out, _) = orphans(world, vendor, &[]).await;
    assert!(code == 3 && out.contains(&dropped) && out.contains(&retained), "{code} {out}");
    let (_, out, _) = orphans(world, vendor, &["-o", "json", "--key", &retained]).await;
    let rows: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(rows["keys"][0]["ledger"]["why"], "Retain", "{out}");
    // No terminal can confirm, so no key is removed.
    let (code, _, err) = orphans(world, vendor, &["--delete"]).await;
    assert!(code == 2 && err.contains("--yes"), "{code} {err}");
    let (code, _, err) = orphans(world, 1, &["--delete", "--yes"]).await;
    assert!(code == 1 && err.contains("could not be asked"), "{code} {err}");
    assert_eq!(world.keys().len(), 3);
    let (code, _, err) = orphans(world, vendor, &["--delete", "--yes"]).await;
    assert!(code == 0 && err.contains(&format!("{dropped}: removed")), "{code} {err}");
    assert_eq!(world.keys().into_iter().map(|it| it.id).collect::<Vec<_>>(), [by_hand]);
    assert_eq!(ledger.list().await.unwrap().entries, []);
    assert_eq!(orphans(world, vendor, &[]).await.0, 0);
    assert_eq!(orphans(world, vendor, &["--yes"]).await.0, 2);
}
