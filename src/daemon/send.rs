//! The outbox worker: one acknowledgement at a time, on one connection, counted before it is tried.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::backoff::{Backoff, jitter};
use super::{Shared, clock};
use crate::smtp::{Notify, Outcome, Outgoing, Relay, Step, Timeouts};
use crate::store::{Delivery, Due, StoreError, Tx, WriterGone};

/// Nothing is due: the outbox is looked at again after this at the latest, in case the clock was set.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// The relay does not answer: the worker waits up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// The database does not answer: the outbox is looked at again after this.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
const HOUR: Duration = Duration::from_secs(3600);

/// What the last attempt came to, noted together with the next one's count.
#[derive(Clone)]
struct Noted {
    id: i64,
    delivery: Delivery,
    offered: bool,
}

/// Sends what is due until the daemon stops.
pub(super) async fn run(shared: Shared) {
    let (config, site) = (&shared.config, &shared.config.site);
    let mut relay = Relay::new(&config.smtp, site.from.domain(), timeouts(config.smtp_timeout));
    let mut backoff = Backoff::new(Duration::from_secs(1), LONGEST_WAIT);
    let mut pace = Pace { per_hour: site.limits.per_hour, sent: VecDeque::new() };
    let mut last: Option<Noted> = None;
    loop {
        let wait = pace.wait(Instant::now());
        let taken = note_and_take(&shared, &mut last, wait.is_zero()).await;
        let Ok(Some(due)) = taken else {
            relay.close().await;
            let nothing_due = match taken {
                Ok(_) => next_attempt(&shared).await.unwrap_or(LOOK_AGAIN).max(wait).min(LOOK_AGAIN),
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be used; it is tried again");
                    AFTER_FAILURE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(nothing_due) => {}
                () = shared.outbox.notified() => {}
                () = shared.stop.cancelled() => return,
            }
            continue;
        };
        pace.sent.push_back(Instant::now());
        let outcome = tokio::select! {
            outcome = offer(&mut relay, &shared, &due) => outcome,
            () = shared.parted() => return, // the row is `sending`: the next start offers it again, unchanged
        };
        log(&due, &outcome);
        let server_is_down =
            matches!(&outcome, Outcome::Deferred { step: Step::Connect | Step::Hello | Step::Auth, .. });
        last = Some(judge(&due, outcome, &config.retry, clock::now()));
        if server_is_down {
            // Noted before the wait: a crash during it would freeze bytes that were never offered.
            if let Err(error) = note_and_take(&shared, &mut last, false).await {
                tracing::error!(%error, "an attempt cannot be noted; it is tried again");
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next(jitter())) => {}
                () = shared.stop.cancelled() => {}
            }
        } else {
            backoff.reset();
        }
    }
}

/// RFC 5321's patience, but for no step more than `[smtp] timeout`.
fn timeouts(most: Option<SignedDuration>) -> Timeouts {
    let most = most.map_or(Duration::MAX, |most| most.unsigned_abs());
    let Timeouts { connect, command, data, block, end } = Timeouts::default();
    Timeouts {
        connect: connect.min(most),
        command: command.min(most),
        data: data.min(most),
        block: block.min(most),
        end: end.min(most),
    }
}

/// Offers a row. A relay that refuses the null sender is asked once more with From as the envelope's sender.
async fn offer(relay: &mut Relay, shared: &Shared, due: &Due) -> Outcome {
    let notify = if due.sender.is_some() { Notify::Failure } else { Notify::Never };
    let mail = Outgoing { from: due.sender.as_deref(), to: &due.recipient, notify, bytes: &due.bytes };
    let outcome = relay.send(&mail).await;
    match outcome {
        Outcome::Refused { step: Step::MailFrom, reply } if due.sender.is_none() => {
            tracing::warn!(
                reply,
                "the relay refuses MAIL FROM:<>; trying with From. Set envelope_from = \"from\""
            );
            let relay_name = shared.config.smtp.host.clone();
            let alert = move |tx: &Tx<'_>| tx.alert(clock::now(), "null_sender_refused", &relay_name, &reply);
            match shared.writer.call(|store| store.transaction(alert)).await {
                Ok(Ok(())) | Err(WriterGone) => {} // without the writer the next commit says so
                Ok(Err(error)) => tracing::error!(%error, "an alert could not be noted"),
            }
            let from = shared.config.site.from.address.clone();
            relay.send(&Outgoing { from: Some(&from), notify: Notify::Failure, ..mail }).await
        }
        outcome => outcome,
    }
}

