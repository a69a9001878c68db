//! `acuse sla`: response times, worked out in the open.

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::json;

use super::context::{Context, for_people, rfc3339, table, time};
use super::report::{Code, Done, Failure};
use crate::plan::{Calendar, Plan, Plans, Promise};
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
    context.line(format!("received      {}", for_people(&local(promise.received))))?;
    context.line(format!("clock starts  {}", for_people(&local(promise.clock_starts))))?;
    for segment in &segments {
        context.line(format!(
            "  {} → {}  {:>9}  {}",
            for_people(&local(segment.from)),
            for_people(&local(segment.to)),
            format!("{:#}", jiff::SignedDuration::from_secs(segment.counted.as_secs())),
            segment.why
        ))?;
    }
    context.line(format!("due {:9} {}", bound(&promise), for_people(&local(promise.due_by))))
}

fn bound(promise: &Promise) -> &'static str {
    if promise.window.strict { "before" } else { "by" }
}

/// No-break spaces are for mails; a terminal gets plain ones.
pub fn plain(text: &str) -> String {
    text.replace(words::GLUE, " ")
}
