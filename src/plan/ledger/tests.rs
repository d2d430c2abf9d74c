//! Which keys a ledger entry covers, and which tokens are known to lead to them.

use super::*;
use crate::plan::listing::{KeyId, Shown};
use crate::plan::naming::{ClusterId, Serial};

fn entry() -> Entry {
    Entry {
        time: Timestamp::UNIX_EPOCH,
        owner: Owner { uid: "u".into(), ..Owner::default() },
        place: Place { vendor: "v".into(), ..Place::default() },
        key_id: Some("key_1".into()),
        mark: None,
        serial: None,
        why: Why::Retain,
    }
}

fn listed(id: &str, name: String) -> Listed {
    let (created_at, expires_at, last_used_at) = (None, None, None);
    Listed {
        id: KeyId(id.into()),
        name,
        created_at,
        expires_at,
        last_used_at,
        spent: None,
        remaining: None,
        unread: Vec::new(),
        shown: Shown::default(),
    }
}

#[test]
fn an_entry_survives_the_ledger_in_documented_words() {
    let written = Entry { mark: Some("ks-a-b".into()), serial: Some(3), ..entry() };
    let text = written.encode();
    assert_eq!(Entry::decode(&text), Some(written));
    assert_eq!(
        text,
        r#"{"time":"1970-01-01T00:00:00Z","kind":"","namespace":"","name":"","uid":"u","vendor":"v","account":"","endpoint":"","consoleToken":"","keyId":"key_1","mark":"ks-a-b","serial":3,"why":"Retain"}"#
    );
    assert_eq!(Entry::decode(&text.replace("Retain", "Sold")).map(|it| it.why), Some(Why::Other));
    assert_eq!(Entry::decode("{}"), None);
}

#[test]
fn a_name_is_the_key_and_its_account_and_nothing_else() {
    let later = Entry { time: Timestamp::MAX, why: Why::Unsure, serial: Some(9), ..entry() };
    assert_eq!(entry().name(), later.name());
    for other in [
        Entry { key_id: Some("key_2".into()), ..entry() },
        Entry { place: Place { account: "o".into(), ..entry().place }, ..entry() },
        Entry { key_id: None, ..entry() },
    ] {
        assert_ne!(entry().name(), other.name());
    }
}

#[test]
fn a_token_of_the_same_name_in_another_namespace_leads_elsewhere_unless_the_account_is_known() {
    let place = |account: &str, token: &str| Place {
        vendor: "v".into(),
        account: account.into(),
        endpoint: "https://v".into(),
        console_token: token.into(),
        console_token_kind: None,
    };
    let left = |account: &str| Entry {
        owner: Owner { namespace: "a".into(), ..Owner::default() },
        place: place(account, "main"),
        ..entry()
    };
    let token = |namespace: &str, account: &str, name: &str| TokenPlace {
        token: TokenRef::beside(Some(namespace.into()), name),
        place: place(account, name),
        pinned: String::new(),
        doubted: false,
    };
    let pinned = |account: &str| TokenPlace { pinned: account.into(), ..token("a", "", "main") };
    let moved = || Entry { why: Why::AccountChanged, ..left("old") };
    for (entry, other, expected) in [
        (left(""), token("a", "", "main"), true),
        (left(""), token("b", "", "main"), false),
        (left(""), token("a", "", "other"), false),
        (left("o"), token("b", "o", "other"), true),
        (left("o"), token("a", "p", "main"), false),
        // The account id was not known when the entry was written, or is not known now.
        (left(""), token("a", "o", "main"), true),
        (left(""), token("b", "o", "main"), false),
        (left("o"), token("a", "", "main"), true),
        (left("o"), token("b", "", "main"), false),
        // The token leads to another account since then, or to the former one again, or it is doubted.
        (moved(), pinned("new"), false),
        (moved(), pinned("old"), true),
        (moved(), token("b", "old", "other"), true),
        (left(""), TokenPlace { doubted: true, ..pinned("old") }, false),
    ] {
        assert_eq!(entry.is_reached_by(&other), expected, "{entry:?} {other:?}");
    }
    let elsewhere = Place { endpoint: "https://w".into(), ..place("o", "main") };
    assert!(!left("o").is_reached_by(&TokenPlace { place: elsewhere, ..token("a", "o", "main") }));
    let spelt = Place { endpoint: "https://V:443/".into(), ..place("o", "main") };
    assert!(left("o").is_reached_by(&TokenPlace { place: spelt, ..token("b", "o", "other") }));
    assert_ne!(left("").name(), Entry { owner: Owner::default(), ..left("") }.name());
    assert_eq!(left("o").name(), Entry { owner: Owner::default(), ..left("o") }.name());
}

