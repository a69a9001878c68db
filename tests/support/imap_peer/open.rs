//! The commands on an open folder.

use std::collections::BTreeSet;

use super::StoredMail;
use super::parse::{Command, Token, in_set, set_of};
use super::session::Tagged;
use super::world::{Folder, Selected, Shared, World, flag_list};

/// A folder that a client has open, for one command.
pub struct Open<'a> {
    pub shared: &'a Shared,
    pub user: &'a str,
    pub selected: &'a mut Selected,
    /// Takes the untagged responses.
    pub out: &'a mut Vec<u8>,
}

impl Open<'_> {
    pub fn carry_out(&mut self, world: &mut World, command: &Command) -> Tagged {
        let options = &self.shared.options;
        let args = command.args.as_slice();
        let name = command.name.as_str();
        let writes = matches!(name, "UID STORE" | "UID MOVE" | "UID EXPUNGE" | "EXPUNGE");
        if writes && self.selected.read_only {
            return Tagged::No("[READ-ONLY] the folder was opened with EXAMINE".into());
        }
        let set = args.first().map(Token::text).unwrap_or_default();
        let second = args.get(1).map(Token::text).unwrap_or_default();
        if let Some(observe) = world.on_settle.clone().filter(|_| writes) {
            let open = self.folder(world);
            let last = open.last_uid();
            let mails = open.mails.iter().filter(|mail| in_set(&set, mail.uid, last)).cloned();
            observe(&mails.collect::<Vec<_>>());
        }
        match name {
            "UID FETCH" => match args.get(1) {
                Some(items) => self.fetch(world, &set, &items.words()),
                None => Tagged::Bad("FETCH what".into()),
            },
            "UID STORE" => {
                self.store(world, &set, &second, &args.get(2).map(Token::words).unwrap_or_default())
            }
            "UID COPY" => self.copy(world, &set, inbox_in_capitals(second), false),
            "UID MOVE" if options.r#move => self.copy(world, &set, inbox_in_capitals(second), true),
            "UID EXPUNGE" if options.uidplus => {
                let open = self.folder(world);
                let last = open.last_uid();
                open.mails.retain(|mail| !(mail.has("\\Deleted") && in_set(&set, mail.uid, last)));
                Tagged::Ok("expunged".into())
            }
            "UID SEARCH" => {
                let open = self.folder(world);
                let last = open.last_uid();
                let wanted = if set == "UID" { second } else { "1:*".to_owned() };
                let hits = open.mails.iter().filter(|mail| in_set(&wanted, mail.uid, last));
                let hits: String = hits.map(|mail| format!(" {}", mail.uid)).collect();
                self.out.extend(format!("* SEARCH{hits}\r\n").bytes());
                Tagged::Ok("searched".into())
            }
            "EXPUNGE" | "CLOSE" => {
                if !self.selected.read_only {
                    self.folder(world).mails.retain(|mail| !mail.has("\\Deleted"));
                }
                Tagged::Ok("expunged".into())
            }
            "UNSELECT" => Tagged::Ok("left".into()),
            _ => Tagged::Bad("no such command".into()),
        }
    }

    fn folder<'w>(&self, world: &'w mut World) -> &'w mut Folder {
        world.folder(self.user, &self.selected.folder)
    }

    fn fetch(&mut self, world: &mut World, set: &str, items: &[String]) -> Tagged {
        let items: Vec<String> = items.iter().map(|item| item.to_ascii_uppercase()).collect();
        let reads = items.iter().any(|item| item.starts_with("BODY["));
        let Selected { read_only, known, .. } = &*self.selected;
        let open = world.folder(self.user, &self.selected.folder);
        let last = open.last_uid();
        for mail in open.mails.iter_mut().filter(|mail| in_set(set, mail.uid, last)) {
            // A mail the client has not been told of yet has no sequence number for it.
            let Ok(index) = known.binary_search_by_key(&mail.uid, |(uid, _)| *uid) else { continue };
            if reads && !read_only {
                mail.flags.insert("\\Seen".to_owned());
            }
            self.out.extend(format!("* {} FETCH (UID {}", index + 1, mail.uid).bytes());
            for item in items.iter().filter(|item| *item != "UID") {
                self.out.push(b' ');
                if let Err(why) = write_item(self.out, mail, item) {
                    return Tagged::Bad(why);
                }
            }
            self.out.extend(b")\r\n");
        }
        Tagged::Ok("fetched".into())
    }

    fn store(&mut self, world: &mut World, set: &str, how: &str, flags: &[String]) -> Tagged {
        let how = how.to_ascii_uppercase();
        let keywords = self.shared.options.keywords;
        // A server without keywords takes the flags it knows and is silent about the rest.
        let kept = flags.iter().filter(|flag| keywords || flag.starts_with('\\'));
        let given: BTreeSet<String> = kept.cloned().collect();
        let known = &mut self.selected.known;
        let open = world.folder(self.user, &self.selected.folder);
        let last = open.last_uid();
        for mail in open.mails.iter_mut().filter(|mail| in_set(set, mail.uid, last)) {
            match how.trim_end_matches(".SILENT") {
                "+FLAGS" => mail.flags.extend(given.iter().cloned()),
                "-FLAGS" => mail.flags.retain(|flag| !given.contains(flag)),
                "FLAGS" => mail.flags.clone_from(&given),
                _ => return Tagged::Bad("STORE what".into()),
            }
            if how.ends_with(".SILENT")
                && let Ok(index) = known.binary_search_by_key(&mail.uid, |(uid, _)| *uid)
            {
                known[index].1.clone_from(&mail.flags);
            }
        }
        Tagged::Ok("stored".into())
    }

    /// UID COPY, or UID MOVE (RFC 6851: COPYUID comes untagged, before the EXPUNGEs).
    fn copy(&mut self, world: &mut World, set: &str, to: String, moves: bool) -> Tagged {
        if !world.user(self.user).folders.contains_key(&to) {
            return Tagged::No(format!("[TRYCREATE] Mailbox doesn't exist: {to}"));
        }
        let from = self.folder(world);
        let last = from.last_uid();
        let taken: Vec<StoredMail> =
            from.mails.iter().filter(|mail| in_set(set, mail.uid, last)).cloned().collect();
        let old: Vec<u32> = taken.iter().map(|mail| mail.uid).collect();
        if moves {
            from.mails.retain(|mail| old.binary_search(&mail.uid).is_err());
        }
        let target = world.folder(self.user, &to);
        let new: Vec<u32> =
            taken.into_iter().map(|mail| target.append(mail.raw, mail.flags, mail.internal_date)).collect();
        if old.is_empty() {
            return Tagged::Ok("there was nothing to do".into());
        }
        let code = match self.shared.options.uidplus {
            true => format!("[COPYUID {} {} {}] ", target.uidvalidity, set_of(&old), set_of(&new)),
            false => String::new(),
        };
        if moves {
            self.out.extend(format!("* OK {code}moved\r\n").bytes());
            return Tagged::Ok("moved".into());
        }
        Tagged::Ok(format!("{code}copied"))
    }
}

