//! The searches, through the protocol as it is.

use super::chaos;
use super::class::Class;
use super::search::{Scenario, search};
use super::user::Act;

/// The orders and faults that are searched through.
pub fn scenarios() -> Vec<Scenario> {
    let (a, c) = (Class::Reveal, Class::Once);
    let none = Scenario {
        name: "",
        class: a,
        crashes: 0,
        lost: 0,
        late: 0,
        stale: 0,
        splits: 0,
        polls: 0,
        users: Vec::new(),
        served: false,
    };
    let create = Scenario { name: "create", crashes: 2, lost: 1, splits: 1, ..none.clone() };
    let rotate = Scenario {
        name: "rotate",
        crashes: 1,
        splits: 1,
        users: vec![Act::Rotate(1)],
        served: true,
        ..none.clone()
    };
    let leak = Scenario { name: "leak", lost: 1, users: vec![Act::Leak], ..rotate.clone() };
    let late = Scenario { name: "late", crashes: 0, late: 1, stale: 1, polls: 1, ..rotate.clone() };
    let delete = Scenario { name: "delete", users: vec![Act::Rotate(1), Act::DeleteResource], ..rotate.clone() };
    let all = [create, rotate, leak, late, delete];
    [a, c].iter().flat_map(|class| all.iter().map(|it| Scenario { class: *class, ..it.clone() })).collect()
}

#[test]
fn whatever_the_order_every_state_leads_to_the_goal() {
    let most = if chaos::large() { 200_000 } else { 1_500 };
    let mut states = 0;
    for scenario in scenarios() {
        let found = search(&scenario, None, most);
        println!("{} {:?}: {} states, {} ends", scenario.name, scenario.class, found.states, found.ends);
        states += found.states;
        if let Some(error) = found.broken {
            chaos::report(&["violations=1".to_owned()]);
            panic!("{} {:?}: {error}", scenario.name, scenario.class);
        }
    }
    println!("states={states}");
    chaos::report(&[format!("states={states}"), "violations=0".to_owned()]);
    assert!(states >= 10_000, "{states} states are too few to mean anything");
}
