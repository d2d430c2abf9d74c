use super::*;

fn lane(name: &str) -> Lane {
    Lane::Token(TokenRef::beside(Some("shop".to_owned()), name))
}

fn place(lane_name: &str, tenant: &str, rank: Rank) -> Place {
    Place { lane: lane(lane_name), tenant: tenant.to_owned(), rank, slots: None }
}

/// Enters passes by name and runs them one after the other. Returns the order.
fn order(passes: &[(&'static str, &str, Rank)]) -> Vec<&'static str> {
    let mut turns = Turns::new(Limits { lane: 1, tenant: 9, all: 99 });
    // The slot is taken until everybody waits.
    turns.enter(place("a", "nobody", Rank::Routine), "");
    assert_eq!(turns.start(&lane("a")), [""]);
    let mut tenants = HashMap::from([("", "nobody".to_owned())]);
    for (name, tenant, rank) in passes {
        turns.enter(place("a", tenant, *rank), *name);
        tenants.insert(name, (*tenant).to_owned());
    }
    let (mut order, mut last) = (Vec::new(), "");
    while let [next] = turns.end(&lane("a"), &tenants[last], Some(Pace::Brisk)).as_slice() {
        order.push(*next);
        last = next;
    }
    assert!(turns.lanes.is_empty() && turns.running.is_empty() && turns.waiting() == 0);
    assert_eq!((turns.busy, turns.held.len()), (0, 0));
    order
}

fn at(second: i64) -> Rank {
    Rank::Due(Timestamp::from_second(second).unwrap())
}

#[test]
fn namespaces_take_turns_however_much_one_of_them_has() {
    let one =
        [("a1", "a", Rank::New), ("a2", "a", Rank::New), ("a3", "a", Rank::New), ("b1", "b", Rank::Routine)];
    assert_eq!(order(&one), ["a1", "b1", "a2", "a3"]);
}

#[test]
fn within_a_namespace_new_keys_come_first_then_the_nearest_expiry() {
    let passes = [
        ("routine", "a", Rank::Routine),
        ("late", "a", at(9)),
        ("soon", "a", at(1)),
        ("new", "a", Rank::New),
    ];
    assert_eq!(order(&passes), ["new", "soon", "late", "routine"]);
}

#[test]
fn what_is_urgent_has_every_second_turn_at_least() {
    let urgent = |name| (name, "a", Rank::Urgent);
    let passes = [("b1", "b", Rank::New), urgent("u1"), urgent("u2"), urgent("u3"), ("b2", "b", Rank::New)];
    assert_eq!(order(&passes), ["u1", "b1", "u2", "b2", "u3"]);
}

#[test]
fn an_account_whose_passes_hang_holds_no_slot_of_another() {
    let mut turns = Turns::new(Limits { lane: 2, tenant: 9, all: 99 });
    for number in 0..5 {
        turns.enter(place("hangs", "a", Rank::New), number);
    }
    assert_eq!(turns.start(&lane("hangs")), [0, 1]);
    turns.enter(place("other", "a", Rank::Routine), 9);
    assert_eq!(turns.start(&lane("other")), [9]);
}

#[test]
fn an_account_that_is_slow_has_one_slot_until_it_is_brisk_again() {
    let mut turns = Turns::new(Limits { lane: 2, tenant: 9, all: 99 });
    for number in 0..6 {
        turns.enter(place("a", "a", Rank::New), number);
    }
    assert_eq!(turns.start(&lane("a")), [0, 1]);
    assert!(turns.end(&lane("a"), "a", Some(Pace::Slow)).is_empty());
    assert_eq!(turns.end(&lane("a"), "a", Some(Pace::Slow)), [2]);
    assert_eq!(turns.end(&lane("a"), "a", Some(Pace::Brisk)), [3, 4]);
}

#[test]
fn a_namespace_has_a_limit_over_all_its_accounts_and_the_next_pass_starts_where_it_waits() {
    let mut turns = Turns::new(Limits { lane: 2, tenant: 2, all: 99 });
    for (number, name) in ["a", "a", "b"].into_iter().enumerate() {
        turns.enter(place(name, "greedy", Rank::New), number);
    }
    turns.enter(place("b", "modest", Rank::Routine), 9);
    assert_eq!(turns.start(&lane("a")), [0, 1]);
    assert_eq!(turns.start(&lane("b")), [9], "the other namespace need not wait");
    assert_eq!(turns.end(&lane("a"), "greedy", Some(Pace::Brisk)), [2]);
}

#[test]
fn while_the_vendor_asks_for_a_pause_new_keys_keep_their_places() {
    let mut turns = Turns::new(Limits { lane: 2, tenant: 9, all: 99 });
    turns.enter(place("a", "greedy", Rank::New), 0);
    assert_eq!(turns.start(&lane("a")), [0]);
    assert!(turns.pause(&lane("a")) && !turns.pause(&lane("a")));
    assert!(turns.end(&lane("a"), "greedy", Some(Pace::Brisk)).is_empty());
    for (tenant, rank, number) in [
        ("greedy", Rank::New, 1),
        ("greedy", Rank::New, 2),
        ("modest", Rank::New, 3),
        ("greedy", Rank::Routine, 4),
        ("greedy", Rank::Urgent, 5),
    ] {
        turns.enter(place("a", tenant, rank), number);
    }
    assert_eq!(turns.start(&lane("a")), [5, 4], "what may need no call, and what does not wait for pauses");
    for _ in 0..2 {
        assert!(turns.end(&lane("a"), "greedy", Some(Pace::Brisk)).is_empty());
    }
    assert_eq!(turns.resume(&lane("a")), [3, 1], "each namespace has its turn");
    assert_eq!(turns.end(&lane("a"), "modest", Some(Pace::Brisk)), [2]);
    for _ in 0..2 {
        turns.end(&lane("a"), "greedy", Some(Pace::Brisk));
    }
    assert!(turns.lanes.is_empty() && turns.running.is_empty());
}

#[test]
fn a_pass_that_no_longer_waits_gets_no_turn() {
    let mut turns = Turns::new(Limits { lane: 1, tenant: 1, all: 99 });
    let first = turns.enter(place("a", "a", Rank::New), 1);
    let second = turns.enter(place("a", "a", Rank::New), 2);
    assert!(turns.withdraw(first) && !turns.withdraw(first));
    assert_eq!(turns.start(&lane("a")), [2]);
    assert!(!turns.withdraw(second), "it runs");
}

#[test]
fn accounts_of_a_namespace_at_its_limit_do_not_starve_each_other() {
    let mut turns = Turns::new(Limits { lane: 2, tenant: 2, all: 99 });
    for number in 0..9 {
        turns.enter(place("busy", "a", Rank::Routine), number);
    }
    assert_eq!(turns.start(&lane("busy")), [0, 1]);
    turns.enter(place("late", "a", Rank::Urgent), 50);
    assert!(turns.start(&lane("late")).is_empty());
    assert_eq!(turns.end(&lane("busy"), "a", Some(Pace::Brisk)), [50]);
}

#[test]
fn a_pass_that_did_not_begin_says_nothing_of_its_vendor() {
    let mut turns = Turns::new(Limits { lane: 2, tenant: 9, all: 99 });
    for number in 0..5 {
        turns.enter(place("a", "a", Rank::New), number);
    }
    assert_eq!(turns.start(&lane("a")), [0, 1]);
    assert!(turns.end(&lane("a"), "a", Some(Pace::Slow)).is_empty());
    assert_eq!(turns.end(&lane("a"), "a", None), [2], "still one slot");
}

#[test]
fn an_account_has_slots_for_half_a_second_of_its_calls() {
    let limits = Limits::per_account(8);
    for (rate, slots) in [(1, 8), (16, 8), (17, 9), (50, 25), (1000, 64)] {
        assert_eq!(limits.slots(rate), slots, "{rate}");
    }
    assert_eq!(Limits { lane: 8, tenant: 8, all: 2 }.slots(1000), 8);
    let mut turns = Turns::new(Limits { lane: 1, tenant: 1, all: 9 });
    for number in 0..4 {
        turns.enter(Place { slots: Some(3), ..place("a", "a", Rank::New) }, number);
    }
    assert_eq!(turns.start(&lane("a")), [0, 1, 2], "one namespace may use all of them");
}

#[test]
fn all_accounts_have_a_limit_together_and_go_on_in_the_order_in_which_they_came() {
    let mut turns = Turns::new(Limits { lane: 3, tenant: 9, all: 4 });
    for (name, number) in [("a", 0), ("a", 1), ("a", 2), ("a", 3), ("b", 10), ("b", 11), ("c", 20)] {
        turns.enter(place(name, "a", Rank::New), number);
    }
    let started: Vec<_> = ["a", "b", "c"].iter().flat_map(|it| turns.start(&lane(it))).collect();
    assert_eq!(started, [0, 1, 2, 10]);
    turns.enter(place("c", "a", Rank::Urgent), 29);
    assert_eq!(turns.start(&lane("c")), [29], "what is urgent does not wait for others");
    // Five run; one must end before there is room for another.
    assert!(turns.end(&lane("a"), "a", Some(Pace::Brisk)).is_empty());
    assert_eq!(turns.end(&lane("a"), "a", Some(Pace::Brisk)), [11], "account b has waited longest");
    let poll = Lane::Poll(TokenRef::beside(Some("shop".to_owned()), "t"));
    turns.enter(Place { lane: poll.clone(), ..place("a", "a", Rank::Routine) }, 50);
    assert_eq!(turns.start(&poll), [50], "polls do not wait for others");
}

#[test]
fn accounts_that_hang_leave_the_limit_of_all_to_the_others() {
    let mut turns = Turns::new(Limits { lane: 2, tenant: 9, all: 2 });
    for number in 0..4 {
        turns.enter(place("hangs", "a", Rank::New), number);
    }
    assert_eq!(turns.start(&lane("hangs")), [0, 1]);
    turns.enter(place("other", "b", Rank::New), 10);
    turns.enter(place("other", "b", Rank::New), 11);
    assert!(turns.start(&lane("other")).is_empty());
    // As soon as it is known to hang, what it has does not count.
    assert_eq!(turns.end(&lane("hangs"), "a", Some(Pace::Slow)), [10, 11]);
    assert_eq!(turns.end(&lane("hangs"), "a", Some(Pace::Slow)), [2], "one slot");
    assert!(turns.end(&lane("other"), "b", Some(Pace::Brisk)).is_empty());
    turns.enter(place("other", "b", Rank::New), 12);
    assert_eq!(turns.start(&lane("other")), [12]);
}
