//! The mails that are kept, one after the other: what a policy is tried on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::params;

use super::packed::unpack;
use super::tickets::decision;
use super::{Result, Tx, at, ms};
use crate::ticket::TicketNumber;
use crate::triage::Decision;

/// A customer's mail, and what was decided on it when it came.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptMail {
    /// Its row.
    pub message: i64,
    /// The ticket it went to.
    pub ticket: TicketNumber,
    /// When it arrived.
    pub received: Timestamp,
    /// Its exact bytes.
    pub raw: Vec<u8>,
    /// The decision on it.
    pub decision: Decision,
}

/// How often a rule counted; one in the shadow, how often it would have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Hits {
    /// Mails on which it stood.
    pub stood: u32,
    /// Mails of which it decided the impact.
    pub decided: u32,
}

impl Tx<'_> {
    /// Gives every customer's mail that arrived since then and is not erased to `each`, the latest first, `limit` at
    /// most. Notes, colleagues' answers and what was ignored or set aside are left out: rules have no part in those.
    /// One is unpacked at a time. An error of `each` ends it.
    pub fn kept(
        &self,
        since: Option<Timestamp>,
        limit: Option<u32>,
        mut each: impl FnMut(KeptMail) -> Result<()>,
    ) -> Result<()> {
        let mut rows = self.connection.prepare(
            "SELECT message.id, ticket, received, zstd, raw.size, decision
             FROM message JOIN raw ON raw.hash = message.raw
             WHERE received >= ?1 AND decision IS NOT NULL AND ticket IS NOT NULL AND role = 'message'
             ORDER BY received DESC, message.id DESC LIMIT ?2",
        )?;
        let mut rows = rows.query(params![since.map_or(i64::MIN, ms), limit.map_or(-1, i64::from)])?;
        while let Some(row) = rows.next()? {
            each(KeptMail {
                message: row.get(0)?,
                ticket: TicketNumber(row.get(1)?),
                received: at(row.get(2)?),
                raw: unpack(&row.get::<_, Vec<u8>>(3)?, row.get(4)?)?,
                decision: decision(&row.get::<_, String>(5)?)?,
            })?;
        }
        Ok(())
    }

    /// Per rule, what the stored decisions say of it, corrections apart. Erased mails count no more.
    pub fn rule_hits(&self) -> Result<BTreeMap<String, Hits>> {
        let mut rows = self.connection.prepare(
            "SELECT rule, count(*), sum(decides) FROM (
                 SELECT DISTINCT message.id, value ->> 'rule' AS rule,
                        value ->> 'rule' = decision ->> '$.verdict.rule' AS decides
                 FROM message, json_each(decision, '$.verdict.matches') WHERE decision IS NOT NULL
                 UNION ALL
                 SELECT message.id, value ->> 'rule', value ->> 'decides'
                 FROM message, json_each(decision, '$.verdict.shadow') WHERE decision IS NOT NULL)
             GROUP BY rule",
        )?;
        let rows =
            rows.query_map([], |row| Ok((row.get(0)?, Hits { stood: row.get(1)?, decided: row.get(2)? })))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::{self, Read, Reading};
    use crate::policy::{Policy, PolicyFiles};
    use crate::site::Site;
    use crate::store::{self, Intake};
    use crate::triage::Arrival;

    #[test]
    fn the_latest_mails_of_customers_come_first_and_an_erased_one_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = store::create(directory.path()).unwrap();
        let policy = Policy::compile(&PolicyFiles::shipped()).0.unwrap();
        let site = Site::nobody();
        let time = |hour: i64| Timestamp::from_second(1_800_000_000 + hour * 3600).unwrap();
        for hour in 0..6 {
            let ignored = if hour > 3 { "List-Id: <noticias.b.example>\r\n" } else { "" };
            let raw = format!(
                "From: a{hour}@b.example\r\n{ignored}Subject: Caso\r\n\r\nEl servidor está caído.\r\n"
            );
            let read = Read::new(raw.as_bytes(), Reading::Whole, &policy).unwrap();
            let arrival =
                Arrival { mailbox: "stdin".into(), recipient: None, received: time(hour), backlog: false };
            ingest::unlisted(&mut store, Intake::Stdin, &read, &arrival, &site, &policy, time(hour)).unwrap();
        }
        store.transaction(|tx| tx.erase(TicketNumber(1), time(5))).unwrap();
        let kept = |since, limit| {
            let mut found = Vec::new();
            let all = |mail| {
                found.push(mail);
                Ok(())
            };
            store.read(|tx| tx.kept(since, limit, all)).unwrap();
            found
        };
        let all = kept(None, None);
        assert_eq!(all.iter().map(|mail| mail.received).collect::<Vec<_>>(), [time(3), time(2), time(1)]);
        assert_eq!(all[0].ticket, TicketNumber(4));
        assert!(all[0].raw.starts_with(b"From: a3@b.example"));
        assert_eq!(all[0].decision.verdict.case.as_deref(), Some("outage"));
        let hits = store.read(|tx| tx.rule_hits()).unwrap();
        assert_eq!(hits.get("service-down").map(|hits| hits.decided >= 3), Some(true), "{hits:?}");
        assert_eq!(kept(Some(time(3)), None).len(), 1);
        let latest = kept(None, Some(2));
        let times: Vec<_> = latest.iter().map(|mail| mail.received).collect();
        assert_eq!(times, [time(3), time(2)], "what was ignored takes no place of the latest");
    }
}
