//! The daemon and a relay that refuses, hangs up or falls silent: tickets go on, acknowledgements wait or end.
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
use support::acuse::{PASSWORD, Site, USER};

use support::imap_peer::{self, ImapPeer};
use support::smtp_peer::{self, Fault, SmtpPeer, Step};
use support::{eventually, outage};

mod support;

struct Scene {
    imap: ImapPeer,
    smtp: SmtpPeer,
    site: Site,
}

impl Scene {
    fn start(smtp: smtp_peer::Options) -> Self {
        let imap = ImapPeer::start(imap_peer::Options::default(), USER, PASSWORD);
        let logs_in = smtp.login.is_some();
        let smtp = SmtpPeer::start(smtp);
        let mut builder = Site::builder(imap.address(), smtp.address());
        if logs_in {
            builder = builder.set("smtp.user", USER).set("smtp.password_file", "imap.password");
        }
        let mut site = builder.init();
        site.run();
        imap.wait_for_idle(USER, "INBOX");
        Self { imap, smtp, site }
    }

    fn deliver(&self, n: usize) {
        self.imap.deliver(USER, "INBOX", &outage(n), Timestamp::now());
    }

    /// Waits until the first row has been tried and is in `state`.
    fn wait_for_row(&self, state: &str) -> Value {
        eventually(&format!("a row that is {state}; log:\n{}", self.site.log()), || {
            let row = self.site.outbox().into_iter().next()?;
            (row["state"] == state && row["attempts"].as_u64() >= Some(1) && !row["last_error"].is_null())
                .then_some(row)
        })
    }
}

fn with_login() -> smtp_peer::Options {
    smtp_peer::Options { login: Some((USER, PASSWORD)), ..smtp_peer::Options::default() }
}

#[test]
fn a_temporary_refusal_at_any_step_is_tried_again_later() {
    for step in Step::BEFORE_ACCEPTANCE {
        let scene = Scene::start(with_login());
        scene.smtp.fault_always(step, Fault::Reply("451 4.3.0 later"));
        scene.deliver(1);
        let row = scene.wait_for_row("due");
        let error = row["last_error"].as_str().unwrap_or_default();
        assert!(error.contains("451") && error.contains("later"), "{step:?}: {row:#}");
        let next: Timestamp = row["next_attempt"].as_str().unwrap().parse().unwrap();
        assert!(next > Timestamp::now(), "{step:?}: {row:#}");
    }
}

#[test]
fn a_refusal_of_the_mail_ends_it() {
    for step in [Step::Rcpt, Step::Data, Step::Dot] {
        let scene = Scene::start(smtp_peer::Options::default());
        scene.smtp.fault_always(step, Fault::Reply("550 5.1.1 nobody of that name"));
        scene.deliver(1);
        let row = scene.wait_for_row("refused");
        assert_eq!(row["attempts"], 1, "{step:?}: {row:#}");
        scene.deliver(2);
        assert_eq!(scene.site.wait_for_tickets(2).len(), 2, "{step:?}: tickets go on");
    }
}

#[test]
fn a_dropped_connection_at_any_step_loses_nothing() {
    for step in Step::BEFORE_ACCEPTANCE {
        let scene = Scene::start(with_login());
        scene.smtp.fault(step, 1, Fault::Drop);
        scene.deliver(1);
        let row = scene.wait_for_row("due");
        assert_eq!(row["attempts"], 1, "{step:?}: {row:#}");
        assert_eq!(scene.smtp.mails().len(), usize::from(step == Step::Dot), "{step:?}");
    }
}

#[test]
fn a_silent_relay_delays_no_ticket() {
    let scene = Scene::start(smtp_peer::Options::default());
    scene.smtp.fault_always(Step::Mail, Fault::Silent);
    scene.deliver(1);
    scene.smtp.wait_for("MAIL", 1);
    scene.deliver(2);
    scene.site.wait_for_tickets(2); // I11
    scene.imap.wait_for_mails(USER, "INBOX", 0);
}

#[test]
fn one_connection_carries_many_acknowledgements() {
    let scene = Scene::start(with_login());
    scene.smtp.fault(Step::Data, 1, Fault::Delay(std::time::Duration::from_millis(500)));
    (1..=20).for_each(|n| scene.deliver(n));
    let mails = scene.smtp.wait_for_mails(20);
    assert_eq!(scene.smtp.connections(), 1);
    assert!(mails.iter().all(|mail| mail.sender.is_empty()), "RFC 3834 §3.3");
    assert!(mails.iter().all(|mail| mail.recipients[0].parameters == ["NOTIFY=NEVER"]), "RFC 3461 §4.1");
    assert_eq!(scene.smtp.offences(), [""; 0]);
}
