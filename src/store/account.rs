//! The account of I1: every listed mail has exactly one outcome, and the rows agree with one another.

use super::{Result, Tx};
use crate::ticket::Outcome;

/// What `acuse db check` proves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Mails listed, one per UID and UIDVALIDITY, and those from stdin.
    pub listed: u64,
    /// Mails by outcome, in the order of [`Outcome::ALL`].
    pub by_outcome: [u64; 5],
    /// Listed, and without an outcome yet.
    pub pending: u64,
    /// What does not add up, in sentences.
    pub problems: Vec<String>,
}

/// A query that counts rows that may not be, and the sentence to say of them.
const NEVER: &[(&str, &str)] = &[
    (
        "SELECT count(*) FROM arrival WHERE outcome IN ('opened', 'appended') AND message IS NULL",
        "mails opened or joined a ticket and their message is gone",
    ),
    (
        "SELECT count(*) FROM arrival JOIN message ON message.id = arrival.message
      WHERE arrival.outcome != 'duplicate' AND arrival.outcome != message.outcome",
        "arrivals disagree with their message about the outcome",
    ),
    (
        "SELECT count(*) FROM message WHERE outcome IN ('opened', 'appended') AND ticket IS NULL",
        "messages say that they are in a ticket and name none",
    ),
    (
        "SELECT count(*) FROM (SELECT ticket FROM message WHERE outcome = 'opened' GROUP BY ticket HAVING count(*) > 1)",
        "tickets were opened twice",
    ),
    (
        "SELECT count(*) FROM ticket WHERE NOT EXISTS (SELECT 1 FROM message WHERE ticket = ticket.id AND outcome = 'opened')",
        "tickets have no mail that opened them",
    ),
    (
        "SELECT count(*) FROM ticket WHERE state = 'open' AND NOT EXISTS (SELECT 1 FROM promise WHERE ticket = ticket.id AND ended IS NULL)",
        "open tickets have no promise that runs",
    ),
    (
        "SELECT count(*) FROM message WHERE NOT EXISTS (SELECT 1 FROM raw WHERE raw.hash = message.raw)",
        "messages have lost their exact bytes",
    ),
    (
        "SELECT count(*) FROM outbox WHERE state = 'sent' AND (attempts = 0 OR sent IS NULL)",
        "acknowledgements are sent without an attempt",
    ),
    (
        "SELECT count(*) FROM quarantine JOIN arrival ON arrival.id = quarantine.arrival
      WHERE quarantine.ended IS NULL AND arrival.outcome != 'quarantined'",
        "quarantine rows belong to mails with another outcome",
    ),
];

impl Tx<'_> {
    /// Counts every listed mail and looks for rows that contradict one another.
    pub fn account(&self) -> Result<Account> {
        let count = |sql: &str| self.connection.query_row(sql, [], count_of);
        let mut account = Account { listed: count("SELECT count(*) FROM arrival")?, ..Account::default() };
        account.pending = count("SELECT count(*) FROM arrival WHERE outcome IS NULL")?;
        for (slot, outcome) in account.by_outcome.iter_mut().zip(Outcome::ALL) {
            let sql = "SELECT count(*) FROM arrival WHERE outcome = ?1";
            *slot = self.connection.query_row(sql, [outcome.as_str()], count_of)?;
        }
        let sum = account.by_outcome.iter().sum::<u64>() + account.pending;
        if sum != account.listed {
            account.problems.push(format!("{} mails were listed, {sum} are accounted for", account.listed));
        }
        for (sql, sentence) in NEVER {
            let rows = count(sql)?;
            if rows > 0 {
                account.problems.push(format!("{rows} {sentence}"));
            }
        }
        let mut check = self.connection.prepare("PRAGMA integrity_check(10)")?;
        for line in check.query_map([], |row| row.get::<_, String>(0))? {
            let line = line?;
            if line != "ok" {
                account.problems.push(format!("SQLite: {line}"));
            }
        }
        let mut broken = self.connection.prepare("PRAGMA foreign_key_check")?;
        let broken = broken.query_map([], |row| row.get::<_, String>(0))?.count();
        if broken > 0 {
            account.problems.push(format!("{broken} rows refer to rows that are not there"));
        }
        Ok(account)
    }
}

fn count_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(0)?.unsigned_abs())
}
