//! `[[notify]]` as written → who is told of what.

use std::collections::BTreeSet;

use super::Reader;
use crate::config::file::NotifyFile;
use crate::mail::Address;
use crate::notify::{Notify, Topic};
use crate::site::Site;
use crate::ticket::Language;

impl Reader<'_> {
    /// Everybody who is told of something.
    pub(super) fn notify(&mut self, files: &[NotifyFile], site: &Site) -> Vec<Notify> {
        let mut named = BTreeSet::new();
        files.iter().map(|file| self.notify_one(file, site, &mut named)).collect()
    }

    fn notify_one(&mut self, file: &NotifyFile, site: &Site, named: &mut BTreeSet<String>) -> Notify {
        let mut mail: Vec<Address> = Vec::new();
        for written in &file.mail {
            let Some(address) = self.address(written) else { continue };
            if site.is_ours(&address) || site.from.address == address.address {
                let message =
                    format!("`{}` is our own: a notification to it would be a loop", written.as_ref());
                self.problem(Some(written.span()), &message, "name a colleague's own address");
            } else if named.insert(address.address.clone()) {
                mail.push(address);
            } else {
                let message = format!("[[notify]] names `{}` twice", written.as_ref());
                self.problem(Some(written.span()), &message, "name each address once, with all its topics");
            }
        }
        if file.mail.is_empty() {
            self.problem(None, "[[notify]] names nobody", "such as mail = [\"ana@example.com\"]");
        }
        let on = match &file.on {
            Some(words) if words.is_empty() => {
                self.problem(
                    None,
                    "[[notify]] tells of nothing: on = []",
                    "without `on`, they hear of everything",
                );
                BTreeSet::new()
            }
            None => Topic::ALL.iter().copied().collect(),
            Some(words) => words
                .iter()
                .filter_map(|written| match written.as_ref().parse() {
                    Ok(topic) => Some(topic),
                    Err(why) => {
                        let why: String = why;
                        self.problem(Some(written.span()), &why, "without `on`, they hear of everything");
                        None
                    }
                })
                .collect(),
        };
        let language = file.lang.as_ref().parse().unwrap_or_else(|_| {
            let message = format!("`{}` is not a language", file.lang.as_ref());
            self.problem(Some(file.lang.span()), &message, "write es or en");
            Language::default()
        });
        Notify { mail, on, every: self.wait(&file.every), language }
    }
}
