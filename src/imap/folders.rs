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

/// Whether a folder exists, and under which name.
enum Found {
    Here(String),
    Nowhere { likely: String, other: Option<String> },
}

impl Session {
    /// Makes sure that a folder exists, and gives its name on the server. `/` separates levels, as does the
    /// server's own separator.
    ///
    /// # Errors
    /// [`ImapError::No`] when the server lets it be made nowhere.
    pub async fn ensure_folder(&mut self, folder: &str) -> Result<String, ImapError> {
        let (likely, other) = match self.find(folder).await? {
            Found::Here(name) => return Ok(name),
            Found::Nowhere { likely, other } => (likely, other),
        };
        let name = match (self.create(&likely).await, other) {
            (Ok(()), _) => likely,
            // That the namespace is below INBOX shows only here while INBOX is the only folder.
            (Err(ImapError::No { .. }), Some(other)) => {
                self.create(&other).await?;
                other
            }
            (Err(error), _) => return Err(error),
        };
        self.folders.insert(folder.to_owned(), name.clone());
        Ok(name)
    }

    /// Tells whether a folder is there, wherever the server keeps it.
    ///
    /// # Errors
    /// [`ImapError`]
    pub async fn has_folder(&mut self, folder: &str) -> Result<bool, ImapError> {
        let inbox = folder.eq_ignore_ascii_case("INBOX");
        Ok(inbox || matches!(self.find(folder).await?, Found::Here(_)))
    }

    /// A folder's name on the server; when there is no such folder, the name it would most likely have.
    pub(super) async fn locate(&mut self, folder: &str) -> Result<String, ImapError> {
        if folder.eq_ignore_ascii_case("INBOX") {
            return Ok("INBOX".to_owned());
        }
        match self.find(folder).await? {
            Found::Here(name) | Found::Nowhere { likely: name, .. } => Ok(name),
        }
    }

    async fn find(&mut self, folder: &str) -> Result<Found, ImapError> {
        if let Some(name) = self.folders.get(folder) {
            return Ok(Found::Here(name.clone()));
        }
        let namespace = match self.namespace {
            Some(namespace) => namespace,
            None => self.learn_namespace().await?,
        };
        self.namespace = Some(namespace);
        let (likely, other) = namespace.names_of(folder);
        for name in [Some(&likely), other.as_ref()].into_iter().flatten() {
            if self.exists(name).await? {
                self.folders.insert(folder.to_owned(), name.clone());
                return Ok(Found::Here(name.clone()));
            }
        }
        Ok(Found::Nowhere { likely, other })
    }

    async fn create(&mut self, name: &str) -> Result<(), ImapError> {
        match self.wire.command("CREATE", &format!("CREATE {}", names::quote(name)), |_| ()).await {
            Err(ImapError::No { code: Code::AlreadyExists, .. }) => Ok(()),
            done => done,
        }
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
    /// The name that a folder has here, and the one it has if we are mistaken about INBOX.
    fn names_of(self, folder: &str) -> (String, Option<String>) {
        let Some(separator) = self.separator else {
            return (names::encode(&folder.replace('/', "-")), None);
        };
        let plain = names::encode(&folder.replace('/', separator.encode_utf8(&mut [0; 4])));
        let inbox = format!("INBOX{separator}");
        if plain.eq_ignore_ascii_case("INBOX") || is_at_or_below(&inbox, &plain) {
            return (plain, None);
        }
        let below = inbox + &plain;
        if self.under_inbox { (below, Some(plain)) } else { (plain, Some(below)) }
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
        let both = |likely: &str, other: &str| (likely.to_owned(), Some(other.to_owned()));
        let only = |name: &str| (name.to_owned(), None);
        for (separator, under_inbox, folder, names) in [
            (Some('/'), false, "Acuse/Alto", both("Acuse/Alto", "INBOX/Acuse/Alto")),
            (Some('.'), true, "Acuse/Alto", both("INBOX.Acuse.Alto", "Acuse.Alto")),
            (Some('/'), false, "Técnico", both("T&AOk-cnico", "INBOX/T&AOk-cnico")),
            (Some('.'), true, "Inbox/Alto", only("Inbox.Alto")),
            (Some('.'), true, "INBOX.Alto", only("INBOX.Alto")),
            (Some('.'), false, "inbox", only("inbox")),
            (None, false, "Acuse/Alto", only("Acuse-Alto")),
        ] {
            assert_eq!(Namespace { separator, under_inbox }.names_of(folder), names, "{folder}");
        }
    }
}
