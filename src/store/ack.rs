//! Acknowledgements: composed in the transaction of their cause, replaced by the late text before the first offer (I5).

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::packed::unpack;
use super::{Fresh, Incoming, Result, Setting, StoreError, Tx, ms};
use crate::mail::Message;
use crate::policy::Policy;
use crate::reply::{Composed, Reply, ReplyKind, compose, header};
use crate::site::{EnvelopeFrom, Site};
use crate::ticket::TicketNumber;
use crate::token::{Claim, Purpose};
use crate::triage::{Arrival, Decision, PlanBecause, requester};

impl Tx<'_> {
    /// Composes the acknowledgement that a decision wants, and puts it into the outbox.
    pub(super) fn put_ack(
        &self,
        ticket: i64,
        message: i64,
        promise: Option<i64>,
        mail: Incoming<'_>,
        decision: &Decision,
        setting: Setting<'_>,
    ) -> Result<()> {
        let site = setting.site;
        let (Some(kind), Some(to)) = (decision.ack.kind, requester(mail.message, site)) else {
            return Ok(());
        };
        let claim = Claim { ticket, serial: (setting.fresh.0 >> 1).cast_signed() };
        let message_id = format!("{}@{}", site.keys.sign(Purpose::MessageId, claim), site.from.domain());
        let name = mail.facts.customer.as_ref().and_then(|customer| customer.name.as_deref());
        let letter = Letter { ticket, kind, message_id: &message_id, claim, customer_name: name };
        let Some(composed) = write(&letter, mail.message, mail.arrival, decision, setting) else {
            return Ok(());
        };
        let sender = match &site.envelope_from {
            EnvelopeFrom::Null => None,
            EnvelopeFrom::From => Some(site.from.address.clone()),
            EnvelopeFrom::Tagged(template) => {
                Some(template.replace("{token}", &site.keys.sign(Purpose::Envelope, claim)))
            }
        };
        let expires = mail.arrival.received.saturating_add(site.max_age).unwrap_or(setting.now);
        self.connection
            .prepare_cached(
                "INSERT INTO outbox (ticket, message, promise, kind, recipient, domain, sender, serial, message_id,
                                     state, created, next_attempt, expires, known)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'due', ?10, ?10, ?11, ?12)",
            )?
            .execute(params![
                ticket,
                message,
                promise,
                kind.as_str(),
                to.address,
                to.domain(),
                sender,
                claim.serial,
                message_id,
                ms(setting.now),
                ms(expires),
                mail.facts.customer.is_some(),
            ])?;
        self.put_letter(self.connection.last_insert_rowid(), &composed.bytes)
    }

    /// Puts a text without its promise in the place of a row's bytes: it passed before it was first offered (I5).
    ///
    /// # Errors
    /// Also when the text cannot be written, for want of the mail or of what was promised: the row is as it was.
    pub fn make_late(&self, row: i64, site: &Site, policy: &Policy, now: Timestamp) -> Result<()> {
        let kind: String =
            self.connection.query_row("SELECT kind FROM outbox WHERE id = ?1", [row], |row| row.get(0))?;
        let kind = ReplyKind::ALL.into_iter().find(|known| known.as_str() == kind).unwrap_or(ReplyKind::Late);
        self.rewrite(row, kind.overdue(), site, policy, now)
    }

    /// Composes a row's bytes anew, before they were first offered: of the promise that it makes now, and of the case that
    /// the ticket has by now.
    pub(super) fn rewrite(
        &self,
        row: i64,
        kind: ReplyKind,
        site: &Site,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<()> {
        let found = self
            .connection
            .query_row(
                "SELECT outbox.ticket, serial, outbox.message_id, message.decision, raw.zstd, raw.size, message.received,
                        outbox.promise, ticket.case_id
                 FROM outbox JOIN message ON message.id = outbox.message JOIN raw ON raw.hash = message.raw
                 JOIN ticket ON ticket.id = outbox.ticket
                 WHERE outbox.id = ?1 AND offered = 0",
                [row],
                |row| {
                    Ok((
                        Claim { ticket: row.get(0)?, serial: row.get(1)? },
                        (row.get::<_, String>(2)?, row.get::<_, String>(3)?),
                        (row.get::<_, Vec<u8>>(4)?, row.get::<_, i64>(5)?, row.get::<_, i64>(6)?),
                        (row.get::<_, Option<i64>>(7)?, row.get::<_, Option<String>>(8)?),
                    ))
                },
            )
            .optional()?;
        let unwritable = |why: &str| StoreError::Unreadable { what: "outbox", why: why.to_owned() };
        let (claim, (message_id, decision), (packed, size, received), (promise, case)) =
            found.ok_or_else(|| unwritable("the mail that is acknowledged is not there"))?;
        let mut decision = super::tickets::decision(&decision)?;
        decision.case = case;
        if let Some(promise) = promise.map(|id| self.promise(id)).transpose()?.flatten() {
            let promise = promise.made()?;
            decision.impact = promise.impact;
            decision.promise = Some(promise);
        }
        let raw = unpack(&packed, size)?;
        let message = crate::mail::parse(&raw);
        let arrival = Arrival {
            mailbox: String::new(),
            recipient: None,
            received: super::at(received),
            backlog: false,
        };
        let customer = requester(&message, site)
            .map(|address| self.customer_of(address, &policy.plans, arrival.received))
            .transpose()?
            .flatten();
        let letter = Letter {
            ticket: claim.ticket,
            kind,
            message_id: &message_id,
            claim,
            customer_name: customer.as_ref().and_then(|customer| customer.name.as_deref()),
        };
        let setting = Setting { site, policy, fresh: Fresh(0), now };
        let composed = write(&letter, &message, &arrival, &decision, setting)
            .ok_or_else(|| unwritable("the mail names nobody to answer, or nothing was promised"))?;
        self.connection.execute("UPDATE outbox SET kind = ?2 WHERE id = ?1", params![row, kind.as_str()])?;
        self.connection
            .execute("UPDATE letter SET bytes = ?2 WHERE outbox = ?1", params![row, composed.bytes])?;
        Ok(())
    }
}

