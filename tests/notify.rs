//! What reaches a person: the real daemon between an IMAP peer and an SMTP peer tells staff what happened, once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test, whose mails arrive now"
)]

use jiff::Timestamp;
use support::acuse::{ADDRESS, PASSWORD, Site, SiteBuilder, USER};
use support::eventually;
use support::imap_peer::{self, ImapPeer};
use support::smtp_peer::{self, Fault, Mail, SmtpPeer, Step};
use support::stage::Stage;

mod support;

const GUARD: &str = "guardia@mihost.example";
/// The time between two mails to one person is over.
const WAIT_IS_OVER: &str = "UPDATE notified SET at = at - 600000";
const SENT: &str = "SELECT count(*) FROM outbox WHERE kind = 'notify' AND state = 'sent'";

/// A site that tells these people of these topics.
fn telling(people: &[&str], on: &[&str]) -> impl FnOnce(SiteBuilder) -> SiteBuilder {
    let list = |words: &[&str]| toml::Value::Array(words.iter().map(|word| (*word).into()).collect());
    let mut notify = toml::Table::from_iter([("mail".to_owned(), list(people))]);
    if !on.is_empty() {
        notify.insert("on".to_owned(), list(on));
    }
    move |site| site.set("notify", vec![toml::Value::Table(notify)])
}

/// The notifications that the relay took, once there are so many.
fn told(stage: &Stage, mails: usize) -> Vec<Mail> {
    eventually(&format!("{mails} notifications; log:\n{}", stage.site.log()), || {
        Some(stage.smtp.mails_to(GUARD)).filter(|told| told.len() >= mails)
    })
}

fn subject(mail: &Mail) -> String {
    acuse::mail::parse(&mail.raw).subject
}

fn text(mail: &Mail) -> String {
    acuse::mail::parse(&mail.raw).text
}

#[test]
fn high_impact_reaches_a_person_at_once_and_our_own_mail_opens_nothing() {
    let stage = Stage::open(telling(&[GUARD], &[]));
    stage.receive("ana@cliente.example", "Servidor caído con la clave hunter2");
    let [mail] = &told(&stage, 1)[..] else { panic!("one notification") };
    assert!(subject(mail).starts_with("[ACU-1] impacto alto: "), "{}", subject(mail));
    for said in ["ana@cliente.example", "acuse tickets show ACU-1", "Nivel 1"] {
        assert!(text(mail).contains(said), "{}", text(mail));
    }
    assert!(
        !text(mail).contains("hunter2") && !subject(mail).contains("hunter2"),
        "nothing that the customer wrote"
    );
    assert_eq!((mail.sender.as_str(), mail.recipients.len()), ("", 1));
    assert_eq!(mail.header("Auto-Submitted").as_deref(), Some("auto-generated"));
    assert!(mail.header("X-Acuse-Loop").is_some());

    // a colleague's forwarding rule lays it back; and a colleague answers it
    stage.imap.deliver(USER, "INBOX", &mail.raw, Timestamp::now());
    stage.wait_for_count(1, "SELECT count(*) FROM arrival WHERE outcome = 'ignored' AND reason = 'own_mail'");
    assert_eq!(stage.count("SELECT count(*) FROM ticket"), 1);
    let answer = format!(
        "From: <{GUARD}>\r\nTo: <{ADDRESS}>\r\nSubject: Re: {}\r\nMessage-ID: <re@mua.example>\r\n\
         In-Reply-To: <{}>\r\n\r\nLo miro.\r\n",
        "[ACU-1] impacto alto",
        mail.message_id().unwrap()
    );
    stage.imap.deliver(USER, "INBOX", answer.as_bytes(), Timestamp::now());
    stage.wait_for_tickets(2);
    assert_eq!(
        stage.count("SELECT count(*) FROM promise WHERE ticket = 1 AND ended IS NULL"),
        1,
        "no answer to the customer"
    );
    stage.assert_whole();
    let row = &stage.site.outbox().into_iter().find(|row| row["kind"] == "notify").unwrap();
    assert!(row["ticket"].is_null(), "{row:#}");
    assert!(stage.site.text(&["outbox", "show", &row["id"].to_string()]).contains("notification  guardia@"));
}

