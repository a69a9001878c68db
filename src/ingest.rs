//! One mail, or one batch, start to finish: read, decide, store in one commit.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};

use jiff::Timestamp;
use tokio::sync::mpsc::unbounded_channel;

use crate::mail::{self, Defect, Message};
use crate::policy::Policy;
use crate::rules::Verdict;
use crate::site::Site;
use crate::store::{
    ArrivalId, Ending, Entry, FolderId, Fresh, Incoming, Intake, MessageId, Packed, SetAside, Setting, Store,
    StoreError, Tx,
};
use crate::ticket::{Outcome, TicketNumber};
use crate::triage::{Arrival, Decision, Flag, Reason, classify, triage};

/// How a mail is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Whole.
    Whole,
    /// From its headers alone: reading it whole ended the process twice.
    Poison,
    /// Only its head was fetched: it is over `max_size`.
    Head,
}

/// A mail that was fetched and claimed.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its claim.
    pub id: ArrivalId,
    /// Where and when it came.
    pub arrival: Arrival,
    /// The exact bytes.
    pub raw: Vec<u8>,
    /// How to read it.
    pub reading: Reading,
    /// The server may have more of it than came (I2): it stays there.
    pub stays: bool,
}

/// What became of a mail.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its claim.
    pub id: ArrivalId,
    /// What was decided; `None`: reading or storing it failed, and it is in the quarantine.
    pub decision: Option<Decision>,
    /// Why that became of it.
    pub reason: Reason,
    /// The ticket it went to.
    pub ticket: Option<TicketNumber>,
    /// Its Message-ID, for the log.
    pub message_id: Option<String>,
    /// Its author, for the log.
    pub from: Option<String>,
    /// Nothing is to be done with it on the server: it stays where it is.
    pub stays: bool,
}

/// Reads a mail. What the parser cannot bear is read from its headers.
pub fn read(raw: &[u8], reading: Reading) -> Message {
    match reading {
        Reading::Whole => catch_unwind(AssertUnwindSafe(|| mail::parse(raw)))
            .unwrap_or_else(|_| mail::from_headers(raw, Defect::Unreadable)),
        Reading::Poison => mail::from_headers(raw, Defect::Unreadable),
        Reading::Head => mail::from_headers(raw, Defect::Oversize),
    }
}

/// A mail with everything that can be known of it without the database.
#[derive(Debug)]
pub struct Read {
    /// The exact bytes, packed.
    pub raw: Packed,
    /// What was read in them; `None`: not even the headers can be read.
    pub content: Option<Content>,
}

/// What a mail says, and what the rules say of it.
#[derive(Debug)]
pub struct Content {
    /// What was read.
    pub message: Message,
    /// What the rules say.
    pub verdict: Verdict,
}

impl Read {
    /// Reads, classifies and packs a mail: all that is costly, before anybody waits for the database. An error: it
    /// cannot be packed.
    pub fn new(raw: &[u8], reading: Reading, policy: &Policy) -> io::Result<Self> {
        let headers = || mail::from_headers(raw, Defect::Unreadable);
        Self::with(raw, || read(raw, reading), headers, |message| classify(message, policy))
    }

    /// A panic, wherever it comes from, costs the mail its parts and its verdict, or itself its reading, and nobody
    /// else anything.
    fn with(
        raw: &[u8],
        whole: impl FnOnce() -> Message,
        headers: impl FnOnce() -> Message,
        classify: impl FnOnce(&Message) -> Verdict,
    ) -> io::Result<Self> {
        let whole = || {
            let message = whole();
            Content { verdict: classify(&message), message }
        };
        let headers = || Content { message: headers(), verdict: Verdict::default() };
        let content =
            catch_unwind(AssertUnwindSafe(whole)).or_else(|_| catch_unwind(AssertUnwindSafe(headers))).ok();
        Ok(Self { raw: Packed::new(raw)?, content })
    }
}

/// What the transaction of one mail comes to.
#[derive(Debug, Clone)]
pub struct Concluded {
    /// What was decided; `None`: the mail cannot be read, and is in the quarantine.
    pub decision: Option<Decision>,
    /// Why that became of it.
    pub reason: Reason,
    /// The ticket it went to.
    pub ticket: Option<TicketNumber>,
    /// Its row, which is still to be indexed.
    to_index: Option<MessageId>,
}

impl Concluded {
    fn set_aside(reason: Reason) -> Self {
        Self { decision: None, reason, ticket: None, to_index: None }
    }

