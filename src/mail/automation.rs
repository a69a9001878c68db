//! Did a person write it? RFC 3834, List-*, Precedence, reports, and the marks that real programs leave.

mod replies;
mod senders;

use std::sync::LazyLock;

use regex::Regex;

use super::bounce;
use super::header::Header;
use super::{Automation, AutomationKind, Bounce, ReturnPath, Sign, opening, pattern, subject};

/// RFC 5321 §6.3: more Received lines than this are a loop.
const MAX_HOPS: usize = 100;

/// What is known of a mail besides its headers when its kind is decided.
pub(super) struct Evidence<'a> {
    pub header: &'a Header<'a>,
    pub subject: &'a str,
    /// The local part of the author's address.
    pub from_local: &'a str,
    /// The first words of the mail's own text.
    pub text: &'a str,
    pub return_path: &'a ReturnPath,
    pub suppresses_auto_reply: bool,
    /// The report type of a `multipart/report`.
    pub report_type: Option<&'a str>,
    /// The media types of the leaves that are not within an attached mail.
    pub media_types: &'a [&'a str],
    /// The names of the attachments.
    pub file_names: &'a [&'a str],
    pub bounce: Option<&'a Bounce>,
    pub calendar_method: Option<&'a str>,
}

/// The kind of the sender: the first row of docs/mail.md that matches, and the sign that decided.
///
/// A ticket system is recognised before the generic Auto-Submitted: auto-generated, which such systems also write:
/// their mails are joined, a monitor's are not.
pub(super) fn recognise(evidence: &Evidence<'_>) -> Automation {
    let first = |rows: &[fn(&Evidence<'_>) -> Row]| {
        rows.iter()
            .find_map(|row| row(evidence))
            .map_or((AutomationKind::None, None), |(kind, sign)| (kind, Some(sign)))
    };
    let (kind, because) =
        first(&[loops, reports, replies::row, ticket_systems, machines, lists, replies::by_words, rest]);
    let behind_machine = first(&[loops, reports, replies::row, ticket_systems, lists, rest]);
    Automation { kind, because, behind_machine, spam_flagged: is_spam_flagged(evidence.header) }
}

type Row = Option<(AutomationKind, Sign)>;

fn row(holds: bool, kind: AutomationKind, sign: Sign) -> Row {
    holds.then_some((kind, sign))
}

fn loops(evidence: &Evidence<'_>) -> Row {
    let header = evidence.header;
    row(header.has("X-Acuse-Loop"), AutomationKind::Loop, Sign::LoopHeader)
        .or_else(|| row(header.all("Received").count() > MAX_HOPS, AutomationKind::Loop, Sign::TooManyHops))
}

fn reports(evidence: &Evidence<'_>) -> Row {
    let header = evidence.header;
    let has_part = |media_type: &str| evidence.media_types.contains(&media_type);
    let report = |report_type: &str| evidence.report_type == Some(report_type);
    row(
        report("feedback-report") || has_part("message/feedback-report"),
        AutomationKind::FeedbackReport,
        Sign::FeedbackReport,
    )
    .or_else(|| {
        let staff = evidence.subject.to_ascii_lowercase().starts_with("complaint about message from")
            && evidence.from_local == "staff";
        let opts_out = header.has("X-Apple-Unsubscribe"); // a button in the reader's program wrote it
        let complains = senders::is_nobody(evidence.from_local) && bounce::is_complaint(evidence.text);
        row(staff || opts_out || complains, AutomationKind::FeedbackReport, Sign::FeedbackReport)
    })
    .or_else(|| {
        let sign = if has_part("message/delivery-status") { Sign::DeliveryStatus } else { Sign::BounceText };
        let bounce = evidence.bounce?;
        let failed = bounce.recipients.is_empty()
            || bounce
                .recipients
                .iter()
                .any(|it| it.action.as_deref().is_none_or(|action| action == "failed"));
        Some((if failed { AutomationKind::Bounce } else { AutomationKind::DelayReport }, sign))
    })
    .or_else(|| {
        let tls = report("tlsrpt")
            || has_part("application/tlsrpt+gzip")
            || has_part("application/tlsrpt+json")
            || header.has("TLS-Report-Domain");
        row(tls, AutomationKind::TlsReport, Sign::TlsReport)
    })
    .or_else(|| row(is_dmarc(evidence), AutomationKind::DmarcReport, Sign::DmarcReport))
    .or_else(|| {
        let receipt = report("disposition-notification") || has_part("message/disposition-notification");
        row(receipt || is_outlook_receipt(evidence), AutomationKind::Receipt, Sign::DispositionNotification)
    })
}

/// How Outlook begins the subject of a read receipt.
const RECEIPT_SUBJECTS: &[&str] = &["read:", "not read:", "leído:", "leido:", "no leído:", "no leido:"];

/// Outlook's read receipt: to a sender that it writes rich text to a TNEF part alone, not a word beside it.
fn is_outlook_receipt(evidence: &Evidence<'_>) -> bool {
    let subject = evidence.subject.to_lowercase();
    let alone = || evidence.media_types == ["application/ms-tnef"] && evidence.text.trim().is_empty();
    let in_words = || {
        let text = opening(evidence.text, 1_500);
        RECEIPT_TEXTS.iter().any(|(start, says)| text.starts_with(start) && text.contains(says))
    };
    RECEIPT_SUBJECTS.iter().any(|start| subject.starts_with(start)) && (alone() || in_words())
}

/// How such a receipt begins when it is text, and what it says then.
const RECEIPT_TEXTS: &[(&str, &str)] = &[
    ("your message", "was read on "),
    ("your message", "was deleted without being read"),
    ("el mensaje", "fue leído el "),
    ("el mensaje", "se leyó el "),
    ("el mensaje", "se eliminó sin "),
    ("su mensaje", "fue leído el "),
];

/// RFC 7489 §7.2.1.1: `receiver!domain!begin!end`, perhaps a unique id, and the extension.
static DMARC_FILE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^(?:[a-z0-9_-]+\.)+[a-z0-9-]+!(?:[a-z0-9_-]+\.)+[a-z0-9-]+![0-9]+![0-9]+(?:![^!]*)?\.(?:xml|zip|gz)$",
    )
});

