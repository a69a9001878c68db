//! What the store knows that bears on a mail.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::{Entry, MessageId, Result, Tx, at, ms, word};
use crate::mail::{Address, AutomationKind, Message};
use crate::plan::Plans;
use crate::site::Site;
use crate::ticket::{PlanId, TicketNumber};
use crate::token::{Claim, NO_TICKET};
use crate::triage::{
    AckCounts, Arrival, CustomerFacts, Facts, Flag, PlanBecause, Seen, TicketFacts, hints, requester,
};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// How close three alike mails of a ticket system must come to join (docs/mail.md).
const ALIKE_WITHIN: SignedDuration = SignedDuration::from_mins(60);

impl Tx<'_> {
    /// Everything stored that the decision on this mail depends on.
    pub fn facts(
        &self,
        message: &Message,
        arrival: &Arrival,
        entry: Entry,
        site: &Site,
        plans: &Plans,
        now: Timestamp,
    ) -> Result<Facts> {
        let seen = self.seen(message)?.filter(|seen| entry.stored() != Some(MessageId(seen.message)));
        let facts = match seen {
            Some(seen) => Facts { seen: Some(seen), ..Facts::default() },
            None => self.facts_of_new(message, arrival, site, plans, now)?,
        };
        Ok(Facts { released: matches!(entry, Entry::Released(_)), ..facts })
    }

    fn facts_of_new(
        &self,
        message: &Message,
        arrival: &Arrival,
        site: &Site,
        plans: &Plans,
        now: Timestamp,
    ) -> Result<Facts> {
        let requester = requester(message, site);
        // as the promise: by when it arrived, however late it is read (I10)
        let customer = requester
            .map(|address| self.customer_of(address, plans, arrival.received))
            .transpose()?
            .flatten();
        let ticket = |number: i64| self.ticket_facts(number, requester, customer.as_ref());
        let hints = hints(message, arrival, site);
        let mut facts = Facts { customer: customer.clone(), ..Facts::default() };
        for claim in hints.envelope.iter().chain(&hints.tokens) {
            if self.is_ours(*claim)? {
                push_new(&mut facts.by_token, ticket(claim.ticket)?);
            }
        }
        for id in &hints.references {
            for number in self.tickets_with_message(id)? {
                push_new(&mut facts.by_reference, ticket(number)?);
            }
        }
        // whoever answers a notification speaks to acuse: the number in its subject is no answer to the customer
        let to_notification = hints.tokens.iter().any(|claim| claim.ticket == NO_TICKET);
        if let Some(number) = hints.number.filter(|_| !to_notification) {
            facts.by_number = ticket(number.0)?;
        }
        if let Some(address) = requester {
            // who writes from it can be reached: only of another's, as a web form's, is it held against them
            let is_author = message.from.as_ref() == Some(address);
            facts.undeliverable = !is_author && self.is_suppressed(address, now)?;
            facts.acks = self.ack_counts(address, now)?;
        }
        if message.automation.kind == AutomationKind::TicketSystem
            && let Some(address) = requester
        {
            facts.joins = self.third_alike(address, &message.subject, now)?;
        }
        Ok(facts)
    }

    /// Whether an acknowledgement of the ticket was signed with this claim. One that a restored database does not know
    /// proves nothing: its number may be another customer's by now.
    fn is_ours(&self, claim: Claim) -> Result<bool> {
        let mut query =
            self.connection.prepare_cached("SELECT 1 FROM outbox WHERE ticket = ?1 AND serial = ?2")?;
        Ok(query.exists(params![claim.ticket, claim.serial])?)
    }

    fn seen(&self, message: &Message) -> Result<Option<Seen>> {
        let mut query =
            self.connection.prepare_cached("SELECT id, ticket FROM message WHERE content_hash = ?1")?;
        let seen = query.query_row([&message.content_hash.0[..]], |row| {
            Ok(Seen { message: row.get(0)?, ticket: row.get::<_, Option<i64>>(1)?.map(TicketNumber) })
        });
        Ok(seen.optional()?)
    }

    /// The customer of an address: an address row beats any domain row; among rows of a kind, the highest plan that
    /// is active at that time. A `+tag` is looked up with and without.
    pub fn customer_of(
        &self,
        address: &Address,
        plans: &Plans,
        at: Timestamp,
    ) -> Result<Option<CustomerFacts>> {
        let (bare, _) = address.without_tag();
        let mut rows = self.connection.prepare_cached(
            "SELECT customer, name, language, plan, kind FROM customer_key
             WHERE (kind = 'address' AND key IN (?1, ?2) OR kind = 'domain' AND key = ?3)
               AND coalesce(valid_from, ?4) <= ?4 AND coalesce(valid_until, ?4 + 1) > ?4
             ORDER BY kind, customer",
        )?;
        let mut rows = rows.query(params![address.address, bare, address.domain(), ms(at)])?;
        let mut best: Option<CustomerFacts> = None;
        while let Some(row) = rows.next()? {
            let by = match row.get::<_, String>(4)?.as_str() {
                "address" => PlanBecause::AddressRow,
                _ => PlanBecause::DomainRow,
            };
            let language: Option<String> = row.get(2)?;
            let found = CustomerFacts {
                id: row.get(0)?,
                name: row.get(1)?,
                language: language.map(|text| word("customer_key.language", &text)).transpose()?,
                plan: PlanId(row.get(3)?),
                by,
            };
            best = Some(match best {
                None => found,
                Some(best) if found.by != best.by => best, // address rows come first
                Some(best) if plans.higher(&best.plan, &found.plan) == &best.plan => best,
                Some(_) => found,
            });
        }
        Ok(best)
    }

    /// The tickets that hold a message of this id, ours or theirs.
    fn tickets_with_message(&self, id: &str) -> Result<Vec<i64>> {
        let mut rows = self.connection.prepare_cached(
            "SELECT ticket FROM message WHERE message_id = ?1 AND ticket IS NOT NULL
             UNION SELECT ticket FROM outbox WHERE message_id = ?1 AND ticket IS NOT NULL ORDER BY 1 DESC LIMIT 10",
        )?;
        Ok(rows.query_map([id], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }

    fn ticket_facts(
        &self,
        number: i64,
        sender: Option<&Address>,
        customer: Option<&CustomerFacts>,
    ) -> Result<Option<TicketFacts>> {
        let mut query = self.connection.prepare_cached(
            "SELECT state, closed_at, impact, plan, (SELECT due_by FROM promise WHERE ticket = ticket.id AND ended IS NULL),
                    case_id, instr(' ' || flags || ' ', ' ' || ?4 || ' '), customer, EXISTS (SELECT 1 FROM participant WHERE ticket = ticket.id AND address IN (?2, ?3))
             FROM ticket WHERE id = ?1",
        )?;
        let address = sender.map(|sender| sender.address.as_str());
        let bare = sender.map(|sender| sender.without_tag().0);
        let mut rows = query.query(params![number, address, bare, Flag::Unclassified.as_str()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let same_customer = row
            .get::<_, Option<i64>>(7)?
            .is_some_and(|id| customer.is_some_and(|customer| customer.id == id));
        Ok(Some(TicketFacts {
            number: TicketNumber(number),
            state: word("ticket.state", &row.get::<_, String>(0)?)?,
            closed_at: row.get::<_, Option<i64>>(1)?.map(at),
            impact: word("ticket.impact", &row.get::<_, String>(2)?)?,
            case: row.get(5)?,
            unclassified: row.get(6)?,
            plan: PlanId(row.get(3)?),
            due_by: row.get::<_, Option<i64>>(4)?.map(at),
            participant: row.get::<_, bool>(8)? || same_customer,
        }))
    }

    fn is_suppressed(&self, address: &Address, now: Timestamp) -> Result<bool> {
        let mut query =
            self.connection.prepare_cached("SELECT 1 FROM suppression WHERE address = ?1 AND until > ?2")?;
        Ok(query.exists(params![address.address, ms(now)])?)
    }

    /// Acks made out since an hour and a day ago; what expired unsent does not count, nor what a clock that was ahead
    /// made out in the future. An address counts with all its `+tag`s: whoever has it has as many as he likes.
    fn ack_counts(&self, address: &Address, now: Timestamp) -> Result<AckCounts> {
        let since = |span| ms(now.saturating_sub(span).unwrap_or_default());
        let until = ms(now.saturating_add(HOUR).unwrap_or(now));
        let mut query = self.connection.prepare_cached(
            "SELECT count(*) FILTER (WHERE created > ?4), count(*),
                    (SELECT count(*) FROM outbox WHERE domain = ?3 AND created > ?4 AND created <= ?6
                        AND state != 'expired' AND kind != 'notify')
             FROM (SELECT created FROM outbox WHERE recipient = ?1
                        AND created > ?5 AND created <= ?6 AND state != 'expired' AND kind != 'notify'
                   UNION ALL
                   SELECT created FROM outbox WHERE recipient > ?2 || '+' AND recipient < ?2 || ',' -- , follows +
                        AND domain = ?3
                        AND created > ?5 AND created <= ?6 AND state != 'expired' AND kind != 'notify')",
        )?;
        let (bare, _) = address.without_tag();
        let local = bare.rsplit_once('@').map_or("", |(local, _)| local);
        let row = params![bare, local, address.domain(), since(HOUR), since(DAY), until];
        Ok(query.query_row(row, |row| {
            Ok(AckCounts { address_hour: row.get(0)?, address_day: row.get(1)?, domain_hour: row.get(2)? })
        })?)
    }

    /// The first ticket of a sender and subject that came twice already within the hour: the third joins it.
    fn third_alike(&self, sender: &Address, subject: &str, now: Timestamp) -> Result<Option<TicketNumber>> {
        let since = ms(now.saturating_sub(ALIKE_WITHIN).unwrap_or_default());
        let mut query = self.connection.prepare_cached(
            "SELECT count(*), min(ticket) FROM message
             WHERE sender = ?1 AND subject = ?2 AND received > ?3 AND ticket IS NOT NULL",
        )?;
        let (alike, first): (u32, Option<i64>) =
            query.query_row(params![sender.address, subject, since], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(first.filter(|_| alike >= 2).map(TicketNumber))
    }
}

fn push_new(tickets: &mut Vec<TicketFacts>, ticket: Option<TicketFacts>) {
    if let Some(ticket) = ticket
        && !tickets.iter().any(|known| known.number == ticket.number)
    {
        tickets.push(ticket);
    }
}
