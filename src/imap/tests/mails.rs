//! Listing, fetching and settling.

use super::*;

#[tokio::test]
async fn a_listing_has_each_uid_once_in_order_above_the_last() {
    let (mut session, _) = selected(
        "C UID FETCH 5:* (UID RFC822.SIZE INTERNALDATE)
S * 9 FETCH (UID 9 RFC822.SIZE 900 INTERNALDATE \" 7-Feb-2026 21:52:25 -0500\")
S * 3 FETCH (UID 4 RFC822.SIZE 1 INTERNALDATE \"07-Feb-2026 21:52:25 -0500\")
S * 6 FETCH (FLAGS (\\Seen) UID 6)
S * 6 FETCH (UID 6 INTERNALDATE \"yesterday\" RFC822.SIZE 600)
S * 9 FETCH (UID 9 FLAGS (\\Seen))
S * 2 FETCH (FLAGS (\\Seen))
S * 7 FETCH (UID 7 RFC822.SIZE 5000000000)
S {tag} OK done",
    )
    .await;
    let date = "2026-02-08T02:52:25Z".parse().unwrap();
    let want = [(6, 600, None), (7, u64::MAX, None), (9, 900, Some(date))];
    let want = want.map(|(uid, size, internal_date)| Listed { uid, size, internal_date });
    assert_eq!(session.list_above(4).await.unwrap(), want);
    assert_eq!(session.list_above(u32::MAX).await.unwrap(), [], "asks nothing");
}

#[tokio::test]
async fn a_refusal_means_empty_only_where_the_folder_is_empty() {
    for (exists, told, want) in [(0, "", Some(0)), (0, "S * 1 EXISTS\n", Some(1)), (2, "", None)] {
        let listed = "C UID FETCH 1:*\nS * 1 FETCH (UID 1 RFC822.SIZE 5)\nS {tag} OK";
        let script = format!("C UID FETCH 1:*\nS {{tag}} BAD empty\nC NOOP\n{told}S {{tag}} OK\n{listed}");
        let selected = SELECTED.replace("2 EXISTS", &format!("{exists} EXISTS"));
        let (session, _) = open(format!("{LOGGED_IN}{selected}{script}")).await;
        let mut session = session.unwrap();
        session.select("INBOX").await.unwrap();
        assert_eq!(session.list_above(0).await.ok().map(|listed| listed.len()), want, "{exists} {told}");
    }
}

#[tokio::test]
async fn a_long_listing_is_cut_at_its_highest() {
    let last = u32::try_from(MAX_LISTED).unwrap() + 50;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = server(listener.local_addr().unwrap().port());
    let lines = (1..=last)
        .rev()
        .map(|uid| format!("R * 1 FETCH (UID {uid} RFC822.SIZE 1)\\r\\n\n"))
        .collect::<String>();
    let lines = lines.replace("\nR ", "");
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        play(format!("{LOGGED_IN}{SELECTED}C FETCH\n{lines}S {{tag}} OK"), stream).await
    });
    let timeouts = Timeouts { command: Duration::from_secs(60), response: Duration::from_secs(10), ..QUICK };
    let mut session = Session::open(&server, &Trust::default(), timeouts).await.unwrap();
    session.select("INBOX").await.unwrap();
    let listed = session.list_above(0).await.unwrap();
    assert!(listed.iter().map(|mail| mail.uid).eq(1..=u32::try_from(MAX_LISTED).unwrap()));
}

#[tokio::test]
async fn a_fetch_gives_the_mails_asked_for_and_no_others() {
    let (mut session, _) = selected(
        "C UID FETCH 3:5,9 (UID INTERNALDATE BODY.PEEK[])
R * 1 FETCH (UID 9 INTERNALDATE \"07-Feb-2026 21:52:25 +0000\" BODY[] {13}\\r\\na: b\\r\\n\\r\\n)é\\r\\n)\\r\\n
R * 1 FETCH (UID 8 BODY[] {4}\\r\\nnot!)\\r\\n
R * 1 FETCH (BODY[] {4}\\r\\nno u)\\r\\n
R * 1 FETCH (UID 4 BODY[] NIL)\\r\\n
R * 1 FETCH (UID 5 BODY[HEADER] {2}\\r\\nno)\\r\\n
R * 1 FETCH (UID 3 BODY[] {0}\\r\\n)\\r\\n
R * 1 FETCH (UID 3 BODY[] {4}\\r\\nonce)\\r\\n
R * 1 FETCH (UID 3 BODY[] {5}\\r\\ntwice)\\r\\n
S {tag} OK done
C UID FETCH 3 (UID INTERNALDATE BODY.PEEK[]<0.4>)
R * 1 FETCH (UID 3 BODY[]<0> {4}\\r\\nhead)\\r\\n
S {tag} OK done
C UID FETCH 8
S {tag} NO [EXPUNGEISSUED] gone",
    )
    .await;
    let date = "2026-02-07T21:52:25Z".parse().ok();
    let want = [
        Fetched { uid: 3, internal_date: None, raw: "once".into() },
        Fetched { uid: 9, internal_date: date, raw: "a: b\r\n\r\n)é\r\n".into() },
    ];
    assert_eq!(session.fetch(&[9, 3, 4, 5], 4096).await.unwrap(), want);
    assert_eq!(session.fetch_head(3, 4).await.unwrap().unwrap().raw, b"head");
    assert_eq!(session.fetch_head(8, 4).await.unwrap(), None);
    assert_eq!(session.fetch(&[], 4).await.unwrap(), [], "asks nothing");
}

#[tokio::test]
async fn a_server_that_sends_more_than_it_announced_is_stopped() {
    let mail = "x".repeat(60_000);
    let (mut session, _) = selected(&format!(
        "C FETCH
R * 1 FETCH (UID 1 BODY[] {{60000}}\\r\\n{mail})\\r\\n
R * 2 FETCH (UID 2 BODY[] {{60000}}\\r\\n{mail})\\r\\n
S {{tag}} OK done"
    ))
    .await;
    assert_eq!(violation(session.fetch(&[1, 2], 1000).await.unwrap_err()), Violation::TooMuch);
}

async fn settled(capabilities: &str, how: &Settle, script: &str) -> (Result<(), ImapError>, Vec<String>) {
    let script = format!("{LOGGED_IN}{SELECTED}{script}").replace("IDLE MOVE UIDPLUS", capabilities);
    let (session, task) = open(script).await;
    let mut session = session.unwrap();
    session.select("INBOX").await.unwrap();
    let done = session.settle(&[5, 4, 9], how).await;
    drop(session);
    (done, task.await.unwrap().split_off(2))
}

#[tokio::test]
async fn mails_are_moved_by_whatever_is_safe() {
    let there = format!("{}C LIST\nS * LIST () \"/\" Hecho\nS {{tag}} OK\n", layout("/", &["INBOX", "Sent"]));
    let to = Settle::Move("Hecho".to_owned());
    let steps =
        |commands: &[&str]| commands.iter().map(|c| format!("C {c}\nS {{tag}} OK\n")).collect::<String>();

    let (done, _) = settled("MOVE", &to, &format!("{there}{}", steps(&["UID MOVE 4:5,9 \"Hecho\""]))).await;
    done.unwrap();
    let copy = [
        "UID STORE 4:5,9 +FLAGS.SILENT (\\Deleted)",
        "UID STORE 4:5,9 -FLAGS.SILENT (\\Deleted)",
        "UID COPY 4:5,9 \"Hecho\"",
        "UID STORE 4:5,9 +FLAGS.SILENT (\\Deleted)",
        "UID EXPUNGE 4:5,9",
    ];
    let (done, _) = settled("UIDPLUS", &to, &format!("{there}{}", steps(&copy))).await;
    done.unwrap();
    let (done, _) = settled("UIDPLUS", &Settle::Delete, &steps(&copy[3..])).await;
    done.unwrap();
    for how in [&to, &Settle::Delete] {
        let (done, said) = settled("IDLE", how, "").await;
        assert!(matches!(done, Err(ImapError::CannotMove)) && said.is_empty(), "{said:?}");
    }
    // A copy that failed is followed by no deletion, and a deletion that is refused by no copy.
    let may = steps(&copy[..2]);
    let (done, said) =
        settled("UIDPLUS", &to, &format!("{there}{may}C COPY\nS {{tag}} NO [OVERQUOTA] full")).await;
    assert!(matches!(done, Err(ImapError::No { command: "COPY", code: Code::Other, .. })));
    assert!(said.last().unwrap().contains("COPY"), "{said:?}");
    let (done, said) = settled("UIDPLUS", &to, &format!("{there}C STORE\nS {{tag}} NO [NOPERM] no")).await;
    assert!(matches!(done, Err(ImapError::No { command: "STORE", .. })));
    assert!(said.last().unwrap().contains("STORE"), "{said:?}");
}

#[tokio::test]
async fn a_folder_that_vanished_is_made_again_once() {
    let there = format!("{}C LIST\nS * LIST () \"/\" Hecho\nS {{tag}} OK\n", layout("/", &["INBOX", "Sent"]));
    let again = "C LIST\nS {tag} OK\nC LIST\nS {tag} OK\nC CREATE \"Hecho\"\nS {tag} OK\n";
    let refused = "C MOVE\nS {tag} NO [TRYCREATE] no such folder\n";
    let to = Settle::Move("Hecho".to_owned());
    let (done, _) = settled("MOVE", &to, &format!("{there}{refused}{again}C MOVE\nS {{tag}} OK")).await;
    done.unwrap();
    let (done, _) = settled("MOVE", &to, &format!("{there}{refused}{again}{refused}")).await;
    assert!(matches!(done, Err(ImapError::No { code: Code::TryCreate, .. })));
}

#[tokio::test]
async fn a_flag_is_a_keyword_where_the_folder_takes_keywords() {
    let (done, _) =
        settled("IDLE", &Settle::Flag, "C UID STORE 4:5,9 +FLAGS.SILENT ($AcuseDone)\nS {tag} OK").await;
    done.unwrap();
    let script = format!("{LOGGED_IN}{SELECTED}C UID STORE 1 +FLAGS.SILENT (\\Seen)\nS {{tag}} OK");
    let (session, _) = open(script.replace(" \\*)]", ")]")).await;
    let mut session = session.unwrap();
    assert!(!session.select("INBOX").await.unwrap().keywords_permitted);
    session.settle(&[1], &Settle::Flag).await.unwrap();
}

#[tokio::test]
async fn many_mails_are_settled_in_sets() {
    let (mut session, task) = selected(&"C STORE\nS {tag} OK\n".repeat(3)).await;
    let uids = (0..1001).map(|n| n * 2 + 1).collect::<Vec<u32>>();
    session.settle(&uids, &Settle::Flag).await.unwrap();
    drop(session);
    assert!(task.await.unwrap().iter().all(|line| line.len() < 8192), "RFC 7162 §4: no longer lines");
}
