//! The words that every part shares: ticket numbers, impacts, plans, states, outcomes and languages.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::codes::codes;

/// How hard a case hits the customer's service (manual: *impacto*); ordered, `Low < Medium < High`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Impact {
    /// The service goes on untouched: a password reset, a report, a question.
    Low,
    /// The service is partly affected.
    Medium,
    /// The service is down, under attack, or waits to be activated.
    High,
}

impl Impact {
    /// Every impact, lowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// The word that files, JSON and the command line use: `low`, `medium`, `high`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// The manual's Spanish adjective: `bajo`, `medio`, `alto`.
    pub fn in_spanish(self) -> &'static str {
        match self {
            Self::Low => "bajo",
            Self::Medium => "medio",
            Self::High => "alto",
        }
    }
}

impl fmt::Display for Impact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Impact {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|impact| impact.as_str() == word)
            .ok_or_else(|| format!("`{word}` is not an impact: write high, medium or low"))
    }
}

/// A support level of the manual (*nivel*) by its id in `plans.toml`, such as `n1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(pub String);

impl PlanId {
    /// The id as written in `plans.toml`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A ticket's number without its prefix: the `1042` of `ACU-1042`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TicketNumber(pub i64);

impl TicketNumber {
    /// The number as people write and say it: `ACU-1042`.
    pub fn with_prefix(self, prefix: &str) -> String {
        format!("{prefix}-{}", self.0)
    }

    /// Reads `ACU-1042`, `acu-1042`, `#1042` or `1042`.
    pub fn parse(text: &str, prefix: &str) -> Option<Self> {
        let text = text.trim();
        let digits = match text.get(..prefix.len()) {
            Some(head) if head.eq_ignore_ascii_case(prefix) => text.get(prefix.len()..)?.strip_prefix('-')?,
            _ => text.strip_prefix('#').unwrap_or(text),
        };
        digits.parse().ok().filter(|n| *n > 0).map(Self)
    }
}

/// Where a ticket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TicketState {
    /// A person has yet to answer.
    Open,
    /// A person answered; the customer has not written since.
    Answered,
    /// Done, by a person or by `close_after`.
    Closed,
}

impl TicketState {
    /// The word that the database, JSON and the command line use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Answered => "answered",
            Self::Closed => "closed",
        }
    }
}

impl FromStr for TicketState {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        [Self::Open, Self::Answered, Self::Closed]
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| format!("`{word}` is not a state: write open, answered or closed"))
    }
}

codes! {
    /// What became of one listed mail (I1): exactly one of these, with a reason.
    Outcome {
        /// A new ticket.
        Opened = "opened",
        /// Joined an existing ticket, as a message or a note.
        Appended = "appended",
        /// The same bytes were stored before.
        Duplicate = "duplicate",
        /// Read and recorded, nothing to do.
        Ignored = "ignored",
        /// Set aside for a person; releasable.
        Quarantined = "quarantined",
    }
}

/// A language that customers are answered in; `Es` when in doubt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Spanish.
    #[default]
    Es,
    /// English.
    En,
}

impl Language {
    /// Both languages.
    pub const ALL: [Self; 2] = [Self::Es, Self::En];

    /// The ISO 639-1 code: `es`, `en`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es => "es",
            Self::En => "en",
        }
    }
}

impl FromStr for Language {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|language| language.as_str() == word)
            .ok_or_else(|| format!("`{word}` is not a language of the replies: write es or en"))
    }
}

/// One text in both languages, as `{ es = "…", en = "…" }` in the policy's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bilingual {
    /// The Spanish text.
    pub es: String,
    /// The English text.
    pub en: String,
}

impl Bilingual {
    /// The text in `language`.
    pub fn in_language(&self, language: Language) -> &str {
        match language {
            Language::Es => &self.es,
            Language::En => &self.en,
        }
    }
}