#[test]
fn an_entry_of_a_token_of_an_unknown_kind_is_no_entry_of_the_token_of_that_name() {
    let written = entry()
        .encode()
        .replace(r#""consoleToken":"""#, r#""consoleToken":"main","consoleTokenKind":"ClusterConsoleToken""#);
    let left = Entry::decode(&written).unwrap();
    assert_eq!(Entry::decode(&left.encode()), Some(left.clone()), "what a later version wrote is kept");
    let token = TokenRef::beside(Some(String::new()), "main");
    let place = Place::of(&token, "v", "", "");
    let token = TokenPlace { token, place, pinned: String::new(), doubted: false };
    assert!(!left.is_reached_by(&token));
    let known = Place { console_token_kind: None, ..left.place.clone() };
    assert!(Entry { place: known, ..left }.is_reached_by(&token));
}

#[test]
fn a_key_with_the_mark_is_the_one_whichever_token_shows_it() {
    let mark = Mark::new(&ClusterId("c".into()), "u");
    let left = Entry { mark: Some(mark.to_string()), ..entry() };
    let token = |place: Place| TokenPlace {
        token: TokenRef::beside(Some("b".into()), "main"),
        place,
        pinned: String::new(),
        doubted: false,
    };
    let (known, token) = (token(Place { account: "p".into(), ..entry().place }), token(entry().place));
    assert!(left.is_shown_by(&token, &listed("key_1", mark.name("x", Serial(1)))));
    assert!(!left.is_shown_by(&token, &listed("key_1", "x".into())), "an id alone may be another account's");
    let other = Entry { place: Place { account: "o".into(), ..entry().place }, ..left };
    assert!(!other.is_shown_by(&known, &listed("key_1", mark.name("x", Serial(1)))));
}

#[test]
fn a_key_is_gone_after_two_looks_a_day_apart() {
    let at = |hours: i64| Timestamp::from_second(hours * 3_600).unwrap();
    let mut missing = Missing::default();
    for (hours, expected) in [(0, false), (1, false), (23, false), (24, true), (30, true)] {
        assert_eq!(missing.is_gone(&entry(), at(hours)), expected, "{hours}");
    }
    missing.found(&entry());
    assert!(!missing.is_gone(&entry(), at(31)), "the key was there in between");
    missing.keep_only(&[]);
    assert!(!missing.is_gone(&entry(), at(60)), "the entry was not there in between");
}

#[test]
fn an_entry_covers_its_key_by_id_or_by_mark_and_serial() {
    let mark = Mark::new(&ClusterId("c".into()), "u");
    let (one, two) = (mark.name("x", Serial(1)), mark.name("x", Serial(2)));
    assert!(entry().covers(&listed("key_1", one.clone())));
    assert!(!entry().covers(&listed("key_2", one.clone())));
    let marked = Entry { key_id: None, mark: Some(mark.to_string()), ..entry() };
    assert!(marked.covers(&listed("key_2", one.clone())) && marked.covers(&listed("key_3", two.clone())));
    let second = Entry { serial: Some(2), ..marked };
    assert!(!second.covers(&listed("key_2", one)) && second.covers(&listed("key_3", two)));
    assert!(!Entry { key_id: None, ..entry() }.covers(&listed("key_1", "x".into())));
}
