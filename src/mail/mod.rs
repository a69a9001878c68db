//! Bytes → [`Message`]: everything the rest needs to know of a mail. Total: what cannot be read becomes a
//! [`Defect`], never an error.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::codes::codes;
use crate::ticket::Language;

pub mod address;
mod automation;
mod body;
mod bounce;
mod charset;
mod cms;
mod guard;
mod header;
mod html;
pub mod identity;
mod language;
mod mime;
mod normal;
mod opened;
pub mod own_words;
mod parameter;
mod read;
mod subject;
mod tnef;
pub mod view;
mod wrapped;

pub use address::Address;
pub use read::{files, from_headers, html, parse};
pub use view::MessageView;

/// A mail as its reader would understand it.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Message-ID without its angle brackets; `None` when absent or unusable.
    pub message_id: Option<String>,
    /// The ids of In-Reply-To, without angle brackets, in order.
    pub in_reply_to: Vec<String>,
    /// The ids of References, without angle brackets, oldest first; capped by [`identity`].
    pub references: Vec<String>,
    /// The author, only when there is exactly one From with exactly one usable address (I9).
    pub from: Option<Address>,
    /// Reply-To, unverified: never an addressee of ours (I6).
    pub reply_to: Vec<Address>,
    /// To.
    pub to: Vec<Address>,
    /// Cc.
    pub cc: Vec<Address>,
    /// Delivered-To, X-Original-To and Envelope-To, topmost first: where our own server took it in.
    pub delivered_to: Vec<Address>,
    /// Subject, decoded, on one line.
    pub subject: String,
    /// Date as the sender claims; never used for a promise.
    pub date: Option<Timestamp>,
    /// All readable text.
    pub text: String,
    /// The new words alone: quotes, signature and disclaimers off; in a forward the forwarded text too.
    pub own_text: String,
    /// The language of the own words.
    pub language: Language,
    /// Whether a person wrote it, as far as the headers tell.
    pub automation: Automation,
    /// The delivery report inside, when it is one.
    pub bounce: Option<Bounce>,
    /// Attachments, in order.
    pub attachments: Vec<Attachment>,
    /// What was wrong with it.
    pub defects: Vec<Defect>,
    /// Return-Path.
    pub return_path: ReturnPath,
    /// `X-Auto-Response-Suppress` names `All` or `AutoReply`: a ticket as usual, no ack.
    pub suppresses_auto_reply: bool,
    /// The value of the `X-Acuse-Loop` header, not yet verified.
    pub loop_header: Option<String>,
    /// List-Id, the part inside the angle brackets, lower case.
    pub list_id: Option<String>,
    /// The iCalendar METHOD when a calendar part is there, upper case.
    pub calendar_method: Option<String>,
    /// Received and Authentication-Results as they stand, topmost first.
    pub trace: Vec<Trace>,
    /// The hash that recognises the same mail after another transport (ARCHITECTURE.md).
    pub content_hash: ContentHash,
}

/// The first bytes of a text, lower case; cut between characters.
fn opening(text: &str, bytes: usize) -> String {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text).to_lowercase()
}

/// Compiles a pattern of ours.
#[expect(clippy::expect_used, reason = "the patterns are constants, and tests use each of them")]
fn pattern(text: &str) -> regex::Regex {
    regex::Regex::new(text).expect("a constant pattern")
}

impl Message {
    /// Whether it answers another mail: by its subject, or by In-Reply-To or References when it is no forward.
    pub fn is_reply(&self) -> bool {
        match subject::mark(&self.subject) {
            Some(subject::Mark::Reply) => true,
            Some(subject::Mark::Forward) => false,
            None => !(self.in_reply_to.is_empty() && self.references.is_empty()),
        }
    }

    /// Whether its subject says that it forwards another mail: then the quoted part is the message.
    pub fn is_forward(&self) -> bool {
        subject::mark(&self.subject) == Some(subject::Mark::Forward)
    }
}

