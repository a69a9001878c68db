//! Logins by access token.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::config::Proof;
use crate::oauth::sasl::Mechanism;
use crate::tokens::{Account, Source, Tokens};

/// A login whose tokens are `first`, and `second` once that is refused.
fn by_token(directory: &Path, tokens: [&str; 2]) -> Login {
    let script = format!(
        "test -e {0} && echo {2} || {{ touch {0}; echo {1}; }}",
        directory.join("asked").display(),
        tokens[0],
        tokens[1]
    );
    let command = ["/bin/sh".to_owned(), "-c".to_owned(), script];
    let tokens = Tokens::new(Account::Relay, Source::Command(command.to_vec()), directory);
    Login { user: "soporte".to_owned(), proof: Proof::Token(Arc::new(tokens)) }
}

#[tokio::test]
async fn a_token_goes_by_the_best_mechanism_with_and_without_sasl_ir() {
    let bearer =
        |port: u16| Mechanism::OAuthBearer.initial("soporte", "127.0.0.1", port, &"t0ken".into()).to_string();
    let older =
        |port: u16| Mechanism::XOAuth2.initial("soporte", "127.0.0.1", port, &"t0ken".into()).to_string();
    for (offered, initial) in [
        ("AUTH=XOAUTH2 AUTH=OAUTHBEARER SASL-IR", true),
        ("AUTH=XOAUTH2 AUTH=OAUTHBEARER", false),
        ("AUTH=XOAUTH2 AUTH=PLAIN SASL-IR", true),
        ("AUTH=PLAIN AUTH=XOAUTH2", false),
    ] {
        let is_bearer = offered.contains("OAUTHBEARER");
        let name = if is_bearer { "OAUTHBEARER" } else { "XOAUTH2" };
        let asks = if initial { "" } else { "S + \nC \n" };
        let script = format!(
            "S * OK [CAPABILITY IMAP4rev1 {offered}] hello\nC AUTHENTICATE {name}\n{asks}S a1 OK in\n\
             C CAPABILITY\nS * CAPABILITY IMAP4rev1 IDLE\nS {{tag}} OK\nX"
        );
        let directory = tempfile::tempdir().unwrap();
        let (mut server, task) = peer(script).await;
        server.login = Some(by_token(directory.path(), ["t0ken", "other"]));
        let words = if is_bearer { bearer(server.port) } else { older(server.port) };
        assert!(Session::open(&server, &Trust::default(), QUICK).await.unwrap().idles(), "{offered}");
        let heard = task.await.unwrap();
        let said = if initial {
            vec![format!("a1 AUTHENTICATE {name} {words}")]
        } else {
            vec![format!("a1 AUTHENTICATE {name}"), words]
        };
        assert_eq!(heard[..said.len()], said, "{offered}");
    }
}

#[tokio::test]
async fn a_refused_token_is_told_with_its_challenge_after_another_was_tried() {
    let challenge = STANDARD.encode(r#"{"status":"invalid_token","scope":"mail"}"#);
    for (name, answer) in [("OAUTHBEARER", "AQ=="), ("XOAUTH2", "")] {
        let script = format!(
            "S * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH={name}] hello\nC AUTHENTICATE {name}\nS + {challenge}\nC {answer}\n\
             S a1 NO [AUTHENTICATIONFAILED] not with second\nX"
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut server = server(listener.local_addr().unwrap().port());
        server.login = Some(by_token(directory.path(), ["first", "second"]));
        let task = tokio::spawn(async move {
            let mut heard = Vec::new();
            for _ in 0..2 {
                heard.push(play(script.clone(), listener.accept().await.unwrap().0).await);
            }
            heard
        });
        let refused = Session::open(&server, &Trust::default(), QUICK).await.err().unwrap();
        let ImapError::AuthRefused(words) = &refused else { panic!("{refused:?}") };
        assert!(words.ends_with("not with […] (status invalid_token, scope mail)"), "{words}");
        let heard = task.await.unwrap();
        assert_eq!([&heard[0][1], &heard[1][1]], [answer, answer]);
        assert_ne!(heard[0][0], heard[1][0], "another token");
    }
}

#[tokio::test]
async fn trouble_of_the_server_costs_no_token_and_one_without_a_mechanism_gets_none() {
    for (script, temporary) in [
        (
            "S * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hello\nC AUTHENTICATE\nS {tag} NO [UNAVAILABLE] later",
            true,
        ),
        ("S * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hello", false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (mut server, task) = peer(script).await;
        server.login = Some(by_token(directory.path(), ["first", "second"]));
        let error = Session::open(&server, &Trust::default(), QUICK).await.err().unwrap();
        assert_eq!(error.is_temporary(), temporary, "{error:?}");
        assert!(!matches!(error, ImapError::AuthRefused(_)), "{error:?}");
        assert!(!task.await.unwrap().iter().any(|line| line.contains("PLAIN")));
    }
}