    /// The mail's one outcome.
    pub fn outcome(&self) -> Outcome {
        self.decision.as_ref().map_or(Outcome::Quarantined, |decision| decision.action.outcome())
    }
}

/// The heart: facts, decision, writes, in one transaction (or savepoint). The message's row is still to be indexed.
pub fn one(
    tx: &Tx<'_>,
    id: ArrivalId,
    mail: &Read,
    arrival: &Arrival,
    entry: Entry,
    setting: Setting<'_>,
) -> Result<Concluded, StoreError> {
    let Setting { site, policy, now, .. } = setting;
    let Some(Content { message, verdict }) = &mail.content else {
        let why = "not even its headers can be read";
        tx.quarantine_unread(id, &arrival.mailbox, Reason::Unreadable, Some(&mail.raw), why, now)?;
        return Ok(Concluded::set_aside(Reason::Unreadable));
    };
    let facts = tx.facts(message, arrival, entry, site, &policy.plans, now)?;
    let decision = triage(message, verdict, arrival, &facts, site, policy, now);
    let incoming = Incoming { raw: &mail.raw, message, arrival, facts: &facts, entry };
    let (ticket, to_index) = tx.apply(id, incoming, &decision, setting)?;
    Ok(Concluded { reason: decision.reason, decision: Some(decision), ticket, to_index })
}

/// Makes the words of stored mails findable. The index is derived: when it is damaged, that is an alert, and their
/// tickets stand all the same.
fn index<'a>(
    tx: &Tx<'_>,
    rows: impl IntoIterator<Item = (MessageId, &'a Message)>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let indexed = tx.savepoint(|tx| {
        rows.into_iter().try_for_each(|(row, message)| tx.index(row, message))?;
        tx.savepoint(|_| Ok(())) // FTS5 writes now: at the end of this savepoint a failure could not be rolled back
    });
    match indexed {
        Err(error) if !error.is_temporary() => {
            tx.alert(now, "search_index", "message_text", &error.to_string())
        }
        indexed => indexed,
    }
}

/// What a batch from a folder changes beside its mails.
#[derive(Debug, Clone, Copy)]
pub struct Cursor {
    /// The folder.
    pub folder: FolderId,
    /// Every UID up to this one has its row.
    pub last_uid: u32,
    /// Nothing is done on the server (`after = "keep"`), so that everything is settled at once.
    pub keep: bool,
}

/// Stores a batch in one transaction. When that fails, once more with a savepoint per mail: one that cannot be stored is
/// rolled back alone and set aside, the others commit together. An error means that nothing was committed.
pub fn batch(
    store: &mut Store,
    mails: &[(Fetched, Read)],
    cursor: Option<Cursor>,
    site: &Site,
    policy: &Policy,
    now: Timestamp,
) -> Result<Vec<Stored>, StoreError> {
    let store_one = |tx: &Tx<'_>, mail: &Fetched, read: &Read| {
        let setting = Setting { site, policy, fresh: fresh(), now };
        one(tx, mail.id, read, &mail.arrival, Entry::Arrived, setting)
    };
    let together = |tx: &Tx<'_>| {
        let stored = mails.iter().map(|(mail, read)| store_one(tx, mail, read));
        let concluded = stored.collect::<Result<Vec<_>, _>>()?;
        conclude(tx, mails, concluded, cursor, now)
    };
    let apart = |tx: &Tx<'_>| {
        let guarded = |(mail, read): &(Fetched, Read)| match tx.savepoint(|tx| store_one(tx, mail, read)) {
            Err(error) if !error.is_temporary() => {
                let (mailbox, reason) = (&mail.arrival.mailbox, Reason::StoreFailed);
                let why = error.to_string();
                tx.quarantine_unread(mail.id, mailbox, reason, Some(&read.raw), &why, now)?;
                Ok(Concluded::set_aside(reason))
            }
            stored => stored,
        };
        let concluded = mails.iter().map(guarded).collect::<Result<Vec<_>, _>>()?;
        conclude(tx, mails, concluded, cursor, now)
    };
    match store.transaction(together) {
        Err(error) if !error.is_temporary() => store.transaction(apart),
        stored => stored,
    }
}

