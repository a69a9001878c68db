//! The worker's side of the outbox: what may be offered now, counted before it is, and what came of it (I5).

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::{BYTES, HeldBy, OutboxState};
use crate::policy::Policy;
use crate::site::Site;
use crate::store::{Result, Tx, at, ms};
use crate::token::{Claim, NO_TICKET};

/// A row whose attempt is counted: it may be offered now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Its row.
    pub id: i64,
    /// The ticket's number, and what our tokens in it are signed with.
    pub claim: Claim,
    /// The one recipient.
    pub recipient: String,
    /// The envelope's sender; `None`: `<>`.
    pub sender: Option<String>,
    /// What is sent.
    pub bytes: Vec<u8>,
    /// Our Message-ID.
    pub message_id: String,
    /// Attempts, this one included.
    pub attempts: u32,
    /// It was sent whole before, and no answer came: the relay may have it.
    pub unanswered: bool,
}

impl Due {
    /// It goes to staff, about whatever there is to tell; else it is an acknowledgement.
    pub fn is_notification(&self) -> bool {
        self.claim.ticket == NO_TICKET
    }
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Accepted.
    Sent,
    /// The relay never heard of it, for this reason, or because it was not its turn: it stays as it was.
    Untried(Option<String>),
    /// Again at this time, for this reason.
    Later(Timestamp, String),
    /// The same, once: it was sent whole, and no answer came.
    OnceMore(Timestamp, String),
    /// It was sent whole for the second time, and no answer came: a person decides.
    Unanswered(String),
    /// Never, for this reason.
    Refused(String),
}

/// What a look at the rows that are due came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// The next that may be offered; `None`: nothing may go out.
    pub first: Option<i64>,
    /// How many were held back; those that the breaker holds apart, which has an alert of its own.
    pub held: usize,
}

/// What may be offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// Whatever is due.
    Anything,
    /// Notifications to staff: the pace is for acknowledgements.
    Notifications,
}

/// So long acknowledgements may wait before that is an alert.
const WAITING: SignedDuration = SignedDuration::from_mins(30);
/// The alert that they wait for longer.
const WAITS: (&str, &str) = ("outbox_waits", "outbox");

/// A row that is due, before its attempt.
#[derive(Debug)]
struct Waiting {
    id: i64,
    /// It need not be sent any more: how its promise ended.
    moot: Option<String>,
    /// Its promise passed, and it may still say so.
    is_late: bool,
    /// To be held back, by whom.
    hold: Option<HeldBy>,
}

/// How the promise ended of a row that nobody needs any more, at the time `?1`. What was never offered is moot when its
/// promise is over: a person answered, the ticket was closed, or a later promise has a mail of its own, or its hour has
/// passed as well.
pub(super) const MOOT: &str = "CASE WHEN offered = 0 AND (ended_by != 'superseded' OR due_by < ?1 OR EXISTS (
        SELECT 1 FROM outbox AS later WHERE later.ticket = outbox.ticket
        AND later.promise > outbox.promise AND later.state NOT IN ('refused', 'expired')
    )) THEN ended_by END";

