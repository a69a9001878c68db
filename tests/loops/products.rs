//! Ticket systems as they mark their automatic mail, as they look when the marks are lost on the way or in a template
//! of the operator's, and as they answer when nobody told them what ours say.

use jiff::Timestamp;

use crate::days::{Peer, US, field, play};
use crate::support::header;

/// How one of them writes its automatic answer to a new case. `{n}` is a number that grows, `{subject}` and `{id}` are
/// the subject and the Message-ID of the mail that it answers.
struct Product {
    name: &'static str,
    from: &'static str,
    subject: &'static str,
    message_id: &'static str,
    /// Its In-Reply-To.
    answers: &'static str,
    /// The fields that say that nobody wrote it.
    marks: &'static [&'static str],
    /// How a field begins, in lower case, to which it sends no automatic answer.
    heeds: &'static [&'static str],
}

const RT: Product = Product {
    name: "RT",
    from: "Soporte via RT <help@rt.example>",
    subject: "[rt.example #{n}] AutoReply: {subject}",
    message_id: "rt-5.0.3-4711-1790000000-{n}.{n}-6-0@rt.example",
    answers: "{id}",
    marks: &[
        "X-RT-Loop-Prevention: rt.example",
        "RT-Ticket: rt.example #{n}",
        "RT-Originator: soporte@mihost.example",
        "Precedence: bulk",
        "Auto-Submitted: auto-generated",
    ],
    heeds: &["precedence: bulk", "precedence: junk", "auto-submitted: auto-"],
};

const ZAMMAD: Product = Product {
    name: "Zammad",
    from: "Soporte <help@zammad.example>",
    subject: "RE: {subject} [Ticket#{n}]",
    message_id: "20260916.{n}.12@zammad.example",
    answers: "{id}",
    marks: &[
        "X-Mailer: Zammad Mail Service",
        "X-Loop: yes",
        "Precedence: bulk",
        "Auto-Submitted: auto-generated",
        "X-Auto-Response-Suppress: All",
    ],
    heeds: &[
        "precedence: bulk",
        "x-loop: yes",
        "auto-submitted: auto-replied",
        "auto-submitted: auto-generated",
    ],
};

const OTRS: Product = Product {
    name: "OTRS",
    from: "OTRS <help@otrs.example>",
    subject: "[Ticket#20260916{n}] RE: {subject}",
    message_id: "1790000000.{n}@otrs.example",
    answers: "{id}",
    marks: &[
        "X-Mailer: OTRS Mail Service (6.0)",
        "X-Powered-By: OTRS (https://otrs.example/)",
        "X-OTRS-Loop: 1",
        "Precedence: bulk",
        "Auto-Submitted: auto-generated",
    ],
    heeds: &["precedence:", "x-loop:", "auto-submitted: auto-"],
};

const OSTICKET: Product = Product {
    name: "osTicket",
    from: "Soporte <help@osticket.example>",
    subject: "Re: {subject} [#{n}]",
    message_id: "b{n}-aaaa-bbbb-cccc@osticket.example",
    answers: "{id}",
    marks: &[
        "X-Mailer: osTicket Mailer",
        "Precedence: auto_reply",
        "X-Autoreply: yes",
        "X-Auto-Response-Suppress: DR, RN, OOF, AutoReply",
        "Auto-Submitted: auto-replied",
    ],
    heeds: &["precedence: bulk", "auto-submitted: auto-", "x-auto-response-suppress: oof, autoreply"],
};

/// As it comes it marks nothing.
const FREESCOUT: Product = Product {
    name: "FreeScout",
    from: "Soporte <help@freescout.example>",
    subject: "Re: {subject}",
    message_id: "autoreply-{n}-0123456789abcdef@freescout.example",
    answers: "{id}",
    marks: &[],
    heeds: &["auto-submitted:", "precedence: bulk"],
};

