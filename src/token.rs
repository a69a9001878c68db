//! Signed tokens that tie an answer to its ticket: one signer, one verifier for every path (I9).

use std::fmt;

use ring::hmac;

/// What a token is for; a token of one purpose never passes for another. The numbers are signed: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The local part of a Message-ID that we send.
    MessageId = 1,
    /// The `+token` of `reply_to`.
    ReplyAddress = 2,
    /// The `{token}` of `envelope_from`, and ENVID (RFC 3461 §4.4): which outbox row a report answers.
    Envelope = 3,
    /// The value of our loop header.
    Loop = 4,
}

/// What a valid token names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The ticket; [`NO_TICKET`] in a notification to staff, whose answer is no answer to a customer.
    pub ticket: i64,
    /// A number that makes the token unique within its ticket and purpose.
    pub serial: i64,
}

/// Stands for the ticket in the claims of a mail that belongs to none.
pub const NO_TICKET: i64 = 0;

/// The keys of the state directory: the first signs, all verify.
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<(String, [u8; 32])>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("keys", &self.keys.len()).finish_non_exhaustive() // I16
    }
}

/// RFC 4648 §6 in lower case. Mail systems may change the case of a local part, so no digit tells more than its letter.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Signed in front of everything else, so that the key can serve other ends later.
const DOMAIN: &[u8] = b"acuse token 1\0";

/// How much of the HMAC a token carries: 128 bits.
const MAC_BYTES: usize = 16;

impl Keyring {
    /// A keyring of (key id, secret): the first signs, all verify. Empty: nothing verifies.
    /// Key ids are short and made of lower-case letters and digits.
    pub fn new(keys: Vec<(String, [u8; 32])>) -> Self {
        Self { keys }
    }

    /// Whether it holds no key: then nothing is signed so that it verifies.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Signs a claim: lower-case letters, digits and dots, at most 60 characters, HMAC-SHA-256 cut to 128 bits.
    ///
    /// The form is `ticket.serial.keyid.mac`. Without a key (`explain` needs none) it is `ticket.serial.unsigned` and verifies nowhere.
    pub fn sign(&self, purpose: Purpose, claim: Claim) -> String {
        match self.keys.first() {
            Some((id, secret)) => token(purpose, claim, id, secret),
            None => format!("{}.{}.unsigned", number(claim.ticket), number(claim.serial)),
        }
    }

    /// The claim of a token, only if one of our keys signed it for this purpose; constant time, any case.
    pub fn verify(&self, purpose: Purpose, token_text: &str) -> Option<Claim> {
        let given = token_text.to_ascii_lowercase();
        let (ticket, rest) = given.split_once('.')?;
        let (serial, rest) = rest.split_once('.')?;
        let (key_id, _mac) = rest.rsplit_once('.')?;
        let (id, secret) = self.keys.iter().find(|(id, _)| id == key_id)?;
        let claim = Claim { ticket: read_number(ticket)?, serial: read_number(serial)? };
        let expected = token(purpose, claim, id, secret);
        same_in_constant_time(&given, &expected, secret).then_some(claim)
    }
}

/// Whether a text has the form of a signed token, whoever signed it.
pub fn has_form(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let is_base32 = |part: &str| part.bytes().all(|byte| BASE32.contains(&byte.to_ascii_lowercase()));
    let [ticket, serial, _key, mac] = parts.as_slice() else { return false };
    [ticket, serial].iter().all(|part| !part.is_empty() && is_base32(part))
        && mac.len() == (8 * MAC_BYTES).div_ceil(5)
        && is_base32(mac)
}

/// The one spelling of a claim; whatever else decodes to the same numbers is no token of ours.
fn token(purpose: Purpose, claim: Claim, key_id: &str, secret: &[u8; 32]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
    context.update(DOMAIN);
    context.update(&[purpose as u8]);
    context.update(&claim.ticket.to_be_bytes());
    context.update(&claim.serial.to_be_bytes());
    let tag = context.sign();
    let mac = tag.as_ref().get(..MAC_BYTES).unwrap_or_default();
    format!("{}.{}.{key_id}.{}", number(claim.ticket), number(claim.serial), base32(mac))
}

/// Compares keyed hashes of the two texts, so that no time tells how long a common beginning they have.
fn same_in_constant_time(given: &str, expected: &str, secret: &[u8; 32]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, expected.as_bytes());
    hmac::verify(&key, given.as_bytes(), tag.as_ref()).is_ok()
}

fn base32(bytes: &[u8]) -> String {
    let digit = |value: u32| BASE32.get(value as usize & 31).copied().map_or('a', char::from);
    let mut text = String::new();
    let (mut bits, mut held) = (0_u32, 0);
    for byte in bytes {
        bits = (bits << 8) | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            text.push(digit(bits >> held));
        }
    }
    if held > 0 {
        text.push(digit(bits << (5 - held)));
    }
    text
}

/// A number in the same digits, most significant first, without leading zeros.
fn number(value: i64) -> String {
    let value = value.cast_unsigned();
    let length = (u64::BITS - value.leading_zeros()).div_ceil(5).max(1);
    (0..length)
        .rev()
        .filter_map(|place| BASE32.get((value >> (5 * place)) as usize & 31).copied().map(char::from))
        .collect()
}

fn read_number(text: &str) -> Option<i64> {
    let value = text.bytes().try_fold(0_u64, |value, byte| {
        let digit = BASE32.iter().position(|known| *known == byte)?;
        value.checked_mul(32)?.checked_add(digit as u64)
    })?;
    Some(value.cast_signed())
}

#[cfg(test)]
mod tests;
