//! `acuse quarantine`: what was set aside for a person, and the doors out of it.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::context::{Context, for_people, rfc3339, shown, shown_lines, table};
use super::report::{Code, Done, Failure};
use crate::config::{Config, Secrets};
use crate::ingest::{self, Concluded, Read};
use crate::mail::Message;
use crate::policy::Policy;
use crate::store::{Ending, QuarantineRow, SetAside, Store};
use crate::triage::Reason;

/// `acuse quarantine …`
#[derive(Debug, Subcommand)]
pub enum QuarantineVerb {
    /// List what waits
    List {
        /// What was released or dropped, too
        #[arg(long)]
        all: bool,
    },
    /// Show a mail, and why it was set aside
    Show {
        /// Its number in the list
        id: i64,
    },
    /// Let mails take the ordinary path: a ticket, and an acknowledgement where theirs is allowed
    Release {
        /// Their numbers in the list
        #[arg(required = true)]
        ids: Vec<i64>,
    },
    /// Take mails off the list; their bytes are kept
    Drop {
        /// Their numbers in the list
        #[arg(required = true)]
        ids: Vec<i64>,
    },
    /// Write out the exact bytes of a mail
    Export {
        /// Its number in the list
        id: i64,
        /// A new file, for its owner alone; standard output without it
        file: Option<PathBuf>,
    },
}

/// Lists the quarantine, newest first; shows, lets out, drops or writes out what is in it.
pub fn quarantine(context: &Context, verb: &QuarantineVerb) -> Done {
    let mut config = context.config(Secrets::Skip)?;
    let policy = match verb {
        QuarantineVerb::Release { .. } => context.policy(Some(&config))?, // it decides
        _ => context.policy_for_view(&config)?,
    };
    let mut store = context.store(&config)?;
    match verb {
        QuarantineVerb::List { all } => list(context, &store.read(|tx| tx.quarantine(*all))?, &policy),
        QuarantineVerb::Show { id } => show(context, &set_aside(&store, *id)?, &config, &policy),
        QuarantineVerb::Export { id, file } => export(&set_aside(&store, *id)?, file.as_deref()),
        QuarantineVerb::Release { ids } => {
            crate::daemon::require_key(&mut config)?;
            all_wait(&store, ids)?;
            ids.iter().try_for_each(|id| release(context, &mut store, *id, &config, &policy))
        }
        QuarantineVerb::Drop { ids } => {
            let now = context.now(policy.calendar.zone())?;
            all_wait(&store, ids)?;
            ids.iter().try_for_each(|id| drop_one(context, &mut store, *id, now))
        }
    }
}

fn list(context: &Context, rows: &[QuarantineRow], policy: &Policy) -> Done {
    if context.json {
        let rows: Vec<_> = rows.iter().map(|row| document(row, policy)).collect();
        return context.json(&rows);
    }
    let mut lines = table(&["id", "mailbox", "reason", "from", "subject", "bytes", "at", "ended"]);
    for row in rows {
        lines.add_row([
            row.id.to_string(),
            shown(&row.mailbox),
            row.reason.clone(),
            shown(row.from.as_deref().unwrap_or("-")),
            shown(&row.subject),
            row.size.to_string(),
            for_people(&policy.calendar.to_local(row.at)),
            row.ended.as_ref().map(|(_, by)| by.clone()).unwrap_or_default(),
        ]);
    }
    context.line(lines.to_string())
}

fn document(row: &QuarantineRow, policy: &Policy) -> Value {
    let local = |at| rfc3339(&policy.calendar.to_local(at));
    let (ended, ended_by) = row.ended.as_ref().map(|(at, by)| (local(*at), by)).unzip();
    json!({ "id": row.id, "mailbox": row.mailbox, "reason": row.reason, "from": row.from, "subject": row.subject,
            "size": row.size, "at": local(row.at), "ended": ended, "ended_by": ended_by })
}

fn set_aside(store: &Store, id: i64) -> Result<SetAside, Failure> {
    store.read(|tx| tx.set_aside(id))?.ok_or_else(|| {
        Failure::new(Code::Usage, format!("there is no mail `{id}` in the quarantine"))
            .hint("`acuse quarantine list --all` names every one")
    })
}

/// A mail that still waits; one that left is an error that says how.
fn waiting(store: &Store, id: i64) -> Result<SetAside, Failure> {
    let mail = set_aside(store, id)?;
    match &mail.row.ended {
        None => Ok(mail),
        Some((_, by)) => Err(ended(id, by)),
    }
}

