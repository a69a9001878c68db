//! The customer directory: who has which plan.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::json;

use super::{Result, Tx, at, ms};
use crate::mail::Address;
use crate::ticket::{Language, PlanId};

/// What a directory row names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// One address.
    Address,
    /// Every address of a domain.
    Domain,
}

impl KeyKind {
    /// The word that the database and JSON use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Domain => "domain",
        }
    }
}

/// One row of the directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CustomerRow {
    /// The address or domain, canonical.
    pub key: String,
    /// Which of the two.
    pub kind: KeyKind,
    /// The customer's id in the shop's own directory: the same id is the same customer.
    pub code: Option<String>,
    /// The name that greets them.
    pub name: Option<String>,
    /// The language they asked for.
    pub language: Option<Language>,
    /// The plan.
    pub plan: PlanId,
    /// From when.
    pub from: Option<Timestamp>,
    /// Until when, exclusive.
    pub until: Option<Timestamp>,
}

impl CustomerRow {
    /// Whether it is in force at an instant.
    pub fn holds_at(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// What an import changes, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Import {
    /// Keys that were not imported before, with their rows.
    pub added: Vec<(String, Vec<CustomerRow>)>,
    /// Keys that were imported before and are gone, with the rows they had.
    pub removed: Vec<(String, Vec<CustomerRow>)>,
    /// Keys with other rows than before: those, then the new ones.
    pub changed: Vec<(String, Vec<CustomerRow>, Vec<CustomerRow>)>,
    /// Keys that are as before, with their rows.
    pub unchanged: Vec<(String, Vec<CustomerRow>)>,
    /// Keys that a person set, whose rows stay as they are.
    pub by_hand: Vec<String>,
}

type ByKey = BTreeMap<String, Vec<CustomerRow>>;

/// The customer that a key has without a code. CROSS JOIN begins with the key: the index on `code` would go through every
/// customer that has none.
const OWN: &str = "SELECT customer FROM customer_key CROSS JOIN customer ON customer.id = customer
                   WHERE key = ?1 AND code IS NULL";

impl Tx<'_> {
    /// Puts a row in the place of what a person or an import had set for its key, and gives back what it took away. What
    /// holds before a row that begins later goes on until then. Name and language that the row does not have stay. A key that
    /// is new gets a customer of its own, or joins the customer of that code.
    pub fn set_customer(&self, row: &CustomerRow, now: Timestamp) -> Result<Vec<CustomerRow>> {
        let known = self.customers(Some(&row.key))?;
        let row = CustomerRow {
            name: row.name.clone().or_else(|| known.first()?.name.clone()),
            language: row.language.or_else(|| known.first()?.language),
            code: row.code.clone().or_else(|| known.first()?.code.clone()),
            ..row.clone()
        };
        let begins = row.from.filter(|from| *from > now);
        let (before, replaced): (Vec<CustomerRow>, Vec<CustomerRow>) = known
            .into_iter()
            .filter(|known| *known != row)
            .partition(|known| begins.is_some() && known.from < begins);
        let until = |known: &CustomerRow| [known.until, begins].into_iter().flatten().min();
        let before = before.into_iter().map(|known| CustomerRow { until: until(&known), ..known });
        let rows: Vec<CustomerRow> = before.chain([row.clone()]).collect();
        self.put(&row.key, &rows, false)?;
        self.drop_keyless()?;
        self.event(now, None, None, "customer_set", &json!({ "key": row.key, "plan": row.plan }))?;
        Ok(replaced)
    }

    /// Removes every row of a key; whether there was any.
    pub fn remove_customer(&self, key: &str, now: Timestamp) -> Result<bool> {
        if self.connection.execute("DELETE FROM customer_key WHERE key = ?1", [key])? == 0 {
            return Ok(false);
        }
        self.drop_keyless()?;
        self.event(now, None, None, "customer_removed", &json!({ "key": key }))?;
        Ok(true)
    }

    /// The rows of a key, or all of them, by key.
    pub fn customers(&self, key: Option<&str>) -> Result<Vec<CustomerRow>> {
        self.customer_rows("key = coalesce(?1, key) ORDER BY key, plan, valid_from", params![key])
    }

    /// The rows that name an address (itself, itself without its tag, or its domain), in the order in which they are asked
    /// for its plan.
    pub fn customers_at(&self, address: &Address) -> Result<Vec<CustomerRow>> {
        let (bare, _) = address.without_tag();
        self.customer_rows(
            "kind = 'address' AND key IN (?1, ?2) OR kind = 'domain' AND key = ?3
             ORDER BY kind, customer, key, plan, valid_from",
            params![address.address, bare, address.domain()],
        )
    }

