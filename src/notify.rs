//! What reaches a person by mail: topics, who hears of which, and the words for it.

use std::collections::BTreeSet;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

use crate::codes::codes;
use crate::mail::Address;
use crate::ticket::{Impact, Language};

mod text;

pub use text::{Notice, compose};

codes! {
    /// What a person may want to hear of.
    Topic {
        /// A ticket was opened, reopened or raised whose impact is high, or whose promise runs around the clock.
        HighImpact = "high_impact",
        /// A ticket was opened, no rule says what it is about, and it is not of `high_impact` already.
        Unclassified = "unclassified",
        /// A mail server does not take the user or the password.
        LoginRefused = "login_refused",
        /// A mailbox could not be read for ten minutes.
        MailboxSilent = "mailbox_silent",
        /// The relay could not be used for five minutes, refuses our envelope, or acknowledgements wait for half an hour.
        OutboxStuck = "outbox_stuck",
        /// A customer did not get an acknowledgement: it was refused, came back, is held or expired.
        AckUndelivered = "ack_undelivered",
        /// Far more acknowledgements than usual; those to strangers are held.
        BreakerTripped = "breaker_tripped",
        /// A mail was set aside and waits for a person.
        Quarantine = "quarantine",
        /// There is too little room on the disk: nothing is fetched.
        DiskLow = "disk_low",
        /// The policy's files are wrong.
        PolicyRefused = "policy_refused",
        /// What else the administrator should know: the clock, folders that cannot be written, a rescan that failed.
        Upkeep = "upkeep",
    }
}

impl FromStr for Topic {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.iter().find(|topic| topic.as_str() == word).copied().ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|topic| topic.as_str()).collect();
            format!("`{word}` is none of {}", words.join(", "))
        })
    }
}

impl Topic {
    /// The topic of an alert, by its kind.
    pub fn of_alert(kind: &str) -> Self {
        match kind {
            "login_refused" => Self::LoginRefused,
            "mailbox_unreachable" => Self::MailboxSilent,
            "relay_fails" | "outbox_waits" | "null_sender_refused" => Self::OutboxStuck,
            "ack_bounced" | "ack_refused" | "ack_held" | "ack_expired" => Self::AckUndelivered,
            "breaker" => Self::BreakerTripped,
            "quarantined" => Self::Quarantine,
            "disk_low" => Self::DiskLow,
            "policy_refused" => Self::PolicyRefused,
            _ => Self::Upkeep,
        }
    }
}

/// So long an alert of this kind must stand before anybody is told: a server that is restarted is no news.
pub fn patience(alert: &str) -> SignedDuration {
    match alert {
        "mailbox_unreachable" => SignedDuration::from_mins(10),
        "relay_fails" => SignedDuration::from_mins(5),
        _ => SignedDuration::ZERO,
    }
}

/// So long an alert must be over before anybody is told, so that one which flutters does not become a flood.
pub const CALM: SignedDuration = SignedDuration::from_mins(1);

/// One `[[notify]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// Who is told; each gets a mail of their own.
    pub mail: Vec<Address>,
    /// Of what.
    pub on: BTreeSet<Topic>,
    /// At most one mail to each in so long; what happens meanwhile is in the next.
    pub every: SignedDuration,
    /// In which language.
    pub language: Language,
}

impl Notify {
    /// When the next mail may go out, the last one having been made then. A clock set back does not make anybody wait.
    pub fn next(&self, last: Option<Timestamp>, now: Timestamp) -> Timestamp {
        match last.filter(|last| *last <= now) {
            Some(last) => last.saturating_add(self.every).unwrap_or(now),
            None => now,
        }
    }
}

/// Something that a person is to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A ticket, as it stands when the mail is written.
    Ticket(TicketNews),
    /// An alert that was raised, or has ended.
    Alert(AlertNews),
}

/// What is told of a ticket: nothing that its customer wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketNews {
    /// As people say it: `ACU-12`.
    pub number: String,
    /// [`Topic::HighImpact`] or [`Topic::Unclassified`].
    pub topic: Topic,
    /// The impact that applies.
    pub impact: Impact,
    /// The case's label in the reader's language; `None`: unclassified.
    pub case: Option<String>,
    /// The plan's name in the reader's language.
    pub plan: String,
    /// The requester's address.
    pub requester: Option<String>,
    /// Until when a person must answer; `None`: no promise runs any more.
    pub due: Option<Timestamp>,
}

/// What is told of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertNews {
    /// Its kind, such as `login_refused`.
    pub kind: String,
    /// What it is about, such as a mailbox and folder.
    pub subject: String,
    /// In the words of whoever refused.
    pub detail: String,
    /// Since when it stands, or stood.
    pub since: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_waits_for_the_last_one_and_not_for_a_clock_that_was_set_back() {
        let notify = Notify {
            mail: Vec::new(),
            on: Topic::ALL.iter().copied().collect(),
            every: SignedDuration::from_mins(10),
            language: Language::Es,
        };
        let at = |minutes: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        assert_eq!(notify.next(None, at(60)), at(60));
        assert_eq!(notify.next(Some(at(57)), at(60)), at(67));
        assert_eq!(notify.next(Some(at(40)), at(60)), at(50));
        assert_eq!(notify.next(Some(at(5000)), at(60)), at(60));
    }

    #[test]
    fn every_topic_is_read_by_its_word_and_an_unknown_alert_is_upkeep() {
        for topic in Topic::ALL {
            assert_eq!(topic.as_str().parse(), Ok(*topic));
        }
        assert!("everything".parse::<Topic>().is_err_and(|why| why.contains("high_impact, unclassified")));
        assert_eq!(Topic::of_alert("relay_fails"), Topic::OutboxStuck);
        assert_eq!(Topic::of_alert("clock_jumped"), Topic::Upkeep);
    }
}
