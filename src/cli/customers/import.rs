//! `acuse customers import`: the directory as another system exports it, CSV or JSON Lines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{document, parse_key};
use crate::cli::context::{Context, read, shown, tell};
use crate::cli::report::{Code, Done, Failure};
use crate::plan::Plans;
use crate::problem::did_you_mean;
use crate::store::{CustomerRow, Import, KeyKind, Store};
use crate::ticket::{Language, PlanId};
use crate::triage::silence::is_public_mail_domain;

/// Lines of each kind of change that are shown to people.
const SHOWN: usize = 20;

/// `acuse customers import`
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// CSV with a header, or JSON Lines when its name ends in .jsonl: key, plan, and as you have them name, language,
    /// from, until, id. It is the whole directory: what an earlier import had and this one does not is removed; what
    /// `customers set` made stays
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show what would change, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Refuse when more than so many percent of the imported keys would vanish or get a lower plan: a truncated export
    /// must not demote everybody
    #[arg(long, value_name = "PERCENT", default_value = "20", value_parser = percent)]
    max_shrink: u8,
}

fn percent(text: &str) -> Result<u8, String> {
    let number = text.trim_end_matches('%').parse().ok().filter(|number| *number <= 100);
    number.ok_or_else(|| "a percentage from 0 to 100".to_owned())
}

/// A line as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    plan: String,
    name: Option<String>,
    language: Option<String>,
    from: Option<String>,
    until: Option<String>,
    id: Option<String>,
    /// In what `customers list --json` prints; the key says it already.
    #[serde(rename = "kind")]
    _kind: Option<String>,
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
    let compared = store.read(|tx| tx.compare_import(&rows))?;
    let changes = changes(&compared);
    if !context.json && !changes.is_empty() {
        context.line(changes)?;
    }
    guard(&compared, args, plans)?;
    let import = match args.dry_run {
        true => compared,
        false => store.transaction(|tx| tx.import_customers(&rows, now))?,
    };
    if context.json {
        return context.json(&changes_document(&import, args.dry_run, zone));
    }
    context.line(summary(&import, rows.len()))?;
    if args.dry_run {
        tell("nothing is written yet (--dry-run)");
    }
    Ok(())
}

/// Refuses a file that takes too much away.
fn guard(import: &Import, args: &ImportArgs, plans: &Plans) -> Done {
    let rank = |rows: &[CustomerRow]| {
        rows.iter().filter_map(|row| plans.plans.iter().position(|plan| plan.id == row.plan)).max()
    };
    let demoted = import.changed.iter().filter(|(_, old, new)| rank(new) < rank(old)).count();
    let (removed, before) = (import.removed.len(), import.before());
    if (removed + demoted) * 100 <= before * usize::from(args.max_shrink) {
        return Ok(());
    }
    Err(Failure::new(
        Code::Findings,
        format!(
            "of {before} imported keys {removed} would vanish and {demoted} get a lower plan, more than {} %: nothing is written",
            args.max_shrink
        ),
    )
    .hint("is the export whole? If it is, allow more with --max-shrink"))
}

/// Every row of the file, or every line that is wrong.
fn rows(file: &Path, plans: &Plans, zone: &TimeZone) -> Result<Vec<CustomerRow>, Failure> {
    let text = String::from_utf8(read(file)?).map_err(|_| {
        Failure::new(Code::Usage, format!("{} is not UTF-8", file.display()))
            .hint("export it as UTF-8; in a spreadsheet: save as \"CSV UTF-8\"")
    })?;
    let text = text.trim_start_matches('\u{FEFF}');
    let is_json = file.extension().is_some_and(|extension| extension == "jsonl");
    let lines = if is_json { json_lines(text) } else { csv_lines(file, text)? };

    let mut rows: BTreeMap<(String, Option<String>, PlanId), (u64, CustomerRow)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (number, line) in lines {
        match line.and_then(|line| row(&line, plans, zone)) {
            Err(why) => wrong.push((number, why)),
            Ok(row) => {
                let same = (row.key.clone(), row.code.clone(), row.plan.clone());
                match rows.get(&same) {
                    Some((first, other)) if *other != row => {
                        let what =
                            format!("`{}` has the plan {} on line {first} too, otherwise", row.key, row.plan);
                        wrong.push((number, format!("{what}; keep one of the two")));
                    }
                    Some(_) => {}
                    None => _ = rows.insert(same, (number, row)),
                }
            }
        }
    }
    if wrong.is_empty() {
        return Ok(rows.into_values().map(|(_, row)| row).collect());
    }
    let list: Vec<String> =
        wrong.iter().map(|(number, why)| format!("{}:{number}: {why}", file.display())).collect();
    tell(list.join("\n"));
    let (bad, all) = (wrong.len(), rows.len() + wrong.len());
    Err(Failure::new(
        Code::Usage,
        format!("{bad} of {all} lines are wrong, each named above: nothing is written"),
    )
    .hint("correct them at their source, or leave them out of the export"))
}

