//! `docs/codes.md` is made from the types: every word that JSON, the database and the log print, with its meaning.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use acuse::mail::{AutomationKind, Defect, Sign};
use acuse::notify::Topic;
use acuse::plan::SkippedBecause;
use acuse::store::{HeldBy, Origin, OutboxState, Standing};
use acuse::ticket::Outcome;
use acuse::triage::{AckBecause, Flag, PlanBecause, Reason};

const PAGE: &str = "docs/codes.md";

const HEAD: &str = "# Codes

Every word that `acuse` prints in the place of a reason, with its meaning: in `--json`, in the log and in the database.
A code never changes its meaning; new ones may come. This page is made from the types, and `tests/codes.rs` keeps it whole.
";

/// A table of a type's codes.
macro_rules! table {
    ($page:ident, $title:literal, $where:literal, $type:ty) => {
        writeln!($page, "\n## {}\n\n{}\n\n| code | meaning |\n|---|---|", $title, $where).expect("a string");
        for code in <$type>::ALL {
            writeln!($page, "| `{}` | {} |", code.as_str(), code.meaning()).expect("a string");
        }
    };
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    table!(page, "Outcomes", "What became of a mail: exactly one of these (`outcome`).", Outcome);
    table!(page, "Reasons", "Why a mail had its outcome (`reason`).", Reason);
    table!(page, "Acknowledgements", "Why one is sent, or is not (`ack.because`).", AckBecause);
    table!(page, "Plans", "Why a plan applies (`plan.because`).", PlanBecause);
    table!(page, "Flags", "What a person should know about a ticket (`flags`).", Flag);
    table!(page, "Outbox", "Where an acknowledgement stands (`state` of `outbox list`).", OutboxState);
    table!(page, "Held", "Who holds an acknowledgement back (`held_by` of `outbox list`).", HeldBy);
    table!(page, "Notifications", "What a person is told of (`on` of `[[notify]]`).", Topic);
    table!(page, "Mailboxes", "Whether a folder is watched (`state` of `mailbox list`).", Standing);
    table!(
        page,
        "Calendars",
        "Why an event of an iCalendar file is not taken (`because` of `calendar import`).",
        SkippedBecause
    );
    table!(page, "Policies", "What put a policy in force (`policy.by` of `tickets show`).", Origin);
    table!(page, "Automation", "What kind of sender wrote a mail (`automation.kind`).", AutomationKind);
    table!(page, "Signs", "By which sign it was recognised (`automation.because`).", Sign);
    table!(page, "Defects", "What was wrong with a mail (`defects`).", Defect);
    page
}

#[test]
fn the_page_of_codes_is_whole() {
    let (root, expected) = (Path::new(env!("CARGO_MANIFEST_DIR")), page());
    if fs::read_to_string(root.join(PAGE)).is_ok_and(|found| found == expected) {
        return;
    }
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("codes.md");
    fs::write(&made, expected).expect("a file in target/");
    panic!("{PAGE} is out of date; read the difference and then: cp {} {PAGE}", made.display());
}

#[test]
fn words_are_plain_and_meanings_are_sentences() {
    for line in page().lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches(['|', ' ']).splitn(2, " | ").collect();
        let [code, meaning] = cells[..] else { panic!("not two cells: {line}") };
        let word = code.trim_matches('`');
        assert!(word.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{line}");
        assert!(
            meaning.starts_with(|c: char| c.is_uppercase() || c == '`') && meaning.ends_with('.'),
            "{line}"
        );
    }
}
