//! Where folders are, and what their UIDs mean.

use super::*;

#[tokio::test]
async fn select_tells_what_uids_mean() {
    let (session, _) = open(format!(
        "{LOGGED_IN}{SELECTED}C EXAMINE \"INBOX\"
S * 0 EXISTS
S * OK [UIDVALIDITY 4294967295] ok
S {{tag}} OK [READ-ONLY] done
C SELECT
S * 3 EXISTS
S * OK [UIDVALIDITY 8] ok
S * OK [PERMANENTFLAGS ($acusedone)] ok
S {{tag}} OK [READ-ONLY] done
C UID FETCH * (UID)
S * 3 FETCH (UID 41)
S {{tag}} OK done"
    ))
    .await;
    let mut session = session.unwrap();
    let first = Selected {
        uid_validity: 7,
        uid_next: 10,
        tells_uid_next: true,
        exists: 2,
        read_only: false,
        keywords_permitted: true,
    };
    assert_eq!(session.select("INBOX").await.unwrap(), first);
    let empty = Selected {
        uid_validity: u32::MAX,
        uid_next: 1,
        tells_uid_next: false,
        exists: 0,
        read_only: true,
        keywords_permitted: false,
    };
    assert_eq!(session.examine("inbox").await.unwrap(), empty);
    let without_uidnext = Selected {
        uid_validity: 8,
        uid_next: 42,
        tells_uid_next: false,
        exists: 3,
        read_only: true,
        keywords_permitted: true,
    };
    assert_eq!(session.select("INBOX").await.unwrap(), without_uidnext);
}

#[tokio::test]
async fn a_folder_without_uidvalidity_is_refused() {
    for line in ["S * OK [UIDVALIDITY 0] ok", "S * OK hm"] {
        let (session, _) =
            open(format!("{LOGGED_IN}C SELECT\nS * 2 EXISTS\n{line}\nS {{tag}} OK done")).await;
        let mut session = session.unwrap();
        let error = session.select("INBOX").await.unwrap_err();
        assert!(!error.is_temporary());
        assert_eq!(violation(error), Violation::NoUidValidity);
        assert!(matches!(session.list_above(0).await, Err(ImapError::NotSelected { .. })));
    }
}

#[tokio::test]
async fn folders_are_made_where_the_server_keeps_folders() {
    let none = "C LIST\nS {tag} OK\n";
    for (layout, rest, want) in [
        // it is there
        (
            layout("/", &["INBOX", "Sent"]),
            "C LIST \"\" \"Acuse/T&AOk-c\"\nS * LIST () \"/\" Acuse/T&AOk-c\nS {tag} OK\n".to_owned(),
            "Acuse/T&AOk-c",
        ),
        // a placeholder is not a folder
        (
            layout("/", &["INBOX", "Sent"]),
            format!(
                "C LIST\nS * LIST (\\NonExistent) \"/\" Acuse/T&AOk-c\nS {{tag}} OK\n{none}C CREATE \"Acuse/T&AOk-c\"\nS {{tag}} OK\n"
            ),
            "Acuse/T&AOk-c",
        ),
        // the namespace shows
        (
            layout(".", &["INBOX", "INBOX.Sent", "INBOX.Trash"]),
            format!("{none}{none}C CREATE \"INBOX.Acuse.T&AOk-c\"\nS {{tag}} OK\n"),
            "INBOX.Acuse.T&AOk-c",
        ),
        // the namespace does not show yet
        (
            layout(".", &["INBOX"]),
            format!(
                "{none}{none}C CREATE \"Acuse.T&AOk-c\"\nS {{tag}} NO Invalid mailbox name\nC CREATE \"INBOX.Acuse.T&AOk-c\"\nS {{tag}} OK\n"
            ),
            "INBOX.Acuse.T&AOk-c",
        ),
        // made by somebody else in between; and a backslash as separator
        (
            layout("\\\\", &["INBOX", "Sent"]),
            format!("{none}{none}C CREATE \"Acuse\\\\T&AOk-c\"\nS {{tag}} NO [ALREADYEXISTS] there\n"),
            "Acuse\\T&AOk-c",
        ),
    ] {
        let (session, task) = open(format!("{LOGGED_IN}{layout}{rest}")).await;
        let mut session = session.unwrap();
        assert_eq!(session.ensure_folder("Acuse/Téc").await.unwrap(), want);
        assert_eq!(session.ensure_folder("Acuse/Téc").await.unwrap(), want, "from memory");
        drop(session);
        let asked = task.await.unwrap();
        assert_eq!(
            asked.len(),
            LOGGED_IN.matches("\nC ").count() + layout.matches("C ").count() + rest.matches("C ").count()
        );
    }
}
