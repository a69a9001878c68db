//! Marks mails on the server as done: moved, flagged or deleted.

use super::fetch::uid_set;
use super::select::DONE;
use super::{Code, ImapError, Session, names};

/// UIDs in one command. Dovecot takes 20 ms for a MOVE, whatever its size.
pub const MAX_SET: usize = 500;

/// What becomes of mails whose outcome is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settle {
    /// They go to a folder, which is made when it is missing.
    Move(String),
    /// They get `$AcuseDone`, or `\Seen` where keywords are not permitted.
    Flag,
    /// They are removed.
    Delete,
}

impl Session {
    /// Settles mails of the selected folder. Those that are gone count as settled, so doing it twice does no
    /// harm.
    ///
    /// # Errors
    /// [`ImapError::CannotMove`] when the server can only expunge everything that anybody marked.
    pub async fn settle(&mut self, uids: &[u32], how: &Settle) -> Result<(), ImapError> {
        let Some(selected) = self.selected else { return Err(ImapError::NotSelected { command: "settle" }) };
        let flag = if selected.keywords_permitted { DONE } else { "\\Seen" };
        for some in uids.chunks(MAX_SET) {
            let set = uid_set(some);
            match how {
                Settle::Move(folder) => self.move_to(&set, folder).await?,
                Settle::Flag => self.mark(&set, '+', flag).await?,
                Settle::Delete => self.delete(&set).await?,
            }
        }
        Ok(())
    }

    async fn move_to(&mut self, set: &str, folder: &str) -> Result<(), ImapError> {
        if !self.has("MOVE") && !self.has("UIDPLUS") {
            return Err(ImapError::CannotMove);
        }
        let name = self.ensure_folder(folder).await?;
        match self.move_to_existing(set, &name).await {
            // Somebody removed the folder since we looked.
            Err(ImapError::No { code: Code::TryCreate, .. }) => {
                self.folders.remove(folder);
                let name = self.ensure_folder(folder).await?;
                self.move_to_existing(set, &name).await
            }
            done => done,
        }
    }

    async fn move_to_existing(&mut self, set: &str, name: &str) -> Result<(), ImapError> {
        let name = names::quote(name);
        if self.has("MOVE") {
            return self.wire.command("MOVE", &format!("UID MOVE {set} {name}"), |_| ()).await;
        }
        // Whether we may delete is tried before the copy: refused after it, every pass would copy again. The mark
        // comes off at once, since a copy has its original's flags (RFC 3501 §6.4.7).
        self.mark(set, '+', "\\Deleted").await?;
        self.mark(set, '-', "\\Deleted").await?;
        self.wire.command("COPY", &format!("UID COPY {set} {name}"), |_| ()).await?;
        match self.delete(set).await {
            // It is copied and marked; to say that it is not settled would copy it again.
            Err(ImapError::No { command: "EXPUNGE", .. }) => Ok(()),
            done => done,
        }
    }

    async fn delete(&mut self, set: &str) -> Result<(), ImapError> {
        if !self.has("UIDPLUS") {
            return Err(ImapError::CannotMove);
        }
        self.mark(set, '+', "\\Deleted").await?;
        self.wire.command("EXPUNGE", &format!("UID EXPUNGE {set}"), |_| ()).await
    }

    /// Puts a flag on (`+`) or takes it off (`-`).
    async fn mark(&mut self, set: &str, sign: char, flag: &str) -> Result<(), ImapError> {
        self.wire.command("STORE", &format!("UID STORE {set} {sign}FLAGS.SILENT ({flag})"), |_| ()).await
    }
}
