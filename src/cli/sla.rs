//! `acuse sla`: response times, worked out in the open.

use clap::Subcommand;
use serde_json::json;

use super::context::{Context, for_people, rfc3339, time};
use super::report::{Code, Done, Failure};
use crate::plan::{Plan, Plans};
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
}

/// The plan of that id, or which there are.
pub fn plan<'a>(plans: &'a Plans, id: &str) -> Result<&'a Plan, Failure> {
    plans.plan(&PlanId(id.to_owned())).ok_or_else(|| {
        let known: Vec<&str> = plans.plans.iter().map(|plan| plan.id.as_str()).collect();
        Failure::new(Code::Usage, format!("there is no plan `{id}`"))
            .hint(format!("the plans are {}", known.join(", ")))
    })
}

/// Explains a promise.
pub fn sla(context: &Context, verb: &SlaVerb) -> Done {
    let SlaVerb::Explain { plan: id, impact, at } = verb;
    let config = context.named_config()?;
    let policy = context.policy(config.as_ref())?;
    let calendar = &policy.calendar;
    let plan = plan(&policy.plans, id)?;
    let received = match at {
        Some(text) => time(text, calendar.zone())?,
        None => context.now(calendar.zone())?,
    };
    let promise = calendar.promise(plan, *impact, received);
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
    let bound = if promise.window.strict { "before" } else { "due by" };
    context.line(format!("{bound:13} {}", for_people(&local(promise.due_by))))
}

/// No-break spaces are for mails; a terminal gets plain ones.
pub fn plain(text: &str) -> String {
    text.replace(words::GLUE, " ")
}
