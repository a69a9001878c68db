//! What SQLite cannot know to be wrong, since it keeps no sums: bytes under another hash, text that is none, decisions
//! that nobody can read any more.

use rusqlite::types::ValueRef;
use serde::de::DeserializeOwned;

use super::packed::{hash, unpack};
use super::{Result, Tx};
use crate::plan::Window;
use crate::triage::Decision;

impl Tx<'_> {
    /// Reads every row of every table, and says what cannot be read as it was written, in sentences.
    pub fn unsound(&self) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        let mut tables = self.connection.prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*'
             AND name NOT GLOB 'message_text*' ORDER BY name",
        )?;
        for table in tables.query_map([], |row| row.get::<_, String>(0))? {
            let table = table?;
            let rows = self.unreadable_rows(&table)?;
            if rows > 0 {
                problems.push(format!("{rows} rows of the table {table} hold text that is none"));
            }
        }
        let raws = self.wrong_raws()?;
        if raws > 0 {
            problems.push(format!("{raws} mails are no longer the bytes that came"));
        }
        let json = [
            (
                "decisions",
                self.unreadable::<Decision>("SELECT decision FROM message WHERE decision IS NOT NULL")?,
            ),
            ("windows of promises", self.unreadable::<Window>("SELECT window FROM promise")?),
            ("details of events", self.unreadable::<serde_json::Value>("SELECT detail FROM event")?),
        ];
        for (what, rows) in json.into_iter().filter(|(_, rows)| *rows > 0) {
            problems.push(format!("{rows} {what} cannot be read"));
        }
        Ok(problems)
    }

    fn unreadable_rows(&self, table: &str) -> Result<usize> {
        let mut statement = self.connection.prepare(&format!("SELECT * FROM {table}"))?;
        let columns = statement.column_count();
        let (mut rows, mut unreadable) = (statement.query([])?, 0);
        while let Some(row) = rows.next()? {
            let is_text = |column| match row.get_ref(column) {
                Ok(ValueRef::Text(bytes)) => std::str::from_utf8(bytes).is_ok(),
                value => value.is_ok(),
            };
            unreadable += usize::from(!(0..columns).all(is_text));
        }
        Ok(unreadable)
    }

    fn wrong_raws(&self) -> Result<usize> {
        let mut statement = self.connection.prepare("SELECT hash, size, zstd FROM raw")?;
        let (mut rows, mut wrong) = (statement.query([])?, 0);
        while let Some(row) = rows.next()? {
            let kept: Vec<u8> = row.get(0)?;
            let packed: Vec<u8> = row.get(2)?;
            wrong += usize::from(!unpack(&packed, row.get(1)?).is_ok_and(|raw| hash(&raw)[..] == kept));
        }
        Ok(wrong)
    }

    /// How many of these values are not the JSON that they were.
    fn unreadable<T: DeserializeOwned>(&self, sql: &str) -> Result<usize> {
        let mut statement = self.connection.prepare(sql)?;
        let (mut rows, mut unreadable) = (statement.query([])?, 0);
        while let Some(row) = rows.next()? {
            let is_read = |text: &[u8]| serde_json::from_slice::<T>(text).is_ok();
            unreadable += usize::from(!row.get_ref(0)?.as_bytes().is_ok_and(is_read));
        }
        Ok(unreadable)
    }
}
