//! `acuse rules stats`: what each rule did with the mail that came, and where people disagreed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::context::{for_people, table};
use super::super::report::Done;
use super::stored::{Past, Since, Which};
use crate::rules::Verdict;
use crate::store::Correction;
use crate::triage::Action;

/// What became of a rule.
#[derive(Debug, Clone, Default, PartialEq)]
struct Record {
    /// Mails that it decided.
    hits: u32,
    /// Mails that it matched: it decided, stood beside another, or was set aside.
    matched: u32,
    /// Of its hits, those that a person gave another impact or case.
    away: u32,
    /// Of its hits, those that a person confirmed.
    confirmed: u32,
    /// Mails in which it would stand, were it not in the shadow.
    shadow: u32,
    /// Of these, those that it would decide.
    would_decide: u32,
    /// When the last mail that it decided came.
    last: Option<Timestamp>,
}

impl Record {
    /// The share of its hits that nobody corrected away; none while nobody has said anything of them.
    fn precision(&self) -> Option<f64> {
        (self.away + self.confirmed > 0).then(|| f64::from(self.hits - self.away) / f64::from(self.hits))
    }
}

/// The records of every rule that matched anything.
#[derive(Debug, Default)]
struct Records {
    mails: u32,
    unclassified: u32,
    rules: BTreeMap<String, Record>,
}

impl Records {
    /// Counts the verdict on a mail, and what a person said of it.
    fn add(&mut self, verdict: &Verdict, received: Timestamp, word: Option<&Correction>) {
        self.mails += 1;
        let matches = verdict.matches.iter().map(|found| &found.rule);
        let matched: BTreeSet<&String> =
            matches.chain(verdict.set_aside.iter().map(|aside| &aside.rule)).collect();
        for rule in matched {
            self.rules.entry(rule.clone()).or_default().matched += 1;
        }
        for shadow in &verdict.shadow {
            let record = self.rules.entry(shadow.rule.clone()).or_default();
            record.shadow += 1;
            record.would_decide += u32::from(shadow.decides);
        }
        let Some(rule) = &verdict.rule else {
            self.unclassified += 1;
            return;
        };
        let record = self.rules.entry(rule.clone()).or_default();
        record.hits += 1;
        record.last = record.last.max(Some(received));
        if let Some(word) = word {
            let agrees =
                verdict.impact == Some(word.impact) && (word.case.is_none() || word.case == verdict.case);
            if agrees { record.confirmed += 1 } else { record.away += 1 }
        }
    }
}

