//! The `acuse` command as operators and other programs meet it: what it prints, refuses, and how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use support::acuse::{Site, SiteBuilder};

mod support;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// A Wednesday within business hours.
const NOW: &str = "2026-09-16T09:15:00-05:00";

const USAGE: i32 = 64;
const DATABASE: i32 = 65;
const IO: i32 = 74;
const TRY_AGAIN: i32 = 75;
const CONFIG: i32 = 78;

/// `acuse args`, without any site, in the crate's directory.
fn acuse(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_acuse"))
        .args(args)
        .current_dir(ROOT)
        .env_clear()
        .output()
        .expect("acuse runs")
}

#[track_caller]
fn text(args: &[&str]) -> String {
    printed(&acuse(args), args)
}

#[track_caller]
fn json(args: &[&str]) -> Value {
    let text = text(&[args, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("acuse {args:?}: {error} in {text}"))
}

#[track_caller]
fn printed(output: &Output, args: &[&str]) -> String {
    assert!(output.status.success(), "acuse {args:?}: {}\n{}", output.status, said(output));
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// What it wrote to stderr.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// It ended with this code, and said all of this.
#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "no `{word}` in:\n{said}");
    }
}

/// A site whose servers nobody asks: no test here starts the daemon.
fn builder() -> SiteBuilder {
    let nobody: SocketAddr = "127.0.0.1:9".parse().expect("an address");
    Site::builder(nobody, nobody)
}

/// `acuse ingest args` on a site, with a mail on standard input.
fn ingest(site: &Site, args: &[&str], raw: &[u8]) -> Output {
    let mut command = site.command(&[&["ingest"], args].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("acuse runs");
    let _ = child.stdin.take().expect("a pipe").write_all(raw); // it may end before it reads
    child.wait_with_output().expect("acuse ends")
}

#[track_caller]
fn ingested(site: &Site, fixture: &str) -> Value {
    let output = ingest(site, &["--json", "--now", NOW], &support::fixture(fixture));
    serde_json::from_str(&printed(&output, &["ingest"])).expect("JSON")
}

#[track_caller]
fn has_keys(value: &Value, keys: &[&str]) {
    let found: BTreeSet<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    let missing: Vec<_> = keys.iter().filter(|key| !found.contains(**key)).collect();
    assert!(missing.is_empty(), "no {missing:?} in {value:#}");
}

// ── without configuration ─────────────────────────────────────────────────────────────────────────────────

const MESSAGE_KEYS: [&str; 17] = [
    "message_id",
    "in_reply_to",
    "references",
    "from",
    "reply_to",
    "to",
    "cc",
    "subject",
    "date",
    "text",
    "own_text",
    "language",
    "automation",
    "bounce",
    "attachments",
    "defects",
    "file",
];

#[test]
fn explain_shows_the_decision_and_why() {
    let page = text(&["explain", "--text", "se cayó mi página", "--now", NOW]);
    for words in [
        "high (alto)",
        "«se cayó» mi página",
        "n1",
        "due by 2026-09-16 10:15",
        "open (new_mail)",
        "yes, in Spanish",
    ] {
        assert!(page.contains(words), "no `{words}` in:\n{page}");
    }
    assert!(!page.contains('\x1b'), "a pipe gets no colours");
}

#[test]
fn explain_speaks_json() {
    let decision = json(&["explain", "--text", "se cayó mi página", "--now", NOW]);
    has_keys(&decision, &["message", "action", "reason", "verdict", "impact", "plan", "promise", "ack"]);
    has_keys(&decision["message"], &MESSAGE_KEYS[..16]);
    has_keys(&decision["verdict"], &["impact", "rule", "case", "matches", "set_aside"]);
    has_keys(&decision["promise"], &["words", "received", "clock_starts", "due_by", "strict", "mailed_at"]);
    assert_eq!(decision["action"], "open");
    assert_eq!(decision["impact"], "high");
    assert_eq!(decision["plan"], json!({ "id": "n1", "because": "default" }));
    assert_eq!(decision["promise"]["due_by"], "2026-09-16T10:15:00-05:00");
    assert_eq!(decision["ack"], json!({ "send": true, "because": "new_case", "language": "es" }));
    let found = &decision["verdict"]["matches"][0];
    has_keys(found, &["rule", "impact", "phrase", "field", "text", "start", "end"]);
    let own: Vec<char> = decision["message"]["own_text"].as_str().unwrap().chars().collect();
    let (start, end) = (found["start"].as_u64().unwrap() as usize, found["end"].as_u64().unwrap() as usize);
    assert_eq!(own[start..end].iter().collect::<String>(), found["text"].as_str().unwrap());
}

#[test]
fn explain_says_of_whom_it_did_not_ask_the_directory() {
    let file = "fixtures/mail/outage-es.eml";
    let page = text(&["explain", file, "--now", NOW]);
    assert!(page.contains("The directory was not asked") && page.contains("--config"), "{page}");
    let page = text(&["explain", "--text", "hola", "--now", NOW]);
    assert!(page.contains("Words have no sender"), "{page}");
    assert!(text(&["explain", file, "--plan", "n3", "--now", NOW]).contains("Named on the command line."));

    let site = builder().init();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mail/outage-es.eml");
    let page = site.text(&["explain", file, "--now", NOW]);
    assert!(page.contains("Nobody knows the address"), "{page}");
    let from = site.json(&["explain", file])["message"]["from"]["address"].as_str().unwrap().to_owned();
    site.text(&["customers", "set", &from, "--plan", "n3"]);
    let page = site.text(&["explain", file, "--now", NOW]);
    assert!(page.contains("n3, Nivel 3 (Premium). The customer directory has a row"), "{page}");
}

#[test]
fn explain_knows_plans_files_and_that_nothing_matches() {
    let premium =
        json(&["explain", "--text", "necesito un reporte", "--plan", "n3", "--at", "2026-09-20T23:00"]);
    assert_eq!(premium["plan"], json!({ "id": "n3", "because": "command_line" }));
    assert_eq!(
        (&premium["promise"]["due_by"], &premium["promise"]["strict"]),
        (&json!("2026-09-21T00:00:00-05:00"), &json!(true))
    );
    refused(
        &acuse(&["explain", "--text", "hola", "--plan", "n9"]),
        USAGE,
        &["there is no plan `n9`", "hint: the plans are n1, n2, n3"],
    );
    let file = json(&["explain", "fixtures/mail/outage-es.eml", "--now", NOW]);
    has_keys(&file["message"], &MESSAGE_KEYS);
    assert_eq!(file["message"]["file"], "fixtures/mail/outage-es.eml");
    let nothing = json(&["explain", "--text", "lorem ipsum dolor", "--now", NOW]);
    assert_eq!(nothing["verdict"]["impact"], Value::Null);
    assert_eq!((&nothing["impact"], &nothing["flags"]), (&json!("medium"), &json!(["unclassified"])));
    refused(&acuse(&["explain", "no-such-file"]), USAGE, &["neither a file nor a ticket", "hint: "]);
}

#[test]
fn now_makes_output_repeatable_in_any_zone() {
    let run = |zone: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_acuse"));
        command
            .args(["explain", "--text", "no puedo entrar al cpanel", "--now", "2026-09-16T17:30"])
            .env_clear();
        let output = command.env("TZ", zone).output().expect("acuse runs");
        printed(&output, &["explain"])
    };
    assert_eq!(run("America/Bogota"), run("Asia/Kathmandu"));
    assert!(run("UTC").contains("received 2026-09-16 17:30"));
    refused(
        &acuse(&["explain", "--text", "hola", "--now", "ayer"]),
        USAGE,
        &["`ayer` is no time", "hint: write it as"],
    );
}

