//! The customer directory as another system exports it: whole or not at all, and who decides on an address.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test"
)]

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;

use acuse::policy::{Policy, PolicyFiles};
use acuse::store::{self, Entry};
use acuse::triage::Arrival;
use serde_json::{Value, json};
use support::acuse::Site;

mod support;

const FINDINGS: i32 = 1;
const USAGE: i32 = 64;

/// A site without a daemon, whose servers nobody asks.
fn site() -> Site {
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    Site::builder(nobody, nobody).init()
}

/// Imports a text: the exit code, what it printed, and what it complained about.
#[track_caller]
fn import(site: &Site, name: &str, text: &str, options: &[&str]) -> (i32, String, String) {
    let file = site.directory().join(name);
    fs::write(&file, text).unwrap();
    let output = site.acuse(&[&["customers", "import", file.to_str().unwrap()], options].concat());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// The plan of an address, and why.
fn whois(site: &Site, address: &str, at: &str) -> (String, String) {
    let found: Value = site.json(&["customers", "whois", address, "--now", at]);
    (found["plan"].as_str().unwrap().to_owned(), found["because"].as_str().unwrap().to_owned())
}

const NOW: &str = "2026-11-23T09:00:00-05:00";

#[test]
fn an_import_is_the_directory_and_a_person_s_word_stands_above_it() {
    let site = site();
    site.text(&["customers", "set", "jefe@acme.example", "--plan", "n3"]);
    let file = "key,plan,name,language,from,until,id\n\
        maria@acme.example,n2,\"Pérez, María\",es,,,whmcs:1203\n\
        @clinica.example,n3,Clínica X,,,2027-03-31,whmcs:88\n\
        jefe@acme.example,n1,,,,,whmcs:1203\n";
    let (code, printed, _) = import(&site, "clientes.csv", file, &["--dry-run"]);
    assert_eq!(code, 0);
    assert!(
        printed.contains("3 rows: 2 keys added, 0 removed, 0 changed, 0 as before, 1 set by hand"),
        "{printed}"
    );
    assert_eq!(site.json(&["customers", "list"]).as_array().unwrap().len(), 1, "nothing was written");

    assert_eq!(import(&site, "clientes.csv", file, &[]).0, 0);
    let maria = &site.json(&["customers", "show", "maria@acme.example"])[0];
    assert_eq!(
        (&maria["name"], &maria["id"], &maria["language"]),
        (&json!("Pérez, María"), &json!("whmcs:1203"), &json!("es"))
    );
    assert_eq!(whois(&site, "jefe@acme.example", NOW), ("n3".into(), "address_row".into()));
    assert_eq!(whois(&site, "otra+web@CLINICA.example", NOW), ("n3".into(), "domain_row".into()));
    assert_eq!(
        whois(&site, "otra@clinica.example", "2027-03-31T23:59:59-05:00").0,
        "n3",
        "the whole last day"
    );
    assert_eq!(
        whois(&site, "otra@clinica.example", "2027-04-01T00:00:00-05:00"),
        ("n1".into(), "default".into())
    );

    // the same again changes nothing; another file takes the place of the first, but not of what a person set
    let (_, printed, _) = import(&site, "clientes.csv", file, &[]);
    assert!(printed.contains("0 keys added, 0 removed, 0 changed, 2 as before, 1 set by hand"), "{printed}");
    let next = "{\"key\": \"maria@acme.example\", \"plan\": \"n3\", \"id\": \"whmcs:1203\"}\n\n\
        {\"key\": \"nueva@acme.example\", \"plan\": \"n1\"}\n";
    let (code, printed, _) = import(&site, "clientes.jsonl", next, &["--max-shrink", "50%"]);
    assert_eq!(code, 0, "{printed}");
    for line in ["+ nueva@acme.example  n1", "- clinica.example  n3", "~ maria@acme.example  n2 → n3"] {
        assert!(printed.contains(line), "{line} in {printed}");
    }
    let keys = site.json(&["customers", "list"]);
    let keys: Vec<&str> = keys.as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["jefe@acme.example", "maria@acme.example", "nueva@acme.example"]);
    site.text(&["customers", "remove", "jefe@acme.example"]);
    assert_eq!(whois(&site, "jefe@acme.example", NOW), ("n1".into(), "default".into()));
    assert_eq!(site.acuse(&["customers", "remove", "jefe@acme.example"]).status.code(), Some(USAGE));
    let history =
        "SELECT count(*) FROM event WHERE kind IN ('customer_set', 'customers_imported', 'customer_removed')";
    assert_eq!(
        rusqlite::Connection::open(site.state_dir().join("acuse.db"))
            .unwrap()
            .query_row(history, [], |row| row.get::<_, i64>(0))
            .unwrap(),
        4
    );
}