/// Its In-Reply-To names the work item, never the mail that it answers.
const JIRA: Product = Product {
    name: "Jira",
    from: "Soporte <jira@jira.example>",
    subject: "[JIRA] (SUP-{n}) {subject}",
    message_id: "JIRA.{n}.1790000000000.{n}.1790000000001@jira.example",
    answers: "JIRA.{n}.1790000000000@jira.example",
    marks: &[
        "X-JIRA-FingerPrint: 0123456789abcdef0123456789abcdef",
        "Precedence: bulk",
        "Auto-Submitted: auto-generated",
    ],
    heeds: &["precedence: bulk", "auto-submitted: auto-", "x-jira-fingerprint:"],
};

/// One of them at work.
struct AtWork<'a> {
    product: &'a Product,
    marked: bool,
    heeds: bool,
    written: usize,
}

impl AtWork<'_> {
    fn write(&mut self, subject: &str, answered: Option<&str>) -> Vec<u8> {
        self.written += 1;
        let number = (4000 + self.written).to_string();
        let fill = |template: &str| {
            let id = answered.unwrap_or_default().trim_matches(['<', '>']);
            template.replace("{n}", &number).replace("{subject}", subject).replace("{id}", id)
        };
        let Product { from, message_id, answers, marks, .. } = self.product;
        let mut head = format!("From: {from}\r\nTo: <{US}>\r\nMessage-ID: <{}>\r\n", fill(message_id));
        if answered.is_some() {
            let parent = fill(answers);
            head += &format!("Subject: {}\r\n", fill(self.product.subject));
            head += &format!("In-Reply-To: <{parent}>\r\nReferences: <{parent}>\r\n");
            let marks = marks.iter().filter(|_| self.marked);
            head += &marks.map(|mark| fill(mark) + "\r\n").collect::<String>();
        } else {
            head += &format!("Subject: {subject}\r\n"); // a person's, by its web page
        }
        format!("{head}\r\nHemos recibido su mensaje, caso {number}. El servidor ca\u{ed}do se revisa.\r\n")
            .into()
    }
}

impl Peer for AtWork<'_> {
    fn hear(&mut self, mail: &[u8], _: Timestamp) -> Vec<Vec<u8>> {
        let text = String::from_utf8_lossy(mail).to_lowercase();
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let is_told = head.lines().any(|line| self.product.heeds.iter().any(|mark| line.starts_with(mark)));
        if self.heeds && is_told {
            return Vec::new();
        }
        let subject = header(mail, "Subject").unwrap_or_default();
        vec![self.write(&subject, Some(&field(mail, "Message-ID")))]
    }
}

/// All four manners: a person there writes first, and after that programs are alone for two days.
fn two_days_with(product: &Product) {
    for (marked, heeds, manner) in [
        (true, true, "as it comes"),
        (false, true, "its marks lost"),
        (true, false, "deaf to ours"),
        (false, false, "deaf, its marks lost"),
    ] {
        let mut peer = AtWork { product, marked, heeds, written: 0 };
        let first = peer.write("Nuestra p\u{e1}gina", None);
        let course = play(&format!("{}, {manner}", product.name), &mut peer, vec![(0, first)], 48);
        let leaves_a_trace =
            heeds || (marked && !product.marks.is_empty()) || product.answers.contains("{id}");
        if leaves_a_trace {
            assert!(course.mails_in <= 2 && course.sent.len() <= 2, "two mails at most");
        }
        assert!(course.tickets <= course.sent.len() as u64 + 1, "a ticket for each that it was asked for");
    }
}

#[test]
fn rt_is_answered_once() {
    two_days_with(&RT);
}

#[test]
fn zammad_is_answered_once() {
    two_days_with(&ZAMMAD);
}

#[test]
fn otrs_is_answered_once() {
    two_days_with(&OTRS);
}

#[test]
fn osticket_is_answered_once() {
    two_days_with(&OSTICKET);
}

#[test]
fn freescout_is_answered_once() {
    two_days_with(&FREESCOUT);
}

#[test]
fn jira_is_answered_once_or_up_to_the_caps() {
    two_days_with(&JIRA);
}
