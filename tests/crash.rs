//! The crash table of ARCHITECTURE.md, row by row, with a real kill -9 between the steps.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(clippy::disallowed_methods, reason = "it delivers mail now")]

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use support::acuse::{PASSWORD, Site, USER};
use support::imap_peer::{self, Fault, ImapPeer};
use support::smtp_peer::{self, Fate, SmtpPeer, Step};
use support::{customer, outage};

mod support;

const DONE: &str = "Acuse/Procesados";

/// A daemon that has enrolled its mailbox and waits for mail.
struct Scene {
    imap: ImapPeer,
    smtp: SmtpPeer,
    site: Site,
}

impl Scene {
    fn start() -> Self {
        let imap = ImapPeer::start(imap_peer::Options::default(), USER, PASSWORD);
        let smtp = SmtpPeer::start(smtp_peer::Options::default());
        let mut site = Site::builder(imap.address(), smtp.address()).init();
        site.run();
        imap.wait_for_idle(USER, "INBOX");
        Self { imap, smtp, site }
    }

    fn deliver(&self, mails: usize) {
        self.deliver_these(1..=mails);
    }

    fn deliver_these(&self, numbers: RangeInclusive<usize>) {
        for n in numbers {
            self.imap.deliver(USER, "INBOX", &outage(n), Timestamp::now());
        }
    }

    /// Starts the daemon again and proves that every mail became one ticket with one acknowledgement.
    fn recovers(mut self, mails: usize) -> Self {
        self.imap.no_faults();
        self.smtp.no_faults();
        self.site.run();
        self.recovers_running(mails)
    }

    fn recovers_running(self, mails: usize) -> Self {
        self.imap.wait_for_mails(USER, "INBOX", 0);
        self.site.wait_until_sent();
        assert_eq!(self.imap.messages(USER, DONE).len(), mails, "on the server; log:\n{}", self.site.log());
        let tickets = self.site.tickets();
        let requesters: BTreeSet<_> = tickets.iter().map(|ticket| ticket["requester"].to_string()).collect();
        assert_eq!((tickets.len(), requesters.len()), (mails, mails), "tickets");
        let check = self.site.assert_conserved();
        assert_eq!((&check["listed"], &check["opened"]), (&mails.into(), &mails.into()));
        for n in 1..=mails {
            let acks = self.smtp.mails_to(&customer(n));
            assert!(!acks.is_empty(), "no acknowledgement for {n}");
            assert!(acks.iter().all(|ack| ack.raw == acks[0].raw), "sent again, it is the same");
        }
        assert_eq!(self.imap.offences(), [""; 0]);
        assert_eq!(self.smtp.offences(), [""; 0]);
        self
    }

    fn acks(&self) -> usize {
        self.smtp.mails().iter().filter(|mail| !matches!(mail.fate, Fate::Refused(_))).count()
    }
}

#[test]
fn killed_while_fetching() {
    let mut scene = Scene::start();
    let fetches = scene.imap.count("UID FETCH BODY.PEEK[]");
    scene.imap.fault("UID FETCH BODY.PEEK[]", 1, Fault::Silent);
    scene.deliver(3);
    scene.imap.wait_for("UID FETCH BODY.PEEK[]", fetches + 1);
    scene.site.kill9();
    assert_eq!(scene.recovers(3).acks(), 3);
}

#[test]
fn killed_after_the_claim() {
    let mut scene = Scene::start();
    // The fetch brings nothing: the mail is claimed, and the daemon asks whether it is still there.
    scene.imap.fault("UID FETCH BODY.PEEK[]", 1, Fault::Raw(b"{tag} OK nothing\r\n".to_vec()));
    let listings = scene.imap.count("UID FETCH RFC822.SIZE");
    scene.imap.fault("UID FETCH RFC822.SIZE", 2, Fault::Silent);
    scene.deliver(1);
    scene.imap.wait_for("UID FETCH RFC822.SIZE", listings + 2);
    let pending = scene.site.json(&["db", "check"])["pending"].clone();
    scene.site.kill9();
    assert_eq!(pending, 1, "claimed");
    assert_eq!(scene.recovers(1).acks(), 1);
}

#[test]
fn killed_after_the_commit() {
    let mut scene = Scene::start();
    scene.imap.fault("UID MOVE", 1, Fault::Silent);
    scene.deliver(3);
    scene.imap.wait_for("UID MOVE", 1);
    scene.site.kill9();
    assert_eq!(scene.site.tickets().len(), 3, "on disk before anything is settled (I3)");
    assert_eq!(scene.imap.messages(USER, "INBOX").len(), 3);
    scene.recovers(3);
}

#[test]
fn killed_after_settling_unheard() {
    let mut scene = Scene::start();
    scene.imap.fault("UID MOVE", 1, Fault::CutAt(0));
    scene.imap.fault_always("LOGIN", Fault::Silent);
    scene.imap.fault_always("AUTHENTICATE", Fault::Silent);
    scene.deliver(3);
    scene.imap.wait_for_mails(USER, DONE, 3);
    scene.site.kill9();
    scene.recovers(3);
}

#[test]
fn killed_after_the_relay_took_the_mail() {
    let mut scene = Scene::start();
    scene.smtp.fault(Step::Dot, 1, smtp_peer::Fault::Silent);
    scene.deliver(1);
    let first = scene.smtp.wait_for_mails(1)[0].clone();
    assert_eq!(first.fate, Fate::Unanswered);
    scene.site.kill9();
    let scene = scene.recovers(1);
    assert_eq!(scene.acks(), 2, "once more, unchanged");
    assert_eq!(scene.smtp.mails()[1].message_id(), first.message_id());
}

#[test]
fn killed_at_any_time() {
    const KILLS: usize = 12;
    let mut scene = Scene::start();
    for kill in 0..KILLS {
        scene.deliver_these(kill * 5 + 1..=kill * 5 + 5);
        thread::sleep(Duration::from_millis(kill as u64 * 4));
        scene.site.kill9();
        scene.site.run();
    }
    let scene = scene.recovers_running(KILLS * 5);
    assert!(scene.acks() <= KILLS * 6, "at most one more for each kill, not {}", scene.acks() - KILLS * 5);
}
