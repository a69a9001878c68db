//! Power cuts: the real daemon's writes are recorded, cut off anywhere, and what is left is held against what the servers
//! had been told by then (I3, I5).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use acuse::store;
use rusqlite::Connection;

use super::image::{self, Directory, Loss, Op};
use super::support::acuse::{PASSWORD, Site, USER};
use super::support::disk::Disk;
use super::support::imap_peer::{self, ImapPeer};
use super::support::smtp_peer::{self, SmtpPeer};
use super::support::stage;
use super::{Dice, Progress, report, size, unlimited};

/// Something that somebody else was told, and that must be on the disk from then on.
#[derive(Debug, Clone)]
enum Effect {
    /// The server was asked to move the mail of this UID with these bytes.
    Settled(u32, Arc<[u8]>),
    /// The relay has a mail of this Message-ID with these bytes.
    Acknowledged(String, Vec<u8>),
}

/// What a daemon did over three lives.
struct Trace {
    ops: Vec<Op>,
    /// From this operation on, `acuse init` has said that all is ready.
    ready: usize,
    /// Each effect, and how many operations were over before it.
    effects: Vec<(usize, Effect)>,
    thread_key: Vec<u8>,
    mails: usize,
}

const BURST: usize = 65;

#[test]
fn after_a_power_cut_everything_that_a_server_was_told_is_there() {
    let (cuts, seed, start) = (size("TORTURE_CUTS", 1_000), Dice::seed(), Instant::now());
    eprintln!("TORTURE_CUTS={cuts} TORTURE_SEED={seed}");
    let trace = record(env!("CARGO_BIN_EXE_acuse").into());
    let checkpoints = trace.checkpoints();
    assert!(checkpoints >= 4, "{checkpoints} checkpoints: too few mails");
    let worst = trace.cut_many_times(cuts, seed);
    assert!(
        worst.is_empty(),
        "{} of {cuts} cuts lost something: {:#?}",
        worst.len(),
        worst.iter().take(5).collect::<Vec<_>>()
    );
    let did = format!(
        "{cuts} cuts in {} writes and syncs with {checkpoints} checkpoints, {} mails: 0 lost, {} effects all accounted for",
        trace.ops.len(),
        trace.mails,
        trace.effects.len()
    );
    report("power cut", seed, start, &did);
}

/// The harness is worth something: it finds what a weaker setting of SQLite's loses.
#[test]
fn the_power_cuts_find_what_synchronous_normal_loses() {
    let (cuts, seed, start) = (size("TORTURE_CUTS", 200), Dice::seed(), Instant::now());
    let directory = tempfile::tempdir().unwrap();
    let trace = record(with_synchronous_normal(directory.path()));
    let losses = trace.cut_many_times(cuts, seed);
    let lost = losses.iter().filter(|loss| loss.contains("is lost")).count();
    assert!(lost > 0, "{losses:#?}");
    let did = format!(
        "{cuts} cuts with synchronous=NORMAL: {lost} lost mails or acknowledgements, as the harness must see"
    );
    report("power cut", seed, start, &did);
}

/// A copy of the program that differs in this one setting.
fn with_synchronous_normal(directory: &Path) -> PathBuf {
    let (full, normal) = (b"PRAGMA synchronous = FULL", b"PRAGMA synchronous = 1   ");
    let original = PathBuf::from(env!("CARGO_BIN_EXE_acuse"));
    let mut bytes = fs::read(&original).unwrap();
    let found: Vec<usize> = memchr::memmem::find_iter(&bytes, full).collect();
    let [at] = found[..] else { panic!("{full:?} occurs {} times in the program", found.len()) };
    bytes[at..at + full.len()].copy_from_slice(normal);
    let copy = directory.join("acuse");
    fs::write(&copy, bytes).unwrap();
    fs::set_permissions(&copy, fs::metadata(&original).unwrap().permissions()).unwrap();
    copy
}

