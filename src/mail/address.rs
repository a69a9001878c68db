//! An address, compared the way customers are looked up.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::header::{decode_words, is_unwanted, neutral};

/// RFC 5321 §4.5.3.1.3 allows a path of 256 bytes, angle brackets included.
const LONGEST: usize = 254;

/// A mail address in its canonical form, with the display name beside it.
///
/// Canonical: the domain as lower-case A-labels (IDNA), the local part lower case. Two addresses that a person
/// would call the same are equal here; the display name never counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Address {
    /// The display name, decoded, without control and bidi characters; empty when there was none.
    pub name: String,
    /// `local@domain`, canonical.
    pub address: String,
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl Eq for Address {}

impl Address {
    /// Reads a bare `local@domain`; `None` when it is no usable address (no `@`, spaces, controls, angle
    /// brackets, over 254 bytes).
    pub fn parse(text: &str) -> Option<Self> {
        let (local, domain) = text.trim().rsplit_once('@')?;
        // RFC 5321 §4.1.2: a quoted local part that needs no quotes is the same without them.
        let local = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(local);
        let usable = |c: char| !c.is_whitespace() && !is_unwanted(c) && !r#"<>()[]\,;:@""#.contains(c);
        if local.is_empty() || !local.chars().all(usable) {
            return None;
        }
        let address = format!("{}@{}", local.to_lowercase(), canonical_domain(domain)?);
        (address.len() <= LONGEST).then_some(Self { name: String::new(), address })
    }

    /// The part before the last `@`.
    pub fn local(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// The part after the last `@`.
    pub fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// Whether it may pass for another: a label of the domain, or the local part, mixes alphabets whose letters look
    /// alike (UTS #39 §5.1), or the name is an address itself, and not this one.
    pub fn imitates(&self) -> bool {
        let (domain, _) = idna::domain_to_unicode(self.domain());
        let mixed = std::iter::once(self.local()).chain(domain.split('.')).any(mixes_alphabets);
        let other = Self::parse(&self.name).is_some_and(|named| named != *self);
        mixed || other
    }

    /// The address without a `+tag` in its local part, and the tag.
    pub fn without_tag(&self) -> (String, Option<&str>) {
        match self.local().split_once('+') {
            Some((local, tag)) => (format!("{local}@{}", self.domain()), Some(tag)),
            None => (self.address.clone(), None),
        }
    }
}

/// A domain as lower-case A-labels; `None` when it cannot be one. Underscores pass: they occur in real mail.
fn canonical_domain(domain: &str) -> Option<Cow<'_, str>> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let ascii = if domain.is_ascii() && !domain.contains("xn--") {
        Cow::Owned(domain.to_ascii_lowercase())
    } else {
        idna::domain_to_ascii_cow(domain.as_bytes(), idna::AsciiDenyList::URL).ok()?
    };
    ascii.split('.').all(label).then_some(ascii)
}

/// Latin, Greek and Cyrillic share the shapes of many letters.
fn mixes_alphabets(text: &str) -> bool {
    let alphabets = [
        |c: char| c.is_ascii_alphabetic() || ('\u{C0}'..='\u{24F}').contains(&c),
        |c: char| ('\u{370}'..='\u{3FF}').contains(&c),
        |c: char| ('\u{400}'..='\u{52F}').contains(&c),
    ];
    alphabets.iter().filter(|alphabet| text.chars().any(alphabet)).count() > 1
}

/// What a header with addresses holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    /// The usable ones, in order.
    pub addresses: Vec<Address>,
    /// How many more claim to be one and are not, such as `X <>`.
    pub unusable: usize,
}

/// Reads the value of an address header (RFC 5322 §3.4 and §4.4), unfolded and not yet decoded: groups, comments,
/// routes, blanks around dots, commas in unquoted names. Encoded words are decoded in names only, never within an
/// address.
pub(super) fn list(value: &str) -> List {
    let mut list = List::default();
    let mut entry = Entry::default();
    let mut chars = value.chars();
    let mut comment_depth = 0_usize;
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => chars.next().into_iter().for_each(|c| entry.push(c)),
            '\\' if comment_depth > 0 => entry.comment.extend(chars.next()),
            '"' if comment_depth == 0 => {
                quoted = !quoted;
                entry.quote();
            }
            _ if quoted => entry.push(c),
            '(' => comment_depth += 1,
            ')' if comment_depth > 0 => comment_depth -= 1,
            _ if comment_depth > 0 => entry.comment.push(c),
            '<' => entry.open(),
            '>' => entry.shut(),
            ':' if !entry.in_angle && !entry.phrase.contains('@') => entry = Entry::default(), // a group's name
            ',' | ';' if !entry.in_angle => entry.close(&mut list),
            _ => entry.push(c),
        }
    }
    entry.is_garbled |= comment_depth > 0 && entry.in_angle;
    entry.close(&mut list);
    list.unusable += usize::from(!entry.phrase.trim().is_empty() && list.addresses.is_empty());
    list
}

