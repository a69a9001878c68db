//! `acuse inspect`: what is read in a mail, nothing decided.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::context::{Context, read, shown, shown_lines};
use super::report::Done;
use crate::ingest::{self, Reading};
use crate::mail::{Message, MessageView};

/// `acuse inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The mails; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Row<'a> {
    file: String,
    #[serde(flatten)]
    message: MessageView<'a>,
}

/// Prints one object per file, or a page.
pub fn inspect(context: &Context, args: &InspectArgs) -> Done {
    for path in &args.files {
        let raw = read(path)?;
        let message = ingest::read(&raw, Reading::Whole);
        let file = path.display().to_string();
        if context.json {
            context.json(&Row { file, message: message.view() })?;
        } else {
            context.line(page(context, &file, &message))?;
        }
    }
    Ok(())
}

fn page(context: &Context, file: &str, message: &Message) -> String {
    let mut page = vec![context.strong(&shown(file))];
    let mut row = |name: &str, text: String| {
        if !text.is_empty() {
            page.push(format!("{name:12}{text}"));
        }
    };
    let list = |addresses: &[crate::mail::Address]| {
        addresses.iter().map(|address| address.address.as_str()).collect::<Vec<_>>().join(", ")
    };
    row(
        "From",
        message
            .from
            .as_ref()
            .map(|from| format!("{} <{}>", shown(&from.name), from.address))
            .unwrap_or_default(),
    );
    row("To", list(&message.to));
    row("Cc", list(&message.cc));
    row("Subject", shown(&message.subject));
    row("Date", message.date.map(|date| date.to_string()).unwrap_or_default());
    row("Message-ID", message.message_id.as_deref().map(shown).unwrap_or_default());
    row("Language", message.language.as_str().to_owned());
    row(
        "Automation",
        word(&message.automation.kind)
            + &message.automation.because.map(|sign| format!(" ({})", word(&sign))).unwrap_or_default(),
    );
    row("Defects", message.defects.iter().map(word).collect::<Vec<_>>().join(", "));
    for file in &message.attachments {
        row(
            "Attachment",
            format!("{} ({}, {} bytes)", shown(&file.name), shown(&file.media_type), file.size),
        );
    }
    page.push(format!("\n{}", shown_lines(&message.own_text)));
    page.join("\n")
}

/// An enum's word in JSON.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