#[test]
fn every_bad_line_is_named_and_then_nothing_is_written() {
    let site = site();
    let file = "key;plan;language;until\n\
        ana@cliente.example;n2;es;\n\
        @gmail.com;n2;;\n\
        no es una dirección;n2;;\n\
        b@cliente.example;n9;;\n\
        c@cliente.example;n2;fr;\n\
        d@cliente.example;n2;;31/03/2027\n\
        e@cliente.example;n2;;;sobra\n\
        ana@cliente.example;n2;en;\n";
    let (code, printed, said) = import(&site, "clientes.csv", file, &[]);
    assert_eq!((code, printed.as_str()), (USAGE, ""));
    for line in [
        "clientes.csv:3: anybody may have an address at gmail.com",
        "clientes.csv:4: `no es una dirección` is neither an address nor a domain",
        "clientes.csv:5: there is no plan `n9`; the plans are n1, n2, n3",
        "clientes.csv:6: ",
        "clientes.csv:7: `31/03/2027` is no date; write 2027-03-31",
        "clientes.csv:8: 5 fields, where the header has 4",
        "clientes.csv:9: `ana@cliente.example` has the plan n2 on line 2 too, otherwise",
        "7 of 8 lines are wrong",
    ] {
        assert!(said.contains(line), "{line} in:\n{said}");
    }
    assert_eq!(site.json(&["customers", "list"]), json!([]));
    for (name, text, says) in [
        ("a.csv", "key,plna\nx@y.example,n2\n", "did you mean `plan`?"),
        ("a.csv", "plan\nn2\n", "no column `key`"),
        ("a.jsonl", "{\"key\": \"x@y.example\"}\n", "a.jsonl:1: missing field `plan`"),
        (
            "a.jsonl",
            "{\"key\": \"x@y.example\", \"plan\": \"n1\", \"lang\": \"es\"}\n",
            "unknown field `lang`",
        ),
    ] {
        let (code, _, said) = import(&site, name, text, &[]);
        assert!(code == USAGE && said.contains(says), "{says} in:\n{said}");
    }
}

#[test]
fn lines_are_numbered_as_an_editor_numbers_them() {
    let site = site();
    let file = "\r\nkey,plan,name\r\nana@cliente.example,n2,\"Ana\r\nRuiz\"\r\n\r\n\r\nb@cliente.example,n9,\r\n\
        c@cliente.example\r\nana@cliente.example,n2,Otra\r\n";
    let (_, _, said) = import(&site, "clientes.csv", file, &[]);
    for line in
        ["csv:7: there is no plan `n9`", "csv:8: 1 fields", "csv:9: `ana@", "on line 3 too", "3 of 4 lines"]
    {
        assert!(said.contains(line), "{line} in:\n{said}");
    }
    let (_, _, said) = import(&site, "a.csv", "sep=;\nkey;plan\nb@cliente.example;n9\n", &[]);
    assert!(said.contains("a.csv:3: there is no plan"), "{said}");
    let (_, _, said) = import(&site, "a.jsonl", "\n{\"key\": \"b@cliente.example\", \"plan\": 2}\n", &[]);
    assert!(said.contains("a.jsonl:2: invalid type") && !said.contains("line 1"), "{said}");
}

