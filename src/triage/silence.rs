//! When an acknowledgement that the table allows is withheld all the same (docs/mail.md).

use jiff::Timestamp;

use super::authentication::Authentication;
use super::decision::{AckBecause, Arrival, Facts};
use crate::mail::Address;
use crate::site::Site;

/// The first reason to stay silent towards `addressee`; `None`: the ack goes out.
pub fn withheld(
    addressee: &Address,
    arrival: &Arrival,
    facts: &Facts,
    authentication: Authentication,
    participant: bool,
    site: &Site,
    now: Timestamp,
) -> Option<AckBecause> {
    let limits = site.limits;
    let reasons = [
        (arrival.backlog, AckBecause::BacklogMail),
        (now.duration_since(arrival.received) > site.max_age, AckBecause::TooOld),
        (authentication == Authentication::Failed, AckBecause::AuthenticationFailed),
        (!participant, AckBecause::NoParticipant),
        (site.is_ours(addressee), AckBecause::NoAddressee),
        (facts.undeliverable, AckBecause::Undeliverable),
        (facts.acks.address_hour >= limits.per_address_hour, AckBecause::CapAddressHour),
        (facts.acks.address_day >= limits.per_address_day, AckBecause::CapAddressDay),
        (
            facts.acks.domain_hour >= limits.per_domain_hour && !is_public_mail_domain(addressee.domain()),
            AckBecause::CapDomainHour,
        ),
    ];
    reasons.into_iter().find_map(|(holds, because)| holds.then_some(because))
}

/// Whether anybody may have an address in that domain, so that it says nothing of who belongs together.
pub fn is_public_mail_domain(domain: &str) -> bool {
    /// At home in many countries: `hotmail.com`, `hotmail.es`, `yahoo.com.mx`, `live.co.uk`.
    const BRANDS: [&str; 6] = ["gmx", "hotmail", "live", "outlook", "terra", "yahoo"];
    /// Everybody else, and the access providers of Latin America.
    const DOMAINS: [&str; 36] = [
        "126.com",
        "163.com",
        "adinet.com.uy",
        "andinanet.net",
        "aol.com",
        "arnet.com.ar",
        "bol.com.br",
        "cable.net.co",
        "cantv.net",
        "epm.net.co",
        "etb.net.co",
        "fastmail.com",
        "fibertel.com.ar",
        "gmail.com",
        "googlemail.com",
        "icloud.com",
        "mac.com",
        "mail.com",
        "mail.ru",
        "me.com",
        "msn.com",
        "prodigy.net.mx",
        "proton.me",
        "protonmail.com",
        "qq.com",
        "rocketmail.com",
        "speedy.com.ar",
        "tutanota.com",
        "une.net.co",
        "uol.com.br",
        "vtr.net",
        "yandex.com",
        "yandex.ru",
        "ymail.com",
        "zoho.com",
        "zohomail.com",
    ];
    let of_a_country = |end: &str| match end.split_once('.') {
        None => end == "com" || end.len() == 2,
        Some((second, country)) => matches!(second, "com" | "co") && country.len() == 2,
    };
    let is_brand = |(brand, end): (&str, &str)| BRANDS.contains(&brand) && of_a_country(end);
    DOMAINS.contains(&domain) || domain.split_once('.').is_some_and(is_brand)
}

#[cfg(test)]
mod tests {
    use super::is_public_mail_domain;

    #[test]
    fn public_mail_is_known_in_every_country_and_a_customer_s_domain_is_not_taken_for_it() {
        let public =
            ["gmail.com", "hotmail.com.co", "outlook.com.co", "live.com.mx", "hotmail.co.uk", "yahoo.es"];
        for domain in
            public.into_iter().chain(["etb.net.co", "une.net.co", "mail.ru", "qq.com", "terra.com.pe"])
        {
            assert!(is_public_mail_domain(domain), "{domain}");
        }
        for domain in
            ["acme.com.co", "live.acme.co", "hotmail.acme.com", "yahoo-tools.com", "live", "outlook.tools"]
        {
            assert!(!is_public_mail_domain(domain), "{domain}");
        }
    }
}
