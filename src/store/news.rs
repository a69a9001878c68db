//! What people are to hear of, and the mails that tell them: each one once, in the transaction that makes the mail.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, Row, params};

use super::{Result, Setting, StoreError, Tx, at, ms, word};
use crate::mail::Address;
use crate::notify::{self, AlertNews, CALM, News, Notice, Notify, TicketNews, Topic};
use crate::plan::Clock;
use crate::ticket::{Impact, Language, PlanId, TicketNumber};
use crate::token::{Claim, NO_TICKET, Purpose};
use crate::triage::{Action, Decision, Effect, Flag};

/// What is older is told to nobody any more.
const STALE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A mail that no relay took for so long expires.
const EXPIRES: SignedDuration = SignedDuration::from_hours(7 * 24);

/// How far somebody has heard.
struct Heard {
    upto: i64,
    /// When the last mail to them was made; `None`: there was none.
    last: Option<Timestamp>,
}

impl Tx<'_> {
    /// Somebody whom nobody has told of anything yet hears of what happens from now on.
    pub fn enrol_notified<'a>(
        &self,
        people: impl Iterator<Item = &'a Address>,
        now: Timestamp,
    ) -> Result<()> {
        let mut insert = self.connection.prepare(
            "INSERT INTO notified (address, upto, at)
             SELECT ?1, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'news'), 0), ?2
             WHERE NOT EXISTS (SELECT 1 FROM notified WHERE address = ?1)",
        )?;
        for person in people {
            insert.execute(params![person.address, ms(now)])?;
        }
        Ok(())
    }

    /// What a decision makes news of; asked before it changes a ticket that was there.
    pub(super) fn newsworthy(&self, ticket: i64, decision: &Decision) -> Result<Option<Topic>> {
        let never_rests =
            decision.promise.as_ref().is_some_and(|promise| promise.window.clock == Clock::Always);
        let is_urgent = decision.impact == Impact::High || never_rests;
        let topic = match (decision.action, decision.effect) {
            (Action::Open, _) if is_urgent => Some(Topic::HighImpact),
            (Action::Open, _) => decision.flags.contains(&Flag::Unclassified).then_some(Topic::Unclassified),
            (Action::Append, Effect::Reopens) if is_urgent => Some(Topic::HighImpact),
            (Action::Append, Effect::Raises | Effect::Continues) if is_urgent => {
                (!self.is_urgent(ticket)?).then_some(Topic::HighImpact)
            }
            _ => None,
        };
        Ok(topic)
    }

    /// Whether a ticket's impact is high, or its running promise counts every hour of every day.
    fn is_urgent(&self, ticket: i64) -> Result<bool> {
        let mut query = self.connection.prepare_cached(
            "SELECT 1 FROM ticket LEFT JOIN promise ON promise.ticket = ticket.id AND ended IS NULL
             WHERE ticket.id = ?1 AND (ticket.impact = 'high' OR promise.window ->> 'clock' = 'always')",
        )?;
        Ok(query.exists([ticket])?)
    }

    /// Makes news of a ticket.
    pub(super) fn news_of(&self, ticket: i64, topic: Topic, now: Timestamp) -> Result<()> {
        self.connection
            .prepare_cached("INSERT INTO news (at, topic, ticket) VALUES (?1, ?2, ?3)")?
            .execute(params![ms(now), topic.as_str(), ticket])?;
        Ok(())
    }

    /// Makes news of alerts, and a mail for everybody whom there is something to tell and who had none lately. Says when
    /// there may be something to do again.
    pub fn notify(&self, people: &[Notify], setting: Setting<'_>) -> Result<Option<Timestamp>> {
        if people.is_empty() {
            return Ok(None);
        }
        let mut next = self.gather(setting.now)?;
        let mut serial = (setting.fresh.0 >> 1).cast_signed();
        for (notify, to) in people.iter().flat_map(|notify| notify.mail.iter().map(move |to| (notify, to))) {
            let Some(heard) = self.heard(to)? else { continue };
            let Some(newest) = self.newest(notify, heard.upto, setting.now)? else { continue };
            let may = notify.next(heard.last, setting.now);
            if may > setting.now {
                next = next.into_iter().chain([may]).min();
                continue;
            }
            let news = self.news(notify, heard.upto, setting)?;
            let claim = Claim { ticket: NO_TICKET, serial };
            self.put_notice(notify, to, &news, newest, claim, setting)?;
            serial = serial.wrapping_add(1);
        }
        Ok(next)
    }

    /// Makes news of each alert that has stood, or been over, for long enough. Says when the next will have.
    fn gather(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        type Untold = (String, String, i64, Option<i64>);
        let mut untold = self
            .connection
            .prepare_cached("SELECT kind, subject, first, ended FROM alert WHERE told != (ended IS NULL)")?;
        let untold = untold
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect::<rusqlite::Result<Vec<Untold>>>()?;
        let mut next = None;
        for (kind, subject, first, ended) in untold {
            let (since, wait) = ended.map_or((first, notify::patience(&kind)), |ended| (ended, CALM));
            let ripe = at(since).saturating_add(wait).unwrap_or(now);
            if ripe > now {
                next = next.into_iter().chain([ripe]).min();
                continue;
            }
            self.connection
                .prepare_cached(
                    "INSERT INTO news (at, topic, alert, subject, detail, since, ended)
                     SELECT ?3, ?4, kind, subject, detail, first, ended FROM alert WHERE kind = ?1 AND subject = ?2",
                )?
                .execute(params![kind, subject, ms(now), Topic::of_alert(&kind).as_str()])?;
            self.connection
                .prepare_cached("UPDATE alert SET told = (ended IS NULL) WHERE kind = ?1 AND subject = ?2")?
                .execute([&kind, &subject])?;
        }
        Ok(next)
    }

    fn heard(&self, to: &Address) -> Result<Option<Heard>> {
        let mut last = self.connection.prepare_cached(
            "SELECT upto, CASE WHEN outbox IS NOT NULL THEN at END FROM notified WHERE address = ?1
             ORDER BY upto DESC LIMIT 1",
        )?;
        let heard = last.query_row([&to.address], |row| {
            Ok(Heard { upto: row.get(0)?, last: row.get::<_, Option<i64>>(1)?.map(at) })
        });
        Ok(heard.optional()?)
    }

    /// The newest that they have not heard of; `None`: they know everything.
    fn newest(&self, notify: &Notify, upto: i64, now: Timestamp) -> Result<Option<i64>> {
        let mut query = self.connection.prepare_cached(
            "SELECT max(id) FROM news WHERE topic IN (SELECT value FROM json_each(?1)) AND id > ?2 AND at > ?3",
        )?;
        Ok(query.query_row(params![topics(notify), upto, stale(now)], |row| row.get(0))?)
    }

    fn news(&self, notify: &Notify, upto: i64, setting: Setting<'_>) -> Result<Vec<News>> {
        let mut rows = self.connection.prepare_cached(
            "SELECT topic, news.ticket, impact, case_id, plan, requester,
                    (SELECT due_by FROM promise WHERE promise.ticket = news.ticket AND promise.ended IS NULL),
                    alert, news.subject, detail, since, news.ended
             FROM news LEFT JOIN ticket ON ticket.id = news.ticket
             WHERE topic IN (SELECT value FROM json_each(?1)) AND news.id > ?2 AND at > ?3 ORDER BY news.id",
        )?;
        let mut rows = rows.query(params![topics(notify), upto, stale(setting.now)])?;
        let mut news = Vec::new();
        while let Some(row) = rows.next()? {
            news.push(match row.get::<_, Option<i64>>(1)? {
                Some(number) => {
                    News::Ticket(ticket_news(TicketNumber(number), row, notify.language, setting)?)
                }
                None => News::Alert(alert_news(row)?),
            });
        }
        Ok(news)
    }

    /// Composes a mail and puts it into the outbox. Its envelope names no sender: a report on it would reach nobody.
    fn put_notice(
        &self,
        notify: &Notify,
        to: &Address,
        news: &[News],
        newest: i64,
        claim: Claim,
        setting: Setting<'_>,
    ) -> Result<()> {
        let Setting { site, policy, now, .. } = setting;
        let message_id = format!("{}@{}", site.keys.sign(Purpose::MessageId, claim), site.from.domain());
        let notice = Notice {
            to,
            language: notify.language,
            news,
            message_id: &message_id,
            loop_token: &site.keys.sign(Purpose::Loop, claim),
            calendar: &policy.calendar,
            now,
        };
        let expires = now.saturating_add(EXPIRES).unwrap_or(now);
        let outbox: i64 = self
            .connection
            .prepare_cached(
                "INSERT INTO outbox (kind, recipient, domain, serial, message_id, state, created, next_attempt,
                                     expires, known)
                 VALUES ('notify', ?1, ?2, ?3, ?4, 'due', ?5, ?5, ?6, 1) RETURNING id",
            )?
            .query_row(
                params![
                    to.address,
                    to.domain(),
                    claim.serial,
                    message_id,
                    ms(now),
                    ms(expires),
                ],
                |row| row.get(0),
            )?;
        self.put_letter(outbox, &notify::compose(&notice, site))?;
        self.connection
            .prepare_cached("INSERT INTO notified (address, upto, at, outbox) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![to.address, newest, ms(now), outbox])?;
        Ok(())
    }
}