#[test]
fn whatever_is_promised_around_the_clock_reaches_a_person_and_business_hours_do_not() {
    let stage = Stage::open(telling(&[GUARD], &["high_impact"]));
    stage.site.text(&["customers", "set", "premium@cliente.example", "--plan", "n3"]);
    for from in ["luis@cliente.example", "premium@cliente.example"] {
        let mail = format!(
            "From: <{from}>\r\nTo: <{ADDRESS}>\r\nSubject: Consulta\r\nMessage-ID: <1.{from}>\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\nNecesito restablecer la contraseña de mi correo.\r\n"
        );
        stage.imap.deliver(USER, "INBOX", mail.as_bytes(), Timestamp::now());
    }
    let [mail] = &told(&stage, 1)[..] else { panic!("one notification") };
    assert!(subject(mail).contains("impacto bajo: "), "{}", subject(mail));
    assert!(text(mail).contains("premium@") && !text(mail).contains("luis@"), "{}", text(mail));
    stage.wait_for_tickets(2);
    assert_eq!(stage.count("SELECT count(*) FROM news"), 1);
}

#[test]
fn fifty_tickets_in_a_minute_are_two_mails() {
    let stage = Stage::open(|site| {
        telling(&[GUARD], &["high_impact"])(site)
            .set("limits.per_hour", 1)
            .set("limits.per_domain_hour", 1000)
    });
    stage.receive("c0@cliente0.example", "Servidor caído");
    told(&stage, 1); // the pace holds back acknowledgements, and no notification
    for number in 1..50 {
        stage.receive(&format!("c{number}@cliente{number}.example"), "Servidor caído");
    }
    stage.wait_for_tickets(50);
    assert_eq!(stage.count(SENT), 1);
    stage.database().execute(WAIT_IS_OVER, []).unwrap();
    let mails = told(&stage, 2);
    assert_eq!(subject(&mails[1]), "[acuse] 49 avisos: 49 urgentes");
    assert!(text(&mails[1]).contains("Y otros 9: acuse tickets list"), "{}", text(&mails[1]));
    stage.wait_for_count(2, SENT);
    assert_eq!(stage.smtp.mails_to(GUARD).len(), 2);
    stage.assert_whole();
}

#[test]
fn a_refused_login_is_told_and_so_is_its_end() {
    let stage = Stage::open(telling(&[GUARD], &["login_refused"]));
    stage.imap.set_password(USER, "changed");
    stage.imap.drop_connections();
    let mails = told(&stage, 1);
    assert_eq!(subject(&mails[0]), "[acuse] inicio de sesión rechazado: soporte/INBOX");
    assert!(!text(&mails[0]).contains(PASSWORD), "{}", text(&mails[0]));
    stage.imap.set_password(USER, PASSWORD);
    stage.site.text(&["mailbox", "pause", "soporte"]);
    eventually("the pause", || stage.site.log().contains("paused the mailbox").then_some(()));
    stage.site.text(&["mailbox", "resume", "soporte"]); // it need not wait for the next try
    stage.wait_for_count(1, "SELECT count(*) FROM alert WHERE kind = 'login_refused' AND ended IS NOT NULL");
    let late = format!("UPDATE alert SET ended = ended - 60000; {WAIT_IS_OVER}");
    stage.database().execute_batch(&late).unwrap();
    let mails = told(&stage, 2);
    assert!(text(&mails[1]).starts_with("Se resolvió: inicio de sesión rechazado"), "{}", text(&mails[1]));
    assert_eq!(stage.count("SELECT count(*) FROM news"), 2);
}

#[test]
fn what_a_pipe_delivers_before_the_first_start_is_told_at_the_first_start() {
    let (imap, smtp) = (
        ImapPeer::start(imap_peer::Options::default(), USER, PASSWORD),
        SmtpPeer::start(smtp_peer::Options::default()),
    );
    let builder = Site::builder(imap.address(), smtp.address());
    let mut site = telling(&[GUARD], &["high_impact"])(builder).init();
    let mail = site.directory().join("mail.eml");
    std::fs::write(&mail, support::outage(1)).unwrap();
    site.text(&["ingest", mail.to_str().unwrap()]);
    site.run();
    let told = eventually("the notification", || Some(smtp.mails_to(GUARD)).filter(|told| !told.is_empty()));
    assert!(subject(&told[0]).starts_with("[ACU-1] impacto alto: "), "{}", subject(&told[0]));
}

