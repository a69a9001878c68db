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
    ArrivalId, FolderId, Fresh, Incoming, Intake, MessageId, Packed, Setting, Store, StoreError, Tx,
};
use crate::ticket::TicketNumber;
use crate::triage::{Arrival, Decision, Reason, classify, triage};

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
    /// What was decided; `None`: storing it failed, and it is in the quarantine.
    pub decision: Option<Decision>,
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
    /// What was read in them.
    pub message: Message,
    /// What the rules say of it.
    pub verdict: Verdict,
}

impl Read {
    /// Reads, classifies and packs a mail: all that is costly, before anybody waits for the database.
    pub fn new(raw: &[u8], reading: Reading, policy: &Policy) -> io::Result<Self> {
        Self::with(raw, reading, |message| classify(message, policy))
    }

    /// A panic, wherever it comes from, costs the mail its parts and its verdict, and nobody else anything.
    fn with(raw: &[u8], reading: Reading, classify: impl FnOnce(&Message) -> Verdict) -> io::Result<Self> {
        let whole = || {
            let message = read(raw, reading);
            let verdict = classify(&message);
            Ok(Self { raw: Packed::new(raw)?, message, verdict })
        };
        let headers = || {
            let message = mail::from_headers(raw, Defect::Unreadable);
            Ok(Self { raw: Packed::new(raw)?, message, verdict: Verdict::default() })
        };
        catch_unwind(AssertUnwindSafe(whole))
            .or_else(|_| catch_unwind(AssertUnwindSafe(headers)))
            .unwrap_or_else(|_| Err(io::Error::other("not even a mail's headers can be read")))
    }
}

/// The heart: facts, decision, writes, in one transaction (or savepoint). The message's row is still to be indexed.
pub fn one(
    tx: &Tx<'_>,
    id: ArrivalId,
    mail: &Read,
    arrival: &Arrival,
    setting: Setting<'_>,
) -> Result<(Decision, Option<TicketNumber>, Option<MessageId>), StoreError> {
    let Setting { site, policy, now, .. } = setting;
    let Read { raw, message, verdict } = mail;
    let facts = tx.facts(message, arrival, site, &policy.plans, now)?;
    let decision = triage(message, verdict, arrival, &facts, site, policy, now);
    let (ticket, row) =
        tx.apply(id, Incoming { raw, message, arrival, facts: &facts }, &decision, setting)?;
    Ok((decision, ticket, row))
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

/// Stores a batch in one transaction, with a savepoint per mail: one that fails is rolled back alone and set aside,
/// the others commit together. An error means that nothing was committed.
pub fn batch(
    store: &mut Store,
    mails: &[(Fetched, Read)],
    cursor: Option<Cursor>,
    site: &Site,
    policy: &Policy,
    now: Timestamp,
) -> Result<Vec<Stored>, StoreError> {
    store.transaction(|tx| {
        let mut done = Vec::with_capacity(mails.len());
        let mut to_index = Vec::with_capacity(mails.len());
        for (mail, read) in mails {
            let setting = Setting { site, policy, fresh: fresh(), now };
            let stored = tx.savepoint(|tx| one(tx, mail.id, read, &mail.arrival, setting));
            let (decision, ticket) = match stored {
                Ok((decision, ticket, row)) => {
                    to_index.extend(row.map(|row| (row, &read.message)));
                    (Some(decision), ticket)
                }
                Err(error) if error.is_temporary() => return Err(error),
                Err(error) => {
                    let mailbox = &mail.arrival.mailbox;
                    let why = error.to_string();
                    tx.quarantine_unread(mail.id, mailbox, Reason::StoreFailed, Some(&read.raw), &why, now)?;
                    (None, None)
                }
            };
            done.push(Stored {
                id: mail.id,
                decision,
                ticket,
                message_id: read.message.message_id.clone(),
                from: read.message.from.as_ref().map(|from| from.address.clone()),
                stays: cursor.is_some_and(|cursor| cursor.keep) || mail.stays,
            });
        }
        to_index.into_iter().try_for_each(|(row, message)| tx.index(row, message))?;
        if let Some(cursor) = cursor {
            tx.advance(cursor.folder, cursor.last_uid)?;
        }
        tx.settled(done.iter().filter(|mail| mail.stays).map(|mail| mail.id))?;
        Ok(done)
    })
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
) -> Result<(Decision, Option<TicketNumber>), StoreError> {
    store.transaction(|tx| {
        let id = tx.claim_unlisted(intake, arrival.received, read.raw.size, now)?;
        let setting = Setting { site, policy, fresh: fresh(), now };
        let (decision, ticket, row) = one(tx, id, read, arrival, setting)?;
        row.map_or(Ok(()), |row| tx.index(row, &read.message))?;
        Ok((decision, ticket))
    })
}

fn fresh() -> Fresh {
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

    /// Reads a batch in parallel; the order stays. An error: a mail cannot be packed, for want of memory, or not be
    /// read at all.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicyFiles;
    use crate::store;

    const RAW: &[u8] = b"From: ana@cliente.example\r\nSubject: Hola\r\n\r\nNo carga.\r\n";

    #[test]
    fn what_panics_outside_the_parser_is_read_from_its_headers() {
        let read = Read::with(RAW, Reading::Whole, |_| panic!("a rule")).unwrap();
        assert_eq!(read.message.subject, "Hola");
        assert!(read.message.defects.contains(&Defect::Unreadable));
        assert_eq!(read.verdict, Verdict::default());
    }

    #[tokio::test]
    async fn a_panic_ends_no_reader() {
        let readers = Readers::start(1).unwrap();
        readers.jobs.send(Box::new(|| panic!("a job"))).unwrap();
        let directory = tempfile::tempdir().unwrap();
        store::create(directory.path()).unwrap();
        let mut store = store::open(directory.path()).unwrap();
        let then = Timestamp::UNIX_EPOCH;
        let id = store.transaction(|tx| tx.claim_unlisted(Intake::Stdin, then, RAW.len(), then)).unwrap();
        let arrival =
            Arrival { mailbox: "soporte".to_owned(), recipient: None, received: then, backlog: false };
        let mail = Fetched { id, arrival, raw: RAW.to_vec(), reading: Reading::Whole, stays: false };
        let policy = Arc::new(Policy::compile(&PolicyFiles::shipped()).0.unwrap());
        assert_eq!(readers.read(vec![mail], &policy).await.unwrap().len(), 1);
    }
}
