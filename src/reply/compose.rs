//! Puts an acknowledgement together: the variables of its text, its headers (RFC 3834 §3, RFC 5322), its two parts.

use std::ops::RangeInclusive;

use jiff::civil::Date;

use super::header::{self, HeaderText, MessageId};
use super::mime;
use super::template::{Format, Templates};
use super::variables::{Holiday, SpecialDay, Variables};
use super::{Composed, Reply, ReplyKind, words};
use crate::plan::{Availability, Calendar, Clock, Promise};
use crate::site::Site;
use crate::ticket::{Impact, Language};

/// The text part's lines are at most this long, so that plain readers and quotes (`> `) stay below 80.
const COLUMNS: usize = 76;
/// The longest customer name in a greeting, in characters.
const NAME_CHARS: usize = 80;
/// The most holidays, and the most special days, that one acknowledgement explains itself with.
const HOLIDAYS: usize = 4;

/// Writes an acknowledgement. Total: the templates were tried with every kind when they were compiled; what fails all
/// the same falls back to a plain sentence with the number and the promise. The same reply gives the same bytes (I5).
pub fn compose(reply: &Reply<'_>, site: &Site, templates: &Templates) -> Composed {
    let variables = variables(reply, site);
    let render = |format| templates.render(reply.kind, reply.language, format, &variables).ok();
    let text = lay_out(&render(Format::Text).unwrap_or_else(|| plain_sentence(reply.language, &variables)));
    let html = render(Format::Html).unwrap_or_else(|| plain_html(reply.language, &text));
    let html = html.replace(words::GLUE, "&nbsp;");
    let subject = HeaderText::reply_subject(reply.subject, reply.language);

    let mut mail = String::with_capacity(8 * 1024);
    write_headers(reply, site, &subject, &mut mail);
    mail += &mime::alternative(reply.message_id, &text, &html);
    Composed { subject: subject.as_str().to_owned(), text, html, bytes: mail.into_bytes() }
}

/// Nothing here asks for a receipt, names a list, or repeats a header of theirs but the ids of their thread.
fn write_headers(reply: &Reply<'_>, site: &Site, subject: &HeaderText, out: &mut String) {
    let date = reply.calendar.to_local(reply.now).strftime("%a, %d %b %Y %H:%M:%S %z").to_string();
    header::write_field("Date", &date, out);
    header::write_mailbox("From", Some(&site.from.name), &site.from, out);
    header::write_mailbox("To", None, reply.to, out); // RFC 3834 §3.1.3: one, and without a name of theirs (I8)
    if let Some(reply_to) = reply.reply_to {
        header::write_field("Reply-To", reply_to, out);
    }
    subject.write("Subject", out);
    let parent = reply.in_reply_to.and_then(MessageId::new);
    header::write_ids("Message-ID", MessageId::new(reply.message_id).as_slice(), out);
    header::write_ids("In-Reply-To", parent.as_slice(), out);
    header::write_ids("References", &header::thread(reply.references, parent.as_ref()), out);
    header::write_field("Auto-Submitted", "auto-replied", out); // RFC 3834 §3.1.7
    // MS-OXCMAIL §2.1.3.2.20. Not `All`: a delivery report is welcome.
    header::write_field("X-Auto-Response-Suppress", "OOF, AutoReply, RN, NRN", out);
    header::write_field("Precedence", "bulk", out); // RFC 3834 §3.1.8: for responders that know nothing else
    header::write_field("X-Acuse-Loop", reply.loop_token, out);
    header::write_field("Content-Language", reply.language.as_str(), out);
}

fn variables(reply: &Reply<'_>, site: &Site) -> Variables {
    let (promise, calendar, plan, language) = (reply.promise, reply.calendar, reply.plan, reply.language);
    let local = |at| calendar.to_local(at);
    let in_hours = promise.window.clock == Clock::Business;
    let kept = promise.is_of_an_earlier_one();
    let channels = Channels::of(reply, site);
    Variables {
        company: site.name.clone(),
        support_address: reply.support_address.address.clone(),
        help_url: site.channels.help_url.clone(),
        number: reply.number.to_owned(),
        customer_name: reply
            .customer_name
            .map(|name| HeaderText::new(name, NAME_CHARS).as_str().to_owned())
            .filter(|name| !name.is_empty()),
        known_sender: reply.known_sender,
        impact: words::impact(reply.impact, language),
        case: reply.case.map(|case| case.label.in_language(language).to_owned()),
        plan: plan.name.in_language(language).to_owned(),
        reply_within: if kept {
            words::within_what_was_promised(language).to_owned()
        } else {
            words::promise(promise.window, language)
        },
        overdue: reply.kind == ReplyKind::Late || promise.is_past(reply.now),
        strict: promise.window.strict,
        due: words::moment(&local(promise.due_by), language),
        due_iso: local(promise.due_by).strftime("%Y-%m-%dT%H:%M:00%:z").to_string(),
        zone: words::zone(calendar.zone(), promise.due_by, language),
        business_hours: in_hours.then(|| business_hours(calendar, promise, language)),
        out_of_hours: in_hours && !kept && promise.clock_starts > promise.received,
        clock_starts: words::moment(&local(promise.clock_starts), language),
        holidays: if in_hours { holidays(calendar, promise, language) } else { Vec::new() },
        special_days: if in_hours { special_days(calendar, promise, language) } else { Vec::new() },
        always_by: some_list(&channels.always, language),
        business_by: some_list(&channels.business, language),
        around_the_clock: Impact::ALL.into_iter().all(|impact| plan.window(impact).clock == Clock::Always),
        phone: channels.phone,
        phone_with_case: channels.phone_with_case,
        chat: channels.chat,
        remote: plan.channels.remote.is_some(),
    }
}

