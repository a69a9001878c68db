//! winmail.dat: the text and the files that Outlook wraps as TNEF ([MS-OXTNEF]). Bounded; what is cut off is left out.

mod properties;
mod rtf;

use super::header::neutral;
use properties::{Encoded, Property, Value};

/// So many files are read of one mail.
const FILES: usize = 200;
/// Mails attached to mails are followed this deep.
const DEPTH: usize = 3;
/// A text is read up to this many bytes.
const TEXT: usize = 1024 * 1024;
/// All texts of one mail are read up to this many bytes, rich text with its formatting, which is many times longer.
const ALL_TEXTS: usize = 4 * TEXT;
/// A file name is read up to this many characters, as file systems have them.
const NAME: usize = 255;
/// A media type is read up to this many characters (RFC 6838 §4.2).
const MEDIA_TYPE: usize = 127;

/// What may still be read of one mail, however many streams it holds and however they are nested (I12).
#[derive(Debug)]
pub(super) struct Budget {
    files: usize,
    /// Bytes.
    text: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { files: FILES, text: ALL_TEXTS }
    }
}

/// What is inside.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Contents<'a> {
    /// The best form of the text.
    pub text: Option<Text>,
    /// The files, in order.
    pub files: Vec<File<'a>>,
}

/// The text as its reader's program would show it.
#[derive(Debug, PartialEq)]
pub(super) enum Text {
    Plain(String),
    Html(String),
}

/// One file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct File<'a> {
    /// The name, on one line; may be empty.
    pub name: String,
    /// The media type, lower case.
    pub media_type: String,
    pub bytes: &'a [u8],
    /// What is inside, when the file is a mail.
    pub mail: Option<Box<Contents<'a>>>,
}

/// Reads a TNEF stream, as far as the budget goes; `None` when it is none.
pub(super) fn read<'a>(bytes: &'a [u8], budget: &mut Budget) -> Option<Contents<'a>> {
    read_to(bytes, DEPTH, budget)
}

// [MS-OXTNEF] §2.1.3.2: the type in the upper half
const OEM_CODE_PAGE: u32 = 0x0006_9007;
const BODY: u32 = 0x0002_800C;
const MESSAGE_PROPERTIES: u32 = 0x0006_9003;
const ATTACHMENT_BEGINS: u32 = 0x0006_9002;
const ATTACHMENT_TITLE: u32 = 0x0001_8010;
const ATTACHMENT_DATA: u32 = 0x0006_800F;
const ATTACHMENT_PROPERTIES: u32 = 0x0006_9005;

fn read_to<'a>(bytes: &'a [u8], depth: usize, budget: &mut Budget) -> Option<Contents<'a>> {
    let mut stream = Stream(bytes.strip_prefix(&0x223E_9F78_u32.to_le_bytes())?);
    stream.take(2)?; // the key
    let (mut texts, mut files, mut code_page) = (Texts::default(), Vec::<File<'_>>::new(), None);
    while let Some((attribute, data)) = stream.attribute() {
        match attribute {
            OEM_CODE_PAGE => code_page = Stream(data).u32().and_then(charset_of),
            BODY => texts.plain = Encoded { bytes: data, label: code_page }.said().or(texts.plain),
            MESSAGE_PROPERTIES => texts.properties(properties::read(data), code_page),
            ATTACHMENT_BEGINS => {
                let Some(left) = budget.files.checked_sub(1) else { break };
                budget.files = left;
                files.push(File::default());
            }
            _ => {
                let Some(file) = files.last_mut() else { continue };
                match attribute {
                    ATTACHMENT_TITLE if file.name.is_empty() => {
                        file.name = short(Encoded { bytes: data, label: code_page }, NAME);
                    }
                    ATTACHMENT_DATA => file.bytes = data,
                    ATTACHMENT_PROPERTIES => file.properties(properties::read(data), code_page),
                    _ => {}
                }
            }
        }
    }
    let text = texts.best(&mut budget.text);
    for file in &mut files {
        file.mail = depth.checked_sub(1).and_then(|depth| read_to(file.bytes, depth, budget)).map(Box::new);
        if file.mail.is_some() {
            file.media_type = "application/ms-tnef".to_owned();
        } else if file.media_type.is_empty() {
            file.media_type = "application/octet-stream".to_owned();
        }
    }
    files.retain(|file| !(file.bytes.is_empty() && file.name.is_empty()));
    Some(Contents { text, files })
}

