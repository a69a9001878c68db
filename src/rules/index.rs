//! Tells in one pass over a text which phrases can be in it, and where they can begin.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use aho_corasick::AhoCorasick;

use super::phrase::{Element, Part, Unit, ambiguous_stem};
use super::text;

/// A literal that a part needs, with its separator in front.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    literal: String,
    /// Whether a word ends where it ends.
    whole: bool,
}

/// One of these keys must be seen.
type KeyGroup = BTreeSet<Key>;

/// A group of keys that a part waits for.
pub(super) type GroupId = usize;

/// Where the keys of a group must be for a part to match.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// The part cannot be in a text without a key of each of these.
    pub groups: Vec<GroupId>,
    /// The part begins where a key of this group does; `None` when it may begin anywhere.
    pub start: Option<GroupId>,
}

/// Collects the keys of all parts.
#[derive(Debug, Default)]
pub(super) struct IndexBuilder {
    groups: BTreeMap<KeyGroup, GroupId>,
}

impl IndexBuilder {
    /// What a part needs.
    pub fn needs(&mut self, part: &Part) -> Needs {
        let Part::Words(elements) = part else { return Needs::default() };
        let mut needs = Needs::default();
        for (place, element) in elements.iter().enumerate() {
            let Element::OneOf { alternatives, optional: false } = element else { continue };
            let keys: Option<Vec<Vec<Key>>> = alternatives.iter().map(|units| keys(units)).collect();
            let Some(keys) = keys else { continue };
            let next = self.groups.len();
            let group = *self.groups.entry(keys.into_iter().flatten().collect()).or_insert(next);
            needs.groups.push(group);
            if place == 0 {
                needs.start = Some(group);
            }
        }
        needs
    }

    /// The index over all of them.
    pub fn build(self) -> Index {
        let mut by_key: BTreeMap<&Key, Vec<GroupId>> = BTreeMap::new();
        for (group, id) in &self.groups {
            group.iter().for_each(|key| by_key.entry(key).or_default().push(*id));
        }
        let automaton = AhoCorasick::new(by_key.keys().map(|key| &key.literal)).ok();
        let keys = by_key.into_iter().map(|(key, groups)| (key.whole, groups)).collect();
        Index { automaton, keys, groups: self.groups.len() }
    }
}

/// The literals one of which an alternative needs; `None` when no literal is needed.
fn keys(units: &[Unit]) -> Option<Vec<Key>> {
    let mut literal = String::new();
    for unit in units {
        match unit {
            Unit::Exact(words) => literal.push_str(words),
            Unit::Stem(words) => {
                let key = |separator: char, (before, stem): (&str, &str)| Key {
                    literal: format!("{literal}{before}{separator}{stem}"),
                    whole: false,
                };
                return Some(match ambiguous_stem(words) {
                    Some(stem) => vec![key(text::WORD, stem), key(text::NEGATOR, stem)],
                    None => vec![Key { literal: literal + words, whole: false }],
                });
            }
            Unit::Token(kinds) if literal.is_empty() => {
                return Some(
                    kinds.iter().map(|kind| Key { literal: kind.to_string(), whole: false }).collect(),
                );
            }
            Unit::Near(_) if literal.is_empty() => return None,
            Unit::Token(_) | Unit::Near(_) => break,
        }
    }
    Some(vec![Key { literal, whole: true }])
}

/// Places of one key beyond this many are not looked at: who says *servidor* a thousand times says nothing new
/// the next time.
const MAX_PLACES: usize = 1000;

/// The keys of all parts as one automaton.
#[derive(Debug)]
pub(super) struct Index {
    automaton: Option<AhoCorasick>,
    /// Per pattern: whether it is a whole word, and the groups it belongs to.
    keys: Vec<(bool, Vec<GroupId>)>,
    groups: usize,
}

/// Where in a folded text the keys of each group begin.
#[derive(Debug)]
pub(super) struct Hits {
    /// Byte offsets, group after group, in order within a group.
    places: Vec<usize>,
    /// Where in `places` each group begins, and at last their end.
    bounds: Vec<usize>,
}

impl Hits {
    /// Where keys of the group begin.
    pub fn of(&self, group: GroupId) -> &[usize] {
        let bounds = self.bounds.get(group).zip(self.bounds.get(group + 1));
        bounds.and_then(|(from, to)| self.places.get(*from..*to)).unwrap_or_default()
    }

    /// Whether every group has a key in this range of the text.
    pub fn satisfy(&self, needs: &Needs, within: &Range<usize>) -> bool {
        needs.groups.iter().all(|group| {
            let places = self.of(*group);
            places
                .get(places.partition_point(|place| *place < within.start))
                .is_some_and(|at| *at < within.end)
        })
    }
}

impl Index {
    /// Looks for all keys at once.
    pub fn scan(&self, folded: &str) -> Hits {
        let mut found: Vec<(GroupId, usize)> = Vec::new();
        let mut counts = vec![0; self.keys.len()];
        for key in self.automaton.iter().flat_map(|automaton| automaton.find_overlapping_iter(folded)) {
            let id = key.pattern().as_usize();
            let Some(((whole, groups), count)) = self.keys.get(id).zip(counts.get_mut(id)) else { continue };
            let ends_word = || folded.as_bytes().get(key.end()).is_none_or(|next| text::is_separator(*next));
            if *count < MAX_PLACES && (!whole || ends_word()) {
                *count += 1;
                found.extend(groups.iter().map(|group| (*group, key.start())));
            }
        }
        found.sort_unstable();
        found.dedup();
        let mut bounds = Vec::with_capacity(self.groups + 1);
        for (place, (group, _)) in found.iter().enumerate() {
            bounds.resize(bounds.len().max(group + 1), place);
        }
        bounds.resize(self.groups + 1, found.len());
        Hits { places: found.into_iter().map(|(_, place)| place).collect(), bounds }
    }
}
