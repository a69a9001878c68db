//! Answers about a few of many things, each worked out when it is first asked for.

use std::cell::OnceCell;

/// What is known of the things that a text may have; of all others, that it has them nowhere.
#[derive(Debug)]
pub(super) struct Asked<T> {
    /// In order, each once.
    keys: Vec<usize>,
    /// Per key.
    answers: Vec<OnceCell<Box<[T]>>>,
}

impl<T> Asked<T> {
    /// Nothing is known yet of these.
    pub fn new(mut keys: Vec<usize>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        let answers = keys.iter().map(|_| OnceCell::new()).collect();
        Self { keys, answers }
    }

    /// What the text may have, in order.
    pub fn keys(&self) -> &[usize] {
        &self.keys
    }

    /// Whether the text may have it, as far as is known without working it out.
    pub fn may_have(&self, key: usize) -> bool {
        self.cell(key).is_some_and(|cell| cell.get().is_none_or(|places| !places.is_empty()))
    }

    /// Where the text has it, worked out now if need be.
    pub fn get(&self, key: usize, work_out: impl FnOnce() -> Box<[T]>) -> &[T] {
        self.cell(key).map(|cell| &**cell.get_or_init(work_out)).unwrap_or_default()
    }

    fn cell(&self, key: usize) -> Option<&OnceCell<Box<[T]>>> {
        self.answers.get(self.keys.binary_search(&key).ok()?)
    }
}
