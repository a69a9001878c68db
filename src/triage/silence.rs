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
    const DOMAINS: &[&str] = &[
        "aol.com",
        "fastmail.com",
        "gmail.com",
        "gmx.com",
        "gmx.es",
        "googlemail.com",
        "hotmail.com",
        "hotmail.es",
        "icloud.com",
        "live.com",
        "mac.com",
        "mail.com",
        "me.com",
        "msn.com",
        "outlook.com",
        "outlook.es",
        "proton.me",
        "protonmail.com",
        "terra.com",
        "une.net.co",
        "yahoo.com",
        "yahoo.com.co",
        "yahoo.es",
        "yahoo.com.mx",
        "yahoo.com.ar",
        "yandex.com",
        "ymail.com",
        "zoho.com",
    ];
    DOMAINS.contains(&domain)
}
