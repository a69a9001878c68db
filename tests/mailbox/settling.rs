//! What the server shows of a mail that is done; that nothing shows before the commit is `l02` of `tests/ledger.rs`.

use crate::support::acuse::USER;
use crate::support::dovecot::{Options, wait_for_mails};
use crate::support::imap_peer::{self, Fault};
use crate::support::{eventually, fixture, outage};
use crate::{DONE, OnDovecot, OnPeer};

fn after(after: &'static str) -> OnDovecot {
    OnDovecot::start_with(&Options::default(), |builder| builder.set("mailbox.0.after", after))
}

#[test]
fn a_moved_mail_is_in_the_folder_of_its_impact() {
    let scene = OnDovecot::start_with(&Options::default(), |builder| {
        builder.set("mailbox.0.move_to", "Acuse/{impact}")
    });
    for name in ["outage-es", "password-reset-en", "nothing-matches-es", "vacation-es", "newsletter-es"] {
        scene.deliver(&fixture(&format!("{name}.eml")));
    }
    scene.expect(&[("opened", 3), ("ignored", 1), ("quarantined", 1)]);
    for folder in ["Acuse/Alto", "Acuse/Medio", "Acuse/Bajo", "Acuse/Otros", "Acuse/Cuarentena"] {
        wait_for_mails(&scene.server, USER, folder, 1);
    }
    wait_for_mails(&scene.server, USER, "INBOX", 0);
}

#[test]
fn a_flagged_mail_stays_and_is_not_taken_in_again() {
    let mut scene = after("flag");
    scene.deliver(&outage(1));
    scene.deliver(&fixture("newsletter-es.eml"));
    scene.expect(&[("opened", 1), ("quarantined", 1)]);
    let mut colleague = scene.server.client(USER);
    eventually("two flags", || {
        let listed = colleague.list("INBOX");
        (listed.len() == 2 && listed.iter().all(|mail| mail.flags == ["$AcuseDone"])).then_some(())
    });
    scene.site.stop();
    scene.site.run();
    scene.deliver(&outage(2));
    scene.expect(&[("opened", 2), ("quarantined", 1)]);
}

#[test]
fn a_deleted_mail_is_gone_unless_it_waits_for_a_person() {
    let scene = after("delete");
    scene.deliver(&outage(1));
    scene.deliver(&fixture("newsletter-es.eml"));
    scene.expect(&[("opened", 1), ("quarantined", 1)]);
    wait_for_mails(&scene.server, USER, "INBOX", 0);
    wait_for_mails(&scene.server, USER, "Acuse/Cuarentena", 1);
    assert_eq!(scene.server.client(USER).folders(), ["Acuse", "Acuse/Cuarentena", "INBOX"]);
}

#[test]
fn a_kept_mail_shows_no_trace_of_us() {
    let scene = after("keep");
    let mut colleague = scene.server.client(USER);
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
    scene.deliver(&outage(2));
    scene.expect(&[("opened", 2)]);
    let listed = colleague.list("INBOX");
    assert!(listed.len() == 2 && listed.iter().all(|mail| mail.flags.is_empty()), "{listed:?}");
    assert_eq!(colleague.folders(), ["INBOX"]);
}

#[test]
fn without_keywords_a_mail_is_flagged_seen() {
    let options = imap_peer::Options { keywords: false, ..imap_peer::Options::default() };
    let scene = OnPeer::start_with(options, |builder| builder.set("mailbox.0.after", "flag"));
    scene.deliver(&outage(1));
    scene.server.wait_for("UID STORE", 1);
    scene.server.wait_for_idle(USER, "INBOX");
    assert!(scene.server.messages(USER, "INBOX")[0].has("\\Seen"));
}

#[test]
fn a_refused_move_is_tried_again_at_the_next_pass() {
    let scene = OnPeer::start();
    scene.server.fault("UID MOVE", 1, Fault::No("[OVERQUOTA] the folder is full"));
    scene.deliver(&outage(1));
    scene.expect(&[("opened", 1)]);
    scene.server.wait_for_idle(USER, "INBOX");
    scene.deliver(&outage(2));
    scene.server.wait_for_mails(USER, DONE, 2);
    scene.expect(&[("opened", 2)]);
}

#[test]
fn without_move_a_refused_delete_makes_no_copies() {
    for (refused, copies, left) in [("UID STORE", 0, ""), ("UID EXPUNGE", 1, "\\Deleted")] {
        let options = imap_peer::Options { r#move: false, ..imap_peer::Options::default() };
        let scene = OnPeer::start_with(options, |builder| builder.set("mailbox.0.poll", "1s"));
        scene.server.fault_always(refused, Fault::No("[NOPERM] you may not delete"));
        scene.deliver(&outage(1));
        scene.server.wait_for(refused, 1);
        scene.server.wait_for_idle(USER, "INBOX");
        scene.deliver(&outage(2));
        scene.server.wait_for(refused, 2);
        scene.server.wait_for_idle(USER, "INBOX");
        let copied = scene.server.messages(USER, DONE);
        assert_eq!(copied.len(), 2 * copies, "{refused}: {copied:?}");
        assert!(copied.iter().all(|mail| mail.flags.is_empty()), "{copied:?}");
        for mail in scene.server.messages(USER, "INBOX") {
            assert_eq!(mail.flags.iter().map(String::as_str).collect::<String>(), left);
        }
    }
}
