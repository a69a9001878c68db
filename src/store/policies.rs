//! Which policy was in force when: every change makes a generation, and every decision names its own (I15). What people
//! ask of the policy, and what the daemon answers.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, Row, params};

use super::{Result, Setting, Tx, at, ms};
use crate::codes::codes;
use crate::ticket::TicketNumber;

codes! {
    /// What put a policy in force.
    Origin {
        /// The daemon started with it.
        Start = "start",
        /// `acuse reload` asked for it.
        Reload = "reload",
        /// The daemon got SIGHUP.
        Signal = "signal",
        /// A command decided a mail by it that no daemon had in force: `acuse ingest` or `quarantine release` reads the files itself.
        Command = "command",
    }
}

/// A policy for as long as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Counts up from 1.
    pub number: i64,
    /// [`Policy::hash`](crate::policy::Policy::hash).
    pub hash: String,
    /// Since when.
    pub since: Timestamp,
    /// The word of the [`Origin`] that put it in force.
    pub by: String,
}

/// What came of `acuse reload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reloaded {
    /// What the files say is in force.
    InForce(Generation),
    /// They are wrong, and nothing changed: the report.
    Refused(String),
}

/// The kind of the alert that the policy's files are wrong, and its one subject.
const REFUSED: &str = "policy_refused";
const FILES: &str = "files";

/// So long after its answer nobody reads a row of `acuse reload` any more.
const READ_BY: SignedDuration = SignedDuration::from_hours(24);

/// The generations that a daemon had in force, the present one first.
const OF_DAEMON: &str = "SELECT generation, hash, since, origin FROM policy
                         WHERE origin != 'command' ORDER BY generation DESC LIMIT 1";

