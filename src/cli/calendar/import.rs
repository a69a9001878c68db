//! `acuse calendar import`: the closing days of an iCalendar file, added to the holidays of `local_dir`.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::civil::Date;
use serde_json::{Value, json};

use super::{weekday, written};
use crate::cli::context::{Context, read_up_to, shown, tell};
use crate::cli::report::{Code, Done, Failure};
use crate::config::{self, Config, Secrets};
use crate::daemon;
use crate::plan::{CalendarImport, ClosingDay, IMPORTED, Known, Skipped, SkippedBecause, TooManyDays, ical};
use crate::policy::PolicyFiles;
use crate::problem::{self, Source};

/// Calendars of holidays have some hundred kilobytes.
const MOST_BYTES: u64 = 8 << 20;
/// The longest name of a day, in characters: customers read it.
const NAME_CHARS: usize = 100;
/// Lines of each kind that are shown to people, of what is not added.
const SHOWN: usize = 20;
/// What the file of imported days begins with.
const HEAD: &str = "\
# Closing days that `acuse calendar import` took from iCalendar files. It only adds to the end: change and delete here what
# you like, and `acuse reload`.
";

/// `acuse calendar import`
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file as it was exported; - reads standard input. Nothing is downloaded
    #[arg(value_name = "FILE.ics")]
    file: PathBuf,
    /// Show what would change, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Take days that are marked free (TRANSP:TRANSPARENT), too. Google, Outlook and most governments mark public
    /// holidays so, but also days that are only observed, birthdays and notes: read the list with --dry-run first
    #[arg(long)]
    transparent: bool,
}

/// Adds what the calendar does not have, or says what is wrong with the file.
pub fn import(context: &Context, args: &ImportArgs) -> Done {
    let config = context.config(Secrets::Skip)?;
    let mut files = context.policy_files(Some(&config))?;
    let (policy, _) = config::policy(&files)?;
    let calendar = &policy.calendar;
    let today = calendar.to_local(context.now(calendar.zone())?).date();

    let events = events(&args.file)?;
    let import = CalendarImport::compare(&events, calendar, today.year(), args.transparent)
        .map_err(|TooManyDays(line)| too_many_days(&args.file, line))?;
    if !context.json {
        context.line(page(&import, events.len()))?;
    }
    if !import.added.is_empty() {
        let added = Added { path: path_of_imported(&config)?, text: lines(&import.added, &args.file, today) };
        added.write(&mut files, args.dry_run)?;
        if !context.json && !args.dry_run {
            context.line(format!("written to {}; `acuse reload` puts it in force", added.path.display()))?;
        }
    }
    if context.json {
        context.json(&document(&import, args.dry_run))?;
    }
    if args.dry_run {
        tell("nothing is written yet (--dry-run)");
    }
    let free = import.skipped.iter().filter(|it| it.because == SkippedBecause::Transparent).count();
    if free > 0 {
        tell(format!(
            "hint: {} marked free, as public holidays mostly are: if these are holidays, --transparent takes them",
            if free == 1 { "1 day is".to_owned() } else { format!("{free} days are") }
        ));
    }
    Ok(())
}

/// The events of the file, their names fit to be shown (I17).
fn events(file: &Path) -> Result<Vec<ical::Event>, Failure> {
    let (bytes, is_whole) = read_up_to(file, MOST_BYTES)?;
    if !is_whole {
        let message = format!("{} has more than {} MiB", file.display(), MOST_BYTES >> 20);
        return Err(Failure::new(Code::Usage, message).hint("export a calendar of holidays alone"));
    }
    let mut events = ical::read(&file.display().to_string(), &bytes).map_err(|problems| {
        tell(problem::report(&problems, false));
        let (count, word) = (problems.len(), if problems.len() == 1 { "line is" } else { "lines are" });
        Failure::new(Code::Usage, format!("{count} {word} wrong: nothing is written"))
            .hint("correct the file, or export it anew")
    })?;
    for event in &mut events {
        event.name = shown(&event.name).chars().take(NAME_CHARS).collect();
    }
    Ok(events)
}

fn too_many_days(file: &Path, line: usize) -> Failure {
    let message =
        format!("{}:{line}: so many days cannot all be holidays: nothing is written", file.display());
    Failure::new(Code::Usage, message).hint("export a calendar of holidays alone")
}

/// Where imported days go: a link is followed, so that it stays one.
fn path_of_imported(config: &Config) -> Result<PathBuf, Failure> {
    if !config.local_dir.is_dir() {
        let message = format!("there is no directory {} to write to", config.local_dir.display());
        return Err(Failure::new(Code::Config, message)
            .hint("create it, or let local_dir in acuse.toml name the one you use"));
    }
    let path = config.local_dir.join(IMPORTED);
    Ok(path.canonicalize().unwrap_or(path))
}

/// What is added to the file of imported days.
struct Added {
    path: PathBuf,
    text: String,
}