/// One entry of a list while it is read.
#[derive(Default)]
struct Entry {
    /// What stands outside of angle brackets, without its quotes.
    phrase: String,
    /// The same with them, for an address without brackets.
    bare: String,
    angle: String,
    comment: String,
    in_angle: bool,
    has_angle: bool,
    /// Brackets that do not pair: nobody can tell which address is meant.
    is_garbled: bool,
}

impl Entry {
    fn push(&mut self, c: char) {
        if self.in_angle {
            self.angle.push(c);
        } else {
            self.phrase.push(c);
            self.bare.push(c);
        }
    }

    fn quote(&mut self) {
        if self.in_angle {
            self.angle.push('"');
        } else {
            self.bare.push('"');
        }
    }

    fn open(&mut self) {
        self.is_garbled |= !self.angle.trim().is_empty();
        self.in_angle = true;
        self.has_angle = true;
    }

    fn shut(&mut self) {
        self.is_garbled |= !self.has_angle;
        self.in_angle = false;
    }

    fn close(&mut self, list: &mut List) {
        if !self.has_angle && !self.phrase.contains('@') {
            // "Pérez, Ana <ana@…>" without quotes: the comma belongs to the name.
            if !self.phrase.trim().is_empty() {
                self.phrase.push(',');
                self.bare.push(',');
            }
            return;
        }
        let (address, name) = if self.has_angle {
            let joined = without_blanks(&self.angle);
            // RFC 5322 §4.4: a route before the address counts for nothing.
            let route_end = if joined.starts_with('@') { joined.find(':').map_or(0, |at| at + 1) } else { 0 };
            (joined.get(route_end..).unwrap_or_default().to_owned(), self.phrase.as_str())
        } else {
            (bare_address(&self.bare), self.comment.as_str())
        };
        let address = Address::parse(address.trim().trim_start_matches("mailto:"));
        match address.filter(|_| !self.is_garbled) {
            Some(address) => list.addresses.push(Address { name: neutral(&decode_words(name)), ..address }),
            None => list.unusable += 1,
        }
        *self = Self::default();
    }
}

/// The address within "Ana ana@…", without brackets: the word with the "@", and the rest of a domain with blanks
/// around its dots. An "@" in quotes is none.
fn bare_address(text: &str) -> String {
    let mut quoted = false;
    let is_break = |c: char| {
        quoted ^= c == '"';
        c.is_whitespace() && !quoted
    };
    let words: Vec<&str> = text.split(is_break).filter(|word| !word.is_empty()).collect();
    let unquoted_at = |word: &&str| word.rsplit('"').next().is_some_and(|tail| tail.contains('@'));
    let Some(at) = words.iter().position(unquoted_at) else { return String::new() };
    let mut address = String::new();
    for word in words.get(at..).unwrap_or_default() {
        if !(address.is_empty() || address.ends_with(['.', '@']) || word.starts_with('.')) {
            break;
        }
        address.push_str(word);
    }
    address
}

