//! Delivery reports on our acknowledgements, each tied to the row that it answers; which addresses can be reached.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::{Incoming, Result, Setting, Tx, ms};
use crate::mail::Bounce;
use crate::token::Claim;
use crate::triage::{Decision, Flag, Reason, hints};

/// How long a bounced address stays without acks.
const SUPPRESSED_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The row that a report answers.
struct Answered {
    id: i64,
    ticket: i64,
    recipient: String,
}

impl Tx<'_> {
    /// Notes a delivery report on its row; any other mail shows that its sender can be reached.
    pub(super) fn mind_reachability(
        &self,
        message: i64,
        mail: Incoming<'_>,
        decision: &Decision,
        setting: Setting<'_>,
    ) -> Result<()> {
        if !matches!(decision.reason, Reason::Bounce | Reason::DelayReport) {
            return match &mail.message.from {
                Some(from) if !decision.flags.contains(&Flag::AuthenticationFailed) => {
                    self.is_reachable(&from.address, setting.now)
                }
                _ => Ok(()),
            };
        }
        let hints = hints(mail.message, mail.arrival, setting.site);
        for claim in hints.envelope.into_iter().chain(hints.tokens) {
            if let (Some(row), Some(bounce)) = (self.answered(claim)?, &mail.message.bounce) {
                return self.note_report(&row, bounce, message, decision.reason, setting.now);
            }
        }
        Ok(())
    }

    fn is_reachable(&self, address: &str, now: Timestamp) -> Result<()> {
        self.alert_ends(now, BOUNCED, address)?; // raised by every failure, be it held against the address or not
        let mut delete = self.connection.prepare_cached("DELETE FROM suppression WHERE address = ?1")?;
        if delete.execute([address])? == 0 {
            return Ok(());
        }
        self.release_reachable(address, now)
    }

    fn answered(&self, claim: Claim) -> Result<Option<Answered>> {
        let mut query = self
            .connection
            .prepare_cached("SELECT id, ticket, recipient FROM outbox WHERE ticket = ?1 AND serial = ?2")?;
        let found = query.query_row(params![claim.ticket, claim.serial], |row| {
            Ok(Answered { id: row.get(0)?, ticket: row.get(1)?, recipient: row.get(2)? })
        });
        Ok(found.optional()?)
    }

    /// Only what is said of the row's own recipient counts against an address: a report can name anybody.
    fn note_report(
        &self,
        row: &Answered,
        bounce: &Bounce,
        message: i64,
        reason: Reason,
        now: Timestamp,
    ) -> Result<()> {
        let own = bounce.recipients.iter().find(|named| named.recipient == row.recipient);
        let named = own.or(bounce.recipients.first());
        let usual = if reason == Reason::Bounce { "failed" } else { "delayed" };
        let action = named.and_then(|named| named.action.as_deref()).unwrap_or(usual);
        let status = named.and_then(|named| named.status.as_deref());
        let other = named.filter(|_| own.is_none()).map(|other| format!("({})", other.recipient));
        let said = [Some(action), status, other.as_deref()];
        let report = said.into_iter().flatten().collect::<Vec<_>>().join(" ");
        self.connection
            .prepare_cached("UPDATE outbox SET reported = ?2, report = ?3 WHERE id = ?1")?
            .execute(params![row.id, ms(now), report])?;
        let kind = match action {
            "failed" => "bounced",
            "delayed" => "delayed",
            _ => "delivered", // or relayed, or expanded: it has left our hands
        };
        let recipient = named.map_or(&row.recipient, |named| &named.recipient);
        let detail = json!({ "outbox": row.id, "recipient": recipient, "action": action, "status": status });
        self.event(now, Some(row.ticket), Some(message), kind, &detail)?;
        if kind != "bounced" {
            return Ok(());
        }
        self.alert(now, BOUNCED, &row.recipient, &report)?;
        match own.and_then(|own| own.status.as_deref()) {
            Some(status) if is_bad_address(status) => self.suppress(&row.recipient, &report, now),
            _ => Ok(()),
        }
    }

    /// A relay that refuses the recipient at once says what a report would (RFC 2034 §4): `550 5.1.1 no such user`.
    pub(super) fn mind_refusal(&self, recipient: &str, reply: &str, now: Timestamp) -> Result<()> {
        match reply.split_whitespace().nth(1) {
            Some(status) if is_bad_address(status) => self.suppress(recipient, reply, now),
            _ => Ok(()),
        }
    }

    fn suppress(&self, address: &str, because: &str, now: Timestamp) -> Result<()> {
        let until = now.saturating_add(SUPPRESSED_FOR).unwrap_or(now);
        self.connection
            .prepare_cached(
                "INSERT INTO suppression (address, until, because) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET until = ?2, because = ?3",
            )?
            .execute(params![address, ms(until), because])?;
        Ok(())
    }
}

/// The kind of the alert that an acknowledgement came back.
const BOUNCED: &str = "ack_bounced";

/// RFC 3463 §3.2: X.1.x speaks of the addresses. X.1.7 and X.1.8 mean the sender's, which is ours.
fn is_bad_address(status: &str) -> bool {
    status.starts_with("5.1.") && !matches!(status, "5.1.7" | "5.1.8")
}