fn some_list(items: &[String], language: Language) -> Option<String> {
    (!items.is_empty()).then(|| words::list(items, language))
}

/// The channels of a plan in words, without those that `[support]` leaves unset.
#[derive(Default)]
struct Channels {
    always: Vec<String>,
    business: Vec<String>,
    phone: Option<String>,
    phone_with_case: Option<String>,
    chat: Option<String>,
}

impl Channels {
    fn of(reply: &Reply<'_>, site: &Site) -> Self {
        let plan = reply.plan.channels;
        let (phone, chat) = (site.channels.phone.as_deref(), site.channels.chat.as_deref());
        let mut channels = Self::default();
        for (when, es, en, place) in [
            (plan.ticket, "por ticket", "ticket", Some("")),
            (plan.email, "por correo", "e-mail", Some("")),
            (plan.chat, "por chat", "chat", chat),
            (plan.phone, "por teléfono", "phone", phone),
        ] {
            let (Some(when), Some(place)) = (when, place) else { continue };
            let name = if reply.language == Language::Es { es } else { en };
            let said = if place.is_empty() { name.to_owned() } else { format!("{name} ({place})") };
            match when {
                Availability::Always => channels.always.push(said),
                Availability::Business => channels.business.push(said),
                Availability::OnlyWithCase | Availability::WhenRequired => {}
            }
        }
        let serves = |when| matches!(when, Some(Availability::Always | Availability::Business));
        let phone = phone.map(str::to_owned);
        channels.chat = chat.filter(|_| serves(plan.chat)).map(str::to_owned);
        channels.phone_with_case = phone.clone().filter(|_| plan.phone == Some(Availability::OnlyWithCase));
        channels.phone = phone.filter(|_| serves(plan.phone));
        channels
    }
}

/// The hours of an ordinary week; that holidays are excepted only where the calendar has any this year.
fn business_hours(calendar: &Calendar, promise: &Promise, language: Language) -> String {
    let hours = words::business_hours(calendar.hours(), language);
    let year = calendar.to_local(promise.received).year();
    match language {
        _ if calendar.holidays_of_year(year).is_empty() => hours,
        Language::Es => hours + ", excepto festivos",
        Language::En => hours + ", public holidays excepted",
    }
}

/// The days from the mail's to the promise's.
fn days(calendar: &Calendar, promise: &Promise) -> RangeInclusive<Date> {
    let (first, last) =
        (calendar.to_local(promise.received).date(), calendar.to_local(promise.due_by).date());
    first..=last.max(first)
}

/// The days on the way whose hours are others than those of the week, each with its own.
fn special_days(calendar: &Calendar, promise: &Promise, language: Language) -> Vec<SpecialDay> {
    let exceptions = calendar.exceptions().range(days(calendar, promise));
    let said = exceptions.map(|(date, hours)| SpecialDay {
        day: words::day(*date, language),
        hours: (!hours.is_empty()).then(|| words::hours_of_day(hours, language)),
    });
    said.take(HOLIDAYS).collect()
}

/// The holidays on the way, for days that would have been open.
fn holidays(calendar: &Calendar, promise: &Promise, language: Language) -> Vec<Holiday> {
    let days = days(calendar, promise);
    days.start()
        .series(jiff::Span::new().days(1))
        .take_while(|date| days.contains(date))
        .take(366)
        .filter(|date| {
            let weekday = usize::from(date.weekday().to_monday_zero_offset().unsigned_abs());
            calendar.hours().get(weekday).is_some_and(|hours| !hours.is_empty())
        })
        .filter_map(|date| {
            let name = calendar.holiday_on(date)?.to_owned();
            Some(Holiday { day: words::day(date, language), name })
        })
        .take(HOLIDAYS)
        .collect()
}

/// Lines of at most 76 characters, no blank line twice, none at either end.
fn lay_out(rendered: &str) -> String {
    let mut text = String::with_capacity(rendered.len());
    for line in words::wrap(rendered.trim(), COLUMNS).lines().map(str::trim_end) {
        if !(line.is_empty() && text.ends_with("\n\n")) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.replace(words::GLUE, " ")
}

/// What is said when a text fails although it was tried: the number, and until when, which is true of every kind.
fn plain_sentence(language: Language, variables: &Variables) -> String {
    let Variables { number, reply_within, due, zone, .. } = variables;
    let until = match (language, variables.overdue, variables.strict) {
        (Language::Es, true, _) => "cuanto antes".to_owned(),
        (Language::Es, false, true) => format!("{reply_within}: antes del {due} ({zone})"),
        (Language::Es, false, false) => format!("{reply_within}: a más tardar el {due} ({zone})"),
        (Language::En, true, _) => "as soon as possible".to_owned(),
        (Language::En, false, true) => format!("{reply_within}: before {due} ({zone})"),
        (Language::En, false, false) => format!("{reply_within}: by {due} ({zone})"),
    };
    match language {
        Language::Es => format!("Recibimos su mensaje: caso {number}. Le respondemos {until}."),
        Language::En => format!("We have received your message: case {number}. We reply {until}."),
    }
}

fn plain_html(language: Language, text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<!doctype html>\n<html lang=\"{}\"><body><p>{escaped}</p></body></html>\n", language.as_str())
}

#[cfg(test)]
mod tests;
