//! The blocks of a text that fills another's: one that the other has not would never be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::{INSIDE, regex};
use crate::problem::{Problem, Source, did_you_mean};

/// `block opening`, `endblock`, or `extends "es/_frame.txt"`.
static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"^[-+\s]*(?:block\s+(?P<block>\w+)|(?P<end>endblock)|extends\s+["'](?P<parent>[^"']+)["'])"#)
});

/// What a text says of blocks.
#[derive(Default)]
struct Outline<'a> {
    /// What it extends.
    parent: Option<&'a str>,
    /// Every block, with its place.
    all: BTreeMap<&'a str, Range<usize>>,
    /// Those that stand in no other.
    outermost: BTreeSet<&'a str>,
}

impl<'a> Outline<'a> {
    fn of(text: &'a str) -> Self {
        let mut outline = Self::default();
        let mut depth = 0_usize;
        for statement in INSIDE.captures_iter(text).filter_map(|inside| inside.name("statement")) {
            let Some(found) = STATEMENT.captures(statement.as_str()) else { continue };
            if let Some(name) = found.name("block") {
                let at = statement.start() + name.start()..statement.start() + name.end();
                outline.all.insert(name.as_str(), at);
                if depth == 0 {
                    outline.outermost.insert(name.as_str());
                }
                depth += 1;
            } else if found.name("end").is_some() {
                depth = depth.saturating_sub(1);
            } else if let Some(parent) = found.name("parent") {
                outline.parent = Some(parent.as_str());
            }
        }
        outline
    }
}

/// The outermost blocks of a text that nothing it extends has: what stands in them is dropped without a word.
pub(super) fn unknown(source: &Arc<Source>, sources: &BTreeMap<&str, &Arc<Source>>) -> Vec<Problem> {
    let own = Outline::of(&source.text);
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let mut parent = own.parent;
    let mut seen = BTreeSet::new();
    while let Some(text) = parent.filter(|name| seen.insert(*name)).and_then(|name| sources.get(name)) {
        let outline = Outline::of(&text.text);
        known.extend(outline.all.keys());
        parent = outline.parent;
    }
    if seen.is_empty() || known.is_empty() {
        return Vec::new(); // it stands alone, or what it extends is not there, which is told elsewhere
    }
    let unknown = own.outermost.iter().filter(|name| !known.contains(*name));
    unknown
        .map(|name| {
            let blocks = Vec::from_iter(known.iter().copied()).join(", ");
            let near = did_you_mean(name, known.iter().copied()).map(|near| near + " ").unwrap_or_default();
            // the shipped text is right: an operator's frame leaves out what it says
            let is_shipped = source.name.starts_with("rules/replies/");
            let problem = if is_shipped { Problem::warning } else { Problem::error };
            let message = format!("the text that this one extends has no block `{name}`");
            problem(source, own.all.get(name).cloned(), message)
                .with_hint(format!("{near}its blocks are {blocks}"))
        })
        .collect()
}
