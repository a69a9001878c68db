//! Which ticket a mail belongs to (docs/mail.md): the first proof that holds.

use jiff::Timestamp;

use super::decision::{Arrival, Facts, Reason, TicketFacts};
use crate::mail::{Address, Message};
use crate::site::{EnvelopeFrom, Site};
use crate::ticket::{TicketNumber, TicketState};
use crate::token::{self, Claim, Purpose};

/// What a mail says of the ticket it belongs to, before anybody looks it up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// The claims of our valid tokens, most telling first.
    pub tokens: Vec<Claim>,
    /// The claim of a valid envelope token, in the recipient or in a report's Original-Envelope-Id: which ack came back.
    pub envelope: Option<Claim>,
    /// The ids of In-Reply-To and References, newest first.
    pub references: Vec<String>,
    /// The number in the subject.
    pub number: Option<TicketNumber>,
    /// An address has the shape of our `reply_to`, or an id that of our Message-IDs, with a token that does not verify.
    pub bad_token: bool,
}

/// Reads the hints of a mail.
pub fn hints(message: &Message, arrival: &Arrival, site: &Site) -> Hints {
    let mut hints = Hints::default();
    let came_back = message.bounce.iter().filter_map(|bounce| bounce.original_message_id.as_ref());
    for id in came_back.chain(&message.in_reply_to).chain(message.references.iter().rev()) {
        match our_message_id(id, site) {
            Some(claim) => hints.tokens.push(claim),
            None => hints.bad_token |= looks_like_ours(id, site),
        }
        if !hints.references.contains(id) {
            hints.references.push(id.clone());
        }
    }
    for address in recipients(message, arrival) {
        if let Some(tag) = site.reply_to.as_deref().and_then(|template| tag(address, template)) {
            match site.keys.verify(Purpose::ReplyAddress, tag) {
                Some(claim) => hints.tokens.push(claim),
                None => hints.bad_token = true,
            }
        }
        if let EnvelopeFrom::Tagged(template) = &site.envelope_from
            && let Some(claim) =
                tag(address, template).and_then(|tag| site.keys.verify(Purpose::Envelope, tag))
        {
            hints.envelope = Some(claim);
        }
    }
    if hints.envelope.is_none() {
        let sent_as = message.bounce.as_ref().and_then(|bounce| bounce.original_envelope_id.as_deref());
        hints.envelope = sent_as.and_then(|envid| site.keys.verify(Purpose::Envelope, envid));
    }
    hints.number = number_in(&message.subject, &site.prefix);
    hints
}

/// The claim of a Message-ID of ours; `None` for anybody else's.
pub fn our_message_id(id: &str, site: &Site) -> Option<Claim> {
    let (local, _) = id.split_once('@')?;
    site.keys.verify(Purpose::MessageId, local)
}

/// Whether an id has the form of ours: then it was tampered with, or its key is gone.
fn looks_like_ours(id: &str, site: &Site) -> bool {
    id.split_once('@').is_some_and(|(local, domain)| {
        domain.eq_ignore_ascii_case(site.from.domain()) && token::has_form(local)
    })
}

/// Where the mail was addressed to, as far as anybody tells.
pub fn recipients<'a>(message: &'a Message, arrival: &'a Arrival) -> impl Iterator<Item = &'a Address> {
    arrival.recipient.iter().chain(&message.delivered_to).chain(&message.to).chain(&message.cc)
}

/// The part of an address that stands where `{token}` stands in the template.
fn tag<'a>(address: &'a Address, template: &str) -> Option<&'a str> {
    let (before, after) = template.split_once("{token}")?;
    let head = address.address.get(..before.len())?;
    let rest = address.address.get(before.len()..)?;
    let at = rest.len().checked_sub(after.len())?;
    (head.eq_ignore_ascii_case(before) && rest.get(at..)?.eq_ignore_ascii_case(after))
        .then(|| rest.get(..at))
        .flatten()
        .filter(|tag| !tag.is_empty())
}

/// The first `ACU-1042` of a subject, whole and in any case.
fn number_in(subject: &str, prefix: &str) -> Option<TicketNumber> {
    subject
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| word.len() > prefix.len() + 1)
        .filter(|word| word.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix)))
        .find_map(|word| TicketNumber::parse(word, prefix))
}

/// The ticket that a mail belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thread<'a> {
    /// This one.
    In(&'a TicketFacts, Reason),
    /// None, but it named this one: without a right to it, or too late.
    Mentions(&'a TicketFacts, Reason),
    /// None.
    New,
}

/// Finds the ticket. `trusted`: the sender's authentication did not fail, so that From may count as a participant.
pub fn find<'a>(facts: &'a Facts, trusted: bool, received: Timestamp, site: &Site) -> Thread<'a> {
    let in_time = |ticket: &TicketFacts| {
        ticket.state != TicketState::Closed
            || ticket.closed_at.is_none_or(|closed| received.duration_since(closed) <= site.reopen)
    };
    let known = || facts.by_reference.iter().map(|ticket| (ticket, Reason::Reference));
    let numbered = || facts.by_number.iter().map(|ticket| (ticket, Reason::SubjectNumber));
    let proven = facts
        .by_token
        .iter()
        .map(|ticket| (ticket, Reason::Token))
        .chain(known().chain(numbered()).filter(|(ticket, _)| trusted && ticket.participant));
    let mut late = None;
    for (ticket, reason) in proven {
        if in_time(ticket) {
            return Thread::In(ticket, reason);
        }
        late = late.or(Some(ticket));
    }
    match late {
        Some(ticket) => Thread::Mentions(ticket, Reason::ClosedLongAgo),
        None => known()
            .chain(numbered())
            .next()
            .map_or(Thread::New, |(ticket, _)| Thread::Mentions(ticket, Reason::NotParticipant)),
    }
}

/// The ticket that a note belongs to: a report, a receipt or a vacation notice proves nothing and needs nothing.
pub fn find_for_note(facts: &Facts) -> Option<&TicketFacts> {
    facts
        .by_token
        .first()
        .or_else(|| facts.by_reference.iter().find(|ticket| ticket.participant))
        .or_else(|| facts.by_number.as_ref().filter(|ticket| ticket.participant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_found_whole_and_in_any_case() {
        let number = |subject| number_in(subject, "ACU").map(|n| n.0);
        assert_eq!(number("Re: [ACU-12] caída"), Some(12));
        assert_eq!(number("acu-7"), Some(7));
        assert_eq!(number("caso ACU-12."), Some(12));
        assert_eq!(number("VACU-12"), None);
        assert_eq!(number("ACU-12-3"), None);
        assert_eq!(number("ACU-0"), None);
        assert_eq!(number("ACU-99999999999999999999"), None);
        assert_eq!(number("ñACU"), None);
    }

    #[test]
    fn a_tag_is_what_stands_for_the_token() {
        let address = |text: &str| Address { name: String::new(), address: text.to_owned() };
        let template = "soporte+{token}@mihost.example";
        assert_eq!(tag(&address("soporte+abc@mihost.example"), template), Some("abc"));
        assert_eq!(tag(&address("soporte@mihost.example"), template), None);
        assert_eq!(tag(&address("soporte+@mihost.example"), template), None);
        assert_eq!(tag(&address("ñ@mihost.example"), template), None);
    }
}
