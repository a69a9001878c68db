//! Tokens: what was signed verifies, everything else does not.

use proptest::prelude::*;

use super::*;

const PURPOSES: [Purpose; 4] = [Purpose::MessageId, Purpose::ReplyAddress, Purpose::Envelope, Purpose::Loop];
const CLAIM: Claim = Claim { ticket: 1042, serial: 7 };

fn keys() -> Keyring {
    Keyring::new(vec![("b".into(), [7; 32]), ("a".into(), [3; 32])])
}

#[test]
fn a_token_names_its_claim_in_any_case() {
    for purpose in PURPOSES {
        for claim in [CLAIM, Claim { ticket: 0, serial: 0 }, Claim { ticket: i64::MAX, serial: -1 }] {
            let token = keys().sign(purpose, claim);
            assert_eq!(keys().verify(purpose, &token), Some(claim));
            assert_eq!(keys().verify(purpose, &token.to_ascii_uppercase()), Some(claim));
            assert!(token.len() <= 60, "{token} has {} characters", token.len());
            assert!(token.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.'));
        }
    }
}

#[test]
fn base32_is_that_of_rfc_4648_section_10() {
    let vectors = [("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foobar", "mzxw6ytboi")];
    for (bytes, text) in vectors {
        assert_eq!(base32(bytes.as_bytes()), text);
    }
}

#[test]
fn no_flipped_bit_verifies_unless_it_only_changed_the_case() {
    let token = keys().sign(Purpose::MessageId, CLAIM);
    for place in 0..token.len() {
        for bit in 0..8 {
            let mut bytes = token.clone().into_bytes();
            bytes[place] ^= 1 << bit;
            let flipped = String::from_utf8_lossy(&bytes);
            let verified = keys().verify(Purpose::MessageId, &flipped).is_some();
            assert_eq!(verified, flipped.eq_ignore_ascii_case(&token), "{flipped}");
        }
    }
}

#[test]
fn a_token_serves_one_purpose_one_ticket_and_one_key() {
    let token = keys().sign(Purpose::MessageId, CLAIM);
    for other in [Purpose::ReplyAddress, Purpose::Envelope, Purpose::Loop] {
        assert_eq!(keys().verify(other, &token), None);
    }
    let other_ticket = token.replacen(&number(1042), &number(1043), 1);
    assert_eq!(keys().verify(Purpose::MessageId, &other_ticket), None);
    let other_serial = token.replacen(".h.", ".i.", 1);
    assert_ne!(other_serial, token);
    assert_eq!(keys().verify(Purpose::MessageId, &other_serial), None);
    let other_key = token.replacen(".b.", ".a.", 1);
    assert_ne!(other_key, token);
    assert_eq!(keys().verify(Purpose::MessageId, &other_key), None);
    let unknown_key = Keyring::new(vec![("c".into(), [7; 32])]);
    assert_eq!(unknown_key.verify(Purpose::MessageId, &token), None);
    let same_id_other_secret = Keyring::new(vec![("b".into(), [8; 32])]);
    assert_eq!(same_id_other_secret.verify(Purpose::MessageId, &token), None);
}

#[test]
fn an_older_key_still_verifies_after_a_rotation() {
    let before = Keyring::new(vec![("a".into(), [3; 32])]);
    let token = before.sign(Purpose::Envelope, CLAIM);
    assert_eq!(keys().verify(Purpose::Envelope, &token), Some(CLAIM));
}

#[test]
fn a_cut_lengthened_or_respelled_token_is_none() {
    let token = keys().sign(Purpose::Loop, CLAIM);
    for length in 0..token.len() {
        assert_eq!(keys().verify(Purpose::Loop, token.get(..length).unwrap()), None);
    }
    for other in [format!("{token}a"), format!("a{token}"), format!(" {token}"), format!("{token}.")] {
        assert_eq!(keys().verify(Purpose::Loop, &other), None, "{other}");
    }
}

#[test]
fn without_a_key_nothing_verifies() {
    let none = Keyring::new(Vec::new());
    let token = none.sign(Purpose::Loop, CLAIM);
    assert_eq!(none.verify(Purpose::Loop, &token), None);
    assert_eq!(keys().verify(Purpose::Loop, &token), None);
}

#[test]
fn debug_output_holds_no_secret() {
    assert_eq!(format!("{:?}", keys()), "Keyring { keys: 2, .. }");
}

proptest! {
    #[test]
    fn every_claim_round_trips(ticket: i64, serial: i64) {
        let claim = Claim { ticket, serial };
        let token = keys().sign(Purpose::ReplyAddress, claim);
        prop_assert_eq!(keys().verify(Purpose::ReplyAddress, &token), Some(claim));
    }

    #[test]
    fn nothing_else_verifies(text in "\\PC{0,80}", like in "[a-z2-7]{1,13}\\.[a-z2-7]{1,13}\\.b\\.[a-z2-7]{26}") {
        prop_assert_eq!(keys().verify(Purpose::MessageId, &text), None);
        prop_assert_eq!(keys().verify(Purpose::MessageId, &like), None);
    }
}
