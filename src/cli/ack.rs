//! `acuse ack`: what customers would read.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::context::{Context, read, time};
use super::explain::{self, ExplainArgs};
use super::report::{Code, Done, Failure};
use super::sla;
use crate::config::Secrets;
use crate::mail::Address;
use crate::policy::Policy;
use crate::reply::{Composed, Reply, ReplyKind, compose, header};
use crate::site::Site;
use crate::ticket::{Impact, Language, TicketNumber};
use crate::triage::PlanBecause;

/// `acuse ack …`
#[derive(Debug, Subcommand)]
pub enum AckVerb {
    /// Show an acknowledgement: for a plan and impact, for a mail's file, or as it was written for a ticket
    Preview(PreviewArgs),
}

/// `acuse ack preview`
#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// A mail's file, `-`, or a ticket's number
    #[arg(value_name = "FILE|CASE")]
    what: Option<String>,
    /// The support level
    #[arg(long, default_value = "n1", conflicts_with = "what")]
    plan: String,
    /// high, medium or low
    #[arg(long, default_value = "medium", conflicts_with = "what")]
    impact: Impact,
    /// es or en
    #[arg(long, default_value = "es", conflicts_with = "what")]
    lang: Language,
    /// Which text: ack, unclassified, late, raised or reopened
    #[arg(long, default_value = "ack", conflicts_with = "what")]
    kind: String,
    /// When the mail arrives [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Print the whole mail
    #[arg(long, conflicts_with = "json")]
    eml: bool,
    /// Write the HTML part into this file as well, to look at in a browser
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// What somebody reads who is not in the directory
    #[arg(long, conflicts_with = "what")]
    unknown_sender: bool,
}

/// Shows an acknowledgement.
pub fn ack(context: &Context, verb: &AckVerb) -> Done {
    let AckVerb::Preview(args) = verb;
    match &args.what {
        Some(what) if Path::new(what).exists() || what == "-" => of_mail(context, args, what),
        Some(what) => of_ticket(context, args, what),
        None => of_plan(context, args),
    }
}

fn print(context: &Context, args: &PreviewArgs, language: Language, composed: &Composed) -> Done {
    if let Some(path) = &args.html {
        fs::write(path, &composed.html).map_err(|error| {
            Failure::new(Code::Io, format!("cannot write {}: {error}", path.display()))
                .hint("name a file in a directory that is there, such as ack.html")
        })?;
    }
    if context.json {
        return context
            .json(&json!({ "subject": composed.subject, "text": composed.text, "html": composed.html,
                                     "language": language }));
    }
    if args.eml {
        return context.line(String::from_utf8_lossy(&composed.bytes).trim_end());
    }
    context.line(format!("{}\n\n{}", composed.subject, composed.text.trim_end()))
}

fn of_plan(context: &Context, args: &PreviewArgs) -> Done {
    let config = context.named_config()?;
    let (policy, site) = (context.policy(config.as_ref())?, context.site(config.as_ref()));
    let plan = sla::plan(&policy.plans, &args.plan)?;
    let kind = ReplyKind::ALL.into_iter().find(|kind| kind.as_str() == args.kind).ok_or_else(|| {
        Failure::new(Code::Usage, format!("there is no text `{}`", args.kind))
            .hint("the texts are ack, unclassified, late, raised and reopened")
    })?;
    let zone = policy.calendar.zone();
    let at = match &args.at {
        Some(text) => time(text, zone)?,
        None => context.now(zone)?,
    };
    let case = policy.rules.cases().iter().find(|case| case.impact == args.impact);
    let promise = policy.calendar.promise(plan, args.impact, at);
    let subject = case.map_or("", |case| case.label.in_language(args.lang));
    let to = Address { name: String::new(), address: "cliente@cliente.example".to_owned() };
    let number = SAMPLE_NUMBER.with_prefix(&site.prefix);
    let reply = sample(&policy, &site, &to, &number, &promise);
    let reply = Reply {
        kind,
        language: args.lang,
        impact: args.impact,
        case: case.filter(|_| kind != ReplyKind::Unclassified),
        plan,
        subject,
        known_sender: !args.unknown_sender,
        ..reply
    };
    print(context, args, args.lang, &compose(&reply, &site, &policy.replies))
}

/// The parts of a preview that nobody asked for.
fn sample<'a>(
    policy: &'a Policy,
    site: &'a Site,
    to: &'a Address,
    number: &'a str,
    promise: &'a crate::plan::Promise,
) -> Reply<'a> {
    Reply {
        kind: ReplyKind::Ack,
        language: Language::Es,
        to,
        customer_name: None,
        known_sender: true,
        number,
        impact: promise.impact,
        case: None,
        plan: policy.plans.plan_or_default(&promise.plan),
        promise,
        calendar: &policy.calendar,
        support_address: site.addresses.first().unwrap_or(&site.from),
        subject: "",
        in_reply_to: None,
        references: &[],
        message_id: "preview@preview.invalid",
        loop_token: "preview",
        reply_to: None,
        now: promise.received,
    }
}

const SAMPLE_NUMBER: TicketNumber = TicketNumber(1042);

fn of_mail(context: &Context, args: &PreviewArgs, what: &str) -> Done {
    let explain_args = ExplainArgs::at(args.at.clone());
    let explained = explain::of_mail(context, &read(Path::new(what))?, Some(what.to_owned()), &explain_args)?;
    let explain::Explained { message, decision, policy, site, customer_name, .. } = &explained;
    let (Some(kind), Some(promise), Some(to)) =
        (decision.ack.kind, &decision.promise, crate::triage::requester(message, site))
    else {
        return Err(Failure::new(
            Code::Findings,
            format!(
                "this mail gets no acknowledgement ({}). {}",
                decision.ack.because.as_str(),
                decision.ack.because.meaning()
            ),
        ));
    };
    let number = SAMPLE_NUMBER.with_prefix(&site.prefix);
    let reply = Reply {
        kind,
        language: decision.ack.language,
        customer_name: customer_name.as_deref(),
        known_sender: decision.plan.because != PlanBecause::Default,
        case: decision.named_case(policy),
        subject: &message.subject,
        in_reply_to: message.message_id.as_deref(),
        references: header::ancestors(message),
        ..sample(policy, site, to, &number, promise)
    };
    print(context, args, decision.ack.language, &compose(&reply, site, &policy.replies))
}

/// The stored bytes of a ticket's first acknowledgement: what was sent, or is about to be.
fn of_ticket(context: &Context, args: &PreviewArgs, what: &str) -> Done {
    let config = context.config(Secrets::Skip)?;
    let nothing = || {
        Failure::new(Code::Usage, format!("`{what}` is neither a file nor a ticket with an acknowledgement"))
    };
    let number = TicketNumber::parse(what, &config.site.prefix).ok_or_else(nothing)?;
    let acks = context.store(&config)?.read(|tx| tx.acks_of(number.0))?;
    let (_, bytes) = acks.into_iter().next().ok_or_else(nothing)?;
    let message = crate::mail::parse(&bytes);
    let html = crate::mail::html(&bytes).unwrap_or_default();
    let composed = Composed { subject: message.subject, text: message.text, html, bytes };
    print(context, args, message.language, &composed)
}