/// What a batch still needs when its mails are stored: their words in the index, and its folder's cursor.
fn conclude(
    tx: &Tx<'_>,
    mails: &[(Fetched, Read)],
    concluded: Vec<Concluded>,
    cursor: Option<Cursor>,
    now: Timestamp,
) -> Result<Vec<Stored>, StoreError> {
    let mut done = Vec::with_capacity(mails.len());
    let mut to_index = Vec::with_capacity(mails.len());
    for ((mail, read), Concluded { decision, reason, ticket, to_index: row }) in mails.iter().zip(concluded) {
        let message = read.content.as_ref().map(|content| &content.message);
        to_index.extend(row.zip(message));
        done.push(Stored {
            id: mail.id,
            decision,
            reason,
            ticket,
            message_id: message.and_then(|message| message.message_id.clone()),
            from: message.and_then(|message| message.from.as_ref()).map(|from| from.address.clone()),
            stays: cursor.is_some_and(|cursor| cursor.keep) || mail.stays,
        });
    }
    index(tx, to_index, now)?;
    if let Some(cursor) = cursor {
        tx.advance(cursor.folder, cursor.last_uid)?;
    }
    tx.settled(done.iter().filter(|mail| mail.stays).map(|mail| mail.id))?;
    Ok(done)
}

/// Stores one mail that no mailbox listed, as an MTA's pipe delivers it.
pub fn unlisted(
    store: &mut Store,
    intake: Intake,
    read: &Read,
    arrival: &Arrival,
    site: &Site,
    policy: &Policy,
    now: Timestamp,
) -> Result<Concluded, StoreError> {
    store.transaction(|tx| {
        let id = tx.claim_unlisted(intake, arrival.received, read.raw.size, now)?;
        indexed(tx, id, read, arrival, Entry::Arrived, Setting { site, policy, fresh: fresh(), now })
    })
}

/// Lets a mail out of the quarantine: it takes the ordinary path, but for what set it aside. `None`: somebody else
/// ended its row meanwhile.
pub fn release(
    store: &mut Store,
    mail: &SetAside,
    read: &Read,
    site: &Site,
    policy: &Policy,
    now: Timestamp,
) -> Result<Option<Concluded>, StoreError> {
    store.transaction(|tx| {
        if !tx.waits(mail.row.id)? {
            return Ok(None);
        }
        let setting = Setting { site, policy, fresh: fresh(), now };
        let entry = Entry::Released(mail.message);
        let concluded = indexed(tx, mail.arrival, read, &mail.arrived, entry, setting)?;
        tx.end_quarantine(mail.row.id, Ending::Released, now)?;
        Ok(Some(concluded))
    })
}

/// How a stored mail is to be read again: as it was when it was decided.
pub fn reading_again(decision: &Decision) -> Reading {
    match &decision.flags {
        flags if flags.contains(&Flag::Oversize) => Reading::Head,
        flags if flags.contains(&Flag::HeadersOnly) => Reading::Poison,
        _ => Reading::Whole,
    }
}

/// How a mail in the quarantine is to be read: as it was when it came.
pub fn reading_of(mail: &SetAside, max_size: u64) -> Reading {
    let is_head = match &mail.decision {
        Some(decision) => decision.flags.contains(&Flag::Oversize),
        None => mail.row.size > max_size,
    };
    match mail.alone {
        _ if is_head => Reading::Head,
        0..=2 => Reading::Whole,
        _ => Reading::Poison,
    }
}

/// [`one`], with its words in the index.
fn indexed(
    tx: &Tx<'_>,
    id: ArrivalId,
    read: &Read,
    arrival: &Arrival,
    entry: Entry,
    setting: Setting<'_>,
) -> Result<Concluded, StoreError> {
    let concluded = one(tx, id, read, arrival, entry, setting)?;
    let message = read.content.as_ref().map(|content| &content.message);
    index(tx, concluded.to_index.zip(message), setting.now)?;
    Ok(concluded)
}

/// Random bytes for a mail of ours.
pub(crate) fn fresh() -> Fresh {
    let mut bytes = [0; 8];
    // without a random source a Message-ID would repeat: better none than a weak one, and Linux always has one
    let filled = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes);
    Fresh(if filled.is_ok() { u64::from_le_bytes(bytes) } else { 0 })
}

/// The threads that parse: their stacks are deep, and a panic costs one mail its body, not the daemon its life.
#[derive(Debug, Clone)]
pub struct Readers {
    jobs: mpsc::Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

/// A parser may recurse; a mail within the guard's limits needs a fraction of this.
pub const STACK: usize = 16 << 20;

impl Readers {
    /// Starts `threads` of them. They end when the last handle is dropped.
    pub fn start(threads: usize) -> io::Result<Self> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let inbox = Arc::new(Mutex::new(inbox));
        for number in 0..threads.max(1) {
            let inbox = Arc::clone(&inbox);
            std::thread::Builder::new().name(format!("read-{number}")).stack_size(STACK).spawn(
                move || {
                    loop {
                        let job = inbox.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
                        match job {
                            // its batch is told by the missing answer
                            Ok(job) => drop(catch_unwind(AssertUnwindSafe(job))),
                            Err(mpsc::RecvError) => return,
                        }
                    }
                },
            )?;
        }
        Ok(Self { jobs })
    }