#[test]
fn what_spreadsheets_and_databases_write_is_read() {
    let site = site();
    let file = "sep=|\r\nKey|PLAN|Language|From|Until|ID\r\nana@cliente.example|N2|ES|2026-11-20T10:00|9999-12-31|7\r\n";
    assert_eq!(import(&site, "clientes.csv", file, &[]).0, 0);
    let row = &site.json(&["customers", "show", "ana@cliente.example"])[0];
    assert_eq!(
        *row,
        json!({ "key": "ana@cliente.example", "kind": "address", "id": "7", "name": null, "language": "es", "plan": "n2",
                "from": "2026-11-20T10:00:00-05:00", "until": null })
    );
    let numbered = "{\"key\": \"ana@cliente.example\", \"plan\": \"n2\", \"id\": 1203}\n";
    assert_eq!(import(&site, "a.jsonl", numbered, &[]).0, 0);
    assert_eq!(site.json(&["customers", "show", "ana@cliente.example"])[0]["id"], "1203");
    // as `mysql --batch` writes it: tabs, no quotes, NULL for nothing, and MySQL's date for none
    let batch = "key\tplan\tname\tlanguage\tfrom\tuntil\tid\n\
        ana@cliente.example\tn2\t\"La Tienda, de Ana\tNULL\t2026-01-01 00:00:00\t0000-00-00\t7\n\
        eva@cliente.example\tn3\tNULL\t\t0000-00-00 00:00:00\t2027-03-31\tNULL\n";
    assert_eq!(import(&site, "clientes.tsv", batch, &["--max-shrink", "100"]).0, 0);
    let rows = site.json(&["customers", "list"]);
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows}");
    let of = |row: usize| ["name", "language", "from", "until", "id"].map(|key| rows[row][key].clone());
    assert_eq!(
        of(0),
        [
            json!("\"La Tienda, de Ana"),
            json!(null),
            json!("2026-01-01T00:00:00-05:00"),
            json!(null),
            json!("7")
        ]
    );
    assert_eq!(
        of(1),
        [json!(null), json!(null), json!(null), json!("2027-04-01T00:00:00-05:00"), json!(null)]
    );
    // as a spreadsheet writes it
    let quoted = "sep=\t\r\nkey\tplan\tname\r\nana@cliente.example\tn2\t\"Pérez, \"\"Ana\"\"\"\r\n";
    assert_eq!(import(&site, "clientes.tsv", quoted, &["--max-shrink", "100"]).0, 0);
    assert_eq!(site.json(&["customers", "show", "ana@cliente.example"])[0]["name"], "Pérez, \"Ana\"");
    assert!(import(&site, "a.csv", "key,plan,Key\n", &[]).2.contains("column `Key` stands twice"));
}

#[test]
fn a_key_that_no_address_matches_and_a_row_that_never_holds_are_refused_everywhere() {
    let site = site();
    for (key, says) in [
        ("*@acme9.example", "`@acme9.example` means the whole domain"),
        ("-b.example", "neither an address nor a domain"),
        ("@1.2.3.4", "neither an address nor a domain"),
        ("ana@b-.example", "neither an address nor a domain"),
    ] {
        let (code, _, said) = import(&site, "a.csv", &format!("key,plan\n{key},n2\n"), &[]);
        assert!(code == USAGE && said.contains(says), "{key}: {said}");
        let output = site.acuse(&["customers", "set", "--plan", "n2", "--", key]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(USAGE) && said.contains(says), "{key}: {said}");
    }
    let dates = ["--from", "2027-01-01", "--until", "2026-01-01"];
    let output =
        site.acuse(&[&["customers", "set", "ana@cliente.example", "--plan", "n2"][..], &dates].concat());
    assert_eq!(output.status.code(), Some(USAGE));
    assert!(String::from_utf8_lossy(&output.stderr).contains("it ends before it begins"));
    assert_eq!(site.json(&["customers", "list"]), json!([]));
}

