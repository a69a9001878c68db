//! A fault of the disk at the k-th operation, for every k of a short scenario: whatever fails, everything is done in the
//! end, nothing twice, and no server is told of what is not stored (I1 to I6).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use acuse::store;
use tempfile::TempDir;

use super::ledger::{Ledger, Tally};
use super::support::acuse::{PASSWORD, Site, USER};
use super::support::disk::{Disk, NAME, Refusal, SYNC, WRITE};
use super::support::imap_peer::{self, ImapPeer};
use super::support::smtp_peer::{self, SmtpPeer};
use super::support::{PATIENCE, stage, within};
use super::{DONE, Dice, Progress, SETTLED, UNSENT, count, peek, report, size, unlimited};

const MAILS: usize = 20;
/// Daemons that run beside one another: most of the time they wait before they try again.
const LANES: usize = 10;

#[derive(Debug, Clone, Copy)]
struct Fault {
    /// Which operation, from 1.
    at: u64,
    how: Refusal,
    /// Or all from then on, until the daemon is started anew.
    once: bool,
}

/// How the daemon took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// It had done all before.
    Unharmed,
    /// It went on by itself.
    WentOn,
    /// It ended, and said why.
    GaveUp,
    /// It tried again and again, and was killed.
    Killed,
}

#[test]
fn whatever_write_or_sync_fails_everything_is_done_in_the_end_and_once() {
    let (seed, start) = (Dice::seed(), Instant::now());
    let template = Template::new();
    let (operations, ..) = template.endure(Fault { at: 0, how: Refusal::Fails, once: true });
    let faults = faults(operations, seed);
    eprintln!("{} faults at {operations} operations, TORTURE_SEED={seed}", faults.len());

    let next = AtomicUsize::new(0);
    let ends = Mutex::new((BTreeMap::<End, usize>::new(), Tally::default()));
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (_, end, tally) = template.endure(*fault);
                    let mut ends = ends.lock().unwrap();
                    *ends.0.entry(end).or_default() += 1;
                    ends.1.again += tally.again;
                }
            });
        }
    });
    let (ends, tally) = ends.into_inner().unwrap();
    let did = format!(
        "{} faults at {operations} operations, {MAILS} mails each: {ends:?}, 0 lost, {} acknowledgements sent again",
        faults.len(),
        tally.again
    );
    report("I/O fault", seed, start, &did);
}

/// Every fault there is, or as many of them as are asked for, spread over all operations.
fn faults(operations: u64, seed: u64) -> Vec<Fault> {
    let all = std::env::var("TORTURE_FAULTS").is_ok_and(|text| text == "all");
    let number = if all { u64::MAX } else { size("TORTURE_FAULTS", 90) };
    let kinds = [Refusal::Fails, Refusal::Full, Refusal::Half];
    let kinds = kinds.into_iter().flat_map(|how| [true, false].map(|once| (how, once)));
    let kinds: Vec<_> = kinds.collect();
    if all {
        let each = |at| kinds.iter().map(move |&(how, once)| Fault { at, how, once });
        return (1..=operations).flat_map(each).collect();
    }
    let mut dice = Dice::new(seed, 0);
    // closer together at the start, where a daemon that gives up wrongly stays down
    let from = |index: u64| index * index * operations / (number * number) + 1;
    let pick = |index: u64| {
        let (how, once) = kinds[dice.index(kinds.len())];
        Fault { at: from(index) + dice.below((from(index + 1) - from(index)).max(1)), how, once }
    };
    (0..number).map(pick).collect()
}

/// A state directory whose folder is enrolled, to begin each scenario with.
struct Template {
    memory: PathBuf,
    state: TempDir,
}

impl Template {
    fn new() -> Self {
        let memory = Path::new("/dev/shm"); // where there is one, nothing waits for a real disk
        let memory = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let state = tempfile::tempdir().unwrap();
        let (imap, smtp) = peers();
        let mut site = unlimited(Site::builder(imap.address(), smtp.address())).within(&memory).init();
        site.run();
        imap.wait_for_idle(USER, "INBOX");
        assert!(site.stop().success());
        copy(&site.state_dir(), state.path());
        Self { memory, state }
    }

