//! `acuse sla`: response times, worked out in the open.

use clap::Subcommand;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::context::{Context, for_people, rfc3339, table, tell, time};
use super::report::{Code, Done, Failure};
use crate::plan::{Calendar, Clock, Plan, Plans, Promise, Window};
use crate::reply::words;
use crate::ticket::{Impact, Language, PlanId};

/// `acuse sla …`
#[derive(Debug, Subcommand)]
pub enum SlaVerb {
    /// Show the way from arrival to deadline, segment by segment
    Explain {
        /// The support level, such as n1
        #[arg(long)]
        plan: String,
        /// high, medium or low
        #[arg(long)]
        impact: Impact,
        /// When the mail arrives [default: now]
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
    /// Show every plan's response time for every impact
    Table {
        /// When the mail arrives [default: now]
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
}

/// The plan of that id, or which there are.
pub fn plan<'a>(plans: &'a Plans, id: &str) -> Result<&'a Plan, Failure> {
    plans.plan(&PlanId(id.to_owned())).ok_or_else(|| {
        let known: Vec<&str> = plans.plans.iter().map(|plan| plan.id.as_str()).collect();
        Failure::new(Code::Usage, format!("there is no plan `{id}`"))
            .hint(format!("the plans are {}", known.join(", ")))
    })
}

/// Explains a promise, or shows all of them.
pub fn sla(context: &Context, verb: &SlaVerb) -> Done {
    let config = context.named_config()?;
    let policy = context.policy(config.as_ref())?;
    let zone = policy.calendar.zone();
    let (SlaVerb::Explain { at, .. } | SlaVerb::Table { at }) = verb;
    let received = match at {
        Some(text) => time(text, zone)?,
        None => context.now(zone)?,
    };
    match verb {
        SlaVerb::Explain { plan: id, impact, .. } => {
            explain(context, plan(&policy.plans, id)?, *impact, received, &policy.calendar)
        }
        SlaVerb::Table { .. } => all(context, &policy.plans, received, &policy.calendar),
    }
}

/// Every plan and impact, the most urgent first.
fn all(context: &Context, plans: &Plans, received: Timestamp, calendar: &Calendar) -> Done {
    let impacts = || Impact::ALL.into_iter().rev();
    let cells = plans.plans.iter().flat_map(|plan| impacts().map(move |impact| (plan, impact)));
    let promises = cells.map(|(plan, impact)| (plan, calendar.promise(plan, impact, received)));
    if context.json {
        let row = |(plan, promise): (&Plan, Promise)| {
            json!({ "plan": plan.id, "impact": promise.impact,
                    "words": plain(&words::promise(promise.window, Language::Es)),
                    "from_s": promise.window.from.map(|from| from.as_secs()),
                    "upto_s": promise.window.upto.as_secs(), "strict": promise.window.strict,
                    "clock": promise.window.clock, "due_by": rfc3339(&calendar.to_local(promise.due_by)) })
        };
        return context.json(&promises.map(row).collect::<Vec<_>>());
    }
    let at = for_people(&calendar.to_local(received));
    let mut lines = table(&["plan", "impact", "response", &format!("for a mail of {at}")]);
    for (plan, promise) in promises {
        lines.add_row([
            plan.id.as_str().to_owned(),
            format!("{} ({})", promise.impact, promise.impact.in_spanish()),
            plain(&words::promise(promise.window, Language::Es)),
            format!("{} {}", bound(&promise), for_people(&calendar.to_local(promise.due_by))),
        ]);
    }
    context.line(lines.to_string())
}

fn explain(context: &Context, plan: &Plan, impact: Impact, received: Timestamp, calendar: &Calendar) -> Done {
    let promise = calendar.promise(plan, impact, received);
    let segments = calendar.segments(&promise);
    let local = |at| calendar.to_local(at);
    if promise.window.clock == Clock::Business {
        tell_if_beyond_lists(calendar, local(promise.due_by).year());
    }
    if context.json {
        let segments: Vec<_> = segments
            .iter()
            .map(|segment| {
                json!({ "from": rfc3339(&local(segment.from)), "to": rfc3339(&local(segment.to)),
                        "counted_s": segment.counted.as_secs(), "why": segment.why })
            })
            .collect();
        return context.json(&json!({
            "plan": plan.id, "impact": impact, "received": rfc3339(&local(promise.received)),
            "clock_starts": rfc3339(&local(promise.clock_starts)),
            "expected_from": promise.expected_from.map(|at| rfc3339(&local(at))),
            "due_by": rfc3339(&local(promise.due_by)), "strict": promise.window.strict, "segments": segments,
        }));
    }
    context.line(format!(
        "{}, impacto {}: {}",
        plan.name.es,
        impact.in_spanish(),
        plain(&words::promise(promise.window, Language::Es))
    ))?;
    let second = |at| local(at).strftime("%a %Y-%m-%d %H:%M:%S").to_string();
    let placed = |at| local(at).strftime("%a %Y-%m-%d %H:%M:%S %:z").to_string();
    context.line(format!("window        {}", bounds(promise.window)))?;
    let zone = calendar.zone().iana_name().unwrap_or("a zone without a name");
    context.line(format!("received      {} ({zone})", placed(promise.received)))?;
    context.line(format!("clock starts  {}", second(promise.clock_starts)))?;
    let mut sum = SignedDuration::ZERO;
    for segment in &segments {
        sum += segment.counted;
        let [counted, sum] = [segment.counted, sum].map(whole_seconds);
        let (from, to) = (second(segment.from), second(segment.to));
        context.line(format!("  {from} → {to}  {counted:>9}  {sum:>9}  {}", segment.why))?;
    }
    if let Some(from) = promise.expected_from {
        context.line(format!("due from      {}", second(from)))?;
    }
    context.line(format!("due {:9} {}", bound(&promise), placed(promise.due_by)))
}

/// `2h to 3h, business hours`, `under 1h, around the clock`.
fn bounds(window: Window) -> String {
    let upto = whole_seconds(window.upto);
    let length = match window.from {
        Some(from) => format!("{} to {upto}", whole_seconds(from)),
        None if window.strict => format!("under {upto}"),
        None => format!("up to {upto}"),
    };
    let clock = match window.clock {
        Clock::Always => "around the clock",
        Clock::Business => "business hours",
    };
    format!("{length}, {clock}")
}

/// `2h 15m`.
fn whole_seconds(time: SignedDuration) -> String {
    format!("{:#}", SignedDuration::from_secs(time.as_secs()))
}

/// Says on stderr that a year's holidays are not all known: they would count as business days.
pub fn tell_if_beyond_lists(calendar: &Calendar, year: i16) {
    if let Some(last) = calendar.listed_until().filter(|_| calendar.is_beyond_lists(year)) {
        tell(format!(
            "warning: no single holiday is listed after {last}, and this is {year}\nhint: add its holidays to the files \
             that calendar.toml names"
        ));
    }
}

fn bound(promise: &Promise) -> &'static str {
    if promise.window.strict { "before" } else { "by" }
}

/// No-break spaces are for mails; a terminal gets plain ones.
pub fn plain(text: &str) -> String {
    text.replace(words::GLUE, " ")
}