    /// Reads a batch in parallel; the order stays. An error: a mail cannot be packed, for want of memory.
    pub async fn read(&self, mails: Vec<Fetched>, policy: &Arc<Policy>) -> io::Result<Vec<(Fetched, Read)>> {
        let expected = mails.len();
        let (results, mut inbox) = unbounded_channel();
        for (index, mail) in mails.into_iter().enumerate() {
            let (results, policy) = (results.clone(), Arc::clone(policy));
            let job: Job = Box::new(move || {
                let read = Read::new(&mail.raw, mail.reading, &policy);
                drop(results.send((index, mail, read))); // nobody waits any more: the batch was given up
            });
            if self.jobs.send(job).is_err() {
                break; // the threads only end with the last handle
            }
        }
        drop(results);
        let mut read = Vec::with_capacity(expected);
        while let Some(result) = inbox.recv().await {
            read.push(result);
        }
        if read.len() < expected {
            return Err(io::Error::other("a mail went to be read and did not come back"));
        }
        read.sort_unstable_by_key(|(index, ..)| *index);
        read.into_iter().map(|(_, mail, read)| Ok((mail, read?))).collect()
    }
}

/// Does the same work on many things, on as many threads as the host runs at once, with a reader's stack. `feed` is run
/// here and gives them one by one; what comes of them stays in that order. `None`: the work panicked.
///
/// # Errors
/// What `feed` fails with, or that no thread can be started.
pub fn in_parallel<I: Send, O: Send, E: From<io::Error>>(
    feed: impl FnOnce(&mut dyn FnMut(I)) -> Result<(), E>,
    work: impl Fn(I) -> O + Sync,
) -> Result<Vec<Option<O>>, E> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (jobs, inbox) = mpsc::sync_channel::<(usize, I)>(threads * 4);
    let inbox = Mutex::new(inbox);
    let (results, done) = mpsc::channel();
    std::thread::scope(|scope| {
        for number in 0..threads {
            let (results, inbox, work) = (results.clone(), &inbox, &work);
            let body = move || {
                loop {
                    let job = inbox.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
                    let Ok((index, item)) = job else { return };
                    let made = catch_unwind(AssertUnwindSafe(|| work(item))).ok();
                    drop(results.send((index, made))); // it is read to its end below
                }
            };
            std::thread::Builder::new()
                .name(format!("read-{number}"))
                .stack_size(STACK)
                .spawn_scoped(scope, body)?;
        }
        let jobs = jobs; // the threads end with it
        let mut next = 0;
        feed(&mut |item| {
            drop(jobs.send((next, item))); // its threads live as long as this scope
            next += 1;
        })
    })?;
    drop(results);
    let mut made: Vec<_> = done.into_iter().collect();
    made.sort_unstable_by_key(|(index, _)| *index);
    Ok(made.into_iter().map(|(_, made)| made).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicyFiles;
    use crate::store;

    const RAW: &[u8] = b"From: ana@cliente.example\r\nSubject: Hola\r\n\r\nNo carga.\r\n";

    fn arrival() -> Arrival {
        let received = Timestamp::UNIX_EPOCH;
        Arrival { mailbox: "soporte".to_owned(), recipient: None, received, backlog: false }
    }

    fn policy() -> Policy {
        Policy::compile(&PolicyFiles::shipped()).0.unwrap()
    }

    fn new_store(directory: &std::path::Path) -> Store {
        store::create(directory).unwrap();
        store::open(directory).unwrap()
    }

    fn fetched(store: &mut Store, raw: &[u8]) -> Fetched {
        let then = Timestamp::UNIX_EPOCH;
        let id = store.transaction(|tx| tx.claim_unlisted(Intake::Stdin, then, raw.len(), then)).unwrap();
        Fetched { id, arrival: arrival(), raw: raw.to_vec(), reading: Reading::Whole, stays: false }
    }

    fn headers() -> Message {
        mail::from_headers(RAW, Defect::Unreadable)
    }

    #[test]
    fn what_panics_outside_the_parser_is_read_from_its_headers() {
        let read = Read::with(RAW, || read(RAW, Reading::Whole), headers, |_| panic!("a rule")).unwrap();
        let Content { message, verdict } = read.content.unwrap();
        assert_eq!(message.subject, "Hola");
        assert!(message.defects.contains(&Defect::Unreadable));
        assert_eq!(verdict, Verdict::default());
    }

    #[test]
    fn work_that_is_shared_out_comes_back_in_its_order_and_a_panic_costs_one_piece() {
        let odd = |number: u32| if number.is_multiple_of(7) { panic!("a rule") } else { number * 2 };
        let feed = |give: &mut dyn FnMut(u32)| -> io::Result<()> {
            (1..500).for_each(give);
            Ok(())
        };
        let made = in_parallel(feed, odd).unwrap();
        let wanted = (1..500).map(|number: u32| (!number.is_multiple_of(7)).then_some(number * 2));
        assert_eq!(made, wanted.collect::<Vec<_>>());
        let broken = |give: &mut dyn FnMut(u32)| -> io::Result<()> {
            give(1);
            Err(io::Error::other("the database"))
        };
        assert!(in_parallel(broken, odd).is_err());
    }

    #[test]
    fn what_not_even_its_headers_can_be_read_of_is_set_aside_and_the_others_go_on() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = new_store(directory.path());
        let (policy, site) = (policy(), Site::nobody());
        let other = b"From: luis@cliente.example\r\nSubject: Hola\r\n\r\nNo carga.\r\n";
        let spoilt = Read::with(RAW, || panic!("a parser"), || panic!("a header"), |_| Verdict::default());
        let batch = vec![
            (fetched(&mut store, RAW), spoilt.unwrap()),
            (fetched(&mut store, other), Read::new(other, Reading::Whole, &policy).unwrap()),
        ];
        let stored = super::batch(&mut store, &batch, None, &site, &policy, arrival().received).unwrap();
        assert_eq!((stored[0].reason, stored[0].ticket), (Reason::Unreadable, None));
        assert_eq!((stored[1].reason, stored[1].ticket), (Reason::NewMail, Some(TicketNumber(1))));
        let row = store.read(|tx| tx.quarantine(false)).unwrap().pop().unwrap();
        let kept = store.read(|tx| tx.set_aside(row.id)).unwrap().unwrap();
        assert_eq!((row.reason.as_str(), kept.raw.as_deref()), ("unreadable", Some(RAW)));
        assert_eq!(store.read(|tx| tx.account()).unwrap().problems, [""; 0]);
    }

    #[test]
    fn a_damaged_index_costs_no_ticket() {
        costs_no_ticket("DELETE FROM message_text_data");
        costs_no_ticket("UPDATE message_text_data SET block = x'ffffffffffffffff' WHERE id = 10");
        costs_no_ticket("DROP TABLE message_text_data");
    }

    #[track_caller]
    fn costs_no_ticket(damage: &str) {
        let directory = tempfile::tempdir().unwrap();
        let mut store = new_store(directory.path());
        let database = rusqlite::Connection::open(directory.path().join(store::DATABASE)).unwrap();
        database.execute_batch(damage).unwrap();
        let (policy, site) = (policy(), Site::nobody());
        for number in 1..=2 {
            let raw = format!("From: c{number}@cliente.example\r\nSubject: Hola\r\n\r\nNo carga.\r\n");
            let read = Read::new(raw.as_bytes(), Reading::Whole, &policy).unwrap();
            let batch = vec![(fetched(&mut store, raw.as_bytes()), read)];
            let stored = super::batch(&mut store, &batch, None, &site, &policy, arrival().received).unwrap();
            assert_eq!(stored[0].ticket, Some(TicketNumber(number)));
        }
        let alerts = "SELECT count FROM alert WHERE kind = 'search_index' AND ended IS NULL";
        assert_eq!(database.query_row(alerts, [], |row| row.get::<_, i64>(0)).unwrap(), 2);
        store::verify(directory.path()).unwrap();
        let problems = store.read(|tx| tx.account()).unwrap().problems;
        assert!(
            problems.iter().all(|problem| problem.contains("message_text")) && !problems.is_empty(),
            "{problems:?}"
        );
    }

    #[tokio::test]
    async fn a_panic_ends_no_reader() {
        let readers = Readers::start(1).unwrap();
        readers.jobs.send(Box::new(|| panic!("a job"))).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mail = fetched(&mut new_store(directory.path()), RAW);
        assert_eq!(readers.read(vec![mail], &Arc::new(policy())).await.unwrap().len(), 1);
    }
}