/// RFC 7489 §7.2.1.1: the subject, and the file name. Who answers or sends on such a report asks about it.
fn is_dmarc(evidence: &Evidence<'_>) -> bool {
    let subject = evidence.subject.to_ascii_lowercase();
    let reports = (subject.contains("report domain:") && subject.contains("submitter:"))
        || subject.starts_with("dmarc forensic report for ") // Exim's, RFC 7489 §7.3
        || evidence.file_names.iter().any(|name| DMARC_FILE.is_match(name));
    reports && subject::mark(evidence.subject).is_none()
}

/// Fields that only a ticket system writes.
const TICKET_SYSTEM_FIELDS: [&str; 25] = [
    "X-RT-Ticket",
    "RT-Ticket",
    "X-RT-Loop-Prevention",
    "RT-Originator",
    "X-OTRS-Loop",
    "X-Znuny-Loop",
    "X-Zammad-Ticket",
    "X-Powered-By-OTRS",
    "X-Zendesk-From-Account-Id",
    "X-Mailer-Zendesk",
    "X-Freshdesk-Ticket-Id",
    "X-FD-Ticket",
    "X-osTicket",
    "X-Redmine-Issue-Id",
    "X-Redmine-Host",
    "X-JIRA-FingerPrint",
    "X-GLPI",
    "X-Roundup-Name",
    "X-Kayako-Ticket",
    "X-WHMCS-Ticket",
    "X-HelpScout-Conversation",
    "X-Trac-Ticket-ID",
    "X-Bugzilla-Reason",
    "X-Debian-PR-Message",
    "X-GitLab-Issue-ID",
];

fn ticket_systems(evidence: &Evidence<'_>) -> Row {
    let header = evidence.header;
    let mailer = header.first("X-Mailer").unwrap_or_default().to_ascii_lowercase();
    let is_ticket_mailer = ["otrs", "zammad", "znuny", "zendesk", "freshdesk", "osticket", "glpi", "whmcs"];
    let is_ticket_system = TICKET_SYSTEM_FIELDS.iter().any(|name| header.has(name))
        || is_ticket_mailer.iter().any(|name| mailer.contains(name));
    row(is_ticket_system, AutomationKind::TicketSystem, Sign::TicketSystemHeader)
}

