//! Databases that a disk, a careless restore or a stranger has damaged: each is refused or found, none is worked on, and
//! nothing panics (I14).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::OnceLock;

use acuse::ingest::{Read, Reading, unlisted};
use acuse::policy::{Policy, PolicyFiles};
use acuse::site::Site;
use acuse::store::{self, Intake, OpenError, Store, StoreError};
use acuse::ticket::TicketNumber;
use acuse::triage::Arrival;
use jiff::Timestamp;
use support::outage;

mod support;

const PAGE: usize = 4096;

/// The bytes of a database with some mails in it, made once.
fn whole() -> &'static [u8] {
    static WHOLE: OnceLock<Vec<u8>> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let mut database = store::create(directory.path()).unwrap();
        let policy = Policy::compile(&PolicyFiles::shipped()).0.unwrap();
        let now: Timestamp = "2026-09-16T14:00:00Z".parse().unwrap();
        for n in 1..=40 {
            let read = Read::new(&outage(n), Reading::Whole, &policy).unwrap();
            let arrival =
                Arrival { mailbox: "stdin".to_owned(), recipient: None, received: now, backlog: false };
            unlisted(&mut database, Intake::Stdin, &read, &arrival, &Site::nobody(), &policy, now).unwrap();
        }
        drop(database); // the last connection moves the WAL into the file
        fs::read(directory.path().join(store::DATABASE)).unwrap()
    })
}

/// What a whole database tells: how much there is, and whether all of it can be read.
fn read_all(database: &Store) -> Result<(usize, usize, u64, Vec<String>), StoreError> {
    database.read(|tx| {
        let account = tx.account()?;
        let tickets = tx.tickets(Default::default())?;
        for number in 1..=40 {
            tx.ticket_page(TicketNumber(number))?;
            tx.opening_of(TicketNumber(number))?;
            tx.acks_of(number)?;
        }
        tx.quarantine(true)?;
        tx.orders()?;
        tx.folder_state("soporte", "INBOX")?;
        let problems = [account.problems, tx.unsound()?].concat();
        Ok((tickets.len(), tx.outbox(None)?.len(), account.listed, problems))
    })
}

/// Whether a damaged database is found to be one: refused when it is opened, verified or read, or told by its account.
fn is_found(bytes: &[u8]) -> bool {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(store::DATABASE), bytes).unwrap();
    let Ok(database) = store::open(directory.path()) else { return true };
    let found = store::verify(directory.path()).is_err();
    match read_all(&database) {
        Err(error) => {
            // what a check does not see must not show when somebody reads
            let told = database.read(|tx| Ok([tx.account()?.problems, tx.unsound()?].concat()));
            assert!(
                found || !told.is_ok_and(|problems| problems.is_empty()),
                "unseen by every check: {error}"
            );
            true
        }
        Ok((tickets, acknowledgements, listed, problems)) => {
            let harmless = problems.is_empty();
            if harmless && !found {
                assert_eq!((tickets, acknowledgements, listed), (40, 40, 40), "mails vanished unseen");
            }
            found || !harmless
        }
    }
}

#[test]
fn a_damaged_page_is_found_or_harmless() {
    let seed = std::env::var_os("ACUSE_TORTURE_SEED").and_then(|seed| seed.to_str()?.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("ACUSE_TORTURE_SEED={seed}");
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |limit: usize| {
        state ^= state << 13; // Marsaglia's xorshift
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit as u64) as usize
    };
    let whole = whole();
    assert!(!is_found(whole), "undamaged, it is whole");
    let mut found = 0;
    for _ in 0..200 {
        let mut bytes = whole.to_vec();
        let page = below(bytes.len() / PAGE) * PAGE;
        match below(3) {
            0 => bytes[page + below(PAGE)] ^= 1 << below(8),
            1 => bytes[page..page + PAGE].fill(if below(2) == 0 { 0 } else { 0x5a }),
            _ => {
                let (from, length) = (below(PAGE - 64), 1 + below(64));
                bytes[page + from..page + from + length].iter_mut().for_each(|byte| *byte = below(256) as u8);
            }
        }
        found += usize::from(is_found(&bytes));
    }
    eprintln!(
        "of 200 damages {found} were found; the others lie in unused room, or changed a letter or a number"
    );
    assert!(found > 50, "only {found} of 200");
}