#[test]
fn killed_between_commit_and_sending_it_is_told_once() {
    let mut stage = Stage::open(telling(&[GUARD], &["high_impact"]));
    stage.smtp.fault_always(Step::Connect, Fault::Silent);
    stage.receive("ana@cliente.example", "Servidor caído");
    stage.wait_for_count(1, "SELECT count(*) FROM news");
    stage.site.kill9();
    assert_eq!(stage.smtp.mails_to(GUARD).len(), 0);
    stage.restart();
    told(&stage, 1);
    stage.wait_for_count(1, SENT);
    stage.site.kill9();
    stage.restart();
    stage.receive("luis@cliente.example", "Servidor caído");
    stage.in_state("luis@cliente.example", "sent");
    assert_eq!(stage.smtp.mails_to(GUARD).len(), 1, "the second ticket waits for its turn");
    stage.assert_whole();
}

#[test]
fn a_deleted_ticket_is_gone_from_notifications_and_the_others_are_told() {
    let stage = Stage::open(telling(&[GUARD], &["high_impact"]));
    stage.smtp.fault_always(Step::Connect, Fault::Silent);
    stage.receive("ana@cliente.example", "Servidor caído");
    stage.row(GUARD, "state = 'due'");
    stage.site.text(&["tickets", "delete", "ACU-1", "--yes"]);
    assert_eq!(stage.count("SELECT count(*) FROM outbox WHERE kind = 'notify'"), 0);
    stage.smtp.no_faults();
    stage.smtp.drop_connections();
    stage.receive("luis@cliente.example", "Servidor caído");
    let mails = told(&stage, 1);
    assert!(!text(&mails[0]).contains("ana@") && text(&mails[0]).contains("luis@"), "{}", text(&mails[0]));
    stage.wait_for_count(1, SENT);
    stage.site.text(&["tickets", "delete", "ACU-2", "--yes"]);
    assert_eq!(
        stage.count("SELECT sum(length(bytes)) FROM letter JOIN outbox ON id = outbox WHERE kind = 'notify'"),
        0
    );
    stage.assert_whole();
}

#[test]
fn check_misses_whoever_is_to_be_told_and_refuses_a_loop() {
    let nowhere = "127.0.0.1:9".parse().unwrap();
    let check = |site: &Site| {
        let output = site.acuse(&["check"]);
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let missing = "nobody is notified";
    assert!(check(&Site::builder(nowhere, nowhere).write()).contains(missing));
    let told = check(&telling(&[GUARD], &[])(Site::builder(nowhere, nowhere)).write());
    assert!(!told.contains(missing) && told.contains("good: "), "{told}");
    assert!(
        check(&telling(&[GUARD], &["quarantine"])(Site::builder(nowhere, nowhere)).write()).contains(missing)
    );
    // high impact in business hours alone leaves the premium plan's promises
    let site = Site::builder(nowhere, nowhere).write();
    let local = site.directory().join("rules");
    std::fs::create_dir_all(&local).unwrap();
    let plans: String = ["n1", "n2", "n3"]
        .map(|plan| format!("[plan.{plan}]\nhigh = {{ upto = \"1h\", clock = \"business\" }}\n"))
        .concat();
    std::fs::write(local.join("plans.toml"), plans).unwrap();
    assert!(check(&site).contains(missing), "{}", check(&site));
    let wrong = telling(&["Soporte+x@mihost.example", GUARD, GUARD], &["everything"]);
    let told = check(&wrong(Site::builder(nowhere, nowhere)).write());
    let nothing = toml::Table::from_iter([("on".to_owned(), toml::Value::Array(Vec::new()))]);
    let both = check(
        &Site::builder(nowhere, nowhere).set("notify", vec![toml::Value::Table(nothing.clone())]).write(),
    );
    assert!(
        both.contains("[[notify]] names nobody") && both.contains("[[notify]] tells of nothing"),
        "{both}"
    );
    let single = check(&Site::builder(nowhere, nowhere).set("notify", toml::Value::Table(nothing)).write());
    assert!(single.contains("two brackets"), "{single}");
    for message in ["would be a loop", "names `guardia@mihost.example` twice", "`everything` is none of"] {
        assert!(told.contains(message), "{message}: {told}");
    }
}
