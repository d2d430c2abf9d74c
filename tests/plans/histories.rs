//! Random histories, run by the real protocol and by mutants of it.

use super::generator::{History, histories, swept_histories};
use super::history::play;
use super::mutant::Mutant;
use super::peace::NOT_QUIET;
use super::search::search;
use super::searches::scenarios;
use crate::support::random::runner;
use crate::support::report;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestCaseError;

const LONGEST: usize = 120;
/// Some mutants do no harm in most histories.
const MUTANT_CASES: u32 = 6_000;
const MUTANT_STATES: usize = 3_000;

/// The number of cases; `KEYSMITH_CASES` sets another one.
pub fn cases(default: u32) -> u32 {
    let more = std::env::var("KEYSMITH_CASES").ok();
    let thorough = if report::thorough() { 10 * default } else { default };
    more.and_then(|it| it.parse().ok()).unwrap_or(thorough)
}

#[test]
fn random_histories_settle_with_exactly_one_key_or_none() {
    play_all(cases(400), &histories(LONGEST));
}

#[test]
fn sweeps_revoke_every_orphan_and_nothing_else() {
    play_all(cases(200), &swept_histories(LONGEST));
}

fn play_all(cases: u32, histories: &impl Strategy<Value = History>) {
    let result =
        runner(cases).run(histories, |history| play(&history, None, false).map_err(TestCaseError::fail));
    if let Err(error) = result {
        if let proptest::test_runner::TestError::Fail(_, history) = &error {
            let _ = play(history, None, true);
            println!("{history:#?}");
        }
        report::conclude(&[error.to_string()]);
    }
    report::conclude(&[]);
}

#[test]
fn every_mutant_is_killed() {
    let hunted = hunted();
    let caught: Vec<_> = hunted.iter().copied().filter(|mutant| is_killed(*mutant)).collect();
    let (killed, total) = (caught.len(), hunted.len());
    println!("mutants {killed}/{total}");
    report::add(&[("mutants_total", total), ("mutants_killed", killed)]);
    assert_eq!(caught, hunted, "every mutant is killed");
}

/// All mutants; `KEYSMITH_MUTANT=Sweeps` chooses those whose names have that in them.
fn hunted() -> Vec<Mutant> {
    let part = std::env::var("KEYSMITH_MUTANT").unwrap_or_default();
    let hunted: Vec<_> = Mutant::ALL.into_iter().filter(|it| format!("{it:?}").contains(&part)).collect();
    assert!(!hunted.is_empty(), "no mutant has {part} in its name");
    hunted
}

/// Whether the searches in which one operator pauses, or else the histories, detect a mutant.
fn is_killed(mutant: Mutant) -> bool {
    let paused = scenarios().into_iter().filter(|scenario| scenario.splits > 0 && !mutant.sweeps());
    let mut searched = paused.filter_map(|scenario| {
        let broken = search(&scenario, Some(mutant), MUTANT_STATES).broken?;
        Some(format!("{} {:?}: {broken}", scenario.name, scenario.class))
    });
    let mut runner = runner(0);
    let strategy =
        if mutant.sweeps() { swept_histories(LONGEST).boxed() } else { histories(LONGEST).boxed() };
    let history = |case: u32| {
        let history: History = strategy.new_tree(&mut runner).unwrap().current();
        // That something is written again and again may be due to the way in which the mutant tampers.
        let error = play(&history, Some(mutant), false).err().filter(|error| error != NOT_QUIET)?;
        // It is the mutant's doing only if nothing is wrong without it.
        play(&history, None, false).is_ok().then(|| format!("history {case}: {error}"))
    };
    let caught = searched.next().or_else(|| (0..MUTANT_CASES).find_map(history));
    println!("{mutant:?}: {caught:?}");
    caught.is_some()
}