fn topics(notify: &Notify) -> String {
    let words: Vec<&str> = notify.on.iter().map(|topic| topic.as_str()).collect();
    serde_json::json!(words).to_string()
}

fn stale(now: Timestamp) -> i64 {
    ms(now.saturating_sub(STALE).unwrap_or(Timestamp::MIN))
}

/// Reads the columns `topic, ticket, impact, case_id, plan, requester, due_by`.
fn ticket_news(
    number: TicketNumber,
    row: &Row<'_>,
    language: Language,
    setting: Setting<'_>,
) -> Result<TicketNews> {
    let policy = setting.policy;
    let case = row.get::<_, Option<String>>(3)?;
    let case = case.map(|id| match policy.rules.case(&id) {
        Some(case) => case.label.in_language(language).to_owned(),
        None => id,
    });
    let plan = PlanId(row.get(4)?);
    Ok(TicketNews {
        number: number.with_prefix(&setting.site.prefix),
        topic: word("news.topic", &row.get::<_, String>(0)?)?,
        impact: word("ticket.impact", &row.get::<_, String>(2)?)?,
        case,
        plan: policy.plans.plan_or_default(&plan).name.in_language(language).to_owned(),
        requester: row.get(5)?,
        due: row.get::<_, Option<i64>>(6)?.map(at),
    })
}

