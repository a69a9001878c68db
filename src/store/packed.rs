//! The exact bytes of a mail as the store keeps them: compressed, by their own hash (I2).

use rusqlite::params;

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

impl Packed {
    /// Packs the exact bytes of a mail.
    pub fn new(raw: &[u8]) -> std::io::Result<Self> {
        let mut hash = [0; 32];
        let digest = ring::digest::digest(&ring::digest::SHA256, raw);
        hash.iter_mut().zip(digest.as_ref()).for_each(|(into, byte)| *into = *byte);
        Ok(Self { hash, size: raw.len(), zstd: zstd::bulk::compress(raw, LEVEL)? })
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

/// Unpacks the exact bytes of a stored mail.
pub(super) fn unpack(packed: &[u8], size: i64) -> Result<Vec<u8>> {
    Ok(zstd::bulk::decompress(packed, usize::try_from(size).unwrap_or(0))?)
}
