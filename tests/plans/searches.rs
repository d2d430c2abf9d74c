//! The searches with the real protocol.

use super::class::Class;
use super::search::{Scenario, search};
use super::user::Act;
use crate::support::report;

/// The scenarios: orders and faults.
pub fn scenarios() -> Vec<Scenario> {
    let (a, c) = (Class::Reveal, Class::Once);
    let none = Scenario {
        name: "",
        class: a,
        switches: if report::thorough() { 3 } else { 1 },
        crashes: 0,
        lost: 0,
        late: 0,
        stale: 0,
        splits: 0,
        polls: 0,
        users: Vec::new(),
        served: false,
    };
    let of = |name, crashes, lost, splits| Scenario { name, crashes, lost, splits, ..none.clone() };
    let rotating = |it: Scenario| Scenario { users: vec![Act::Rotate(1)], served: true, ..it };
    let all = [
        of("create, crash", 1, 0, 0),
        of("create, lost answer", 0, 1, 0),
        of("create, split brain", 0, 0, 1),
        rotating(of("rotate", 0, 0, 0)),
        rotating(of("rotate, crash", 1, 0, 0)),
        rotating(of("rotate, lost answer", 0, 1, 0)),
        rotating(of("rotate, split brain", 0, 0, 1)),
        rotating(Scenario { late: 1, ..of("rotate, late", 0, 0, 0) }),
        rotating(Scenario { stale: 1, ..of("rotate, stale", 0, 0, 0) }),
        rotating(Scenario { polls: 1, ..of("rotate, poll", 0, 0, 0) }),
        Scenario { users: vec![Act::Leak], ..rotating(of("leak, crash", 1, 0, 0)) },
        Scenario { users: vec![Act::DeleteResource], ..rotating(of("delete, crash", 1, 0, 0)) },
    ];
    let large = [
        of("create, all", 2, 1, 1),
        rotating(of("rotate, all", 2, 1, 1)),
        Scenario { users: vec![Act::Leak], ..rotating(of("leak, all", 1, 1, 1)) },
        Scenario { users: vec![Act::Rotate(1), Act::DeleteResource], ..rotating(of("delete, all", 1, 1, 1)) },
    ];
    let all = all.into_iter().chain(large.into_iter().filter(|_| report::thorough())).collect::<Vec<_>>();
    [a, c].iter().flat_map(|class| all.iter().map(|it| Scenario { class: *class, ..it.clone() })).collect()
}

#[test]
fn from_every_reachable_state_the_goal_is_reachable_in_any_order() {
    let most = if report::thorough() { 40_000 } else { 1_500 };
    let (mut states, mut violations) = (0, Vec::new());
    for scenario in scenarios() {
        let found = search(&scenario, None, most);
        println!("{} {:?}: {} states, {} ends", scenario.name, scenario.class, found.states, found.ends);
        states += found.states;
        if let Some(error) = found.broken {
            violations.push(format!("{} {:?}: {error}", scenario.name, scenario.class));
        }
    }
    println!("states={states}");
    report::add(&[("states", states)]);
    report::conclude(&violations);
    assert!(states >= 10_000, "{states} states are too few to mean anything");
}
