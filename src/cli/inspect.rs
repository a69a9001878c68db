//! `acuse inspect`: what is read in a mail, nothing decided.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::attachments;
use super::context::{Context, read, shown, shown_lines, tell};
use super::report::Done;
use crate::ingest::{self, Reading};
use crate::mail::{Address, Message, MessageView};

/// `acuse inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The mails; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Print all readable text, quotations and footers too
    #[arg(long)]
    raw_text: bool,
    /// Write the attachments into this directory, which is made where it is missing, under names that are safe there
    #[arg(long, value_name = "DIR")]
    save_attachments: Option<PathBuf>,
}

#[derive(Serialize)]
struct Row<'a> {
    file: String,
    #[serde(flatten)]
    message: MessageView<'a>,
}

/// Prints one object per file, or a page.
pub fn inspect(context: &Context, args: &InspectArgs) -> Done {
    args.save_attachments.as_deref().map_or(Ok(()), attachments::make)?;
    let mut saved_before = 0;
    for (index, path) in args.files.iter().enumerate() {
        let raw = read(path)?;
        let message = ingest::read(&raw, Reading::Whole);
        let file = path.display().to_string();
        if context.json {
            context.json(&Row { file, message: message.view() })?;
        } else {
            let blank = if index > 0 { "\n" } else { "" };
            context.line(format!("{blank}{}", page(context, &file, &message, args.raw_text)))?;
        }
        let Some(dir) = &args.save_attachments else { continue };
        let saved = attachments::save(&raw, dir, saved_before)?;
        saved_before += saved.len();
        for path in saved {
            tell(format!("saved {}", shown(&path.display().to_string())));
        }
    }
    Ok(())
}

fn page(context: &Context, file: &str, message: &Message, raw_text: bool) -> String {
    let mut page = vec![context.strong(&shown(file))];
    let mut row = |name: &str, text: String| {
        if !text.is_empty() {
            page.push(format!("{name:12}{text}"));
        }
    };
    let list = |addresses: &[Address]| addresses.iter().map(person).collect::<Vec<_>>().join(", ");
    let words = |words: &[String]| words.iter().map(|word| shown(word)).collect::<Vec<_>>().join(" ");
    row("From", message.from.as_ref().map(person).unwrap_or_else(|| "(no single usable address)".to_owned()));
    row("Reply-To", list(&message.reply_to));
    row("To", list(&message.to));
    row("Cc", list(&message.cc));
    row("Subject", shown(&message.subject));
    row("Date", message.date.map(|date| date.to_string()).unwrap_or_default());
    row("Message-ID", message.message_id.as_deref().map(shown).unwrap_or_default());
    row("Answers", words(&message.in_reply_to));
    row("Language", message.language.as_str().to_owned());
    row(
        "Written by",
        match message.automation.because {
            None => "a person, as far as its headers tell".to_owned(),
            Some(sign) => {
                format!("{}: {}", word(&message.automation.kind), sign.meaning().trim_end_matches('.'))
            }
        },
    );
    for bounced in message.bounce.iter().flat_map(|bounce| &bounce.recipients) {
        let permanent = match bounced.permanent {
            Some(true) => "for good",
            Some(false) => "for now",
            None => "",
        };
        let said = [bounced.action.as_deref(), bounced.status.as_deref(), Some(permanent)];
        let said = said.into_iter().flatten().filter(|word| !word.is_empty()).map(shown);
        row("Recipient", format!("{}  {}", shown(&bounced.recipient), said.collect::<Vec<_>>().join(" ")));
    }
    let original = message.bounce.as_ref().and_then(|bounce| bounce.original_message_id.as_deref());
    row("Of mail", original.map(shown).unwrap_or_default());
    for defect in &message.defects {
        row("Defect", format!("{}: {}", word(defect), defect.meaning().trim_end_matches('.')));
    }
    for file in &message.attachments {
        let name = if file.name.is_empty() { "(no name)".to_owned() } else { shown(&file.name) };
        let place = if file.inline { ", in the text" } else { "" };
        row("Attachment", format!("{name} ({}, {} bytes{place})", shown(&file.media_type), file.size));
    }
    if raw_text {
        page.push(format!("\n{}", shown_lines(&message.text)));
        return page.join("\n");
    }
    page.push(match message.own_text.as_str() {
        "" => "\n(no words of its own)".to_owned(),
        own => format!("\n{}", shown_lines(own)),
    });
    let set_aside = message.text.lines().count().saturating_sub(message.own_text.lines().count());
    if set_aside > 0 {
        page.push(format!("\n({set_aside} lines of quotation and footers more: --raw-text)"));
    }
    page.join("\n")
}

fn person(address: &Address) -> String {
    match shown(&address.name) {
        name if name.is_empty() => address.address.clone(),
        name => format!("{name} <{}>", address.address),
    }
}

/// An enum's word in JSON.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
