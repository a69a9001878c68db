//! Which parts are the text, and the text of each as its reader would see it.

use super::Attachment;
use super::header::is_unwanted;
use super::html;
use super::mime::{DelSp, Disposition, Leaf};
use super::wrapped::{Unwrapped, Wrapped, unwrap};

/// The readable text of a mail, and what hangs on it.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// The mail's own text.
    pub text: String,
    /// The text of mails attached to it, unless they are what a report returns.
    pub forwarded: String,
    /// Everything that is offered as a file.
    pub attachments: Vec<Attachment>,
    /// Where each of them is.
    pub attached: Vec<Place>,
    /// Some of it is encrypted.
    pub encrypted: bool,
    /// The METHOD of the first calendar part.
    pub calendar_method: Option<String>,
    /// Some text had a wrong charset label, or none.
    pub mislabelled: bool,
}

/// Where the bytes of an attachment are.
#[derive(Debug)]
pub(super) enum Place {
    /// They are this leaf's.
    Leaf(usize),
    /// They were uuencoded within a text.
    Text(Vec<u8>),
}

/// Picks the text and the attachments among the leaves. In a report only the first text speaks: the rest is what it
/// returns.
pub(super) fn read(leaves: &[Leaf], is_report: bool) -> Body {
    let mut body = Body::default();
    let has_text = leaves.iter().any(|leaf| leaf.nested == 0 && is_body(leaf));
    let fallback = if has_text { None } else { leaves.iter().position(could_be_body) };
    for (index, leaf) in leaves.iter().enumerate() {
        let shown = is_body(leaf) || Some(index) == fallback;
        match (leaf.nested, shown) {
            (0, true) if is_report && !body.text.is_empty() => {}
            (0, true) => {
                let unwrapped = add(&mut body.text, leaf);
                body.mislabelled |= leaf.mislabelled;
                body.encrypted |= unwrapped.encrypted;
                for (name, bytes) in unwrapped.files {
                    let media_type = "application/octet-stream".to_owned();
                    let size = bytes.len() as u64;
                    body.attachments.push(Attachment { name, media_type, size, inline: false });
                    body.attached.push(Place::Text(bytes));
                }
            }
            (0, false) => {
                if body.calendar_method.is_none() {
                    body.calendar_method = calendar_method(leaf);
                }
                if let Some(attachment) = attachment(leaf) {
                    body.attachments.push(attachment);
                    body.attached.push(Place::Leaf(index));
                    let is_open = leaves.get(index + 1).is_some_and(|inside| inside.nested > leaf.nested);
                    body.encrypted |= !is_open && is_encrypted(leaf);
                }
            }
            (_, true) if !is_report => body.encrypted |= add(&mut body.forwarded, leaf).encrypted,
            _ => {}
        }
    }
    body
}

/// A part that is shown as text.
fn is_body(leaf: &Leaf) -> bool {
    matches!(leaf.media_type.as_str(), "text/plain" | "text/html")
        && leaf.disposition != Disposition::Attachment
        && leaf.name.is_empty()
        && !leaf.aside
}

/// Where no part is a body by the rules, the first text is: such as the only, unclosed part of a multipart.
fn could_be_body(leaf: &Leaf) -> bool {
    leaf.nested == 0
        && leaf.disposition != Disposition::Attachment
        && (leaf.media_type.starts_with("text/") || leaf.media_type.starts_with("multipart/"))
        && leaf.media_type != "text/calendar"
        && leaf.text.as_deref().is_some_and(|text| !text.trim().is_empty())
}

/// Adds a leaf's text; what was wrapped in it comes back.
fn add(text: &mut String, leaf: &Leaf) -> Wrapped {
    let Some(part) = leaf.text.as_deref() else { return Wrapped::default() };
    let part = if leaf.media_type == "text/html" {
        html::to_text(part)
    } else {
        match leaf.flowed {
            Some(delsp) => unflow(part, delsp),
            None => plain(part),
        }
    };
    let Unwrapped { text: part, wrapped } = unwrap(&part);
    let part = part.trim_matches(['\n', ' ']);
    if !(text.is_empty() || part.is_empty()) {
        text.push_str("\n\n");
    }
    text.push_str(part);
    wrapped
}

