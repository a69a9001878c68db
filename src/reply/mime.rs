//! The small fixed MIME of what we send, quoted-printable: text alone, or multipart/alternative of text and HTML.

use lettre::message::header::{ContentTransferEncoding, ContentType, MIME_VERSION_1_0};
use lettre::message::{MultiPart, MultiPartKind, SinglePart};

/// RFC 2045 §6.7 (5): encoded lines are at most 76 characters.
const LINE: usize = 76;

/// MIME-Version, Content-Type and the body, in ASCII. `seed` makes the boundary, so that the same reply gives the same
/// bytes (I5); that no encoded line begins with it is given: `=_` never occurs in quoted-printable (RFC 2045 §6.7).
pub fn alternative(seed: &str, text: &str, html: &str) -> String {
    let seed: String = seed.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    let mail = MultiPart::builder()
        .header(MIME_VERSION_1_0)
        .kind(MultiPartKind::Alternative)
        .boundary(format!("=_{seed}"))
        .singlepart(part(ContentType::TEXT_PLAIN, text))
        .singlepart(part(ContentType::TEXT_HTML, html));
    without_traps(&String::from_utf8_lossy(&mail.formatted()))
}

/// MIME-Version, Content-Type and the body of a mail of text alone, in ASCII.
pub fn plain(text: &str) -> String {
    let part = part(ContentType::TEXT_PLAIN, text);
    let mime_version = "MIME-Version: 1.0\r\n".to_owned();
    mime_version + &without_traps(&String::from_utf8_lossy(&part.formatted()))
}

fn part(kind: ContentType, content: &str) -> SinglePart {
    // Else lettre takes base64 for what is not ASCII, which nobody reads in a mail's source.
    let readable = ContentTransferEncoding::QuotedPrintable;
    SinglePart::builder().header(kind).header(readable).body(content.to_owned())
}

/// RFC 2049 §3: neither SMTP's dot nor mbox's From stands first in a line. lettre leaves them there. A line that is
/// full already is broken behind what is encoded, and may have another trap there.
fn without_traps(encoded: &str) -> String {
    let mut out = String::with_capacity(encoded.len() + 64);
    for mut line in encoded.split_inclusive("\r\n") {
        loop {
            let (code, rest) = match line.split_at_checked(1) {
                Some((".", rest)) => ("=2E", rest),
                Some(("F", rest)) if rest.starts_with("rom ") => ("=46", rest),
                _ => break,
            };
            out.push_str(code);
            line = rest;
            if code.len() + line.trim_end().len() <= LINE {
                break;
            }
            out.push_str("=\r\n");
        }
        out.push_str(line);
    }
    out
}

#[cfg(test)]
mod tests {
    use mail_parser::{MessageParser, MimeHeaders};
    use proptest::prelude::*;

    use super::*;

    /// The body of the text part.
    fn encoded(content: &str) -> String {
        let mail = alternative("seed", content, "");
        let (_, body) = mail.split_once("quoted-printable\r\n\r\n").unwrap();
        body.split_once("\r\n--=_seed\r\n").unwrap().0.to_owned()
    }

    #[test]
    fn quoted_printable_is_that_of_rfc_2045() {
        assert_eq!(encoded("a = b\n"), "a =3D b\r\n");
        assert_eq!(encoded("Número \n\nfin\n"), "N=C3=BAmero=20\r\n\r\nfin\r\n");
        assert_eq!(encoded(".\n..a\nFrom here\nFrame\n"), "=2E\r\n=2E.a\r\n=46rom here\r\nFrame\r\n");
        assert_eq!(encoded(&"a".repeat(76)), "a".repeat(76));
        assert_eq!(encoded(&"a".repeat(77)), format!("{}=\r\naa", "a".repeat(75)));
        assert_eq!(encoded(&format!("{}.b", "a".repeat(75))), format!("{}=\r\n=2Eb", "a".repeat(75)));
        assert_eq!(encoded(&format!("..{}", "a".repeat(74))), format!("=2E=\r\n=2E=\r\n{}", "a".repeat(74)));
    }

    proptest! {
        #[test]
        fn any_content_reads_back_and_never_holds_the_boundary(
            text in "[\\PC\n]{0,200}", html in "[ -~\n]{0,200}", seed in "[!-~]{0,60}",
        ) {
            let written = alternative(&seed, &text, &html);
            prop_assert_eq!(&written, &alternative(&seed, &text, &html));
            let mail = String::from("From: a@x.example\r\n") + &written;
            let read = MessageParser::new().parse(&mail).unwrap();
            prop_assert_eq!(read.parts.len(), 3);
            prop_assert!(mail.split("\r\n").all(|line| line.len() <= 76 && !line.contains(['\r', '\n'])));
            prop_assert!(mail.is_ascii());
            let wanted = |content: &str| content.lines().fold(String::new(), |all, line| all + line + "\r\n");
            for (part, content) in read.parts[1..].iter().zip([&text, &html]) {
                prop_assert_eq!(part.content_type().unwrap().attribute("charset"), Some("utf-8"));
                let (read, wanted) = (part.text_contents().unwrap(), wanted(content));
                prop_assert_eq!(read.trim_end(), wanted.trim_end());
            }
        }
    }
}