/// Who wrote it, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Automation {
    /// What kind of sender.
    pub kind: AutomationKind,
    /// The sign that decided; `None` for [`AutomationKind::None`].
    pub because: Option<Sign>,
    /// Kind and sign if that a machine sent it did not count, as for the web form that a person filled in.
    pub behind_machine: (AutomationKind, Option<Sign>),
    /// A spam filter's verdict, whatever decided: on the way through a list its mark stands behind the list's.
    pub spam_flagged: bool,
}

impl Default for Automation {
    fn default() -> Self {
        Self {
            kind: AutomationKind::None,
            because: None,
            behind_machine: (AutomationKind::None, None),
            spam_flagged: false,
        }
    }
}

codes! {
    /// What kind of sender; the words of the `inspect` JSON.
    AutomationKind {
        /// No sign of a machine: a person, as far as we know.
        None = "none",
        /// A vacation notice or a challenge: an answer that no person wrote (RFC 3834).
        AutoReply = "auto_reply",
        /// A machine's own mail: monitors, cron, noreply senders.
        AutoGenerated = "auto_generated",
        /// A delivery report of a failure (RFC 3464 and the older forms).
        Bounce = "bounce",
        /// A delivery report that says delayed, relayed, expanded or delivered.
        DelayReport = "delay_report",
        /// An abuse report (RFC 5965).
        FeedbackReport = "feedback_report",
        /// A DMARC aggregate (RFC 7489).
        DmarcReport = "dmarc_report",
        /// A TLS report (RFC 8460).
        TlsReport = "tls_report",
        /// A read receipt (RFC 8098).
        Receipt = "receipt",
        /// Mailing-list traffic (RFC 2919, 2369).
        List = "list",
        /// Mass or spam-flagged mail.
        Bulk = "bulk",
        /// A calendar request or answer (RFC 5546).
        Calendar = "calendar",
        /// Another ticket system.
        TicketSystem = "ticket_system",
        /// Our own loop header, or more than 100 Received.
        Loop = "loop",
    }
}

codes! {
    /// The sign by which an [`AutomationKind`] was recognised; printed as `because`, listed in `docs/codes.md`.
    Sign {
        /// `X-Acuse-Loop` is there.
        LoopHeader = "loop_header",
        /// More than 100 Received (RFC 5321 §6.3).
        TooManyHops = "too_many_hops",
        /// A `message/delivery-status` part (RFC 3464).
        DeliveryStatus = "delivery_status",
        /// The words of a delivery report without such a part.
        BounceText = "bounce_text",
        /// A feedback report (RFC 5965), or the words of an older one.
        FeedbackReport = "feedback_report",
        /// The subject or the file name of a DMARC aggregate (RFC 7489 §7.2.1.1).
        DmarcReport = "dmarc_report",
        /// A TLS report (RFC 8460 §5.3).
        TlsReport = "tls_report",
        /// A `message/disposition-notification` part (RFC 8098), or Outlook's own form of one.
        DispositionNotification = "disposition_notification",
        /// Auto-Submitted: auto-replied (RFC 3834 §5).
        AutoReplied = "auto_replied",
        /// X-Autoreply, X-Autorespond or another field that only auto-responders write.
        AutoReplyHeader = "auto_reply_header",
        /// Precedence: auto_reply.
        PrecedenceAutoReply = "precedence_auto_reply",
        /// The subject begins as programs begin a vacation notice.
        AutoReplySubject = "auto_reply_subject",
        /// A mail that wants no answer begins as vacation notices do.
        AutoReplyText = "auto_reply_text",
        /// The text asks its reader to prove being a person.
        Challenge = "challenge",
        /// A field that only a ticket system writes.
        TicketSystemHeader = "ticket_system_header",
        /// Auto-Submitted with any other keyword but `no` and `auto-forwarded`.
        AutoGenerated = "auto_generated",
        /// The sender's local part says that nobody reads answers.
        NoReplySender = "no_reply_sender",
        /// The sender's local part, name or subject is that of a monitor, a mail server or another machine.
        MachineSender = "machine_sender",
        /// List-Id (RFC 2919).
        ListId = "list_id",
        /// List-Post (RFC 2369).
        ListPost = "list_post",
        /// Precedence: list, or X-Mailing-List.
        PrecedenceList = "precedence_list",
        /// List-Unsubscribe-Post (RFC 8058).
        ListUnsubscribePost = "list_unsubscribe_post",
        /// Precedence: bulk or junk.
        PrecedenceBulk = "precedence_bulk",
        /// List-Unsubscribe alone.
        ListUnsubscribe = "list_unsubscribe",
        /// A spam filter's verdict.
        SpamFlag = "spam_flag",
        /// A calendar part with a METHOD.
        CalendarMethod = "calendar_method",
        /// A null Return-Path without a report.
        NullReturnPath = "null_return_path",
        /// X-Auto-Response-Suppress: All or AutoReply.
        AutoResponseSuppress = "auto_response_suppress",
    }
}

