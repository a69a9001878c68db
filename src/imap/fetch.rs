//! Lists and fetches mails by UID, without touching any flag.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use async_imap::imap_proto::{AttributeValue, Response};
use jiff::Timestamp;

use super::settle::MAX_SET;
use super::{Code, ImapError, Session, Violation};

/// Mails that one listing gives at most, the lowest UIDs first. After that many, list again above the last.
pub const MAX_LISTED: usize = 100_000;

/// One mail of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Its UID.
    pub uid: u32,
    /// RFC822.SIZE in bytes, which some servers only estimate; `u64::MAX` when it is over 4 GiB or not told.
    pub size: u64,
    /// When the server got it; `None` when that cannot be read.
    pub internal_date: Option<Timestamp>,
}

/// One mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its UID.
    pub uid: u32,
    /// When the server got it; `None` when that cannot be read.
    pub internal_date: Option<Timestamp>,
    /// The exact bytes.
    pub raw: Vec<u8>,
}

impl Session {
    /// Lists the mails above a UID, in order, at most [`MAX_LISTED`] of them.
    ///
    /// # Errors
    /// [`ImapError`]
    pub async fn list_above(&mut self, last_uid: u32) -> Result<Vec<Listed>, ImapError> {
        let Some(first) = last_uid.checked_add(1) else { return Ok(Vec::new()) };
        let mut listing = Listing::default();
        // What is announced from here on may be missing in the answer.
        self.wire.news = false;
        match self.list(&format!("{first}:*"), &mut listing).await {
            // Some servers refuse any set in an empty folder; NOOP then shows whether it is that.
            Err(ImapError::No { .. } | ImapError::Bad { .. }) if self.wire.is_empty() => {
                self.noop().await?;
                if !self.wire.is_empty() {
                    self.list(&format!("{first}:*"), &mut listing).await?;
                }
            }
            listed => listed?,
        }
        // RFC 3501 §6.4.8: `n:*` includes the last mail even when its UID is below n.
        Ok(listing.into_listed(|uid| uid > last_uid))
    }

    /// Lists those of the given mails that are still there, in order.
    ///
    /// # Errors
    /// [`ImapError`]
    pub async fn list_uids(&mut self, uids: &[u32]) -> Result<Vec<Listed>, ImapError> {
        let mut listing = Listing::default();
        for some in uids.chunks(MAX_SET) {
            self.list(&uid_set(some), &mut listing).await?;
        }
        let wanted = uids.iter().collect::<BTreeSet<_>>();
        Ok(listing.into_listed(|uid| wanted.contains(&uid)))
    }

    async fn list(&mut self, set: &str, listing: &mut Listing) -> Result<(), ImapError> {
        let line = format!("UID FETCH {set} (UID RFC822.SIZE INTERNALDATE)");
        self.fetch_command(&line, |uid, attributes| listing.note(uid, attributes)).await
    }

    /// Fetches mails whole, in one command: at most 500 UIDs, whose sizes as listed add up to `max_bytes`.
    /// A mail that is gone, or that the server gives no body or an empty one of, is missing in the answer:
    /// [`Session::list_uids`] tells which.
    ///
    /// # Errors
    /// [`ImapError`]; [`Violation::TooMuch`] when the server sends much more than `max_bytes` in all.
    pub async fn fetch(&mut self, uids: &[u32], max_bytes: u64) -> Result<Vec<Fetched>, ImapError> {
        self.bodies(uids, "BODY.PEEK[]", max_bytes).await
    }

    /// Fetches the first `bytes` of a mail; `None` when it is gone.
    ///
    /// # Errors
    /// [`ImapError`]
    pub async fn fetch_head(&mut self, uid: u32, bytes: u32) -> Result<Option<Fetched>, ImapError> {
        let section = format!("BODY.PEEK[]<0.{bytes}>");
        Ok(self.bodies(&[uid], &section, bytes.into()).await?.pop())
    }

    async fn bodies(
        &mut self,
        uids: &[u32],
        section: &str,
        max_bytes: u64,
    ) -> Result<Vec<Fetched>, ImapError> {
        if uids.is_empty() {
            return Ok(Vec::new());
        }
        // Exchange estimates sizes.
        let allowed = max_bytes.saturating_add(max_bytes / 8).saturating_add(64 * 1024);
        let wanted = uids.iter().collect::<BTreeSet<_>>();
        let (mut found, mut total) = (BTreeMap::<u32, Fetched>::new(), 0);
        self.wire.allow_literals(allowed);
        let line = format!("UID FETCH {} (UID INTERNALDATE {section})", uid_set(uids));
        let each = |uid, attributes: &[AttributeValue<'_>]| {
            let body = attributes.iter().find_map(|attribute| match attribute {
                AttributeValue::BodySection { section: None, data, .. } => data.as_deref(),
                _ => None,
            });
            // no mail is empty: a server that says so could not read it
            let body = body.filter(|body| !body.is_empty());
            let Some(body) = body.filter(|_| wanted.contains(&uid) && !found.contains_key(&uid)) else {
                return;
            };
            total += body.len() as u64;
            if total <= allowed {
                let internal_date = attributes.iter().find_map(internal_date);
                found.insert(uid, Fetched { uid, internal_date, raw: body.to_vec() });
            }
        };
        let fetched = self.fetch_command(&line, each).await;
        self.wire.allow_literals(0);
        fetched?;
        if total > allowed {
            return Err(ImapError::Protocol { command: "FETCH", violation: Violation::TooMuch });
        }
        Ok(found.into_values().collect())
    }

