//! iCalendar files as they are exported, and what the calendar takes of them.

use super::super::ical::{Event, read};
use super::*;

/// A calendar of one event each: the lines within its VEVENT.
fn ics(events: &[&str]) -> String {
    let events = events
        .iter()
        .map(|lines| format!("BEGIN:VEVENT\r\n{}\r\nEND:VEVENT\r\n", lines.replace('\n', "\r\n")));
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{}END:VCALENDAR\r\n", events.collect::<String>())
}

fn events(file: &str) -> Vec<Event> {
    read("file.ics", file.as_bytes()).unwrap_or_else(|problems| panic!("{problems:#?}\n{file}"))
}

fn compared(file: &str, transparent: bool) -> CalendarImport {
    CalendarImport::compare(&events(file), &sound(calendar_with("")), 2026, transparent).unwrap()
}

/// What is added by one event: each day as its date and name, `*` before those of every year.
fn added(lines: &str) -> Vec<String> {
    let days = compared(&ics(&[&format!("SUMMARY:x\n{lines}")]), false).added;
    days.iter().map(|day| format!("{}{}", if day.every_year { "*" } else { "" }, day.date)).collect()
}

/// Why one event is not taken.
fn skipped(lines: &str) -> Vec<&'static str> {
    let import = compared(&ics(&[&format!("SUMMARY:x\n{lines}")]), false);
    assert_eq!(import.added, [], "{lines}");
    import.skipped.iter().map(|skipped| skipped.because.as_str()).collect()
}

/// Each thing wrong with a file as `line: message`.
fn wrong(file: &[u8]) -> Vec<String> {
    let problems = read("file.ics", file).unwrap_err();
    let line = |problem: &Problem| problem.line_and_column().map_or(0, |(line, _)| line);
    assert!(problems.iter().all(|problem| problem.hint.is_some()), "{problems:#?}");
    problems.iter().map(|problem| format!("{}: {}", line(problem), problem.message)).collect()
}

#[test]
fn an_event_of_whole_days_closes_them_and_its_end_is_the_day_after() {
    assert_eq!(added("DTSTART;VALUE=DATE:20261224"), ["2026-12-24"]);
    assert_eq!(added("DTSTART:20261224\nDTEND:20261224"), ["2026-12-24"], "an end that some programs write");
    assert_eq!(
        added("DTSTART;VALUE=DATE:20261228\nDTEND;VALUE=DATE:20261231"),
        ["2026-12-28", "2026-12-29", "2026-12-30"]
    );
    assert_eq!(added("DTSTART;VALUE=DATE:20261228\nDURATION:P2D"), ["2026-12-28", "2026-12-29"]);
    assert_eq!(added("DTSTART;VALUE=DATE:20270201\nDURATION:P1W").len(), 7);
    assert_eq!(added("DTSTART;VALUE=DATE:20261228\nRDATE;VALUE=DATE:20270104,20270105").len(), 3);
}

#[test]
fn what_recurs_every_year_for_ever_is_a_rule_and_the_rest_is_written_date_by_date() {
    assert_eq!(added("DTSTART:20261224\nRRULE:FREQ=YEARLY"), ["*2026-12-24"]);
    assert_eq!(
        added("DTSTART:19991224\nRRULE:FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24;WKST=SU"),
        ["*1999-12-24"]
    );
    assert_eq!(
        added("DTSTART:20261231\nDTEND:20270103\nRRULE:FREQ=YEARLY;INTERVAL=1"),
        ["*2026-12-31", "*2027-01-02"],
        "New Year's Day is there"
    );
    assert_eq!(added("DTSTART:20240229\nRRULE:FREQ=YEARLY"), ["*2024-02-29"]);
    assert_eq!(
        added("DTSTART:20261224\nRRULE:FREQ=YEARLY;COUNT=3"),
        ["2026-12-24", "2027-12-24", "2028-12-24"]
    );
    assert_eq!(added("DTSTART:20241224\nRRULE:FREQ=YEARLY;COUNT=3"), ["2026-12-24"], "those before count");
    assert_eq!(
        added("DTSTART:20261224\nRRULE:FREQ=YEARLY;INTERVAL=2;UNTIL=20301224"),
        ["2026-12-24", "2028-12-24", "2030-12-24"]
    );
    assert_eq!(
        added("DTSTART:20261224\nRRULE:FREQ=YEARLY;UNTIL=20281224T045959Z\nEXDATE;VALUE=DATE:20271224"),
        ["2026-12-24", "2028-12-24"]
    );
    // a day of the 29th of February has no date of every year behind it
    assert_eq!(
        added("DTSTART:20270227\nDURATION:P3D\nRRULE:FREQ=YEARLY;COUNT=2"),
        ["2027-02-27", "2027-02-28", "2027-03-01", "2028-02-27", "2028-02-28", "2028-02-29"]
    );
    let file = ics(&["SUMMARY:Inventario\nDTSTART:20260227\nDURATION:P3D\nRRULE:FREQ=YEARLY"]);
    let import = compared(&file, false);
    assert_eq!((import.added.len(), import.cut), (30, vec![(3, "Inventario".to_owned())]));
}

