//! Where we are: our addresses, names and limits, as plain data that `config` makes and pure code reads.

use jiff::SignedDuration;
use serde::Serialize;

use crate::mail::Address;
use crate::token::Keyring;

/// Everything of the configuration that a decision or a reply depends on.
#[derive(Debug, Clone, Serialize)]
pub struct Site {
    /// `[support] name`, as acks sign.
    pub name: String,
    /// `[support] addresses`: ours. The first is the one acks name when the mail does not tell which was used.
    pub addresses: Vec<Address>,
    /// `[support] staff`: colleagues who answer from their own mail client.
    pub staff: Vec<Address>,
    /// `[support] forms`: web forms, whose Reply-To is the requester.
    pub forms: Vec<Address>,
    /// `[support] lists`: the List-Ids of our own group addresses, lower case.
    pub lists: Vec<String>,
    /// What acks may name of telephone, chat and help pages.
    pub channels: Channels,
    /// `[tickets] prefix`.
    pub prefix: String,
    /// `[tickets] reopen_days`: how long after closing a reply reopens.
    pub reopen: SignedDuration,
    /// `[tickets] close_after`: how long after an answer a silent ticket closes.
    pub close_after: SignedDuration,
    /// `[smtp] from`.
    pub from: Address,
    /// `[smtp] reply_to`, with `{token}` in it.
    pub reply_to: Option<String>,
    /// `[smtp] envelope_from`.
    pub envelope_from: EnvelopeFrom,
    /// `[ack] max_age`: older mail gets a ticket and no ack.
    pub max_age: SignedDuration,
    /// `[auth] authserv_id`: whose Authentication-Results to believe, lower case.
    pub authserv_id: Option<String>,
    /// `[limits]`.
    pub limits: Limits,
    /// The thread keys.
    #[serde(skip)]
    pub keys: Keyring,
}

/// What acks may name, as the plan allows; what is unset is left out of the text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Channels {
    /// `[support] phone`.
    pub phone: Option<String>,
    /// `[support] chat`: an address or a sentence of where the chat is.
    pub chat: Option<String>,
    /// `[support] help_url`: the knowledge base.
    pub help_url: Option<String>,
}

/// Whom bounces of our acks go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum EnvelopeFrom {
    /// `<>`: nobody (RFC 3834 §3.3).
    Null,
    /// The address of From.
    From,
    /// An address with `{token}`, which ties a bounce to its row.
    Tagged(String),
}

/// How much we send at most (I7); acks beyond are withheld, tickets continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Acks to one address in an hour, whatever its `+tag`s.
    pub per_address_hour: u32,
    /// Acks to one address in a day.
    pub per_address_day: u32,
    /// Acks to one domain in an hour; public mail domains are exempt.
    pub per_domain_hour: u32,
    /// Acks in an hour in all: a pace, not a loss.
    pub per_hour: u32,
    /// The breaker never trips at fewer acks in an hour.
    pub breaker_floor: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_address_hour: 5,
            per_address_day: 20,
            per_domain_hour: 30,
            per_hour: 600,
            breaker_floor: 300,
        }
    }
}

impl Site {
    /// Nobody in particular, for trying mails and texts without a configuration: no address is ours, no key signs.
    pub fn nobody() -> Self {
        Self {
            name: "MiHost".to_owned(),
            addresses: Vec::new(),
            staff: Vec::new(),
            forms: Vec::new(),
            lists: Vec::new(),
            channels: Channels::default(),
            prefix: "ACU".to_owned(),
            reopen: SignedDuration::from_hours(14 * 24),
            close_after: SignedDuration::from_hours(7 * 24),
            from: Address { name: "Soporte MiHost".to_owned(), address: "soporte@mihost.example".to_owned() },
            reply_to: None,
            envelope_from: EnvelopeFrom::Null,
            max_age: SignedDuration::from_hours(6),
            authserv_id: None,
            limits: Limits::default(),
            keys: Keyring::new(Vec::new()),
        }
    }

    /// 16 hex digits that name exactly this site, keys apart; every decision stores them (I15).
    pub fn hash(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default(); // plain data: it always serialises
        fingerprint([text.as_slice()])
    }

    /// Whether an address is one of ours, with or without a `+tag`.
    pub fn is_ours(&self, address: &Address) -> bool {
        let (bare, _) = address.without_tag();
        self.addresses.iter().any(|ours| ours.address == address.address || ours.address == bare)
    }

    /// Whether an address is staff's: ours or listed, but no form.
    pub fn is_staff(&self, address: &Address) -> bool {
        !self.forms.contains(address) && (self.is_ours(address) || self.staff.contains(address))
    }
}

/// 16 hex digits that name exactly these parts: the start of a SHA-256 over them.
pub fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    parts.into_iter().for_each(|part| context.update(part));
    context.finish().as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
