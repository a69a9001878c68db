//! OAuth 2.0: a real Dovecot that takes access tokens, a relay that does, and an authorization server with its moods.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use support::acuse::{Site, SiteBuilder, USER};
use support::dovecot::{self, Dovecot};
use support::smtp_peer::{self, SmtpPeer};
use support::token_endpoint::TokenEndpoint;
use support::{eventually, outage};
use toml::Table;

mod support;

/// A mailbox on a real Dovecot that asks the endpoint about tokens.
struct Scene {
    endpoint: TokenEndpoint,
    dovecot: Dovecot,
    smtp: SmtpPeer,
    site: Site,
}

fn oauth(endpoint: &TokenEndpoint, more: &str) -> Table {
    let (token, device) = (endpoint.url("/token"), endpoint.url("/device"));
    format!("token_url = \"{token}\"\ndevice_url = \"{device}\"\nclient_id = \"acuse\"\n{more}")
        .parse()
        .unwrap()
}

/// In place of its password, the mailbox has what `more` says beside the endpoint's addresses.
fn with_oauth(builder: SiteBuilder, endpoint: &TokenEndpoint, more: &str) -> SiteBuilder {
    builder.without("mailbox.0.password_file").set("mailbox.0.oauth", oauth(endpoint, more))
}

impl Scene {
    fn prepare(more: &str) -> Self {
        Self::prepare_with(|builder, endpoint| with_oauth(builder, endpoint, more))
    }

    fn prepare_with(set: impl FnOnce(SiteBuilder, &TokenEndpoint) -> SiteBuilder) -> Self {
        let endpoint = TokenEndpoint::start(USER);
        let introspection = Some(endpoint.url("/introspect"));
        let dovecot = Dovecot::start_with(&dovecot::Options { introspection, ..Default::default() });
        let smtp = SmtpPeer::start(smtp_peer::Options::default());
        let site = set(Site::builder(dovecot.imap(), smtp.address()), &endpoint).write();
        site.give("client.secret", "hush");
        site.give("refresh.token", "refresh-0");
        site.text(&["init"]);
        Self { endpoint, dovecot, smtp, site }
    }

    /// Starts the daemon and waits until it has read the mailbox.
    fn run(&mut self) {
        let before = self.logins();
        self.site.run();
        eventually("a login by token", || (self.logins() > before).then_some(()));
    }

    fn logins(&self) -> usize {
        self.dovecot.log().matches("imap-login: Info: Login").count()
    }

    fn wait_for_log(&self, words: &str) {
        eventually(&format!("{words}; log:\n{}", self.site.log()), || {
            self.site.log().contains(words).then_some(())
        });
    }

    fn used(&self) -> Vec<String> {
        let refresh = |asked: support::token_endpoint::Asked| asked.field("refresh_token").map(str::to_owned);
        self.endpoint.asked().into_iter().filter_map(refresh).collect()
    }

    fn assert_silent(&self) {
        for secret in ["refresh-", "access-", "hush", "device-1"] {
            assert!(!self.site.log().contains(secret), "{secret}: {}", self.site.log());
        }
    }
}

const BROUGHT: &str = "refresh_token_file = \"refresh.token\"\nclient_secret_file = \"client.secret\"";

#[test]
fn a_mailbox_is_read_by_token_and_its_rotated_token_outlives_the_daemon() {
    let mut scene = Scene::prepare(BROUGHT);
    scene.run();
    scene.dovecot.deliver(USER, &outage(1));
    scene.site.wait_for_tickets(1);
    assert!(scene.site.stop().success());
    scene.run();
    scene.dovecot.deliver(USER, &outage(2));
    scene.site.wait_for_tickets(2);
    assert_eq!(scene.used()[..2], ["refresh-0", "refresh-1"]);
    assert_eq!(scene.endpoint.asked()[0].field("client_secret"), Some("hush"));
    let kept = scene.site.state_dir().join("tokens/mailbox.soporte");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    scene.assert_silent();
    scene.smtp.wait_for_mails(1);
}

