//! What acuse reads in a corpus of mails that nobody of this project wrote, against what the projects that collected
//! them expect: a table per key, category and source, and every miss.

use std::collections::{BTreeMap, BTreeSet};

use acuse::mail::{AutomationKind, Message, parse};
use serde_json::Value;

use crate::{manifest, word};

/// What must hold of all mails of a kind: the key, and the least share of them. It is lower than what is reached, since
/// some expectations are another program's habit; it tells that something broke.
const LEAST: &[(&str, f64)] = &[
    ("kind", 0.97),
    ("recipients", 0.93),
    ("permanent", 0.97),
    ("own words", 0.87),
    ("own words kept", 0.97),
    ("text", 0.92),
    ("subject", 0.94),
    ("from", 0.94),
];

/// A mail or a body, with what is expected of it.
struct Row {
    path: String,
    category: String,
    source: String,
    message: Message,
    expect: Value,
}

/// One expectation: its key, whether it holds, and what was wanted and found.
struct Finding {
    key: &'static str,
    holds: bool,
    wanted: String,
    found: String,
}

fn read(row: &Value, bytes: Vec<u8>) -> Row {
    let raw = match word(row, "format").as_str() {
        "body" => as_reply("text/plain", &bytes),
        "html-body" => as_reply("text/html", &bytes),
        _ => bytes,
    };
    Row {
        path: word(row, "path"),
        category: word(row, "category"),
        source: word(row, "source"),
        message: parse(&raw),
        expect: row["expect"].clone(),
    }
}

