//! A [`Message`] as `acuse inspect --json` prints it: the keys that other programs rely on.

use jiff::Timestamp;
use serde::Serialize;

use super::{Address, Attachment, AutomationKind, Bounce, Defect, Message, Sign};
use crate::ticket::Language;

/// The JSON object of `acuse inspect` (docs/json.md), but for `file`, which the command line adds.
#[derive(Debug, Clone, Serialize)]
pub struct MessageView<'m> {
    message_id: Option<&'m str>,
    in_reply_to: &'m [String],
    references: &'m [String],
    from: Option<&'m Address>,
    reply_to: &'m [Address],
    to: &'m [Address],
    cc: &'m [Address],
    subject: &'m str,
    date: Option<Timestamp>,
    text: &'m str,
    own_text: &'m str,
    language: Language,
    automation: AutomationView,
    bounce: Option<&'m Bounce>,
    attachments: &'m [Attachment],
    defects: &'m [Defect],
}

/// The `automation` of a [`MessageView`].
#[derive(Debug, Clone, Copy, Serialize)]
struct AutomationView {
    kind: AutomationKind,
    because: Option<Sign>,
}

impl Message {
    /// The message as `acuse inspect --json` prints it.
    pub fn view(&self) -> MessageView<'_> {
        MessageView {
            message_id: self.message_id.as_deref(),
            in_reply_to: &self.in_reply_to,
            references: &self.references,
            from: self.from.as_ref(),
            reply_to: &self.reply_to,
            to: &self.to,
            cc: &self.cc,
            subject: &self.subject,
            date: self.date,
            text: &self.text,
            own_text: &self.own_text,
            language: self.language,
            automation: AutomationView { kind: self.automation.kind, because: self.automation.because },
            bounce: self.bounce.as_ref(),
            attachments: &self.attachments,
            defects: &self.defects,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn the_keys_are_those_of_the_contract() {
        let mail = b"From: Ana <ana@b.co>\r\nSubject: Hola\r\nDate: Mon, 2 Nov 2026 10:00:00 -0500\r\n\r\nNo carga.\r\n";
        insta::assert_json_snapshot!(parse(mail).view(), @r#"
        {
          "message_id": null,
          "in_reply_to": [],
          "references": [],
          "from": {
            "name": "Ana",
            "address": "ana@b.co"
          },
          "reply_to": [],
          "to": [],
          "cc": [],
          "subject": "Hola",
          "date": "2026-11-02T15:00:00Z",
          "text": "No carga.",
          "own_text": "No carga.",
          "language": "es",
          "automation": {
            "kind": "none",
            "because": null
          },
          "bounce": null,
          "attachments": [],
          "defects": [
            "no_message_id"
          ]
        }
        "#);
    }
}