#[test]
fn a_token_that_is_good_for_an_hour_is_asked_for_once_and_one_that_ended_anew() {
    let mut scene = Scene::prepare(BROUGHT);
    scene.run();
    let logins = scene.logins();
    scene.dovecot.drop_connections();
    eventually("another login", || (scene.logins() > logins).then_some(()));
    assert_eq!(scene.used(), ["refresh-0"], "the token still lasts");
    // revoked before its end: the server refuses it, and another is had at once
    scene.endpoint.revoke_access();
    let logins = scene.logins();
    scene.dovecot.drop_connections();
    eventually("a login with another token", || (scene.logins() > logins).then_some(()));
    assert_eq!(scene.used(), ["refresh-0", "refresh-1"]);
    assert!(!scene.site.log().contains("the mailbox is paused"), "{}", scene.site.log());
    scene.endpoint.set_lifetime(0);
    scene.endpoint.revoke_access();
    let logins = scene.logins();
    scene.dovecot.drop_connections();
    eventually("a login", || (scene.logins() > logins).then_some(()));
    let logins = scene.logins();
    scene.dovecot.drop_connections();
    eventually("one more", || (scene.logins() > logins).then_some(()));
    assert_eq!(scene.used().len(), 4, "a token without a lifetime serves one login");
    scene.assert_silent();
}

#[test]
fn trouble_of_the_endpoint_is_waited_out_and_a_refusal_pauses_the_mailbox() {
    let mut scene = Scene::prepare(BROUGHT);
    scene.endpoint.fault(503, "down");
    scene.endpoint.fault(200, "<html>sign in to the Wi-Fi</html>");
    scene.run();
    scene.wait_for_log("HTTP 503");
    scene.wait_for_log("the answer is no JSON");
    assert!(!scene.site.log().contains("the mailbox is paused"), "{}", scene.site.log());
    assert!(scene.site.stop().success());

    scene.endpoint.set_refresh("revoked");
    scene.site.start();
    scene.wait_for_log("the mailbox is paused");
    scene.wait_for_log(
        "invalid_grant: the token was used before; sign in anew: `acuse mailbox login soporte`",
    );
    eventually("the alert", || {
        let rows = scene.site.json(&["mailbox", "list"]);
        (rows[0]["state"] == "login_refused").then_some(())
    });
    // what the operator brings anew counts more than what is kept
    scene.endpoint.set_refresh("brought-anew");
    scene.site.give("refresh.token", "brought-anew");
    assert!(scene.site.stop().success());
    scene.run();
    scene.assert_silent();
}

#[test]
fn a_client_logs_in_by_its_own_right() {
    let mut scene = Scene::prepare(
        "grant = \"client_credentials\"\nclient_secret_file = \"client.secret\"\nscope = \"mail\"",
    );
    scene.run();
    let asked = scene.endpoint.asked();
    let fields: Vec<_> = asked[0].form.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(fields, ["grant_type", "client_id", "client_secret", "scope"]);
    assert!(!scene.site.state_dir().join("tokens").exists(), "there is nothing to keep");
}

#[test]
fn a_command_gives_the_token() {
    let mut scene = Scene::prepare_with(|builder, _| {
        let command = ["/bin/sh", "-c", "echo access-of-a-command; echo noise >&2"].map(toml::Value::from);
        builder.without("mailbox.0.password_file").set("mailbox.0.token_command", command.to_vec())
    });
    scene.endpoint.accept("access-of-a-command");
    scene.run();
    scene.dovecot.deliver(USER, &outage(1));
    scene.site.wait_for_tickets(1);
    assert!(!scene.site.log().contains("access-of-a-command"));
}