/// The forms of a text, none of them decoded yet: a stream may repeat each as often as it likes.
#[derive(Default)]
struct Texts<'a> {
    plain: Option<Encoded<'a>>,
    html: Option<Encoded<'a>>,
    /// Compressed.
    rtf: Option<&'a [u8]>,
}

impl<'a> Texts<'a> {
    fn properties(&mut self, properties: Vec<Property<'a>>, code_page: Option<&'static str>) {
        // PidTagInternetCodepage stands before or after what it speaks of
        let internet =
            properties.iter().find(|it| it.tag == 0x3FDE).and_then(|it| charset_of(it.value.number()?));
        for Property { tag, value } in properties {
            match tag {
                0x1000 => self.plain = value.encoded(code_page).said().or(self.plain),
                0x1013 => self.html = value.encoded(internet).said(),
                0x1009 => self.rtf = value.bytes(),
                _ => {}
            }
        }
    }

    /// The plain text keeps quotes as the writer's program marked them; the RTF is often all there is. `left` is how
    /// many bytes may still be decoded.
    fn best(self, left: &mut usize) -> Option<Text> {
        let decoded = |text: Encoded<'_>, left: &mut usize| {
            let text = text.decode(TEXT.min(*left));
            *left = left.saturating_sub(text.len());
            some(text)
        };
        if let Some(text) = self.plain.and_then(|text| decoded(text, left)) {
            return Some(Text::Plain(text));
        }
        if let Some(text) = self.html.and_then(|text| decoded(text, left)) {
            return Some(Text::Html(text));
        }
        let rtf = rtf::decompress(self.rtf?, *left)?;
        *left = left.saturating_sub(rtf.len());
        some(rtf::to_text(&rtf)).map(Text::Plain)
    }
}

fn some(text: String) -> Option<String> {
    (!text.trim().is_empty()).then_some(text)
}

impl<'a> File<'a> {
    fn properties(&mut self, properties: Vec<Property<'a>>, code_page: Option<&'static str>) {
        for Property { tag, value } in properties {
            match tag {
                0x3707 => {
                    let long = short(value.encoded(code_page), NAME); // stands for the 8.3 one
                    self.name = if long.is_empty() { std::mem::take(&mut self.name) } else { long };
                }
                0x3704 | 0x3001 if self.name.is_empty() => {
                    self.name = short(value.encoded(code_page), NAME);
                }
                0x370E => self.media_type = short(value.encoded(code_page), MEDIA_TYPE).to_lowercase(),
                0x3701 => {
                    let Some(data) = value.bytes() else { continue };
                    self.bytes = match value {
                        Value::Object(_) => data.get(16..).unwrap_or_default(), // after the interface's GUID
                        _ => data,
                    };
                }
                _ => {}
            }
        }
    }
}

/// At most so many characters, on one line; no charset takes more than four bytes for one.
fn short(text: Encoded<'_>, most: usize) -> String {
    neutral(&text.decode(4 * most).chars().take(most).collect::<String>())
}

/// The label of a Windows code page.
fn charset_of(code_page: u32) -> Option<&'static str> {
    Some(match code_page {
        437 | 850 | 1252 | 28_591 => "windows-1252",
        874 => "windows-874",
        932 => "shift_jis",
        936 => "gbk",
        949 => "euc-kr",
        950 => "big5",
        1250 => "windows-1250",
        1251 => "windows-1251",
        1253 => "windows-1253",
        1254 => "windows-1254",
        1255 => "windows-1255",
        1256 => "windows-1256",
        1257 => "windows-1257",
        1258 => "windows-1258",
        20_866 => "koi8-r",
        28_592 => "iso-8859-2",
        28_605 => "iso-8859-15",
        50_220..=50_222 => "iso-2022-jp",
        65_001 => "utf-8",
        _ => return None,
    })
}

/// Little-endian numbers and runs of bytes, from the front.
struct Stream<'a>(&'a [u8]);

impl<'a> Stream<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.u32()?).ok()
    }

    /// [MS-OXTNEF] §2.1.3.1: the level, the attribute, the length, the data, the checksum.
    fn attribute(&mut self) -> Option<(u32, &'a [u8])> {
        self.take(1)?;
        let attribute = self.u32()?;
        let length = self.length()?;
        let data = self.take(length)?;
        self.take(2)?;
        Some((attribute, data))
    }
}

#[cfg(test)]
pub(super) mod tests;
