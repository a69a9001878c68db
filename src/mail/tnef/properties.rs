//! The list of MAPI properties inside a TNEF attribute ([MS-OXTNEF] §2.1.3.4).

use super::super::charset;
use super::Stream;

/// So many properties are read; Outlook writes about a hundred.
const MOST: usize = 2_000;

/// One property: its id, and its first value.
pub(super) struct Property<'a> {
    pub tag: u16,
    pub value: Value<'a>,
}

pub(super) enum Value<'a> {
    Number(u32),
    /// In the code page of the mail.
    Bytes(&'a [u8]),
    Utf16(&'a [u8]),
    /// A GUID, then the data.
    Object(&'a [u8]),
    Other,
}

impl<'a> Value<'a> {
    pub(super) fn number(&self) -> Option<u32> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    pub(super) fn bytes(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Bytes(bytes) | Self::Object(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Its text, in `label` where the property does not say; empty when it is none.
    pub(super) fn encoded(&self, label: Option<&'static str>) -> Encoded<'a> {
        match *self {
            Self::Bytes(bytes) => Encoded { bytes, label },
            Self::Utf16(bytes) => Encoded { bytes, label: Some("utf-16le") },
            _ => Encoded { bytes: &[], label },
        }
    }
}

/// A text in its charset.
#[derive(Clone, Copy)]
pub(super) struct Encoded<'a> {
    pub bytes: &'a [u8],
    pub label: Option<&'static str>,
}

impl Encoded<'_> {
    /// Itself, unless it is blank.
    pub(super) fn said(self) -> Option<Self> {
        self.bytes.iter().any(|byte| !matches!(byte, 0 | b' ' | b'\t' | b'\r' | b'\n')).then_some(self)
    }

    /// The text that so many of its bytes are.
    pub(super) fn decode(self, most: usize) -> String {
        let bytes = self.bytes.get(..most).unwrap_or(self.bytes);
        charset::decode(bytes, self.label).text.trim_end_matches('\0').to_owned()
    }
}

/// The properties up to the first that cannot be read.
pub(super) fn read(data: &[u8]) -> Vec<Property<'_>> {
    let mut stream = Stream(data);
    let count = stream.length().unwrap_or_default().min(MOST);
    std::iter::from_fn(|| property(&mut stream)).take(count).collect()
}

fn property<'a>(stream: &mut Stream<'a>) -> Option<Property<'a>> {
    let kind = stream.u16()?;
    let tag = stream.u16()?;
    if tag >= 0x8000 {
        named(stream)?;
    }
    let (several, kind) = (kind & 0x1000 != 0, kind & !0x1000);
    let is_long = matches!(kind, 0x000D | 0x001E | 0x001F | 0x0102);
    let count = if several || is_long { stream.length()? } else { 1 };
    let mut first = None;
    for _ in 0..count {
        let value = if is_long {
            let bytes = padded(stream)?;
            match kind {
                0x000D => Value::Object(bytes),
                0x001F => Value::Utf16(bytes),
                _ => Value::Bytes(bytes),
            }
        } else {
            match kind {
                0x0002 | 0x0003 | 0x0004 | 0x000A | 0x000B => Value::Number(stream.u32()?),
                0x0005 | 0x0006 | 0x0007 | 0x0014 | 0x0040 => stream.take(8).map(|_| Value::Other)?,
                0x0048 => stream.take(16).map(|_| Value::Other)?,
                _ => return None, // of unknown length
            }
        };
        first.get_or_insert(value);
    }
    Some(Property { tag, value: first.unwrap_or(Value::Other) })
}

/// A named property: the set, then a number or a name.
fn named(stream: &mut Stream<'_>) -> Option<()> {
    stream.take(16)?;
    match stream.u32()? {
        0 => stream.u32().map(drop),
        _ => padded(stream).map(drop),
    }
}

/// A length, so many bytes, and what fills them up to a multiple of four.
fn padded<'a>(stream: &mut Stream<'a>) -> Option<&'a [u8]> {
    let length = stream.length()?;
    let bytes = stream.take(length)?;
    stream.take(length.wrapping_neg() % 4)?;
    Some(bytes)
}
