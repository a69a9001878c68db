//! What the log says of the outbox (docs/log.md).

use crate::smtp::{Outcome, Step};
use crate::store::{Breaker, Delivery, Due, Rate};

/// How many customers a look left without their acknowledgement.
pub(super) struct Undone {
    pub(super) expired: usize,
    pub(super) held: usize,
}

impl Undone {
    pub(super) fn log(&self) {
        let Self { expired, held } = self;
        if *expired > 0 {
            tracing::warn!(expired, "acknowledgements could not be sent in time; they expired");
        }
        if *held > 0 {
            tracing::warn!(held, "acknowledgements that cannot be sent as they are were held back");
        }
    }
}

pub(super) fn log(due: &Due, outcome: &Outcome) {
    if due.is_notification() {
        return log_notification(due, outcome);
    }
    let (ticket, attempt, to, message_id) = (due.claim.ticket, due.attempts, &due.recipient, &due.message_id);
    match outcome {
        Outcome::Sent { reply } => tracing::info!(ticket, attempt, to, message_id, reply, "acknowledged"),
        Outcome::Deferred { step, .. } if *step < Step::MailFrom => {} // connecting anew says why
        Outcome::Deferred { reply, ambiguous, .. } => {
            tracing::warn!(ticket, attempt, to, message_id, reply, ambiguous, "acknowledgement deferred");
        }
        Outcome::Refused { reply, .. } => {
            tracing::error!(ticket, attempt, to, message_id, reply, "acknowledgement refused");
        }
    }
}

fn log_notification(due: &Due, outcome: &Outcome) {
    let (attempt, to, message_id) = (due.attempts, &due.recipient, &due.message_id);
    match outcome {
        Outcome::Sent { reply } => tracing::info!(attempt, to, message_id, reply, "notified"),
        Outcome::Deferred { step, .. } if *step < Step::MailFrom => {}
        Outcome::Deferred { reply, .. } => {
            tracing::warn!(attempt, to, message_id, reply, "notification deferred");
        }
        Outcome::Refused { reply, .. } => {
            tracing::error!(attempt, to, message_id, reply, "notification refused");
        }
    }
}

pub(super) fn log_rate(rate: Breaker) {
    match rate {
        Breaker::Rests | Breaker::Holds => {}
        Breaker::Trips(Rate { last_hour, usual }) => tracing::warn!(
            last_hour,
            usual,
            "far more acknowledgements than usual; those to addresses outside the directory are held"
        ),
        Breaker::Resumes(released) => {
            tracing::warn!(released, "the rate of acknowledgements fell; those that were held go out");
        }
    }
}

/// Says that a row is left to a person, once.
pub(super) fn log_held(due: &Due, delivery: &Delivery) {
    let Delivery::Unanswered(reply) = delivery else { return };
    let (to, message_id) = (&due.recipient, &due.message_id);
    tracing::error!(to, message_id, reply, "held: sent whole twice, and the relay answered neither time");
}
