//! `acuse customers import`: the directory as another system exports it, CSV, TSV or JSON Lines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::document;
use super::lines::lines;
use super::row::{overlap, row};
use crate::cli::context::{Context, shown, tell};
use crate::cli::report::{Code, Done, Failure};
use crate::plan::Plans;
use crate::store::{CustomerRow, Import, Store};
use crate::ticket::PlanId;

/// Lines of each kind of change that are shown to people.
const SHOWN: usize = 20;

/// `acuse customers import`
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// CSV or TSV with a header, or JSON Lines when its name ends in .jsonl: key, plan, and as you have them name, language,
    /// from, until, id. It is the whole directory: what an earlier import had and this one does not is removed; what
    /// `customers set` made stays
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show what would change, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Refuse when more than so many percent of the imported keys, or of those above the default plan, would vanish or
    /// get a lower plan: a truncated export must not demote everybody
    #[arg(long, value_name = "PERCENT", default_value = "20", value_parser = percent)]
    max_shrink: u8,
}

fn percent(text: &str) -> Result<u8, String> {
    let number = text.trim_end_matches('%').parse().ok().filter(|number| *number <= 100);
    number.ok_or_else(|| "a percentage from 0 to 100".to_owned())
}

/// Imports a file, or says all that is wrong with it.
pub fn import(
    context: &Context,
    store: &mut Store,
    args: &ImportArgs,
    plans: &Plans,
    zone: &TimeZone,
    now: Timestamp,
) -> Done {
    let rows = rows(&args.file, plans, zone)?;
    // what is judged is what is written: nobody changes the directory in between
    let (import, refused) = store.transaction(|tx| {
        let import = tx.compare_import(&rows)?;
        let refused = guard(&import, args, plans, now).err();
        if refused.is_none() && !args.dry_run {
            tx.import_customers(&import, now)?;
        }
        Ok((import, refused))
    })?;
    let changes = changes(&import);
    if !context.json && !changes.is_empty() {
        context.line(changes)?;
    }
    if let Some(refused) = refused {
        return Err(refused);
    }
    if context.json {
        return context.json(&changes_document(&import, args.dry_run, zone));
    }
    context.line(summary(&import, rows.len()))?;
    if args.dry_run {
        tell("nothing is written yet (--dry-run)");
    }
    Ok(())
}

/// Refuses a file that takes too much away of what is in force: from all keys, or from the few of them that pay for more
/// than the default plan.
fn guard(import: &Import, args: &ImportArgs, plans: &Plans, now: Timestamp) -> Done {
    let place = |id: &PlanId| plans.plans.iter().position(|plan| plan.id == *id);
    let rank = |rows: &[CustomerRow]| {
        let rows = rows.iter().filter(|row| row.holds_at(now));
        rows.filter_map(|row| place(&row.plan)).max()
    };
    let default = &plans.default.id;
    let refused = |whose: &str, counts: &dyn Fn(&[CustomerRow]) -> bool| {
        let removed = import.removed.iter().filter(|(_, old)| counts(old)).count();
        let stay = import.unchanged.iter().filter(|(_, old)| counts(old)).count();
        let changed: Vec<_> = import.changed.iter().filter(|(_, old, _)| counts(old)).collect();
        let demoted = changed.iter().filter(|(_, old, new)| rank(new) < rank(old)).count();
        let (lost, before) = (removed + demoted, removed + stay + changed.len());
        (lost * 100 > before * usize::from(args.max_shrink)).then(|| {
            format!(
                "of {before} imported keys{whose} {removed} would vanish and {demoted} get a lower plan or none, \
                 more than {} %: nothing is written",
                args.max_shrink
            )
        })
    };
    let of_all = refused("", &|_| true);
    let why = of_all
        .or_else(|| refused(&format!(" with a plan above {default}"), &|old| rank(old) > place(default)));
    why.map_or(Ok(()), |why| {
        Err(Failure::new(Code::Findings, why)
            .hint("is the export whole? If it is, allow more with --max-shrink"))
    })
}