#[test]
fn a_plan_is_renewed_by_a_second_row_and_two_rows_of_one_time_are_refused() {
    let site = site();
    let years = |second: &str| {
        format!(
            "key,plan,from,until,id\nana@cliente.example,n2,2026-01-01,2026-12-31,7\n\
             ana@cliente.example,n2,{second},2027-12-31,7\n"
        )
    };
    let (code, _, said) = import(&site, "a.csv", &years("2026-12-31"), &[]);
    assert!(code == USAGE && said.contains("on line 2 too"), "{said}");
    assert_eq!(import(&site, "a.csv", &years("2027-01-01"), &[]).0, 0);
    for (at, plan) in [("2026-12-31T23:59:59", "n2"), ("2027-01-01T00:00", "n2"), ("2028-01-01T00:00", "n1")]
    {
        assert_eq!(whois(&site, "ana@cliente.example", at).0, plan, "{at}");
    }
    let (_, printed, _) = import(&site, "a.csv", &years("2027-01-01"), &[]);
    assert!(printed.contains("0 changed, 1 as before"), "{printed}");
}

#[test]
fn a_truncated_export_demotes_nobody() {
    let site = site();
    let export = |rows: usize, plan: &str| {
        let mut text = "\u{FEFF}key,plan,id\r\n".to_owned();
        (0..rows).for_each(|n| write!(text, "cliente{n}@empresa{n}.example,{plan},{n}\r\n").unwrap());
        text
    };
    assert_eq!(import(&site, "all.csv", &export(100, "n2"), &[]).0, 0);
    let refused = |text: &str, options: &[&str], says: &str| {
        let (code, _, said) = import(&site, "next.csv", text, options);
        assert!(code == FINDINGS && said.contains(says), "{says} in:\n{said}");
        assert_eq!(whois(&site, "cliente99@empresa99.example", NOW).0, "n2");
    };
    refused(
        &export(79, "n2"),
        &[],
        "of 100 imported keys 21 would vanish and 0 get a lower plan or none, more than 20 %",
    );
    refused(&export(100, "n1"), &[], "0 would vanish and 100 get a lower plan");
    for dates in [",2020-01-01", "2999-01-01,"] {
        let row = |n| format!("cliente{n}@empresa{n}.example,n2,{n},{dates}\n");
        let text = "key,plan,id,from,until\n".to_owned() + &(0..100).map(row).collect::<String>();
        refused(&text, &[], "0 would vanish and 100 get a lower plan or none");
    }
    refused("key,plan\n", &["--dry-run"], "100 would vanish");
    let cut = export(100, "n2");
    let cut = cut.trim_end();
    let (code, _, said) = import(&site, "next.csv", cut, &[]);
    assert_eq!(code, USAGE);
    assert!(
        said.contains("next.csv:101: the last line does not end") && said.contains("a newline"),
        "{said}"
    );
    let json = "{\"key\": \"cliente99@empresa99.example\", \"plan\": \"n1\"}";
    let (code, _, said) = import(&site, "next.jsonl", &json.replace('}', ""), &["--max-shrink", "100"]);
    assert!(code == USAGE && said.contains("next.jsonl:1: the last line does not end"), "{said}");
    let (_, _, said) = import(&site, "next.jsonl", json, &[]);
    assert!(said.contains("99 would vanish"), "a closed object proves itself: {said}");
    assert_eq!(import(&site, "next.csv", &export(80, "n2"), &[]).0, 0);
    assert_eq!(import(&site, "next.csv", "key,plan\n", &["--max-shrink", "100"]).0, 0);
    assert_eq!(site.json(&["customers", "list"]), json!([]));
}

#[test]
fn the_few_who_pay_are_guarded_apart_from_the_many_who_do_not() {
    let site = site();
    let export = |paying: &[&str]| {
        let mut text = "key,plan\n".to_owned();
        (0..95).for_each(|n| writeln!(text, "cliente{n}@empresa.example,n1").unwrap());
        paying.iter().zip(0..).for_each(|(plan, n)| writeln!(text, "@premium{n}.example,{plan}").unwrap());
        text
    };
    assert_eq!(import(&site, "all.csv", &export(&["n2", "n3", "n2", "n3", "n2"]), &[]).0, 0);
    for (next, says) in [
        (export(&["n1"; 5]), "of 5 imported keys with a plan above n1 0 would vanish and 5 get a lower plan"),
        (
            export(&["n2", "n2", "n2"]),
            "of 5 imported keys with a plan above n1 2 would vanish and 1 get a lower",
        ),
    ] {
        let (code, _, said) = import(&site, "next.csv", &next, &[]);
        assert!(code == FINDINGS && said.contains(says), "{says} in:\n{said}");
        assert_eq!(whois(&site, "ana@premium3.example", NOW).0, "n3");
    }
    assert_eq!(
        import(&site, "next.csv", &export(&["n2", "n3", "n2", "n3"]), &[]).0,
        0,
        "one of five has left"
    );
    assert_eq!(import(&site, "next.csv", &export(&["n1"; 5]), &["--max-shrink", "100"]).0, 0);
}

