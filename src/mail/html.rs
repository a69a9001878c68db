//! HTML → readable text on a tokenizer: linear, never rendered anywhere (docs/mail.md).

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{StartTag, Token, Tokenizer};

use super::header::is_unwanted;

/// Quotes within quotes are marked this deep at most, which keeps the text linear in the HTML.
const QUOTE_DEPTH: usize = 4;

/// The text a reader would see: a line per block, `- ` before list items, `> ` before quoted lines.
pub(super) fn to_text(html: &str) -> String {
    let text = convert(html, true);
    // An element that hides itself and is never closed would take the whole mail with it.
    if text.trim().is_empty() { convert(html, false) } else { text }
}

fn convert(html: &str, hiding: bool) -> String {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true); // <script>, <style>, <title>: what is inside is no markup
    let mut page = Page { out: String::with_capacity(html.len() / 2), hiding, ..Page::default() };
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => page.open(&tag),
            Token::EndTag(tag) => page.close(&tag.name),
            Token::String(text) => page.text(&String::from_utf8_lossy(&text)),
            _ => {}
        }
    }
    page.out
}

#[derive(Default)]
struct Page {
    out: String,
    hiding: bool,
    /// Line breaks due before the next character.
    breaks: usize,
    /// A blank is due before the next character.
    blank: bool,
    pre: usize,
    quotes: usize,
    /// Which open `<blockquote>`s are quotes rather than indentation.
    blockquotes: Vec<bool>,
    /// The element whose content is not shown, and how many of its name are open within it.
    hidden: Option<(Vec<u8>, usize)>,
}

impl Page {
    fn open(&mut self, tag: &StartTag<()>) {
        let name = tag.name.as_slice();
        if let Some((hidden, depth)) = &mut self.hidden {
            *depth += usize::from(hidden == name && !tag.self_closing);
            return;
        }
        if is_invisible(name) || self.hiding && hides_itself(tag) && !is_void(name) {
            self.hidden = Some((name.to_vec(), 1));
            return;
        }
        match name {
            b"br" => {
                self.breaks += 1;
            }
            b"blockquote" => {
                // Mail programs indent with a borderless blockquote, and quote with any other.
                let quote = !style(tag).contains("border:none") && !style(tag).contains("border: none");
                self.block(1);
                self.blockquotes.push(quote);
                self.quotes += usize::from(quote);
            }
            b"li" => {
                self.block(1);
                self.write("- ");
                self.blank = false;
            }
            b"pre" => {
                self.block(1);
                self.pre += 1;
            }
            b"td" | b"th" => self.blank = true,
            b"p" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"hr" | b"table" => self.block(2),
            _ if is_block(name) => self.block(1),
            _ => {}
        }
    }

    fn close(&mut self, name: &[u8]) {
        if let Some((hidden, depth)) = &mut self.hidden {
            *depth -= usize::from(hidden == name);
            if *depth == 0 {
                self.hidden = None;
            }
            return;
        }
        match name {
            b"blockquote" => {
                self.block(1);
                self.quotes -= usize::from(self.blockquotes.pop().unwrap_or(false));
            }
            b"pre" => {
                self.block(1);
                self.pre = self.pre.saturating_sub(1);
            }
            b"p" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"table" => self.block(2),
            _ if is_block(name) => self.block(1),
            _ => {}
        }
    }

    /// The next character begins a line; after `breaks` of two, with a blank line before it.
    fn block(&mut self, breaks: usize) {
        self.breaks = self.breaks.max(breaks);
        self.blank = false;
    }

    fn text(&mut self, text: &str) {
        if self.hidden.is_some() {
            return;
        }
        if self.pre > 0 {
            let mut lines = text.split('\n');
            self.write(lines.next().unwrap_or_default());
            for line in lines {
                self.breaks += 1;
                self.write(line.trim_end_matches('\r'));
            }
            return;
        }
        self.blank |= text.starts_with(is_blank);
        for word in text.split(is_blank).filter(|word| !word.is_empty()) {
            self.write(word);
            self.blank = true;
        }
        self.blank = text.ends_with(is_blank) || text.is_empty() && self.blank;
    }

