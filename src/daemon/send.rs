//! The outbox worker: one mail after another, on one connection, counted before they are tried.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio::time::Instant;

mod clocks;
mod log;
mod pace;

use super::backoff::{Backoff, jitter};
use super::{Shared, clock};
use crate::ingest;
use crate::notify::Notify;
use crate::smtp::{self, Outcome, Outgoing, Relay, Step, Timeouts};
use crate::store::{Breaker, Delivery, Due, Only, Ready, Setting, Store, StoreError, Tx, WriterGone};
use crate::token::Purpose;

use clocks::Clocks;
use log::{Undone, log, log_held, log_rate};
use pace::Pace;

/// Nothing is due: the outbox is looked at again after this at the latest, in case the clock was set.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// The relay does not answer: the worker waits up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// The database does not answer: the outbox is looked at again after this.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// The same, for the last outcome of a daemon that ends.
const NOTE_AGAIN: Duration = Duration::from_millis(200);
/// The rate of acknowledgements is looked at no more often than this.
const RATE: Duration = Duration::from_secs(5);

/// Attempts that one commit counts at most, where the relay is quick.
const MOST_TAKEN: usize = 128;
/// What was taken is through in so long, or less is taken at once: until its turn it cannot be held back or made late.
const TURN: Duration = Duration::from_millis(100);
/// Outcomes that wait to be noted at most: what an unclean end forgets is offered twice.
const UNNOTED: usize = 32;

/// The kind of the alert that the clock was set, and its two subjects.
const CLOCK_JUMPED: &str = "clock_jumped";
const AHEAD: &str = "ahead";
const BACK: &str = "back";
/// The kind of the alert that the relay refuses `MAIL FROM:<>`.
const NULL_REFUSED: &str = "null_sender_refused";

/// What an attempt came to.
#[derive(Clone)]
struct Noted {
    id: i64,
    delivery: Delivery,
    offered: bool,
}

/// What is to be done about the outbox.
enum Found {
    /// Offer these: their attempts are counted.
    Taken(Vec<Due>),
    /// Something may go out as soon as there is a connection.
    Ready,
    /// Nothing, until then.
    Nothing(Option<Timestamp>),
}

/// Sends what is due until the daemon stops.
pub(super) async fn run(shared: Shared) {
    Worker::new(shared).run().await;
}

struct Worker {
    shared: Shared,
    relay: Relay,
    backoff: Backoff,
    pace: Option<Pace>,
    clocks: Clocks,
    /// How many attempts are counted at once.
    at_once: usize,
    /// Outcomes that could not be noted yet.
    unnoted: Vec<Noted>,
    /// When the breaker was last looked at.
    rate_seen: Option<Instant>,
    breaker: bool,
    /// The relay refused `<>` and took From: it is not asked again in this run.
    null_refused: bool,
    /// The relay failed, and an alert says so.
    relay_fails: bool,
    /// The relay refused the envelope's sender that is configured, and an alert says so.
    sender_fails: bool,
    /// The clock was set, and an alert says so.
    clock_jumped: bool,
}

impl Worker {
    fn new(shared: Shared) -> Self {
        let config = &shared.config;
        let relay = Relay::new(&config.smtp, config.site.from.domain(), timeouts(config.smtp_timeout));
        Self {
            relay,
            backoff: Backoff::new(Duration::from_secs(1), LONGEST_WAIT),
            pace: None,
            clocks: Clocks::new(clock::now(), Instant::now()),
            at_once: 1,
            unnoted: Vec::new(),
            rate_seen: None,
            breaker: false,
            null_refused: false,
            // alerts of the last run may stand
            relay_fails: true,
            sender_fails: true,
            clock_jumped: true,
            shared,
        }
    }

