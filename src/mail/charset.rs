//! Bytes → text: by the charset that the label says, then by what the bytes can be.

use std::borrow::Cow;

use encoding_rs::{Encoding, GB18030, UTF_8, WINDOWS_1252};

use super::mime;

/// A text and whether its label told the truth.
pub(super) struct Decoded<'a> {
    pub text: Cow<'a, str>,
    /// The label was missing or wrong, and the text is not plain ASCII.
    pub mislabelled: bool,
}

/// Decodes a text by its label, or by sanity where label and bytes disagree.
///
/// Bytes that are well-formed UTF-8 are UTF-8 unless a multi-byte label fits them too: a single-byte charset
/// accepts anything, so its label proves nothing.
pub(super) fn decode<'a>(bytes: &'a [u8], label: Option<&str>) -> Decoded<'a> {
    let honest = |text| Decoded { text, mislabelled: false };
    let label = label.map(str::trim).filter(|label| !label.is_empty());
    let encoding = label.and_then(|label| Encoding::for_label(label.as_bytes()));
    if let (Some(label), None) = (label, encoding)
        && let Some(text) = mime::decode_rare_charset(label, bytes)
    {
        return honest(Cow::Owned(text)); // UTF-7 and its like, which encoding_rs leaves out
    }
    let stateful = bytes.contains(&0x1B) || encoding.is_some_and(|encoding| !encoding.is_ascii_compatible());
    if bytes.is_ascii() && !stateful {
        return honest(String::from_utf8_lossy(bytes));
    }
    if let Some(encoding) = encoding.filter(|encoding| *encoding != UTF_8) {
        let (text, _, malformed) = encoding.decode(bytes);
        if !malformed && (!encoding.is_single_byte() || std::str::from_utf8(bytes).is_err()) {
            return honest(text);
        }
    }
    let mislabelled = encoding != Some(UTF_8);
    match std::str::from_utf8(bytes) {
        Ok(text) => Decoded { text: Cow::Borrowed(text), mislabelled },
        Err(_) if mostly_utf8(bytes) => Decoded { text: String::from_utf8_lossy(bytes), mislabelled },
        Err(_) => {
            let encoding = encoding.filter(|encoding| *encoding != UTF_8).unwrap_or_else(|| guess(bytes));
            Decoded { text: encoding.decode_without_bom_handling(bytes).0, mislabelled: true }
        }
    }
}

/// UTF-8 with a few broken places, such as a text cut within a character.
fn mostly_utf8(bytes: &[u8]) -> bool {
    let (mut good, mut bad) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    good > 4 * bad
}

/// A legacy charset for unlabelled bytes. Chinese text is mostly pairs of high bytes; western text has few.
fn guess(bytes: &[u8]) -> &'static Encoding {
    let high = bytes.iter().filter(|byte| !byte.is_ascii()).count();
    let dense = high * 3 > bytes.iter().filter(|byte| !byte.is_ascii_whitespace()).count();
    if dense && high > 3 && !GB18030.decode_without_bom_handling(bytes).1 { GB18030 } else { WINDOWS_1252 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8], label: Option<&str>) -> (String, bool) {
        let Decoded { text, mislabelled } = decode(bytes, label);
        (text.into_owned(), mislabelled)
    }

    #[test]
    fn an_honest_label_is_followed() {
        assert_eq!(decoded("caída".as_bytes(), Some("utf-8")), ("caída".into(), false));
        assert_eq!(decoded(b"ca\xEDda", Some("ISO-8859-1")), ("caída".into(), false));
        assert_eq!(decoded(b"\x1B$B5^$.\x1B(B", Some("iso-2022-jp")), ("急ぎ".into(), false));
    }

    #[test]
    fn latin1_is_read_as_windows_1252() {
        assert_eq!(decoded(b"a \x96 b", Some("iso-8859-1")).0, "a – b");
    }

    #[test]
    fn bytes_win_over_a_wrong_label() {
        assert_eq!(decoded("caída".as_bytes(), Some("iso-8859-1")), ("caída".into(), true));
        assert_eq!(decoded(b"ca\xEDda", Some("utf-8")), ("caída".into(), true));
        assert_eq!(decoded(b"ca\xEDda", Some("uft-8")), ("caída".into(), true));
        assert_eq!(decoded(b"ca\xEDda", None), ("caída".into(), true));
    }

    #[test]
    fn plain_ascii_needs_no_label() {
        assert_eq!(decoded(b"hola", None), ("hola".into(), false));
        assert_eq!(decoded(b"hola", Some("fakescii")), ("hola".into(), false));
    }

    #[test]
    fn unlabelled_chinese_is_not_mistaken_for_latin() {
        let (bytes, _, _) = GB18030.encode("服务器无法访问");
        assert_eq!(decoded(&bytes, None).0, "服务器无法访问");
    }
}
