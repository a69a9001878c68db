//! The outbox worker: one acknowledgement at a time, on one connection, counted before it is tried.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::backoff::{Backoff, jitter};
use super::{Shared, clock};
use crate::smtp::{Notify, Outcome, Outgoing, Relay, Step, Timeouts};
use crate::store::{Delivery, Due, StoreError, WriterGone};

/// Nothing is due: the outbox is looked at again after this at the latest, in case somebody else wrote to it.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// The relay does not answer: the worker waits up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// A deferred row is tried again after these minutes, the last one for ever.
const RETRY_MINUTES: [i64; 6] = [1, 2, 5, 10, 15, 30];
const HOUR: Duration = Duration::from_secs(3600);

/// What the last attempt came to, noted together with the next one's count.
struct Noted {
    id: i64,
    delivery: Delivery,
    offered: bool,
}

/// Sends what is due until the daemon stops.
pub(super) async fn run(shared: Shared) {
    let site = &shared.config.site;
    let mut relay = Relay::new(&shared.config.smtp, site.from.domain(), Timeouts::default());
    let mut backoff = Backoff::new(Duration::from_secs(1), LONGEST_WAIT);
    let mut pace = Pace { per_hour: site.limits.per_hour, sent: VecDeque::new() };
    let mut last: Option<Noted> = None;
    loop {
        let wait = pace.wait(Instant::now());
        let next = note_and_take(&shared, last.take(), wait.is_zero()).await;
        let due = match next {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(%error, "the outbox cannot be read; it is tried again");
                None
            }
        };
        let Some(due) = due else {
            relay.close().await;
            let until_due = next_attempt(&shared).await.unwrap_or(LOOK_AGAIN);
            tokio::select! {
                () = tokio::time::sleep(until_due.max(wait).min(LOOK_AGAIN)) => {}
                () = shared.outbox.notified() => {}
                () = shared.stop.cancelled() => return,
            }
            continue;
        };
        pace.sent.push_back(Instant::now());
        let outcome = offer(&mut relay, &shared, &due).await;
        log(&due, &outcome);
        let server_is_down =
            matches!(&outcome, Outcome::Deferred { step: Step::Connect | Step::Hello | Step::Auth, .. });
        last = Some(judge(&due, outcome, clock::now()));
        if server_is_down {
            let wait = backoff.next(jitter());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shared.stop.cancelled() => {}
            }
        } else {
            backoff.reset();
        }
        if shared.stop.is_cancelled() {
            if let Err(error) = note_and_take(&shared, last.take(), false).await {
                tracing::error!(%error, "the last attempt could not be noted; it is made once more");
            }
            relay.close().await;
            return;
        }
    }
}

/// Offers a row. A relay that refuses the null sender is asked once more with From as the envelope's sender.
async fn offer(relay: &mut Relay, shared: &Shared, due: &Due) -> Outcome {
    let notify = if due.sender.is_some() { Notify::Failure } else { Notify::Never };
    let mail = Outgoing { from: due.sender.as_deref(), to: &due.recipient, notify, bytes: &due.bytes };
    let outcome = relay.send(&mail).await;
    match &outcome {
        Outcome::Refused { step: Step::MailFrom, reply } if due.sender.is_none() => {
            tracing::warn!(%reply, "the relay refuses MAIL FROM:<>; trying with From. Set envelope_from = \"from\"");
            let from = shared.config.site.from.address.clone();
            relay.send(&Outgoing { from: Some(&from), notify: Notify::Failure, ..mail }).await
        }
        _ => outcome,
    }
}

fn judge(due: &Due, outcome: Outcome, now: Timestamp) -> Noted {
    let later = |reply: String| {
        let index = usize::try_from(due.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let minutes = RETRY_MINUTES.get(index).or(RETRY_MINUTES.last()).copied().unwrap_or(30);
        let wait = jiff::SignedDuration::from_mins(minutes);
        Delivery::Later(now.saturating_add(wait).unwrap_or(now), reply)
    };
    let (delivery, offered) = match outcome {
        Outcome::Sent { .. } => (Delivery::Sent, true),
        Outcome::Deferred { reply, step, .. } => (later(reply), step >= Step::Data),
        Outcome::Refused { reply, step } => (Delivery::Refused(reply), step >= Step::Data),
    };
    Noted { id: due.id, delivery, offered }
}

/// Notes the last attempt and counts the next one, in one commit.
async fn note_and_take(shared: &Shared, last: Option<Noted>, take: bool) -> Result<Option<Due>, StoreError> {
    let (config, policy) = (shared.config.clone(), shared.policy.clone());
    let stopping = shared.stop.is_cancelled();
    let done = shared
        .writer
        .call(move |store| {
            let now = clock::now();
            store.transaction(|tx| {
                if let Some(last) = &last {
                    tx.delivered(last.id, &last.delivery, last.offered, now)?;
                }
                if take && !stopping { tx.next_due(&config.site, &policy, now) } else { Ok(None) }
            })
        })
        .await;
    done.unwrap_or_else(|WriterGone| {
        shared.stop.cancel();
        Ok(None)
    })
}

/// How long until a row is due; `None`: nothing waits.
async fn next_attempt(shared: &Shared) -> Option<Duration> {
    let next = shared.writer.call(|store| store.read(|tx| tx.next_attempt())).await.ok()?.ok()??;
    Some(next.duration_since(clock::now()).max(jiff::SignedDuration::ZERO).unsigned_abs())
}

fn log(due: &Due, outcome: &Outcome) {
    let (ticket, attempt, to, message_id) = (due.ticket, due.attempts, &due.recipient, &due.message_id);
    match outcome {
        Outcome::Sent { reply } => tracing::info!(ticket, attempt, to, message_id, reply, "acknowledged"),
        Outcome::Deferred { reply, ambiguous, .. } => {
            tracing::warn!(ticket, attempt, to, message_id, reply, ambiguous, "acknowledgement deferred");
        }
        Outcome::Refused { reply, .. } => {
            tracing::error!(ticket, attempt, to, message_id, reply, "acknowledgement refused");
        }
    }
}

/// `[limits] per_hour`: a pace, so that nothing is lost by it.
struct Pace {
    per_hour: u32,
    sent: VecDeque<Instant>,
}

impl Pace {
    /// How long the next one must wait.
    fn wait(&mut self, now: Instant) -> Duration {
        while self.sent.front().is_some_and(|first| now.duration_since(*first) >= HOUR) {
            self.sent.pop_front();
        }
        let full = self.sent.len() >= usize::try_from(self.per_hour).unwrap_or(usize::MAX);
        self.sent
            .front()
            .filter(|_| full)
            .map_or(Duration::ZERO, |first| HOUR.saturating_sub(now.duration_since(*first)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_holds_back_only_what_is_over_it() {
        let start = Instant::now();
        let mut pace = Pace { per_hour: 2, sent: VecDeque::from([start, start + Duration::from_secs(60)]) };
        assert_eq!(pace.wait(start + Duration::from_secs(120)), Duration::from_secs(3480));
        assert_eq!(pace.wait(start + HOUR), Duration::ZERO);
    }
}