    /// Runs a daemon over waiting mails with this fault, and one more without. How many operations the first made, how
    /// it ended, and what the relay got.
    fn endure(&self, fault: Fault) -> (u64, End, Tally) {
        let (imap, smtp) = peers();
        let mut site = unlimited(Site::builder(imap.address(), smtp.address())).within(&self.memory).write();
        let state_dir = site.state_dir();
        fs::create_dir(&state_dir).unwrap();
        copy(self.state.path(), &state_dir);
        let disk = Disk::under(&state_dir);
        disk.environment(false).into_iter().for_each(|(name, value)| site.set_env(name, value));
        for number in 0..MAILS {
            let raw = stage::mail(&requester(number), "Servidor caído");
            imap.deliver(USER, "INBOX", &raw, jiff::Timestamp::now());
        }
        let breaches = watch(&imap, &smtp, &state_dir);

        // half of a write is followed by a refusal
        let last = if fault.once { fault.at + u64::from(fault.how == Refusal::Half) } else { u64::MAX };
        disk.refuse(fault.at, last, WRITE | SYNC | NAME, fault.how);
        site.start();
        let end = await_end(&mut site, &imap, &disk, fault);
        let operations = disk.operations();
        disk.heal();
        let mut ledger = Ledger::default();
        site.kill9();
        ledger.end_of_life(&state_dir, &smtp);
        site.run();
        Progress { site: &site, smtp: &smtp }.wait_for(MAILS as i64);
        assert!(site.stop().success(), "{fault:?}: {}", site.log());

        let context = || format!("{fault:?}, {end:?}; log:\n{}", site.log());
        assert_eq!(*breaches.lock().unwrap(), [""; 0], "{}", context());
        let account = store::open(&state_dir).unwrap().read(|tx| tx.account()).unwrap();
        assert_eq!(account.problems, [""; 0], "{}", context());
        let tickets = "SELECT count(*) FROM ticket";
        let requesters = "SELECT count(DISTINCT requester) FROM ticket";
        for (what, sql) in [("tickets", tickets), ("requesters", requesters), ("settled", SETTLED)] {
            assert_eq!(count(&state_dir, sql), MAILS as i64, "{what}; {}", context());
        }
        assert_eq!(imap.messages(USER, "INBOX"), [], "{}", context());
        assert_eq!(imap.messages(USER, DONE).len(), MAILS, "{}", context());
        let tally = ledger.assert_acknowledgements(&state_dir, &smtp);
        // one that is read from its headers has none: it takes two unclean ends
        assert_eq!(tally.acknowledged, MAILS, "{}", context());
        (operations, end, tally)
    }
}

/// Waits until the daemon has done all, has ended, or has been refused again and again.
fn await_end(site: &mut Site, imap: &ImapPeer, disk: &Disk, fault: Fault) -> End {
    let state_dir = site.state_dir();
    let done = || {
        let number = |sql| peek(&state_dir).query_row(sql, [], |row| row.get::<_, i64>(0));
        // the daemon may be in the middle of making the files that a reader needs
        matches!((number(SETTLED), number(UNSENT)), (Ok(settled), Ok(0)) if settled == MAILS as i64)
    };
    let end = within(2 * PATIENCE, || {
        if !site.is_running() {
            return Some(End::GaveUp);
        }
        if !fault.once && disk.refused() >= 3 {
            return Some(End::Killed);
        }
        let moved = imap.messages(USER, DONE).len() == MAILS; // the cheaper question
        (moved && done()).then_some(if disk.refused() > 0 { End::WentOn } else { End::Unharmed })
    });
    let Some(end) = end else { panic!("{fault:?}: neither done nor ended; log:\n{}", site.log()) };
    if end == End::GaveUp {
        let status = site.wait_for_end();
        let said = || site.log().contains("error: ");
        assert!(within(PATIENCE, || said().then_some(())).is_some(), "{fault:?}: it ended without a word");
        let code = status.code().unwrap_or_else(|| panic!("{fault:?}: {status}; log:\n{}", site.log()));
        // The service manager starts it again after these; the others wait for a person. SQLite takes a file that could
        // not be opened for writing once for one that never can.
        let again = [74, 75].contains(&code) || fault.once && site.log().contains("is read-only");
        assert!(again, "{fault:?}: ended with {code}; log:\n{}", site.log());
    }
    end
}

fn peers() -> (ImapPeer, SmtpPeer) {
    (
        ImapPeer::start(imap_peer::Options::default(), USER, PASSWORD),
        SmtpPeer::start(smtp_peer::Options::default()),
    )
}

/// Notes whatever a server is told of before it is stored (I3, I5).
fn watch(imap: &ImapPeer, smtp: &SmtpPeer, state_dir: &Path) -> Arc<Mutex<Vec<String>>> {
    let breaches = Arc::<Mutex<Vec<String>>>::default();
    let (noted, path) = (breaches.clone(), state_dir.to_owned());
    imap.on_settle(move |mails| {
        let database = peek(&path);
        let sql = "SELECT count(*) FROM arrival JOIN message ON message.id = arrival.message
                   WHERE uid = ?1 AND arrival.outcome IS NOT NULL";
        let stored = |uid: u32| database.query_row(sql, [uid], |row| row.get::<_, i64>(0)).unwrap() == 1;
        let early =
            mails.iter().filter(|mail| !stored(mail.uid)).map(|mail| format!("settled: UID {}", mail.uid));
        noted.lock().unwrap().extend(early);
    });
    let (noted, path) = (breaches.clone(), state_dir.to_owned());
    smtp.on_mail(move |mail| {
        let id = mail.message_id().unwrap();
        let sql = "SELECT count(*) FROM outbox WHERE message_id = ?1 AND state = 'sending' AND attempts > 0";
        if peek(&path).query_row(sql, [&id], |row| row.get::<_, i64>(0)).unwrap() != 1 {
            noted.lock().unwrap().push(format!("sent: {id}"));
        }
    });
    breaches
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn requester(number: usize) -> String {
    format!("ana@cliente{number}.example")
}