impl Tx<'_> {
    /// Expires what is too old, held or not, and brings back what a clock set back put too far ahead: no row waits longer
    /// than `longest`. `may_expire`: the clock can be trusted so far.
    /// How many expired that somebody waits for.
    pub fn tend(&self, longest: SignedDuration, may_expire: bool, now: Timestamp) -> Result<usize> {
        let expired = if may_expire { self.expire(now)? } else { 0 };
        self.connection
            .prepare_cached("UPDATE outbox SET next_attempt = ?1 WHERE state = 'due' AND next_attempt > ?2")?
            .execute([ms(now), ms(now.saturating_add(longest).unwrap_or(Timestamp::MAX))])?;
        Ok(expired)
    }

    /// The next row that may be offered, once it is put right: drops what is of no use any more, holds back what must be,
    /// puts the late text where the promise passed. `breaker`: it has tripped. `only`: what it may be.
    pub fn first_ready(
        &self,
        site: &Site,
        policy: &Policy,
        breaker: bool,
        only: Only,
        now: Timestamp,
    ) -> Result<Ready> {
        let mut held = 0;
        while let Some(row) = self.first_due(breaker, only, now)? {
            if let Some(ended_by) = row.moot {
                self.drop_moot(row.id, &ended_by, now)?;
            } else if let Some(holder) = row.hold {
                self.hold(row.id, holder, None, now)?;
                held += usize::from(holder != HeldBy::Breaker);
            } else if row.is_late
                && let Err(error) = self.savepoint(|tx| tx.make_late(row.id, site, policy, now))
            {
                if error.is_temporary() {
                    return Err(error);
                }
                // No promise goes out that has passed, and no row holds up the others.
                self.hold(row.id, HeldBy::Unwritable, Some(&error.to_string()), now)?;
                held += 1;
            } else {
                return Ok(Ready { first: Some(row.id), held });
            }
        }
        Ok(Ready { first: None, held })
    }

    /// The row that waits longest. What was held once and released is not held again.
    fn first_due(&self, breaker: bool, only: Only, now: Timestamp) -> Result<Option<Waiting>> {
        let mut query = self.connection.prepare_cached(&format!(
            "SELECT outbox.id, {MOOT},
                    offered = 0 AND kind != 'late' AND coalesce(due_by < ?1, 0),
                    held_by IS NULL AND kind != 'notify'
                        AND EXISTS (SELECT 1 FROM suppression WHERE address = recipient AND until > ?1),
                    held_by IS NULL AND known = 0
             FROM outbox LEFT JOIN promise ON promise.id = outbox.promise
             WHERE outbox.state = 'due' AND next_attempt <= ?1 AND (?2 OR kind = 'notify')
             ORDER BY next_attempt, outbox.id LIMIT 1"
        ))?;
        let found = query.query_row(params![ms(now), only == Only::Anything], |row| {
            let (undeliverable, stranger): (bool, bool) = (row.get(3)?, row.get(4)?);
            let breaker = (breaker && stranger).then_some(HeldBy::Breaker);
            let hold = if undeliverable { Some(HeldBy::Undeliverable) } else { breaker };
            Ok(Waiting { id: row.get(0)?, moot: row.get(1)?, is_late: row.get(2)?, hold })
        });
        Ok(found.optional()?)
    }

    /// Nobody heard of the promise, and nobody needs to any more.
    fn drop_moot(&self, id: i64, ended_by: &str, now: Timestamp) -> Result<()> {
        let ticket: Option<i64> = self.connection.query_row(
            "UPDATE outbox SET state = 'expired' WHERE id = ?1 RETURNING ticket",
            [id],
            |row| row.get(0),
        )?;
        self.event(now, ticket, None, "expired", &json!({ "outbox": id, "because": ended_by }))
    }

    /// Counts an attempt before it is made.
    pub fn take(&self, id: i64) -> Result<Due> {
        Ok(self
            .connection
            .prepare_cached(&format!(
                "UPDATE outbox SET state = 'sending', attempts = attempts + 1 WHERE id = ?1
                 RETURNING id, ticket, serial, recipient, sender, {BYTES}, message_id, attempts, unanswered"
            ))?
            .query_row([id], |row| {
                Ok(Due {
                    id: row.get(0)?,
                    claim: Claim {
                        ticket: row.get::<_, Option<i64>>(1)?.unwrap_or(NO_TICKET),
                        serial: row.get(2)?,
                    },
                    recipient: row.get(3)?,
                    sender: row.get(4)?,
                    bytes: row.get(5)?,
                    message_id: row.get(6)?,
                    attempts: row.get(7)?,
                    unanswered: row.get(8)?,
                })
            })?)
    }

    /// Holds a row back. The breaker's own alert stands for all that it holds.
    pub(super) fn hold(&self, id: i64, holder: HeldBy, error: Option<&str>, now: Timestamp) -> Result<()> {
        let (ticket, recipient): (Option<i64>, String) = self
            .connection
            .prepare_cached(
                "UPDATE outbox SET state = 'held', held_by = ?2, last_error = coalesce(?3, last_error)
                 WHERE id = ?1 RETURNING ticket, recipient",
            )?
            .query_row(params![id, holder.as_str(), error], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let detail = json!({ "outbox": id, "because": holder, "error": error });
        self.event(now, ticket, None, "held", &detail)?;
        if holder == HeldBy::Breaker {
            return Ok(());
        }
        self.alert(now, "ack_held", &recipient, error.unwrap_or(holder.meaning()))
    }

    /// Notes what an attempt came to; nothing when the row is gone, or was noted before. `offered`: the message itself was
    /// begun, so its bytes are frozen.
    pub fn delivered(&self, id: i64, delivery: &Delivery, offered: bool, now: Timestamp) -> Result<()> {
        let (state, next, error) = match delivery {
            Delivery::Sent => ("sent", None, None),
            Delivery::Untried(error) => ("due", None, error.as_ref()),
            Delivery::Later(next, error) | Delivery::OnceMore(next, error) => {
                ("due", Some(*next), Some(error))
            }
            Delivery::Unanswered(error) => ("due", None, Some(error)), // and held below
            Delivery::Refused(error) => ("refused", None, Some(error)),
        };
        let untried = matches!(delivery, Delivery::Untried(_));
        let unanswered = matches!(delivery, Delivery::OnceMore(..) | Delivery::Unanswered(_));
        let noted: Option<(Option<i64>, u32, String)> = self
            .connection
            .prepare_cached(
                "UPDATE outbox SET state = ?2, next_attempt = coalesce(?3, next_attempt),
                        last_error = coalesce(?4, CASE WHEN ?7 THEN last_error END),
                        sent = CASE WHEN ?2 = 'sent' THEN ?5 END,
                        offered = offered OR ?6,
                        tried = CASE WHEN ?7 THEN tried ELSE ?5 END,
                        attempts = attempts - ?7,
                        unanswered = unanswered OR ?8
                 WHERE id = ?1 AND state = 'sending' RETURNING ticket, attempts, recipient",
            )?
            .query_row(
                params![id, state, next.map(ms), error, ms(now), offered, untried, unanswered],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        let Some((ticket, attempts, recipient)) = noted else { return Ok(()) };
        let kind = match delivery {
            Delivery::Sent if ticket.is_none() => "notified",
            Delivery::Sent => "acknowledged",
            Delivery::Refused(_) => "refused",
            Delivery::Later(..) | Delivery::OnceMore(..) | Delivery::Untried(_) => return Ok(()),
            Delivery::Unanswered(error) => return self.hold(id, HeldBy::Unanswered, Some(error), now),
        };
        let detail = json!({ "outbox": id, "attempts": attempts, "error": error });
        self.event(now, ticket, None, kind, &detail)?;
        let Some(error) = error else { return self.calm_all(&recipient, now) };
        self.mind_refusal(&recipient, error, now)?;
        self.alert(now, "ack_refused", &recipient, error)
    }

    /// When the next row is due; `None`: none waits.
    pub fn next_attempt(&self) -> Result<Option<Timestamp>> {
        let sql = "SELECT min(next_attempt) FROM outbox WHERE state = 'due'";
        let next: Option<i64> = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(next.map(at))
    }

    /// When the relay heard of each acknowledgement since then, oldest first: a row counts once.
    pub fn tried_since(&self, since: Timestamp) -> Result<Vec<Timestamp>> {
        let sql = "SELECT tried FROM outbox WHERE tried > ?1 AND kind != 'notify' ORDER BY tried";
        let mut rows = self.connection.prepare(sql)?;
        let rows = rows.query_map([ms(since)], |row| row.get(0).map(at))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Why nothing goes out: an alert, and a word on the row that waits longest.
    pub fn relay_fails(&self, relay: &str, error: &str, now: Timestamp) -> Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE outbox SET last_error = ?1 WHERE id = (
                    SELECT id FROM outbox WHERE state = 'due' ORDER BY next_attempt, id LIMIT 1
                 )",
            )?
            .execute([error])?;
        self.alert(now, RELAY_FAILS, relay, error)
    }

    /// The relay serves again.
    pub fn relay_works(&self, relay: &str, now: Timestamp) -> Result<()> {
        self.alert_ends(now, RELAY_FAILS, relay)
    }

    /// Raises the alert that acknowledgements wait too long, or ends it.
    pub fn mind_waiting(&self, now: Timestamp) -> Result<()> {
        let before = now.saturating_sub(WAITING).unwrap_or(Timestamp::MIN);
        let sql = "SELECT count(*) FROM outbox WHERE state = 'due' AND kind != 'notify' AND created <= ?1";
        let waiting: i64 = self.connection.prepare_cached(sql)?.query_row([ms(before)], |row| row.get(0))?;
        match (waiting > 0, self.alert_stands(WAITS.0, WAITS.1)?) {
            (true, false) => {
                let detail = format!("{waiting} acknowledgements have waited for more than half an hour");
                self.alert(now, WAITS.0, WAITS.1, &detail)
            }
            (false, true) => self.alert_ends(now, WAITS.0, WAITS.1),
            _ => Ok(()),
        }
    }

    /// After a start: what was being offered when the last run ended is due again, its bytes frozen: nobody knows how
    /// far it came.
    pub fn reoffer(&self, now: Timestamp) -> Result<usize> {
        let sql = "UPDATE outbox SET state = 'due', offered = 1, tried = ?1 WHERE state = 'sending'";
        Ok(self.connection.execute(sql, [ms(now)])?)
    }

    /// Who is still waiting has heard nothing, and will not any more: an alert, unless nobody needs it.
    fn expire(&self, now: Timestamp) -> Result<usize> {
        let mut expired = 0;
        let mut old = self.connection.prepare_cached(&format!(
            "SELECT outbox.id, outbox.ticket, recipient, held_by, {MOOT}
             FROM outbox LEFT JOIN promise ON promise.id = outbox.promise
             WHERE outbox.state IN ('due', 'held') AND expires <= ?1"
        ))?;
        type Old = (i64, Option<i64>, String, Option<String>, Option<String>);
        let old = old
            .query_map([ms(now)], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })?
            .collect::<rusqlite::Result<Vec<Old>>>()?;
        for (id, ticket, recipient, held_by, moot) in old {
            if let Some(ended_by) = moot {
                self.drop_moot(id, &ended_by, now)?;
                self.calm(OutboxState::Held, &recipient, now)?;
                continue;
            }
            self.connection
                .prepare_cached("UPDATE outbox SET state = 'expired' WHERE id = ?1")?
                .execute([id])?;
            self.calm(OutboxState::Held, &recipient, now)?;
            self.event(now, ticket, None, "expired", &json!({ "outbox": id, "held_by": held_by }))?;
            // a flood must not become one of alerts
            let by_breaker = held_by.as_deref() == Some(HeldBy::Breaker.as_str());
            let subject = if by_breaker { HeldBy::Breaker.as_str() } else { recipient.as_str() };
            self.alert(now, "ack_expired", subject, "an acknowledgement could not be sent in time")?;
            expired += 1;
        }
        Ok(expired)
    }
}

/// The kind of the alert that the relay does not serve.
const RELAY_FAILS: &str = "relay_fails";
