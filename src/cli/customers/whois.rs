//! `acuse customers whois`: which row of the directory decides on an address, and why.

use jiff::Timestamp;
use serde_json::json;

use super::document;
use crate::cli::context::{Context, shown, table};
use crate::cli::report::{Code, Done, Failure};
use crate::mail::Address;
use crate::policy::Policy;
use crate::store::{CustomerRow, KeyKind, Store};
use crate::triage::{CustomerFacts, PlanBecause};

/// Says which row decides, and why the others do not.
pub fn whois(context: &Context, store: &Store, text: &str, policy: &Policy, now: Timestamp) -> Done {
    let address = Address::parse(text).ok_or_else(|| {
        Failure::new(Code::Usage, format!("`{}` is no address", shown(text)))
            .hint("such as ana@cliente.example")
    })?;
    let (rows, found) =
        store.read(|tx| Ok((tx.customers_at(&address)?, tx.customer_of(&address, &policy.plans, now)?)))?;
    let because = found.as_ref().map_or(PlanBecause::Default, |customer| customer.by);
    let plan = found.as_ref().map_or(&policy.plans.default.id, |customer| &customer.plan);
    let served_as = &policy.plans.plan_or_default(plan).id;
    let decides = rows.iter().position(|row| found.as_ref().is_some_and(|found| is_taken(row, found, now)));
    let rows: Vec<(&CustomerRow, &str)> = (0..)
        .zip(&rows)
        .map(|(place, row)| match Some(place) == decides {
            true => (row, "decides"),
            false => (row, standing(row, found.as_ref(), now)),
        })
        .collect();
    if context.json {
        let zone = policy.calendar.zone();
        let rows =
            rows.iter().map(|(row, standing)| json!({ "row": document(row, zone), "standing": standing }));
        return context.json(&json!({
            "address": address.address, "plan": plan, "served_as": served_as, "because": because,
            "rows": rows.collect::<Vec<_>>(),
        }));
    }
    context.line(format!("{}  {plan}  ({})", address.address, because.as_str()))?;
    if plan != served_as {
        context.line(format!(
            "plans.toml has no plan `{}`: served as {served_as}, the default",
            shown(plan.as_str())
        ))?;
    }
    if rows.is_empty() {
        return context.line("no row names it, nor its domain: the default of plans.toml");
    }
    let mut lines = table(&["key", "plan", "name", "standing"]);
    for (row, standing) in rows {
        let name = row.name.as_deref().unwrap_or("-");
        lines.add_row([shown(&row.key), row.plan.to_string(), shown(name), standing.to_owned()]);
    }
    context.line(lines.to_string())
}

fn because_of(row: &CustomerRow) -> PlanBecause {
    match row.kind {
        KeyKind::Address => PlanBecause::AddressRow,
        KeyKind::Domain => PlanBecause::DomainRow,
    }
}

/// Whether what was found is what this row says; the first such row decides.
fn is_taken(row: &CustomerRow, found: &CustomerFacts, now: Timestamp) -> bool {
    let (name, language) = (&found.name, found.language);
    row.holds_at(now)
        && (because_of(row), &row.plan, &row.name, row.language) == (found.by, &found.plan, name, language)
}

/// Why a row does not decide.
fn standing(row: &CustomerRow, found: Option<&CustomerFacts>, now: Timestamp) -> &'static str {
    match found {
        _ if row.from.is_some_and(|from| from > now) => "not in force yet",
        _ if !row.holds_at(now) => "over",
        Some(found) if found.by != because_of(row) => "an address row stands before it",
        Some(found) if found.plan == row.plan => "another row of the same plan stands before it",
        _ => "another row has a higher plan",
    }
}
