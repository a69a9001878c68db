//! Who was sent what over several lives of a daemon, and whether each copy had a right to be (I5).

use std::collections::BTreeMap;
use std::path::Path;

use super::peek;
use super::support::smtp_peer::{Fate, Mail, SmtpPeer};

/// What was noted at the end of each life.
#[derive(Default)]
pub struct Ledger {
    ends: Vec<End>,
}

struct End {
    /// The relay's connections until then.
    connections: usize,
    /// The Message-IDs that were being offered.
    sending: Vec<String>,
}

/// The copies at the relay.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub acknowledged: usize,
    /// Copies beyond the first.
    pub again: usize,
    /// Ends that came after the relay had taken a mail, and before that was noted.
    pub ambiguous: usize,
}

impl Ledger {
    /// Notes what an ended daemon leaves behind, before it is started again.
    pub fn end_of_life(&mut self, state_dir: &Path, smtp: &SmtpPeer) {
        let database = peek(state_dir);
        let mut rows = database.prepare("SELECT message_id FROM outbox WHERE state = 'sending'").unwrap();
        let sending = rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        self.ends.push(End { connections: smtp.connections(), sending });
    }

    /// The life that opened a connection of the relay.
    fn life_of(&self, mail: &Mail) -> usize {
        self.ends.partition_point(|end| end.connections < mail.connection)
    }

    /// Whether a copy was taken in a life that ended while it was being offered.
    fn is_ambiguous(&self, copy: &Mail) -> bool {
        let end = self.ends.get(self.life_of(copy));
        end.is_some_and(|end| end.sending.iter().any(|id| copy.message_id().as_ref() == Some(id)))
    }

    /// Asserts that every row of the outbox is sent, that the relay has all its copies unchanged and nothing else, and
    /// that each copy but the last was taken in a life that ended before this could be noted.
    pub fn assert_acknowledgements(&self, state_dir: &Path, smtp: &SmtpPeer) -> Tally {
        let mut copies = BTreeMap::<String, Vec<Mail>>::new();
        for mail in smtp.mails().into_iter().filter(|mail| !matches!(mail.fate, Fate::Refused(_))) {
            copies.entry(mail.message_id().expect("a Message-ID of ours")).or_default().push(mail);
        }
        let mut tally = Tally::default();
        let database = peek(state_dir);
        let sql = "SELECT message_id, recipient, state, attempts, bytes FROM outbox JOIN letter ON outbox = id ORDER BY id";
        let mut rows = database.prepare(sql).unwrap();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let [message_id, recipient, state] =
                [0, 1, 2].map(|column| row.get::<_, String>(column).unwrap());
            let (attempts, bytes): (u32, Vec<u8>) = (row.get(3).unwrap(), row.get(4).unwrap());
            let copies = copies.remove(&message_id).unwrap_or_default();
            assert_eq!(state, "sent", "{recipient}");
            assert!(
                (1..=attempts as usize).contains(&copies.len()),
                "{recipient}: {} copies in {attempts} attempts",
                copies.len()
            );
            for copy in &copies {
                assert!(copy.raw == bytes, "{recipient}: an acknowledgement changed between two attempts");
                let to: Vec<_> = copy.recipients.iter().map(|to| &to.address).collect();
                assert_eq!(to, [&recipient]);
            }
            let before = &copies[..copies.len() - 1];
            assert!(
                before.iter().all(|copy| self.is_ambiguous(copy)),
                "{recipient}: sent again without need"
            );
            tally.acknowledged += 1;
            tally.again += before.len();
            tally.ambiguous += copies.iter().filter(|copy| self.is_ambiguous(copy)).count();
        }
        assert!(copies.is_empty(), "mails that no row of the outbox knows: {:?}", copies.keys());
        assert_eq!(tally.again, tally.ambiguous, "once more for each end that nobody could tell");
        tally
    }
}