/// Without the blanks that RFC 5322 §4.4 allows around the dots and the "@" of an address.
fn without_blanks(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quoted = false;
    for c in text.trim().chars() {
        quoted ^= c == '"';
        if !quoted && matches!(c, '.' | '@' | ':' | ',') {
            out.truncate(out.trim_end().len());
        }
        if quoted || !c.is_whitespace() || !out.ends_with(['.', '@', ':', ',', ' ']) {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_may_pass_for_another_is_told() {
        let of = |name: &str, address: &str| {
            Address { name: name.to_owned(), ..Address::parse(address).unwrap() }.imitates()
        };
        assert!(of("", "a@\u{430}pple.example"), "a Cyrillic a");
        assert!(of("", "s\u{3BF}porte@b.co"), "a Greek o");
        assert!(of("soporte@mihost.example", "evil@b.co"));
        for (name, address) in [
            ("Ana", "ana@cliente.example"),
            ("ANA@cliente.example", "ana@cliente.example"),
            ("", "ana@ma\u{F1}ana.example"),
            ("", "\u{438}\u{432}\u{430}\u{43D}@\u{43F}\u{440}\u{438}\u{43C}\u{435}\u{440}.example"),
        ] {
            assert!(!of(name, address), "{name} <{address}>");
        }
    }

    fn parsed(text: &str) -> Option<String> {
        Address::parse(text).map(|address| address.address)
    }

    fn pairs(value: &str) -> Vec<(String, String)> {
        list(value).addresses.into_iter().map(|address| (address.name, address.address)).collect()
    }

    #[test]
    fn addresses_are_canonical() {
        assert_eq!(parsed(" Ana.Ruiz@Example.COM. ").unwrap(), "ana.ruiz@example.com");
        assert_eq!(parsed("ana@muñoz.example").unwrap(), "ana@xn--muoz-hqa.example");
        assert_eq!(parsed("ana@XN--muoz-hqa.example").unwrap(), "ana@xn--muoz-hqa.example");
        assert_eq!(parsed("\"a..b.\"@example.com").unwrap(), "a..b.@example.com");
        assert_eq!(parsed("x@dominio_raro.co").unwrap(), "x@dominio_raro.co");
        assert_eq!(parsed("root@localhost").unwrap(), "root@localhost");
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in [
            "",
            "ana",
            "@b.co",
            "ana@",
            "a na@b.co",
            "ana@b..co",
            "ana@b.co>",
            "<ana@b.co>",
            "a@b@c.co",
            "ana@b co",
            "a\r\nb@c.co",
            "ana@[127.0.0.1]",
            "david...@",
            "ana\u{202E}x@b.co",
            "ana@-\u{202E}.co",
        ] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
        assert_eq!(parsed(&format!("{}@example.com", "x".repeat(250))), None);
    }

    #[test]
    fn equality_ignores_the_name_and_a_tag_comes_off() {
        let plain = list("Ana <ana+x1@b.co>").addresses.remove(0);
        assert_eq!(plain, Address::parse("ANA+X1@b.co").unwrap());
        assert_eq!(plain.without_tag(), ("ana@b.co".to_owned(), Some("x1")));
        assert_eq!((plain.local(), plain.domain()), ("ana+x1", "b.co"));
    }

    #[test]
    fn lists_in_every_form_people_write() {
        let ana = |name: &str| vec![(name.to_owned(), "ana@b.co".to_owned())];
        assert_eq!(pairs("ana@b.co"), ana(""));
        assert_eq!(pairs("Ana Ruiz <ana@b.co>"), ana("Ana Ruiz"));
        assert_eq!(pairs("\"Ruiz, Ana\" <ana@b.co>"), ana("Ruiz, Ana"));
        assert_eq!(pairs("Ruiz, Ana <ana@b.co>"), ana("Ruiz, Ana"));
        assert_eq!(pairs("ana@b.co (Ana (la) Ruiz)"), ana("Ana la Ruiz"));
        assert_eq!(pairs("=?utf-8?q?Andr=C3=A9s?= <ana@b.co>"), ana("Andrés"));
        assert_eq!(pairs("<@ruta.co,@otra.co:ana@b.co>"), ana(""));
        assert_eq!(pairs("Soporte: ana@b.co;"), ana(""));
        assert_eq!(pairs("\"x\\\"y\" <ana@b.co>"), ana("x\"y"));
        assert_eq!(pairs("<mailto:ana@b.co>"), ana(""));
        assert_eq!(pairs("a@b.co, C <c@d.co>; e@f.co").len(), 3);
        assert_eq!(pairs("undisclosed-recipients:;"), vec![]);
    }

    #[test]
    fn obsolete_forms_are_read_as_rfc_5322_says() {
        for value in [
            "ana@b(comentario). co",
            "ana@b (uno (dos) tres) .co",
            "ana@ b . co",
            "Ana <ana@b(comentario).  co>",
            "Ana <ana @ b .co>",
            "Ana < @ruta.co , @otra.co : ana@b.co >",
            "Ana (la (jefa)) Ruiz <ana@b.co> (en casa)",
            "\"ana\"@b.co",
            "<<ana@b.co>>",
            "Equipo: \"Ruiz: Ana\" <ana@b.co>, ;",
        ] {
            let read = list(value);
            let found: Vec<&str> = read.addresses.iter().map(|address| address.address.as_str()).collect();
            assert_eq!((found, read.unusable), (vec!["ana@b.co"], 0), "{value}");
        }
    }

    #[test]
    fn an_address_that_could_be_another_s_is_refused() {
        for value in [
            "\"X\"@example.com>",
            "ana@b.co>",
            "Ana <ana@b.co> <eva@b.co>",
            "\"ana eva\"@b.co",
            "\"eva@b.co ana\"@b.co",
            "\"ana@b.co\"",
            "\u{6211} <>",
            "Ana <ana@b.co(eva>",
            "Ana Ruiz @ b.co",
            "<ana@b.co@c.co>",
            "<ana\u{202E}@b.co>",
        ] {
            let read = list(value);
            assert_eq!((read.addresses.len(), read.unusable), (0, 1), "{value}: {:?}", read.addresses);
        }
    }

    #[test]
    fn an_encoded_word_never_becomes_an_address() {
        let value = "=?utf-8?q?soporte=40mihost=2Eexample?= <=?utf-8?q?x?=@evil.example>";
        let read = list(value);
        assert_eq!(read.addresses[0].domain(), "evil.example");
        assert_eq!(list("attacker =?utf-8?q?a=40b=2Eco?=").addresses, vec![]);
    }

    #[test]
    fn unusable_entries_are_counted() {
        assert_eq!(list("Alguien <>").unusable, 1);
        assert_eq!(list("Alguien").unusable, 1);
        assert_eq!(list("a@b.co, x <y z@>").unusable, 1);
        assert_eq!(list("").unusable, 0);
    }

    #[test]
    fn a_hostile_list_is_read_in_one_pass() {
        let value = "a@b.co,".repeat(5_000) + &"(".repeat(30_000);
        assert_eq!(list(&value).addresses.len(), 5_000);
    }
}
