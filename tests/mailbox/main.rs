//! The daemon at its mailboxes: what servers, their other clients and their administrators do to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(clippy::disallowed_methods, reason = "it delivers mail now")]

use jiff::Timestamp;
use serde_json::Value;
use support::acuse::{PASSWORD, Site, SiteBuilder, USER};
use support::dovecot::{self, Dovecot};
use support::eventually;
use support::imap_peer::{self, ImapPeer};
use support::smtp_peer::{self, Fate, SmtpPeer};

#[path = "../support/mod.rs"]
mod support;

mod arriving;
mod disk;
mod ending;
mod neighbours;
mod orders;
mod past;
mod reload;
mod rescan;
mod servers;
mod settling;
mod spoilt;

/// Where mail goes that is done.
const DONE: &str = "Acuse/Procesados";

/// A mail server, a relay, and a site with a daemon on them.
struct Scene<Server> {
    server: Server,
    smtp: SmtpPeer,
    site: Site,
}

type OnDovecot = Scene<Dovecot>;
type OnPeer = Scene<ImapPeer>;

impl OnDovecot {
    /// A daemon that has enrolled an empty INBOX, and waits for IDLE alone to tell of mail.
    fn start() -> Self {
        Self::start_with(&dovecot::Options::default(), |builder| builder)
    }

    fn start_with(options: &dovecot::Options, adjust: impl FnOnce(SiteBuilder) -> SiteBuilder) -> Self {
        let mut scene = Self::prepare(options, adjust);
        scene.site.run();
        scene.wait_for_enrolment();
        scene
    }

    /// The same before the daemon runs.
    fn prepare(options: &dovecot::Options, adjust: impl FnOnce(SiteBuilder) -> SiteBuilder) -> Self {
        let server = Dovecot::start_with(options);
        let address = server.imap();
        Self::at(server, address, adjust)
    }

    fn deliver(&self, mail: &[u8]) {
        self.server.deliver(USER, mail);
    }
}

impl OnPeer {
    /// A daemon that has enrolled an empty INBOX, and waits for IDLE alone to tell of mail.
    fn start_with(options: imap_peer::Options, adjust: impl FnOnce(SiteBuilder) -> SiteBuilder) -> Self {
        let mut scene = Self::prepare(options, adjust);
        scene.site.run();
        scene.wait_for_enrolment();
        scene
    }

    /// The same before the daemon runs.
    fn prepare(options: imap_peer::Options, adjust: impl FnOnce(SiteBuilder) -> SiteBuilder) -> Self {
        let server = ImapPeer::start(options, USER, PASSWORD);
        let address = server.address();
        Self::at(server, address, adjust)
    }

    fn start() -> Self {
        let scene = Self::start_with(imap_peer::Options::default(), |builder| builder);
        scene.server.wait_for_idle(USER, "INBOX");
        scene
    }

    fn deliver(&self, mail: &[u8]) {
        self.server.deliver(USER, "INBOX", mail, Timestamp::now());
    }
}

/// Lays mails into the INBOX in one connection, faster than they could be delivered.
fn lay_in(server: &Dovecot, numbers: std::ops::RangeInclusive<usize>) {
    let mut colleague = server.client(USER);
    for n in numbers {
        colleague.append("INBOX", &support::outage(n), None);
    }
}

impl<Server> Scene<Server> {
    /// A site whose mailbox is at `imap`; polling is so rare that it finds nothing in a test.
    fn at(
        server: Server,
        imap: std::net::SocketAddr,
        adjust: impl FnOnce(SiteBuilder) -> SiteBuilder,
    ) -> Self {
        let smtp = SmtpPeer::start(smtp_peer::Options::default());
        let builder = Site::builder(imap, smtp.address()).set("mailbox.0.poll", "1h");
        let site = adjust(builder.set("limits.breaker_floor", 1_000_000)).init();
        Self { server, smtp, site }
    }

    /// Mail that is there before its first pass is not acknowledged (I18); so wait for it.
    fn wait_for_enrolment(&self) {
        eventually("the enrolment", || self.site.log().contains("enrolled").then_some(()));
    }

    /// Waits until so many mails were listed and each has its outcome; the counts of `db check` (I1).
    fn wait_for_outcomes(&self, mails: u64) -> Value {
        eventually(&format!("{mails} outcomes"), || {
            let check = self.site.json(&["db", "check"]);
            let done = check["listed"].as_u64() >= Some(mails) && check["pending"] == 0;
            done.then_some(()).or_else(|| {
                assert!(!self.site.log().contains("panicked"), "{}", self.site.log());
                None
            })
        });
        self.site.wait_until_sent();
        let check = self.site.assert_conserved();
        assert_eq!(check["listed"], mails, "{check:#}\n{}", self.site.log());
        check
    }

    /// Waits for so many outcomes and asserts how many of them are of each kind; what is not named is 0.
    fn expect(&self, outcomes: &[(&str, u64)]) {
        let check = self.wait_for_outcomes(outcomes.iter().map(|(_, mails)| mails).sum());
        for kind in ["opened", "appended", "duplicate", "ignored", "quarantined"] {
            let wanted = outcomes.iter().find(|(name, _)| *name == kind).map_or(0, |(_, mails)| *mails);
            assert_eq!(check[kind], wanted, "{kind}: {check:#}\n{}", self.site.log());
        }
    }

    /// Waits until nothing is to be listed again any more.
    fn wait_for_rescan(&self) {
        eventually("the rescan", || self.site.log().contains("rescanned:").then_some(()));
    }

    /// Waits until so many mails opened a ticket, and every mail has its outcome: the counts of `db check`. How often
    /// a mail was seen again by a rescan depends on who was faster.
    fn wait_for_opened(&self, mails: u64) -> Value {
        eventually(&format!("{mails} opened; log:\n{}", self.site.log()), || {
            let check = self.site.json(&["db", "check"]);
            (check["opened"].as_u64() >= Some(mails) && check["pending"] == 0).then_some(())
        });
        let check = self.site.assert_conserved();
        assert_eq!(check["opened"], mails, "{check:#}\n{}", self.site.log());
        check
    }

    /// To whom acknowledgements went, sorted.
    fn acknowledged(&self) -> Vec<String> {
        let taken = self.smtp.mails().into_iter().filter(|mail| mail.fate == Fate::Accepted);
        let mut to: Vec<_> = taken.map(|mail| mail.recipients[0].address.clone()).collect();
        to.sort();
        to
    }
}

/// The addresses of these customers, sorted.
fn customers(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    let mut addresses: Vec<_> = numbers.into_iter().map(support::customer).collect();
    addresses.sort();
    addresses
}