/// Every row of the file, or every line that is wrong.
fn rows(file: &Path, plans: &Plans, zone: &TimeZone) -> Result<Vec<CustomerRow>, Failure> {
    let lines = lines(file)?;
    let all = lines.len();
    let mut rows: BTreeMap<_, Vec<(u64, CustomerRow)>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (number, line) in lines {
        match line.and_then(|line| row(&line, plans, zone).map_err(|wrong| wrong.to_string())) {
            Err(why) => wrong.push((number, why)),
            Ok(row) => {
                let same = rows.entry((row.key.clone(), row.code.clone(), row.plan.clone())).or_default();
                match same.iter().find(|(_, other)| overlap(other, &row)) {
                    Some((_, other)) if *other == row => {}
                    Some((first, _)) => {
                        let what =
                            format!("`{}` has the plan {} on line {first} too, otherwise", row.key, row.plan);
                        wrong.push((number, format!("{what}; keep one of the two, or part their dates")));
                    }
                    None => same.push((number, row)),
                }
            }
        }
    }
    if wrong.is_empty() {
        return Ok(rows.into_values().flatten().map(|(_, row)| row).collect());
    }
    let list: Vec<String> =
        wrong.iter().map(|(number, why)| format!("{}:{number}: {why}", file.display())).collect();
    tell(list.join("\n"));
    Err(Failure::new(
        Code::Usage,
        format!("{} of {all} lines are wrong, each named above: nothing is written", wrong.len()),
    )
    .hint("correct them at their source, or leave them out of the export"))
}

fn plans_of(rows: &[CustomerRow]) -> String {
    rows.iter().map(|row| row.plan.as_str()).collect::<Vec<_>>().join(", ")
}

/// The changes, a line each; of many the first.
fn changes(import: &Import) -> String {
    let mut lines = Vec::new();
    let mut list = |sign: char, all: Vec<String>| {
        lines.extend(all.iter().take(SHOWN).map(|text| format!("{sign} {text}")));
        if all.len() > SHOWN {
            lines.push(format!("{sign} … and {} more", all.len() - SHOWN));
        }
    };
    let of = |key: &str, what: String| format!("{}  {what}", shown(key));
    list('+', import.added.iter().map(|(key, rows)| of(key, plans_of(rows))).collect());
    list('-', import.removed.iter().map(|(key, rows)| of(key, plans_of(rows))).collect());
    let change = |old: String, new: String| match old == new {
        true => format!("{new}  (name, language, dates or id)"),
        false => format!("{old} → {new}"),
    };
    list(
        '~',
        import.changed.iter().map(|(key, old, new)| of(key, change(plans_of(old), plans_of(new)))).collect(),
    );
    list(
        '=',
        import.by_hand.iter().map(|key| of(key, "stays as `customers set` made it".to_owned())).collect(),
    );
    lines.join("\n")
}

fn summary(import: &Import, rows: usize) -> String {
    format!(
        "{rows} rows: {} keys added, {} removed, {} changed, {} as before, {} set by hand",
        import.added.len(),
        import.removed.len(),
        import.changed.len(),
        import.unchanged.len(),
        import.by_hand.len()
    )
}

fn changes_document(import: &Import, dry_run: bool, zone: &TimeZone) -> Value {
    let rows = |rows: &[CustomerRow]| rows.iter().map(|row| document(row, zone)).collect::<Vec<_>>();
    json!({
        "written": !dry_run,
        "added": import.added.iter().flat_map(|(_, new)| rows(new)).collect::<Vec<_>>(),
        "removed": import.removed.iter().flat_map(|(_, old)| rows(old)).collect::<Vec<_>>(),
        "changed": import.changed.iter()
            .map(|(key, old, new)| json!({ "key": key, "from": rows(old), "to": rows(new) }))
            .collect::<Vec<_>>(),
        "unchanged": import.unchanged.len(),
        "by_hand": import.by_hand,
    })
}
