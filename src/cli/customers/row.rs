//! A row of the directory as somebody writes it, in a file or on the command line.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer};

use crate::cli::context::{shown, time};
use crate::cli::report::{Code, Failure};
use crate::mail::Address;
use crate::plan::Plans;
use crate::store::{CustomerRow, KeyKind};
use crate::ticket::Language;
use crate::triage::silence::is_public_mail_domain;

/// A row as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub key: String,
    pub plan: String,
    pub name: Option<String>,
    pub language: Option<String>,
    pub from: Option<String>,
    pub until: Option<String>,
    #[serde(default, deserialize_with = "text_or_number")]
    pub id: Option<String>,
    /// In what `customers list --json` prints; the key says it already.
    #[serde(rename = "kind")]
    pub _kind: Option<String>,
}

/// Why a row is refused.
#[derive(Debug)]
pub struct Wrong {
    what: String,
    remedy: String,
}

impl Wrong {
    fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Self::new(Code::Usage, wrong.what).hint(wrong.remedy)
    }
}

/// Databases number their customers.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "`id` is neither a text nor a whole number")]
    enum Id {
        Text(String),
        Number(i64),
    }
    Ok(Option::deserialize(deserializer)?.map(|id| match id {
        Id::Text(text) => text,
        Id::Number(number) => number.to_string(),
    }))
}

/// Reads a row, or says what is wrong with it and what to write.
pub fn row(line: &Line, plans: &Plans, zone: &TimeZone) -> Result<CustomerRow, Wrong> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let (key, kind) = parse_key(&line.key)?;
    if kind == KeyKind::Domain && is_public_mail_domain(&key) {
        let what = format!("anybody may have an address at {key}");
        return Err(Wrong::new(what, "give the customer's whole address"));
    }
    let named = plans.plans.iter().find(|plan| plan.id.as_str().eq_ignore_ascii_case(&line.plan));
    let plan = named.map(|plan| plan.id.clone()).ok_or_else(|| {
        let known: Vec<&str> = plans.plans.iter().map(|plan| plan.id.as_str()).collect();
        let what = format!("there is no plan `{}`", shown(&line.plan));
        Wrong::new(what, format!("the plans are {}", known.join(", ")))
    })?;
    let language = given(&line.language).map(|text| language(&text)).transpose()?;
    // MySQL's `0000-00-00`, with an hour or without, is no date
    let dated =
        |text: &Option<String>| given(text).filter(|text| !text.trim_start().starts_with("0000-00-00"));
    let from = dated(&line.from).map(|text| begins(&text, zone)).transpose()?;
    let until = dated(&line.until).map(|text| ends(&text, zone)).transpose()?.flatten();
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        return Err(Wrong::new("it ends before it begins", "`from` is the first day, `until` the last"));
    }
    Ok(CustomerRow { key, kind, code: given(&line.id), name: given(&line.name), language, plan, from, until })
}

/// Whether there is an instant at which both hold.
pub fn overlap(one: &CustomerRow, other: &CustomerRow) -> bool {
    let begins_before_end = |one: &CustomerRow, other: &CustomerRow| {
        one.from.unwrap_or(Timestamp::MIN) < other.until.unwrap_or(Timestamp::MAX)
    };
    begins_before_end(one, other) && begins_before_end(other, one)
}

/// An address, or a domain (with or without a leading `@`), in its canonical form.
pub fn parse_key(text: &str) -> Result<(String, KeyKind), Wrong> {
    let (address, kind) = match text.strip_prefix('@').unwrap_or(text) {
        domain if !domain.contains('@') => {
            let sample = Address::parse(&format!("x@{domain}")).filter(|it| it.domain().contains('.'));
            (sample, KeyKind::Domain)
        }
        address => (Address::parse(address), KeyKind::Address),
    };
    let address = address.filter(|address| is_host_name(address.domain())).ok_or_else(|| {
        let what = format!("`{}` is neither an address nor a domain", shown(text));
        Wrong::new(what, "write ana@cliente.example or cliente.example")
    })?;
    let domain = address.domain();
    match kind {
        KeyKind::Domain => Ok((domain.to_owned(), kind)),
        KeyKind::Address if address.address.contains('*') => {
            let what = format!("`{}` is nobody's address", shown(text));
            Err(Wrong::new(what, format!("`@{domain}` means the whole domain")))
        }
        KeyKind::Address => Ok((address.address, kind)),
    }
}

/// Labels of letters, digits and inner hyphens, the last of them no number (RFC 1123 section 2.1): no address has another
/// domain.
fn is_host_name(domain: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || !c.is_ascii() || matches!(c, '-' | '_'))
    };
    let top = domain.rsplit('.').next().unwrap_or_default();
    domain.split('.').all(is_label) && !top.bytes().all(|byte| byte.is_ascii_digit())
}

fn language(text: &str) -> Result<Language, Wrong> {
    text.to_ascii_lowercase().parse().map_err(|_| {
        Wrong::new(format!("`{}` is not a language of the replies", shown(text)), "write es or en")
    })
}

/// The first instant: midnight of a date, or the instant itself.
fn begins(text: &str, zone: &TimeZone) -> Result<Timestamp, Wrong> {
    date(text).and_then(|date| midnight(date, zone)).map_or_else(|| instant(text, zone), Ok)
}

/// The instant after the last: of a date, when it is over. `None`: never, as of the `9999-12-31` of databases.
fn ends(text: &str, zone: &TimeZone) -> Result<Option<Timestamp>, Wrong> {
    match date(text) {
        Some(date) => Ok(date.tomorrow().ok().and_then(|next| midnight(next, zone))),
        None => instant(text, zone).map(Some),
    }
}

fn date(text: &str) -> Option<Date> {
    text.parse().ok().filter(|date: &Date| date.to_string() == text)
}

fn midnight(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    date.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

fn instant(text: &str, zone: &TimeZone) -> Result<Timestamp, Wrong> {
    let instant = text.contains(':').then(|| time(text, zone).ok()).flatten();
    instant.ok_or_else(|| {
        let what = format!("`{}` is no date", shown(text));
        Wrong::new(what, "write 2027-03-31 (the whole day) or 2027-03-31T12:00")
    })
}