#[test]
fn inspect_prints_a_line_of_json_for_each_file() {
    let files = [
        "fixtures/mail/outage-es.eml",
        "fixtures/mail/bounce-mailbox-unknown.eml",
        "fixtures/mail/vacation-es.eml",
    ];
    let printed = text(&[&["inspect", "--json"], &files[..]].concat());
    let rows: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(rows.iter().map(|row| row["file"].as_str().unwrap()).collect::<Vec<_>>(), files);
    rows.iter().for_each(|row| has_keys(row, &MESSAGE_KEYS));
    has_keys(&rows[0]["from"], &["name", "address"]);
    assert_eq!(rows[0]["from"]["name"], "María Pérez");
    assert_eq!(rows[0]["message_id"], "b7d1c2f0-20260916@laespiga.example");
    has_keys(&rows[1]["bounce"], &["recipients", "original_message_id"]);
    has_keys(&rows[1]["bounce"]["recipients"][0], &["recipient", "status", "action", "permanent"]);
    let kinds: Vec<_> = rows.iter().map(|row| row["automation"]["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["none", "bounce", "auto_reply"]);
    refused(&acuse(&["inspect", "no-such-file"]), 74, &["cannot read no-such-file"]);
}

#[test]
fn inspect_shows_a_page_and_saves_what_hangs_on_the_mail() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mail.eml");
    let raw = "From: Ana <ana@cliente.example>\r\nSubject: Re: Factura\r\nIn-Reply-To: <1@b.example>\r\n\
        Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nAdjunto la factura.\r\n\r\n\
        El lun, 2 nov 2026 a las 10:00, Soporte <s@b.example> escribi\u{f3}:\r\n> Env\u{ed}ela.\r\n\
        --x\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\
        Content-Disposition: attachment; filename=\"../../.factura.pdf\"\r\n\r\nJVBERi0xLjQK\r\n--x--\r\n";
    fs::write(&file, raw).unwrap();
    let saved_to = directory.path().join("made/for it");
    let (file, dir) = (file.to_str().unwrap(), saved_to.to_str().unwrap());
    let page = text(&["inspect", file, file, "--save-attachments", dir]);
    for line in
        ["From        Ana <ana@cliente.example>", "Written by  a person", "Adjunto la factura.", "--raw-text"]
    {
        assert!(page.contains(line), "{line} in {page}");
    }
    assert!(!page.contains("Env\u{ed}ela"), "{page}");
    assert!(text(&["inspect", file, "--raw-text"]).contains("> Env\u{ed}ela."));
    for saved in ["001_factura.pdf", "002_factura.pdf"] {
        assert_eq!(fs::read(saved_to.join(saved)).unwrap(), b"%PDF-1.4\n", "numbered across the mails");
    }
    assert_eq!(fs::metadata(&saved_to).unwrap().permissions().mode() & 0o777, 0o700);
    let again = acuse(&["inspect", file, "--save-attachments", dir]);
    assert!(String::from_utf8_lossy(&again.stdout).contains("Adjunto la factura."), "the page all the same");
    refused(&again, 74, &["cannot write", "001_factura.pdf", "hint: name an empty directory"]);
}

#[test]
fn a_hostile_subject_moves_no_cursor() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mail.eml");
    let raw = "From: =?utf-8?q?a=1B[2J?= <a@b.example>\r\nSubject: =?utf-8?q?x=0D=0A=1B]0;y=07=E2=80=AE?=\r\n\r\n\x1b[31mhola\u{202e}\r\n";
    fs::write(&file, raw).unwrap();
    let file = file.to_str().unwrap();
    for page in [
        text(&["inspect", file]),
        text(&["explain", file, "--now", NOW]),
        text(&["explain", "--text", "\x1b[31m se cayó \x07", "--now", NOW]),
    ] {
        let bad =
            page.chars().find(|c| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c));
        assert_eq!(bad, None, "{page:?}");
    }
}

#[test]
fn the_calendar_of_a_year_is_shown_with_what_it_adds_up_to() {
    let year = json(&["calendar", "show", "--year", "2026"]);
    assert_eq!((&year["zone"], &year["week_s"]), (&"America/Bogota".into(), &(54 * 3600).into()));
    assert_eq!(year["hours"]["saturday"], serde_json::json!(["09:00-13:00"]));
    let holidays = year["holidays"].as_array().unwrap();
    assert_eq!(holidays.len(), 19);
    let chiquinquira = holidays.iter().find(|holiday| holiday["date"] == "2026-07-13").unwrap();
    assert_eq!(chiquinquira["law"], "Ley 2578 de 2026, art. 6");
    // 365 days less 52 Sundays and 19 holidays, none of which is on a Sunday in 2026
    assert_eq!(year["working_days"], 365 - 52 - 19);
    assert_eq!(year["working_s"], (294 * 10 - 52 * 6) * 3600);
    let page = text(&["calendar", "show", "--year", "2026"]);
    assert!(page.contains("2026-04-03  Friday    Viernes Santo"), "{page}");
    assert!(page.ends_with("294 working days, 2628 h in all\n"), "{page}");
    let this = text(&["calendar", "show", "--now", "2025-06-01T00:00:00"]);
    assert!(this.starts_with("2025, in America/Bogota"), "{this}");
    refused(&acuse(&["calendar", "show", "--year", "0"]), 64, &["0 is no year", "such as 2026"]);
}

#[test]
fn an_icalendar_file_closes_its_days_and_changes_nothing_that_is_there() {
    let site = builder().write();
    let file = format!("{ROOT}/fixtures/calendar/cierres.ics");
    let imported = site.directory().join("rules/holidays-imported.toml");
    let import = |options: &[&str]| {
        site.acuse(&[&["calendar", "import", &file, "--now", "2026-11-23T09:00:00"], options].concat())
    };
    let dry = import(&["--dry-run"]);
    let page = printed(&dry, &["calendar", "import"]);
    for line in [
        "+ 2019-09-15  and every year  Aniversario de MiHost",
        "+ 2026-12-30  Wednesday  Cierre de fin de año, con guardia para fallas de impacto alto y sin atención telefónica",
        "+ 2027-01-03  Sunday     Inventario (closed on every Sunday anyway)",
        "= 2026-12-25  Friday     Navidad: is Navidad (Ley 51 de 1983, art. 1)",
        "  2026-12-24  Thursday   Tarde libre (line 49)",
        "  2027-03-01  Monday     Mudanza (line 55)",
        "  2026-11-27  Friday     Jornada de equipo (line 61)",
        "  2027-02-15  Monday     Día de la familia (line 42)",
        "8 events: 5 days added, 1 day already there, 4 not taken",
    ] {
        assert!(page.lines().any(|printed| printed == line), "no `{line}` in:\n{page}");
    }
    for told in ["nothing is written yet", "1 day is marked free", "--transparent takes them"] {
        assert!(said(&dry).contains(told), "no `{told}` in:\n{}", said(&dry));
    }
    assert!(!imported.exists(), "--dry-run wrote a file");

    assert!(printed(&import(&[]), &["import"]).ends_with("`acuse reload` puts it in force\n"));
    assert_eq!(fs::metadata(&imported).unwrap().permissions().mode() & 0o777, 0o644);
    assert!(site.text(&["check"]).contains("good: "));
    let year = site.json(&["calendar", "show", "--year", "2026"]);
    let mut names =
        year["holidays"].as_array().unwrap().iter().map(|holiday| holiday["name"].as_str().unwrap());
    assert!(names.any(|name| name == "Aniversario de MiHost"), "{year}");
    let due = ["sla", "explain", "--plan", "n2", "--impact", "medium", "--at", "2026-12-26T12:30:00"];
    assert_eq!(
        site.json(&due)["due_by"],
        "2026-12-31T10:30:00-05:00",
        "half an hour of Saturday, then Thursday"
    );

    // what a person writes into the file stays, and a second import adds only what is new
    let commented = fs::read_to_string(&imported).unwrap().replace("Inventario", "Conteo") + "# nuestro\n";
    fs::write(&imported, &commented).unwrap();
    let again: Value = serde_json::from_slice(&import(&["--json", "--transparent"]).stdout).unwrap();
    has_keys(&again, &["written", "added", "known", "skipped", "cut"]);
    has_keys(&again["known"][0], &["date", "every_year", "name", "line", "by"]);
    has_keys(&again["known"][0]["by"], &["holiday", "law", "exception", "same_file"]);
    has_keys(&again["skipped"][0], &["date", "name", "line", "because", "still_kept"]);
    assert_eq!(again["written"], true);
    assert_eq!(again["added"].as_array().unwrap().len(), 1);
    assert_eq!(again["added"][0]["date"], "2027-02-15");
    let now = fs::read_to_string(&imported).unwrap();
    assert!(now.starts_with(&commented) && now.contains("Día de la familia"), "{now}");
    assert_eq!(import(&["--transparent"]).status.code(), Some(0));
    assert_eq!(fs::read_to_string(&imported).unwrap(), now, "the third import has nothing to add");
}