/// Prints a line per rule.
pub fn stats(past: &Past<'_>, since: &Since) -> Done {
    let since = past.since(since)?;
    let corrections = past.corrections()?;
    let mut records = Records::default();
    past.mails(Which { since, limit: None }, |mail| {
        let opened = mail.decision.action == Action::Open;
        let word = corrections.get(&mail.ticket).filter(|_| opened);
        records.add(&mail.decision.verdict, mail.received, word);
    })?;
    let in_force: Vec<_> = past.policy.rules.rules().collect();
    let known: BTreeSet<&str> = in_force.iter().map(|rule| rule.id).collect();
    let mut rows: Vec<(&str, Option<&str>, Record)> = in_force
        .iter()
        .map(|rule| (rule.id, Some(rule.case), records.rules.get(rule.id).cloned().unwrap_or_default()))
        .collect();
    let gone = records.rules.iter().filter(|(id, _)| !known.contains(id.as_str()));
    rows.extend(gone.map(|(id, record)| (id.as_str(), None, record.clone())));
    let with = |mails: fn(&Record) -> u32, count: u32| -> Vec<&str> {
        let acting = in_force.iter().filter(|rule| !rule.shadow).map(|rule| rule.id);
        acting.filter(|id| records.rules.get(*id).map_or(0, mails) == count).collect()
    };
    let (never, once) = (with(|record| record.matched, 0), with(|record| record.hits, 1));
    if past.context.json {
        let rules: Vec<Value> = rows
            .iter()
            .map(|(id, case, record)| {
                json!({ "rule": id, "case": case, "in_force": case.is_some(), "hits": record.hits,
                        "matched": record.matched, "away": record.away, "confirmed": record.confirmed,
                        "precision": record.precision(), "shadow": record.shadow,
                        "would_decide": record.would_decide, "last": record.last.map(|at| past.local(at)) })
            })
            .collect();
        return past.context.json(&json!({
            "mails": records.mails, "unclassified": records.unclassified,
            "since": since.map(|at| past.local(at)), "rules": rules, "never": never, "once": once,
        }));
    }
    let mut lines =
        table(&["rule", "case", "matched", "decided", "away", "confirmed", "precision", "shadow", "last"]);
    for (id, case, record) in rows.iter().filter(|(.., record)| record.matched + record.shadow > 0) {
        let last = record.last.map(|at| for_people(&past.policy.calendar.to_local(at)));
        lines.add_row([
            (*id).to_owned(),
            case.unwrap_or("(no longer in force)").to_owned(),
            record.matched.to_string(),
            record.hits.to_string(),
            record.away.to_string(),
            record.confirmed.to_string(),
            record.precision().map_or_else(|| "-".to_owned(), |share| format!("{share:.3}")),
            if record.shadow > 0 {
                format!("{} ({})", record.shadow, record.would_decide)
            } else {
                "-".to_owned()
            },
            last.unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    let list = |ids: &[&str]| if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
    past.context.line(format!(
        "{} mails, {} of them recognised by no rule\n\n{lines}\n\nnever matched: {}\ndecided one mail: {}",
        records.mails,
        records.unclassified,
        list(&never),
        list(&once)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{SetAside, Shadow};
    use crate::ticket::Impact;

    fn verdict(rule: &str, beaten: &str) -> Verdict {
        Verdict {
            impact: Some(Impact::High),
            rule: Some(rule.to_owned()),
            case: Some("outage".to_owned()),
            set_aside: vec![SetAside {
                rule: beaten.to_owned(),
                because: "negated".to_owned(),
                text: None,
                by: None,
            }],
            ..Verdict::default()
        }
    }

    fn word(impact: Impact, case: Option<&str>) -> Correction {
        let at = Timestamp::UNIX_EPOCH;
        Correction { impact, case: case.map(Into::into), by: "ana".into(), because: "así es".into(), at }
    }

    #[test]
    fn what_people_corrected_away_counts_against_the_rule_that_decided() {
        let mut records = Records::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        records.add(&verdict("down", "dns"), at(2), None);
        records.add(&verdict("down", "dns"), at(1), Some(&word(Impact::High, None)));
        records.add(&verdict("down", "dns"), at(1), Some(&word(Impact::Low, None)));
        records.add(&verdict("down", "dns"), at(1), Some(&word(Impact::High, Some("attack"))));
        records.add(&Verdict::default(), at(3), Some(&word(Impact::High, None)));
        let shadow = |decides| Shadow {
            rule: "new".into(),
            case: "dns".into(),
            impact: Impact::Medium,
            text: "dns".into(),
            decides,
        };
        let in_shadow = Verdict { shadow: vec![shadow(true)], ..Verdict::default() };
        records.add(&in_shadow, at(3), None);
        records.add(&Verdict { shadow: vec![shadow(false)], ..Verdict::default() }, at(3), None);
        let new = &records.rules["new"];
        assert_eq!((new.hits, new.shadow, new.would_decide), (0, 2, 1));
        let down = &records.rules["down"];
        assert_eq!((down.hits, down.away, down.confirmed, down.last), (4, 2, 1, Some(at(2))));
        assert_eq!(down.precision(), Some(0.5));
        assert_eq!(Record { hits: 3, ..Record::default() }.precision(), None, "nobody has said anything");
        let dns = &records.rules["dns"];
        assert_eq!((dns.hits, dns.matched, dns.precision()), (0, 4, None));
        assert_eq!((records.mails, records.unclassified), (7, 3));
    }
}