#[test]
fn whois_says_which_row_decides_and_why_the_others_do_not() {
    let site = site();
    let file = "key,plan,from,until,id\n\
        ana@cliente.example,n1,,,7\n\
        ana@cliente.example,n2,,,7\n\
        ana@cliente.example,n3,,2026-01-31,7\n\
        cliente.example,n3,,,7\n\
        luis@cliente.example,n2,2027-01-01,,7\n";
    assert_eq!(import(&site, "clientes.csv", file, &[]).0, 0);
    let found = site.json(&["customers", "whois", "Ana+x@Cliente.example", "--now", NOW]);
    assert_eq!((&found["plan"], &found["because"]), (&json!("n2"), &json!("address_row")));
    let standing: Vec<(&str, &str)> = found["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["row"]["plan"].as_str().unwrap(), it["standing"].as_str().unwrap()))
        .collect();
    assert_eq!(
        standing,
        [
            ("n1", "another row has a higher plan"),
            ("n2", "decides"),
            ("n3", "over"),
            ("n3", "an address row stands before it")
        ]
    );
    assert_eq!(
        whois(&site, "luis@cliente.example", NOW),
        ("n3".into(), "domain_row".into()),
        "not in force yet"
    );
    let twice = "key,plan,name,id\neva@dos.example,n2,Eva,8\neva@dos.example,n2,Evita,9\n";
    assert_eq!(import(&site, "clientes.csv", twice, &["--max-shrink", "100"]).0, 0);
    let found = site.json(&["customers", "whois", "eva@dos.example"]);
    let standing: Vec<&str> =
        found["rows"].as_array().unwrap().iter().map(|row| row["standing"].as_str().unwrap()).collect();
    assert_eq!(standing, ["decides", "another row of the same plan stands before it"]);
    let page = site.text(&["customers", "whois", "nadie@otra.example"]);
    assert!(
        page.starts_with("nadie@otra.example  n1  (default)") && page.contains("no row names it"),
        "{page}"
    );
}

#[test]
fn the_plan_is_that_of_the_hour_at_which_a_mail_arrived() {
    let site = site();
    let file = "key,plan,from,until\nana@cliente.example,n3,,2026-09-16T12:00:00-05:00\n";
    assert_eq!(import(&site, "clientes.csv", file, &[]).0, 0);
    let plans = Policy::compile(&PolicyFiles::shipped()).0.unwrap().plans;
    let message = acuse::mail::parse(b"From: ana@cliente.example\r\nSubject: Clave\r\n\r\nHola.\r\n");
    let (store, ours) = (store::open(&site.state_dir()).unwrap(), acuse::site::Site::nobody());
    let read = "2026-09-16T12:30:00-05:00".parse().unwrap();
    let plan = |received: &str| {
        let received = received.parse().unwrap();
        let arrival = Arrival { mailbox: "soporte".into(), recipient: None, received, backlog: false };
        let facts =
            store.read(|tx| tx.facts(&message, &arrival, Entry::Arrived, &ours, &plans, read)).unwrap();
        facts.customer.map(|customer| customer.plan.0)
    };
    assert_eq!(
        plan("2026-09-16T11:59:00-05:00").as_deref(),
        Some("n3"),
        "the mailbox was not read for a while"
    );
    assert_eq!(plan("2026-09-16T12:01:00-05:00"), None);
}

#[test]
fn customers_of_a_plan_that_is_gone_are_counted_and_told() {
    let site = site();
    let gold = site.directory().join("rules/plans.toml");
    let warned = || {
        let found = site.json(&["check", "--now", NOW]);
        let found = found.as_array().unwrap().iter().map(|it| it["message"].as_str().unwrap().to_owned());
        found.filter(|message| message.contains("a plan that is not in plans.toml")).collect::<Vec<_>>()
    };
    let shop = "order = [\"n1\", \"n2\", \"n3\", \"oro\"]\n[plan.oro]\nname = { es = \"Oro\", en = \"Gold\" }\n\
        channels = { email = \"always\" }\n";
    let windows =
        ["high", "medium", "low"].map(|it| format!("{it} = {{ upto = \"1h\", clock = \"always\" }}\n"));
    fs::write(&gold, shop.to_owned() + &windows.concat()).unwrap();
    let mut file = "key,plan,until\n".to_owned();
    (1..=6).for_each(|n| writeln!(file, "cliente{n}@empresa.example,oro,").unwrap());
    file.push_str("antes@empresa.example,oro,2026-01-31\nana@cliente.example,n1,\n");
    assert_eq!(import(&site, "clientes.csv", &file, &[]).0, 0);
    assert_eq!(warned(), [""; 0]);
    assert!(!site.text(&["customers", "whois", "cliente1@empresa.example"]).contains("plans.toml"));

    fs::remove_file(&gold).unwrap();
    assert_eq!(
        warned(),
        ["6 customers have a plan that is not in plans.toml, which counts for no more than the default n1: \
          cliente1@empresa.example (oro), cliente2@empresa.example (oro), cliente3@empresa.example (oro), \
          cliente4@empresa.example (oro), cliente5@empresa.example (oro), … and 1 more"]
    );
    let page = site.text(&["customers", "whois", "cliente1@empresa.example"]);
    assert!(page.contains("plans.toml has no plan `oro`: served as n1, the default"), "{page}");
    let found = site.json(&["customers", "whois", "cliente1@empresa.example"]);
    assert_eq!((&found["plan"], &found["served_as"]), (&json!("oro"), &json!("n1")));
    fs::remove_file(site.state_dir().join("acuse.db")).unwrap();
    assert_eq!(warned(), [""; 0], "no database yet is no error");
}

#[test]
fn a_plan_that_begins_later_takes_nothing_away_today_and_what_is_replaced_is_told() {
    let site = site();
    let file =
        "key,plan,name,from,until\nana@cliente.example,n2,Ana,,\nana@cliente.example,n1,Ana,2027-06-01,\n";
    assert_eq!(import(&site, "clientes.csv", file, &[]).0, 0);
    let set = |options: &[&str]| {
        let output =
            site.acuse(&[&["customers", "set", "ana@cliente.example", "--now", NOW], options].concat());
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let told = set(&["--plan", "n3", "--from", "2027-01-01"]);
    assert!(told.contains("replaced: ana@cliente.example  n1, «Ana», from 2027-06-01 00:00"), "{told}");
    assert!(told.contains("tickets that are open keep the plan"), "{told}");
    assert!(!told.contains("n2"), "it goes on until then: {told}");
    let plan = |at: &str| whois(&site, "ana@cliente.example", at).0;
    assert_eq!([plan(NOW), plan("2026-12-31T23:59:59"), plan("2027-01-01T00:00")], ["n2", "n2", "n3"]);
    assert_eq!(plan("2027-07-01T00:00"), "n3");
    assert_eq!(import(&site, "clientes.csv", file, &[]).0, 0);
    assert_eq!(plan("2027-01-01T00:00"), "n3", "a person's word stands");

    assert!(!set(&["--plan", "n3", "--from", "2027-01-01"]).contains("replaced"), "the same again");
    let told = set(&["--plan", "n1"]);
    for gone in ["n2, «Ana», until 2027-01-01 00:00", "n3, «Ana», from 2027-01-01 00:00"] {
        assert!(told.contains(gone), "{gone} in {told}");
    }
    assert_eq!(site.json(&["customers", "show", "ana@cliente.example"]).as_array().unwrap().len(), 1);
}
