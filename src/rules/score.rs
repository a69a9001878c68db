//! How well the rules do on rows of which a person said what they are.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

use super::Verdict;
use crate::ticket::Impact;

/// One line of a file for `acuse rules score`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Row {
    /// The row's name.
    pub id: String,
    /// The subject.
    #[serde(default)]
    pub subject: String,
    /// The body as a mail's text: its own words are still to be found.
    #[serde(default)]
    pub body: String,
    /// What it should come out as; `none` in the file when no rule should match.
    #[serde(deserialize_with = "impact_or_none")]
    pub impact: Option<Impact>,
    /// The case it should come out as; `other` counts for nothing.
    #[serde(default)]
    pub case: Option<String>,
    /// The names of its attachments.
    #[serde(default)]
    pub attachments: Vec<String>,
}

/// What `acuse rules score --json` prints (keys fixed, docs/json.md). Impacts are `high`, `medium`, `low`, `none`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Score {
    /// Rows.
    pub total: usize,
    /// Rows whose impact came out as wanted.
    pub correct: usize,
    /// `correct / total`; 0 without rows.
    pub accuracy: f64,
    /// The mean F1 of the impacts that were wanted or given.
    pub macro_f1: f64,
    /// Each of those impacts.
    pub per_impact: BTreeMap<&'static str, PerImpact>,
    /// Wanted impact → given impact → rows.
    pub confusion: BTreeMap<&'static str, BTreeMap<&'static str, usize>>,
    /// The share of rows with the right case among those with an impact and a case other than `other`; 0 without.
    pub case_accuracy: f64,
    /// The rows whose impact came out otherwise.
    pub wrong: Vec<Wrong>,
}

/// How one impact fares; a ratio of nothing to nothing is 0.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct PerImpact {
    /// Right among those given this impact.
    pub precision: f64,
    /// Right among those that wanted it.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
    /// Rows that wanted it.
    pub support: usize,
}

/// A row that came out otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// The row.
    pub id: String,
    /// The impact wanted.
    pub want: &'static str,
    /// The impact given.
    pub got: &'static str,
    /// The rule that decided.
    pub rule: Option<String>,
}

impl Score {
    /// Compares each row with its verdict.
    pub fn of<'a>(judged: impl IntoIterator<Item = (&'a Row, Verdict)>) -> Self {
        let mut score = Self::default();
        let (mut cases, mut cases_right) = (0, 0);
        for (row, verdict) in judged {
            let (want, got) = (name(row.impact), name(verdict.impact));
            score.total += 1;
            *score.confusion.entry(want).or_default().entry(got).or_default() += 1;
            if let Some(case) = row.case.as_ref().filter(|case| row.impact.is_some() && *case != "other") {
                cases += 1;
                cases_right += usize::from(verdict.case.as_ref() == Some(case));
            }
            if want == got {
                score.correct += 1;
            } else {
                score.wrong.push(Wrong { id: row.id.clone(), want, got, rule: verdict.rule });
            }
        }
        score.accuracy = ratio(score.correct, score.total);
        score.case_accuracy = ratio(cases_right, cases);
        score.per_impact = per_impact(&score.confusion);
        let sum: f64 = score.per_impact.values().map(|impact| impact.f1).sum();
        score.macro_f1 = if score.per_impact.is_empty() { 0.0 } else { sum / as_f64(score.per_impact.len()) };
        score
    }
}

fn per_impact(
    confusion: &BTreeMap<&'static str, BTreeMap<&'static str, usize>>,
) -> BTreeMap<&'static str, PerImpact> {
    let given = confusion.values().flat_map(BTreeMap::keys);
    let impacts: BTreeSet<&'static str> = confusion.keys().chain(given).copied().collect();
    let of = |impact: &'static str| {
        let row = confusion.get(impact);
        let right = row.and_then(|row| row.get(impact)).copied().unwrap_or_default();
        let support = row.map_or(0, |row| row.values().sum());
        let given: usize = confusion.values().filter_map(|row| row.get(impact)).sum();
        let (precision, recall) = (ratio(right, given), ratio(right, support));
        let f1 = if right == 0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) };
        PerImpact { precision, recall, f1, support }
    };
    impacts.into_iter().map(|impact| (impact, of(impact))).collect()
}

fn name(impact: Option<Impact>) -> &'static str {
    impact.map_or("none", Impact::as_str)
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { as_f64(part) / as_f64(whole) }
}

fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn impact_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Impact>, D::Error> {
    let word = String::deserialize(from)?;
    if word == "none" {
        return Ok(None);
    }
    word.parse().map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, impact: &str, case: &str) -> Row {
        serde_json::from_value(serde_json::json!({ "id": id, "impact": impact, "case": case })).unwrap()
    }

    fn verdict(impact: Option<Impact>, case: Option<&str>) -> Verdict {
        Verdict { impact, case: case.map(Into::into), rule: case.map(Into::into), ..Verdict::default() }
    }

    #[test]
    fn counts_impacts_and_cases_apart() {
        let rows = [
            row("1", "high", "outage"),
            row("2", "high", "attack"),
            row("3", "none", "other"),
            row("4", "low", "other"),
        ];
        let verdicts = [
            verdict(Some(Impact::High), Some("outage")),
            verdict(Some(Impact::High), Some("outage")),
            verdict(None, None),
            verdict(None, None),
        ];
        let score = Score::of(rows.iter().zip(verdicts));
        assert_eq!((score.total, score.correct), (4, 3));
        assert_eq!(score.case_accuracy, 0.5);
        assert_eq!(
            score.per_impact["none"],
            PerImpact { precision: 0.5, recall: 1.0, f1: 2.0 / 3.0, support: 1 }
        );
        assert_eq!(score.macro_f1, (1.0 + 2.0 / 3.0 + 0.0) / 3.0);
        assert_eq!(score.wrong, [Wrong { id: "4".into(), want: "low", got: "none", rule: None }]);
        let keys: Vec<String> =
            serde_json::to_value(&score).unwrap().as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys.len(), 8);
    }

    #[test]
    fn no_rows_give_zeros_not_nan() {
        assert_eq!(Score::of([]), Score::default());
    }

    #[test]
    fn an_impact_that_is_none_of_ours_is_refused() {
        let row = serde_json::from_str::<Row>(r#"{"id": "1", "impact": "urgent"}"#);
        assert!(row.unwrap_err().to_string().contains("write high, medium or low"));
    }
}