/// The Return-Path that our server wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ReturnPath {
    /// No such header.
    #[default]
    Absent,
    /// `<>`: a report, or somebody who wants no answer (RFC 3834 §2).
    Null,
    /// An address.
    Address(Address),
}

/// A header that a server on the way added; a sender can forge those below the first one that is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trace {
    /// A Received line, unfolded.
    Received(String),
    /// An Authentication-Results line, unfolded (RFC 8601).
    AuthenticationResults(String),
}

/// A delivery report (RFC 3464, and the older forms).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounce {
    /// Every recipient that it reports on.
    pub recipients: Vec<BouncedRecipient>,
    /// The Message-ID of the mail that came back, without angle brackets.
    pub original_message_id: Option<String>,
    /// The ENVID that the mail was sent with (RFC 3464 §2.2.1).
    pub original_envelope_id: Option<String>,
}

/// One recipient of a delivery report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BouncedRecipient {
    /// The address as reported, canonical.
    pub recipient: String,
    /// The enhanced status code (RFC 3463), such as `5.1.1`.
    pub status: Option<String>,
    /// `failed`, `delayed`, `delivered`, `relayed` or `expanded`, lower case.
    pub action: Option<String>,
    /// Whether trying again is pointless; `None` when the report does not say.
    pub permanent: Option<bool>,
}

/// One attachment; its bytes stay in the raw mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The file name, decoded; empty when there was none. Data, never a path.
    pub name: String,
    /// The media type, lower case.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Decoded size in bytes.
    pub size: u64,
    /// Shown within the text rather than offered as a file.
    pub inline: bool,
}

codes! {
    /// What was wrong with a mail; the words of the `inspect` JSON, listed in `docs/codes.md`.
    Defect {
        /// No From.
        NoFrom = "no_from",
        /// More than one From, or several addresses in it: nobody's identity (I9).
        SeveralFrom = "several_from",
        /// A From without a usable address.
        UnusableFrom = "unusable_from",
        /// The sender's address mixes alphabets that look alike, or its name is another address.
        Imitation = "imitation",
        /// No Message-ID, or one we cannot use.
        NoMessageId = "no_message_id",
        /// A Date that cannot be read.
        UnreadableDate = "unreadable_date",
        /// A text whose charset label was wrong or missing; read by sanity.
        WrongCharset = "wrong_charset",
        /// A header field over its limit (docs/mail.md).
        HeaderTooLong = "header_too_long",
        /// More boundary-like lines than the limit.
        TooManyParts = "too_many_parts",
        /// More nested mails than the limit.
        TooDeep = "too_deep",
        /// The parser gave up or panicked: read from the headers alone.
        Unreadable = "unreadable",
        /// No text, no attachment, no subject.
        Empty = "empty",
        /// Its text, or a part of it, is encrypted (PGP, S/MIME), or signed in a form that could not be opened.
        Encrypted = "encrypted",
        /// Its text is inside a winmail.dat (TNEF) that could not be opened.
        Tnef = "tnef",
        /// Larger than `max_size`: only the headers and the first bytes were fetched.
        Oversize = "oversize",
    }
}

impl Defect {
    /// Whether the mail was read from its headers alone.
    pub fn headers_only(self) -> bool {
        matches!(
            self,
            Self::HeaderTooLong | Self::TooManyParts | Self::TooDeep | Self::Unreadable | Self::Oversize
        )
    }
}

/// SHA-256 over CRLF-normalised bytes without trace headers, with a version in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