#[test]
fn an_icalendar_file_that_cannot_be_used_writes_nothing_and_says_where() {
    let site = builder().write();
    let import = |text: &str| {
        fs::write(site.directory().join("x.ics"), text).unwrap();
        let file = site.directory().join("x.ics");
        site.acuse(&["calendar", "import", file.to_str().unwrap(), "--now", NOW])
    };
    let event = |lines: &str| {
        format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:x\n{lines}\nEND:VEVENT\nEND:VCALENDAR\n")
    };
    let wrong = ["x.ics:4:1", "DTSTART:20260230", "^^^^", "write 20261224 for a day", "1 line is wrong"];
    refused(&import(&event("DTSTART:20260230")), USAGE, &wrong);
    refused(&import("<!doctype html>"), USAGE, &["no iCalendar file", "export the calendar as iCalendar"]);
    refused(&import(&"x".repeat((8 << 20) + 1)), USAGE, &["more than 8 MiB"]);
    // a calendar by which nobody would work any more would be refused by `reload`, and is by the import
    let closed = event("DTSTART:20270101\nDURATION:P365D");
    refused(&import(&closed), CONFIG, &["every business day of 2027 is a holiday"]);
    assert!(!site.directory().join("rules/holidays-imported.toml").exists());
    let hostile = import(&event("DTSTART:20261228").replace("SUMMARY:x", "SUMMARY:a\x1b[2Jb\u{202e}c"));
    let page = printed(&hostile, &["import"]);
    assert!(page.contains("+ 2026-12-28  Monday     a[2Jbc\n"), "{page:?}");
    fs::remove_dir_all(site.directory().join("rules")).unwrap();
    refused(&import(&event("DTSTART:20261228")), CONFIG, &["there is no directory", "local_dir"]);
}

#[test]
fn the_table_has_every_promise_of_the_manual() {
    let table = json(&["sla", "table", "--at", "2026-09-16T17:15:00"]);
    let cells = table.as_array().unwrap();
    assert_eq!(cells.len(), 9);
    for cell in cells {
        let (plan, impact) = (cell["plan"].as_str().unwrap(), cell["impact"].as_str().unwrap());
        let at = ["--at", "2026-09-16T17:15:00"];
        let alone = json(&["sla", "explain", "--plan", plan, "--impact", impact, at[0], at[1]]);
        assert_eq!(
            (&cell["due_by"], &cell["strict"]),
            (&alone["due_by"], &alone["strict"]),
            "{plan} {impact}"
        );
    }
    let page = text(&["sla", "table", "--at", "2026-09-16T17:15:00"]);
    assert!(page.contains("entre 2 y 3 horas hábiles") && page.contains("before 2026-09-16 18:15"), "{page}");
}

#[test]
fn sla_explain_counts_in_the_open() {
    let sla = ["sla", "explain", "--plan", "n2", "--impact", "medium", "--at", "2026-09-16T17:15"];
    let promise = json(&sla);
    has_keys(
        &promise,
        &["plan", "impact", "received", "clock_starts", "expected_from", "due_by", "strict", "segments"],
    );
    let segments = promise["segments"].as_array().unwrap();
    segments.iter().for_each(|segment| has_keys(segment, &["from", "to", "counted_s", "why"]));
    let counted: u64 = segments.iter().map(|segment| segment["counted_s"].as_u64().unwrap()).sum();
    assert_eq!(counted, 3 * 3600);
    assert_eq!(promise["due_by"], segments.last().unwrap()["to"]);
    let page = text(&[&sla[..6], &["--at", "2026-09-16T17:15:07"]].concat());
    for line in [
        "window        2h to 3h, business hours\n",
        "received      Wed 2026-09-16 17:15:07 -05:00 (America/Bogota)\n",
        "  Wed 2026-09-16 17:15:07 → Wed 2026-09-16 18:00:00    44m 53s    44m 53s  business hours\n",
        "  Wed 2026-09-16 18:00:00 → Thu 2026-09-17 08:00:00         0s    44m 53s  closed\n",
        " → Thu 2026-09-17 10:15:07  2h 15m 7s         3h  business hours\n",
        "due from      Thu 2026-09-17 09:15:07\n",
        "due by        Thu 2026-09-17 10:15:07 -05:00\n",
    ] {
        assert!(page.contains(line), "{line} in\n{page}");
    }
    refused(
        &acuse(&["sla", "explain", "--plan", "n1", "--impact", "huge"]),
        USAGE,
        &["`huge` is not an impact"],
    );
}

#[test]
fn every_text_that_customers_read_can_be_looked_at() {
    let site = builder().init();
    for (args, says) in [
        (&["--lang", "en"][..], "We have received your message and opened case"),
        (&["--kind", "unclassified"], "Lo entendimos así: aún por revisar"),
        (&["--kind", "late", "--impact", "high"], "Respuesta de un asesor: cuanto antes."),
        (&["--kind", "raised", "--lang", "en"], "Your new message makes case"),
        (&["--kind", "reopened"], "Recibimos su nuevo mensaje y abrimos otra vez"),
        (&["--at", "2026-09-16T22:40:00-05:00"], "Su mensaje llegó fuera del horario hábil"),
        (&["--at", "2026-07-13T10:00:00-05:00"], "El lunes 13 de julio es festivo"),
        (&["--unknown-sender"], "No encontramos esta dirección entre las de nuestros clientes"),
    ] {
        let (text, html) = previewed(&site, args);
        let visible = html.replace("</th><td style=\"padding:.2em 0\">", ": ").replace("&nbsp;", " ");
        for part in [text, visible] {
            let flat = part.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(flat.contains(says), "{says} in {flat}");
        }
    }
    let nowhere = site.directory().join("no/such/ack.html");
    refused(
        &site.acuse(&["ack", "preview", "--html", nowhere.to_str().unwrap()]),
        74,
        &["cannot write", "no/such/ack.html", "hint: "],
    );
}

#[test]
fn who_asks_beyond_the_listed_holidays_is_told() {
    let site = builder().init();
    let local = |name: &str, text: &str| fs::write(site.directory().join("rules").join(name), text).unwrap();
    local("calendar.toml", "holidays = [\"holidays-mx.toml\"]\n");
    local(
        "holidays-mx.toml",
        "[[holiday]]\nname = \"Navidad\"\ndate = \"12-25\"\n[[holiday]]\nname = \"Feria\"\ndate = \"2026-05-15\"\n",
    );
    let told = |args: &[&str]| String::from_utf8(site.acuse(args).stderr).unwrap();
    let sla = |plan, at| ["sla", "explain", "--plan", plan, "--impact", "low", "--at", at];
    for args in [&["calendar", "show", "--year", "2027"][..], &sla("n1", "2027-01-04T09:00")] {
        assert!(
            told(args).contains("no single holiday is listed after 2026-05-15, and this is 2027"),
            "{}",
            told(args)
        );
    }
    for args in [
        &["calendar", "show", "--year", "2026"][..],
        &sla("n1", "2026-06-01T09:00"),
        &sla("n3", "2027-01-04T09:00"),
    ] {
        assert_eq!(told(args), "");
    }
    assert_eq!(site.json(&["calendar", "show", "--year", "2026"])["listed_until"], "2026-05-15");
}