    /// What would change if exactly these rows were imported.
    pub fn compare_import(&self, rows: &[CustomerRow]) -> Result<Import> {
        let by_key = |rows: Vec<CustomerRow>| {
            let mut keys = ByKey::new();
            rows.into_iter().for_each(|row| keys.entry(row.key.clone()).or_default().push(row));
            keys.values_mut().for_each(|rows| rows.sort());
            keys
        };
        let by_hand: BTreeSet<String> =
            self.customer_rows("NOT imported", params![])?.into_iter().map(|row| row.key).collect();
        let mut old = by_key(self.customer_rows("imported", params![])?);
        let mut import = Import::default();
        for (key, rows) in by_key(rows.to_vec()) {
            match old.remove(&key) {
                _ if by_hand.contains(&key) => import.by_hand.push(key),
                None => import.added.push((key, rows)),
                Some(before) if before == rows => import.unchanged.push((key, rows)),
                Some(before) => import.changed.push((key, before, rows)),
            }
        }
        import.removed = old.into_iter().collect();
        Ok(import)
    }

    /// Makes what was compared in this transaction the imported part of the directory; what a person set stays.
    pub fn import_customers(&self, import: &Import, now: Timestamp) -> Result<()> {
        for (key, _) in &import.removed {
            self.put(key, &[], true)?;
        }
        let added = import.added.iter().map(|(key, rows)| (key, rows));
        for (key, rows) in added.chain(import.changed.iter().map(|(key, _, rows)| (key, rows))) {
            self.put(key, rows, true)?;
        }
        self.drop_keyless()?;
        let (added, removed, changed) = (import.added.len(), import.removed.len(), import.changed.len());
        if added + removed + changed > 0 {
            let detail = json!({ "added": added, "removed": removed, "changed": changed });
            self.event(now, None, None, "customers_imported", &detail)?;
        }
        Ok(())
    }

    /// Puts rows in the place of those that their key has. A row without a code stays with the customer that the key
    /// had without one.
    fn put(&self, key: &str, rows: &[CustomerRow], imported: bool) -> Result<()> {
        let mut own = self.connection.prepare_cached(OWN)?;
        let mut own: Option<i64> = own.query_row([key], |row| row.get(0)).optional()?;
        self.connection.prepare_cached("DELETE FROM customer_key WHERE key = ?1")?.execute([key])?;
        for row in rows {
            let known = match &row.code {
                Some(code) => {
                    let mut query =
                        self.connection.prepare_cached("SELECT id FROM customer WHERE code = ?1")?;
                    query.query_row([code], |row| row.get(0)).optional()?
                }
                None => own,
            };
            let customer = match known {
                Some(id) => id,
                None => {
                    let mut insert = self
                        .connection
                        .prepare_cached("INSERT INTO customer (code) VALUES (?1) RETURNING id")?;
                    insert.query_row([&row.code], |row| row.get(0))?
                }
            };
            if row.code.is_none() {
                own = Some(customer);
            }
            let mut insert = self.connection.prepare_cached(
                "INSERT INTO customer_key (key, kind, customer, plan, name, language, valid_from, valid_until, imported)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?;
            insert.execute(params![
                row.key,
                row.kind.as_str(),
                customer,
                row.plan.as_str(),
                row.name,
                row.language.map(Language::as_str),
                row.from.map(ms),
                row.until.map(ms),
                imported,
            ])?;
        }
        Ok(())
    }

    fn drop_keyless(&self) -> Result<()> {
        self.connection.execute(
            "DELETE FROM customer WHERE NOT EXISTS (SELECT 1 FROM customer_key WHERE customer = customer.id)",
            [],
        )?;
        Ok(())
    }

    fn customer_rows(&self, condition: &str, bound: impl rusqlite::Params) -> Result<Vec<CustomerRow>> {
        let mut query = self.connection.prepare(&format!(
            "SELECT key, kind, code, name, language, plan, valid_from, valid_until
             FROM customer_key JOIN customer ON customer.id = customer WHERE {condition}"
        ))?;
        let mut rows = query.query(bound)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(customer_row(row)?);
        }
        Ok(found)
    }
}

fn customer_row(row: &Row<'_>) -> Result<CustomerRow> {
    let language: Option<String> = row.get(4)?;
    Ok(CustomerRow {
        key: row.get(0)?,
        kind: if row.get::<_, String>(1)? == "domain" { KeyKind::Domain } else { KeyKind::Address },
        code: row.get(2)?,
        name: row.get(3)?,
        language: language.map(|text| super::word("customer_key.language", &text)).transpose()?,
        plan: PlanId(row.get(5)?),
        from: row.get::<_, Option<i64>>(6)?.map(at),
        until: row.get::<_, Option<i64>>(7)?.map(at),
    })
}

#[cfg(test)]
mod tests {
    use super::OWN;
    use crate::store::create;

    #[test]
    fn a_row_is_put_without_going_through_all_customers() {
        let directory = tempfile::tempdir().unwrap();
        let store = create(directory.path()).unwrap();
        let mut plan = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {OWN}")).unwrap();
        let steps: Vec<String> =
            plan.query_map(["key"], |row| row.get(3)).unwrap().map(|step| step.unwrap()).collect();
        let begins = [
            "SEARCH customer_key USING COVERING INDEX customer_key_period (key=?)",
            "SEARCH customer USING INTEGER PRIMARY KEY",
        ];
        assert!(steps.iter().zip(begins).all(|(step, begins)| step.starts_with(begins)), "{steps:?}");
    }
}