/// Before anything is done with one of several mails, each must be there to do it with.
fn all_wait(store: &Store, ids: &[i64]) -> Done {
    for (index, id) in ids.iter().enumerate() {
        waiting(store, *id)?;
        if ids.iter().take(index).any(|earlier| earlier == id) {
            return Err(Failure::new(
                Code::Usage,
                format!("mail `{id}` is named twice; nothing was changed"),
            ));
        }
    }
    Ok(())
}

fn ended(id: i64, by: &str) -> Failure {
    Failure::new(Code::Usage, format!("mail `{id}` was {by} already; nothing was changed"))
        .hint(format!("`acuse quarantine show {id}` says when"))
}

/// Its exact bytes; why there are none is the error.
fn raw(mail: &SetAside) -> Result<&[u8], Failure> {
    mail.raw.as_deref().ok_or_else(|| {
        let uid = mail.uid.map(|uid| format!(", UID {uid}")).unwrap_or_default();
        Failure::new(Code::Findings, format!("the bytes of mail `{}` never came", mail.row.id)).hint(format!(
            "read it in its mailbox ({}{uid}), or release it: it is fetched again",
            mail.row.mailbox
        ))
    })
}

/// So many lines of its own words are shown.
const HEAD_LINES: usize = 12;

fn show(context: &Context, mail: &SetAside, config: &Config, policy: &Policy) -> Done {
    let read = mail.raw.as_ref().map(|raw| Read::new(raw, ingest::reading_of(mail, config.max_size), policy));
    let message = read.transpose()?.and_then(|read| read.content).map(|content| content.message);
    let head = message.as_ref().map(|it| it.own_text.lines().take(HEAD_LINES).collect::<Vec<_>>().join("\n"));
    let defects = message.as_ref().map(|message| message.defects.clone()).unwrap_or_default();
    let why = why(mail, message.as_ref());
    if context.json {
        let mut document = document(&mail.row, policy);
        if let Some(object) = document.as_object_mut() {
            object.insert("why".to_owned(), json!(why));
            object.insert("uid".to_owned(), json!(mail.uid));
            let received = rfc3339(&policy.calendar.to_local(mail.arrived.received));
            object.insert("received".to_owned(), json!(received));
            object.insert("own_text".to_owned(), json!(head));
            object.insert("defects".to_owned(), json!(defects));
            object.insert("decision".to_owned(), json!(mail.decision));
        }
        return context.json(&document);
    }
    let local = |at| for_people(&policy.calendar.to_local(at));
    let mut lines =
        vec![format!("{}  {}", context.strong(&mail.row.id.to_string()), shown(&mail.row.subject))];
    let mut row = |name: &str, text: String| lines.push(format!("{name:<10}{text}"));
    row("reason", format!("{}: {}", mail.row.reason, shown(&why)));
    let uid = mail.uid.map(|uid| format!(", UID {uid}")).unwrap_or_default();
    row("mailbox", format!("{}{uid}", shown(&mail.row.mailbox)));
    row("received", local(mail.arrived.received));
    row("from", shown(mail.row.from.as_deref().unwrap_or("-")));
    row(
        "bytes",
        if mail.raw.is_some() { mail.row.size.to_string() } else { format!("{}, not here", mail.row.size) },
    );
    row("set aside", local(mail.row.at));
    if let Some((at, by)) = &mail.row.ended {
        row(by, local(*at));
    }
    if !defects.is_empty() {
        row("defects", defects.iter().map(|defect| defect.as_str()).collect::<Vec<_>>().join(", "));
    }
    if let Some(decision) = &mail.decision {
        let (reason, ack) = (decision.reason.as_str(), decision.ack.because.as_str());
        row(
            "decision",
            format!("{} ({reason}), impact {}, ack {ack}", decision.action.as_str(), decision.impact),
        );
    }
    lines.extend(head.map(|head| format!("\n{}", shown_lines(&head))));
    context.line(lines.join("\n"))
}

/// Why it was set aside: what failed, or what its reason and the sign by which it was known mean.
fn why(mail: &SetAside, message: Option<&Message>) -> String {
    if let Some(why) = &mail.why {
        return why.clone();
    }
    let reason = Reason::ALL.iter().find(|reason| reason.as_str() == mail.row.reason);
    let sign = message.and_then(|message| message.automation.because);
    let said = [reason.map(|reason| reason.meaning()), sign.map(|sign| sign.meaning())];
    said.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn export(mail: &SetAside, file: Option<&Path>) -> Done {
    let raw = raw(mail)?;
    let Some(path) = file else { return Ok(std::io::stdout().lock().write_all(raw)?) };
    let failed = |what: &str, error: std::io::Error| {
        Failure::new(Code::Io, format!("cannot {what} {}: {error}", path.display()))
    };
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| failed("create", error).hint("name a file that is not there yet"))?;
    file.write_all(raw).and_then(|()| file.sync_all()).map_err(|error| failed("write", error))
}