/// The text that `acuse ack preview` prints, and the HTML part that it writes.
fn previewed(site: &Site, args: &[&str]) -> (String, String) {
    let file = site.directory().join("ack.html");
    let args = [&["ack", "preview", "--html", file.to_str().unwrap(), "--now", NOW], args].concat();
    let text = site.text(&args);
    (text, std::fs::read_to_string(file).unwrap())
}

#[test]
fn ack_preview_has_three_forms() {
    let of_plan = ["ack", "preview", "--plan", "n3", "--impact", "high", "--lang", "en", "--now", NOW];
    let plain = text(&of_plan);
    let (subject, body) = plain.split_once("\n\n").expect("a subject, a blank line, the text");
    assert!(subject.starts_with("Re: ") && !subject.contains('\n'), "{subject}");
    assert!(body.contains("ACU-1042") && body.contains("Level 3"), "{body}");
    let document = json(&of_plan);
    has_keys(&document, &["subject", "text", "html", "language"]);
    assert_eq!((&document["subject"], &document["language"]), (&json!(subject), &json!("en")));
    assert!(document["html"].as_str().unwrap().contains("<html"));
    let mail = text(&[&of_plan[..], &["--eml"]].concat());
    assert!(
        mail.contains("Auto-Submitted: auto-replied") && mail.contains("multipart/alternative"),
        "{mail}"
    );
    for kind in ["ack", "unclassified", "late", "raised", "reopened"] {
        text(&["ack", "preview", "--kind", kind, "--now", NOW]);
    }
    refused(&acuse(&["ack", "preview", "--kind", "nice"]), USAGE, &["there is no text `nice`", "hint: "]);

    let of_mail = text(&["ack", "preview", "fixtures/mail/firewall-es.eml", "--now", NOW]);
    assert!(of_mail.starts_with("Re: ") && of_mail.contains("impacto medio"), "{of_mail}");
    refused(
        &acuse(&["ack", "preview", "fixtures/mail/vacation-es.eml", "--now", NOW]),
        1,
        &["gets no acknowledgement (no_ticket)"],
    );

    let site = builder().init();
    let ticket = ingested(&site, "outage-es.eml")["ticket"].as_str().unwrap().to_owned();
    let sender =
        ["customers", "set", "carlos.rincon@eltornillo.example", "--plan", "n2", "--name", "Doña Caro"];
    let site_of_hos = builder().set("tickets.prefix", "HOS").init();
    site_of_hos.text(&sender);
    let greeted = site_of_hos.text(&["ack", "preview", "fixtures/mail/firewall-es.eml", "--now", NOW]);
    assert!(greeted.contains("HOS-1042") && greeted.contains("Doña Caro"), "{greeted}");
    for asked in [["--plan", "n3"], ["--impact", "low"], ["--lang", "en"], ["--kind", "late"]] {
        let args = [&["ack", "preview", "fixtures/mail/firewall-es.eml"][..], &asked].concat();
        refused(&acuse(&args), USAGE, &["cannot be used with"]);
    }
    let (of_ticket, html) = previewed(&site, &[&ticket]);
    assert!(html.contains(&ticket) && html.contains("impacto alto"), "{html}");
    assert!(of_ticket.contains(&ticket) && of_ticket.contains("impacto alto"), "{of_ticket}");
    refused(&site.acuse(&["ack", "preview", "ACU-99"]), USAGE, &["neither a file nor a ticket"]);
}