/// RFC 3156 §4, RFC 8551 §3.2.2: text that only its addressee's key opens. What is only signed was opened before
/// (`opened.rs`), but for what is broken.
fn is_encrypted(leaf: &Leaf) -> bool {
    matches!(
        leaf.media_type.as_str(),
        "application/pgp-encrypted" | "application/pkcs7-mime" | "application/x-pkcs7-mime"
    )
}

/// LF line ends, without trailing blanks (but a signature's `-- `) and without characters that change how the rest
/// reads.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split('\n') {
        push_line(&mut out, line.trim_end_matches('\r'));
        out.push('\n');
    }
    out
}

fn push_line(out: &mut String, line: &str) {
    let line = if line == "-- " { line } else { line.trim_end() };
    if line.is_ascii() && !line.bytes().any(|byte| byte.is_ascii_control()) {
        out.push_str(line);
    } else {
        out.extend(line.chars().filter(|&c| !is_unwanted(c)).map(|c| if c == '\u{A0}' { ' ' } else { c }));
    }
}

/// RFC 3676 §4: a line that ends in a blank goes on in the next, at the same depth of quoting; one blank stuffed in
/// front of a line comes off.
fn unflow(text: &str, delsp: DelSp) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open: Option<usize> = None; // the depth of the paragraph that goes on
    for line in text.split('\n') {
        let line = line.trim_end_matches('\r');
        let unquoted = line.trim_start_matches('>');
        let depth = line.len() - unquoted.len();
        let content = unquoted.strip_prefix(' ').unwrap_or(unquoted);
        let signature = content == "-- ";
        if open != Some(depth) || signature {
            if open.is_some() {
                out.push('\n');
            }
            out.extend(std::iter::repeat_n('>', depth));
            if depth > 0 && !content.is_empty() {
                out.push(' ');
            }
        }
        match content.strip_suffix(' ') {
            Some(cut) if !signature => {
                push_flowing(&mut out, if delsp == DelSp::Yes { cut } else { content });
                open = Some(depth);
            }
            _ => {
                push_line(&mut out, content);
                out.push('\n');
                open = None;
            }
        }
    }
    out
}

fn push_flowing(out: &mut String, text: &str) {
    out.extend(text.chars().filter(|&c| !is_unwanted(c)).map(|c| if c == '\u{A0}' { ' ' } else { c }));
}

fn attachment(leaf: &Leaf) -> Option<Attachment> {
    let is_text = matches!(leaf.media_type.as_str(), "text/plain" | "text/html");
    let is_other_form = leaf.aside && is_text && leaf.disposition != Disposition::Attachment;
    let is_empty = leaf.size == 0 && leaf.name.is_empty() && leaf.disposition != Disposition::Attachment;
    if is_other_form || is_empty || leaf.media_type.starts_with("multipart/") {
        return None;
    }
    Some(Attachment {
        name: leaf.name.clone(),
        media_type: leaf.media_type.clone(),
        size: leaf.size,
        inline: leaf.disposition == Disposition::Inline
            || leaf.aside && leaf.disposition == Disposition::Unsaid,
    })
}

/// RFC 5546 §1.4, from the Content-Type or, where that is silent, from the calendar itself.
fn calendar_method(leaf: &Leaf) -> Option<String> {
    if !matches!(leaf.media_type.as_str(), "text/calendar" | "application/ics") {
        return None;
    }
    leaf.method.clone().or_else(|| {
        let lines = leaf.text.as_deref()?.lines().take(50);
        let method = lines.filter_map(|line| line.strip_prefix("METHOD:")).next()?;
        Some(method.trim().to_ascii_uppercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flowed_text_is_joined_within_its_depth() {
        assert_eq!(
            unflow("uno \r\ndos\r\n> a \r\n> b\r\n  tres\r\n", DelSp::No),
            "uno dos\n> a b\n tres\n\n"
        );
        assert_eq!(unflow("uno \ndos \n> cita\n", DelSp::No), "uno dos \n> cita\n\n");
        assert_eq!(unflow("cai \nda", DelSp::Yes), "caida\n");
        assert_eq!(unflow("hola \n-- \nAna", DelSp::No), "hola \n-- \nAna\n");
    }

    #[test]
    fn plain_text_loses_controls_and_trailing_blanks() {
        assert_eq!(plain("a  \r\n-- \r\nb\0\u{202E}\u{A0}c"), "a\n-- \nb c\n");
    }
}
