//! The small fixed MIME of an acknowledgement: multipart/alternative of text and HTML, quoted-printable.

/// RFC 2045 §6.7 (5): encoded lines are at most 76 characters, the soft break's `=` included.
const LINE: usize = 76;

/// Writes MIME-Version, Content-Type and the body. `seed` makes the boundary differ between mails; that no encoded
/// line begins with it is given: `=_` never occurs in quoted-printable (RFC 2045 §6.7).
pub fn write_alternative(seed: &str, text: &str, html: &str, out: &mut String) {
    let seed: String = seed.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    let boundary = format!("=_{seed}");
    out.push_str("MIME-Version: 1.0\r\n");
    out.push_str(&format!("Content-Type: multipart/alternative;\r\n boundary=\"{boundary}\"\r\n"));
    for (subtype, content) in [("plain", text), ("html", html)] {
        out.push_str(&format!("\r\n--{boundary}\r\nContent-Type: text/{subtype}; charset=utf-8\r\n"));
        out.push_str("Content-Transfer-Encoding: quoted-printable\r\n\r\n");
        write_quoted_printable(content, out);
    }
    out.push_str(&format!("\r\n--{boundary}--\r\n"));
}

/// RFC 2045 §6.7, with CRLF line ends.
fn write_quoted_printable(content: &str, out: &mut String) {
    for line in content.lines() {
        let mut column = 0;
        for (place, byte) in line.bytes().enumerate() {
            let last = place + 1 == line.len();
            let plain = byte != b'=' && (byte.is_ascii_graphic() || byte == b' ' && !last);
            if column + if plain { 1 } else { 3 } > if last { LINE } else { LINE - 1 } {
                out.push_str("=\r\n");
                column = 0;
            }
            // RFC 2049 §3: neither SMTP's dot nor mbox's From stands first in a line.
            let trap = column == 0
                && (byte == b'.' || line.get(place..).is_some_and(|rest| rest.starts_with("From ")));
            if plain && !trap {
                out.push(char::from(byte));
                column += 1;
            } else {
                out.push_str(&format!("={byte:02X}"));
                column += 3;
            }
        }
        out.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use mail_parser::{MessageParser, MimeHeaders};
    use proptest::prelude::*;

    use super::*;

    fn encoded(content: &str) -> String {
        let mut out = String::new();
        write_quoted_printable(content, &mut out);
        out
    }

    #[test]
    fn quoted_printable_is_that_of_rfc_2045() {
        assert_eq!(encoded("a = b\n"), "a =3D b\r\n");
        assert_eq!(encoded("Número \n\nfin"), "N=C3=BAmero=20\r\n\r\nfin\r\n");
        assert_eq!(encoded(".\n..a\nFrom here\nFrame"), "=2E\r\n=2E.a\r\n=46rom here\r\nFrame\r\n");
        assert_eq!(encoded(&"a".repeat(76)), "a".repeat(76) + "\r\n");
        assert_eq!(encoded(&"a".repeat(77)), format!("{}=\r\naa\r\n", "a".repeat(75)));
        assert_eq!(encoded(&format!("{}.b", "a".repeat(75))), format!("{}=\r\n=2Eb\r\n", "a".repeat(75)));
    }

    proptest! {
        #[test]
        fn any_content_reads_back_and_never_holds_the_boundary(
            text in "[\\PC\n]{0,200}", html in "[ -~\n]{0,200}", seed in "[!-~]{0,60}",
        ) {
            let mut mail = String::from("From: a@x.example\r\n");
            write_alternative(&seed, &text, &html, &mut mail);
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
