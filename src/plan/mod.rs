//! Plan × impact → [`Promise`]: what the manual promises, as an instant (I10).

mod calendar;
mod file;
mod holidays;
pub mod ical;
mod import;
mod levels;
mod read;
mod schedule;
#[cfg(test)]
mod tests;
mod week;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::calendar::{Calendar, KeptHoliday, Segment};
pub use self::import::{CalendarImport, ClosingDay, Known, Skipped, SkippedBecause, TooManyDays};
pub use self::week::{Interval, WallTime};
use crate::problem::{Problem, Severity, Source};
use crate::ticket::{Bilingual, Impact, PlanId};

/// The holiday file that `acuse calendar import` writes; the calendar need not name it.
pub const IMPORTED: &str = "holidays-imported.toml";

/// The files that plans and the calendar are made of.
#[derive(Debug, Clone)]
pub struct PlanFiles {
    /// `plans.toml`.
    pub plans: Arc<Source>,
    /// `calendar.toml`.
    pub calendar: Arc<Source>,
    /// The holiday files that the calendar may name, by file name, and [`IMPORTED`].
    pub holidays: Vec<Arc<Source>>,
    /// A local `plans.toml`, laid over the shipped one key by key.
    pub local_plans: Option<Arc<Source>>,
    /// A local `calendar.toml`, laid over the shipped one key by key (`[hours]` as one).
    pub local_calendar: Option<Arc<Source>>,
}

/// The support levels, lowest first.
#[derive(Debug, Clone)]
pub struct Plans {
    /// The plan of whoever has none.
    pub default: Plan,
    /// Every plan, lowest first.
    pub plans: Vec<Plan>,
}

/// One support level (*nivel*).
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its id.
    pub id: PlanId,
    /// What acks call it.
    pub name: Bilingual,
    /// How it may be reached.
    pub channels: PlanChannels,
    /// The window for low, medium and high impact, in the order of [`Impact::ALL`].
    pub windows: [Window; 3],
}

/// When each channel serves a plan; `None`: not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanChannels {
    /// Tickets.
    pub ticket: Option<Availability>,
    /// Mail.
    pub email: Option<Availability>,
    /// Chat.
    pub chat: Option<Availability>,
    /// Telephone.
    pub phone: Option<Availability>,
    /// Remote assistance.
    pub remote: Option<Availability>,
}

/// When a channel serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Availability {
    /// Around the clock.
    Always,
    /// In business hours.
    Business,
    /// For a case that is already open.
    OnlyWithCase,
    /// When the case asks for it.
    WhenRequired,
}

/// The manual's window of one plan and impact: "3 a 5 horas hábiles", "menos de 1 hora".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The lower bound, when the manual has one.
    pub from: Option<SignedDuration>,
    /// The upper bound.
    pub upto: SignedDuration,
    /// Strictly less than `upto` ("menos de").
    pub strict: bool,
    /// Which hours count.
    pub clock: Clock,
}

/// Which hours count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Every hour of every day.
    Always,
    /// The calendar's business hours (*horas hábiles*).
    Business,
}

/// A promise: immutable once made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// The plan that promises.
    pub plan: PlanId,
    /// The impact that it is promised for.
    pub impact: Impact,
    /// The window it was made from.
    pub window: Window,
    /// When the mail arrived.
    pub received: Timestamp,
    /// When the clock starts: `received`, or the next opening.
    pub clock_starts: Timestamp,
    /// The lower bound as an instant, when the manual has one.
    pub expected_from: Option<Timestamp>,
    /// The upper bound as an instant. Met by an answer at or before it; strictly before when `window.strict`.
    pub due_by: Timestamp,
}

impl Plans {
    /// Reads `plans.toml`. Every problem is added; `None` when one is an error.
    pub fn compile(files: &PlanFiles, problems: &mut Vec<Problem>) -> Option<Self> {
        unless_refused(problems, |problems| levels::compile(files, problems))
    }

    /// The plan of that id.
    pub fn plan(&self, id: &PlanId) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.id == *id)
    }

    /// The plan of that id, or the default one when it is no longer in the file.
    pub fn plan_or_default(&self, id: &PlanId) -> &Plan {
        self.plan(id).unwrap_or(&self.default)
    }

    /// The higher of two plans in the order of the file; an unknown one is lowest.
    pub fn higher<'a>(&self, one: &'a PlanId, other: &'a PlanId) -> &'a PlanId {
        let rank = |id: &PlanId| self.plans.iter().position(|plan| plan.id == *id);
        if rank(other) > rank(one) { other } else { one }
    }
}

impl Plan {
    /// The window for an impact.
    pub fn window(&self, impact: Impact) -> Window {
        let [low, medium, high] = self.windows;
        match impact {
            Impact::Low => low,
            Impact::Medium => medium,
            Impact::High => high,
        }
    }
}

impl Promise {
    /// With a deadline that was promised before, where that is earlier. A lower bound beyond it says nothing any more.
    #[must_use]
    pub fn no_later_than(self, promised: Option<Timestamp>) -> Self {
        let due_by = promised.map_or(self.due_by, |promised| promised.min(self.due_by));
        Self { due_by, expected_from: self.expected_from.filter(|from| *from <= due_by), ..self }
    }

    /// Whether its deadline was promised before, and the window in words would contradict it.
    pub fn is_of_an_earlier_one(&self) -> bool {
        self.window.from.is_some() && self.expected_from.is_none()
    }

    /// Whether an answer at `at` keeps it: at `due_by` or before; strictly before for a "menos de" window.
    pub fn met_by(&self, at: Timestamp) -> bool {
        if self.window.strict { at < self.due_by } else { at <= self.due_by }
    }

    /// Whether it is too late to keep it.
    pub fn is_past(&self, now: Timestamp) -> bool {
        !self.met_by(now)
    }
}

/// What `compile` makes, unless it adds an error. An error around another one only follows from it, and is dropped.
fn unless_refused<T>(
    problems: &mut Vec<Problem>,
    compile: impl FnOnce(&mut Vec<Problem>) -> Option<T>,
) -> Option<T> {
    let mut added = Vec::new();
    let made = compile(&mut added);
    let refused = added.iter().any(|problem| problem.severity == Severity::Error);
    let around = |outer: &Problem, inner: &Problem| match (&outer.span, &inner.span) {
        (Some(outer_span), Some(inner_span)) => {
            Arc::ptr_eq(&outer.source, &inner.source)
                && outer_span != inner_span
                && outer_span.start <= inner_span.start
                && inner_span.end <= outer_span.end
        }
        _ => false,
    };
    let causes = added.clone();
    added.retain(|problem| !causes.iter().any(|cause| around(problem, cause)));
    problems.append(&mut added);
    made.filter(|_| !refused)
}
