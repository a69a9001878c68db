//! The exact bytes of a mail as the store keeps them: compressed, by their own hash (I2).

use std::cell::RefCell;
use std::io::{ErrorKind, Read as _};

use rusqlite::params;
use zstd::bulk::Compressor;

use super::{Result, Tx};

/// A mail ready to be kept. Packing costs time and needs no database, so it is done before one is locked.
#[derive(Debug, Clone)]
pub struct Packed {
    /// SHA-256 of the exact bytes.
    pub hash: [u8; 32],
    /// Bytes before compression.
    pub size: usize,
    zstd: Vec<u8>,
}

/// Fast; mail is short, and higher levels gain little on it.
const LEVEL: i32 = 1;

thread_local! {
    /// Its tables are made once a thread, not once a mail.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

impl Packed {
    /// Packs the exact bytes of a mail.
    pub fn new(raw: &[u8]) -> std::io::Result<Self> {
        let zstd = COMPRESSOR.with_borrow_mut(|kept| match kept {
            Some(compressor) => compressor.compress(raw),
            None => kept.insert(Compressor::new(LEVEL)?).compress(raw),
        })?;
        Ok(Self { hash: hash(raw), size: raw.len(), zstd })
    }

    /// The size as a column holds it.
    pub(super) fn bytes(&self) -> i64 {
        i64::try_from(self.size).unwrap_or(i64::MAX)
    }
}

impl Tx<'_> {
    /// Keeps a mail's bytes; the same bytes are kept once.
    pub(super) fn keep(&self, raw: &Packed) -> Result<()> {
        self.connection
            .prepare_cached("INSERT INTO raw (hash, size, zstd) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
            .execute(params![&raw.hash[..], raw.bytes(), raw.zstd])?;
        Ok(())
    }
}

/// SHA-256 of the exact bytes of a mail.
pub(super) fn hash(raw: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    let digest = ring::digest::digest(&ring::digest::SHA256, raw);
    hash.iter_mut().zip(digest.as_ref()).for_each(|(into, byte)| *into = *byte);
    hash
}

/// Unpacks the exact bytes of a stored mail. No room is made for more than comes: on a damaged page the size may be
/// any number.
pub(super) fn unpack(packed: &[u8], size: i64) -> Result<Vec<u8>> {
    let size = u64::try_from(size).unwrap_or(0);
    let mut raw = Vec::new();
    zstd::Decoder::new(packed)?.take(size.saturating_add(1)).read_to_end(&mut raw)?;
    if raw.len() as u64 == size {
        return Ok(raw);
    }
    Err(std::io::Error::new(ErrorKind::InvalidData, format!("it has not the {size} bytes it had")).into())
}
