//! `acuse customers`: who has which plan.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

mod import;
mod lines;
mod row;
mod whois;

use super::context::{Context, for_people, rfc3339, shown, table, tell};
use super::report::{Code, Done, Failure};
use crate::config::Secrets;
use crate::store::{CustomerRow, KeyKind};
use crate::ticket::Language;

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
    /// Give an address or a domain a plan, whatever an import says, in the place of the rows that it has
    Set(SetArgs),
    /// Remove the rows of an address or domain
    Remove {
        /// The address or domain
        key: String,
    },
    /// Make a file's rows the directory: all of them or, where a line is wrong, none
    Import(import::ImportArgs),
    /// Say which row decides on an address, and why
    Whois {
        /// The address
        address: String,
    },
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
    /// The first day, or instant, that it holds; what holds before it stays until then
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The last day that it holds, or the instant that it ends
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
}

impl SetArgs {
    fn line(&self) -> row::Line {
        row::Line {
            key: self.key.clone(),
            plan: self.plan.clone(),
            name: self.name.clone(),
            language: self.lang.map(|language| language.as_str().to_owned()),
            from: self.from.clone(),
            until: self.until.clone(),
            id: self.id.clone(),
            _kind: None,
        }
    }
}

/// Lists, shows, sets or imports the directory.
pub fn customers(context: &Context, verb: &CustomersVerb) -> Done {
    let config = context.config(Secrets::Skip)?;
    let policy = context.policy_for_view(&config)?;
    let mut store = context.store(&config)?;
    let zone = policy.calendar.zone();
    let now = context.now(zone)?;
    let missing = |key: &str| Failure::new(Code::Usage, format!("the directory has no row for `{key}`"));
    match verb {
        CustomersVerb::List => print(context, &store.read(|tx| tx.customers(None))?, zone),
        CustomersVerb::Show { key } => {
            let (key, _) = key_of(key)?;
            let rows = store.read(|tx| tx.customers(Some(&key)))?;
            if rows.is_empty() {
                return Err(missing(&key).hint(format!(
                    "`acuse customers set {key} --plan …` makes one; `acuse customers whois` finds the row that decides"
                )));
            }
            print(context, &rows, zone)
        }
        CustomersVerb::Set(args) => {
            let row = row::row(&args.line(), &policy.plans, zone)?;
            let replaced = store.transaction(|tx| tx.set_customer(&row, now))?;
            print(context, &store.read(|tx| tx.customers(Some(&row.key)))?, zone)?;
            replaced.iter().for_each(|row| tell(format!("replaced: {}", in_words(row, zone))));
            tell("tickets that are open keep the plan that they were opened with");
            Ok(())
        }
        CustomersVerb::Remove { key } => {
            let (key, _) = key_of(key)?;
            match store.transaction(|tx| tx.remove_customer(&key, now))? {
                true if context.json => context.json(&json!({ "removed": key })),
                true => context.line(format!("removed {key}")),
                false => Err(missing(&key).hint("`acuse customers list` shows the keys")),
            }
        }
        CustomersVerb::Import(args) => import::import(context, &mut store, args, &policy.plans, zone, now),
        CustomersVerb::Whois { address } => whois::whois(context, &store, address, &policy, now),
    }
}

fn key_of(text: &str) -> Result<(String, KeyKind), Failure> {
    Ok(row::parse_key(text)?)
}

/// A row that is no longer there, so that it can be set again.
fn in_words(row: &CustomerRow, zone: &TimeZone) -> String {
    let instant = |word: &str, at: Option<Timestamp>| {
        at.map(|at| format!("{word} {}", for_people(&at.to_zoned(zone.clone()))))
    };
    let parts = [
        Some(shown(row.plan.as_str())),
        row.name.as_deref().map(|name| format!("«{}»", shown(name))),
        row.language.map(|language| language.as_str().to_owned()),
        row.code.as_deref().map(|id| format!("id {}", shown(id))),
        instant("from", row.from),
        instant("until", row.until),
    ];
    format!("{}  {}", shown(&row.key), parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// A row as JSON, with the keys that an import reads.
fn document(row: &CustomerRow, zone: &TimeZone) -> Value {
    let instant = |at: Option<Timestamp>| at.map(|at| rfc3339(&at.to_zoned(zone.clone())));
    json!({
        "key": row.key, "kind": row.kind, "id": row.code, "name": row.name, "language": row.language,
        "plan": row.plan, "from": instant(row.from), "until": instant(row.until),
    })
}

fn print(context: &Context, rows: &[CustomerRow], zone: &TimeZone) -> Done {
    if context.json {
        return context.json(&rows.iter().map(|row| document(row, zone)).collect::<Vec<_>>());
    }
    let mut lines = table(&["key", "kind", "plan", "name", "language", "id", "from", "until"]);
    for row in rows {
        let or_dash = |text: Option<&str>| shown(text.unwrap_or("-"));
        let day = |at: Option<Timestamp>| {
            at.map_or_else(|| "-".to_owned(), |at| for_people(&at.to_zoned(zone.clone())))
        };
        lines.add_row([
            shown(&row.key),
            row.kind.as_str().to_owned(),
            row.plan.to_string(),
            or_dash(row.name.as_deref()),
            or_dash(row.language.map(Language::as_str)),
            or_dash(row.code.as_deref()),
            day(row.from),
            day(row.until),
        ]);
    }
    context.line(lines.to_string())
}
