//! An address, compared the way customers are looked up.

use serde::{Deserialize, Serialize};

/// A mail address in its canonical form, with the display name beside it.
///
/// Canonical: the domain as lower-case A-labels (IDNA), the local part lower case. Two addresses that a person
/// would call the same are equal here; the display name never counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Address {
    /// The display name, decoded, without control and bidi characters; empty when there was none.
    pub name: String,
    /// `local@domain`, canonical.
    pub address: String,
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl Eq for Address {}

impl Address {
    /// Reads a bare `local@domain`; `None` when it is no usable address (no `@`, spaces, controls, angle
    /// brackets, over 254 bytes).
    pub fn parse(text: &str) -> Option<Self> {
        let _ = text;
        None
    }

    /// The part before the last `@`.
    pub fn local(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// The part after the last `@`.
    pub fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// The address without a `+tag` in its local part, and the tag.
    pub fn without_tag(&self) -> (String, Option<&str>) {
        match self.local().split_once('+') {
            Some((local, tag)) => (format!("{local}@{}", self.domain()), Some(tag)),
            None => (self.address.clone(), None),
        }
    }
}
