//! `plans.toml`, `calendar.toml` and the holiday files as written: every key optional, every value with its place.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{Availability, Clock};
use crate::ticket::{Bilingual, Impact};

/// `plans.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlansFile {
    pub(super) default: Option<Spanned<String>>,
    pub(super) order: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    pub(super) plan: BTreeMap<Spanned<String>, PlanTable>,
}

/// `[plan.n1]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanTable {
    pub(super) name: Option<Spanned<Bilingual>>,
    pub(super) channels: Option<Spanned<ChannelsTable>>,
    pub(super) high: Option<Spanned<WindowTable>>,
    pub(super) medium: Option<Spanned<WindowTable>>,
    pub(super) low: Option<Spanned<WindowTable>>,
}

impl PlanTable {
    /// The window that it names for an impact.
    pub(super) fn window(&self, impact: Impact) -> Option<&Spanned<WindowTable>> {
        match impact {
            Impact::Low => self.low.as_ref(),
            Impact::Medium => self.medium.as_ref(),
            Impact::High => self.high.as_ref(),
        }
    }
}

/// `channels = { email = "always", … }`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChannelsTable {
    pub(super) ticket: Option<Reach>,
    pub(super) email: Option<Reach>,
    pub(super) chat: Option<Reach>,
    pub(super) phone: Option<Reach>,
    pub(super) remote: Option<Reach>,
}

/// An [`Availability`], or `never`, with which a local file withdraws a channel that the shipped one grants.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reach {
    Never,
    Always,
    Business,
    OnlyWithCase,
    WhenRequired,
}

impl Reach {
    pub(super) fn availability(self) -> Option<Availability> {
        match self {
            Self::Never => None,
            Self::Always => Some(Availability::Always),
            Self::Business => Some(Availability::Business),
            Self::OnlyWithCase => Some(Availability::OnlyWithCase),
            Self::WhenRequired => Some(Availability::WhenRequired),
        }
    }
}

/// `{ from = "3h", upto = "5h", clock = "business" }`, or `under` in place of `upto`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WindowTable {
    pub(super) from: Option<Spanned<String>>,
    pub(super) upto: Option<Spanned<String>>,
    pub(super) under: Option<Spanned<String>>,
    pub(super) clock: Clock,
}

/// `calendar.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CalendarFile {
    pub(super) confirmed: Option<Spanned<bool>>,
    pub(super) zone: Option<Spanned<String>>,
    pub(super) holidays: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) hours: Option<Spanned<HoursTable>>,
    #[serde(default)]
    pub(super) exceptions: BTreeMap<Spanned<String>, DayList>,
}

/// `["08:00-12:00", "14:00-18:00"]`.
pub(super) type DayList = Vec<Spanned<String>>;

/// `[hours]`; a day that is not named is closed. Days go by their English names or by their Spanish ones.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HoursTable {
    #[serde(alias = "lun")]
    pub(super) mon: DayList,
    #[serde(alias = "mar")]
    pub(super) tue: DayList,
    #[serde(alias = "mie", alias = "mié")]
    pub(super) wed: DayList,
    #[serde(alias = "jue")]
    pub(super) thu: DayList,
    #[serde(alias = "vie")]
    pub(super) fri: DayList,
    #[serde(alias = "sab", alias = "sáb")]
    pub(super) sat: DayList,
    #[serde(alias = "dom")]
    pub(super) sun: DayList,
}

impl HoursTable {
    /// The days' lists, Monday first.
    pub(super) fn week(&self) -> [&DayList; 7] {
        [&self.mon, &self.tue, &self.wed, &self.thu, &self.fri, &self.sat, &self.sun]
    }
}

/// A holiday file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HolidaysFile {
    /// For people: whose holidays these are.
    #[serde(rename = "country")]
    _country: Option<String>,
    /// For people: when and against what the file was last compared.
    #[serde(rename = "checked")]
    _checked: Option<String>,
    #[serde(default)]
    pub(super) holiday: Vec<Spanned<HolidayTable>>,
}

/// `[[holiday]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HolidayTable {
    pub(super) name: String,
    pub(super) date: Option<Spanned<String>>,
    pub(super) easter: Option<Spanned<i64>>,
    #[serde(default, rename = "move")]
    pub(super) moved: Move,
    pub(super) from: Option<Spanned<i64>>,
    pub(super) until: Option<Spanned<i64>>,
    /// For people: the law that says so.
    pub(super) law: Option<String>,
}

/// What becomes of a holiday that does not fall on a Monday.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Move {
    /// It stays.
    #[default]
    Fixed,
    /// It is kept on the Monday after (Ley 51 de 1983, artículo 1).
    NextMonday,
}