#[test]
fn an_instance_that_was_moved_or_cancelled_leaves_its_date() {
    let file = ics(&[
        "UID:a\nSUMMARY:Aniversario\nDTSTART:20260915\nRRULE:FREQ=YEARLY;COUNT=3",
        "UID:a\nSUMMARY:Aniversario\nRECURRENCE-ID:20270915\nDTSTART:20270917",
        "UID:a\nSUMMARY:Aniversario\nRECURRENCE-ID:20280915\nDTSTART:20280915\nSTATUS:CANCELLED",
    ]);
    let import = compared(&file, false);
    let dates: Vec<String> = import.added.iter().map(|day| day.date.to_string()).collect();
    assert_eq!(dates, ["2026-09-15", "2027-09-17"]);
    assert_eq!(import.skipped[0].because, SkippedBecause::Cancelled);
}

#[test]
fn what_cannot_be_a_holiday_is_named_with_its_reason() {
    assert_eq!(skipped("DTSTART:20261224\nSTATUS:CANCELLED"), ["cancelled"]);
    assert_eq!(skipped("DTSTART;TZID=America/Bogota:20261224T120000\nDTEND:20261224T180000"), ["timed"]);
    assert_eq!(skipped("DTSTART:20261224T170000Z"), ["timed"]);
    for rule in [
        "FREQ=WEEKLY",
        "FREQ=YEARLY;BYMONTH=11;BYDAY=4TH",
        "FREQ=YEARLY;BYMONTHDAY=24",
        "FREQ=YEARLY;BYMONTH=11",
        "FREQ=YEARLY;INTERVAL=0",
        "FREQ=YEARLY;COUNT=-1",
        "INTERVAL=2",
        "nonsense",
        "FREQ=YEARLY\nRRULE:FREQ=YEARLY",
    ] {
        assert_eq!(skipped(&format!("DTSTART:20261224\nRRULE:{rule}")), ["recurrence"], "{rule}");
    }
    assert_eq!(skipped("DTSTART:20261224\nRDATE;VALUE=PERIOD:20270101T000000Z/PT1H"), ["recurrence"]);
    assert_eq!(skipped("DTSTART:20261224\nRECURRENCE-ID;RANGE=THISANDFUTURE:20261223"), ["recurrence"]);
    assert_eq!(skipped("DTSTART:20261224\nDTEND:20290101"), ["too_long"]);
    assert_eq!(skipped("DTSTART:20251231"), ["outside"]);
    assert_eq!(skipped("DTSTART:20360101\nRRULE:FREQ=YEARLY"), ["outside"]);
    assert_eq!(skipped("DTSTART:20260915\nTRANSP:TRANSPARENT"), ["transparent"]);
    assert_eq!(skipped("DTSTART:20251231\nTRANSP:TRANSPARENT"), ["outside"], "--transparent would not help");
    let nameless = compared(&ics(&["DTSTART:20261224"]), false);
    assert_eq!(nameless.skipped[0].because, SkippedBecause::Nameless);
    let cancelled = compared(&ics(&["SUMMARY:Navidad\nDTSTART:20261225\nSTATUS:CANCELLED"]), false);
    assert!(cancelled.skipped[0].is_still_kept);
}