/// Runs `acuse init` and three lives of a daemon: killed at rest, stopped, killed at rest.
fn record(program: PathBuf) -> Trace {
    let imap = ImapPeer::start(imap_peer::Options::default(), USER, PASSWORD);
    let smtp = SmtpPeer::start(smtp_peer::Options::default());
    let mut site = unlimited(Site::builder(imap.address(), smtp.address())).program(program, &[]).write();
    let disk = Disk::under(&site.state_dir());
    let log = disk.log_path();
    let recorded = disk.environment(true);
    assert!(site.command(&["init"]).envs(recorded.clone()).status().unwrap().success());
    recorded.into_iter().for_each(|(name, value)| site.set_env(name, value));
    let length = |path: &Path| fs::metadata(path).unwrap().len();
    let ready = length(&log);

    // What is asked of a server was on the disk before the request was made, let alone before it came here.
    let effects = Arc::new(Mutex::new(Vec::<(u64, Effect)>::new()));
    let (noted, path) = (effects.clone(), log.clone());
    imap.on_settle(move |mails| {
        let effect = |mail: &imap_peer::StoredMail| Effect::Settled(mail.uid, mail.raw.clone());
        noted.lock().unwrap().extend(mails.iter().map(|mail| (length(&path), effect(mail))));
    });
    let (noted, path) = (effects.clone(), log.clone());
    smtp.on_mail(move |mail| {
        let effect = Effect::Acknowledged(mail.message_id().unwrap(), mail.raw.clone());
        noted.lock().unwrap().push((length(&path), effect));
    });

    let mut mails = 0;
    let mut receive = |some: usize| {
        for _ in 0..some {
            let raw = stage::mail(&format!("ana@cliente{mails}.example"), "Servidor caído");
            imap.deliver(USER, "INBOX", &raw, jiff::Timestamp::now());
            mails += 1;
        }
        i64::try_from(mails).unwrap()
    };
    let at_rest = |site: &Site, mails: i64| {
        Progress { site, smtp: &smtp }.wait_for(mails);
        imap.wait_for_idle(USER, "INBOX");
    };
    site.run();
    imap.wait_for_idle(USER, "INBOX");
    for _ in 0..BURST {
        let mails = receive(1);
        imap.wait_for_mails(USER, super::DONE, usize::try_from(mails).unwrap());
    }
    at_rest(&site, BURST as i64);
    site.kill9();
    let all = receive(BURST);
    site.run();
    at_rest(&site, all);
    assert!(site.stop().success());
    site.run();
    let all = receive(BURST);
    at_rest(&site, all);
    site.kill9();
    site.assert_replayed(&log);

    let (ops, ends) = image::read_log(&fs::read(&log).unwrap());
    let over_at = |bytes: u64| ends.partition_point(|end| *end <= bytes);
    let effects =
        effects.lock().unwrap().iter().map(|(bytes, effect)| (over_at(*bytes), effect.clone())).collect();
    let thread_key = fs::read(site.state_dir().join("thread.key")).unwrap();
    Trace { ops, ready: over_at(ready), effects, thread_key, mails }
}

trait Replay {
    fn assert_replayed(&self, log: &Path);
}

impl Replay for Site {
    /// Asserts that the log tells everything: replayed whole, it gives the files that are there.
    fn assert_replayed(&self, log: &Path) {
        let mut directory = Directory::default();
        image::read_log(&fs::read(log).unwrap()).0.iter().for_each(|op| directory.apply(op));
        let replayed = directory.cut(Loss::None, &mut Dice::new(0, 0));
        let there = fs::read_dir(self.state_dir()).unwrap().map(|entry| entry.unwrap());
        let there = there.filter(|entry| !entry.file_name().to_string_lossy().ends_with("-shm"));
        let there: BTreeMap<String, Vec<u8>> = there
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
            .collect();
        assert!(replayed.keys().eq(there.keys()), "{:?} {:?}", replayed.keys(), there.keys());
        assert!(replayed == there, "a write that `disk.c` did not see");
    }
}

impl Trace {
    /// How often a run of writes to the database's file itself was synced.
    fn checkpoints(&self) -> usize {
        let (mut databases, mut dirty, mut checkpoints) = (BTreeSet::new(), false, 0);
        for op in &self.ops[self.ready..] {
            match op {
                Op::Begin => databases.clear(),
                Op::Open(fd, name, _) if name == store::DATABASE => drop(databases.insert(*fd)),
                Op::Open(fd, ..) | Op::Close(fd) => drop(databases.remove(fd)),
                Op::Write(fd, ..) => dirty |= databases.contains(fd),
                Op::Sync(fd) if databases.contains(fd) => {
                    checkpoints += usize::from(std::mem::take(&mut dirty))
                }
                _ => {}
            }
        }
        checkpoints
    }

    /// Cuts the power so many times, and says of each cut that cost something what it cost.
    fn cut_many_times(&self, cuts: u64, seed: u64) -> Vec<String> {
        // each cut has rolls of its own, so that it can be had again alone
        let mut planned: Vec<(usize, u64)> =
            (0..cuts).map(|cut| (self.place(&mut Dice::new(seed, cut)), cut)).collect();
        planned.sort_unstable();
        let threads = thread::available_parallelism().map_or(2, usize::from);
        let share = planned.len().div_ceil(threads).max(1);
        thread::scope(|scope| {
            let run = |some| scope.spawn(move || self.cut_all(some, seed));
            let threads: Vec<_> = planned.chunks(share).map(run).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        })
    }