fn machines(evidence: &Evidence<'_>) -> Row {
    let header = evidence.header;
    let generated = |holds, sign| row(holds, AutomationKind::AutoGenerated, sign);
    let auto_submitted = auto_submitted(header);
    let said = auto_submitted.as_deref().is_some_and(|said| {
        !matches!(said, "" | "no" | "auto-forwarded") // a forward by rule: a person wrote it
    });
    generated(said, Sign::AutoGenerated)
        .or_else(|| generated(header.has("X-Cron-Env"), Sign::AutoGenerated))
        .or_else(|| generated(senders::is_nobody(evidence.from_local), Sign::NoReplySender))
        .or_else(|| generated(senders::is_machine(evidence), Sign::MachineSender))
}

fn lists(evidence: &Evidence<'_>) -> Row {
    let header = evidence.header;
    let precedence = header.first("Precedence").unwrap_or_default().to_ascii_lowercase();
    let list = |holds, sign| row(holds, AutomationKind::List, sign);
    let bulk = |holds, sign| row(holds, AutomationKind::Bulk, sign);
    // A newsletter has a List-Id too; RFC 8058's one-click post tells it from a list that people talk on.
    let one_click = header.has("List-Unsubscribe-Post") && !header.has("List-Post");
    bulk(one_click, Sign::ListUnsubscribePost)
        .or_else(|| list(header.has("List-Id"), Sign::ListId))
        .or_else(|| {
            let posts = header.first("List-Post").is_some_and(|value| !value.eq_ignore_ascii_case("no"));
            list(posts, Sign::ListPost)
        })
        .or_else(|| {
            list(
                precedence == "list" || header.has("X-Mailing-List") || header.has("Mailing-List"),
                Sign::PrecedenceList,
            )
        })
        .or_else(|| bulk(matches!(precedence.as_str(), "bulk" | "junk"), Sign::PrecedenceBulk))
        .or_else(|| bulk(header.has("List-Unsubscribe"), Sign::ListUnsubscribe))
        .or_else(|| bulk(is_spam_flagged(header), Sign::SpamFlag))
}

/// The verdicts of SpamAssassin, Rspamd and those that write alike.
fn is_spam_flagged(header: &Header<'_>) -> bool {
    let says = |name: &str, words: &[&str]| {
        header.first(name).is_some_and(|value| words.contains(&value.to_ascii_lowercase().as_str()))
    };
    says("X-Spam-Flag", &["yes", "true", "1"])
        || says("X-Spam", &["yes", "true", "1"])
        || says("X-Rspamd-Action", &["reject", "add header", "rewrite subject", "soft reject"])
        || header.first("X-Spam-Status").is_some_and(|value| value.to_ascii_lowercase().starts_with("yes"))
}

fn rest(evidence: &Evidence<'_>) -> Row {
    row(evidence.calendar_method.is_some(), AutomationKind::Calendar, Sign::CalendarMethod)
        .or_else(|| {
            row(
                *evidence.return_path == ReturnPath::Null,
                AutomationKind::AutoGenerated,
                Sign::NullReturnPath,
            )
        })
        .or_else(|| {
            row(evidence.suppresses_auto_reply, AutomationKind::AutoGenerated, Sign::AutoResponseSuppress)
        })
}

/// RFC 3834 §5: the keyword, without parameters and comments, lower case.
fn auto_submitted(header: &Header<'_>) -> Option<String> {
    let value = header.first("Auto-Submitted")?;
    let keyword =
        value.split(|c: char| c == ';' || c == '(' || c.is_whitespace()).find(|word| !word.is_empty())?;
    Some(keyword.to_ascii_lowercase())
}

/// Whether X-Auto-Response-Suppress names `All` or `AutoReply` (MS-OXCMAIL §2.1.3.2.20).
pub(super) fn suppresses_auto_reply(header: &Header<'_>) -> bool {
    header.all("X-Auto-Response-Suppress").any(|field| {
        let value = field.unfolded();
        value.split([',', ';']).any(|word| {
            let word = word.trim();
            word.eq_ignore_ascii_case("all") || word.eq_ignore_ascii_case("autoreply")
        })
    })
}

#[cfg(test)]
mod forms;
#[cfg(test)]
mod tests;