#[test]
fn free_days_are_taken_when_asked_for_and_known_ones_are_known_in_any_case() {
    let file = ics(&[
        "SUMMARY:Christmas Day\nDTSTART;VALUE=DATE:20261225\nTRANSP:TRANSPARENT",
        "SUMMARY:Cierre\nDTSTART;VALUE=DATE:20261228\nDTEND;VALUE=DATE:20261230\nTRANSP:TRANSPARENT",
    ]);
    let without = compared(&file, false);
    assert_eq!((without.added.len(), without.known.len(), without.skipped.len()), (0, 1, 2));
    let with = compared(&file, true);
    assert_eq!((with.added.len(), with.known.len(), with.skipped.len()), (2, 1, 0));
}

#[test]
fn what_the_calendar_decides_already_is_not_added() {
    let calendar = sound(calendar_with("[exceptions]\n2026-12-24 = [\"08:00-12:00\"]\n2026-12-31 = []\n"));
    let file = ics(&[
        "SUMMARY:Noël\nDTSTART:20261225\nRRULE:FREQ=YEARLY",
        "SUMMARY:Reyes\nDTSTART:20270106\nRRULE:FREQ=YEARLY", // kept on Mondays: the 6th is none in most years
        "SUMMARY:Nochebuena\nDTSTART:20261224",
        "SUMMARY:Fin de año\nDTSTART:20261231",
        "SUMMARY:Domingo\nDTSTART:20261227",
        "SUMMARY:Otra vez\nDTSTART:20280106",
    ]);
    let import = CalendarImport::compare(&events(&file), &calendar, 2026, false).unwrap();
    let known: Vec<(&str, &Known)> =
        import.known.iter().map(|(day, known)| (day.name.as_str(), known)).collect();
    let law = Some("Ley 51 de 1983, art. 1".to_owned());
    let half = Interval::parse("08:00-12:00").unwrap();
    assert_eq!(
        known,
        [
            ("Nochebuena", &Known::Exception(vec![half])),
            ("Noël", &Known::Holiday("Navidad".to_owned(), law)),
            ("Fin de año", &Known::Exception(vec![])),
            ("Otra vez", &Known::SameFile(8)),
        ]
    );
    let added: Vec<(&str, bool)> = import.added.iter().map(|day| (day.name.as_str(), day.is_idle)).collect();
    assert_eq!(added, [("Domingo", true), ("Reyes", false)]);
}

#[test]
fn lines_are_unfolded_unescaped_and_read_whatever_their_ends() {
    let summary = "SUMMARY;LANGUAGE=es;X-NOTE=\"a:b;c\":Cierre\\, a\u{f1}o\\; \\\\ y\\nm\u{e1}s";
    let plain = ics(&[&format!(
        "{summary}\nDTSTART;VALUE=DATE:20261224\nBEGIN:VALARM\nSUMMARY:no\nDURATION:P9D\nEND:VALARM"
    )]);
    let expected = "Cierre, a\u{f1}o; \\ y\nm\u{e1}s";
    let lf = plain.replace("\r\n", "\n");
    let bom = format!("\u{feff}{plain}\r\n\r\n");
    for file in [&plain, &lf, &bom, &plain.to_lowercase().replace("cierre", "Cierre")] {
        let [event] = &events(file)[..] else { panic!("{file}") };
        assert_eq!((event.name.as_str(), event.length), (expected, 1), "{file}");
    }
    // a fold after every byte, within characters too
    let folded: Vec<u8> = plain
        .split_inclusive("\r\n")
        .flat_map(|line| {
            let bytes = line.trim_end().as_bytes();
            let folded = bytes.iter().flat_map(|byte| [*byte, b'\r', b'\n', b' ']);
            folded.take(bytes.len() * 4 - 3).chain(*b"\r\n").collect::<Vec<u8>>()
        })
        .collect();
    assert_eq!(read("file.ics", &folded).unwrap()[0].name, expected);
}