#[test]
fn a_person_signs_in_from_the_terminal() {
    let mut scene = Scene::prepare("");
    let check = scene.site.acuse(&["check"]);
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && said.contains("`acuse mailbox login soporte` does"), "{said}");
    scene.site.start();
    scene.wait_for_log("nobody has signed in yet: `acuse mailbox login soporte` does");
    assert!(scene.site.stop().success());

    scene.endpoint.set_pending(1);
    let said = scene.site.text(&["mailbox", "login", "soporte"]);
    assert!(said.contains("Open https://login.example/device on any device and type WDJB-MJHT"), "{said}");
    assert!(said.contains("is signed in"), "{said}");
    scene.run();
    assert_eq!(scene.used(), ["refresh-1"]);

    scene.endpoint.fault(400, r#"{"error":"unauthorized_client","error_description":"no device-1 here"}"#);
    let refused = scene.site.acuse(&["mailbox", "login", "soporte"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(78));
    assert!(said.contains("unauthorized_client") && said.contains("docs/oauth.md"), "{said}");
    scene.assert_silent();
}

#[test]
fn the_relay_is_signed_in_to_as_well() {
    for bearer in ["OAUTHBEARER", "XOAUTH2"] {
        let endpoint = TokenEndpoint::start(USER);
        let options = smtp_peer::Options {
            login: Some((USER, "access-2")),
            bearer: Some(bearer),
            ..smtp_peer::Options::default()
        };
        let (smtp, dovecot) = (SmtpPeer::start(options), Dovecot::start());
        let mut site = Site::builder(dovecot.imap(), smtp.address())
            .set("smtp.user", USER)
            .set("smtp.oauth", oauth(&endpoint, "refresh_token_file = \"refresh.token\""))
            .write();
        site.give("refresh.token", "refresh-0");
        site.text(&["init"]);
        site.run();
        eventually("the enrolment", || site.log().contains("enrolled").then_some(()));
        dovecot.deliver(USER, &outage(1));
        smtp.wait_for_mails(1);
        // access-1 was refused, and access-2 asked for at once
        assert_eq!(endpoint.asked().len(), 2, "{:?}", endpoint.asked());
        assert_eq!(smtp.offences(), [""; 0]);
        assert!(!site.log().contains("the relay cannot be used"), "{}", site.log());
    }
}

#[test]
fn wrong_settings_are_told_with_their_place() {
    let (endpoint, smtp) = (TokenEndpoint::start(USER), SmtpPeer::start(smtp_peer::Options::default()));
    for (more, want) in [
        ("token_url = \"http://login.example/token\"", "is no endpoint to send secrets to"),
        ("token_url = \"https://user@login.example/\"", "is no endpoint to send secrets to"),
        ("provider = \"yahoo\"", "`yahoo` is no provider that acuse knows"),
        ("provider = \"microsoft\"", "microsoft without a tenant"),
        ("provider = \"microsoft\"\ntenant = \"a/b\"", "microsoft without a tenant"),
        (
            "token_url = \"https://x.example\"\ngrant = \"password\"",
            "`password` is no grant that acuse knows",
        ),
        ("token_url = \"https://x.example\"\ngrant = \"client_credentials\"", "without a client_secret_file"),
        ("token_url = \"https://x.example\"\nrefresh_token_file = \"none\"", "cannot read"),
        ("", "oauth without a token_url"),
    ] {
        let table: Table = format!("client_id = \"acuse\"\n{more}").parse().unwrap();
        let builder = Site::builder(smtp.address(), smtp.address()).without("mailbox.0.password_file");
        let site = builder.set("mailbox.0.oauth", table).write();
        let check = site.acuse(&["check"]);
        let said = String::from_utf8_lossy(&check.stdout).into_owned();
        assert!(check.status.code() == Some(78) && said.contains(want), "{more}: {said}");
    }
    let both =
        Site::builder(smtp.address(), smtp.address()).set("mailbox.0.oauth", oauth(&endpoint, "")).write();
    let said = String::from_utf8_lossy(&both.acuse(&["check"]).stdout).into_owned();
    assert!(said.contains("more than one of password_file, oauth and token_command"), "{said}");
}