impl Added {
    /// Compiles the policy with it, and then writes it.
    fn write(&self, files: &mut PolicyFiles, dry_run: bool) -> Done {
        let path = &self.path;
        let before = match std::fs::read_to_string(path) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => HEAD.to_owned(),
            there => there
                .map_err(|why| Failure::new(Code::Io, format!("cannot read {}: {why}", path.display())))?,
        };
        let gap = if before.ends_with('\n') { "\n" } else { "\n\n" };
        let text = format!("{before}{gap}{}", self.text);
        files.add_local(IMPORTED, Source { name: path.display().to_string(), text: text.clone() });
        config::policy(files)?;
        if dry_run {
            return Ok(());
        }
        daemon::replace_file(path, &text, 0o644).map_err(|why| {
            Failure::new(Code::Io, format!("cannot write {}: {why}", path.display()))
                .hint("run it as a user who may write there")
        })
    }
}

/// The days as lines of TOML, under a comment that says where they are from.
fn lines(added: &[ClosingDay], file: &Path, today: Date) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let days: Vec<String> = added.iter().map(ClosingDay::to_toml).collect();
    format!("# {}, {today}\n\n{}", shown(&name), days.join("\n"))
}

/// What would change, a line each; of what is not added, the first of each kind.
fn page(import: &CalendarImport, events: usize) -> String {
    let mut lines: Vec<String> = import.added.iter().map(|day| format!("+ {}", of_day(day))).collect();
    let mut list = |head: Option<String>, all: Vec<String>| {
        let more = all.len().saturating_sub(SHOWN);
        lines.extend(head.filter(|_| !all.is_empty()));
        lines.extend(all.into_iter().take(SHOWN));
        lines.extend((more > 0).then(|| format!("  … and {more} more")));
    };
    list(
        None,
        import.known.iter().map(|(day, known)| format!("= {}: {}", of_day(day), of_known(known))).collect(),
    );
    for because in SkippedBecause::ALL {
        let skipped = import.skipped.iter().filter(|skipped| skipped.because == *because);
        let skipped: Vec<String> = skipped.map(of_skipped).collect();
        list(Some(format!("not taken ({}): {}", skipped.len(), because.meaning())), skipped);
    }
    let cut = import.cut.iter().map(|(line, name)| format!("  {name} (line {line})")).collect();
    list(Some("taken for ten years, and going on: import the file again by then".to_owned()), cut);
    lines.push(format!(
        "{events} events: {} added, {} already there, {} not taken",
        days(import.added.len()),
        days(import.known.len()),
        import.skipped.len()
    ));
    lines.join("\n")
}

fn days(count: usize) -> String {
    if count == 1 { "1 day".to_owned() } else { format!("{count} days") }
}

fn of_day(day: &ClosingDay) -> String {
    let ClosingDay { date, name, .. } = day;
    match (day.every_year, day.is_idle) {
        (true, _) => format!("{date}  and every year  {name}"),
        (false, true) => {
            format!("{date}  {:<9}  {name} (closed on every {} anyway)", weekday(*date), weekday(*date))
        }
        (false, false) => format!("{date}  {:<9}  {name}", weekday(*date)),
    }
}

fn of_known(known: &Known) -> String {
    match known {
        Known::Holiday(name, Some(law)) => format!("is {name} ({law})"),
        Known::Holiday(name, None) => format!("is {name}"),
        Known::Exception(hours) if hours.is_empty() => "is closed by [exceptions]".to_owned(),
        Known::Exception(hours) => {
            format!("has hours of its own, {}, by [exceptions]", written(hours).join(", "))
        }
        Known::SameFile(line) => format!("is in this file on line {line}, too"),
    }
}

fn of_skipped(skipped: &Skipped) -> String {
    let Skipped { date, name, line, .. } = skipped;
    let still = if skipped.is_still_kept { ", but still in the calendar: delete it there" } else { "" };
    format!("  {date}  {:<9}  {name} (line {line}){still}", weekday(*date))
}

fn document(import: &CalendarImport, dry_run: bool) -> Value {
    let day = |day: &ClosingDay| {
        json!({
            "date": day.date.to_string(),
            "every_year": day.every_year,
            "name": day.name,
            "line": day.line,
        })
    };
    let known = |(known, by): &(ClosingDay, Known)| {
        let mut row = day(known);
        let (holiday, law, exception, same_file) = match by {
            Known::Holiday(name, law) => (Some(name), law.as_ref(), None, None),
            Known::Exception(hours) => (None, None, Some(written(hours)), None),
            Known::SameFile(line) => (None, None, None, Some(line)),
        };
        let by = json!({ "holiday": holiday, "law": law, "exception": exception, "same_file": same_file });
        if let Some(fields) = row.as_object_mut() {
            fields.insert("by".to_owned(), by);
        }
        row
    };
    let skipped = |skipped: &Skipped| {
        json!({
            "date": skipped.date.to_string(),
            "name": skipped.name,
            "line": skipped.line,
            "because": skipped.because,
            "still_kept": skipped.is_still_kept,
        })
    };
    json!({
        "written": !dry_run && !import.added.is_empty(),
        "added": import.added.iter().map(day).collect::<Vec<_>>(),
        "known": import.known.iter().map(known).collect::<Vec<_>>(),
        "skipped": import.skipped.iter().map(skipped).collect::<Vec<_>>(),
        "cut": import.cut.iter().map(|(line, name)| json!({ "line": line, "name": name })).collect::<Vec<_>>(),
    })
}
