//! The account of a token, and when it is in doubt.

use jiff::{SignedDuration, Timestamp};
use keysmith::api::GatewayApiKey;
use keysmith::api::console_token::{AccountCandidate, ConsoleTokenAccount};
use keysmith::plan::account::{
    Judgement, Look, Recorded, checked, judge, known, message, missing, recorded, unnamed,
};
use keysmith::plan::listing::KeyId;
use serde_json::json;
use std::collections::BTreeSet;

const NOW: i64 = 1_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// `a` and `b` are old; `young` need not be listed yet; keys with `other:` belong to another ConsoleToken.
fn keys(names: &[&str]) -> Vec<Recorded> {
    names
        .iter()
        .map(|name| Recorded {
            id: KeyId((*name).to_owned()),
            listed_by: Some(at(if name.contains("young") { NOW + 5 } else { NOW - 100 })),
            own: !name.starts_with("other:"),
            going: name.contains("going"),
        })
        .collect()
}

fn pinned(id: &str, told: bool, credential: &str) -> ConsoleTokenAccount {
    ConsoleTokenAccount {
        id: id.to_owned(),
        told,
        credential: credential.to_owned(),
        ..ConsoleTokenAccount::default()
    }
}

struct Case<'a> {
    before: Option<ConsoleTokenAccount>,
    recorded: &'a [&'a str],
    listed: &'a [&'a str],
    credential: &'a str,
    told: Option<&'a str>,
    accepts: Option<&'a str>,
    whole: bool,
}

impl Case<'_> {
    fn judge(&self) -> (ConsoleTokenAccount, Judgement) {
        let listed: BTreeSet<&str> = self.listed.iter().copied().collect();
        let look = Look {
            now: at(NOW),
            as_of: at(NOW),
            listed: &listed,
            recorded: &keys(self.recorded),
            credential: self.credential,
            told: self.told,
            whole: self.whole,
            accepts: self.accepts,
        };
        judge(self.before.as_ref(), &look)
    }
}