/// Lets a mail out, and says what became of it.
fn release(context: &Context, store: &mut Store, id: i64, config: &Config, policy: &Policy) -> Done {
    let mail = waiting(store, id)?;
    let now = context.now(policy.calendar.zone())?;
    if mail.raw.is_none() {
        return fetch_again(context, store, &mail, config, now);
    }
    let read = Read::new(raw(&mail)?, ingest::reading_of(&mail, config.max_size), policy)?;
    if read.content.is_none() {
        return Err(Failure::new(Code::Findings, format!("mail `{id}` cannot be read; nothing was changed"))
            .hint(format!("`acuse quarantine export {id} FILE` writes its bytes out")));
    }
    let concluded = ingest::release(store, &mail, &read, &config.site, policy, now)?;
    let concluded = concluded.ok_or_else(|| ended(id, "released or dropped"))?;
    told(context, id, &concluded, config)
}

fn told(context: &Context, id: i64, concluded: &Concluded, config: &Config) -> Done {
    let (outcome, reason) = (concluded.outcome().as_str(), concluded.reason);
    let number = concluded.ticket.map(|number| number.with_prefix(&config.site.prefix));
    let ack = concluded.decision.as_ref().map(|decision| &decision.ack);
    if context.json {
        let ack = ack.map(|ack| json!({ "send": ack.send, "because": ack.because }));
        return context
            .json(&json!({ "id": id, "outcome": outcome, "reason": reason, "ticket": number, "ack": ack }));
    }
    let number = number.map(|number| format!(" {number}")).unwrap_or_default();
    let ack = ack.map_or_else(String::new, |ack| {
        let sent = if ack.send { "an acknowledgement goes out" } else { "no acknowledgement" };
        format!("; {sent} ({})", ack.because.as_str())
    });
    context.line(format!("{id}: {outcome}{number} ({}){ack}", reason.as_str()))
}

/// Lets a mail out whose bytes never came: the daemon fetches it once more.
fn fetch_again(
    context: &Context,
    store: &mut Store,
    mail: &SetAside,
    config: &Config,
    now: Timestamp,
) -> Done {
    let (id, name) = (mail.row.id, &mail.row.mailbox);
    let refused = |why: String| {
        Failure::new(Code::Findings, format!("mail `{id}` cannot be fetched: {why}"))
            .hint(format!("`acuse quarantine drop {id}` takes it off the list"))
    };
    if mail.renumbered {
        return Err(refused(format!(
            "`{}` has new UIDs since; what was there then was listed again",
            shown(name)
        )));
    }
    let Some(mailbox) = config.mailboxes.iter().find(|mailbox| mailbox.name == *name) else {
        return Err(refused(format!("there is no mailbox `{}` any more", shown(name))));
    };
    let folder = mail.folder.clone().unwrap_or_default();
    let is_watched = mailbox.folders.contains(&folder);
    if !is_watched && !mailbox.done_folders().contains(&folder) {
        return Err(refused(format!("its folder `{}` is not watched any more", shown(&folder))));
    }
    let done = store.transaction(|tx| {
        let ended = tx.end_quarantine(id, Ending::Released, now)?;
        if ended {
            tx.fetch_again(mail.arrival)?;
            if !is_watched {
                tx.ask_rescan(name, mail.arrived.received)?; // our own folders are only looked at then
            }
        }
        Ok(ended)
    })?;
    if !done {
        return Err(ended(id, "released or dropped"));
    }
    if context.json {
        return context
            .json(&json!({ "id": id, "outcome": null, "reason": null, "ticket": null, "ack": null }));
    }
    context.line(format!("{id}: is fetched again when `{}` is looked at next", shown(name)))
}

fn drop_one(context: &Context, store: &mut Store, id: i64, now: Timestamp) -> Done {
    waiting(store, id)?;
    if !store.transaction(|tx| tx.end_quarantine(id, Ending::Dropped, now))? {
        return Err(ended(id, "released or dropped"));
    }
    if context.json {
        context.json(&json!({ "id": id }))
    } else {
        context.line(format!("{id}: dropped; its bytes are kept"))
    }
}