#[test]
fn a_wrong_line_is_named_and_then_nothing_is_read() {
    let file = ics(&[
        "SUMMARY:a\nDTSTART;VALUE=DATE:20260229",
        "SUMMARY:b",
        "SUMMARY:c\nDTSTART:20261224\nDTEND:20261223",
        "SUMMARY:d\nDTSTART:20261224\nDURATION:PT24H",
        "SUMMARY:e\nDTSTART:20261224T250000",
        "SUMMARY:f\nDTSTART:20261224\nEXDATE:mañana",
        "sin dos puntos\nDTSTART:20261224",
    ]);
    assert_eq!(
        wrong(file.as_bytes()),
        [
            "5: this is neither a date nor a time",
            "7: this event has no DTSTART",
            "13: an event of whole days ends with a day after its first, or lasts whole days",
            "18: an event of whole days ends with a day after its first, or lasts whole days",
            "22: this is neither a date nor a time",
            "27: this is neither a date nor a time",
            "30: this is no line of iCalendar",
        ]
    );
    let no_calendar = "1: this is no iCalendar file: one begins with BEGIN:VCALENDAR";
    for file in ["<html>", "BEGIN:VCARD\nEND:VCARD\n", "PK\u{3}\u{4}", "END:VCALENDAR", "\u{feff}key,plan\n"]
    {
        assert_eq!(wrong(file.as_bytes()), [no_calendar], "{file}");
    }
    assert_eq!(wrong(b"\xff\xfe"), [no_calendar]);
    assert_eq!(wrong(b""), [no_calendar.replacen('1', "0", 1)], "without a line there is no place");
    let whole = ics(&["SUMMARY:x\nDTSTART:20261224"]);
    let cut = whole.strip_suffix("END:VEVENT\r\nEND:VCALENDAR\r\n").unwrap();
    assert_eq!(wrong(cut.as_bytes()), ["3: this never ends: the file is not whole"]);
    let crossed = whole.replacen("END:VEVENT\r\n", "", 1);
    assert_eq!(wrong(crossed.as_bytes()), ["6: this ends what has not begun, or not what began last"]);
    assert_eq!(
        wrong(&whole.replace("SUMMARY:x", "SUMMARY:\u{e9}").chars().map(|c| c as u8).collect::<Vec<_>>()),
        ["4: this is not UTF-8"]
    );
}

#[test]
fn a_hostile_file_ends_soon() {
    let year = "SUMMARY:x\nDTSTART:00010101\nDURATION:P366D\nRRULE:FREQ=YEARLY;COUNT=9999";
    let many = events(&ics(&[year; 4]));
    let refused = CalendarImport::compare(&many, &sound(calendar_with("")), 2026, true);
    assert_eq!(refused.unwrap_err(), TooManyDays(15), "the third year after year is one too many");
    assert_eq!(skipped("DTSTART:20261224\nDURATION:P65535D\nRRULE:FREQ=YEARLY;INTERVAL=65535"), ["too_long"]);
    assert_eq!(added("DTSTART:20261224\nRRULE:FREQ=YEARLY;INTERVAL=65535;COUNT=99999999"), ["2026-12-24"]);
    assert_eq!(skipped("DTSTART:99991231\nDURATION:P3D\nRRULE:FREQ=YEARLY"), ["outside"]);
}

#[test]
fn imported_days_close_without_being_named_and_a_second_import_adds_nothing() {
    let file = ics(&[
        "SUMMARY:Cierre \"largo\"\nDTSTART:20261228\nDTEND:20261231",
        "SUMMARY:Aniversario\nDTSTART:20260915\nRRULE:FREQ=YEARLY",
    ]);
    let written: String = compared(&file, false).added.iter().map(ClosingDay::to_toml).collect();
    let with = |local: &str| {
        let mut problems = Vec::new();
        let local = source("calendar.toml", &format!("confirmed = true\n{local}"));
        let mut files = PlanFiles { local_calendar: Some(local), ..shipped() };
        files.holidays.insert(0, source("/etc/acuse/rules/holidays-imported.toml", &written));
        (Calendar::compile(&files, &mut problems), problems)
    };
    let calendar = sound(with(""));
    assert_eq!(calendar.holiday_on(date(2026, 12, 29)), Some("Cierre \"largo\""));
    assert_eq!(calendar.holiday_on(date(2040, 9, 15)), Some("Aniversario"));
    assert_eq!(calendar.holiday_on(date(2025, 9, 15)), None);
    let again = CalendarImport::compare(&events(&file), &calendar, 2026, false).unwrap();
    assert_eq!((again.added.len(), again.known.len()), (0, 4));

    let named = sound(with("holidays = [\"holidays-imported.toml\", \"holidays-co.toml\"]"));
    assert_eq!(named.holidays.len(), calendar.holidays.len(), "a name reads it once");
    let (alone, problems) = with("holidays = []");
    let alone = alone.unwrap();
    assert!(problems[0].message.starts_with("no single holiday is listed after"), "{problems:#?}");
    assert_eq!((alone.holidays.len(), alone.holiday_on(date(2026, 12, 25))), (4, None));
}
