//! `acuse mailbox`: how the mailboxes stand, and what the daemon is to do with them.

use clap::Subcommand;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::context::{Context, for_people, rfc3339, shown, table, time};
use super::login;
use super::report::{Code, Done, Failure};
use crate::config::{Config, Mailbox, Secrets};
use crate::daemon;
use crate::store::FolderState;

/// `acuse mailbox …`
#[derive(Debug, Subcommand)]
pub enum MailboxVerb {
    /// List every watched folder: its state, the last poll, what is under way
    List,
    /// Sign a mailbox in by OAuth 2.0: shows a code to type on any device, and waits
    Login {
        /// Its name in acuse.toml
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Stop watching a mailbox; it stays so until it is resumed
    Pause {
        /// Its name in acuse.toml
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Watch a mailbox again
    Resume {
        /// Its name in acuse.toml
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// List again what was moved, and take in what is not known; nothing is acknowledged
    Rescan {
        /// Its name in acuse.toml
        #[arg(value_name = "NAME")]
        name: String,
        /// Only what arrived since; without it, since three days before the last poll
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
    },
}

/// Lists the mailboxes, or tells the daemon by way of the database what to do with one.
pub fn mailbox(context: &Context, verb: &MailboxVerb) -> Done {
    if let MailboxVerb::Login { name } = verb {
        let config = context.config(Secrets::Read)?;
        let mailbox = named(&config, name)?;
        return login::sign_in(context, &format!("mailbox `{}`", shown(&mailbox.name)), &mailbox.server);
    }
    let config = context.config(Secrets::Skip)?;
    match verb {
        MailboxVerb::Login { .. } => Ok(()), // done above
        MailboxVerb::List => list(context, &config),
        MailboxVerb::Pause { name } => pause(context, &config, named(&config, name)?),
        MailboxVerb::Resume { name } => resume(context, &config, named(&config, name)?),
        MailboxVerb::Rescan { name, since } => {
            rescan(context, &config, named(&config, name)?, since.as_deref())
        }
    }
}

fn named<'a>(config: &'a Config, name: &str) -> Result<&'a Mailbox, Failure> {
    config.mailboxes.iter().find(|mailbox| mailbox.name == name).ok_or_else(|| {
        let known: Vec<&str> = config.mailboxes.iter().map(|mailbox| mailbox.name.as_str()).collect();
        let hint = if known.is_empty() {
            "acuse.toml has no [[mailbox]]".to_owned()
        } else {
            format!("acuse.toml names {}", known.join(", "))
        };
        Failure::new(Code::Usage, format!("there is no mailbox `{}`", shown(name))).hint(hint)
    })
}

fn pause(context: &Context, config: &Config, mailbox: &Mailbox) -> Done {
    let now = daemon::clock::now();
    let changed = context.store(config)?.transaction(|tx| tx.pause(&mailbox.name, now))?;
    let said = if changed {
        "is paused: the daemon lets go of it within seconds, and the others go on"
    } else {
        "was paused already"
    };
    told(context, mailbox, said, json!({ "mailbox": mailbox.name, "paused": true, "changed": changed }))
}

fn resume(context: &Context, config: &Config, mailbox: &Mailbox) -> Done {
    let now = daemon::clock::now();
    let changed = context.store(config)?.transaction(|tx| tx.resume(&mailbox.name, now))?;
    let said =
        if changed { "is resumed: the daemon goes on with it within seconds" } else { "was not paused" };
    told(context, mailbox, said, json!({ "mailbox": mailbox.name, "paused": false, "changed": changed }))
}

fn rescan(context: &Context, config: &Config, mailbox: &Mailbox, since: Option<&str>) -> Done {
    let policy = context.policy_for_view(config)?;
    let now = daemon::clock::now();
    let since = since.map(|text| time(text, policy.calendar.zone())).transpose()?;
    let (since, paused) = context.store(config)?.transaction(|tx| {
        let since = since.map_or_else(|| daemon::rescan_since(tx, mailbox, now), Ok)?;
        tx.ask_rescan(&mailbox.name, since)?;
        Ok((since, tx.orders()?.get(&mailbox.name).is_some_and(|order| order.paused)))
    })?;
    let local = policy.calendar.to_local(since);
    let when = if paused { "once it is resumed" } else { "within seconds, while the daemon runs" };
    let said = format!("is listed again from {} on, {when}; the log says what was found", for_people(&local));
    told(
        context,
        mailbox,
        &said,
        json!({ "mailbox": mailbox.name, "since": rfc3339(&local), "paused": paused }),
    )
}

fn told(context: &Context, mailbox: &Mailbox, said: &str, document: serde_json::Value) -> Done {
    if context.json { context.json(&document) } else { context.line(format!("{} {said}", mailbox.name)) }
}

fn list(context: &Context, config: &Config) -> Done {
    let policy = context.policy_for_view(config)?;
    let now = context.now(policy.calendar.zone())?;
    let local = |at| policy.calendar.to_local(at);
    let (rows, orders) = context.store(config)?.read(|tx| {
        let mut rows = Vec::new();
        for mailbox in &config.mailboxes {
            for folder in &mailbox.folders {
                rows.push((mailbox, folder, tx.folder_state(&mailbox.name, folder)?));
            }
        }
        Ok((rows, tx.orders()?))
    })?;
    let rescan_of = |mailbox: &Mailbox| orders.get(&mailbox.name).and_then(|order| order.rescan);
    if context.json {
        let document = |(mailbox, folder, state): &(&Mailbox, &String, FolderState)| {
            json!({
                "mailbox": mailbox.name,
                "folder": folder,
                "state": state.standing,
                "since": state.trouble.as_ref().map(|(since, _)| rfc3339(&local(*since))),
                "detail": state.trouble.as_ref().map(|(_, words)| words).filter(|words| !words.is_empty()),
                "last_poll": state.last_poll.map(|at| rfc3339(&local(at))),
                "polled_s_ago": state.last_poll.map(|at| now.duration_since(at).as_secs().max(0)),
                "uidvalidity": state.uid_validity,
                "last_uid": state.last_uid,
                "pending": state.pending,
                "unsettled": state.unsettled,
                "rescan": rescan_of(mailbox).map(|at| rfc3339(&local(at))),
            })
        };
        return context.json(&rows.iter().map(document).collect::<Vec<_>>());
    }
    let mut lines = table(&[
        "mailbox",
        "folder",
        "state",
        "since",
        "last poll",
        "uidvalidity",
        "last uid",
        "pending",
        "unsettled",
        "rescan",
    ]);
    for (mailbox, folder, state) in &rows {
        lines.add_row([
            shown(&mailbox.name),
            shown(folder),
            state.standing.as_str().to_owned(),
            state.trouble.as_ref().map(|(since, _)| for_people(&local(*since))).unwrap_or_default(),
            state.last_poll.map(|at| ago(now, at)).unwrap_or_default(),
            state.uid_validity.map(|uid_validity| uid_validity.to_string()).unwrap_or_default(),
            state.last_uid.to_string(),
            state.pending.to_string(),
            state.unsettled.to_string(),
            rescan_of(mailbox).map(|at| format!("from {}", for_people(&local(at)))).unwrap_or_default(),
        ]);
    }
    context.line(lines.to_string())?;
    for (mailbox, folder, state) in &rows {
        if let Some((_, words)) = state.trouble.as_ref().filter(|(_, words)| !words.is_empty()) {
            context.line(format!("{}/{}: {}", shown(&mailbox.name), shown(folder), shown(words)))?;
        }
    }
    Ok(())
}

/// `3m ago`: how long ago something was, in its largest unit.
fn ago(now: Timestamp, at: Timestamp) -> String {
    let seconds = now.duration_since(at).max(SignedDuration::ZERO).as_secs();
    let (number, unit) = match seconds {
        0..120 => (seconds, "s"),
        120..7200 => (seconds / 60, "m"),
        7200..172_800 => (seconds / 3600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    format!("{number}{unit} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_ago_is_one_number() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let said = |seconds| ago(now, now - SignedDuration::from_secs(seconds));
        assert_eq!(
            [-5, 0, 119, 120, 7199, 7200, 172_799, 172_800].map(said),
            ["0s ago", "0s ago", "119s ago", "2m ago", "119m ago", "2h ago", "47h ago", "2d ago"]
        );
    }
}