/// A body as the mail that it was cut from: an answer.
fn as_reply(media_type: &str, body: &[u8]) -> Vec<u8> {
    let charset = if std::str::from_utf8(body).is_ok() { "utf-8" } else { "windows-1252" };
    let head = format!(
        "From: ana@cliente.example\r\nTo: soporte@mihost.example\r\nSubject: Re: Consulta\r\n\
         Message-ID: <1@cliente.example>\r\nIn-Reply-To: <2@mihost.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: {media_type}; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// With runs of white space as one blank.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The strings of a list, or the one string.
fn strings(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

impl Row {
    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.check_kind(&mut findings);
        self.check_bounce(&mut findings);
        self.check_text(&mut findings);
        self.check_own_words(&mut findings);
        findings
    }

    fn holds(&self, key: &str) -> bool {
        self.expect[key] == true
    }

    fn check_kind(&self, findings: &mut Vec<Finding>) {
        use AutomationKind as Kind;
        if !self.expect["must_not_ack"].is_boolean() || self.holds("is_spam") {
            return;
        }
        let kind = self.message.automation.kind;
        let wanted: (&str, bool) = match () {
            // what is told apart by more than headers comes first
            () if self.holds("is_feedback_report") => ("feedback report", kind == Kind::FeedbackReport),
            () if self.holds("is_tls_report") => ("TLS report", kind == Kind::TlsReport),
            () if self.holds("is_dmarc_report") => ("DMARC report", kind == Kind::DmarcReport),
            () if self.holds("is_mdn") => ("receipt", kind == Kind::Receipt),
            () if self.holds("is_delivery_report") && self.holds("is_delay") => {
                ("delay report", kind == Kind::DelayReport)
            }
            () if self.holds("is_delivery_report") => {
                ("delivery report", matches!(kind, Kind::Bounce | Kind::DelayReport))
            }
            () if self.holds("is_list") => ("list", kind != Kind::None),
            () if self.holds("must_not_ack") => ("automatic", kind != Kind::None),
            () => ("a person's, or asked for by one", matches!(kind, Kind::None | Kind::Calendar)),
        };
        findings.push(Finding {
            key: "kind",
            holds: wanted.1,
            wanted: wanted.0.to_owned(),
            found: kind.as_str().to_owned(),
        });
    }

    fn check_bounce(&self, findings: &mut Vec<Finding>) {
        let recipients = self.message.bounce.iter().flat_map(|bounce| &bounce.recipients);
        let found: BTreeSet<String> =
            recipients.clone().map(|bounced| bounced.recipient.to_lowercase()).collect();
        let wanted =
            ["bounce_recipients", "bounce_recipients_dsn"].iter().find_map(|key| strings(&self.expect[key]));
        if let Some(wanted) = wanted {
            let wanted: BTreeSet<String> = wanted.iter().map(|address| address.to_lowercase()).collect();
            findings.push(Finding {
                key: "recipients",
                holds: found == wanted,
                wanted: format!("{wanted:?}"),
                found: format!("{found:?}"),
            });
        }
        // a pseudo status is that program's own reading, and a code of 2 says that it was delivered
        let bounces = self.expect["bounces"].as_array().into_iter().flatten();
        let said = bounces.filter(|bounce| bounce["status_is_sisimai_pseudo"] != true);
        let wanted: BTreeSet<bool> = said
            .filter_map(|bounce| match bounce["status"].as_str()?.as_bytes().first()? {
                b'5' => Some(true),
                b'4' => Some(false),
                _ => None,
            })
            .collect();
        if !wanted.is_empty() {
            let found: BTreeSet<bool> = recipients.filter_map(|bounced| bounced.permanent).collect();
            findings.push(Finding {
                key: "permanent",
                holds: found == wanted,
                wanted: format!("{wanted:?}"),
                found: format!("{found:?}"),
            });
        }
    }

    fn check_text(&self, findings: &mut Vec<Finding>) {
        let message = &self.message;
        let mut equal = |key, wanted: String, found: String| {
            findings.push(Finding { key, holds: folded(&wanted) == folded(&found), wanted, found });
        };
        if let Some(subject) = self.expect["subject"].as_str() {
            equal("subject", subject.to_owned(), message.subject.clone());
        }
        if let Some(from) = self.expect["from_addr"].as_str() {
            let found = message.from.as_ref().map(|from| from.address.clone()).unwrap_or_default();
            equal("from", from.to_lowercase(), found);
        }
        if let Some(names) = strings(&self.expect["attachment_names"]) {
            let wanted: BTreeSet<String> = names.into_iter().collect();
            let found: BTreeSet<String> = message.attachments.iter().map(|file| file.name.clone()).collect();
            equal("attachments", format!("{wanted:?}"), format!("{found:?}"));
        }
        let inside = ["text", "text_contains"].iter().filter_map(|key| strings(&self.expect[key])).flatten();
        for wanted in inside {
            let holds = folded(&message.text).contains(&folded(&wanted));
            findings.push(Finding { key: "text", holds, wanted, found: message.text.clone() });
        }
    }

    fn check_own_words(&self, findings: &mut Vec<Finding>) {
        let own = folded(&self.message.own_text);
        let wanted = ["reply_text", "reply_text_mod_ws", "reply_text_any"]
            .iter()
            .find_map(|key| strings(&self.expect[key]));
        let mut find = |key, holds, wanted: &str| {
            findings.push(Finding { key, holds, wanted: wanted.to_owned(), found: own.clone() });
        };
        if let Some(wanted) = wanted {
            find("own words", wanted.iter().any(|wanted| folded(wanted) == own), &wanted[0]);
            let kept = |wanted: &String| wanted.lines().all(|line| own.contains(&folded(line)));
            find("own words kept", wanted.iter().any(kept), &wanted[0]);
        }
        for wanted in strings(&self.expect["reply_contains"]).into_iter().flatten() {
            find("own words kept", own.contains(&folded(&wanted)), &wanted);
        }
    }
}

/// How many of how many hold.
#[derive(Default, Clone, Copy)]
struct Share {
    held: u32,
    all: u32,
}

impl Share {
    fn count(&mut self, holds: bool) {
        self.held += u32::from(holds);
        self.all += 1;
    }

    fn part(self) -> f64 {
        f64::from(self.held) / f64::from(self.all.max(1))
    }
}

#[test]
fn a_foreign_corpus_is_read_as_its_collectors_expect() {
    let Some(rows) = manifest() else { return };
    let rows: Vec<Row> = rows.map(|(row, bytes)| read(&row, bytes)).collect();
    let mut by_key: BTreeMap<&str, Share> = BTreeMap::new();
    let mut by_category: BTreeMap<(&str, &str), Share> = BTreeMap::new();
    let mut by_source: BTreeMap<(&str, &str), Share> = BTreeMap::new();
    let mut misses: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in &rows {
        for finding in row.findings() {
            by_key.entry(finding.key).or_default().count(finding.holds);
            by_category.entry((finding.key, &row.category)).or_default().count(finding.holds);
            by_source.entry((finding.key, &row.source)).or_default().count(finding.holds);
            if !finding.holds {
                let short = |text: &str| folded(text).chars().take(160).collect::<String>();
                let (wanted, found) = (short(&finding.wanted), short(&finding.found));
                misses
                    .entry(finding.key)
                    .or_default()
                    .push(format!("{}: want {wanted}; have {found}", row.path));
            }
        }
    }
    println!("{} mails and bodies read", rows.len());
    let table = |title: &str, shares: &BTreeMap<(&str, &str), Share>| {
        println!("\n{title}");
        for ((key, group), share) in shares {
            println!(
                "  {key:16} {group:22} {:5} of {:5} {:6.1} %",
                share.held,
                share.all,
                share.part() * 100.0
            );
        }
    };
    table("by category", &by_category);
    table("by source", &by_source);
    for (key, paths) in &misses {
        println!("\nmissed: {key}");
        paths.iter().for_each(|path| println!("  {path}"));
    }
    println!("\nin all");
    for (key, share) in &by_key {
        println!("  {key:16} {:5} of {:5} {:6.1} %", share.held, share.all, share.part() * 100.0);
    }
    for (key, least) in LEAST {
        let share = by_key[key];
        assert!(
            share.part() >= *least,
            "{key}: {} of {}, and at least {least} is asked",
            share.held,
            share.all
        );
    }
}
