//! Who beats whom: names resolved, and the rules in an order in which each comes before those that it beats.

use std::collections::{BTreeMap, BTreeSet};

use super::{Compiler, Draft, origin};

impl Compiler<'_> {
    /// Resolves `beats` over all rules, then leaves the disabled ones out.
    pub(super) fn without<'a>(
        &mut self,
        drafts: Vec<Draft<'a>>,
        disabled: &[(String, usize)],
    ) -> Vec<Draft<'a>> {
        for draft in &drafts {
            for name in &draft.written.beats {
                if !drafts.iter().any(|other| other.rule.id == *name.get_ref()) {
                    self.unknown_rule(draft.source, name, &drafts);
                }
            }
        }
        let mut kept: Vec<Draft<'a>> =
            drafts.into_iter().filter(|draft| disabled.iter().all(|(id, _)| *id != draft.rule.id)).collect();
        let places: BTreeMap<String, usize> =
            kept.iter().enumerate().map(|(place, draft)| (draft.rule.id.clone(), place)).collect();
        for draft in &mut kept {
            let beaten =
                draft.written.beats.iter().filter_map(|name| {
                    Some((places.get(name.get_ref()).copied()?, origin(draft.source, name)))
                });
            (draft.rule.beats, draft.rule.beats_at) = beaten.unzip();
        }
        kept
    }

    /// Ranks the rules so that each comes before those it beats; of several orders, the files' own.
    pub(super) fn rank(&mut self, drafts: &mut [Draft<'_>]) {
        let mut victors = vec![0_usize; drafts.len()];
        let beaten = drafts.iter().flat_map(|draft| &draft.rule.beats);
        beaten.for_each(|place| victors.get_mut(*place).into_iter().for_each(|count| *count += 1));
        let unbeaten = victors.iter().enumerate().filter(|(_, count)| **count == 0);
        let mut free: BTreeSet<usize> = unbeaten.map(|(place, _)| place).collect();
        let mut left: BTreeSet<usize> = (0..drafts.len()).collect();
        while let Some(place) = free.pop_first() {
            let rank = drafts.len() - left.len();
            left.remove(&place);
            let Some(Draft { rule, .. }) = drafts.get_mut(place) else { continue };
            rule.rank = rank;
            for beaten in &rule.beats {
                let Some(count) = victors.get_mut(*beaten) else { continue };
                *count -= 1;
                if *count == 0 {
                    free.insert(*beaten);
                }
            }
        }
        if !left.is_empty() {
            self.cycle(drafts, &left);
        }
    }

    /// Reports a cycle among rules of which each is beaten by another: walking from victor to victor finds one.
    fn cycle(&mut self, drafts: &[Draft<'_>], left: &BTreeSet<usize>) {
        let victor = |rule: usize| {
            left.iter()
                .copied()
                .find(|other| drafts.get(*other).is_some_and(|draft| draft.rule.beats.contains(&rule)))
        };
        let mut walk: Vec<usize> = left.first().copied().into_iter().collect();
        while let Some(next) = walk.last().and_then(|last| victor(*last)) {
            if let Some(start) = walk.iter().position(|rule| *rule == next) {
                walk.drain(..start);
                break;
            }
            walk.push(next);
        }
        walk.reverse();
        // Begin where the files begin, so that the message does not depend on the walk.
        let first = walk.iter().enumerate().min_by_key(|(_, rule)| **rule).map_or(0, |(place, _)| place);
        walk.rotate_left(first);
        let Some(draft) = walk.first().and_then(|rule| drafts.get(*rule)) else { return };
        let names: Vec<String> = walk
            .iter()
            .chain(walk.first())
            .filter_map(|rule| drafts.get(*rule).map(|draft| format!("`{}`", draft.rule.id)))
            .collect();
        let message = format!("rules beat each other in a circle: {}", names.join(" beats "));
        let place = walk
            .get(1)
            .or(walk.first())
            .and_then(|next| drafts.get(*next))
            .and_then(|next| draft.written.beats.iter().find(|name| *name.get_ref() == next.rule.id));
        self.refuse(draft.source, place.unwrap_or(&draft.written.id), message, "remove one of these `beats`");
    }
}
