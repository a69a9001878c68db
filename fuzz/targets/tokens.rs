//! Any claim and any text: what was signed verifies in any case and for one purpose alone, and nothing else does.
#![no_main]

use acuse::token::{Claim, Keyring, Purpose};
use libfuzzer_sys::fuzz_target;

const PURPOSES: [Purpose; 4] = [Purpose::MessageId, Purpose::ReplyAddress, Purpose::Envelope, Purpose::Loop];

fuzz_target!(|input: (i64, i64, u8, u8, u8, &str)| {
    let (ticket, serial, which, place, byte, text) = input;
    let keys = Keyring::new(vec![("a".to_owned(), [7; 32]), ("b".to_owned(), [8; 32])]);
    let claim = Claim { ticket, serial };
    let purpose = PURPOSES[usize::from(which) % PURPOSES.len()];
    let token = keys.sign(purpose, claim);
    assert!(token.len() <= 60, "{token}");
    assert_eq!(keys.verify(purpose, &token.to_ascii_uppercase()), Some(claim));
    assert!(PURPOSES.iter().all(|other| *other == purpose || keys.verify(*other, &token).is_none()));

    let mut changed = token.clone().into_bytes();
    let place = usize::from(place) % changed.len();
    changed[place] = byte;
    let changed = String::from_utf8_lossy(&changed).into_owned();
    let same = changed.eq_ignore_ascii_case(&token);
    assert_eq!(keys.verify(purpose, &changed).is_some(), same, "{changed} for {token}");

    // nobody can guess 128 bits: whatever verifies is what we would sign
    for purpose in PURPOSES {
        if let Some(claim) = keys.verify(purpose, text) {
            assert!(keys.sign(purpose, claim).eq_ignore_ascii_case(text), "{text}");
        }
    }
});
