//! IDLE, its absence and its ends.

use std::time::Instant;

use super::*;

const SOON: Duration = Duration::from_millis(400);

async fn waited(script: &str) -> (Result<Woken, ImapError>, Duration, Session) {
    let (mut session, _) = selected(script).await;
    let started = Instant::now();
    let woken = session.wait(SOON, &CancellationToken::new()).await;
    (woken, started.elapsed(), session)
}

#[tokio::test]
async fn idle_wakes_at_news_alone() {
    let (woken, _, mut session) = waited(
        "C IDLE
S + idling
S * OK still here
S * 1 FETCH (FLAGS (\\Seen))
S * 2 EXISTS
S * 1 EXPUNGE
S * 2 EXISTS
C DONE
S a3 OK
C NOOP
S {tag} OK",
    )
    .await;
    assert_eq!(woken.unwrap(), Woken::News);
    session.noop().await.unwrap();
}

#[tokio::test]
async fn news_before_idle_is_not_lost() {
    let (woken, _, _) = waited("C IDLE\nS * 3 EXISTS\nS + idling\nC DONE\nS a3 OK").await;
    assert_eq!(woken.unwrap(), Woken::News);

    let listing = "C FETCH\nS * 1 FETCH (UID 1 RFC822.SIZE 1)\nS {tag} OK\n";
    let (mut session, task) =
        selected(&format!("{listing}C STORE\nS * 3 EXISTS\nS {{tag}} OK\n{listing}C IDLE")).await;
    session.list_above(0).await.unwrap();
    session.settle(&[1], &Settle::Flag).await.unwrap();
    let cancel = CancellationToken::new();
    assert_eq!(session.wait(SOON, &cancel).await.unwrap(), Woken::News);
    assert_eq!(session.wait(SOON, &cancel).await.unwrap(), Woken::News, "until somebody looks");
    session.list_above(0).await.unwrap();
    assert!(session.wait(SOON, &cancel).await.is_err(), "now it asks, and gets no answer");
    task.abort();
}

#[tokio::test]
async fn idle_ends_at_its_time_whatever_the_server_sends() {
    let chatter = "S * OK still here\nP 50\n".repeat(9);
    let (woken, took, _) = waited(&format!("C IDLE\nS + idling\n{chatter}C DONE\nS a3 OK")).await;
    assert_eq!(woken.unwrap(), Woken::Timeout);
    assert!((SOON..SOON * 2).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_dead_line_shows_at_the_end_of_idle() {
    let (woken, took, _) = waited("C IDLE\nS + idling").await;
    assert!(matches!(woken, Err(ImapError::Timeout { command: "IDLE" })));
    assert!(took < SOON + QUICK.response * 3, "{took:?}");
    for (script, bye) in [("S * BYE restarting", true), ("X", false)] {
        let (woken, _, _) = waited(&format!("C IDLE\nS + idling\n{script}")).await;
        assert_eq!(matches!(woken, Err(ImapError::Bye(_))), bye);
        assert!(woken.is_err());
    }
    assert!(matches!(waited("C IDLE").await.0, Err(ImapError::Timeout { .. })), "no continuation");
}

#[tokio::test]
async fn broken_idle_becomes_polling() {
    for refusal in
        ["S {tag} BAD what", "S {tag} NO disabled", "S {tag} OK done", "S + idling\nS {tag} OK enough"]
    {
        let (woken, took, mut session) =
            waited(&format!("C IDLE\n{refusal}\nC NOOP\nS * 3 EXISTS\nS {{tag}} OK")).await;
        assert_eq!(woken.unwrap(), Woken::Timeout);
        assert!(took < SOON && !session.idles());
        let started = Instant::now();
        assert_eq!(session.wait(SOON, &CancellationToken::new()).await.unwrap(), Woken::News);
        assert!(started.elapsed() >= SOON, "it polls");
    }
}

#[tokio::test]
async fn a_wait_can_be_cancelled() {
    for (script, idle) in
        [("C IDLE\nS + idling\nC DONE\nS a3 OK\nC NOOP\nS {tag} OK", true), ("C NOOP\nS {tag} OK", false)]
    {
        let (mut session, _) = selected(script).await;
        session.idle = idle;
        let cancel = CancellationToken::new();
        tokio::spawn({
            let cancel = cancel.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                cancel.cancel();
            }
        });
        let started = Instant::now();
        assert_eq!(session.wait(Duration::from_secs(60), &cancel).await.unwrap(), Woken::Cancelled);
        assert!(started.elapsed() < Duration::from_secs(5));
        session.noop().await.unwrap();
        session.logout().await;
    }
}
