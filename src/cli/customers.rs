//! `acuse customers`: who has which plan.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::context::{Context, shown, table};
use super::report::{Code, Done, Failure};
use super::sla;
use crate::config::Secrets;
use crate::mail::Address;
use crate::store::{CustomerRow, KeyKind};
use crate::ticket::Language;
use crate::triage::silence::is_public_mail_domain;

/// `acuse customers …`
#[derive(Debug, Subcommand)]
pub enum CustomersVerb {
    /// List the directory
    List,
    /// Show the row of an address or domain
    Show {
        /// The address or domain
        key: String,
    },
    /// Give an address or a domain a plan
    Set(SetArgs),
}

/// `acuse customers set`
#[derive(Debug, Args)]
pub struct SetArgs {
    /// The address or domain
    key: String,
    /// The support level, such as n2
    #[arg(long)]
    plan: String,
    /// The name that greets them
    #[arg(long)]
    name: Option<String>,
    /// es or en; without it, the language they write in
    #[arg(long)]
    lang: Option<Language>,
    /// Their id in your own directory: the same id is the same customer
    #[arg(long)]
    id: Option<String>,
}

/// Lists, shows or sets the directory.
pub fn customers(context: &Context, verb: &CustomersVerb) -> Done {
    let config = context.config(Secrets::Skip)?;
    let policy = context.policy(Some(&config))?;
    let mut store = context.store(&config)?;
    match verb {
        CustomersVerb::List => print(context, &store.read(|tx| tx.customers(None))?),
        CustomersVerb::Show { key } => {
            let (key, _) = parse_key(key)?;
            let rows = store.read(|tx| tx.customers(Some(&key)))?;
            if rows.is_empty() {
                return Err(Failure::new(Code::Usage, format!("the directory has no row for `{key}`"))
                    .hint(format!("`acuse customers set {key} --plan …` makes one")));
            }
            print(context, &rows)
        }
        CustomersVerb::Set(args) => {
            let (key, kind) = parse_key(&args.key)?;
            if kind == KeyKind::Domain && is_public_mail_domain(&key) {
                return Err(Failure::new(Code::Usage, format!("anybody may have an address at {key}"))
                    .hint("set the customer's whole address instead"));
            }
            let plan = sla::plan(&policy.plans, &args.plan)?.id.clone();
            let now = context.now(policy.calendar.zone())?;
            let (name, code) = (args.name.as_deref(), args.id.as_deref());
            store.transaction(|tx| tx.set_customer(&key, kind, &plan, name, args.lang, code, now))?;
            print(context, &store.read(|tx| tx.customers(Some(&key)))?)
        }
    }
}

/// An address, or a domain (with or without a leading `@`), in its canonical form.
fn parse_key(text: &str) -> Result<(String, KeyKind), Failure> {
    let wrong = || {
        Failure::new(Code::Usage, format!("`{}` is neither an address nor a domain", shown(text)))
            .hint("such as ana@cliente.example or cliente.example")
    };
    match text.strip_prefix('@').unwrap_or(text) {
        domain if !domain.contains('@') => {
            let sample = Address::parse(&format!("x@{domain}")).ok_or_else(wrong)?;
            let has_dot = sample.domain().contains('.');
            if has_dot { Ok((sample.domain().to_owned(), KeyKind::Domain)) } else { Err(wrong()) }
        }
        address => Address::parse(address).map(|found| (found.address, KeyKind::Address)).ok_or_else(wrong),
    }
}

fn print(context: &Context, rows: &[CustomerRow]) -> Done {
    if context.json {
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| {
                json!({ "key": row.key, "kind": row.kind, "id": row.code, "name": row.name,
                        "language": row.language, "plan": row.plan })
            })
            .collect();
        return context.json(&rows);
    }
    let mut lines = table(&["key", "kind", "plan", "name", "language", "id"]);
    for row in rows {
        let or_dash = |text: &Option<String>| shown(text.as_deref().unwrap_or("-"));
        lines.add_row([
            shown(&row.key),
            row.kind.to_owned(),
            row.plan.clone(),
            or_dash(&row.name),
            or_dash(&row.language),
            or_dash(&row.code),
        ]);
    }
    context.line(lines.to_string())
}