#[test]
fn the_shipped_rules_keep_their_examples_and_a_broken_one_is_found() {
    assert!(text(&["rules", "test"]).starts_with("every yes and no line of "));
    assert!(json(&["rules", "list"]).as_array().unwrap().len() > 15);
    let site = builder().write();
    let rule =
        "[[rule]]\nid = \"erp\"\ncase = \"outage\"\nany = [\"erp ..5 {caido}\"]\nyes = [\"El ERP saluda\"]\n";
    fs::write(site.directory().join("rules/local.toml"), rule).unwrap();
    let output = site.acuse(&["rules", "test"]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(
        printed.contains("rules/local.toml:5:8") && printed.contains("hint: no phrase of `erp` matches"),
        "{printed}"
    );
}

#[test]
fn rules_check_tells_all_and_warnings_are_no_findings() {
    let site = builder().write();
    let local = site.directory().join("rules/local.toml");
    let rule = |more: &str| {
        format!(
            "[[rule]]\nid = \"erp\"\ncase = \"outage\"\nany = [\"erp caido\", \"mi erp caido\"]\n{more}\n"
        )
    };
    fs::write(&local, rule("yes = [\"El ERP caído\"]")).unwrap();
    let output = site.acuse(&["rules", "check"]);
    let told = printed(&output, &["rules", "check"]);
    assert!(told.contains("warning: \"mi erp caido\" adds nothing to \"erp caido\""), "{told}");
    assert!(told.contains("rules/local.toml:4:21") && said(&output).starts_with("good: "), "{told}");

    fs::write(&local, rule("yes = [\"El ERP saluda\"]")).unwrap();
    let output = site.acuse(&["rules", "check", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let problems: Value = serde_json::from_slice(&output.stdout).unwrap();
    let problem = problems.as_array().unwrap().iter().find(|problem| problem["severity"] == "error").unwrap();
    has_keys(problem, &["file", "line", "column", "severity", "message", "hint"]);
    assert_eq!((&problem["line"], &problem["column"]), (&json!(5), &json!(8)), "{problem}");
    let failed = site.acuse(&["rules", "test", "--json"]);
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(serde_json::from_slice::<Value>(&failed.stdout).unwrap(), json!([problem]));

    fs::write(&local, "[[rule]]\nid = 1\ncase = \"outaje\"\n").unwrap();
    let output = site.acuse(&["rules", "check"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("invalid type: integer `1`"), "{told}");
}

#[test]
fn rules_list_shows_a_rule_whole_and_what_the_kept_mails_say_of_it() {
    let listed = json(&["rules", "list"]);
    let impacts: Vec<&str> =
        listed.as_array().unwrap().iter().map(|rule| rule["impact"].as_str().unwrap()).collect();
    let rank = |impact: &&str| ["high", "medium", "low"].iter().position(|known| known == impact);
    assert!(impacts.is_sorted_by_key(rank), "in the order in which they decide");
    has_keys(
        &listed[0],
        &[
            "id",
            "impact",
            "case",
            "shadow",
            "phrases",
            "unless",
            "silenced_by",
            "beats",
            "beaten_by",
            "where",
            "negatable",
            "yes",
            "no",
            "file",
            "line",
            "hits",
        ],
    );
    assert_eq!(listed[0]["hits"], Value::Null, "without a database");
    refused(
        &acuse(&["rules", "list", "service-donw"]),
        USAGE,
        &["no rule `service-donw`", "did you mean `service-down`?"],
    );

    let site = builder().init();
    let mail = site.directory().join("caido.eml");
    fs::write(&mail, "From: ana@cliente.example\r\nSubject: Ayuda\r\n\r\nEl servidor está caído.\r\n")
        .unwrap();
    site.text(&["ingest", mail.to_str().unwrap()]);
    let page = site.text(&["rules", "list", "service-down"]);
    for words in [
        "service-down (high, outage)",
        "defined      rules/high.toml:",
        "any          ",
        "stood        in 1 mails, of which it decided 1",
    ] {
        assert!(page.contains(words), "no `{words}` in:\n{page}");
    }
}

#[test]
fn explain_names_contexts_negations_and_the_shadow() {
    let site = builder().write();
    let rule = "[[rule]]\nid = \"lag\"\ncase = \"malfunction\"\nany = [\"mucho lag\"]\nshadow = true\nyes = [\"Hay mucho lag\"]\n\
                [[rule]]\nid = \"erp\"\ncase = \"outage\"\nany = [\"erp roto\"]\nsilenced_by = [\"own\"]\nyes = [\"erp roto\"]\n\
                [[rule]]\nid = \"gate\"\ncase = \"outage\"\nany = [\"pasarela\"]\nyes = [\"pasarela\"]\n\
                [[context]]\nid = \"own\"\nany = [\"ya quedo\"]\n";
    fs::write(site.directory().join("rules/local.toml"), rule).unwrap();
    let words =
        ["explain", "--text", "Hay mucho lag. El ERP roto ya quedó, no es la pasarela.", "--now", NOW];
    let page = site.text(&words);
    for line in [
        "erp «ERP roto» is set aside: silenced by own: «ya quedó»",
        "gate «pasarela» is set aside: negated: «no es la pasarela»",
        "context  own: «ya quedó»  [ya quedo]",
        "shadow   lag (high, malfunction) would decide: «mucho lag»",
    ] {
        assert!(page.contains(line), "no `{line}` in:\n{page}");
    }
    let verdict = &site.json(&words)["verdict"];
    assert_eq!(
        verdict["shadow"][0],
        json!({ "rule": "lag", "case": "malfunction", "impact": "high", "text": "mucho lag", "decides": true })
    );
    assert_eq!(verdict["contexts"][0]["context"], "own");
    assert_eq!(verdict["impact"], Value::Null);
}

#[test]
fn rules_cases_lists_what_a_rule_may_name() {
    let cases = json(&["rules", "cases"]);
    let outage = &cases.as_array().unwrap()[0];
    has_keys(outage, &["id", "impact", "label", "manual", "rules"]);
    assert_eq!((&outage["id"], &outage["impact"]), (&json!("outage"), &json!("high")));
    assert!(outage["rules"].as_array().unwrap().contains(&json!("service-down")), "{outage:#}");
    let ids = cases.as_array().unwrap().iter().map(|case| case["id"].as_str().unwrap());
    let page = text(&["rules", "cases"]);
    ids.for_each(|id| assert!(page.contains(&format!("\n {id} ")), "{id} in {page}"));
}

#[test]
fn rules_score_counts_right_and_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rows.jsonl");
    let row = |id, body, impact, case| {
        json!({ "id": id, "subject": "", "body": body, "impact": impact, "case": case }).to_string()
    };
    let rows = [
        row("a", "se cayó mi página", "high", "outage"),
        row("b", "Please reset my cPanel password", "high", "attack"),
    ];
    fs::write(&file, rows.join("\n")).unwrap();
    let score = json(&["rules", "score", file.to_str().unwrap()]);
    has_keys(
        &score,
        &["total", "correct", "accuracy", "macro_f1", "per_impact", "confusion", "case_accuracy", "wrong"],
    );
    assert_eq!(
        (&score["total"], &score["correct"], &score["case_accuracy"]),
        (&json!(2), &json!(1), &json!(0.5))
    );
    assert_eq!(score["wrong"][0]["id"], "b");
    let listed = text(&["rules", "score", file.to_str().unwrap(), "--wrong"]);
    let wrong = listed.lines().last().unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(wrong, ["b", "high", "low", "password"], "{listed}");
    fs::write(&file, "\n").unwrap();
    refused(&acuse(&["rules", "score", file.to_str().unwrap()]), USAGE, &["there is no labelled mail in it"]);
    fs::write(&file, format!("{{\n{}\n[]", rows[0])).unwrap();
    refused(
        &acuse(&["rules", "score", file.to_str().unwrap()]),
        USAGE,
        &["rows.jsonl:1: ", "rows.jsonl:3: ", "a line is {\"id\""],
    );
}

// ── configuration ─────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn an_unknown_key_is_shown_where_it_stands() {
    let site = builder().write();
    let config = fs::read_to_string(site.config_file()).unwrap();
    fs::write(site.config_file(), config.replace("phone =", "fone =")).unwrap();
    for args in [&["check"][..], &["tickets", "list"], &["run"]] {
        let output = site.acuse(args);
        let told = said(&output) + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(CONFIG), "{args:?}: {told}");
        for words in ["unknown key `fone`", "acuse.toml:", "^^^^", "hint: did you mean `phone`?"] {
            assert!(told.contains(words), "{args:?}: no `{words}` in:\n{told}");
        }
    }
}

#[test]
fn check_tells_every_problem_at_once() {
    let site = builder()
        .set("mailbox.0.tls", "maybe")
        .set("ack.max_age", "soon")
        .set("tickets.prefix", "TOO-LONG")
        .write();
    let output = site.acuse(&["check"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(CONFIG), "{told}");
    for words in
        ["`maybe` is no way to protect a connection", "`soon` is no span of time", "`TOO-LONG` cannot be"]
    {
        assert!(told.contains(words), "no `{words}` in:\n{told}");
    }
    let problems = String::from_utf8(site.acuse(&["check", "--json"]).stdout).unwrap();
    let problems: Value = serde_json::from_str(&problems).unwrap();
    problems
        .as_array()
        .unwrap()
        .iter()
        .for_each(|problem| has_keys(problem, &["file", "line", "column", "severity", "message", "hint"]));
    assert!(builder().write().text(&["check"]).contains("good: "));
}

#[test]
fn check_reads_the_policy_of_a_wrong_configuration_and_misses_what_is_not_there() {
    let site = builder()
        .set("mailbox.0.port", "993")
        .set("tickets.reopen_days", "soon")
        .set("smtp.ca_file", "nowhere.pem")
        .write();
    fs::write(site.directory().join("rules/local.toml"), "[[ruel]]\n").unwrap();
    let output = site.acuse(&["check"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(CONFIG), "{told}");
    for words in ["there is no file", "nowhere.pem", "without quotes", "unknown key `ruel`"] {
        assert!(told.contains(words), "no `{words}` in:\n{told}");
    }
    assert_eq!(told.matches("without quotes").count(), 2, "the port and the days:\n{told}");
    fs::remove_dir_all(site.directory().join("rules")).unwrap();
    let told = site.acuse(&["check"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("warning: there is no directory"), "{told}");
}

#[test]
fn who_tries_the_policy_is_told_that_its_local_directory_is_not_there() {
    let site = builder().init();
    fs::remove_dir_all(site.directory().join("rules")).unwrap();
    for args in [&["rules", "check"][..], &["rules", "test"], &["reload"]] {
        let told = said(&site.acuse(args));
        assert!(told.contains("warning: there is no directory"), "{args:?}: {told}");
    }
}

#[test]
fn a_wrong_local_rule_hides_nothing_that_came_before_it() {
    let site = builder().init();
    let number = ingested(&site, "outage-es.eml")["ticket"].as_str().unwrap().to_owned();
    let local = |name: &str, text: &str| fs::write(site.directory().join("rules").join(name), text).unwrap();
    let views = [
        &["tickets", "list"][..],
        &["tickets", "show", &number],
        &["outbox", "list"],
        &["mailbox", "list"],
        &["quarantine", "list"],
        &["customers", "list"],
    ];
    let zone = "confirmed = true\nzone = \"America/Mexico_City\"\n";
    local("calendar.toml", zone);
    let before = site.text(&["tickets", "list"]);
    local("typo.toml", "[[rule]]\nid = \"x\"\ncase = \"nope\"\nany = [\"x\"]\nyes = [\"x\"]\n");
    for args in views {
        let output = site.acuse(args);
        printed(&output, args);
        let told = said(&output);
        assert!(told.contains("unknown case `nope`") && told.contains("shipped rules stand in"), "{told}");
    }
    assert_eq!(site.text(&["tickets", "list"]), before, "in the zone of the local calendar");
    local("calendar.toml", "zone = 1\n");
    assert!(said(&site.acuse(views[0])).contains("the shipped rules, plans, hours and texts stand in"));
    for args in [&["explain", &number][..], &["rules", "list"], &["quarantine", "release", "1"]] {
        refused(&site.acuse(args), CONFIG, &["unknown case `nope`"]);
    }
}

#[test]
fn config_stands_before_or_after_the_verb() {
    let site = builder().init();
    let config = site.config_file();
    let config = config.to_str().unwrap();
    let before = text(&["--config", config, "tickets", "list", "--json"]);
    assert_eq!(before, text(&["tickets", "list", "--json", "--config", config]));
    assert_eq!(before, text(&["tickets", "--config", config, "list", "--json"]));
    refused(
        &acuse(&["tickets", "list", "--config", "/no/such/acuse.toml"]),
        CONFIG,
        &["cannot read /no/such/acuse.toml", "hint: "],
    );
}

#[test]
fn the_example_holds_every_key_and_the_readme_a_working_one() {
    let example = fs::read_to_string(Path::new(ROOT).join("acuse.example.toml")).unwrap();
    // The comments show the defaults: a key that is commented out is a key all the same.
    let uncommented: String = example
        .lines()
        .map(|line| {
            line.strip_prefix("# ")
                .filter(|rest| {
                    let is_key = |(key, _): (&str, &str)| !key.trim().contains([' ', '`']);
                    rest.starts_with('[') || rest.split_once('=').is_some_and(is_key)
                })
                .unwrap_or(line)
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let readme = blocks(&fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap(), "toml").remove(0);
    for (config, must_hold) in [(example, 1), (uncommented, 40), (readme, 1)] {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for secret in ["imap.soporte", "smtp.soporte", "ca.pem", "oauth.secret", "oauth.refresh"] {
            fs::write(at(secret), "secret\n").unwrap();
        }
        let mut config: toml::Table = config.parse().unwrap_or_else(|error| panic!("{error}\n{config}"));
        let keys: usize = config.values().map(|value| value.as_table().map_or(1, toml::Table::len)).sum();
        assert!(keys + config["mailbox"][0].as_table().unwrap().len() > must_hold);
        for (key, path) in [("state_dir", "state"), ("local_dir", "rules")] {
            config.insert(key.to_owned(), at(path).display().to_string().into());
        }
        config.remove("policy_dir");
        // an account has one way to log in
        let ways = ["password_file", "oauth", "token_command"];
        for way in ways.into_iter().filter(|way| config["mailbox"][0].get(way).is_some()) {
            let mut config = config.clone();
            let mailbox = config["mailbox"][0].as_table_mut().unwrap();
            mailbox.retain(|key, _| key == way || !ways.into_iter().any(|other| key == other));
            fs::write(at("acuse.toml"), config.to_string()).unwrap();
            text(&["check", "--config", at("acuse.toml").to_str().unwrap()]);
        }
    }
}

// ── the database ──────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn init_makes_everything_once() {
    let site = builder().init();
    let mode = |name: &str| fs::metadata(site.state_dir().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("."), mode("thread.key")), (0o700, 0o600));
    let key = fs::read(site.state_dir().join("thread.key")).unwrap();
    refused(&site.acuse(&["init"]), DATABASE, &["there is a database at", "nothing was changed", "hint: "]);
    assert_eq!(fs::read(site.state_dir().join("thread.key")).unwrap(), key);
}

/// I14: whatever is wrong with the database, it is said, nothing is made in its place, and an MTA keeps its mail.
#[test]
fn an_unusable_database_is_refused_with_its_own_words() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
        ("there is no database at", |path| fs::remove_file(path).unwrap()),
        ("is empty: 0 bytes", |path| fs::write(path, "").unwrap()),
        ("is not a database of acuse", |path| {
            fs::remove_file(path).unwrap();
            let other = rusqlite::Connection::open(path).unwrap();
            other.execute_batch("CREATE TABLE other (a); INSERT INTO other VALUES (1)").unwrap();
        }),
        ("is not a database of acuse", |path| {
            fs::write(path, "a text file, by mistake\n".repeat(100)).unwrap()
        }),
        ("has schema 1000, this acuse knows up to", |path| {
            rusqlite::Connection::open(path).unwrap().pragma_update(None, "user_version", 1000).unwrap();
        }),
        ("is corrupt", |path| {
            let mut bytes = fs::read(path).unwrap();
            let page = 4096;
            bytes[page..].chunks_mut(page).step_by(2).for_each(|chunk| chunk.fill(0x5a));
            fs::write(path, bytes).unwrap();
        }),
    ];
    for (words, damage) in damages {
        let site = builder().init();
        let path = site.state_dir().join("acuse.db");
        damage(&path);
        let before = fs::read(&path).ok();
        for args in [&["run"][..], &["tickets", "list"], &["db", "check"]] {
            refused(&site.acuse(args), DATABASE, &["error: ", words, "hint: "]);
        }
        refused(&ingest(&site, &[], &support::fixture("outage-es.eml")), TRY_AGAIN, &[words]);
        assert_eq!(fs::read(&path).ok(), before, "{words}: the file was changed");
    }
}

#[test]
fn a_damaged_page_is_met_at_once() {
    let site = builder().init();
    let path = site.state_dir().join("acuse.db");
    let page: u32 = {
        let database = rusqlite::Connection::open(&path).unwrap();
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'reason'";
        database.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let mut bytes = fs::read(&path).unwrap();
    bytes.chunks_mut(4096).nth(page as usize - 1).unwrap().fill(0x5a);
    fs::write(&path, bytes).unwrap();
    for args in [&["run"][..], &["tickets", "list"], &["db", "check"]] {
        refused(&site.acuse(args), DATABASE, &["is corrupt", "hint: restore the last backup"]);
    }
}

/// What cannot be looked at is not missing: nobody is told to make a new one.
#[test]
fn an_unreadable_state_directory_is_not_an_empty_one() {
    let site = builder().init();
    fs::rename(site.state_dir(), site.directory().join("elsewhere")).unwrap();
    fs::write(site.state_dir(), "a file, where the directory was").unwrap();
    refused(&site.acuse(&["tickets", "list"]), DATABASE, &["cannot be opened", "hint: check the owner"]);
}

/// The mount point of a disk that is not there: nothing is made in it.
#[test]
fn an_empty_state_directory_stays_empty() {
    let site = builder().init();
    fs::rename(site.state_dir(), site.directory().join("elsewhere")).unwrap();
    fs::create_dir(site.state_dir()).unwrap();
    for args in [&["run"][..], &["tickets", "list"], &["db", "check"], &["mailbox", "pause", "soporte"]] {
        refused(
            &site.acuse(args),
            DATABASE,
            &["there is no database at", "look whether its disk is mounted"],
        );
    }
    assert_eq!(fs::read_dir(site.state_dir()).unwrap().count(), 0);
}

/// I18: whether the database was restored is not guessed.
#[test]
fn a_counter_that_cannot_be_read_stops_the_start() {
    let site = builder().init();
    let path = site.state_dir().join("epoch");
    fs::write(&path, "\0\0\0\0").unwrap();
    refused(&site.acuse(&["run"]), IO, &["epoch does not hold two numbers", "hint: remove it if"]);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused(&site.acuse(&["run"]), IO, &["epoch: Is a directory", "hint: check the owner"]);
}

#[test]
fn a_read_only_database_is_refused() {
    let site = builder().init();
    let path = site.state_dir().join("acuse.db");
    // SQLite itself refuses to write to a version of the file format that it does not know (offset 18): this
    // works as root too, whom no file mode stops.
    let mut bytes = fs::read(&path).unwrap();
    bytes[18] = 3;
    fs::write(&path, bytes).unwrap();
    refused(
        &site.acuse(&["tickets", "list"]),
        DATABASE,
        &["is read-only", "hint: check the owner of state_dir"],
    );
    refused(&ingest(&site, &[], &support::fixture("outage-es.eml")), TRY_AGAIN, &["is read-only"]);
}

// ── one mail, and what can be seen of it ──────────────────────────────────────────────────────────────────

#[test]
fn ingest_stores_and_every_list_shows_it() {
    let site = builder().init();
    let first = ingested(&site, "outage-es.eml");
    has_keys(&first, &["outcome", "reason", "ticket", "message_id"]);
    assert_eq!(
        (&first["outcome"], &first["reason"], &first["ticket"]),
        (&json!("opened"), &json!("new_mail"), &json!("ACU-1"))
    );
    assert_eq!(ingested(&site, "outage-es.eml")["outcome"], "duplicate");
    assert_eq!(ingested(&site, "newsletter-es.eml")["outcome"], "quarantined");

    let tickets = site.tickets();
    assert_eq!(tickets.len(), 1);
    has_keys(
        &tickets[0],
        &[
            "number",
            "subject",
            "requester",
            "plan",
            "impact",
            "case",
            "rule",
            "state",
            "opened",
            "due_by",
            "messages",
        ],
    );
    assert_eq!(tickets[0]["messages"], 1);
    assert!(site.text(&["tickets", "list"]).contains("ACU-1"));
    assert_eq!(site.json(&["tickets", "list", "--state", "closed"]), json!([]));
    let shown = site.json(&["tickets", "show", "acu-1"]);
    has_keys(&shown, &["messages", "events", "promise", "participants"]);
    has_keys(
        &shown["messages"][0],
        &["direction", "from", "received", "date", "message_id", "own_text", "outcome", "reason"],
    );
    has_keys(&shown["events"][0], &["at", "kind", "detail"]);
    assert_eq!(shown["promise"]["due_by"], "2026-09-16T10:15:00-05:00");
    refused(&site.acuse(&["tickets", "show", "ACU-7"]), USAGE, &["there is no ticket `ACU-7`"]);

    let outbox = site.outbox();
    assert_eq!(outbox.len(), 1);
    has_keys(
        &outbox[0],
        &["id", "ticket", "kind", "to", "state", "attempts", "next_attempt", "last_error", "message_id"],
    );
    assert_eq!(
        (&outbox[0]["state"], &outbox[0]["attempts"], &outbox[0]["kind"]),
        (&json!("due"), &json!(0), &json!("ack"))
    );
    let quarantine = site.json(&["quarantine", "list"]);
    has_keys(&quarantine[0], &["id", "mailbox", "reason", "from", "subject", "size", "at"]);
    let account = site.assert_conserved();
    has_keys(
        &account,
        &["ok", "listed", "opened", "appended", "duplicate", "ignored", "quarantined", "pending", "problems"],
    );
    assert_eq!(
        (&account["listed"], &account["opened"], &account["duplicate"], &account["quarantined"]),
        (&json!(3), &json!(1), &json!(1), &json!(1))
    );

    // I15: the stored decision, whatever the clock says now.
    let explained = site.json(&["explain", "ACU-1"]);
    assert_eq!(explained["promise"]["due_by"], shown["promise"]["due_by"]);
    assert_eq!(explained["verdict"]["rule"], shown["rule"]);
}

#[test]
fn the_directory_gives_the_plan() {
    let site = builder().init();
    let row =
        site.json(&["customers", "set", "maria.perez@laespiga.example", "--plan", "n2", "--name", "María"]);
    has_keys(&row[0], &["key", "kind", "id", "name", "language", "plan"]);
    site.text(&["customers", "set", "@laespiga.example", "--plan", "n3"]);
    ingested(&site, "outage-es.eml");
    assert_eq!(site.tickets()[0]["plan"], "n2", "an address row beats a domain row");
    assert_eq!(site.json(&["customers", "list"]).as_array().unwrap().len(), 2);
    assert_eq!(site.json(&["customers", "show", "laespiga.example"])[0]["plan"], "n3");
    for (args, words) in [
        (&["customers", "set", "gmail.com", "--plan", "n2"], "anybody may have an address at gmail.com"),
        (&["customers", "set", "not an address", "--plan", "n2"], "neither an address nor a domain"),
        (&["customers", "set", "ana@cliente.example", "--plan", "n9"], "there is no plan `n9`"),
    ] {
        refused(&site.acuse(args), USAGE, &[words, "hint: "]);
    }
}

/// The tickets that were lost with the database gave their numbers to others since.
#[test]
fn a_token_that_a_restored_database_does_not_know_proves_nothing() {
    let site = builder().init();
    let database = site.state_dir().join("acuse.db");
    let backup = fs::read(&database).unwrap();
    let stored = |mail: &[u8]| -> Value {
        let output = ingest(&site, &["--json"], mail);
        serde_json::from_str(&printed(&output, &["ingest"])).unwrap()
    };
    let newest_ack = || -> String {
        let database = rusqlite::Connection::open(&database).unwrap();
        let sql = "SELECT message_id FROM outbox ORDER BY id DESC LIMIT 1";
        database.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let reply_to = |id: &str| -> Value {
        let head =
            format!("From: otra@cliente.example\r\nTo: soporte@mihost.example\r\nIn-Reply-To: <{id}>\r\n");
        stored(format!("{head}Subject: Re: caso\r\n\r\nGracias, pero sigue igual.\r\n").as_bytes())
    };
    assert_eq!(stored(&support::outage(1))["ticket"], "ACU-1");
    let lost = newest_ack();
    fs::write(&database, backup).unwrap();
    assert_eq!(stored(&support::outage(2))["ticket"], "ACU-1", "another customer's");

    let answer = reply_to(&lost);
    assert_eq!((&answer["outcome"], &answer["ticket"]), (&json!("opened"), &json!("ACU-2")), "{answer}");
    let known = newest_ack();
    assert_ne!(known, lost);
    let answer = reply_to(&known);
    assert_eq!((&answer["outcome"], &answer["reason"]), (&json!("appended"), &json!("token")), "{answer}");
}

/// Section 10: an MTA's pipe returns the customer's mail on any code but 0 and 75.
#[test]
fn ingest_ends_with_0_or_75_and_nothing_else() {
    let site = builder().init();
    let mail = support::fixture("outage-es.eml");
    for args in [
        &["--no-such-option"][..],
        &["--received", "ayer"],
        &["--received", "2999-01-01T00:00:00Z"],
        &["--now", "mañana"],
        &["/no/such/file"],
        &["a", "b"],
    ] {
        refused(&ingest(&site, args, &mail), TRY_AGAIN, &["error: "]);
    }
    for arguments in
        [&["ingest"][..], &["--config", "/no/such/acuse.toml", "ingest"], &["ingest", "--config"]]
    {
        assert_eq!(acuse(arguments).status.code(), Some(TRY_AGAIN), "{arguments:?}");
    }
    for nothing in ["", "\r\n\n"] {
        refused(&ingest(&site, &[], nothing.as_bytes()), TRY_AGAIN, &["there is no mail", "hint: "]);
    }
    assert_eq!(site.tickets().len(), 0);
    fs::remove_file(site.state_dir().join("thread.key")).unwrap();
    refused(&ingest(&site, &[], &mail), TRY_AGAIN, &["no thread key"]);
    // A word that only looks like the verb keeps its own code.
    refused(&site.acuse(&["explain", "ingest"]), USAGE, &["neither a file nor a ticket"]);
}

#[test]
fn a_wrong_command_line_is_64_and_help_is_0() {
    refused(&acuse(&["frobnicate"]), USAGE, &["frobnicate"]);
    refused(&acuse(&["explain"]), USAGE, &["required"]);
    for verb in [
        "",
        "run",
        "ingest",
        "explain",
        "rules",
        "sla",
        "ack",
        "tickets",
        "customers",
        "outbox",
        "quarantine",
        "db",
    ] {
        let args: Vec<&str> = [verb, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        assert!(text(&args).contains("Usage: acuse"));
    }
    assert_eq!(text(&["--version"]), concat!("acuse ", env!("CARGO_PKG_VERSION"), "\n"));
}

/// The verbs that a help text lists.
fn verbs(arguments: &[&str]) -> Vec<String> {
    let help = text(&[arguments, &["--help"]].concat());
    let Some((_, commands)) = help.split_once("Commands:\n") else { return Vec::new() };
    let lines = commands.lines().take_while(|line| !line.is_empty());
    let verbs = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned));
    verbs.filter(|verb| !verb.is_empty() && verb != "help").collect()
}

#[test]
fn every_command_has_its_page_and_every_shell_completes_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    assert_eq!(text(&["man", path]), "");
    let page = |name: &str| {
        let section = format!("man{}", name.rsplit('.').next().unwrap());
        fs::read_to_string(directory.path().join(section).join(name)).unwrap_or_else(|_| panic!("no {name}"))
    };
    assert!(page("acuse.1").contains("response time of their plan"));
    let completions = ["bash", "zsh", "fish"].map(|shell| text(&["completions", shell]));
    let all = verbs(&[]);
    assert!(all.len() > 15, "{all:?}");
    for verb in &all {
        assert!(page(&format!("acuse-{verb}.1")).contains(".TH"), "{verb}");
        assert!(completions.iter().all(|script| script.contains(verb.as_str())), "{verb}");
        for below in verbs(&[verb]) {
            assert!(page(&format!("acuse-{verb}-{below}.1")).contains(".TH"), "{verb} {below}");
        }
    }
    let example = text(&["config", "example"]);
    assert_eq!(example, fs::read_to_string(Path::new(ROOT).join("acuse.example.toml")).unwrap());
    let keys = page("acuse.toml.5");
    assert!(
        keys.contains(".TH acuse.toml 5")
            && keys.contains("per_address_hour")
            && keys.contains("[[mailbox]]"),
        "{keys}"
    );
    refused(&acuse(&["man", "/no/such/directory"]), USAGE, &["cannot be written", "hint: "]);
    refused(&acuse(&["completions", "cmd.exe"]), USAGE, &["possible values"]);
}

// ── what is shipped beside the binary ─────────────────────────────────────────────────────────────────────

/// The fenced blocks of a page in one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// The words of a command line; `"` keeps several together.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate();
    let words = parts.flat_map(|(index, part)| match index % 2 {
        1 => vec![part.to_owned()],
        _ => part.split_whitespace().map(str::to_owned).collect(),
    });
    words.collect()
}

#[test]
fn what_the_pages_show_is_what_acuse_prints() {
    let mut examples = 0;
    for page in ["README.md", "rules/README.md"] {
        let text = fs::read_to_string(Path::new(ROOT).join(page)).unwrap();
        for block in blocks(&text, "console") {
            let (command, shown) = block.split_once('\n').unwrap();
            let line = command
                .strip_prefix("$ acuse ")
                .unwrap_or_else(|| panic!("{page}: `{command}` does not run acuse"));
            let args = words(line);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let printed = printed(&acuse(&args), &args);
            assert!(
                shown == printed,
                "{page} shows another answer of `{command}`; write this one:\n\n{printed}"
            );
            examples += 1;
        }
    }
    assert!(examples >= 4, "only {examples} examples were found");
}

#[test]
fn the_rules_that_the_page_teaches_work() {
    let page = fs::read_to_string(Path::new(ROOT).join("rules/README.md")).unwrap();
    let site = builder().write();
    let taught = blocks(&page, "toml");
    assert!(taught.len() >= 2);
    for (index, block) in taught.iter().enumerate() {
        for part in format!("\n{block}").split("\n# /etc/acuse/rules/").filter(|part| !part.trim().is_empty())
        {
            let (name, text) = match part.split_once(".toml\n") {
                Some((name, text)) if !name.contains('\n') => (name.to_owned(), text),
                _ => (format!("taught-{index}"), part),
            };
            fs::write(site.directory().join(format!("rules/{name}.toml")), text).unwrap();
        }
    }
    let output = site.acuse(&["rules", "test"]);
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), said(&output));
    let due =
        site.json(&["sla", "explain", "--plan", "n2", "--impact", "medium", "--at", "2026-12-24T09:00:00"]);
    assert_eq!(due["due_by"], "2026-12-24T11:00:00-05:00", "the local window, within the exception's hours");
}

