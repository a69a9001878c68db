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
        "Bounce" => (&notification["bounce"]["bouncedRecipients"], "failed"),
        "DeliveryDelay" => (&notification["deliveryDelay"]["delayedRecipients"], "delayed"),
        "Delivery" => (&notification["delivery"]["recipients"], "delivered"),
        _ => return None,
    };
    let mut recipients: Vec<BouncedRecipient> = Vec::new();
    for one in list.as_array().into_iter().flatten().take(MAX_RECIPIENTS) {
        let address = one.as_str().or_else(|| one["emailAddress"].as_str()).unwrap_or_default();
        let Some(address) = Address::parse(address) else { continue };
        let status = one["status"].as_str().and_then(super::status_in);
        let class = match notification["bounce"]["bounceType"].as_str() {
            Some("Permanent") => Some("5"),
            Some("Transient") => Some("4"),
            _ => None,
        };
        let permanent = is_permanent(status.as_deref().or(class), Some(action));
        add(&mut recipients, address.address, status, Some(action.to_owned()), permanent);
    }
    let id = notification["mail"]["commonHeaders"]["messageId"].as_str();
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
    notification["notificationType"].as_str().or_else(|| notification["eventType"].as_str())
}

/// The JSON that the text begins with; without "raw delivery" it is the string within another.
fn notification(text: &str) -> Option<Value> {
    let text = text.get(..LONGEST).unwrap_or(text);
    if !text.starts_with('{') {
        return None;
    }
    let text = text.replace("!\n ", "").replace('\n', ""); // long lines are cut on the way
    let first = |text: &str| serde_json::Deserializer::from_str(text).into_iter::<Value>().next()?.ok();
    let outer = first(&text)?;
    match outer["Message"].as_str() {
        Some(inner) => first(inner),
        None => Some(outer),
    }
}