type Lines = Vec<(u64, Result<Line, String>)>;

fn json_lines(text: &str) -> Lines {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| (number, serde_json::from_str(line).map_err(|error| error.to_string())))
        .collect()
}

/// Fields may be divided by commas or, as spreadsheets do where the comma is decimal, by semicolons.
fn csv_lines(file: &Path, text: &str) -> Result<Lines, Failure> {
    const COLUMNS: [&str; 7] = ["key", "plan", "name", "language", "from", "until", "id"];
    let header = text.lines().next().unwrap_or_default();
    let delimiter = if header.contains(';') { b';' } else { b',' };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes());
    let refuse = |message: String, hint: String| {
        Failure::new(Code::Usage, format!("{}:1: {message}", file.display())).hint(hint)
    };
    let columns = format!("the columns are {}", COLUMNS.join(", "));
    let headers = reader.headers().map_err(|error| refuse(error.to_string(), columns.clone()))?.clone();
    for name in &headers {
        if !COLUMNS.contains(&name) {
            let hint = did_you_mean(name, COLUMNS).unwrap_or_else(|| columns.clone());
            return Err(refuse(format!("unknown column `{}`", shown(name)), hint));
        }
    }
    if let Some(missing) = ["key", "plan"].iter().find(|name| headers.iter().all(|header| header != **name)) {
        return Err(refuse(format!("no column `{missing}`"), columns));
    }
    let mut lines = Vec::new();
    for record in reader.records() {
        let number = |position: Option<&csv::Position>| position.map_or(0, csv::Position::line);
        lines.push(match record {
            Ok(record) => (
                number(record.position()),
                record.deserialize(Some(&headers)).map_err(|error| error.to_string()),
            ),
            Err(error) => (number(error.position()), Err(wrong_width(&error))),
        });
    }
    Ok(lines)
}

fn wrong_width(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!(
                "{len} fields, where the header has {expected_len}; quote a field that holds the delimiter"
            )
        }
        _ => error.to_string(),
    }
}

fn row(line: &Line, plans: &Plans, zone: &TimeZone) -> Result<CustomerRow, String> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let (key, kind) = parse_key(&line.key)
        .ok_or_else(|| format!("`{}` is neither an address nor a domain", shown(&line.key)))?;
    if kind == KeyKind::Domain && is_public_mail_domain(&key) {
        return Err(format!("anybody may have an address at {key}; give the customer's whole address"));
    }
    let plan = PlanId(line.plan.clone());
    if plans.plan(&plan).is_none() {
        let known: Vec<&str> = plans.plans.iter().map(|plan| plan.id.as_str()).collect();
        return Err(format!("there is no plan `{}`; the plans are {}", shown(&line.plan), known.join(", ")));
    }
    let language = given(&line.language).map(|text| text.parse::<Language>()).transpose()?;
    let from = given(&line.from).map(|text| start(&text, zone, 0)).transpose()?;
    let until = given(&line.until).map(|text| start(&text, zone, 1)).transpose()?;
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        return Err("it ends before it begins".to_owned());
    }
    Ok(CustomerRow { key, kind, code: given(&line.id), name: given(&line.name), language, plan, from, until })
}

/// The first instant of a date, or of so many days after it; an instant as it stands.
pub(super) fn start(text: &str, zone: &TimeZone, later: i32) -> Result<Timestamp, String> {
    let of_date = |date: Date| {
        let day = date.checked_add(jiff::Span::new().days(later)).ok()?;
        day.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
    };
    let instant = || text.parse::<Timestamp>().ok();
    let date = || text.parse::<Date>().ok().filter(|date| date.to_string() == text).and_then(of_date);
    date().or_else(instant).ok_or_else(|| {
        format!("`{}` is no date; write 2027-03-31 (the whole day) or 2027-03-31T12:00:00-05:00", shown(text))
    })
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
        import.unchanged,
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
        "unchanged": import.unchanged,
        "by_hand": import.by_hand,
    })
}