#[test]
fn systemd_understands_the_unit_and_finds_it_hardened() {
    let run = |args: &[&str]| {
        let command = Command::new("systemd-analyze").args(args).output();
        command.unwrap_or_else(|error| {
            panic!("systemd-analyze: {error}; install it with: apt-get install -y systemd")
        })
    };
    let unit = fs::read_to_string(Path::new(ROOT).join("systemd/acuse.service")).unwrap();
    assert!(unit.contains("Type=notify\n") && unit.contains("LoadCredential=imap.soporte:"));
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("acuse.service");
    fs::write(&copy, unit.replace("/usr/bin/acuse", env!("CARGO_BIN_EXE_acuse"))).unwrap();
    let copy = copy.to_str().unwrap();
    let verified = run(&["verify", copy]);
    assert!(verified.status.success() && said(&verified).is_empty(), "{}", said(&verified));
    let secure = run(&["security", "--offline=true", "--threshold=15", copy]);
    assert!(secure.status.success(), "{}", String::from_utf8_lossy(&secure.stdout));
}

#[test]
fn ingest_that_cannot_say_what_it_stored_has_stored_it() {
    let site = builder().init();
    for args in [&["ingest"][..], &["ingest", "--json"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut child = site.command(args).stdin(Stdio::piped()).stdout(full).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&support::fixture("outage-es.eml")).unwrap();
        assert!(child.wait().unwrap().success(), "{args:?}");
    }
    assert_eq!(site.tickets().len(), 1);
}