/// Reads the columns `alert, subject, detail, since, ended` from the eighth on.
fn alert_news(row: &Row<'_>) -> std::result::Result<AlertNews, StoreError> {
    Ok(AlertNews {
        kind: row.get(7)?,
        subject: row.get(8)?,
        detail: row.get(9)?,
        since: at(row.get(10)?),
        ended: row.get::<_, Option<i64>>(11)?.map(at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Policy, PolicyFiles};
    use crate::site::Site;
    use crate::store::{Fresh, Store, create};

    fn minute(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap()
    }

    /// What a look at this minute leaves to do, and how many mails there are then.
    fn look(store: &mut Store, at: i64) -> (Option<Timestamp>, i64) {
        let policy = Policy::compile(&PolicyFiles::shipped()).0.unwrap();
        let notify = Notify {
            mail: vec![Address::parse("ana@mihost.example").unwrap()],
            on: Topic::ALL.iter().copied().collect(),
            every: SignedDuration::from_mins(10),
            language: Language::Es,
        };
        let site = Site::nobody();
        let setting =
            Setting { site: &site, policy: &policy, fresh: Fresh(at.unsigned_abs() << 1), now: minute(at) };
        store.transaction(|tx| tx.enrol_notified(notify.mail.iter(), setting.now)).unwrap();
        let next = store.transaction(|tx| tx.notify(&[notify], setting)).unwrap();
        let mails = "SELECT count(*) FROM outbox WHERE kind = 'notify'";
        (next, store.connection.query_row(mails, [], |row| row.get(0)).unwrap())
    }

    #[test]
    fn a_server_that_is_restarted_is_no_news_and_one_that_stays_away_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = create(directory.path()).unwrap();
        let alert = |store: &mut Store, at: i64, stands: bool| {
            let run = |tx: &Tx<'_>| match stands {
                true => tx.alert(minute(at), "mailbox_unreachable", "soporte/INBOX", "timed out"),
                false => tx.alert_ends(minute(at), "mailbox_unreachable", "soporte/INBOX"),
            };
            store.transaction(run).unwrap();
        };
        alert(&mut store, 0, true);
        assert_eq!(
            look(&mut store, 1),
            (Some(minute(10)), 0),
            "it is asked again when it has stood for long"
        );
        alert(&mut store, 5, false);
        assert_eq!(look(&mut store, 30), (None, 0), "it is over, and nobody heard of it");

        alert(&mut store, 40, true);
        alert(&mut store, 49, true);
        assert_eq!(look(&mut store, 50), (None, 1));
        assert_eq!(look(&mut store, 51), (None, 1), "once");
        alert(&mut store, 52, false);
        assert_eq!(look(&mut store, 52), (Some(minute(53)), 1), "it may flutter");
        assert_eq!(look(&mut store, 53), (Some(minute(60)), 1), "ten minutes after the last mail");
        assert_eq!(look(&mut store, 60), (None, 2));
        let told = "SELECT count(*) FROM news WHERE ended IS NOT NULL";
        assert_eq!(store.connection.query_row(told, [], |row| row.get(0)), Ok(1));
    }
}