#[test]
fn half_a_database_is_corrupt() {
    let whole = whole();
    for cut in [1, 15, 99, 100, 511, PAGE - 1, PAGE, PAGE + 1, whole.len() / 2, whole.len() - PAGE] {
        assert!(is_found(&whole[..cut]), "the first {cut} of {} bytes", whole.len());
    }
    is_found(&whole[..whole.len() - 1]); // SQLite reads a zero there, as it may have been
}

/// Opens what stands in the place of a database; what is said of it.
fn refused(damage: impl FnOnce(&Path)) -> OpenError {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(store::DATABASE);
    fs::write(&path, whole()).unwrap();
    damage(&path);
    store::open(directory.path()).expect_err("it is refused")
}

#[test]
fn what_is_no_database_is_called_what_it_is() {
    let header = refused(|path| {
        let mut bytes = whole().to_vec();
        bytes[..100].fill(0xff);
        fs::write(path, bytes).unwrap();
    });
    assert!(matches!(&header, OpenError::Foreign { .. }), "{header}");
    let directory = refused(|path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    });
    assert!(directory.to_string().ends_with("is not a database of acuse: it is a directory"), "{directory}");
    let socket = refused(|path| {
        fs::remove_file(path).unwrap();
        std::os::unix::net::UnixListener::bind(path).unwrap();
    });
    assert!(socket.to_string().ends_with("it is no file"), "{socket}");
    let newer = refused(|path| {
        let mut bytes = whole().to_vec();
        bytes[60..64].copy_from_slice(&7_000_u32.to_be_bytes()); // user_version
        fs::write(path, bytes).unwrap();
    });
    assert!(matches!(newer, OpenError::Newer { found: 7000, .. }), "{newer}");
}

/// A state directory whose disk is not mounted looks like a new one: nothing may be made there.
#[test]
fn a_link_to_what_is_not_mounted_is_no_place_for_a_new_database() {
    let directory = tempfile::tempdir().unwrap();
    let (path, target) = (directory.path().join(store::DATABASE), directory.path().join("mnt"));
    symlink(target.join(store::DATABASE), &path).unwrap();
    let missing = store::open(directory.path()).expect_err("its target is missing");
    assert!(matches!(missing, OpenError::Missing(_)) && missing.hint().contains("mounted"), "{missing}");
    fs::create_dir(&target).unwrap(); // the mount point, empty
    assert!(matches!(store::create(directory.path()), Err(OpenError::Exists(_))));
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    fs::write(target.join(store::DATABASE), whole()).unwrap(); // mounted
    let database = store::open(directory.path()).unwrap();
    assert_eq!(read_all(&database).unwrap().0, 40);
}

#[test]
fn a_stale_index_of_the_wal_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("acuse.db"), whole()).unwrap();
    let database = store::open(directory.path()).unwrap();
    let now = Timestamp::UNIX_EPOCH;
    let mut other = store::open(directory.path()).unwrap();
    other.transaction(|tx| tx.ask_rescan("soporte", now)).unwrap();
    // the files as a power cut leaves them: the commit is in the WAL alone
    let left = tempfile::tempdir().unwrap();
    for name in ["acuse.db", "acuse.db-wal"] {
        fs::copy(at(name), left.path().join(name)).unwrap();
    }
    fs::write(left.path().join("acuse.db-shm"), vec![0x5a; 32 << 10]).unwrap();
    drop((database, other));
    let database = store::open(left.path()).unwrap();
    store::verify(left.path()).unwrap();
    let orders = database.read(|tx| tx.orders()).unwrap();
    assert_eq!(orders["soporte"].rescan, Some(now));
}
