//! `acuse tickets reclassify`: a person's word on what a ticket is.

use clap::Args;
use serde_json::json;

use super::{missing, parse};
use crate::cli::context::{Context, for_people, rfc3339};
use crate::cli::report::{Code, Done, Failure};
use crate::config::Config;
use crate::policy::Policy;
use crate::problem::did_you_mean;
use crate::store::{Correction, Fresh, PromiseAfter, Setting, Store};
use crate::ticket::Impact;

/// `acuse tickets reclassify`
#[derive(Debug, Args)]
pub struct ReclassifyArgs {
    /// Its number, such as ACU-12
    number: String,
    /// What it is: high, medium or low [default: the case's]
    #[arg(long, required_unless_present = "case")]
    impact: Option<Impact>,
    /// The kind of case, by its id in cases.toml
    #[arg(long)]
    case: Option<String>,
    /// Why, for those who tune the rules
    #[arg(long, value_name = "TEXT")]
    because: String,
}

/// Puts a ticket right and remembers it.
pub fn reclassify(
    context: &Context,
    args: &ReclassifyArgs,
    store: &mut Store,
    config: &Config,
    policy: &Policy,
) -> Done {
    let number = parse(&args.number, config)?;
    let now = context.now(policy.calendar.zone())?;
    let (impact, case) = meant(args, policy)?;
    if args.because.trim().is_empty() {
        return Err(Failure::new(Code::Usage, "--because says nothing")
            .hint("say in a few words why: those who tune the rules read it"));
    }
    let word = Correction { impact, case, by: context.user(), because: args.because.clone(), at: now };
    let setting = Setting { site: &config.site, policy, fresh: Fresh(0), now };
    let corrected =
        store.transaction(|tx| tx.correct(number, &word, setting))?.ok_or_else(|| missing(number, config))?;
    let name = number.with_prefix(&config.site.prefix);
    let local = |at| policy.calendar.to_local(at);
    if context.json {
        return context.json(&json!({
            "number": name,
            "from": { "impact": corrected.was_impact, "case": corrected.was_case },
            "to": { "impact": word.impact, "case": corrected.case },
            "by": word.by, "because": word.because, "at": rfc3339(&local(now)),
            "promise": corrected.promise.as_str(),
            "due_by": corrected.promise.due_by().map(|at| rfc3339(&local(at))),
            "overdue": corrected.promise.is_overdue(),
        }));
    }
    let called = |impact: &str, case: Option<&str>| {
        case.map_or_else(|| impact.to_owned(), |case| format!("{impact} ({case})"))
    };
    let was = called(&corrected.was_impact, corrected.was_case.as_deref());
    let is = match (&corrected.case, &corrected.was_case) {
        (None, Some(_)) => format!("{}, without a case", word.impact),
        (case, _) => called(word.impact.as_str(), case.as_deref()),
    };
    let change =
        if was == is { format!("{name} stays {is}: confirmed") } else { format!("{name}: {was} → {is}") };
    let promise = match corrected.promise {
        PromiseAfter::None => "no promise runs".to_owned(),
        PromiseAfter::Stays { due_by, told: true, .. } => {
            format!("the promise that was mailed stays: {}", for_people(&local(due_by)))
        }
        PromiseAfter::Stays { due_by, told: false, .. } => {
            format!("the promise stays: {}", for_people(&local(due_by)))
        }
        PromiseAfter::Replaced { due_by, .. } => {
            format!("the promise was not mailed yet, and is made anew: {}", for_people(&local(due_by)))
        }
    };
    let over = if corrected.promise.is_overdue() { ", and is over: answer now" } else { "" };
    context.line(format!("{change}; {promise}{over}"))
}

/// The impact and the case that were meant; the case's impact is the manual's to say.
fn meant(args: &ReclassifyArgs, policy: &Policy) -> Result<(Impact, Option<String>), Failure> {
    let Some(id) = &args.case else {
        let none = || Failure::new(Code::Usage, "say what it is").hint("--impact high, medium or low");
        return Ok((args.impact.ok_or_else(none)?, None));
    };
    let ids = |impact: Option<Impact>| -> Vec<&str> {
        let cases = policy.rules.cases().iter();
        cases.filter(|case| impact.is_none_or(|is| is == case.impact)).map(|case| case.id.as_str()).collect()
    };
    let case = policy.rules.case(id).ok_or_else(|| {
        let all = ids(args.impact);
        let near = did_you_mean(id, ids(None)).unwrap_or_else(|| format!("one of {}", all.join(", ")));
        Failure::new(Code::Usage, format!("there is no case `{id}`")).hint(near)
    })?;
    match args.impact {
        Some(impact) if impact != case.impact => {
            Err(Failure::new(Code::Usage, format!("the case `{id}` is {}, not {impact}", case.impact)).hint(
                format!("cases of that impact: {}; or leave --impact away", ids(Some(impact)).join(", ")),
            ))
        }
        _ => Ok((case.impact, Some(case.id.clone()))),
    }
}
