//! What stands within a text in forms older than MIME: uuencoded files, and the armour of PGP (RFC 9580 §6.2, §7).

use std::borrow::Cow;

use super::header::neutral;

/// A text without what was wrapped in it.
#[derive(Debug)]
pub(super) struct Unwrapped<'t> {
    pub text: Cow<'t, str>,
    pub wrapped: Wrapped,
}

/// What was wrapped in a text.
#[derive(Debug, Default)]
pub(super) struct Wrapped {
    /// Names and bytes of uuencoded files.
    pub files: Vec<(String, Vec<u8>)>,
    /// A part of it is encrypted.
    pub encrypted: bool,
}

/// Takes files and armour out of a text with LF line ends. A block that never ends stays in the text.
pub(super) fn unwrap(text: &str) -> Unwrapped<'_> {
    let may_hold = |mark| text.starts_with(mark) || text.contains(&format!("\n{mark}"));
    if !may_hold("begin ") && !may_hold(ARMOUR) {
        return Unwrapped { text: Cow::Borrowed(text), wrapped: Wrapped::default() };
    }
    let lines: Vec<&str> = text.lines().collect();
    let (mut kept, mut found, mut at) = (Vec::new(), Wrapped::default(), 0);
    let (mut signed, mut endless) = (false, Vec::new());
    while let Some(line) = lines.get(at) {
        let rest = lines.get(at..).unwrap_or_default();
        at += 1;
        if let Some((name, bytes, taken)) = uuencoded(rest) {
            found.files.push((name, bytes));
            at += taken - 1;
        } else if line.trim_end() == "-----BEGIN PGP SIGNED MESSAGE-----" {
            signed = true;
            at += rest.iter().skip(1).take_while(|line| !line.trim().is_empty()).count(); // Hash: and its like
        } else if let Some((kind, taken)) = armoured(rest, &mut endless) {
            found.encrypted |= kind == "MESSAGE";
            signed &= kind != "SIGNATURE";
            at += taken - 1;
        } else {
            // RFC 9580 §7.1: a dash at the start of a signed line is escaped by "- "
            kept.push(if signed { line.strip_prefix("- ").unwrap_or(line) } else { line });
        }
    }
    Unwrapped { text: Cow::Owned(kept.join("\n")), wrapped: found }
}

const ARMOUR: &str = "-----BEGIN PGP ";

/// The kind of an armoured block that begins here, and its lines. `endless`: the kinds of which no end comes any more.
fn armoured(lines: &[&str], endless: &mut Vec<&'static str>) -> Option<(&'static str, usize)> {
    let said = lines.first()?.trim_end().strip_prefix(ARMOUR)?.strip_suffix("-----")?;
    let kinds = ["MESSAGE", "SIGNATURE", "PUBLIC KEY BLOCK", "PRIVATE KEY BLOCK"];
    let kind = kinds.into_iter().find(|kind| *kind == said && !endless.contains(kind))?;
    let end = format!("-----END PGP {kind}-----");
    let Some(last) = lines.iter().position(|line| line.trim_end() == end) else {
        endless.push(kind);
        return None;
    };
    Some((kind, last + 1))
}

/// The name, the bytes and the lines of a uuencoded file that begins here (POSIX uuencode(1)).
fn uuencoded(lines: &[&str]) -> Option<(String, Vec<u8>, usize)> {
    let mut begin = lines.first()?.strip_prefix("begin ")?.splitn(2, ' ');
    let mode = begin.next()?;
    if !(3..=4).contains(&mode.len()) || !mode.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
        return None;
    }
    let name = neutral(begin.next()?);
    let mut bytes = Vec::new();
    for (index, line) in lines.iter().enumerate().skip(1) {
        match line.trim_end() {
            "end" => return Some((name, bytes, index + 1)),
            "" | "`" => {}
            line => uudecode(line, &mut bytes)?,
        }
    }
    None
}

/// Six bits a character above the blank; the first says how many bytes the line holds.
fn uudecode(line: &str, bytes: &mut Vec<u8>) -> Option<()> {
    let six = |byte: u8| (b' '..=b'`').contains(&byte).then(|| (byte - b' ') & 0x3f);
    let (count, rest) = line.as_bytes().split_first()?;
    let count = usize::from(six(*count)?);
    if rest.len() > 4 * count.div_ceil(3) + 2 {
        return None; // prose; some encoders put a checksum at the end
    }
    let from = bytes.len();
    for group in rest.chunks(4) {
        let mut bits = 0_u32;
        for index in 0..4 {
            bits = bits << 6 | u32::from(six(group.get(index).copied().unwrap_or(b' '))?); // blanks get lost
        }
        let [_, a, b, c] = bits.to_be_bytes();
        bytes.extend([a, b, c]);
    }
    bytes.resize(from + count, 0);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuencoded_file_is_a_file() {
        let text = "Va el registro:\nbegin 644 error.txt\n+:&]L82P@;75N9&\\\n`\nend\nGracias";
        let found = unwrap(text);
        assert_eq!(found.text, "Va el registro:\nGracias");
        assert_eq!(found.wrapped.files.len(), 1);
        let (name, bytes) = found.wrapped.files.first().unwrap();
        assert_eq!((name.as_str(), bytes.as_slice()), ("error.txt", &b"hola, mundo"[..]));
        for prose in
            ["begin 644 x\nno es eso\n", "begin 644 x\nsin fin", "begin now please\nend", "fin\nbegin"]
        {
            assert_eq!(unwrap(prose).text.trim(), prose.trim(), "no file");
            assert!(unwrap(prose).wrapped.files.is_empty());
        }
    }

    #[test]
    fn a_clear_signed_text_is_read_and_an_encrypted_one_named() {
        let signed = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nNo carga.\n- -- \nAna\n\
                      -----BEGIN PGP SIGNATURE-----\n\niQEz\n=abcd\n-----END PGP SIGNATURE-----\nPD: urge";
        let found = unwrap(signed);
        assert_eq!((&*found.text, found.wrapped.encrypted), ("\nNo carga.\n-- \nAna\nPD: urge", false));
        let sealed = "Hola:\n-----BEGIN PGP MESSAGE-----\n\nhQEM\n-----END PGP MESSAGE-----";
        let found = unwrap(sealed);
        assert_eq!((&*found.text, found.wrapped.encrypted), ("Hola:", true));
        let open = "-----BEGIN PGP MESSAGE-----\nsin fin";
        assert_eq!(unwrap(open).text, open);
    }

    #[test]
    fn hostile_texts_take_linear_time() {
        let many = "begin 644 x\n".repeat(20_000);
        assert_eq!(unwrap(&many).wrapped.files.len(), 0);
        let many = "-----BEGIN PGP MESSAGE-----\n".repeat(20_000);
        assert!(!unwrap(&many).wrapped.encrypted);
    }
}
