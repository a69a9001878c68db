//! What Amazon SES tells by SNS: a delivery report as JSON in the text of a mail.

use serde_json::Value;

use super::super::{Bounce, BouncedRecipient};
use super::{Evidence, MAX_RECIPIENTS, add, identity, is_permanent};
use crate::mail::Address;

/// A longer text is none: a mail has 50 recipients there.
const LONGEST: usize = 256 * 1024;

/// The delivery report in such a notification: failed, late or delivered.
pub(super) fn read(evidence: &Evidence<'_>) -> Option<Bounce> {
    let local: String = evidence.from_local.chars().filter(|c| c.is_alphanumeric()).collect();
    let notification = notification(evidence.text).filter(|_| local.starts_with("noreply"))?;
    let (list, action) = match kind(&notification)? {
        "Bounce" => ("/bounce/bouncedRecipients", "failed"),
        "DeliveryDelay" => ("/deliveryDelay/delayedRecipients", "delayed"),
        "Delivery" => ("/delivery/recipients", "delivered"),
        _ => return None,
    };
    let class = match notification.pointer("/bounce/bounceType").and_then(Value::as_str) {
        Some("Permanent") => Some("5"),
        Some("Transient") => Some("4"),
        _ => None,
    };
    let mut recipients: Vec<BouncedRecipient> = Vec::new();
    let listed = notification.pointer(list).and_then(Value::as_array);
    for one in listed.into_iter().flatten().take(MAX_RECIPIENTS) {
        let word = |key| one.get(key).and_then(Value::as_str);
        let address = one.as_str().or_else(|| word("emailAddress")).and_then(Address::parse);
        let Some(Address { address, .. }) = address else { continue };
        let status = word("status").and_then(super::status_in);
        let permanent = is_permanent(status.as_deref().or(class), Some(action));
        add(&mut recipients, address, status, Some(action.to_owned()), permanent);
    }
    let id = notification.pointer("/mail/commonHeaders/messageId").and_then(Value::as_str);
    Some(Bounce {
        recipients,
        original_message_id: id.and_then(identity::message_id),
        original_envelope_id: None,
    })
}

/// Whether it tells that a recipient took the mail for spam.
pub(in super::super) fn is_complaint(text: &str) -> bool {
    notification(text).is_some_and(|notification| kind(&notification) == Some("Complaint"))
}

fn kind(notification: &Value) -> Option<&str> {
    ["notificationType", "eventType"].iter().find_map(|key| notification.get(key)?.as_str())
}

/// The JSON that the text begins with; without "raw delivery" it is the string within another.
fn notification(text: &str) -> Option<Value> {
    let text = text.get(..text.floor_char_boundary(LONGEST)).unwrap_or(text);
    if !text.starts_with('{') {
        return None;
    }
    let text = text.replace("!\n ", "").replace('\n', ""); // long lines are cut on the way
    let first = |text: &str| serde_json::Deserializer::from_str(text).into_iter::<Value>().next()?.ok();
    let outer = first(&text)?;
    match outer.get("Message").and_then(Value::as_str) {
        Some(inner) => first(inner),
        None => Some(outer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_before_the_character_that_crosses_the_limit() {
        let too_long = |filler: &str| {
            let text =
                format!("{{\"x\":\"{}\",\"notificationType\":\"Complaint\"}}", filler.repeat(LONGEST / 2));
            assert!(text.len() > LONGEST);
            is_complaint(&text)
        };
        assert!(is_complaint(r#"{"notificationType":"Complaint"}"#));
        assert!(!too_long("aa"));
        assert!(!too_long("ñ"), "6 bytes stand before, so that the limit is between two");
        assert!(!too_long("€"), "the limit is inside of one");
    }
}
