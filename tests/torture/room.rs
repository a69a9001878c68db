//! A full disk: what cannot be stored stays where it is, and all goes on when there is room.

use std::sync::Arc;
use std::time::Instant;

use super::ledger::Ledger;
use super::support::acuse::USER;
use super::support::eventually;
use super::support::stage::{Stage, mail};
use super::{Dice, Progress, report, unlimited};

const BEFORE: usize = 10;
const DURING: usize = 20;

#[test]
fn with_a_full_disk_nothing_is_taken_in_and_with_room_all_goes_on() {
    let (seed, start) = (Dice::seed(), Instant::now());
    let (mut stage, disk) = Stage::on_disk(unlimited, |_, _| {});
    let disk = Arc::new(disk);
    for number in 0..BEFORE {
        stage.receive(&format!("ana@antes{number}.example"), "Servidor caído");
    }
    stage.wait_for_count(BEFORE as i64, "SELECT count(*) FROM outbox WHERE state = 'sent'");
    stage.imap.wait_for_idle(USER, "INBOX");

    // The disk is full when the relay has the next acknowledgement, and nobody can note that it does.
    let full = disk.clone();
    stage.smtp.on_mail(move |_| full.fill());
    stage.receive("luis@cliente.example", "Servidor caído");
    stage.smtp.wait_for_mails(BEFORE + 1);
    let waiting: Vec<_> = (0..DURING).map(|number| format!("ana@mientras{number}.example")).collect();
    for from in &waiting {
        stage.receive(from, "Servidor caído");
    }
    let says = |line: &str, times: usize| {
        let full =
            |log: &str| log.lines().filter(|said| said.contains(line) && said.contains("is full")).count();
        eventually(&format!("{times}× `{line}`"), || (full(&stage.site.log()) >= times).then_some(()));
    };
    says("the visit broke off; it is tried again", 2);
    says("the outbox cannot be used; it is tried again", 1);
    let there = stage.imap.messages(USER, "INBOX");
    for from in &waiting {
        let raw = mail(from, "Servidor caído");
        let mail = there.iter().find(|there| there.raw[..] == raw[..]).expect("it is where it came");
        assert!(mail.flags.is_empty(), "{mail:?}");
    }
    assert_eq!(stage.smtp.mails().len(), BEFORE + 1);
    assert!(disk.refused() > 0 && stage.site.is_running());

    stage.smtp.on_mail(|_| {});
    disk.heal();
    let all = BEFORE + 1 + DURING;
    Progress { site: &stage.site, smtp: &stage.smtp }.wait_for(all as i64);
    stage.assert_whole();
    assert_eq!(stage.count("SELECT count(DISTINCT requester) FROM ticket"), all as i64);
    assert_eq!(stage.count("SELECT count(*) FROM ticket"), all as i64);
    let tally = Ledger::default().assert_acknowledgements(&stage.site.state_dir(), &stage.smtp);
    assert_eq!((tally.acknowledged, tally.again), (all, 0));
    let did = format!(
        "{} writes refused, {DURING} mails waited in the inbox: 0 lost, 0 sent again",
        disk.refused()
    );
    report("disk full", seed, start, &did);
}
