//! Hosts, IP addresses, URLs and e-mail addresses: one word each, although punctuation is in them.

use unicode_normalization::char::is_combining_mark;

use super::text::{EMAIL, HOST, IP, URL, is_letter};

/// Longer than any host, address or URL that a person writes, in bytes.
const MAX_TOKEN: usize = 2048;

/// How the host names end that customers write, sorted. A list, because without one every forgotten space after
/// a full stop would make a host ("caido.gracias"); endings that are common words (`de`, `us`, `it`) are left out.
#[rustfmt::skip]
const TOP_LEVEL: &[&str] = &[
    "ai", "app", "ar", "biz", "blog", "bo", "br", "cc", "ch", "cl", "cloud", "club", "co", "com", "cr",
    "dev", "ec", "edu", "es", "eu", "example", "fr", "gob", "gov", "gt", "hn", "host", "info", "int",
    "invalid", "io", "live", "local", "mil", "mx", "name", "net", "nl", "online", "org", "pe", "pr", "pro",
    "pt", "py", "shop", "site", "store", "sv", "tech", "test", "tv", "uk", "uy", "ve", "xyz",
];

/// The separator of a token that is one word although punctuation is in it; `None` for other words.
pub(super) fn kind(core: &str) -> Option<char> {
    if core.len() > MAX_TOKEN || !core.contains(['.', ':']) {
        return None;
    }
    if let Some((local, domain)) = core.split_once('@')
        && !local.contains('/')
    {
        return (!local.is_empty() && labels(domain).is_some_and(|last| last.len() > 1)).then_some(EMAIL);
    }
    if let Some((scheme, rest)) = core.split_once("://") {
        let is_scheme = !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphabetic());
        return (is_scheme && !rest.is_empty()).then_some(URL);
    }
    if core.parse::<core::net::Ipv6Addr>().is_ok() {
        return Some(IP);
    }
    let (host, rest) = core.split_at(core.find(['/', ':', '?', '#']).unwrap_or(core.len()));
    let is_port = rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    if is_ipv4(host) {
        let is_network = rest.strip_prefix('/').is_some_and(|bits| bits.parse::<u8>().is_ok());
        return Some(if rest.is_empty() || is_port || is_network { IP } else { URL });
    }
    match is_host(host) {
        true if rest.is_empty() || is_port => Some(HOST),
        true if !rest.starts_with(':') => Some(URL),
        _ => None,
    }
}

/// The last of at least two dotted labels, all of which a host name may have.
fn labels(name: &str) -> Option<&str> {
    let (head, last) = name.rsplit_once('.')?;
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| is_letter(c) || is_combining_mark(c) || c == '-' || c == '_')
    };
    (head.split('.').all(is_label) && is_label(last)).then_some(last)
}

fn is_host(name: &str) -> bool {
    let Some(last) = labels(name) else { return false };
    let new_sentence = last.starts_with(char::is_uppercase) && name.starts_with(char::is_lowercase);
    let known = TOP_LEVEL.binary_search(&last.to_ascii_lowercase().as_str()).is_ok();
    known && !new_sentence || name.get(..4).is_some_and(|www| www.eq_ignore_ascii_case("www."))
}

/// Four numbers, of which the later ones may be masked: `181.49.x.xx`.
fn is_ipv4(host: &str) -> bool {
    let number = |part: &str| part.parse::<u8>().is_ok();
    let masked = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b == b'x' || b == b'X');
    host.split('.').count() == 4
        && host.split('.').all(|part| number(part) || masked(part))
        && host.split('.').next().is_some_and(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_for_binary_search() {
        assert!(TOP_LEVEL.is_sorted());
    }

    #[test]
    fn each_kind_is_told_from_ordinary_words() {
        let long = format!("https://casa.co/{}", "a".repeat(MAX_TOKEN));
        for (core, wanted) in [
            ("casa.com.co", Some(HOST)),
            ("MUÑOZ.CO:8080", Some(HOST)),
            ("www.casa.travel", Some(HOST)),
            ("casa.co/panel", Some(URL)),
            ("ftp://10.0.0.1", Some(URL)),
            ("10.0.0.1/panel", Some(URL)),
            ("10.0.0.0/24", Some(IP)),
            ("181.49.x.xx", Some(IP)),
            ("2001:db8::1", Some(IP)),
            ("ana.paz@casa.co", Some(EMAIL)),
            ("ana@localhost", None),
            ("@casa.co", None),
            ("x.x.x.x", None),
            ("8.1.27", None),
            ("1.2.3.4.5", None),
            ("10:30", None),
            ("caido.Gracias", None),
            ("caido.Co", None),
            ("index.php", None),
            ("y/o", None),
            ("a..co", None),
            ("", None),
            (long.as_str(), None),
        ] {
            assert_eq!(kind(core), wanted, "{core}");
        }
    }
}
