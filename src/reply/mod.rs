//! Ticket + promise → the RFC 5322 bytes of an acknowledgement.

mod compose;
pub mod header;
pub mod mime;
mod template;
mod variables;
pub mod words;

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::mail::Address;
use crate::plan::{Calendar, Plan, Promise};
use crate::problem::Source;
use crate::rules::Case;
use crate::ticket::{Impact, Language};

pub use self::compose::compose;
pub use self::template::Templates;

/// Which acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplyKind {
    /// A ticket was opened.
    Ack,
    /// A ticket was opened; nobody knows yet what it is about.
    Unclassified,
    /// A ticket was opened, and its promise is past already.
    Late,
    /// A follow-up raised the impact.
    Raised,
    /// A reply reopened a closed ticket.
    Reopened,
}

impl ReplyKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Ack, Self::Unclassified, Self::Late, Self::Raised, Self::Reopened];

    /// The word that file names, the database and JSON use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Unclassified => "unclassified",
            Self::Late => "late",
            Self::Raised => "raised",
            Self::Reopened => "reopened",
        }
    }

    /// The kind for a promise that is past: what is said of a ticket that was there before says so itself.
    pub fn overdue(self) -> Self {
        match self {
            Self::Raised | Self::Reopened => self,
            Self::Ack | Self::Unclassified | Self::Late => Self::Late,
        }
    }
}

/// Everything that an acknowledgement says, and to whom.
#[derive(Debug, Clone)]
pub struct Reply<'a> {
    /// Which text.
    pub kind: ReplyKind,
    /// In which language.
    pub language: Language,
    /// The addressee's bare address (I6).
    pub to: &'a Address,
    /// The customer's name from the directory, never from the mail (I8).
    pub customer_name: Option<&'a str>,
    /// Whether the plan is the directory's, or the ticket's already; if not, the ack says which level applies and why.
    pub known_sender: bool,
    /// The number as customers say it: `ACU-1042`.
    pub number: &'a str,
    /// The impact that applies.
    pub impact: Impact,
    /// The case that was recognised; `None` when unclassified.
    pub case: Option<&'a Case>,
    /// The plan.
    pub plan: &'a Plan,
    /// What is promised.
    pub promise: &'a Promise,
    /// The business hours, to explain the promise with.
    pub calendar: &'a Calendar,
    /// The address of ours that the customer wrote to.
    pub support_address: &'a Address,
    /// Their subject.
    pub subject: &'a str,
    /// Their Message-ID.
    pub in_reply_to: Option<&'a str>,
    /// Their References.
    pub references: &'a [String],
    /// Our Message-ID, without angle brackets.
    pub message_id: &'a str,
    /// The value of our loop header.
    pub loop_token: &'a str,
    /// The address that answers go to, when it is not From.
    pub reply_to: Option<&'a str>,
    /// When it is composed: the Date header.
    pub now: Timestamp,
}

/// A composed acknowledgement; `bytes` are what is sent, unchanged (I5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// The decoded Subject.
    pub subject: String,
    /// The text part, decoded, with `\n` line ends.
    pub text: String,
    /// The HTML part, decoded.
    pub html: String,
    /// The whole mail, CRLF line ends.
    pub bytes: Vec<u8>,
}

/// The shipped texts, named `rules/replies/es/ack.txt` and so on, their shared `_frame`s included.
pub fn shipped() -> impl Iterator<Item = Arc<Source>> {
    macro_rules! texts {
        ($($name:literal),* $(,)?) => {
            [$((concat!("rules/replies/", $name), include_str!(concat!("../../rules/replies/", $name)))),*]
        };
    }
    texts![
        "es/_frame.txt",
        "es/ack.txt",
        "es/late.txt",
        "es/raised.txt",
        "es/reopened.txt",
        "es/unclassified.txt",
        "es/_frame.html",
        "es/ack.html",
        "es/late.html",
        "es/raised.html",
        "es/reopened.html",
        "es/unclassified.html",
        "en/_frame.txt",
        "en/ack.txt",
        "en/late.txt",
        "en/raised.txt",
        "en/reopened.txt",
        "en/unclassified.txt",
        "en/_frame.html",
        "en/ack.html",
        "en/late.html",
        "en/raised.html",
        "en/reopened.html",
        "en/unclassified.html",
    ]
    .into_iter()
    .map(|(name, text)| Arc::new(Source { name: name.to_owned(), text: text.to_owned() }))
}