fn judge(due: &Due, outcome: Outcome, retry: &[SignedDuration], now: Timestamp) -> Noted {
    let later = |reply: String| {
        let index = usize::try_from(due.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let wait = retry.get(index).or(retry.last()).copied().unwrap_or(SignedDuration::from_mins(1));
        Delivery::Later(now.saturating_add(wait).unwrap_or(now), reply)
    };
    let (delivery, offered) = match outcome {
        Outcome::Sent { .. } => (Delivery::Sent, true),
        Outcome::Deferred { reply, step, .. } => (later(reply), step >= Step::Data),
        Outcome::Refused { reply, step } => (Delivery::Refused(reply), step >= Step::Data),
    };
    Noted { id: due.id, delivery, offered }
}

/// Notes the last attempt and counts the next one, in one commit; on an error both are still to be done.
async fn note_and_take(
    shared: &Shared,
    last: &mut Option<Noted>,
    take: bool,
) -> Result<Option<Due>, StoreError> {
    let (config, policy) = (shared.config.clone(), shared.policy.clone());
    let take = take && !shared.stop.is_cancelled();
    let noted = last.clone();
    let done = shared
        .writer
        .call(move |store| {
            let now = clock::now();
            store.transaction(|tx| {
                if let Some(last) = &noted {
                    tx.delivered(last.id, &last.delivery, last.offered, now)?;
                }
                if take { tx.next_due(&config.site, &policy, now) } else { Ok(None) }
            })
        })
        .await;
    let Ok(done) = done else {
        shared.stop.cancel();
        return Ok(None);
    };
    let taken = done?;
    *last = None;
    Ok(taken)
}

/// How long until a row is due; `None`: nothing waits.
async fn next_attempt(shared: &Shared) -> Option<Duration> {
    let next = shared.writer.call(|store| store.read(|tx| tx.next_attempt())).await.ok()?.ok()??;
    Some(next.duration_since(clock::now()).max(SignedDuration::ZERO).unsigned_abs())
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
    fn a_deferred_row_waits_by_the_schedule_and_then_as_long_as_its_last() {
        let retry = [5, 60, 600].map(SignedDuration::from_secs);
        let wait = |attempts| {
            let due = Due {
                id: 1,
                ticket: 1,
                recipient: String::new(),
                sender: None,
                bytes: Vec::new(),
                message_id: String::new(),
                attempts,
            };
            let reply = "451 later".to_owned();
            let outcome = Outcome::Deferred { reply, step: Step::RcptTo, ambiguous: false };
            match judge(&due, outcome, &retry, Timestamp::UNIX_EPOCH) {
                Noted { delivery: Delivery::Later(next, _), offered: false, .. } => next.as_second(),
                _ => panic!("it is tried again, and its bytes may still change"),
            }
        };
        assert_eq!([1, 2, 3, 4, u32::MAX].map(wait), [5, 60, 600, 600, 600]);
    }

    #[test]
    fn no_step_waits_longer_than_the_configuration_says() {
        let asked = timeouts(Some(SignedDuration::from_secs(45)));
        assert_eq!(asked.connect, Timeouts::default().connect, "30 s are less");
        assert_eq!([asked.command, asked.data, asked.block, asked.end], [Duration::from_secs(45); 4]);
        assert_eq!(timeouts(None).end, Timeouts::default().end);
    }

    #[test]
    fn the_pace_holds_back_only_what_is_over_it() {
        let start = Instant::now();
        let mut pace = Pace { per_hour: 2, sent: VecDeque::from([start, start + Duration::from_secs(60)]) };
        assert_eq!(pace.wait(start + Duration::from_secs(120)), Duration::from_secs(3480));
        assert_eq!(pace.wait(start + HOUR), Duration::ZERO);
    }
}
