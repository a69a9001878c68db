//! What a person does to an acknowledgement: try it again, drop it, let it go.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::queue::MOOT;
use super::{HeldBy, OutboxState};
use crate::store::{Result, Tx, ms};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Offer it now, be it refused, expired, held or due.
    Retry,
    /// Never send it.
    Drop,
    /// Hold it no longer.
    Release,
}

/// Why an order is not carried out. Then none of its rows was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such row.
    #[error("there is no acknowledgement {0}")]
    Unknown(i64),
    /// It has arrived, or may have: a second copy would be a second acknowledgement (I5).
    #[error("acknowledgement {0} was sent: the customer has it, and must not get it twice")]
    Sent(i64),
    /// The worker has it in hand.
    #[error("acknowledgement {0} is being offered to the relay at this moment")]
    Sending(i64),
    /// It never goes out as it is.
    #[error("acknowledgement {0} has expired already")]
    Expired(i64),
    /// There is nothing to let go.
    #[error("acknowledgement {0} is not held, but {state}", state = .1.as_str())]
    NotHeld(i64, OutboxState),
    /// Nobody needs it any more.
    #[error("acknowledgement {0} is of no use any more: its promise is {1}")]
    Moot(i64, String),
}

impl Tx<'_> {
    /// The rows that are held, oldest first.
    pub fn held(&self) -> Result<Vec<i64>> {
        let mut rows = self.connection.prepare("SELECT id FROM outbox WHERE state = 'held' ORDER BY id")?;
        Ok(rows.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }

    /// Carries out an order on all these rows, or on none. What waits past its time gets `max_age` more.
    pub fn order(
        &self,
        order: Order,
        ids: &[i64],
        max_age: SignedDuration,
        now: Timestamp,
    ) -> Result<std::result::Result<(), Refusal>> {
        let mut rows = Vec::new();
        for id in ids {
            let Some((state, recipient)) = self.state_of(*id)? else { return Ok(Err(Refusal::Unknown(*id))) };
            if let Some(refusal) = self.refusal(order, *id, state, now)? {
                return Ok(Err(refusal));
            }
            rows.push((*id, state, recipient));
        }
        for (id, state, recipient) in rows {
            match order {
                Order::Drop => self.drop_by_hand(id, now)?,
                Order::Retry => self.make_due(id, "retried", state, max_age, now)?,
                Order::Release => self.make_due(id, "released", state, max_age, now)?,
            }
            self.calm(state, &recipient, now)?;
        }
        Ok(Ok(()))
    }

    fn refusal(&self, order: Order, id: i64, state: OutboxState, now: Timestamp) -> Result<Option<Refusal>> {
        use OutboxState as State;
        Ok(match (order, state) {
            (Order::Release, State::Held) => None,
            (Order::Release, _) => Some(Refusal::NotHeld(id, state)),
            (_, State::Sent) => Some(Refusal::Sent(id)),
            (_, State::Sending) => Some(Refusal::Sending(id)),
            (Order::Drop, State::Expired) => Some(Refusal::Expired(id)),
            (Order::Drop, _) => None,
            (Order::Retry, _) => self.moot(id, now)?.map(|ended_by| Refusal::Moot(id, ended_by)),
        })
    }

    fn moot(&self, id: i64, now: Timestamp) -> Result<Option<String>> {
        let mut query = self.connection.prepare_cached(&format!(
            "SELECT {MOOT} FROM outbox LEFT JOIN promise ON promise.id = outbox.promise WHERE outbox.id = ?2"
        ))?;
        Ok(query.query_row([ms(now), id], |row| row.get(0))?)
    }

    /// Due, and held by nothing from now on: what is known of its address, or the breaker, would hold it again at once.
    fn make_due(
        &self,
        id: i64,
        kind: &str,
        was: OutboxState,
        max_age: SignedDuration,
        now: Timestamp,
    ) -> Result<()> {
        let expires = now.saturating_add(max_age).unwrap_or(now);
        let ticket: Option<i64> = self
            .connection
            .prepare_cached(
                "UPDATE outbox SET state = 'due', next_attempt = ?2, held_by = coalesce(held_by, ?4),
                        expires = CASE WHEN expires <= ?2 THEN ?3 ELSE expires END
                 WHERE id = ?1 RETURNING ticket",
            )?
            .query_row(params![id, ms(now), ms(expires), HeldBy::Person.as_str()], |row| row.get(0))?;
        self.event(now, ticket, None, kind, &json!({ "outbox": id, "was": was }))
    }

    fn drop_by_hand(&self, id: i64, now: Timestamp) -> Result<()> {
        let ticket: Option<i64> = self
            .connection
            .prepare_cached(
                "UPDATE outbox SET state = 'expired', last_error = 'dropped by hand' WHERE id = ?1 RETURNING ticket",
            )?
            .query_row([id], |row| row.get(0))?;
        self.event(now, ticket, None, "dropped", &json!({ "outbox": id }))
    }

    /// The relay took a mail for this address: what it refused before, or took too late, is past.
    pub(super) fn calm_all(&self, recipient: &str, now: Timestamp) -> Result<()> {
        self.alert_ends(now, "ack_refused", recipient)?;
        self.alert_ends(now, "ack_expired", recipient)?;
        self.calm(OutboxState::Held, recipient, now)
    }

    /// It has been seen to: the alert on an address ends with the last of its rows in that state.
    pub(super) fn calm(&self, was: OutboxState, recipient: &str, now: Timestamp) -> Result<()> {
        let kind = match was {
            OutboxState::Held => "ack_held",
            OutboxState::Refused => "ack_refused",
            OutboxState::Expired => "ack_expired",
            OutboxState::Due | OutboxState::Sending | OutboxState::Sent => return Ok(()),
        };
        let mut others = self
            .connection
            .prepare_cached("SELECT 1 FROM outbox WHERE recipient = ?1 AND state = ?2 LIMIT 1")?;
        let left: Option<i64> = others.query_row([recipient, was.as_str()], |row| row.get(0)).optional()?;
        if left.is_some() { Ok(()) } else { self.alert_ends(now, kind, recipient) }
    }

    /// Somebody wrote from an address that bounced: what waited for that goes out.
    pub(in crate::store) fn release_reachable(&self, address: &str, now: Timestamp) -> Result<()> {
        match self.let_go(HeldBy::Undeliverable, Some(address), now)? {
            0 => Ok(()),
            _ => self.calm(OutboxState::Held, address, now),
        }
    }

    /// What a holder held, all of it or an address's, is due; the late text, and `expires`, are the worker's business.
    pub(super) fn let_go(&self, holder: HeldBy, address: Option<&str>, now: Timestamp) -> Result<usize> {
        let mut update = self.connection.prepare_cached(
            "UPDATE outbox SET state = 'due', next_attempt = ?3
             WHERE state = 'held' AND held_by = ?1 AND recipient = coalesce(?2, recipient) RETURNING id, ticket",
        )?;
        let freed = update
            .query_map(params![holder.as_str(), address, ms(now)], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<Vec<(i64, Option<i64>)>>>()?;
        for (id, ticket) in &freed {
            self.event(now, *ticket, None, "released", &json!({ "outbox": id, "because": holder }))?;
        }
        Ok(freed.len())
    }
}