/// A token of the pinned account `project` at a vendor that shows the account, and one at a vendor that does not.
fn shown<'a>(recorded: &'a [&'a str], listed: &'a [&'a str], now: (&'a str, &'a str)) -> Case<'a> {
    let before = Some(pinned("project", true, "one"));
    Case { before, recorded, listed, credential: now.0, told: Some(now.1), accepts: None, whole: true }
}

fn not_shown<'a>(recorded: &'a [&'a str], listed: &'a [&'a str], credential: &'a str) -> Case<'a> {
    let before = Some(pinned(&unnamed("one"), false, "one"));
    Case { before, recorded, listed, credential, told: None, accepts: None, whole: true }
}

#[test]
fn an_account_is_doubted_when_its_keys_are_missing_together_or_after_the_token_changed() {
    use Judgement::{Changed, Sure, Suspicious};
    let table = [
        ("all listed", not_shown(&["a", "b"], &["a", "b", "theirs"], "one"), Sure),
        ("one of two is missing", not_shown(&["a", "b"], &["b"], "one"), Sure),
        ("both are missing", not_shown(&["a", "b"], &["theirs"], "one"), Suspicious),
        ("the only one is missing", not_shown(&["a"], &[], "one"), Sure),
        ("one of them is too young to be listed", not_shown(&["a", "young"], &[], "one"), Sure),
        (
            "a young one is listed, the old ones are not",
            not_shown(&["a", "b", "young"], &["young"], "one"),
            Sure,
        ),
        ("nothing is recorded", not_shown(&[], &[], "one"), Sure),
        ("one of ours and one of another token", not_shown(&["a", "other:b"], &[], "one"), Suspicious),
        ("keys of other tokens only", not_shown(&["other:a", "other:b"], &[], "one"), Sure),
        ("a changed token, its only key is missing", not_shown(&["a"], &[], "two"), Suspicious),
        ("a changed token, one of two is listed", not_shown(&["a", "b"], &["b"], "two"), Sure),
        ("both are missing, and their resources go", not_shown(&["a-going", "b-going"], &[], "one"), Sure),
        (
            "a changed token, and the resource of the only key goes",
            not_shown(&["a-going"], &[], "two"),
            Suspicious,
        ),
        (
            "a changed token, the key of a resource that goes is listed",
            not_shown(&["a-going"], &["a-going"], "two"),
            Sure,
        ),
        ("a changed token, a young key", not_shown(&["young"], &[], "two"), Sure),
        (
            "a changed token of the same account, its only key is missing",
            shown(&["a"], &[], ("two", "project")),
            Sure,
        ),
        (
            "another user's token of the same project, its only key is missing",
            Case { whole: false, ..shown(&["a"], &[], ("two", "project")) },
            Suspicious,
        ),
        (
            "the same user's new token, its key is listed",
            Case { whole: false, ..shown(&["a"], &["a"], ("two", "project")) },
            Sure,
        ),
        (
            "a changed token of the same account, both are missing",
            shown(&["a", "b"], &[], ("two", "project")),
            Suspicious,
        ),
        ("a changed token of another account", shown(&["a"], &["a"], ("two", "other")), Changed),
        ("a changed token of another account, nothing recorded", shown(&[], &[], ("two", "other")), Changed),
    ];
    for (what, case, expected) in table {
        let (account, judgement) = case.judge();
        assert_eq!(judgement, expected, "{what}");
        let before = case.before.unwrap();
        assert_eq!(account.doubted_since.is_some(), expected != Sure, "{what}");
        if expected != Sure {
            assert_eq!(
                (&account.id, &account.credential),
                (&before.id, &before.credential),
                "{what}: stays pinned"
            );
            assert_eq!(account.candidate.unwrap().credential, case.credential, "{what}");
        }
    }
}

#[test]
fn a_doubt_ends_with_the_first_key_that_is_listed_again() {
    let (doubted, _) = not_shown(&["a", "b"], &[], "one").judge();
    // One resource was deleted meanwhile: the doubt stays for the remaining keys.
    let again = Case { before: Some(doubted.clone()), ..not_shown(&["a"], &[], "one") }.judge();
    assert_eq!(again.1, Judgement::Suspicious);
    assert_eq!(again.0.doubted_since, doubted.doubted_since, "since the first time");
    let going = Case { before: Some(doubted.clone()), ..not_shown(&["a-going"], &[], "one") }.judge();
    assert_eq!(going.1, Judgement::Suspicious, "nor does a deletion end it");
    let over = Case { before: Some(doubted), ..not_shown(&["a", "b"], &["b"], "one") }.judge();
    assert_eq!(over, (pinned(&unnamed("one"), false, "one"), Judgement::Sure));
}

#[test]
fn the_old_token_put_back_ends_what_another_account_began() {
    let (changed, _) = shown(&["a"], &[], ("two", "other")).judge();
    assert_eq!(known(Some(&changed), "two", false), Ok(Some("other")), "asked once");
    assert_eq!(known(Some(&changed), "one", true), Ok(Some("project")));
    // Its only key was deleted in the console in between: the checks of the key itself decide.
    let back = Case { before: Some(changed), ..shown(&["a"], &[], ("one", "project")) }.judge();
    assert_eq!(back, (pinned("project", true, "one"), Judgement::Sure));
}

#[test]
fn an_account_is_accepted_by_its_name_and_not_doubted_again_before_a_key_was_listed() {
    let table = [
        (shown(&["a"], &[], ("two", "other")), "other", "project".to_owned()),
        (shown(&["a", "b"], &[], ("one", "project")), "project", "project".to_owned()),
        (not_shown(&["a"], &[], "two"), unnamed("two").leak(), unnamed("one")),
        (not_shown(&["a", "b"], &[], "one"), unnamed("one").leak(), unnamed("one")),
    ];
    for (case, name, old) in table {
        let wrong = Case { accepts: Some("somewhere"), before: case.before.clone(), ..case };
        assert!(!matches!(wrong.judge().1, Judgement::Accepted(_)), "{name}");
        let (account, judgement) = Case { accepts: Some(name), ..wrong }.judge();
        assert_eq!(judgement, Judgement::Accepted(old), "{name}");
        assert_eq!((account.id.as_str(), account.doubted_since), (name, None));
        let told = account.told.then_some(name);
        let credential = account.credential.clone();
        let next = |before: &ConsoleTokenAccount, listed: &[&str]| {
            let case = Case { before: Some(before.clone()), ..not_shown(&["a", "b"], listed, &credential) };
            Case { listed, told, ..case }.judge()
        };
        let (account, judgement) = next(&account, &[]);
        assert_eq!((judgement, account.accepted.is_some()), (Judgement::Sure, true), "{name}");
        let (account, _) = next(&account, &["a"]);
        assert_eq!(account.accepted, None, "{name}");
        assert_eq!(next(&account, &[]).1, Judgement::Suspicious, "{name}");
    }
}

#[test]
fn an_account_keeps_its_name_through_its_tokens() {
    let first = Case { before: None, ..not_shown(&[], &[], "one") }.judge().0;
    assert_eq!(first, pinned(&unnamed("one"), false, "one"));
    let next = Case { before: Some(first.clone()), ..not_shown(&["a"], &["a"], "two") }.judge().0;
    assert_eq!(next, pinned(&unnamed("one"), false, "two"));
    // The account name from the vendor is preferred, once it is known to be the same account.
    let named =
        Case { before: Some(next), told: Some("project"), ..not_shown(&["a"], &["a"], "two") }.judge().0;
    assert_eq!(named, pinned("project", true, "two"));
    let silent = Case { before: Some(named), ..not_shown(&["a"], &["a"], "three") }.judge().0;
    assert_eq!(silent, pinned("project", true, "three"));
    // No key was made with the first token, so any next token is accepted.
    let fresh = Case { before: Some(first), ..not_shown(&[], &[], "two") }.judge().0;
    assert_eq!(fresh, pinned(&unnamed("two"), false, "two"));
}

#[test]
fn a_credential_stays_unproven_until_a_key_is_listed_with_it() {
    let (open, judgement) = not_shown(&["young"], &[], "two").judge();
    assert_eq!((judgement, open.credential.as_str()), (Judgement::Sure, "one"));
    assert_eq!(open.candidate.as_ref().map(|it| it.credential.as_str()), Some("two"));
    assert_eq!(known(Some(&open), "two", false), Ok(None), "not asked again");
    let (_, later) = Case { before: Some(open), ..not_shown(&["a"], &[], "two") }.judge();
    assert_eq!(later, Judgement::Suspicious);
}

#[test]
fn the_vendor_is_asked_once_for_each_token() {
    let account = pinned("project", true, "one");
    assert!(known(None, "one", true).is_err());
    assert!(known(Some(&account), "two", false).is_err());
    assert_eq!(known(Some(&account), "one", true), Ok(Some("project")));
    let nameless = pinned("token-x", false, "one");
    assert!(known(Some(&nameless), "one", true).is_err(), "another version may know how");
    assert_eq!(known(Some(&nameless), "one", false), Ok(None));
}

#[test]
fn the_account_name_from_the_vendor_is_validated_before_it_is_stored() {
    for (text, fits) in [
        ("org_12345", true),
        ("0b1c.d-2", true),
        ("", false),
        ("a b", false),
        ("caf\u{e9}", false),
        ("a\nb", false),
        ("a/../b", false),
        (&"x".repeat(128), true),
        (&"x".repeat(129), false),
    ] {
        assert_eq!(checked(Some(text.to_owned())).is_some(), fits, "{text:?}");
    }
    assert_eq!(checked(None), None);
}

#[test]
fn a_message_names_both_accounts_and_the_way_out() {
    let (account, judgement) = shown(&["a"], &[], ("two", "other")).judge();
    let text = message(&account, &judgement, "Secret s, key k").unwrap();
    for words in ["account other", "account project", "keysmith.dev/accept-account=other", "Secret s, key k"]
    {
        assert!(text.contains(words), "{words:?} is not in: {text}");
    }
    let candidate = AccountCandidate { id: "token-new".into(), told: false, credential: "two".into() };
    let account = ConsoleTokenAccount { candidate: Some(candidate), ..pinned("token-old", false, "one") };
    let text = message(&account, &Judgement::Suspicious, "Secret s, key k").unwrap();
    assert!(text.contains("account token-old") && text.contains("accept-account=token-new"), "{text}");
    assert_eq!(message(&account, &Judgement::Sure, ""), None);
}

#[test]
fn only_what_should_be_listed_is_missing() {
    let key = |status: serde_json::Value, deleting: bool| -> GatewayApiKey {
        let mut key = json!({
            "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey", "metadata": {"name": "k"},
            "spec": {"consoleTokenRef": {"name": "t"}}, "status": status,
        });
        if deleting {
            key["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        serde_json::from_value(key).unwrap()
    };
    let lag = SignedDuration::from_secs(30);
    let made = json!({"id": "a", "createdAt": at(NOW).to_string()});
    let known = recorded(&key(made.clone(), false), lag, true).unwrap();
    assert_eq!(known.listed_by, Some(at(NOW + 30)));
    assert!(!known.going && recorded(&key(made, true), lag, true).unwrap().going, "it may have been revoked");
    assert_eq!(recorded(&key(json!({}), false), lag, true), None);
    let list = [known];
    let none = BTreeSet::new();
    for (as_of, count) in [(NOW, 0), (NOW + 30, 0), (NOW + 31, 1)] {
        assert_eq!(missing(&list, &none, at(as_of)).len(), count, "{as_of}");
    }
    assert!(missing(&list, &BTreeSet::from(["a"]), at(NOW + 31)).is_empty());
}