#[test]
fn ingest_keeps_the_head_of_a_mail_without_end() {
    let site = builder().set("limits.max_size_mib", 1).init();
    let mut mail = support::fixture("outage-es.eml");
    mail.resize(5 << 20, b'x');
    let output = ingest(&site, &["--json"], &mail);
    let stored: Value = serde_json::from_str(&printed(&output, &["ingest"])).unwrap();
    assert_eq!(stored["outcome"], "opened");
    let ticket = site.json(&["tickets", "show", stored["ticket"].as_str().unwrap()]);
    assert!(ticket.to_string().contains("\"oversize\""), "{ticket:#}");
    let check = site.json(&["db", "check"]);
    assert_eq!(check["ok"], true, "{check:#}");
}

#[test]
fn a_panic_is_one_line_without_a_word_of_the_mail() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("nested.eml");
    // a debug build of mail-parser 0.11.9 panics at this one
    let mail = "From: ana@cliente.example\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=z\n\n\
                --z\n\nuno\n--z\nContent-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nSubject: y\n\ndos\n--z--\n";
    fs::write(&file, mail).unwrap();
    let output = acuse(&["inspect", "--json", file.to_str().unwrap()]);
    assert!(output.status.success());
    let said = said(&output);
    assert_eq!(said.lines().count(), usize::from(cfg!(debug_assertions)), "{said}");
    assert!(said.lines().all(|line| line.starts_with("thread 'command' panicked at ")), "{said}");
}