    /// After how many operations the power fails: any number, or right after an effect, or after `acuse init`.
    fn place(&self, dice: &mut Dice) -> usize {
        match dice.below(16) {
            0 => self.ready,
            1..8 => self.effects[dice.index(self.effects.len())].0,
            _ => self.ready + dice.index(self.ops.len() - self.ready + 1),
        }
    }

    fn cut_all(&self, planned: &[(usize, u64)], seed: u64) -> Vec<String> {
        let memory = Path::new("/dev/shm"); // where there is one, nothing waits for a real disk
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let (mut directory, mut done, mut losses) = (Directory::default(), 0, Vec::new());
        for (at, cut) in planned {
            self.ops[done..*at].iter().for_each(|op| directory.apply(op));
            done = *at;
            let mut dice = Dice::new(seed, *cut);
            self.place(&mut dice);
            let loss = Loss::OF_POWER[dice.index(Loss::OF_POWER.len())];
            let image = tempfile::Builder::new().prefix("acuse-cut-").tempdir_in(&place).unwrap();
            image::write(&directory.cut(loss, &mut dice), image.path());
            if let Err(what) = self.verify(image.path(), done) {
                losses.push(format!("cut {cut} after operation {at}, {loss:?}: {what}"));
            }
        }
        losses
    }

    /// Holds what is left against what was told by then.
    fn verify(&self, left: &Path, done: usize) -> Result<(), String> {
        let database = store::open(left).map_err(|error| format!("unusable: {error}"))?;
        store::verify(left).map_err(|error| format!("unusable: {error}"))?;
        let account = database.read(|tx| tx.account()).map_err(|error| format!("unusable: {error}"))?;
        if !account.problems.is_empty() {
            return Err(format!("half a state: {:?}", account.problems));
        }
        let connection = Connection::open(left.join(store::DATABASE)).unwrap();
        let (stored, queued) = (stored(&connection), queued(&connection));
        for (at, effect) in self.effects.iter().filter(|(at, _)| *at <= done) {
            let is_there = match effect {
                Effect::Settled(uid, raw) => stored.get(uid).is_some_and(|bytes| bytes[..] == raw[..]),
                Effect::Acknowledged(id, raw) => queued.get(id) == Some(raw),
            };
            if !is_there {
                let what = match effect {
                    Effect::Settled(uid, _) => format!("mail {uid}"),
                    Effect::Acknowledged(id, _) => format!("acknowledgement {id}"),
                };
                return Err(format!("{what}, told after operation {at}, is lost"));
            }
        }
        if fs::read(left.join("thread.key")).ok().as_ref() != Some(&self.thread_key) {
            return Err("the thread key is gone".to_owned());
        }
        let counted = database.read(|tx| tx.epoch()).unwrap();
        let file = fs::read_to_string(left.join("epoch")).unwrap_or_else(|_| "0 0".to_owned());
        let counter = file.split(' ').next().and_then(|count| count.parse::<i64>().ok());
        match counter {
            Some(counter) if (counted - 1..=counted).contains(&counter) => Ok(()),
            _ => Err(format!("the counter's file says {file:?}, the database {counted}")),
        }
    }
}

/// The exact bytes of every mail with an outcome, by its UID.
fn stored(database: &Connection) -> BTreeMap<u32, Vec<u8>> {
    let sql = "SELECT uid, size, zstd FROM (
                   SELECT uid, raw FROM arrival JOIN message ON message.id = arrival.message
                   WHERE arrival.outcome IS NOT NULL
               ) AS mail JOIN raw ON raw.hash = mail.raw";
    let mut rows = database.prepare(sql).unwrap();
    let unpack = |row: &rusqlite::Row<'_>| {
        let packed: Vec<u8> = row.get(2)?;
        let size = usize::try_from(row.get::<_, i64>(1)?).unwrap();
        Ok((row.get(0)?, zstd::bulk::decompress(&packed, size).unwrap()))
    };
    rows.query_map([], unpack).unwrap().map(Result::unwrap).collect()
}

/// The bytes of every acknowledgement that was tried, by its Message-ID.
fn queued(database: &Connection) -> BTreeMap<String, Vec<u8>> {
    let mut rows = database
        .prepare("SELECT message_id, bytes FROM outbox JOIN letter ON outbox = id WHERE attempts > 0")
        .unwrap();
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}
