//! Created keys are counted by the name of their resource, even if the resource is replaced.

use jiff::{SignedDuration, Timestamp};
use keysmith::api::console_token::MintedToday;
use keysmith::plan::mints::Mints;

fn at(hours: i64) -> Timestamp {
    "2026-11-21T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hours)
}

fn today(name: &str, since: i64, made: u64) -> MintedToday {
    MintedToday { name: name.to_owned(), since: at(since), made }
}

#[test]
fn a_day_is_counted_from_its_first_key_on() {
    let mut mints = Mints::default();
    assert_eq!(mints.of("a", at(0)), None);
    for hour in [0, 1, 23] {
        mints.count("a", at(hour));
        mints.count("b", at(hour));
    }
    let count = mints.of("a", at(23)).unwrap();
    assert_eq!((count.since, count.made), (at(0), 3));
    assert_eq!(mints.of("a", at(24)), None, "the day is over");
    mints.count("a", at(25));
    let count = mints.of("a", at(25)).unwrap();
    assert_eq!((count.since, count.made), (at(25), 1));
    assert_eq!(mints.of("b", at(25)), None);
}

#[test]
fn status_remembers_what_is_notable_and_the_next_process_goes_on_with_it() {
    let mut mints = Mints::default();
    mints.count("once", at(0));
    assert_eq!(mints.to_keep(&[], at(0)), None, "one key is no news");
    for _ in 0..3 {
        mints.count("thrice", at(1));
    }
    let kept = mints.to_keep(&[], at(1)).unwrap();
    assert_eq!(kept, [today("thrice", 1, 3)]);
    assert_eq!(mints.to_keep(&kept, at(1)), None, "it stands there");
    assert_eq!(mints.to_keep(&kept, at(30)), None, "that it ran out is not worth a write");
    let mut next = Mints::default();
    next.count("thrice", at(2));
    next.restore(&kept);
    let count = next.of("thrice", at(2)).unwrap();
    assert_eq!((count.since, count.made), (at(1), 4));
    assert_eq!(next.to_keep(&kept, at(2)), Some(vec![today("thrice", 1, 4)]));
}

#[test]
fn status_has_room_for_the_worst_hundred() {
    let mut mints = Mints::default();
    for number in 0..150 {
        for _ in 0..=number {
            mints.count(&format!("key-{number:03}"), at(0));
        }
    }
    let kept = mints.to_keep(&[], at(0)).unwrap();
    assert_eq!((kept.len(), kept[0].name.as_str(), kept[99].name.as_str()), (100, "key-050", "key-149"));
}