#[test]
fn a_new_voice_shows_in_the_ticket_and_a_missing_state_directory_says_init() {
    let site = builder().write();
    let output = site.acuse(&["run"]);
    assert_eq!(output.status.code(), Some(65), "{}", said(&output));
    assert!(said(&output).contains("acuse init"), "{}", said(&output));
    assert!(site.acuse(&["init"]).status.success());
    let raw = |from: &str, more: &str| {
        format!(
            "From: {from}\r\nTo: soporte@mihost.example\r\nSubject: Sitio\r\nMessage-ID: <{}>\r\n{more}\r\nhola\r\n",
            from.replace('@', "1@")
        )
    };
    let ingest = |mail: String| {
        let file = site.directory().join("mail.eml");
        fs::write(&file, mail).unwrap();
        site.json(&["ingest", file.to_str().unwrap()])
    };
    assert_eq!(ingest(raw("ana@cliente.example", ""))["outcome"], "opened");
    let ack = site.json(&["outbox", "list"])[0]["message_id"].as_str().unwrap().to_owned();
    let answer = ingest(raw("luis@otro.example", &format!("In-Reply-To: <{ack}>\r\n")));
    assert_eq!((answer["outcome"].as_str(), answer["reason"].as_str()), (Some("appended"), Some("token")));
    assert_eq!(site.json(&["tickets", "list"])[0]["flags"], serde_json::json!(["unclassified", "new_voice"]));
}
