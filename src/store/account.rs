//! The account: every mail has one outcome (I1), nothing was done twice (I4, I5), and the rows agree with one another.

use std::collections::BTreeMap;

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

/// What may not be: a sentence that follows a number, and the query that finds the rows.
type Never = (&'static str, &'static str);

/// I1: what was listed is accounted for, once.
const CONSERVATION: &[Never] = &[
    (
        "mails have an outcome without a reason, or a reason without an outcome",
        "SELECT 1 FROM arrival WHERE (outcome IS NULL) != (reason IS NULL)",
    ),
    (
        "mails of a mailbox have no folder or no UID",
        "SELECT 1 FROM arrival WHERE (intake = 'imap') != (folder IS NOT NULL AND uid IS NOT NULL)",
    ),
    (
        "mails opened or joined a ticket and their message is gone",
        "SELECT 1 FROM arrival WHERE outcome IN ('opened', 'appended') AND message IS NULL",
    ),
    (
        "duplicates do not say of which message",
        "SELECT 1 FROM arrival WHERE outcome = 'duplicate' AND message IS NULL",
    ),
    (
        "mails are quarantined and the quarantine does not know them",
        "SELECT 1 FROM arrival WHERE outcome = 'quarantined'
         AND NOT EXISTS (SELECT 1 FROM quarantine WHERE arrival = arrival.id)",
    ),
    (
        "quarantine rows belong to mails with another outcome",
        "SELECT 1 FROM quarantine JOIN arrival ON arrival.id = quarantine.arrival
         WHERE quarantine.ended IS NULL AND arrival.outcome IS NOT 'quarantined'",
    ),
    (
        "quarantine rows ended and do not say how, or the other way round",
        "SELECT 1 FROM quarantine WHERE (ended IS NULL) != (ended_by IS NULL)",
    ),
    (
        "arrivals disagree with their message about the outcome",
        "SELECT 1 FROM arrival JOIN message ON message.id = arrival.message
         WHERE arrival.outcome NOT IN ('duplicate', message.outcome)",
    ),
    (
        "messages never arrived",
        "SELECT 1 FROM message WHERE NOT EXISTS (
            SELECT 1 FROM arrival WHERE arrival.message = message.id AND arrival.outcome != 'duplicate')",
    ),
    (
        "messages have lost their exact bytes",
        "SELECT 1 FROM message WHERE erased IS NULL AND NOT EXISTS (SELECT 1 FROM raw WHERE hash = message.raw)",
    ),
    (
        "messages have lost the decision on them",
        "SELECT 1 FROM message WHERE erased IS NULL AND decision IS NULL",
    ),
];

/// I4, I5: nothing was done twice.
const ONCE: &[Never] = &[
    ("contents are stored twice", "SELECT 1 FROM message GROUP BY content_hash HAVING count(*) > 1"),
    (
        "exact bytes are two messages",
        "SELECT 1 FROM message WHERE raw IS NOT NULL GROUP BY raw HAVING count(*) > 1",
    ),
    (
        "messages were taken in twice",
        "SELECT 1 FROM arrival WHERE message IS NOT NULL AND outcome != 'duplicate'
         GROUP BY message HAVING count(*) > 1",
    ),
    (
        "tickets were opened twice",
        "SELECT 1 FROM message WHERE outcome = 'opened' AND ticket IS NOT NULL GROUP BY ticket HAVING count(*) > 1",
    ),
    (
        "mails were acknowledged twice",
        "SELECT 1 FROM outbox WHERE message IS NOT NULL GROUP BY message HAVING count(*) > 1",
    ),
    (
        "promises were acknowledged twice",
        "SELECT 1 FROM outbox WHERE promise IS NOT NULL GROUP BY promise HAVING count(*) > 1",
    ),
    (
        "acknowledgements were accepted twice",
        "SELECT 1 FROM event WHERE kind IN ('acknowledged', 'notified') GROUP BY detail ->> 'outbox' HAVING count(*) > 1",
    ),
];

