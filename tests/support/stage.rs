//! A daemon that watches an empty mailbox, between an IMAP peer and an SMTP peer; its database is open to the test.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::acuse::{ADDRESS, PASSWORD, Site, SiteBuilder, USER};
use super::disk::Disk;
use super::imap_peer::{self, ImapPeer};
use super::smtp_peer::{self, Mail, SmtpPeer};
use super::{PATIENCE, eventually, within};

/// The daemon and its two servers.
pub struct Stage {
    pub imap: ImapPeer,
    pub smtp: SmtpPeer,
    pub site: Site,
}

/// A row of the outbox.
#[derive(Debug)]
pub struct Row {
    pub id: i64,
    pub kind: String,
    pub state: String,
    pub attempts: u32,
    /// Unix milliseconds.
    pub next_attempt: i64,
    pub last_error: Option<String>,
    pub message_id: String,
    pub bytes: Vec<u8>,
}

impl Stage {
    /// Starts the daemon; what is deferred goes out again after a second.
    pub fn open(set: impl FnOnce(SiteBuilder) -> SiteBuilder) -> Self {
        Self::with_relay(smtp_peer::Options::default(), set)
    }

    /// The same with a relay of another kind.
    pub fn with_relay(options: smtp_peer::Options, set: impl FnOnce(SiteBuilder) -> SiteBuilder) -> Self {
        Self::between(imap_peer::Options::default(), options, set, |_| {})
    }

    /// The same with a mail server of another kind.
    pub fn on(options: imap_peer::Options, set: impl FnOnce(SiteBuilder) -> SiteBuilder) -> Self {
        Self::between(options, smtp_peer::Options::default(), set, |_| {})
    }

    /// The same on a disk and a clock of the test's own, which are set before the daemon starts.
    pub fn on_disk(
        set: impl FnOnce(SiteBuilder) -> SiteBuilder,
        prepare: impl FnOnce(&mut Site, &Disk),
    ) -> (Self, Disk) {
        let mut disk = None;
        let (server, relay) = (imap_peer::Options::default(), smtp_peer::Options::default());
        let stage = Self::between(server, relay, set, |site| {
            let under = Disk::under(&site.state_dir());
            under.environment(false).into_iter().for_each(|(name, value)| site.set_env(name, value));
            prepare(site, &under);
            disk = Some(under);
        });
        (stage, disk.expect("it was laid under the site"))
    }

    fn between(
        server: imap_peer::Options,
        relay: smtp_peer::Options,
        set: impl FnOnce(SiteBuilder) -> SiteBuilder,
        prepare: impl FnOnce(&mut Site),
    ) -> Self {
        let imap = ImapPeer::start(server, USER, PASSWORD);
        let smtp = SmtpPeer::start(relay);
        let builder = Site::builder(imap.address(), smtp.address()).set("smtp.retry", vec!["1s"]);
        let mut site = set(builder).init();
        prepare(&mut site);
        site.run();
        imap.wait_for_idle(USER, "INBOX"); // enrolled: what comes now is acknowledged
        Self { imap, smtp, site }
    }

    /// A customer's mail arrives now; its UID.
    pub fn receive(&self, from: &str, subject: &str) -> u32 {
        self.receive_at(from, subject, Timestamp::now())
    }

    pub fn receive_at(&self, from: &str, subject: &str, received: Timestamp) -> u32 {
        self.imap.deliver(USER, "INBOX", &mail(from, subject), received)
    }

    pub fn database(&self) -> Connection {
        let connection = Connection::open(self.site.state_dir().join("acuse.db")).expect("the database");
        connection.busy_timeout(PATIENCE).expect("patience");
        connection
    }

    /// The one number that a query yields.
    pub fn count(&self, sql: &str) -> i64 {
        self.database().query_row(sql, [], |row| row.get(0)).expect("a number")
    }

    /// Waits until a query yields this number.
    pub fn wait_for_count(&self, number: i64, sql: &str) {
        let database = self.database();
        let found = || database.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
        if within(PATIENCE, || (found() == number).then_some(())).is_none() {
            panic!("{} for {number} of {sql}; log:\n{}", found(), self.site.log());
        }
    }

    pub fn wait_for_tickets(&self, tickets: i64) {
        self.wait_for_count(tickets, "SELECT count(*) FROM ticket");
    }

    /// The outbox row to an address, once it is as the SQL condition asks.
    pub fn row(&self, to: &str, condition: &str) -> Row {
        let database = self.database();
        let sql = format!(
            "SELECT id, kind, state, attempts, next_attempt, last_error, message_id, bytes
             FROM outbox JOIN letter ON outbox = id WHERE recipient = ?1 AND {condition}"
        );
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Row {
                id: row.get(0)?,
                kind: row.get(1)?,
                state: row.get(2)?,
                attempts: row.get(3)?,
                next_attempt: row.get(4)?,
                last_error: row.get(5)?,
                message_id: row.get(6)?,
                bytes: row.get(7)?,
            })
        };
        let row = within(PATIENCE, || database.query_row(&sql, [to], read).optional().expect("a row"));
        row.unwrap_or_else(|| {
            panic!("no row to {to} with {condition}: {:#?}; log:\n{}", self.site.outbox(), self.site.log())
        })
    }

    pub fn in_state(&self, to: &str, state: &str) -> Row {
        self.row(to, &format!("state = '{state}'"))
    }

    /// The outbox row to an address, once an attempt has failed and the next waits.
    pub fn deferred(&self, to: &str) -> Row {
        self.row(to, "state = 'due' AND attempts > 0")
    }

    /// How many attempts for a row were logged as deferred.
    pub fn deferrals(&self, row: &Row) -> usize {
        let log = self.site.log();
        log.lines().filter(|line| line.contains("deferred") && line.contains(&row.message_id)).count()
    }

    /// Starts the daemon again after its end, both servers at their best, and waits until it has looked at
    /// everything.
    pub fn restart(&mut self) {
        self.imap.no_faults();
        self.smtp.no_faults();
        self.imap.release();
        let idled = self.imap.count("IDLE");
        self.site.run();
        self.imap.wait_for("IDLE", idled + 1);
    }

    /// Asserts that everything that arrived has its outcome and left the inbox (I1), and that neither server was
    /// told anything it should not be.
    pub fn assert_whole(&self) {
        self.imap.wait_for_mails(USER, "INBOX", 0);
        eventually("everything settled", || {
            (self.count("SELECT count(*) FROM arrival WHERE settled = 0") == 0).then_some(())
        });
        self.site.assert_conserved();
        assert_eq!(self.smtp.offences(), [""; 0]);
        assert_eq!(self.imap.offences(), [""; 0]);
    }
}

impl Row {
    /// Asserts that all these copies are this row's one mail: its bytes under its Message-ID (I5).
    pub fn assert_copies(&self, copies: &[Mail]) {
        for copy in copies {
            assert!(copy.raw == self.bytes, "an acknowledgement changed between two attempts");
            assert_eq!(copy.message_id().as_ref(), Some(&self.message_id));
        }
    }
}

/// A customer's mail about an outage: high impact.
pub fn mail(from: &str, subject: &str) -> Vec<u8> {
    let id: String = format!("{subject}.{from}").chars().filter(char::is_ascii_alphanumeric).collect();
    format!(
        "From: {from}\r\nTo: <{ADDRESS}>\r\nSubject: {subject}\r\nMessage-ID: <{id}@mua.example>\r\n\
         Date: Wed, 16 Sep 2026 09:00:00 -0500\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
         Buenos días, el servidor está caído y mi página web no carga.\r\n"
    )
    .into_bytes()
}
