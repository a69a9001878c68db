//! Opens the parts that hide a mail's text and files from programs that do not know them: winmail.dat, and signed S/MIME.

use super::guard;
use super::mime::{self, Bytes, Disposition, Leaf, Structure};
use super::normal::normalise;
use super::{cms, tnef};

/// So many such parts are opened in one mail.
const PARTS: usize = 8;
/// A signed mail within a signed mail is opened this deep.
const DEPTH: usize = 3;

/// The structure of a normalised mail that has passed the guard, what is inside of such parts in their place.
pub(super) fn structure(mail: &[u8], bytes: Bytes) -> Option<Structure> {
    Opener { bytes, left: PARTS, budget: tnef::Budget::default() }.structure(mail, DEPTH)
}

struct Opener {
    bytes: Bytes,
    left: usize,
    budget: tnef::Budget,
}

impl Opener {
    fn structure(&mut self, mail: &[u8], depth: usize) -> Option<Structure> {
        let mut structure = mime::structure(mail, self.bytes)?;
        if !structure.leaves.iter().any(mime::may_be_opened) {
            return Some(structure);
        }
        let has_text = structure.leaves.iter().any(is_text);
        let mut last_said: Option<usize> = None; // how deep the last leaf was that is no blank text
        for mut leaf in std::mem::take(&mut structure.leaves) {
            let is_first = last_said.is_none_or(|nested| nested < leaf.nested);
            if !is_blank(&leaf) {
                last_said = Some(leaf.nested);
            }
            let inside = self.inside(&leaf, has_text, depth);
            if mime::may_be_opened(&leaf) && self.bytes == Bytes::Drop {
                leaf.bytes = Vec::new();
            }
            match inside {
                Some(inside) if is_first || mime::is_tnef(&leaf) => {
                    if leaf.nested == 0 {
                        structure.report_type = structure.report_type.take().or(inside.report_type);
                    }
                    structure.leaves.extend(inside.leaves);
                }
                // a signed mail that hangs on a mail is a file, as any attached mail is
                Some(inside) => {
                    structure.leaves.push(leaf);
                    structure.leaves.extend(one_deeper(inside.leaves));
                }
                None => structure.leaves.push(leaf),
            }
        }
        Some(structure)
    }

    /// What a part holds; `None` when it is an ordinary one or cannot be opened.
    fn inside(&mut self, leaf: &Leaf, has_text: bool, depth: usize) -> Option<Structure> {
        if !mime::may_be_opened(leaf) || self.left == 0 {
            return None;
        }
        self.left -= 1;
        let mut inside = if mime::is_tnef(leaf) {
            let contents = tnef::read(&leaf.bytes, &mut self.budget)?;
            let leaves = self.tnef_leaves(contents, has_text);
            (!leaves.is_empty()).then_some(Structure { leaves, report_type: None })?
        } else {
            let content = cms::signed_content(&leaf.bytes)?;
            let mail = normalise(&content);
            guard::check(&mail).ok()?;
            self.structure(&mail, depth.checked_sub(1)?)?
        };
        for within in &mut inside.leaves {
            within.nested += leaf.nested;
            within.aside |= leaf.aside && !mime::is_tnef(leaf);
        }
        Some(inside)
    }

    /// The text, where the mail has no other, and the files. An attached mail is a file, and its text the mail's.
    fn tnef_leaves(&self, contents: tnef::Contents<'_>, has_text: bool) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        if !has_text {
            leaves.extend(contents.text.map(text_leaf));
        }
        for file in contents.files {
            let nested = file.mail.map(|mail| self.tnef_leaves(*mail, false)).unwrap_or_default();
            leaves.push(Leaf {
                media_type: file.media_type,
                name: file.name,
                size: file.bytes.len() as u64,
                disposition: Disposition::Attachment,
                bytes: if self.bytes == Bytes::Keep { file.bytes.to_vec() } else { Vec::new() },
                ..Leaf::default()
            });
            leaves.extend(one_deeper(nested));
        }
        leaves
    }
}

/// The leaves of an attached mail, as leaves of the mail that it is attached to.
fn one_deeper(leaves: Vec<Leaf>) -> impl Iterator<Item = Leaf> {
    leaves.into_iter().map(|leaf| Leaf { nested: leaf.nested + 1, ..leaf })
}

fn text_leaf(text: tnef::Text) -> Leaf {
    let (media_type, text) = match text {
        tnef::Text::Plain(text) => ("text/plain", text),
        tnef::Text::Html(text) => ("text/html", text),
    };
    Leaf { media_type: media_type.to_owned(), size: text.len() as u64, text: Some(text), ..Leaf::default() }
}

fn is_text(leaf: &Leaf) -> bool {
    leaf.nested == 0 && could_be_text(leaf) && !is_blank(leaf)
}

fn could_be_text(leaf: &Leaf) -> bool {
    matches!(leaf.media_type.as_str(), "text/plain" | "text/html")
        && leaf.disposition != Disposition::Attachment
}

/// A text that says nothing.
fn is_blank(leaf: &Leaf) -> bool {
    could_be_text(leaf) && leaf.text.as_deref().is_none_or(|text| text.trim().is_empty())
}

#[cfg(test)]
mod tests;
