//! Mail that cannot be read, is too large, or cannot even be fetched: the others of its batch go on (I2, I11).

use rusqlite::Connection;

use crate::support::acuse::{ADDRESS, USER};
use crate::support::dovecot::{Options, wait_for_mails};
use crate::support::imap_peer::Fault;
use crate::support::{customer, outage};
use crate::{DONE, OnDovecot, OnPeer, customers};

fn with_body(n: usize, content_type: &str, body: &str) -> Vec<u8> {
    format!(
        "From: {}\r\nTo: {ADDRESS}\r\nSubject: Caso {n}\r\nMessage-ID: <{n}@grande.example>\r\n\
         Content-Type: {content_type}\r\n\r\n{body}",
        customer(n)
    )
    .into_bytes()
}

#[test]
fn an_oversize_mail_is_a_ticket_and_stays_on_the_server() {
    for after in ["move", "delete"] {
        let scene = OnDovecot::start_with(&Options::default(), |builder| {
            builder.set("limits.max_size_mib", 1).set("mailbox.0.after", after)
        });
        let large = with_body(1, "text/plain", &"La página no carga.\r\n".repeat(60_000));
        scene.deliver(&large);
        scene.deliver(&outage(2));
        scene.expect(&[("opened", 2)]);
        let mut colleague = scene.server.client(USER);
        wait_for_mails(&scene.server, USER, "INBOX", 1);
        colleague.select("INBOX");
        assert!(colleague.fetch(1).ends_with(&large), "whole");
        assert_eq!(scene.acknowledged(), customers([1, 2]), "a person wrote it, and is answered");
    }
}

#[test]
fn a_mail_that_no_parser_bears_is_a_ticket_from_its_headers() {
    let mut scene = OnDovecot::start();
    scene.site.stop();
    let bomb = with_body(2, "message/rfc822", &"Content-Type: message/rfc822\r\n\r\n".repeat(30_000));
    let mut colleague = scene.server.client(USER);
    for mail in [outage(1), bomb, outage(3)] {
        colleague.append("INBOX", &mail, None);
    }
    scene.site.run();
    scene.expect(&[("opened", 3)]);
    assert_eq!(scene.acknowledged(), customers([1, 3]));
    wait_for_mails(&scene.server, USER, DONE, 3);
    let tickets = scene.site.tickets();
    assert!(tickets.iter().any(|ticket| ticket["requester"] == customer(2).as_str()), "{tickets:#?}");
}

/// Three mails in one batch, the second of which is never fetched.
fn second_is_unfetchable(fault: Fault) {
    let mut scene = OnPeer::start();
    scene.site.stop();
    (1..=3).for_each(|n| scene.deliver(&outage(n)));
    scene.server.fault("UID FETCH 1:3 BODY.PEEK[]", 1, fault.clone());
    scene.server.fault_always("UID FETCH 2 (UID INTERNALDATE BODY.PEEK[]", fault);
    scene.site.run();
    scene.expect(&[("opened", 2), ("quarantined", 1)]);
    assert_eq!(scene.acknowledged(), customers([1, 3]));
    let aside = scene.site.json(&["quarantine", "list"]);
    assert_eq!(aside[0]["reason"], "unfetchable", "{aside:#}");
    scene.server.wait_for_mails(USER, DONE, 2);
    let left: Vec<u32> = scene.server.messages(USER, "INBOX").iter().map(|mail| mail.uid).collect();
    assert_eq!(left, [2], "it stays on the server");
    assert_eq!(scene.server.offences(), [""; 0]);
}

#[test]
fn a_mail_whose_fetch_breaks_the_protocol_is_set_aside() {
    second_is_unfetchable(Fault::Raw(b"* 2 FETCH (UID 2 BODY[] {\r\n".to_vec()));
}

#[test]
fn a_mail_that_the_server_refuses_to_give_is_set_aside() {
    second_is_unfetchable(Fault::No("The message could not be converted"));
}

#[test]
fn a_mail_whose_fetch_ends_the_connection_is_set_aside() {
    let scene = OnPeer::start();
    scene.server.fault_always("UID FETCH 1 (UID INTERNALDATE BODY.PEEK[]", Fault::CutInLiteral(10));
    scene.deliver(&outage(1));
    scene.expect(&[("quarantined", 1)]);
    scene.deliver(&outage(2));
    scene.expect(&[("quarantined", 1), ("opened", 1)]);
}

#[test]
fn a_mail_that_the_server_lists_and_withholds_is_set_aside() {
    let scene = OnPeer::start();
    scene
        .server
        .fault_always("UID FETCH 1 (UID INTERNALDATE BODY.PEEK[]", Fault::Raw(b"{tag} OK\r\n".to_vec()));
    scene.deliver(&outage(1));
    scene.expect(&[("quarantined", 1)]);
    scene.deliver(&outage(2));
    scene.expect(&[("quarantined", 1), ("opened", 1)]);
}

#[test]
fn a_mail_withheld_once_is_fetched_at_the_second_try() {
    let scene = OnPeer::start();
    scene.server.fault("UID FETCH BODY.PEEK[]", 1, Fault::Raw(b"{tag} OK\r\n".to_vec()));
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
    assert_eq!(scene.acknowledged(), customers([1]));
}

#[test]
fn the_servers_own_trouble_is_not_held_against_a_mail() {
    let scene = OnPeer::start();
    for nth in 1..=2 {
        scene.server.fault("UID FETCH BODY.PEEK[]", nth, Fault::No("[UNAVAILABLE] storage is away"));
    }
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
    assert_eq!(scene.acknowledged(), customers([1]));
}

#[test]
fn a_mail_that_is_gone_before_it_is_fetched_is_accounted_for() {
    let mut scene = OnPeer::start();
    scene.site.stop();
    scene.deliver(&outage(1));
    scene.deliver(&outage(2));
    scene.server.fault("UID FETCH BODY.PEEK[]", 1, Fault::Close);
    scene.site.run();
    scene.server.wait_for("UID FETCH BODY.PEEK[]", 1);
    scene.server.remove(USER, "INBOX", 1);
    scene.expect(&[("opened", 1)]); // it was never claimed: the second listing is the first that counts
    assert_eq!(scene.acknowledged(), customers([2]));
}

#[test]
fn a_mail_that_cannot_be_stored_keeps_its_bytes_and_the_others_can_be_searched() {
    let mut scene = OnPeer::start();
    scene.site.stop();
    let database = Connection::open(scene.site.state_dir().join("acuse.db")).unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON message WHEN NEW.sender = '{}'
                  BEGIN SELECT RAISE(ABORT, 'refused'); END";
    database.execute_batch(&refuse.replace("{}", &customer(2))).unwrap();
    (1..=3).for_each(|n| scene.deliver(&outage(n))); // one batch
    scene.site.run();
    scene.expect(&[("opened", 2), ("quarantined", 1)]);
    let one = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let kept = "SELECT raw.size FROM quarantine JOIN raw ON hash = raw WHERE reason = 'store_failed' AND message IS NULL";
    assert_eq!(one(kept), outage(2).len() as i64);
    let found = "SELECT count(*) FROM message_text JOIN message ON message.id = message_text.rowid
                 WHERE message_text MATCH 'pagina'";
    assert_eq!(one(found), 2);
}
