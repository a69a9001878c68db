//! A map from a few of many small numbers.

/// Asked far more often than filled, and by all of them.
#[derive(Debug)]
pub(super) struct Few<T> {
    /// Per number, one more than its place among the entries; 0 when it has none.
    slots: Vec<u32>,
    entries: Vec<(usize, T)>,
}

impl<T> Few<T> {
    /// None of the numbers below `many`.
    pub fn of(many: usize) -> Self {
        Self { slots: vec![0; many], entries: Vec::new() }
    }

    /// The value of a number, made if it has none yet; `None` when there is no such number.
    pub fn value_or(&mut self, number: usize, make: impl FnOnce() -> T) -> Option<&mut T> {
        let slot = self.slots.get_mut(number)?;
        if *slot == 0 {
            self.entries.push((number, make()));
            *slot = u32::try_from(self.entries.len()).ok()?;
        }
        self.entries.get_mut(*slot as usize - 1).map(|(_, value)| value)
    }

    pub fn get(&self, number: usize) -> Option<&T> {
        let place = self.slots.get(number)?.checked_sub(1)?;
        self.entries.get(place as usize).map(|(_, value)| value)
    }

    /// The numbers that have a value, with it, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.entries.iter().map(|(number, value)| (*number, value))
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().map(|(_, value)| value)
    }
}