/// The parts of an acknowledgement that the decision does not hold.
struct Letter<'a> {
    ticket: i64,
    kind: ReplyKind,
    message_id: &'a str,
    claim: Claim,
    customer_name: Option<&'a str>,
}

fn write(
    letter: &Letter<'_>,
    message: &Message,
    arrival: &Arrival,
    decision: &Decision,
    setting: Setting<'_>,
) -> Option<Composed> {
    let Setting { site, policy, now, .. } = setting;
    let promise = decision.promise.as_ref()?;
    let plan = policy.plans.plan_or_default(&promise.plan);
    let ours = crate::triage::thread::recipients(message, arrival).find(|address| site.is_ours(address));
    let written_to = ours.and_then(|address| {
        site.addresses
            .iter()
            .find(|ours| ours.address == address.address || ours.address == address.without_tag().0)
    });
    let reply_to = site
        .reply_to
        .as_ref()
        .map(|template| template.replace("{token}", &site.keys.sign(Purpose::ReplyAddress, letter.claim)));
    let reply = Reply {
        kind: letter.kind,
        language: decision.ack.language,
        to: requester(message, site)?,
        customer_name: letter.customer_name,
        known_sender: decision.plan.because != PlanBecause::Default,
        number: &TicketNumber(letter.ticket).with_prefix(&site.prefix),
        impact: decision.impact,
        case: decision.named_case(policy),
        plan,
        promise,
        calendar: &policy.calendar,
        support_address: written_to.unwrap_or(&site.from),
        subject: &message.subject,
        in_reply_to: message.message_id.as_deref(),
        references: header::ancestors(message),
        message_id: letter.message_id,
        loop_token: &site.keys.sign(Purpose::Loop, letter.claim),
        reply_to: reply_to.as_deref(),
        now,
    };
    Some(compose(&reply, site, &policy.replies))
}
