//! What an administrator asks of a mailbox, and how its folders stand.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::{FolderId, NewArrival, Result, Tx, at, ms};
use crate::codes::codes;
use crate::ticket::Outcome;

/// What is asked of a mailbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MailboxOrder {
    /// It is not watched until it is resumed.
    pub paused: bool,
    /// What arrived since then is to be listed again where we put what is done.
    pub rescan: Option<Timestamp>,
}

codes! {
    /// Whether a folder is watched, and why not.
    Standing {
        /// It is watched.
        Ok = "ok",
        /// No daemon has read it yet.
        New = "new",
        /// `acuse mailbox pause` was said; it is watched again after `acuse mailbox resume`.
        Paused = "paused",
        /// There is too little room on the disk: nothing is fetched until there is more.
        DiskLow = "disk_low",
        /// The server does not take the user or the password; it is tried again, slowly.
        LoginRefused = "login_refused",
        /// There is no connection, or the folder cannot be used; it is tried again.
        Unreachable = "unreachable",
    }
}

/// How a watched folder stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderState {
    /// Whether it is watched.
    pub standing: Standing,
    /// Since when it is not, and in whose words.
    pub trouble: Option<(Timestamp, String)>,
    /// The UIDVALIDITY it was last read under.
    pub uid_validity: Option<u32>,
    /// Every UID up to this one has its row.
    pub last_uid: u32,
    /// The last pass that ended well.
    pub last_poll: Option<Timestamp>,
    /// Mails that were claimed and have no outcome yet.
    pub pending: u64,
    /// Mails whose outcome the server has not heard of.
    pub unsettled: u64,
}

/// What an alert of a folder is about.
pub fn folder_subject(mailbox: &str, folder: &str) -> String {
    format!("{mailbox}/{folder}")
}

