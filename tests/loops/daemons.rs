//! The real daemon on real connections: another one, and a peer that answers everything.

use jiff::Timestamp;

use crate::support::acuse::{ADDRESS, SiteBuilder, USER};
use crate::support::eventually;
use crate::support::stage::{Stage, mail};

const OTHER: &str = "soporte@otro.example";

fn other(site: SiteBuilder) -> SiteBuilder {
    site.set("support.addresses", vec![OTHER]).set("smtp.from", format!("Soporte <{OTHER}>"))
}

#[test]
fn two_daemons_end_with_the_first_answer() {
    let (ours, theirs) = (Stage::open(|site| site), Stage::open(other));
    ours.receive(OTHER, "Servidor caído");
    let ack = ours.smtp.wait_for_mails(1).remove(0);
    assert_eq!(ack.recipients[0].address, OTHER);
    theirs.imap.deliver(USER, "INBOX", &ack.raw, Timestamp::now());
    theirs.wait_for_count(
        1,
        "SELECT count(*) FROM arrival WHERE outcome = 'ignored' AND reason = 'auto_reply'",
    );
    theirs.assert_whole();
    ours.assert_whole();
    assert_eq!((ours.smtp.mails().len(), theirs.smtp.mails().len()), (1, 0));
}

#[test]
fn a_daemon_falls_silent_towards_who_answers_everything() {
    let ours = Stage::open(|site| site);
    let per_hour = 5;
    ours.receive("eco@eco.example", "Servidor 0 caído");
    for answered in 1..=per_hour {
        ours.smtp.wait_for_mails(answered);
        let fresh = mail("eco@eco.example", &format!("Servidor {answered} caído"));
        ours.imap.deliver(USER, "INBOX", &fresh, Timestamp::now());
    }
    eventually("the cap", || {
        let silent =
            "SELECT count(*) FROM event WHERE kind = 'silent' AND detail ->> 'because' = 'cap_address_hour'";
        (ours.count(silent) == 1).then_some(())
    });
    ours.assert_whole();
    assert_eq!(ours.smtp.mails_to("eco@eco.example").len(), per_hour);
    assert!(
        ours.smtp.mails().iter().all(|mail| mail.header("From").is_some_and(|from| from.contains(ADDRESS)))
    );
}
