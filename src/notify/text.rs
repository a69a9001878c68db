//! The mail to a person: plain text, everything since the last one, and headers that keep robots from answering it.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{AlertNews, News, TicketNews, Topic};
use crate::mail::Address;
use crate::plan::Calendar;
use crate::reply::header::{self, HeaderText, MessageId};
use crate::reply::{mime, words};
use crate::site::Site;
use crate::ticket::Language::{self, Es};

/// So many are told of one by one; the rest are counted.
const MOST: usize = 40;
/// The longest subject, in characters.
const SUBJECT_CHARS: usize = 120;
/// The most of a text from outside (an address, a server's own words), in characters.
const OUTSIDE_CHARS: usize = 200;

/// A mail that is to be written.
#[derive(Debug, Clone)]
pub struct Notice<'a> {
    /// Whom it is for.
    pub to: &'a Address,
    /// In which language.
    pub language: Language,
    /// What happened, oldest first; at least one.
    pub news: &'a [News],
    /// Our Message-ID, without angle brackets.
    pub message_id: &'a str,
    /// The value of our loop header.
    pub loop_token: &'a str,
    /// The zone that times are told in.
    pub calendar: &'a Calendar,
    /// When it is written.
    pub now: Timestamp,
}

/// Writes the whole mail, CRLF line ends.
pub fn compose(notice: &Notice<'_>, site: &Site) -> Vec<u8> {
    let date = notice.calendar.to_local(notice.now).strftime("%a, %d %b %Y %H:%M:%S %z").to_string();
    let mut mail = String::with_capacity(4096);
    header::write_field("Date", &date, &mut mail);
    header::write_mailbox("From", Some(&site.from.name), &site.from, &mut mail);
    header::write_mailbox("To", None, notice.to, &mut mail);
    HeaderText::new(&notice.subject(), SUBJECT_CHARS).write("Subject", &mut mail);
    header::write_ids("Message-ID", MessageId::new(notice.message_id).as_slice(), &mut mail);
    header::write_field("Auto-Submitted", "auto-generated", &mut mail); // RFC 3834 §5
    header::write_field("X-Auto-Response-Suppress", "All", &mut mail); // MS-OXCMAIL §2.1.3.2.20
    header::write_field("X-Acuse-Loop", notice.loop_token, &mut mail);
    header::write_field("Content-Language", notice.language.as_str(), &mut mail);
    mail += &mime::plain(&notice.body());
    mail.into_bytes()
}

