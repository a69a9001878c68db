//! What the marks in front of a subject say: an answer or a forward.

/// The outermost mark of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Reply,
    Forward,
}

const REPLIES: [&str; 10] = ["re", "aw", "res", "resp", "sv", "antw", "vs", "odp", "rif", "回复"];
const FORWARDS: [&str; 12] =
    ["fwd", "fw", "rv", "reenv", "rev", "tr", "wg", "enc", "vb", "doorst", "vs fwd", "转发"];

/// The first mark, after list tags such as `[clientes]`; counted ones such as `Re[2]:` and `RE (3):` too.
pub(super) fn mark(subject: &str) -> Option<Mark> {
    let mut rest = subject.trim_start();
    while let Some((_, after)) = rest.strip_prefix('[').and_then(|tag| tag.split_once(']')) {
        rest = after.trim_start();
    }
    let end = rest.char_indices().take(16).find(|(_, c)| matches!(c, ':' | '：')).map(|(at, _)| at)?;
    let word =
        rest.get(..end)?.trim_end().trim_end_matches(|c: char| c.is_ascii_digit() || "[]() ^".contains(c));
    let word = word.to_lowercase();
    if REPLIES.contains(&word.as_str()) {
        Some(Mark::Reply)
    } else {
        FORWARDS.contains(&word.as_str()).then_some(Mark::Forward)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mark_decides() {
        for subject in
            ["Re: x", "RE:x", "re : x", "Re[2]: x", "RE (3): x", "Aw: x", "[web] Re: Fwd: x", "Re：x"]
        {
            assert_eq!(mark(subject), Some(Mark::Reply), "{subject}");
        }
        for subject in ["Fwd: x", "RV: Re: x", "FW: x", "Rv: x", "WG: x"] {
            assert_eq!(mark(subject), Some(Mark::Forward), "{subject}");
        }
        for subject in ["", "Recordatorio: pago", "Error: 500", "https://x", "Reinicio", "[Re: x", "RE"] {
            assert_eq!(mark(subject), None, "{subject}");
        }
    }
}
