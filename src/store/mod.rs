//! SQLite: the only SQL. One writer, read-only readers, every mail's outcome in one commit.

use jiff::Timestamp;
use rusqlite::Connection;

mod account;
mod ack;
mod apply;
mod backup;
mod claim;
mod correct;
mod customers;
mod erase;
mod epoch;
mod facts;
mod kept;
mod mailboxes;
mod news;
mod open;
mod outbox;
mod packed;
mod policies;
mod quarantine;
mod reports;
mod sound;
mod tickets;
mod writer;

pub use account::Account;
pub use apply::{Entry, Fresh, Incoming, MessageId, Setting};
pub use backup::{BackupError, Copied, backup};
pub use claim::{ArrivalId, Folder, FolderId, Intake, NewArrival, Pending, Unsettled};
pub use correct::{Corrected, Correction, PromiseAfter};
pub use customers::{CustomerRow, Import, KeyKind};
pub use epoch::RESERVED_NUMBERS;
pub use erase::{Erased, Erasure};
pub use kept::{Hits, KeptMail};
pub use mailboxes::{FolderState, MailboxOrder, Standing, folder_subject};
pub use open::{DATABASE, OpenError, create, open, verify};
pub use outbox::{
    Breaker, Delivery, Due, HeldBy, Only, Order, OutboxPage, OutboxRow, OutboxState, Rate, Ready, Refusal,
};
pub use packed::Packed;
pub use policies::{Generation, Origin, Reloaded};
pub use quarantine::{Ending, QuarantineRow, SetAside};
pub use tickets::{EventRow, MessageRow, PromiseRow, TicketFilter, TicketPage, TicketRow};
pub use writer::{Writer, WriterGone};

/// What SQLite says when it cannot do as it is told. Nothing was committed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite's own error.
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored value that this version cannot read.
    #[error("database: cannot read {what}: {why}")]
    Unreadable {
        /// Which value.
        what: &'static str,
        /// The reader's own words.
        why: String,
    },
    /// Compressing or unpacking a raw mail.
    #[error("database: raw mail: {0}")]
    Raw(#[from] std::io::Error),
}

impl StoreError {
    /// Whether trying again later may help: the database is busy, or the disk fails or is full.
    pub fn is_temporary(&self) -> bool {
        use rusqlite::ErrorCode as Code;
        let Self::Sqlite(error) = self else { return false };
        matches!(
            error.sqlite_error_code(),
            Some(
                Code::DatabaseBusy
                    | Code::DatabaseLocked
                    | Code::DiskFull
                    | Code::SystemIoFailure
                    | Code::CannotOpen
            )
        )
    }
}

/// A result of the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// An open database.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
}

impl Store {
    /// Runs `work` in one transaction, begun for writing; an error rolls everything back.
    pub fn transaction<T>(&mut self, work: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        let transaction =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let done = work(&Tx { connection: &transaction })?;
        transaction.commit()?;
        Ok(done)
    }

    /// Runs `work` on one snapshot of the database, without writing.
    pub fn read<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        let snapshot = self.connection.unchecked_transaction()?;
        work(&Tx { connection: &snapshot })
    }

    /// A number that changes when another connection committed (`PRAGMA data_version`).
    pub fn data_version(&self) -> Result<i64> {
        Ok(self.connection.query_row("PRAGMA data_version", [], |row| row.get(0))?)
    }

    /// Moves the WAL into the database, as far as readers let it.
    pub fn checkpoint(&self) -> Result<()> {
        Ok(self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
    }
}

/// A transaction, or a savepoint within one: the reads and writes that `store/` offers.
#[derive(Debug)]
pub struct Tx<'a> {
    connection: &'a Connection,
}

impl Tx<'_> {
    /// Runs `work` in a savepoint: an error rolls back its writes alone.
    pub fn savepoint<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        let run = |sql| self.connection.prepare_cached(sql)?.execute([]).map(drop);
        run("SAVEPOINT mail")?;
        let done = work(self);
        if done.is_err() {
            run("ROLLBACK TO mail")?;
        }
        run("RELEASE mail")?;
        done
    }

    /// Records what happened; `detail` is a JSON object.
    fn event(
        &self,
        at: Timestamp,
        ticket: Option<i64>,
        message: Option<i64>,
        kind: &str,
        detail: &serde_json::Value,
    ) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO event (at, ticket, message, kind, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(rusqlite::params![ms(at), ticket, message, kind, detail.to_string()])?;
        Ok(())
    }

    /// Notes what the administrator should know; the same again counts up.
    pub fn alert(&self, at: Timestamp, kind: &str, subject: &str, detail: &str) -> Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO alert (kind, subject, detail, first, last) VALUES (?1, ?2, ?3, ?4, ?4)
                 ON CONFLICT DO UPDATE SET first = CASE WHEN ended IS NULL THEN first ELSE ?4 END,
                     detail = ?3, last = ?4, count = count + 1, ended = NULL",
            )?
            .execute(rusqlite::params![kind, subject, detail, ms(at)])?;
        Ok(())
    }

    fn alert_stands(&self, kind: &str, subject: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM alert WHERE kind = ?1 AND subject = ?2 AND ended IS NULL";
        Ok(self.connection.prepare_cached(sql)?.exists([kind, subject])?)
    }

    /// Ends an alert, if it stands.
    pub fn alert_ends(&self, at: Timestamp, kind: &str, subject: &str) -> Result<()> {
        self.connection
            .prepare_cached("UPDATE alert SET ended = ?3 WHERE kind = ?1 AND subject = ?2 AND ended IS NULL")?
            .execute(rusqlite::params![kind, subject, ms(at)])?;
        Ok(())
    }
}

/// A time as the database keeps it: Unix milliseconds.
fn ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// A time as the database kept it.
fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or_default() // only we write the column
}

/// Reads a stored word back into its type.
fn word<T: std::str::FromStr<Err = String>>(what: &'static str, text: &str) -> Result<T> {
    text.parse().map_err(|why| StoreError::Unreadable { what, why })
}