impl Tx<'_> {
    /// What is asked of each mailbox; one that is missing: nothing.
    pub fn orders(&self) -> Result<BTreeMap<String, MailboxOrder>> {
        let mut rows = self.connection.prepare_cached("SELECT name, paused, rescan FROM mailbox")?;
        let rows = rows.query_map([], |row| {
            let paused = row.get::<_, Option<i64>>(1)?.is_some();
            Ok((row.get(0)?, MailboxOrder { paused, rescan: row.get::<_, Option<i64>>(2)?.map(at) }))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Asks for a mailbox not to be watched. Says whether it was.
    pub fn pause(&self, mailbox: &str, now: Timestamp) -> Result<bool> {
        let changed = self.connection.execute(
            "INSERT INTO mailbox (name, paused) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET paused = ?2 WHERE paused IS NULL",
            params![mailbox, ms(now)],
        )?;
        self.note_order(mailbox, "mailbox_paused", changed > 0, now)
    }

    /// Asks for a mailbox to be watched again. Says whether it was not.
    pub fn resume(&self, mailbox: &str, now: Timestamp) -> Result<bool> {
        let sql = "UPDATE mailbox SET paused = NULL WHERE name = ?1 AND paused IS NOT NULL";
        let changed = self.connection.execute(sql, [mailbox])?;
        self.note_order(mailbox, "mailbox_resumed", changed > 0, now)
    }

    fn note_order(&self, mailbox: &str, kind: &str, changed: bool, now: Timestamp) -> Result<bool> {
        if changed {
            self.event(now, None, None, kind, &json!({ "mailbox": mailbox }))?;
        }
        Ok(changed)
    }

    /// Asks for what arrived since a time to be listed again; of two times the earlier one counts. The time differs from
    /// the one that was asked for before, so that a rescan which runs now is followed by another.
    pub fn ask_rescan(&self, mailbox: &str, since: Timestamp) -> Result<()> {
        self.connection.execute(
            "INSERT INTO mailbox (name, rescan) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET rescan = min(coalesce(rescan - 1, ?2), ?2)",
            params![mailbox, ms(since)],
        )?;
        Ok(())
    }

    /// Since when mail must be listed again that this database may not know: everything that was there at the last
    /// pass has its row, so that only `margin` lies before it, for mails that somebody laid in with an older date.
    /// A mailbox that this database never saw began after all that it did see.
    pub fn rescan_since(
        &self,
        mailbox: &str,
        folders: &[String],
        margin: SignedDuration,
        now: Timestamp,
    ) -> Result<Timestamp> {
        let mut newest = self
            .connection
            .prepare_cached("SELECT max(last_poll) FROM folder WHERE mailbox = ?1 AND name = ?2")?;
        let mut known: Option<i64> = None;
        for folder in folders {
            let polled: Option<i64> = newest.query_row([mailbox, folder], |row| row.get(0))?;
            known = known.into_iter().chain(polled).min();
        }
        if known.is_none() {
            known = self.connection.query_row("SELECT max(last_poll) FROM folder", [], |row| row.get(0))?;
        }
        let polled = at(known.unwrap_or(0)).min(now);
        Ok(polled.saturating_sub(margin).unwrap_or_default().max(Timestamp::UNIX_EPOCH))
    }

    /// Ends a rescan that listed these folders from `started` on, and tells what it found; one that was asked for
    /// meanwhile stays.
    pub fn rescanned(
        &self,
        mailbox: &str,
        since: Timestamp,
        folders: &[FolderId],
        started: Timestamp,
        now: Timestamp,
    ) -> Result<BTreeMap<Outcome, u64>> {
        let mut found = BTreeMap::new();
        let mut query = self.connection.prepare_cached(
            "SELECT count(*) FROM arrival WHERE folder = ?1 AND listed >= ?2 AND outcome = ?3",
        )?;
        for (folder, outcome) in
            folders.iter().flat_map(|folder| Outcome::ALL.iter().map(move |it| (folder, *it)))
        {
            let mails: i64 =
                query.query_row(params![folder.0, ms(started), outcome.as_str()], |row| row.get(0))?;
            *found.entry(outcome).or_default() += mails.unsigned_abs();
        }
        self.connection.execute(
            "UPDATE mailbox SET rescan = NULL WHERE name = ?1 AND rescan = ?2",
            params![mailbox, ms(since)],
        )?;
        let counts: BTreeMap<&str, u64> =
            found.iter().map(|(outcome, mails): (&Outcome, &u64)| (outcome.as_str(), *mails)).collect();
        let detail = json!({ "mailbox": mailbox, "since": since, "found": counts });
        self.event(now, None, None, "rescanned", &detail)?;
        Ok(found)
    }

    /// Those of these UIDs whose mail has an outcome already.
    pub fn with_outcome(&self, folder: FolderId, uids: &BTreeSet<u32>) -> Result<BTreeSet<u32>> {
        let (Some(first), Some(last)) = (uids.first(), uids.last()) else { return Ok(BTreeSet::new()) };
        let mut rows = self.connection.prepare_cached(
            "SELECT uid FROM arrival WHERE folder = ?1 AND uid BETWEEN ?2 AND ?3 AND outcome IS NOT NULL",
        )?;
        let rows = rows.query_map(params![folder.0, first, last], |row| row.get(0))?;
        let all = rows.collect::<rusqlite::Result<BTreeSet<u32>>>()?;
        Ok(all.intersection(uids).copied().collect())
    }

    /// Claims the mails of a watched folder that lie below its cursor and have no row, as a server may bring about
    /// that shows a lower UID after a higher one. The folder's next pass redoes them; no acknowledgement goes out
    /// for them. Says how many there were.
    pub fn claim_missed(
        &self,
        mailbox: &str,
        name: &str,
        uid_validity: u32,
        listed: &[NewArrival],
        now: Timestamp,
    ) -> Result<usize> {
        let folder: Option<(i64, u32)> = self
            .connection
            .prepare_cached(
                "SELECT id, last_uid FROM folder WHERE mailbox = ?1 AND name = ?2 AND uidvalidity = ?3",
            )?
            .query_row(params![mailbox, name, uid_validity], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((id, last_uid)) = folder else { return Ok(0) }; // all of it is listed when it is enrolled
        let mut known =
            self.connection.prepare_cached("SELECT 1 FROM arrival WHERE folder = ?1 AND uid = ?2")?;
        let mut missed = Vec::new();
        for mail in listed.iter().filter(|mail| mail.uid <= last_uid) {
            if !known.exists(params![id, mail.uid])? {
                missed.push(*mail);
            }
        }
        self.claim(FolderId(id), &missed, now)?;
        if let Some(newest) = missed.iter().map(|mail| ms(mail.received)).max() {
            self.connection.execute(
                "UPDATE folder SET silent_before = max(silent_before, ?2 + 1) WHERE id = ?1",
                [id, newest],
            )?;
        }
        Ok(missed.len())
    }

    /// How a watched folder stands, under the UIDVALIDITY it was last read by.
    pub fn folder_state(&self, mailbox: &str, name: &str) -> Result<FolderState> {
        let read: Option<(u32, u32, i64)> = self
            .connection
            .prepare_cached(
                "SELECT uidvalidity, last_uid, last_poll FROM folder
                 WHERE mailbox = ?1 AND name = ?2 AND uidvalidity > 0
                 ORDER BY last_poll DESC, id DESC LIMIT 1",
            )?
            .query_row([mailbox, name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let count = |which: &str| {
            let sql = format!(
                "SELECT count(*) FROM arrival JOIN folder ON folder.id = arrival.folder
                 WHERE folder.mailbox = ?1 AND folder.name = ?2 AND {which}"
            );
            let rows: i64 =
                self.connection.prepare_cached(&sql)?.query_row([mailbox, name], |row| row.get(0))?;
            Ok::<_, super::StoreError>(rows.unsigned_abs())
        };
        let (standing, trouble) = match self.trouble(mailbox, name)? {
            Some((standing, since, words)) => (standing, Some((since, words))),
            None if read.is_none() => (Standing::New, None),
            None => (Standing::Ok, None),
        };
        Ok(FolderState {
            standing,
            trouble,
            uid_validity: read.map(|(uid_validity, ..)| uid_validity),
            last_uid: read.map_or(0, |(_, last_uid, _)| last_uid),
            last_poll: read.map(|(.., last_poll)| at(last_poll)),
            pending: count("outcome IS NULL")?,
            unsettled: count("settled = 0 AND outcome IS NOT NULL")?,
        })
    }

    /// What keeps a folder from being watched, since when, and in whose words.
    fn trouble(&self, mailbox: &str, name: &str) -> Result<Option<(Standing, Timestamp, String)>> {
        let paused: Option<Option<i64>> = self
            .connection
            .prepare_cached("SELECT paused FROM mailbox WHERE name = ?1")?
            .query_row([mailbox], |row| row.get(0))
            .optional()?;
        if let Some(since) = paused.flatten() {
            return Ok(Some((Standing::Paused, at(since), String::new())));
        }
        let mut standing = self.connection.prepare_cached(
            "SELECT first, detail FROM alert
             WHERE kind = ?1 AND subject = coalesce(?2, subject) AND ended IS NULL",
        )?;
        let subject = folder_subject(mailbox, name);
        for (kind, subject, word) in [
            ("disk_low", None, Standing::DiskLow),
            ("login_refused", Some(&subject), Standing::LoginRefused),
            ("mailbox_unreachable", Some(&subject), Standing::Unreachable),
        ] {
            let found = standing
                .query_row(params![kind, subject], |row| Ok((at(row.get(0)?), row.get(1)?)))
                .optional()?;
            if let Some((since, words)) = found {
                return Ok(Some((word, since, words)));
            }
        }
        Ok(None)
    }
}