impl Tx<'_> {
    /// Puts a policy in force for the daemon. One that is in force already keeps its generation.
    pub fn enact(&self, hash: &str, by: Origin, now: Timestamp) -> Result<Generation> {
        match self.in_force()? {
            Some(generation) if generation.hash == hash => Ok(generation),
            _ => self.new_generation(hash, by, now),
        }
    }

    /// The policy that the daemon has in force, or had last; `None` before its first start.
    pub fn in_force(&self) -> Result<Option<Generation>> {
        Ok(self.connection.query_row(OF_DAEMON, [], generation).optional()?)
    }

    /// The generation that a decision is made under: the last of this hash, since the daemon may have gone on meanwhile.
    pub(super) fn generation_of(&self, setting: Setting<'_>) -> Result<i64> {
        let hash = setting.policy.hash.as_str();
        let known: Option<i64> = self
            .connection
            .prepare_cached("SELECT max(generation) FROM policy WHERE hash = ?1")?
            .query_row([hash], |row| row.get(0))?;
        match known {
            Some(number) => Ok(number),
            None => Ok(self.new_generation(hash, Origin::Command, setting.now)?.number),
        }
    }

    fn new_generation(&self, hash: &str, by: Origin, now: Timestamp) -> Result<Generation> {
        let sql = "INSERT INTO policy (hash, since, origin) VALUES (?1, ?2, ?3)
                   RETURNING generation, hash, since, origin";
        Ok(self.connection.query_row(sql, params![hash, ms(now), by.as_str()], generation)?)
    }

    /// The policy that gave a ticket the impact and the rule that it has.
    pub(super) fn policy_of(&self, number: TicketNumber) -> Result<Generation> {
        let sql =
            "SELECT generation, hash, since, origin FROM policy JOIN ticket ON ticket.policy = generation
                   WHERE ticket.id = ?1";
        Ok(self.connection.prepare_cached(sql)?.query_row([number.0], generation)?)
    }

    /// Asks the daemon to read the policy's files anew; the row in which it answers.
    pub fn ask_reload(&self, now: Timestamp) -> Result<i64> {
        let sql = "INSERT INTO reload (asked) VALUES (?1) RETURNING id";
        Ok(self.connection.query_row(sql, [ms(now)], |row| row.get(0))?)
    }

    /// The last row that the daemon has not answered; `None`: nobody waits.
    pub fn reload_asked(&self) -> Result<Option<i64>> {
        let sql = "SELECT max(id) FROM reload WHERE answered IS NULL";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// Answers everybody who asked up to this row. Answers that are a day old are deleted.
    pub fn answer_reload(&self, last: Option<i64>, answer: &Reloaded, now: Timestamp) -> Result<()> {
        let (number, report) = match answer {
            Reloaded::InForce(generation) => (Some(generation.number), None),
            Reloaded::Refused(report) => (None, Some(report)),
        };
        self.connection.execute(
            "UPDATE reload SET answered = ?2, generation = ?3, report = ?4 WHERE answered IS NULL AND id <= ?1",
            params![last, ms(now), number, report],
        )?;
        let old = now.saturating_sub(READ_BY).unwrap_or(Timestamp::MIN);
        let sql = "DELETE FROM reload WHERE answered < ?1 AND id < (SELECT max(id) FROM reload)"; // ids only grow
        self.connection.execute(sql, [ms(old)])?;
        Ok(())
    }

    /// What the daemon answered in a row; `None`: nothing yet.
    pub fn reload_answer(&self, row: i64) -> Result<Option<Reloaded>> {
        let report: Option<Option<String>> = self
            .connection
            .prepare_cached("SELECT report FROM reload WHERE id = ?1 AND answered IS NOT NULL")?
            .query_row([row], |row| row.get(0))
            .optional()?;
        Ok(match report {
            None => None,
            Some(Some(report)) => Some(Reloaded::Refused(report)),
            Some(None) => {
                let sql = "SELECT policy.generation, hash, since, origin FROM policy
                           JOIN reload ON reload.generation = policy.generation WHERE reload.id = ?1";
                Some(Reloaded::InForce(self.connection.query_row(sql, [row], generation)?))
            }
        })
    }

    /// Notes that the policy's files are wrong: no reload takes them, and a start may not.
    pub fn policy_refused(&self, summary: &str, now: Timestamp) -> Result<()> {
        self.alert(now, REFUSED, FILES, summary)
    }

    /// The policy's files are right again.
    pub fn policy_accepted(&self, now: Timestamp) -> Result<()> {
        self.alert_ends(now, REFUSED, FILES)
    }
}

fn generation(row: &Row<'_>) -> rusqlite::Result<Generation> {
    Ok(Generation { number: row.get(0)?, hash: row.get(1)?, since: at(row.get(2)?), by: row.get(3)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store;

    #[test]
    fn an_answer_is_kept_for_a_day_and_a_question_until_it_is_answered() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = store::create(directory.path()).unwrap();
        let time = |hour: i64| Timestamp::from_second(1_800_000_000 + hour * 3600).unwrap();
        let answer = |store: &mut store::Store, row, hour| {
            let refused = Reloaded::Refused(format!("at {hour}"));
            store.transaction(|tx| tx.answer_reload(row, &refused, time(hour))).unwrap();
        };
        let rows = store.transaction(|tx| Ok([tx.ask_reload(time(0))?, tx.ask_reload(time(0))?])).unwrap();
        let said = |store: &store::Store| rows.map(|row| store.read(|tx| tx.reload_answer(row)).unwrap());
        answer(&mut store, Some(rows[0]), 1);
        answer(&mut store, Some(rows[1]), 25);
        let refused = |hour| Some(Reloaded::Refused(format!("at {hour}")));
        assert_eq!(said(&store), [refused(1), refused(25)], "a day old, and not older");
        answer(&mut store, None, 26);
        assert_eq!(said(&store), [None, refused(25)]);
        let waits = store.transaction(|tx| tx.ask_reload(time(26))).unwrap();
        answer(&mut store, None, 100);
        assert_eq!(store.read(|tx| tx.reload_asked()).unwrap(), Some(waits));
    }
}
