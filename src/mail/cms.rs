//! The content that a CMS signature is wrapped around (RFC 5652): a walk over BER that verifies nothing.

use std::borrow::Cow;

/// 1.2.840.113549.1.7.2 (RFC 5652 §5.1).
const SIGNED_DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02];
/// Elements of indefinite length are followed this deep.
const DEPTH: usize = 8;

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const EXPLICIT_0: u8 = 0xA0;
const OCTETS: u8 = 0x04;
const OCTETS_IN_PIECES: u8 = 0x24;

/// What was signed; `None` of anything else, such as what is encrypted, or of a signature that stands apart.
pub(super) fn signed_content(ber: &[u8]) -> Option<Cow<'_, [u8]>> {
    let info = enter(ber, SEQUENCE)?;
    let kind = element(info).filter(|kind| kind.tag == OBJECT_IDENTIFIER && kind.content == SIGNED_DATA)?;
    let signed = enter(enter(kind.rest?, EXPLICIT_0)?, SEQUENCE)?;
    let after_version = skip(signed, DEPTH)?;
    let content_info = enter(skip(after_version, DEPTH)?, SEQUENCE)?;
    let octets = element(enter(skip(content_info, DEPTH)?, EXPLICIT_0)?)?;
    match octets.tag {
        OCTETS => Some(Cow::Borrowed(octets.content)),
        OCTETS_IN_PIECES => {
            let mut joined = Vec::new();
            join(octets.content, &mut joined, DEPTH)?;
            Some(Cow::Owned(joined))
        }
        _ => None,
    }
}

struct Element<'a> {
    tag: u8,
    /// Up to its end, or up to the end of all when its length is indefinite.
    content: &'a [u8],
    /// What follows; `None` when its length is indefinite.
    rest: Option<&'a [u8]>,
}

/// X.690 §8.1: a tag of one byte, the length in its short, long or indefinite form.
fn element(ber: &[u8]) -> Option<Element<'_>> {
    let (&[tag, first], rest) = ber.split_first_chunk()?;
    if first == 0x80 {
        return Some(Element { tag, content: rest, rest: None });
    }
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) =
            rest.split_at_checked(usize::from(first & 0x7F)).filter(|(bytes, _)| bytes.len() <= 4)?;
        (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some(Element { tag, content, rest: Some(rest) })
}

fn enter(ber: &[u8], tag: u8) -> Option<&[u8]> {
    element(ber).filter(|element| element.tag == tag).map(|element| element.content)
}

/// What follows the first element.
fn skip(ber: &[u8], depth: usize) -> Option<&[u8]> {
    let first = element(ber)?;
    if first.rest.is_some() {
        return first.rest;
    }
    let mut inside = first.content;
    loop {
        if let Some(after) = inside.strip_prefix(&[0, 0]) {
            return Some(after);
        }
        inside = skip(inside, depth.checked_sub(1)?)?;
    }
}

/// X.690 §8.7.3: the pieces of an octet string one after the other; gives what follows the last.
fn join<'a>(mut ber: &'a [u8], joined: &mut Vec<u8>, depth: usize) -> Option<&'a [u8]> {
    while !ber.is_empty() {
        if let Some(after) = ber.strip_prefix(&[0, 0]) {
            return Some(after);
        }
        let piece = element(ber)?;
        ber = match (piece.tag, piece.rest) {
            (OCTETS, Some(rest)) => {
                joined.extend_from_slice(piece.content);
                rest
            }
            (OCTETS_IN_PIECES, rest) => {
                let after = join(piece.content, joined, depth.checked_sub(1)?)?;
                rest.unwrap_or(after)
            }
            _ => return None,
        };
    }
    Some(ber)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn element_of(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &length, content].concat()
    }

    fn endless(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, 0x80][..], content, &[0, 0]].concat()
    }

    fn signed(wrap: fn(u8, &[u8]) -> Vec<u8>, kind: &[u8], octets: &[u8]) -> Vec<u8> {
        let data = element_of(OBJECT_IDENTIFIER, &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x01]);
        let content = wrap(SEQUENCE, &[data, wrap(EXPLICIT_0, octets)].concat());
        let algorithms = wrap(0x31, &wrap(SEQUENCE, &element_of(OBJECT_IDENTIFIER, b"x")));
        let body =
            wrap(SEQUENCE, &[element_of(0x02, &[1]), algorithms, content, b"\x31\0".to_vec()].concat());
        wrap(SEQUENCE, &[element_of(OBJECT_IDENTIFIER, kind), wrap(EXPLICIT_0, &body)].concat())
    }

    /// A CMS signature around a content.
    pub(in super::super) fn signed_around(content: &[u8]) -> Vec<u8> {
        signed(element_of, SIGNED_DATA, &element_of(OCTETS, content))
    }

    #[test]
    fn what_was_signed_comes_out_of_every_form_of_length() {
        let whole = element_of(OCTETS, b"Hola");
        let pieces =
            [element_of(OCTETS, b"Ho"), endless(OCTETS_IN_PIECES, &element_of(OCTETS, b"la"))].concat();
        for octets in [whole, element_of(OCTETS_IN_PIECES, &pieces), endless(OCTETS_IN_PIECES, &pieces)] {
            for wrap in [element_of as fn(u8, &[u8]) -> Vec<u8>, endless] {
                let ber = signed(wrap, SIGNED_DATA, &octets);
                assert_eq!(signed_content(&ber).as_deref(), Some(&b"Hola"[..]));
                for cut in 0..ber.len() {
                    drop(signed_content(&ber[..cut])); // no input is too short
                }
            }
        }
    }

    #[test]
    fn what_is_encrypted_or_no_ber_at_all_stays_closed() {
        let enveloped = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x03];
        assert_eq!(signed_content(&signed(element_of, &enveloped, &element_of(OCTETS, b"x"))), None);
        assert_eq!(signed_content(&signed(element_of, SIGNED_DATA, b"")), None, "the signature stands apart");
        assert_eq!(signed_content(b"no es eso"), None);
        let deep = [SEQUENCE, 0x80].repeat(100_000);
        assert_eq!(signed_content(&deep), None);
        let bomb = signed(element_of, SIGNED_DATA, &[OCTETS_IN_PIECES, 0x80].repeat(10_000));
        assert_eq!(signed_content(&bomb), None);
    }
}