impl Notice<'_> {
    fn say(&self, es: &'static str, en: &'static str) -> &'static str {
        if self.language == Es { es } else { en }
    }

    /// `[ACU-12] impacto alto: caída de servicio — vence 10:15`, or how much there is of what.
    fn subject(&self) -> String {
        match self.news {
            [News::Ticket(ticket)] => {
                let due = ticket.due.map(|due| format!(" — {} {}", self.say("vence", "due"), self.hour(due)));
                format!("[{}] {}{}", ticket.number, self.kind_of(ticket), due.unwrap_or_default())
            }
            [News::Alert(alert)] => {
                format!("[acuse] {}: {}", self.what(alert), outside(&alert.subject))
            }
            news => {
                let count = |topic| {
                    let is = |one: &&News| matches!(one, News::Ticket(ticket) if ticket.topic == topic);
                    news.iter().filter(is).count()
                };
                let (high, unclassified) = (count(Topic::HighImpact), count(Topic::Unclassified));
                let others = news.len() - high - unclassified;
                let parts: Vec<String> = [
                    (high, self.say("urgentes", "urgent")),
                    (unclassified, self.say("sin clasificar", "unclassified")),
                    (others, self.say("del sistema", "of the system")),
                ]
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, words)| format!("{count} {words}"))
                .collect();
                format!("[acuse] {} {}: {}", news.len(), self.say("avisos", "notices"), parts.join(", "))
            }
        }
    }

    /// The tickets first, the urgent ones before the others; then the alerts, and what is over.
    fn body(&self) -> String {
        let mut ordered: Vec<&News> = self.news.iter().collect();
        ordered.sort_by_key(|news| match news {
            News::Ticket(ticket) => (0, ticket.topic as u8),
            News::Alert(alert) => (1 + u8::from(alert.ended.is_some()), 0),
        });
        let mut text = String::new();
        for news in ordered.iter().take(MOST) {
            match news {
                News::Ticket(ticket) => self.write_ticket(ticket, &mut text),
                News::Alert(alert) => self.write_alert(alert, &mut text),
            }
            text.push('\n');
        }
        if let Some(more @ 1..) = ordered.len().checked_sub(MOST) {
            let _ = writeln!(text, "{} {more}: acuse tickets list\n", self.say("Y otros", "And others:"));
        }
        text += self.say(
            "Este aviso lo escribe acuse. No lo responda: el cliente no recibiría nada.\n",
            "acuse wrote this notice. Do not answer it: the customer would get nothing.\n",
        );
        text.replace(words::GLUE, " ")
    }

    fn write_ticket(&self, ticket: &TicketNews, text: &mut String) {
        let number = &ticket.number;
        let _ = writeln!(text, "{number}  {}", self.kind_of(ticket));
        let due = ticket.due.map(|due| words::moment(&self.calendar.to_local(due), self.language));
        let due =
            due.unwrap_or_else(|| self.say("ya no corre ningún plazo", "no promise runs any more").into());
        let requester = ticket.requester.as_deref().map(outside);
        for (name, value) in [
            (self.say("plan", "plan"), Some(ticket.plan.clone())),
            (self.say("solicitante", "requester"), requester),
            (self.say("vence", "due"), Some(due)),
            (self.say("ver", "see"), Some(format!("acuse tickets show {number}"))),
        ] {
            if let Some(value) = value {
                let _ = writeln!(text, "  {name:<12} {value}");
            }
        }
    }

    fn write_alert(&self, alert: &AlertNews, text: &mut String) {
        let (what, subject) = (self.what(alert), outside(&alert.subject));
        let local = |at| words::moment(&self.calendar.to_local(at), self.language);
        let since = (self.say("desde", "since"), local(alert.since));
        if let Some(ended) = alert.ended {
            let _ = writeln!(text, "{}: {what}: {subject}", self.say("Se resolvió", "Over"));
            for (name, value) in [since, (self.say("hasta", "until"), local(ended))] {
                let _ = writeln!(text, "  {name:<12} {value}");
            }
            return;
        }
        let _ = writeln!(text, "{what}: {subject}");
        let detail = (self.say("detalle", "detail"), outside(&alert.detail));
        let see = (self.say("ver", "see"), command(&alert.kind).to_owned());
        for (name, value) in [since, detail, see].into_iter().filter(|(_, value)| !value.is_empty()) {
            let _ = writeln!(text, "  {name:<12} {value}");
        }
    }

    /// `impacto alto: caída de servicio`.
    fn kind_of(&self, ticket: &TicketNews) -> String {
        let impact = words::impact(ticket.impact, self.language);
        let impact =
            if self.language == Es { format!("impacto {impact}") } else { format!("{impact} impact") };
        let case = ticket.case.as_deref().unwrap_or_else(|| self.say("sin clasificar", "unclassified"));
        format!("{impact}: {case}")
    }

    /// `10:15`; on another day with its date.
    fn hour(&self, at: Timestamp) -> String {
        let (at, now) = (self.calendar.to_local(at), self.calendar.to_local(self.now));
        let form = if at.date() == now.date() { "%H:%M" } else { "%d/%m %H:%M" };
        at.strftime(form).to_string()
    }

    fn what(&self, alert: &AlertNews) -> &'static str {
        let (es, en) = match alert.kind.as_str() {
            "login_refused" => ("inicio de sesión rechazado", "login refused"),
            "mailbox_unreachable" => ("buzón sin respuesta", "mailbox does not answer"),
            "relay_fails" => ("el servidor de salida no responde", "the relay cannot be used"),
            "outbox_waits" => ("acuses sin salir", "acknowledgements do not go out"),
            "null_sender_refused" => {
                ("el servidor de salida rechaza MAIL FROM:<>", "the relay refuses MAIL FROM:<>")
            }
            "ack_bounced" => ("correo devuelto", "mail came back"),
            "ack_refused" => ("correo rechazado", "mail refused"),
            "ack_held" => ("acuse retenido", "acknowledgement held"),
            "ack_expired" => ("acuse vencido sin enviar", "acknowledgement expired unsent"),
            "breaker" => ("muchos más acuses de lo normal", "far more acknowledgements than usual"),
            "quarantined" => ("correo en cuarentena", "mail in quarantine"),
            "disk_low" => ("disco casi lleno", "disk almost full"),
            "policy_refused" => ("archivos de reglas con errores", "the policy's files are wrong"),
            "clock_behind" | "clock_jumped" => ("el reloj cambió", "the clock was set"),
            "cannot_move" | "cannot_settle" => {
                ("no se pudo archivar un correo", "a mail could not be moved or flagged")
            }
            "folder_read_only" => ("carpeta de solo lectura", "a folder is read-only"),
            "rescan_failed" => ("falló la relectura del buzón", "a rescan failed"),
            "search_index" => ("índice de búsqueda dañado", "the search index is damaged"),
            _ => ("aviso", "notice"),
        };
        self.say(es, en)
    }
}

/// What shows more of it; empty: nothing does.
fn command(alert: &str) -> &'static str {
    match Topic::of_alert(alert) {
        Topic::LoginRefused | Topic::MailboxSilent => "acuse mailbox list",
        Topic::OutboxStuck | Topic::AckUndelivered | Topic::BreakerTripped => "acuse outbox list",
        Topic::Quarantine => "acuse quarantine list",
        Topic::PolicyRefused => "acuse check",
        Topic::DiskLow | Topic::Upkeep | Topic::HighImpact | Topic::Unclassified => "",
    }
}

/// On one line, without anything that hides or turns it (I17).
fn outside(text: &str) -> String {
    HeaderText::new(text, OUTSIDE_CHARS).as_str().to_owned()
}

#[cfg(test)]
mod tests;
