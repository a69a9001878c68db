//! What tells a restored database from the one that went on (I18), and what it must not do; the newest time it knows.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::{Result, Tx, at, ms};

/// Numbers of tickets that may be given before the highest is noted again: so many are left out when nobody knows how
/// many were given since a copy was made.
pub const RESERVED_NUMBERS: i64 = 1000;

impl Tx<'_> {
    /// The counter that tells a restored database (I18).
    pub fn epoch(&self) -> Result<i64> {
        Ok(self.meta("epoch")?.unwrap_or(0))
    }

    /// Sets the counter.
    pub fn set_epoch(&self, count: i64) -> Result<()> {
        self.set_meta("epoch", count)
    }

    /// Whether this is a copy that `acuse db backup` made, and no daemon has run on it since.
    pub fn is_copy(&self) -> Result<bool> {
        Ok(self.meta("copied")?.is_some())
    }

    /// Makes this a copy: whoever puts it in the place of a database is told, on this host or on another.
    pub(super) fn mark_as_copy(&self, now: Timestamp) -> Result<()> {
        self.set_meta("copied", ms(now))
    }

    /// From now on, nothing that arrived before `now` is acknowledged in any folder: the database was restored (I18).
    /// What waited in the outbox may have been sent since the copy was made: a person decides. No number up to
    /// `ticket` is given to a ticket any more; `None`: nobody knows which were given, and a good many are left out.
    pub fn silence_the_past(&self, ticket: Option<i64>, now: Timestamp) -> Result<()> {
        let ticket = match ticket {
            Some(ticket) => ticket,
            None => self.highest_ticket()?.saturating_add(RESERVED_NUMBERS),
        };
        self.connection
            .execute("DELETE FROM sqlite_sequence WHERE name = 'ticket' AND seq < ?1", [ticket])?;
        self.connection.execute(
            "INSERT INTO sqlite_sequence (name, seq) SELECT 'ticket', ?1
             WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'ticket')",
            [ticket],
        )?;
        self.connection.execute("UPDATE folder SET silent_before = max(silent_before, ?1)", [ms(now)])?;
        self.connection.execute(
            "UPDATE outbox SET state = 'held', held_by = 'restored', offered = 1, last_error = 'the database was restored'
             WHERE state IN ('due', 'sending')", // nobody knows what was offered since: the bytes stay as they are (I5)
            [],
        )?;
        self.connection.execute("DELETE FROM meta WHERE key = 'copied'", [])?;
        self.event(now, None, None, "restored", &serde_json::json!({}))
    }

    /// The highest number that was given to a ticket; 0 before the first.
    pub fn highest_ticket(&self) -> Result<i64> {
        let sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'ticket'";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// The newest time that this database knows: a clock that shows an earlier one is behind.
    pub fn newest_time(&self) -> Result<Timestamp> {
        let polled: i64 =
            self.connection
                .query_row("SELECT coalesce(max(last_poll), 0) FROM folder", [], |row| row.get(0))?;
        Ok(at(self.meta("clock")?.unwrap_or(0).max(polled)))
    }

    /// Notes what the clock shows, unless a later time is known.
    pub fn note_time(&self, now: Timestamp) -> Result<()> {
        let known = self.meta("clock")?.unwrap_or(0);
        self.set_meta("clock", known.max(ms(now)))
    }

    fn meta(&self, key: &str) -> Result<Option<i64>> {
        let sql = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?1";
        Ok(self.connection.query_row(sql, [key], |row| row.get(0)).optional()?)
    }

    fn set_meta(&self, key: &str, value: i64) -> Result<()> {
        self.connection.execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2",
            params![key, value.to_string()],
        )?;
        Ok(())
    }
}
