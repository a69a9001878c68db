//! Did the sender's authentication fail? Only our own server's word counts (RFC 8601, docs/mail.md).

use crate::mail::{Message, Trace};

/// What our own server found out about a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// It passed.
    Passed,
    /// It failed: From is nobody's identity.
    Failed,
    /// Nobody of ours said anything: From is taken at face value.
    Unknown,
}

/// Reads the Authentication-Results that `authserv_id` wrote, above the first Received from elsewhere.
///
/// Failed is dmarc=fail, or, without a dmarc result, spf=fail and no dkim=pass aligned with From's domain.
/// `none`, `neutral`, `softfail` and `temperror` say nothing.
pub fn of(message: &Message, authserv_id: Option<&str>) -> Authentication {
    let (Some(id), Some(from)) = (authserv_id, &message.from) else { return Authentication::Unknown };
    let mut results = Vec::new();
    for trace in &message.trace {
        match trace {
            Trace::AuthenticationResults(line) => results.extend(parse(line, id)),
            Trace::Received(line) if is_foreign(line) => break,
            Trace::Received(_) => {}
        }
    }
    let said = |method: &str, result: &str| {
        results.iter().any(|found| found.method == method && found.result == result)
    };
    let dkim_aligned = results.iter().any(|found| {
        found.method == "dkim"
            && found.result == "pass"
            && found.domain.as_deref().is_some_and(|d| aligned(d, from.domain()))
    });
    if said("dmarc", "pass") {
        Authentication::Passed
    } else if said("dmarc", "fail") {
        Authentication::Failed
    } else if dkim_aligned {
        Authentication::Passed
    } else if said("spf", "fail") {
        Authentication::Failed
    } else {
        Authentication::Unknown
    }
}

/// One `method=result` of an Authentication-Results header.
#[derive(Debug, PartialEq, Eq)]
struct MethodResult {
    method: String,
    result: String,
    /// `header.d`, or the domain of `header.i`.
    domain: Option<String>,
}

/// RFC 8601 §2.2: `authserv-id [version] *(";" method "=" result *(property "=" value))`. Empty when another
/// server wrote it.
fn parse(line: &str, authserv_id: &str) -> Vec<MethodResult> {
    let line = without_comments(line).to_ascii_lowercase();
    let mut sections = line.split(';');
    let ours = sections.next().and_then(|head| head.split_whitespace().next()) == Some(authserv_id);
    if !ours {
        return Vec::new();
    }
    sections
        .filter_map(|section| {
            let mut words = section.split_whitespace();
            let (method, result) = words.next()?.split_once('=')?;
            let method = method.split('/').next()?.to_owned(); // "dkim/1": RFC 8601 §2.2 allows a version
            let domain = words.find_map(|word| match word.split_once('=')? {
                ("header.d", domain) => Some(domain.trim_matches('"').to_owned()),
                ("header.i", identity) => identity.trim_matches('"').rsplit('@').next().map(str::to_owned),
                _ => None,
            });
            Some(MethodResult { method, result: result.to_owned(), domain })
        })
        .collect()
}

/// Relaxed alignment (RFC 7489 §3.1): the same domain, or one below the other.
fn aligned(one: &str, other: &str) -> bool {
    let below = |inner: &str, outer: &str| {
        outer.contains('.') && inner.strip_suffix(outer).is_some_and(|rest| rest.ends_with('.'))
    };
    one == other || below(one, other) || below(other, one)
}

/// A Received that names a public address took the mail in from elsewhere: what stands below it is the sender's to
/// forge. The name after `from` is the peer's own word and proves nothing.
fn is_foreign(received: &str) -> bool {
    received
        .split(['[', ']'])
        .skip(1)
        .step_by(2)
        .filter_map(|text| text.strip_prefix("IPv6:").unwrap_or(text).parse::<std::net::IpAddr>().ok())
        .any(|address| match address {
            std::net::IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_private() || v4.is_link_local()),
            std::net::IpAddr::V6(v6) => {
                !(v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local())
            }
        })
}

/// Comments off (RFC 5322 §3.2.2), nested ones too.
fn without_comments(line: &str) -> String {
    let mut depth = 0_u32;
    line.chars()
        .filter(|c| {
            match c {
                '(' => depth += 1,
                ')' if depth > 0 => {
                    depth -= 1;
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(trace: &[&str]) -> Authentication {
        let mut raw = String::new();
        for line in trace {
            raw.push_str(line);
            raw.push_str("\r\n");
        }
        raw.push_str("From: ana@cliente.example\r\nSubject: x\r\n\r\nhola\r\n");
        of(&crate::mail::parse(raw.as_bytes()), Some("mx.mihost.example"))
    }

    const FROM_OUTSIDE: &str = "Received: from evil (evil [203.0.113.9]) by mx.mihost.example with ESMTP";

    #[test]
    fn only_our_server_above_the_border_counts() {
        let ours = "Authentication-Results: mx.mihost.example; spf=fail; dmarc=fail header.from=x";
        assert_eq!(verdict(&[ours, FROM_OUTSIDE]), Authentication::Failed);
        assert_eq!(verdict(&[FROM_OUTSIDE, ours]), Authentication::Unknown);
        assert_eq!(
            verdict(&["Received: from mx.mihost.example by mail with LMTP", ours]),
            Authentication::Failed
        );
        assert_eq!(
            verdict(&["Authentication-Results: other.example; dmarc=fail", FROM_OUTSIDE]),
            Authentication::Unknown
        );
    }

    #[test]
    fn a_forged_pass_below_the_border_saves_nobody() {
        let trace = [
            "Authentication-Results: mx.mihost.example; spf=fail (x;dmarc=pass) smtp.mailfrom=a@b",
            FROM_OUTSIDE,
            "Authentication-Results: mx.mihost.example; dmarc=pass",
        ];
        assert_eq!(verdict(&trace), Authentication::Failed);
    }

    #[test]
    fn an_aligned_signature_outweighs_spf_and_a_foreign_one_does_not() {
        let ar = |domain: &str| {
            format!("Authentication-Results: mx.mihost.example 1; spf=fail; dkim=pass header.d={domain}")
        };
        assert_eq!(verdict(&[&ar("cliente.example")]), Authentication::Passed);
        assert_eq!(verdict(&[&ar("mail.cliente.example")]), Authentication::Passed);
        assert_eq!(verdict(&[&ar("evil.example")]), Authentication::Failed);
        assert_eq!(verdict(&[&ar("example")]), Authentication::Failed);
    }

    #[test]
    fn soft_words_say_nothing() {
        for word in ["none", "neutral", "softfail", "temperror"] {
            let line = format!("Authentication-Results: mx.mihost.example; spf={word}; dmarc=none");
            assert_eq!(verdict(&[&line]), Authentication::Unknown, "{word}");
        }
    }
}