    async fn run(mut self) {
        loop {
            let found = self.look().await;
            if self.shared.stop.is_cancelled() && !matches!(found, Ok(Found::Taken(_))) {
                return self.part().await;
            }
            match found {
                Ok(Found::Taken(taken)) => {
                    let shared = self.shared.clone();
                    tokio::select! {
                        () = self.offer_all(taken) => {}
                        () = shared.parted() => return, // `sending`: the next start offers it again, unchanged
                    }
                }
                Ok(Found::Ready) => self.connect().await,
                Ok(Found::Nothing(next)) => {
                    self.relay.close().await;
                    let most = if self.breaker { RATE } else { LOOK_AGAIN };
                    let wait = next.map(|next| next.duration_since(clock::now()).max(SignedDuration::ZERO));
                    self.rest(wait.map_or(most, |wait| wait.unsigned_abs().min(most))).await;
                }
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be used; it is tried again");
                    self.relay.close().await;
                    self.rest(AFTER_FAILURE).await;
                }
            }
        }
    }

    /// Ends: but what the relay said last is noted first, however often that takes, for a customer whose acknowledgement
    /// is forgotten gets it twice.
    async fn part(mut self) {
        let shared = self.shared.clone();
        tokio::select! {
            () = self.note_rest() => {}
            () = shared.parted() => {}
        }
        self.relay.close().await;
    }

    async fn note_rest(&mut self) {
        while !self.unnoted.is_empty() {
            match self.look().await {
                Ok(_) => {}
                Err(Trouble::Writer(_)) => return, // nobody is left to note it
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be used; it is tried again");
                    tokio::time::sleep(NOTE_AGAIN).await;
                }
            }
        }
    }

    /// Notes what is left to note, puts the outbox right, and counts the next attempts where any can be made, all in one
    /// commit; on an error all that is still to be done.
    async fn look(&mut self) -> Result<Found, Trouble> {
        let (now, monotonic) = (clock::now(), Instant::now());
        let jump = self.clocks.look(now, monotonic);
        if let Some(jump) = jump {
            tracing::warn!(seconds = jump.as_secs(), "the clock was set");
            self.clock_jumped = true;
        }
        let may_expire = self.clocks.may_expire(monotonic);
        let clock_calms = self.clock_jumped && self.clocks.is_calm(monotonic);
        let pace = self.pace(now, monotonic).await?;
        let (wait, room) = (pace.wait(monotonic), pace.room());
        let (config, policy) = (self.shared.config.clone(), self.shared.in_force.policy());
        let longest = config.retry.iter().copied().max().unwrap_or(SignedDuration::ZERO);
        let look_at_rate = self.rate_seen.is_none_or(|seen| monotonic.duration_since(seen) >= RATE);
        let (unnoted, tripped, is_open) = (self.unnoted.clone(), self.breaker, self.relay.is_open());
        let most = self.at_once.min(room.max(1));
        let (paced, stopping, fresh) = (!wait.is_zero(), self.shared.stop.is_cancelled(), ingest::fresh());
        let look = move |tx: &Tx<'_>| {
            note(tx, &unnoted, now)?;
            if let Some(jump) = jump {
                let direction = if jump.is_negative() { BACK } else { AHEAD };
                tx.alert(now, CLOCK_JUMPED, direction, &format!("the clock was set by {jump:#}"))?;
            }
            if clock_calms {
                tx.alert_ends(now, CLOCK_JUMPED, BACK)?;
                tx.alert_ends(now, CLOCK_JUMPED, AHEAD)?;
            }
            let expired = tx.tend(longest, may_expire, now)?;
            let floor = config.site.limits.breaker_floor;
            let rate = look_at_rate.then(|| tx.mind_breaker(floor, now)).transpose()?;
            if rate.is_some() {
                tx.mind_waiting(now)?;
            }
            if stopping {
                return Ok((rate, Undone { expired, held: 0 }, Found::Nothing(None)));
            }
            let setting = Setting { site: &config.site, policy: &policy, fresh, now };
            let notify = notify(tx, &config.notify, setting)?;
            let tripped = rate.map_or(tripped, Breaker::holds);
            let only = if paced { Only::Notifications } else { Only::Anything };
            let mut undone = Undone { expired, held: 0 };
            let mut taken = Vec::new();
            while taken.len() < most {
                let Ready { first, held } = tx.first_ready(&config.site, &policy, tripped, only, now)?;
                undone.held += held;
                let Some(id) = first else { break };
                if !is_open {
                    return Ok((rate, undone, Found::Ready));
                }
                taken.push(tx.take(id)?);
            }
            let found = match taken.is_empty() {
                false => Found::Taken(taken),
                true if paced => Found::Nothing(None),
                true => Found::Nothing(tx.next_attempt()?.into_iter().chain(notify).min()),
            };
            Ok((rate, undone, found))
        };
        let (rate, undone, found) = self.store(look).await?;
        self.unnoted.clear();
        self.clock_jumped &= !clock_calms;
        undone.log();
        if let Some(rate) = rate {
            self.rate_seen = Some(monotonic);
            self.breaker = rate.holds();
            log_rate(rate);
        }
        Ok(match found {
            Found::Nothing(None) if !wait.is_zero() => Found::Nothing(now.saturating_add(wait).ok()),
            found => found,
        })
    }

    /// The pace, which at first is read from the database: a restart must not begin it anew.
    async fn pace(&mut self, now: Timestamp, monotonic: Instant) -> Result<&mut Pace, Trouble> {
        let tried = match &self.pace {
            Some(_) => Vec::new(),
            None => {
                let since = now.saturating_sub(SignedDuration::from_hours(1)).unwrap_or(now);
                self.store(move |tx| tx.tried_since(since)).await?
            }
        };
        let per_hour = self.shared.config.site.limits.per_hour;
        Ok(self.pace.get_or_insert_with(|| Pace::resumed(per_hour, &tried, (now, monotonic))))
    }

    /// Runs `work` in a transaction of the writer.
    async fn store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Trouble> {
        match self.shared.writer.call(move |store| store.transaction(work)).await {
            Ok(done) => Ok(done?),
            Err(gone) => {
                self.shared.stop.cancel();
                Err(gone.into())
            }
        }
    }

    /// Connects before anything is taken in hand: a row counts no attempt, and its bytes stay free, while nobody listens.
    async fn connect(&mut self) {
        let shared = self.shared.clone();
        let connected = tokio::select! {
            connected = self.relay.probe() => connected,
            () = shared.parted() => return,
        };
        let relay = shared.config.smtp.host.clone();
        let Err(outcome) = connected else {
            self.backoff.reset();
            if std::mem::take(&mut self.relay_fails) {
                shared.note(move |tx, now| tx.relay_works(&relay, now)).await;
            }
            return;
        };
        let (Outcome::Deferred { reply, .. } | Outcome::Refused { reply, .. } | Outcome::Sent { reply }) =
            outcome;
        let wait = self.backoff.next(jitter());
        tracing::warn!(relay, reply, ?wait, "the relay cannot be used; it is tried again");
        self.relay_fails = true;
        shared.note(move |tx, now| tx.relay_fails(&relay, &reply, now)).await;
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shared.stop.cancelled() => {}
        }
    }

    /// Offers what was taken, row by row, while what came of the last ones is being noted: as many in a commit as there are
    /// by then, so that no row waits for the disk.
    async fn offer_all(&mut self, taken: Vec<Due>) {
        let (started, full) = (Instant::now(), taken.len() == self.at_once);
        let (tell, mut told) = mpsc::channel(UNNOTED);
        let shared = self.shared.clone();
        let noting = async {
            let mut unnoted = Vec::new();
            while told.recv_many(&mut unnoted, UNNOTED).await > 0 {
                let some = unnoted.clone();
                let work = move |store: &mut Store| store.transaction(|tx| note(tx, &some, clock::now()));
                match shared.writer.call(work).await {
                    Ok(Ok(())) => unnoted.clear(),
                    Ok(Err(error)) => {
                        tracing::error!(%error, "an outcome cannot be noted; it is tried again")
                    }
                    Err(WriterGone) => shared.stop.cancel(),
                }
            }
            unnoted
        };
        let offering = async {
            for due in &taken {
                let noted = if self.relay.is_open() && !self.shared.stop.is_cancelled() {
                    self.offer(due).await
                } else {
                    Noted { id: due.id, delivery: Delivery::Untried(None), offered: false }
                };
                if tell.send(noted).await.is_err() {
                    return; // it ends after us
                }
            }
            drop(tell);
        };
        let ((), unnoted) = tokio::join!(offering, noting);
        self.unnoted = unnoted;
        self.at_once = match started.elapsed() < TURN {
            true if full => (2 * self.at_once).min(MOST_TAKEN),
            true => self.at_once,
            false => (self.at_once / 2).max(1),
        };
    }

    /// Offers a row; what came of it is still to be noted.
    async fn offer(&mut self, due: &Due) -> Noted {
        let outcome = self.send(due).await;
        log(due, &outcome);
        let noted = judge(due, outcome, &self.shared.config.retry, clock::now());
        log_held(due, &noted.delivery);
        let counts = !due.is_notification() && !matches!(noted.delivery, Delivery::Untried(_));
        if let Some(pace) = self.pace.as_mut().filter(|_| counts) {
            pace.count(Instant::now());
        }
        noted
    }

    /// Sends a row. A relay that refuses the null sender is asked once more with From as the envelope's sender; one that
    /// takes that is asked so from then on.
    async fn send(&mut self, due: &Due) -> Outcome {
        let site = &self.shared.config.site;
        let envelope_id = site.keys.sign(Purpose::Envelope, due.claim);
        let (to, bytes, envelope_id) =
            (due.recipient.as_str(), due.bytes.as_slice(), Some(envelope_id.as_str()));
        let null = Outgoing { from: None, to, notify: smtp::Notify::Never, envelope_id, bytes };
        let with_from = Outgoing { from: Some(&site.from.address), notify: smtp::Notify::Failure, ..null };
        let first = match &due.sender {
            Some(sender) => Outgoing { from: Some(sender), ..with_from },
            None if self.null_refused => with_from,
            None => null,
        };
        let outcome = self.relay.send(&first).await;
        let as_configured = first.from == due.sender.as_deref();
        if as_configured && outcome.step() > Step::MailFrom && std::mem::take(&mut self.sender_fails) {
            let relay = self.shared.config.smtp.host.clone();
            self.shared.note(move |tx, now| tx.alert_ends(now, NULL_REFUSED, &relay)).await;
        }
        let (None, Outcome::Refused { step: Step::MailFrom, reply }) = (first.from, &outcome) else {
            return outcome;
        };
        let again = self.relay.send(&with_from).await;
        // who refuses From as well does not mean the null sender
        if again.step() > Step::MailFrom {
            self.null_refused = true;
            self.sender_fails = true;
            tracing::warn!(
                reply,
                "the relay refuses MAIL FROM:<>; trying with From. Set envelope_from = \"from\""
            );
            let (relay, reply) = (self.shared.config.smtp.host.clone(), reply.clone());
            self.shared.note(move |tx, now| tx.alert(now, NULL_REFUSED, &relay, &reply)).await;
        }
        again
    }

    /// Waits until something may have become due.
    async fn rest(&mut self, at_most: Duration) {
        let shared = &self.shared;
        tokio::select! {
            () = tokio::time::sleep(at_most) => {}
            () = shared.outbox.notified() => {}
            () = shared.stop.cancelled() => {}
        }
    }
}

