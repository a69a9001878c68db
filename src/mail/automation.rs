//! Did a person write it? RFC 3834, List-*, Precedence, reports, and the marks that real programs leave.

use super::header::Header;
use super::{Automation, AutomationKind, Bounce, ReturnPath, Sign, opening};

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
    let (kind, because) = first(&[loops, reports, auto_replies, ticket_systems, machines, lists, rest]);
    let behind_machine = first(&[loops, reports, auto_replies, ticket_systems, lists, rest]);
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
        let staff = evidence.subject.to_ascii_lowercase().starts_with("complaint about message from");
        row(staff && evidence.from_local == "staff", AutomationKind::FeedbackReport, Sign::FeedbackReport)
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

/// Outlook's read receipt to a sender that it writes rich text to: a TNEF part alone, not a word beside it.
fn is_outlook_receipt(evidence: &Evidence<'_>) -> bool {
    let subject = evidence.subject.to_lowercase();
    evidence.media_types == ["application/ms-tnef"]
        && evidence.text.trim().is_empty()
        && RECEIPT_SUBJECTS.iter().any(|start| subject.starts_with(start))
}

/// RFC 7489 §7.2.1.1: the subject, and the file name `receiver!domain!begin!end.xml.gz`.
fn is_dmarc(evidence: &Evidence<'_>) -> bool {
    let subject = evidence.subject.to_ascii_lowercase();
    let named = |name: &&str| {
        let name = name.to_ascii_lowercase();
        name.matches('!').count() >= 3
            && [".xml", ".zip", ".gz"].iter().any(|extension| name.ends_with(extension))
    };
    (subject.contains("report domain:") && subject.contains("submitter:"))
        || evidence.file_names.iter().any(named)
}

/// Header fields that only an auto-responder writes, and values that deny it.
const AUTO_REPLY_FIELDS: [&str; 10] = [
    "X-Bluebottle-Request",
    "X-Autoreply",
    "X-Autorespond",
    "X-Autoresponder",
    "X-Autoreply-From",
    "X-Mail-Autoreply",
    "X-Auto-Reply",
    "X-Vacation",
    "X-Challenge",
    "X-Autorespond-To",
];

/// How programs begin the subject of a vacation notice, before a colon, the answered subject or nothing.
const AUTO_REPLY_SUBJECTS: &[&str] = &[
    "automatic reply",
    "auto reply",
    "autoreply",
    "auto-reply",
    "auto response",
    "auto-response",
    "autoresponse",
    "automated reply",
    "automatic response",
    "out of office",
    "out of the office",
    "out of office reply",
    "out of office autoreply",
    "out of office response",
    "out of office notification",
    "vacation reply",
    "holiday reply",
    "away from my mail",
    "respuesta automática",
    "respuesta automatica",
    "autorespuesta",
    "auto respuesta",
    "fuera de la oficina",
    "fuera de oficina",
    "ausencia de la oficina",
    "ausente",
    "réponse automatique",
    "automatische antwort",
    "abwesenheitsnotiz",
    "resposta automática",
];

/// Whether a subject begins so; "Out of office does not work" does not.
fn is_auto_reply_subject(subject: &str) -> bool {
    let subject = subject.to_lowercase();
    let subject = subject.trim_start_matches(['[', '(', '*', '"', ' ']);
    AUTO_REPLY_SUBJECTS.iter().filter_map(|start| subject.strip_prefix(start)).any(|rest| {
        let rest = rest.trim_start();
        rest.is_empty()
            || rest.starts_with([':', '-', '(', ')', ']', '"', '*', '!', '.'])
            || rest.starts_with("re:")
    })
}

/// The texts of challenge-response systems, which ask the sender to prove being a person.
const CHALLENGES: [&str; 5] = [
    "boxbe.com",
    "your message has been held until",
    "to confirm that you are a real person",
    "verify your email address so your message",
    "please click the link below to complete the verification",
];