/// One item of a FETCH response (RFC 9051 §6.4.5), given in capitals.
fn write_item(out: &mut Vec<u8>, mail: &StoredMail, item: &str) -> Result<(), String> {
    let text = match item {
        "FLAGS" => format!("FLAGS {}", flag_list(&mail.flags)),
        "RFC822.SIZE" => format!("RFC822.SIZE {}", mail.raw.len()),
        "INTERNALDATE" => {
            format!("INTERNALDATE \"{}\"", mail.internal_date.strftime("%d-%b-%Y %H:%M:%S +0000"))
        }
        "ENVELOPE" | "BODYSTRUCTURE" => format!("{item} NIL"),
        _ => {
            let body = item.strip_prefix("BODY.PEEK[").or_else(|| item.strip_prefix("BODY["));
            let Some((section, partial)) = body.and_then(|rest| rest.split_once(']')) else {
                return Err(format!("FETCH knows no {item}"));
            };
            let split = mail.raw.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4);
            let (header, text) = mail.raw.split_at(split.unwrap_or(mail.raw.len()));
            let part = match section {
                "" => &mail.raw[..],
                "HEADER" => header,
                "TEXT" => text,
                _ => return Err(format!("FETCH knows no section {section}")),
            };
            let range = partial.strip_prefix('<').and_then(|range| range.strip_suffix('>')?.split_once('.'));
            let (shown, part) = match range.map(|(from, size)| (from.parse::<usize>(), size.parse::<usize>()))
            {
                None if partial.is_empty() => (String::new(), part),
                Some((Ok(from), Ok(size))) => {
                    let rest = part.get(from..).unwrap_or_default();
                    (format!("<{from}>"), &rest[..size.min(rest.len())])
                }
                _ => return Err(format!("unreadable range {partial}")),
            };
            out.extend(format!("BODY[{section}]{shown} {{{}}}\r\n", part.len()).bytes());
            out.extend(part);
            return Ok(());
        }
    };
    out.extend(text.bytes());
    Ok(())
}

/// RFC 9051 §5.1: INBOX alone ignores case.
pub fn inbox_in_capitals(folder: String) -> String {
    if folder.eq_ignore_ascii_case("INBOX") { "INBOX".to_owned() } else { folder }
}