    pub(super) async fn highest_uid(&mut self) -> Result<u32, ImapError> {
        let mut highest = 0;
        self.fetch_command("UID FETCH * (UID)", |uid, _| highest = highest.max(uid)).await?;
        Ok(highest)
    }

    /// Shows each FETCH response that names its UID.
    async fn fetch_command(
        &mut self,
        line: &str,
        mut each: impl FnMut(u32, &[AttributeValue<'_>]),
    ) -> Result<(), ImapError> {
        const COMMAND: &str = "FETCH";
        if self.selected.is_none() {
            return Err(ImapError::NotSelected { command: COMMAND });
        }
        let show = |response: &Response<'_>| {
            let Response::Fetch(_, attributes) = response else { return };
            let uid = attributes.iter().find_map(|attribute| match attribute {
                AttributeValue::Uid(uid) => Some(*uid),
                _ => None,
            });
            if let Some(uid) = uid {
                each(uid, attributes);
            }
        };
        match self.wire.command(COMMAND, line, show).await {
            // RFC 5530: mails that somebody removed meanwhile are no failure; the others were sent.
            Err(ImapError::No { code: Code::ExpungeIssued, .. }) => Ok(()),
            done => done,
        }
    }
}

/// What is known of each UID so far. A change of flags by somebody else may add a line without a size.
#[derive(Default)]
struct Listing(BTreeMap<u32, (Option<u32>, Option<Timestamp>)>);

impl Listing {
    fn note(&mut self, uid: u32, attributes: &[AttributeValue<'_>]) {
        let (size, date) = self.0.entry(uid).or_default();
        for attribute in attributes {
            match attribute {
                AttributeValue::Rfc822Size(bytes) => *size = Some(*bytes),
                attribute => *date = internal_date(attribute).or(*date),
            }
        }
        if self.0.len() > MAX_LISTED + 1 {
            self.0.pop_last();
        }
    }

    fn into_listed(self, wanted: impl Fn(u32) -> bool) -> Vec<Listed> {
        let listed = self.0.into_iter().filter(|&(uid, _)| uid > 0 && wanted(uid));
        let listed = listed.map(|(uid, (size, internal_date))| Listed {
            uid,
            size: size.map_or(u64::MAX, u64::from),
            internal_date,
        });
        listed.take(MAX_LISTED).collect()
    }
}

/// RFC 3501 §9 date-time, `" 7-Feb-1994 21:52:25 -0800"`.
fn internal_date(attribute: &AttributeValue<'_>) -> Option<Timestamp> {
    let AttributeValue::InternalDate(text) = attribute else { return None };
    let parsed = jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", text.trim_start()).ok()?;
    parsed.to_timestamp().ok()
}

/// `[7, 3, 4, 5]` → `3:5,7`
pub(super) fn uid_set(uids: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &uid in uids.iter().collect::<BTreeSet<_>>() {
        match ranges.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(uid) => *end = uid,
            _ => ranges.push((uid, uid)),
        }
    }
    let mut set = String::new();
    for (start, end) in ranges {
        let comma = if set.is_empty() { "" } else { "," };
        let _ = match end {
            end if end == start => write!(set, "{comma}{start}"),
            end => write!(set, "{comma}{start}:{end}"),
        };
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_compact() {
        for (uids, set) in [
            (&[7, 3, 4, 5, 4][..], "3:5,7"),
            (&[1], "1"),
            (&[u32::MAX, u32::MAX - 1], "4294967294:4294967295"),
            (&[], ""),
        ] {
            assert_eq!(uid_set(uids), set);
        }
    }

    #[test]
    fn dates_are_read_strictly() {
        let read = |text: &'static str| internal_date(&AttributeValue::InternalDate(text.into()));
        for (text, want) in [
            (" 7-Feb-2026 21:52:25 -0800", Some("2026-02-08T05:52:25Z")),
            ("07-Feb-2026 21:52:25 +0000", Some("2026-02-07T21:52:25Z")),
            ("29-Feb-2024 00:00:00 -0500", Some("2024-02-29T05:00:00Z")),
            ("29-Feb-2026 00:00:00 -0500", None),
            ("07-Feb-2026 21:52:25", None),
            ("07-Feb-2026 21:52:25 +0000 x", None),
            ("", None),
        ] {
            assert_eq!(read(text), want.map(|want| want.parse().unwrap()), "{text}");
        }
    }
}