fn auto_replies(evidence: &Evidence<'_>) -> Row {
    let header = evidence.header;
    let auto_reply = |holds, sign| row(holds, AutomationKind::AutoReply, sign);
    let auto_submitted = auto_submitted(header);
    auto_reply(auto_submitted.as_deref() == Some("auto-replied"), Sign::AutoReplied)
        .or_else(|| {
            let field = AUTO_REPLY_FIELDS
                .iter()
                .any(|name| header.first(name).is_some_and(|value| !value.eq_ignore_ascii_case("no")));
            let delivered = header
                .all("Delivered-To")
                .any(|field| field.unfolded().eq_ignore_ascii_case("autoresponder"));
            auto_reply(field || delivered, Sign::AutoReplyHeader)
        })
        .or_else(|| {
            let precedence = ["Precedence", "X-Precedence"].iter().filter_map(|name| header.first(name));
            let auto = precedence.into_iter().any(|value| {
                matches!(value.to_ascii_lowercase().replace('_', "-").as_str(), "auto-reply" | "auto-replied")
            });
            auto_reply(auto, Sign::PrecedenceAutoReply)
        })
        .or_else(|| {
            let class = header.first("X-POST-MessageClass").unwrap_or_default().to_ascii_lowercase();
            let exchange = class.contains("autoresponder") || class.contains("oof");
            auto_reply(exchange, Sign::AutoReplyHeader)
        })
        .or_else(|| auto_reply(is_auto_reply_subject(evidence.subject), Sign::AutoReplySubject))
        .or_else(|| {
            let text = opening(evidence.text, 1_500);
            auto_reply(CHALLENGES.iter().any(|words| text.contains(words)), Sign::Challenge)
        })
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

/// Local parts that nobody reads the mail of.
const NO_REPLY: &[&str] = &[
    "noreply",
    "donotreply",
    "nepasrepondre",
    "noresponder",
    "norespondas",
    "nocontestar",
    "noresponda",
    "mailerdaemon",
    "autoresponder",
    "noresponderaestecorreo",
    "noresposta",
];

/// Local parts of machines that report on themselves: monitors, the accounts that a server's jobs and daemons write
/// as, and the programs that run list servers (RFC 5230 §4.6).
const MACHINES: &[&str] = &[
    "bounce",
    "bounces",
    "monitor",
    "monitoring",
    "monitoreo",
    "nagios",
    "zabbix",
    "icinga",
    "prometheus",
    "grafana",
    "pingdom",
    "munin",
    "monit",
    "checkmk",
    "alertmanager",
    "alerts",
    "alertas",
    "uptimerobot",
    "notifications",
    "notification",
    "notificaciones",
    "postmaster",
    "cron",
    "crond",
    "crondaemon",
    "root",
    "daemon",
    "nobody",
    "wwwdata",
    "apache",
    "nginx",
    "cpanel",
    "plesk",
    "wordpress",
    "logwatch",
    "fail2ban",
    "smartd",
    "mdadm",
    "mysql",
    "oracle",
    "postgres",
    "listserv",
    "majordomo",
    "mailman",
    "mlmmj",
    "ezmlm",
];

/// Whether an address is one by which a list server or its keeper speaks: `owner-x`, `x-request`, `x+bounces`
/// (RFC 2142 §6, RFC 5230 §4.6).
fn is_list_role(local: &str) -> bool {
    let local = local.to_lowercase();
    let role = |name: &str| matches!(name, "owner" | "request" | "bounce" | "bounces");
    local.starts_with("owner-") || local.rsplit_once(['-', '+']).is_some_and(|(_, end)| role(end))
}

/// Display names of mail servers.
const SERVER_NAMES: &[&str] = &[
    "mail delivery subsystem",
    "mail delivery system",
    "mailer-daemon",
    "mail administrator",
    "mail system",
];

/// How mail servers begin or end the subject of a report that has no other mark; a person's answer or forward
/// begins otherwise.
const REPORT_SUBJECTS: &[&str] = &[
    "mail delivery failed",
    "mail delivery failure",
    "delivery failure notification",
    "delivery status notification",
    "undelivered mail returned to sender",
    "undeliverable:",
    "undeliverable mail",
    "returned mail: see transcript",
    "failure notice",
    "warning: could not send message",
    "loop alert:",
    "no se puede entregar:",
    "mensaje no entregado",
];

fn is_mail_server(evidence: &Evidence<'_>) -> bool {
    let from = evidence.header.first("From").unwrap_or_default().to_lowercase();
    let name = from.split('<').next().unwrap_or_default().trim().trim_matches('"');
    let subject = evidence.subject.to_lowercase();
    SERVER_NAMES.contains(&name)
        || REPORT_SUBJECTS.iter().any(|start| subject.starts_with(start))
        || subject.ends_with("(delivery failed)")
}

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
        .or_else(|| {
            let local: String = evidence.from_local.chars().filter(|c| c.is_alphanumeric()).collect();
            let nobody = NO_REPLY.iter().any(|name| local.starts_with(name) || local.ends_with(name));
            generated(nobody, Sign::NoReplySender)
                .or_else(|| generated(MACHINES.contains(&local.as_str()), Sign::MachineSender))
                .or_else(|| generated(is_list_role(evidence.from_local), Sign::MachineSender))
                .or_else(|| generated(is_mail_server(evidence), Sign::MachineSender))
        })
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
mod tests {
    use super::super::{AutomationKind as Kind, Sign, parse};

    fn kind(headers: &str) -> (Kind, Option<Sign>) {
        let mail = format!("From: Ana <ana@b.co>\nSubject: Hola\n{headers}\nNo carga mi página.\n");
        let automation = parse(mail.as_bytes()).automation;
        (automation.kind, automation.because)
    }

    #[test]
    fn a_person_leaves_no_sign() {
        for headers in
            ["", "Auto-Submitted: no\n", "Auto-Submitted: auto-forwarded\n", "Precedence: first-class\n"]
        {
            assert_eq!(kind(headers), (Kind::None, None), "{headers}");
        }
    }

    #[test]
    fn every_sign_is_recognised() {
        for (headers, want, sign) in [
            ("X-Acuse-Loop: x\n", Kind::Loop, Sign::LoopHeader),
            ("Auto-Submitted: auto-replied (vacation)\n", Kind::AutoReply, Sign::AutoReplied),
            ("Auto-Submitted: Auto-Replied; owner-email=a@b.co\n", Kind::AutoReply, Sign::AutoReplied),
            ("X-Autoreply: yes\n", Kind::AutoReply, Sign::AutoReplyHeader),
            ("X-Autorespond: ausente\n", Kind::AutoReply, Sign::AutoReplyHeader),
            ("Precedence: auto_reply\n", Kind::AutoReply, Sign::PrecedenceAutoReply),
            ("Auto-Submitted: auto-generated\n", Kind::AutoGenerated, Sign::AutoGenerated),
            (
                "Auto-Submitted: auto-generated\nX-RT-Ticket: 1\n",
                Kind::TicketSystem,
                Sign::TicketSystemHeader,
            ),
            ("List-Id: <l.b.co>\n", Kind::List, Sign::ListId),
            ("List-Post: <mailto:l@b.co>\n", Kind::List, Sign::ListPost),
            ("Precedence: list\n", Kind::List, Sign::PrecedenceList),
            ("Precedence: bulk\n", Kind::Bulk, Sign::PrecedenceBulk),
            ("List-Id: <n.b.co>\nList-Unsubscribe-Post: x\n", Kind::Bulk, Sign::ListUnsubscribePost),
            ("X-Spam-Flag: YES\n", Kind::Bulk, Sign::SpamFlag),
            ("X-Rspamd-Action: add header\n", Kind::Bulk, Sign::SpamFlag),
            ("Return-Path: <>\n", Kind::AutoGenerated, Sign::NullReturnPath),
            ("X-Auto-Response-Suppress: DR, AutoReply\n", Kind::AutoGenerated, Sign::AutoResponseSuppress),
        ] {
            assert_eq!(kind(headers), (want, Some(sign)), "{headers}");
        }
        assert_eq!(kind("X-Auto-Response-Suppress: DR, RN\n").0, Kind::None);
    }

    #[test]
    fn a_mail_server_is_no_person_and_who_asks_about_its_report_is() {
        let of = |from: &str, subject: &str| {
            parse(format!("From: {from}\nSubject: {subject}\n\nx\n").as_bytes()).automation.kind
        };
        assert_eq!(of("Mail Delivery System <mail@b.co>", "Hola"), Kind::AutoGenerated);
        assert_eq!(
            of("robot@b.co", "Mail delivery failed: returning message to sender"),
            Kind::AutoGenerated
        );
        assert_eq!(of("ana@b.co", "Fwd: Mail delivery failed: returning message to sender"), Kind::None);
        assert_eq!(of("ana@b.co", "me sale mail delivery failed"), Kind::None);
    }

    #[test]
    fn a_hundred_hops_are_a_loop() {
        assert_eq!(kind(&"Received: from a by b\n".repeat(101)), (Kind::Loop, Some(Sign::TooManyHops)));
        assert_eq!(kind(&"Received: from a by b\n".repeat(100)).0, Kind::None);
    }

    #[test]
    fn subjects_of_vacation_notices_and_answers_to_them() {
        let of = |subject: &str| {
            parse(format!("From: ana@b.co\nSubject: {subject}\n\nx\n").as_bytes()).automation.kind
        };
        assert_eq!(of("Respuesta automática: ACU-7"), Kind::AutoReply);
        assert_eq!(of("Automatic reply: ACU-7"), Kind::AutoReply);
        assert_eq!(of("Re: Automatic reply: ACU-7"), Kind::None);
        assert_eq!(of("Fuera de la oficina"), Kind::AutoReply);
        assert_eq!(of("Automatización caída"), Kind::None);
        assert_eq!(of("Out of office reply does not work"), Kind::None);
    }

    #[test]
    fn senders_that_nobody_reads() {
        let of = |from: &str| parse(format!("From: {from}\nSubject: x\n\nx\n").as_bytes()).automation.kind;
        for from in
            ["no-reply@b.co", "noreply@b.co", "do_not_reply@b.co", "ventas-noreply@b.co", "nagios@b.co"]
        {
            assert_eq!(of(from), Kind::AutoGenerated, "{from}");
        }
        for from in ["root@vps.b.co", "wordpress@b.co", "Cron <cron@b.co>", "alertas@b.co", "MAILMAN@b.co"] {
            assert_eq!(of(from), Kind::AutoGenerated, "{from}");
        }
        for from in
            ["owner-clientes@b.co", "clientes-owner@b.co", "avisos-request@b.co", "avisos+bounces@b.co"]
        {
            assert_eq!(of(from), Kind::AutoGenerated, "{from}");
        }
        for from in
            ["noralia.reyes@b.co", "owner@b.co", "ana-maria@b.co", "roberto.root@b.co", "request@b.co"]
        {
            assert_eq!(of(from), Kind::None, "{from}");
        }
    }

    #[test]
    fn reports_that_are_no_bounce() {
        let report = |kind: &str, part: &str| {
            let mail = format!(
                "From: a@b.co\nSubject: x\nContent-Type: multipart/report; report-type={kind}; boundary=z\n\n\
                 --z\n\nsee below\n--z\nContent-Type: {part}\n\nx: y\n--z--\n"
            );
            parse(mail.as_bytes()).automation.kind
        };
        assert_eq!(report("feedback-report", "message/feedback-report"), Kind::FeedbackReport);
        assert_eq!(report("disposition-notification", "message/disposition-notification"), Kind::Receipt);
        assert_eq!(report("tlsrpt", "application/tlsrpt+gzip"), Kind::TlsReport);
        let outlook = |subject: &str, media_type: &str| {
            let mail = format!("From: a@b.co\nSubject: {subject}\nContent-Type: {media_type}\n\n\u{1f}\n");
            parse(mail.as_bytes()).automation.kind
        };
        assert_eq!(outlook("Leído: Consulta", "application/ms-tnef"), Kind::Receipt);
        assert_eq!(outlook("Read: Consulta", "application/ms-tnef; name=winmail.dat"), Kind::Receipt);
        assert_eq!(outlook("Consulta", "application/ms-tnef"), Kind::None, "a person's rich text");
        assert_eq!(outlook("Read: this first", "text/plain"), Kind::None);
        let dmarc = "From: d@b.co\nSubject: Report Domain: b.co Submitter: c.co Report-ID: <1>\n\nx\n";
        assert_eq!(parse(dmarc.as_bytes()).automation.kind, Kind::DmarcReport);
    }
}
