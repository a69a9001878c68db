//! Finds and makes folders, whatever the server's separator and wherever it keeps them.

use async_imap::imap_proto::{MailboxDatum, NameAttribute, Response};

use super::{Code, ImapError, Session, names};

/// How the server lays out the folders of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Namespace {
    /// Between the levels of a name; `None` where there are no levels.
    separator: Option<char>,
    /// All folders are below INBOX, as with cPanel's Dovecot and Courier.
    under_inbox: bool,
}

impl Session {
    /// Makes sure that a folder exists, and gives its name on the server. `/` separates levels, as does the
    /// server's own separator.
    ///
    /// # Errors
    /// [`ImapError::No`] when the server lets it be made nowhere.
    pub async fn ensure_folder(&mut self, folder: &str) -> Result<String, ImapError> {
        if let Some(name) = self.folders.get(folder) {
            return Ok(name.clone());
        }
        let candidates = self.candidates(folder).await?;
        for name in &candidates {
            if self.exists(name).await? {
                return Ok(self.remember(folder, name));
            }
        }
        let mut refused = None;
        for name in &candidates {
            match self.wire.command("CREATE", &format!("CREATE {}", names::quote(name)), |_| ()).await {
                Ok(()) | Err(ImapError::No { code: Code::AlreadyExists, .. }) => {
                    return Ok(self.remember(folder, name));
                }
                // A namespace below INBOX shows only here while INBOX is the only folder.
                Err(no @ ImapError::No { .. }) => refused = refused.or(Some(no)),
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or(ImapError::NotSelected { command: "CREATE" }))
    }

    /// Finds a folder's name on the server; when there is none, the name it would most likely have.
    pub(super) async fn locate(&mut self, folder: &str) -> Result<String, ImapError> {
        if folder.eq_ignore_ascii_case("INBOX") {
            return Ok("INBOX".to_owned());
        }
        if let Some(name) = self.folders.get(folder) {
            return Ok(name.clone());
        }
        let candidates = self.candidates(folder).await?;
        for name in &candidates {
            if self.exists(name).await? {
                return Ok(self.remember(folder, name));
            }
        }
        Ok(candidates.into_iter().next().unwrap_or_default())
    }

    fn remember(&mut self, folder: &str, name: &str) -> String {
        self.folders.insert(folder.to_owned(), name.to_owned());
        name.to_owned()
    }

    /// The names that a folder may have here, the likeliest first.
    async fn candidates(&mut self, folder: &str) -> Result<Vec<String>, ImapError> {
        let namespace = match self.namespace {
            Some(namespace) => namespace,
            None => self.learn_namespace().await?,
        };
        self.namespace = Some(namespace);
        Ok(namespace.candidates(folder))
    }

    async fn learn_namespace(&mut self) -> Result<Namespace, ImapError> {
        let mut separator = None;
        self.list_folders("\"\"", |delimiter, _| separator = separator.or(delimiter)).await?;
        let (mut below, mut beside) = (false, false);
        if let Some(separator) = separator {
            let inbox = format!("INBOX{separator}");
            self.list_folders("\"*\"", |_, name| {
                if is_at_or_below(&inbox, name) {
                    below = true;
                } else if name != "INBOX" {
                    beside = true;
                }
            })
            .await?;
        }
        Ok(Namespace { separator, under_inbox: below && !beside })
    }

    async fn exists(&mut self, wanted: &str) -> Result<bool, ImapError> {
        let mut found = false;
        // A `%` or `*` in the name makes the server list others too.
        self.list_folders(&names::quote(wanted), |_, name| found |= name == wanted).await?;
        Ok(found)
    }

    /// Shows each folder that can be selected, or for the empty pattern the root.
    async fn list_folders(
        &mut self,
        pattern: &str,
        mut each: impl FnMut(Option<char>, &str),
    ) -> Result<(), ImapError> {
        let show = |response: &Response<'_>| {
            let Response::MailboxData(MailboxDatum::List(data)) = response else { return };
            let is_unusable = |attribute: &NameAttribute<'_>| match attribute {
                NameAttribute::NoSelect => true,
                NameAttribute::Extension(name) => name.eq_ignore_ascii_case("\\NonExistent"),
                _ => false,
            };
            if pattern == "\"\"" || !data.name_attributes.iter().any(is_unusable) {
                let delimiter = data.delimiter.as_deref().and_then(|d| names::unescape(d).chars().next());
                each(delimiter, &names::unescape(&data.name));
            }
        };
        self.wire.command("LIST", &format!("LIST \"\" {pattern}"), show).await
    }
}

impl Namespace {
    fn candidates(self, folder: &str) -> Vec<String> {
        let Some(separator) = self.separator else {
            return vec![names::encode(&folder.replace('/', "-"))];
        };
        let plain = names::encode(&folder.replace('/', separator.encode_utf8(&mut [0; 4])));
        let inbox = format!("INBOX{separator}");
        if plain.eq_ignore_ascii_case("INBOX") || is_at_or_below(&inbox, &plain) {
            return vec![plain];
        }
        let below = inbox + &plain;
        if self.under_inbox { vec![below, plain] } else { vec![plain, below] }
    }
}

/// INBOX is the one name in any case (RFC 3501 §5.1).
fn is_at_or_below(inbox: &str, name: &str) -> bool {
    name.get(..inbox.len()).is_some_and(|start| start.eq_ignore_ascii_case(inbox))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_looked_for_where_the_server_keeps_folders() {
        let names = |separator, under_inbox, folder| Namespace { separator, under_inbox }.candidates(folder);
        assert_eq!(names(Some('/'), false, "Acuse/Alto"), ["Acuse/Alto", "INBOX/Acuse/Alto"]);
        assert_eq!(names(Some('.'), true, "Acuse/Alto"), ["INBOX.Acuse.Alto", "Acuse.Alto"]);
        assert_eq!(names(Some('.'), true, "Inbox/Alto"), ["Inbox.Alto"]);
        assert_eq!(names(Some('.'), true, "INBOX.Alto"), ["INBOX.Alto"]);
        assert_eq!(names(Some('.'), false, "inbox"), ["inbox"]);
        assert_eq!(names(None, false, "Acuse/Alto"), ["Acuse-Alto"]);
        assert_eq!(names(Some('/'), false, "Técnico"), ["T&AOk-cnico", "INBOX/T&AOk-cnico"]);
    }
}
