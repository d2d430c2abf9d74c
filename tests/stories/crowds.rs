//! Many at once, at a vendor that admits few calls.

use crate::support::world::{World, key_spec};
use serde_json::json;

pub async fn many_keys_wait_for_their_turn_and_none_takes_a_second_serial(world: &mut World) {
    world.token().await;
    let names: Vec<_> = (0..60).map(|number| format!("key-{number}")).collect();
    for name in &names {
        world.create("GatewayApiKey", name, key_spec(json!({}))).await;
    }
    for name in &names {
        world.ready("GatewayApiKey", name).await;
        assert_eq!(world.status("GatewayApiKey", name).await["serial"], json!(1), "{name}");
    }
    assert_eq!(world.desk().created_total(), 60);
}
