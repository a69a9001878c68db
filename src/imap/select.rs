//! Selects a folder, and learns what its UIDs mean.

use async_imap::imap_proto::{MailboxDatum, Response, ResponseCode};

use super::{ImapError, Session, Violation, names};

/// The keyword that marks a mail as done; `\Seen` stands in where the folder takes no keywords.
pub(super) const DONE: &str = "$AcuseDone";

/// The folder selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selected {
    /// UIDs mean the same mails as long as this stays the same; never 0.
    pub uid_validity: u32,
    /// No mail has this UID or a higher one yet.
    pub uid_next: u32,
    /// The server told that, so that it never falls (RFC 3501 §2.3.1.1); else it is one above the highest UID there is.
    pub tells_uid_next: bool,
    /// How many mails there are.
    pub exists: u32,
    /// Nothing can be settled here.
    pub read_only: bool,
    /// `$AcuseDone` can be set.
    pub keywords_permitted: bool,
}

impl Session {
    /// Selects a folder, named as people write it.
    ///
    /// # Errors
    /// [`ImapError::No`] when there is no such folder; [`Violation::NoUidValidity`].
    pub async fn select(&mut self, folder: &str) -> Result<Selected, ImapError> {
        self.open_folder("SELECT", folder).await
    }

    /// Selects a folder and promises to change nothing in it.
    ///
    /// # Errors
    /// Those of [`Session::select`].
    pub async fn examine(&mut self, folder: &str) -> Result<Selected, ImapError> {
        self.open_folder("EXAMINE", folder).await
    }

    async fn open_folder(&mut self, command: &'static str, folder: &str) -> Result<Selected, ImapError> {
        let name = self.locate(folder).await?;
        self.selected = None;
        self.wire.stop_counting();
        let (mut uid_validity, mut uid_next, mut exists) = (0, None, 0);
        let (mut read_only, mut keywords_permitted) = (command == "EXAMINE", false);
        let each = |response: &Response<'_>| match response {
            Response::MailboxData(MailboxDatum::Exists(n)) => exists = *n,
            Response::Data { outcome, .. } | Response::Done { outcome, .. } => match &outcome.code {
                Some(ResponseCode::UidValidity(n)) => uid_validity = *n,
                Some(ResponseCode::UidNext(n)) => uid_next = Some(*n),
                Some(ResponseCode::ReadOnly) => read_only = true,
                Some(ResponseCode::PermanentFlags(flags)) => {
                    keywords_permitted =
                        flags.iter().any(|flag| flag == "\\*" || flag.eq_ignore_ascii_case(DONE));
                }
                _ => {}
            },
            _ => {}
        };
        self.wire.command(command, &format!("{command} {}", names::quote(&name)), each).await?;
        if uid_validity == 0 {
            return Err(ImapError::Protocol { command, violation: Violation::NoUidValidity });
        }
        self.wire.start_counting(exists, uid_validity);
        let tells_uid_next = uid_next.is_some();
        let mut selected =
            Selected { uid_validity, uid_next: 1, tells_uid_next, exists, read_only, keywords_permitted };
        self.selected = Some(selected);
        selected.uid_next = match uid_next {
            Some(uid_next) => uid_next,
            // UIDNEXT is optional in RFC 3501 §6.3.1.
            None if exists == 0 => 1,
            None => self.highest_uid().await?.saturating_add(1),
        };
        self.selected = Some(selected);
        Ok(selected)
    }
}