/// Why the outbox cannot be used.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Writer(#[from] WriterGone),
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

fn judge(due: &Due, outcome: Outcome, retry: &[SignedDuration], now: Timestamp) -> Noted {
    let next = || {
        let index = usize::try_from(due.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let wait = retry.get(index).or(retry.last()).copied().unwrap_or(SignedDuration::from_mins(1));
        now.saturating_add(wait).unwrap_or(now)
    };
    let offered = outcome.step() >= Step::Data;
    let delivery = match outcome {
        Outcome::Sent { .. } => Delivery::Sent,
        Outcome::Deferred { reply, step, .. } if step < Step::MailFrom => Delivery::Untried(Some(reply)),
        Outcome::Deferred { reply, ambiguous: true, .. } if due.unanswered => Delivery::Unanswered(reply),
        Outcome::Deferred { reply, ambiguous: true, .. } => Delivery::OnceMore(next(), reply),
        Outcome::Deferred { reply, .. } => Delivery::Later(next(), reply),
        Outcome::Refused { reply, .. } => Delivery::Refused(reply),
    };
    Noted { id: due.id, delivery, offered }
}

/// Notes what attempts came to.
fn note(tx: &Tx<'_>, noted: &[Noted], now: Timestamp) -> Result<(), StoreError> {
    noted.iter().try_for_each(|noted| tx.delivered(noted.id, &noted.delivery, noted.offered, now))
}

/// Makes the mails to people; what keeps them from being written must not keep acknowledgements back.
fn notify(tx: &Tx<'_>, people: &[Notify], setting: Setting<'_>) -> Result<Option<Timestamp>, StoreError> {
    match tx.savepoint(|tx| tx.notify(people, setting)) {
        Err(error) if !error.is_temporary() => {
            tracing::error!(%error, "a notification cannot be written; it is tried again");
            Ok(None)
        }
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Claim;

    fn nobodys() -> Due {
        Due {
            id: 1,
            claim: Claim { ticket: 1, serial: 1 },
            recipient: String::new(),
            sender: None,
            bytes: Vec::new(),
            message_id: String::new(),
            attempts: 0,
            unanswered: false,
        }
    }

    #[test]
    fn a_deferred_row_waits_by_the_schedule_and_then_as_long_as_its_last() {
        let retry = [5, 60, 600].map(SignedDuration::from_secs);
        let wait = |attempts| {
            let due = Due { attempts, ..nobodys() };
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
    fn what_may_have_arrived_is_offered_once_more_and_then_left_to_a_person() {
        let judged = |unanswered, ambiguous| {
            let due = Due { unanswered, ..nobodys() };
            let outcome = Outcome::Deferred { reply: "no answer".to_owned(), step: Step::End, ambiguous };
            judge(&due, outcome, &[], Timestamp::UNIX_EPOCH).delivery
        };
        assert!(matches!(judged(false, true), Delivery::OnceMore(..)));
        assert!(matches!(judged(true, true), Delivery::Unanswered(_)));
        assert!(matches!(judged(true, false), Delivery::Later(..)), "the relay said no: it has not got it");
    }

    #[test]
    fn what_the_relay_never_heard_of_is_no_attempt() {
        let judged = |step| {
            let (reply, due) = ("no".to_owned(), Due { attempts: 1, ..nobodys() });
            let noted =
                judge(&due, Outcome::Deferred { reply, step, ambiguous: false }, &[], Timestamp::UNIX_EPOCH);
            (matches!(noted.delivery, Delivery::Untried(_)), noted.offered)
        };
        for step in [Step::Connect, Step::Hello, Step::Auth] {
            assert_eq!(judged(step), (true, false), "{step:?}");
        }
        assert_eq!([Step::MailFrom, Step::RcptTo].map(judged), [(false, false); 2]);
        assert_eq!([Step::Data, Step::End].map(judged), [(false, true); 2]);
    }

    #[test]
    fn no_step_waits_longer_than_the_configuration_says() {
        let asked = timeouts(Some(SignedDuration::from_secs(45)));
        assert_eq!(asked.connect, Timeouts::default().connect, "30 s are less");
        assert_eq!([asked.command, asked.data, asked.block, asked.end], [Duration::from_secs(45); 4]);
        assert_eq!(timeouts(None).end, Timeouts::default().end);
    }
}
