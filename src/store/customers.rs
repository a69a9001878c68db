//! The customer directory: who has which plan.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde_json::json;

use super::{Result, Tx, at};
use crate::ticket::{Language, PlanId};

/// What a directory row names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerRow {
    /// The address or domain.
    pub key: String,
    /// Which of the two.
    pub kind: &'static str,
    /// The customer's id in the shop's own directory.
    pub code: Option<String>,
    /// The name that greets them.
    pub name: Option<String>,
    /// The language they asked for.
    pub language: Option<String>,
    /// The plan.
    pub plan: String,
    /// From when.
    pub from: Option<Timestamp>,
    /// Until when.
    pub until: Option<Timestamp>,
}

impl Tx<'_> {
    /// Gives an address or domain a plan, in the place of what it had. A key that is new gets a customer of its own,
    /// or joins the customer of that code.
    #[expect(clippy::too_many_arguments, reason = "the columns of one directory row")]
    pub fn set_customer(
        &self,
        key: &str,
        kind: KeyKind,
        plan: &PlanId,
        name: Option<&str>,
        language: Option<Language>,
        code: Option<&str>,
        now: Timestamp,
    ) -> Result<()> {
        let by_code = |code| {
            let mut query = self.connection.prepare_cached("SELECT id FROM customer WHERE code = ?1")?;
            query.query_row([code], |row| row.get::<_, i64>(0)).optional()
        };
        let by_key = || {
            let mut query =
                self.connection.prepare_cached("SELECT customer FROM customer_key WHERE key = ?1")?;
            query.query_row([key], |row| row.get::<_, i64>(0)).optional()
        };
        let known = match code {
            Some(code) => by_code(code)?,
            None => by_key()?,
        };
        let customer = match known {
            Some(id) => id,
            None => self.connection.query_row(
                "INSERT INTO customer (code) VALUES (?1) RETURNING id",
                [code],
                |row| row.get(0),
            )?,
        };
        self.connection.execute(
            "UPDATE customer SET name = coalesce(?2, name), language = coalesce(?3, language) WHERE id = ?1",
            params![customer, name, language.map(Language::as_str)],
        )?;
        self.connection.execute("DELETE FROM customer_key WHERE key = ?1", [key])?;
        self.connection.execute(
            "INSERT INTO customer_key (key, kind, customer, plan) VALUES (?1, ?2, ?3, ?4)",
            params![key, kind.as_str(), customer, plan.as_str()],
        )?;
        self.connection.execute(
            "DELETE FROM customer WHERE NOT EXISTS (SELECT 1 FROM customer_key WHERE customer = customer.id)",
            [],
        )?;
        self.event(now, None, None, "customer_set", &json!({ "key": key, "plan": plan }))
    }

    /// The rows of a key, or all of them.
    pub fn customers(&self, key: Option<&str>) -> Result<Vec<CustomerRow>> {
        let mut rows = self.connection.prepare(
            "SELECT key, kind, code, name, language, plan, valid_from, valid_until
             FROM customer_key JOIN customer ON customer.id = customer
             WHERE key = coalesce(?1, key) ORDER BY key",
        )?;
        let rows = rows.query_map([key], |row| {
            Ok(CustomerRow {
                key: row.get(0)?,
                kind: if row.get::<_, String>(1)? == "domain" { "domain" } else { "address" },
                code: row.get(2)?,
                name: row.get(3)?,
                language: row.get(4)?,
                plan: row.get(5)?,
                from: row.get::<_, Option<i64>>(6)?.map(at),
                until: row.get::<_, Option<i64>>(7)?.map(at),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