    fn write(&mut self, word: &str) {
        if word.is_empty() || word.chars().all(is_unwanted) {
            return;
        }
        if self.out.is_empty() {
            self.mark();
        } else if self.breaks > 0 {
            for _ in 1..self.breaks.min(2) {
                self.out.push('\n');
                if self.quotes > 0 {
                    self.mark();
                    self.out.truncate(self.out.trim_end_matches(' ').len());
                }
            }
            self.out.push('\n');
            self.mark();
        } else if self.blank && !self.out.ends_with(' ') {
            self.out.push(' ');
        }
        self.breaks = 0;
        self.blank = false;
        self.out.extend(word.chars().filter(|&c| !is_unwanted(c)));
    }

    fn mark(&mut self) {
        for _ in 0..self.quotes.min(QUOTE_DEPTH) {
            self.out.push_str("> ");
        }
    }
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() // the no-break space included: mail programs indent with it
}

fn is_invisible(name: &[u8]) -> bool {
    matches!(name, b"script" | b"style" | b"head" | b"title" | b"template" | b"noscript" | b"object" | b"svg")
}

fn is_void(name: &[u8]) -> bool {
    matches!(name, b"br" | b"hr" | b"img" | b"input" | b"meta" | b"link" | b"wbr" | b"col" | b"area")
}

fn is_block(name: &[u8]) -> bool {
    matches!(
        name,
        b"div"
            | b"tr"
            | b"ul"
            | b"ol"
            | b"dl"
            | b"dt"
            | b"dd"
            | b"section"
            | b"article"
            | b"header"
            | b"footer"
            | b"center"
            | b"form"
            | b"fieldset"
            | b"address"
            | b"body"
            | b"main"
            | b"nav"
            | b"tbody"
            | b"caption"
    )
}

fn style(tag: &StartTag<()>) -> String {
    let style =
        tag.attributes.get(&b"style"[..]).map(|style| String::from_utf8_lossy(style).to_ascii_lowercase());
    style.unwrap_or_default()
}

/// Text that only machines read, such as the preview line of newsletters.
fn hides_itself(tag: &StartTag<()>) -> bool {
    if tag.attributes.is_empty() {
        return false;
    }
    let style = style(tag);
    tag.attributes.contains_key(&b"hidden"[..])
        || style.split(';').any(|rule| {
            let Some((key, value)) = rule.split_once(':') else { return false };
            matches!(
                (key.trim(), value.trim().trim_end_matches("!important").trim()),
                ("display", "none") | ("mso-hide", "all")
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_lines_and_blanks_collapse() {
        assert_eq!(
            to_text("<p>Hola,</p>\n<p>mi  <b>página</b>\nno carga.</p>"),
            "Hola,\n\nmi página no carga."
        );
        assert_eq!(
            to_text("uno<br>dos<br/><br>tres<div>cuatro</div>cinco"),
            "uno\ndos\n\ntres\ncuatro\ncinco"
        );
        assert_eq!(to_text("<ul><li>a<li>b</ul>"), "- a\n- b");
        assert_eq!(to_text("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>"), "a b\nc");
        assert_eq!(to_text("a<b>b</b>c &amp; d&nbsp;e &eacute;"), "abc & d e é");
        assert_eq!(to_text("<pre>x\n  y</pre>z"), "x\n  y\nz");
    }

    #[test]
    fn what_nobody_sees_is_left_out() {
        let page = "<html><head><title>t</title><style>p{}</style></head><body><script>alert('<p>')</script>\
                    <div style=\"Display: none !important\">vista <div>previa</div></div>hola<img alt=x></body>";
        assert_eq!(to_text(page), "hola");
        assert_eq!(to_text("pa\u{200B}go\u{202E}s"), "pagos");
        assert_eq!(to_text("<div style=\"display:none\">never closed"), "never closed");
    }

    #[test]
    fn quotes_are_marked_and_indentation_is_not() {
        assert_eq!(
            to_text("<div>sí</div><blockquote type=cite>uno<blockquote>dos</blockquote></blockquote>tres"),
            "sí\n> uno\n> > dos\ntres"
        );
        assert_eq!(to_text("<blockquote style=\"margin:0;border:none\">mío</blockquote>"), "mío");
        assert_eq!(to_text("</blockquote>x</pre>"), "x");
    }

    #[test]
    fn hostile_nesting_is_linear() {
        let page =
            format!("{}x{}y", "<blockquote><div>".repeat(50_000), "</div></blockquote>".repeat(50_000));
        assert!(to_text(&page).len() < 100);
        let wide = "<blockquote>a<br>".repeat(50_000);
        assert!(to_text(&wide).len() < wide.len());
    }
}