/// The tables and their history agree.
const AGREEMENT: &[Never] = &[
    (
        "messages say that they are in a ticket and name none",
        "SELECT 1 FROM message WHERE outcome IN ('opened', 'appended') AND ticket IS NULL AND erased IS NULL",
    ),
    (
        "messages are in a ticket and say that they are not",
        "SELECT 1 FROM message WHERE ticket IS NOT NULL AND outcome NOT IN ('opened', 'appended')
                                  OR (ticket IS NULL) != (role IS NULL)",
    ),
    (
        "tickets have no mail that opened them",
        "SELECT 1 FROM ticket WHERE NOT EXISTS (SELECT 1 FROM message WHERE ticket = ticket.id AND outcome = 'opened')",
    ),
    (
        "tickets have no record of their opening",
        "SELECT 1 FROM message WHERE outcome = 'opened' AND ticket IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM event WHERE event.ticket = message.ticket AND kind = 'open' AND message = message.id)",
    ),
    (
        "tickets were opened with neither an acknowledgement nor a reason for silence",
        "SELECT 1 FROM message WHERE outcome = 'opened' AND ticket IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.message = message.id)
         AND NOT EXISTS (SELECT 1 FROM event WHERE event.ticket = message.ticket AND kind = 'silent'
                                             AND event.message = message.id)",
    ),
    (
        "open tickets have no promise that runs",
        "SELECT 1 FROM ticket WHERE state = 'open'
         AND NOT EXISTS (SELECT 1 FROM promise WHERE ticket = ticket.id AND ended IS NULL)",
    ),
    (
        "acknowledgements and notifications have lost what they send",
        "SELECT 1 FROM outbox WHERE NOT EXISTS (SELECT 1 FROM letter WHERE outbox = outbox.id)",
    ),
    (
        "acknowledgements are in another ticket than the mail that they answer",
        "SELECT 1 FROM outbox JOIN message ON message.id = outbox.message WHERE message.ticket IS NOT outbox.ticket",
    ),
    (
        "acknowledgements tell a promise of another ticket",
        "SELECT 1 FROM outbox JOIN promise ON promise.id = outbox.promise WHERE promise.ticket != outbox.ticket",
    ),
    (
        "acknowledgements are sent without an attempt or a time",
        "SELECT 1 FROM outbox WHERE state = 'sent' AND (attempts = 0 OR sent IS NULL)",
    ),
    (
        "acknowledgements are sent without a record of it",
        "SELECT 1 FROM outbox WHERE state = 'sent' AND NOT EXISTS (
            SELECT 1 FROM event WHERE event.ticket IS outbox.ticket AND kind IN ('acknowledged', 'notified')
                                AND detail ->> 'outbox' = outbox.id)",
    ),
    (
        "acknowledgements are held by nobody",
        "SELECT 1 FROM outbox WHERE state = 'held' AND held_by IS NULL",
    ),
    (
        "notifications do not say what they told, or tell of what is not there",
        "SELECT 1 FROM outbox WHERE kind = 'notify' AND NOT EXISTS (SELECT 1 FROM notified WHERE notified.outbox = outbox.id)
         UNION ALL SELECT 1 FROM notified WHERE upto > (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'news')",
    ),
    (
        "corrections are without a record of them, or the other way round",
        "SELECT ticket FROM correction WHERE NOT EXISTS (
            SELECT 1 FROM event WHERE event.ticket = correction.ticket AND kind = 'reclassified')
         UNION SELECT ticket FROM event WHERE kind = 'reclassified'
         AND NOT EXISTS (SELECT 1 FROM correction WHERE correction.ticket = event.ticket)",
    ),
    (
        "erased messages keep something",
        "SELECT 1 FROM message WHERE erased IS NOT NULL AND (
            coalesce(raw, decision, message_id, sender, sent, ticket, role) IS NOT NULL OR subject != ''
            OR EXISTS (SELECT 1 FROM message_text_docsize WHERE id = message.id))",
    ),
    (
        "decisions name another policy than the generation they were made under",
        "SELECT 1 FROM message JOIN policy ON policy.generation = message.policy
         WHERE decision ->> 'policy' != policy.hash",
    ),
    (
        "tickets have their impact from a policy that decided none of their mails",
        "SELECT 1 FROM ticket WHERE NOT EXISTS (
            SELECT 1 FROM message WHERE message.ticket = ticket.id AND message.policy = ticket.policy)",
    ),
    (
        "generations of the policy are the same as the one before",
        "SELECT 1 FROM (SELECT hash, lag(hash) OVER (ORDER BY generation) AS before FROM policy WHERE origin != 'command')
         WHERE hash = before",
    ),
    (
        "reloads were answered with neither a policy nor a reason, or with both, or before anybody looked",
        "SELECT 1 FROM reload WHERE (generation IS NOT NULL) + (report IS NOT NULL) != (answered IS NOT NULL)",
    ),
    (
        "events tell of a ticket that is not there",
        "SELECT 1 FROM event WHERE ticket IS NOT NULL AND kind != 'deleted'
         AND NOT EXISTS (SELECT 1 FROM ticket WHERE id = event.ticket)",
    ),
    (
        "exact bytes belong to no mail",
        "SELECT 1 FROM raw WHERE NOT EXISTS (SELECT 1 FROM message WHERE raw = hash)
         AND NOT EXISTS (SELECT 1 FROM quarantine WHERE raw = hash)",
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
        for (sentence, sql) in [CONSERVATION, ONCE, AGREEMENT].into_iter().flatten() {
            let rows = count(&format!("SELECT count(*) FROM ({sql})"))?;
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
        let mut broken = BTreeMap::<(String, String), u64>::new();
        let mut check = self.connection.prepare("PRAGMA foreign_key_check")?;
        for link in check.query_map([], |row| Ok((row.get(0)?, row.get(2)?)))? {
            *broken.entry(link?).or_default() += 1;
        }
        account.problems.extend(broken.into_iter().map(|((table, other), rows)| {
            format!("{rows} rows of `{table}` refer to rows of `{other}` that are not there")
        }));
        Ok(account)
    }
}

fn count_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(0)?.unsigned_abs())
}

#[cfg(test)]
mod tests;
