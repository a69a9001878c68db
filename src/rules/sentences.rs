//! Which sentences of a text, told cheaply.

/// Sentences of a text, each by its number modulo 64: two sets without a common one share no sentence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sentences(u64);

impl Sentences {
    /// All of them.
    pub const ALL: Self = Self(u64::MAX);

    /// One of them.
    pub fn one(number: usize) -> Self {
        Self(1 << (number % 64))
    }

    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether none is left.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_apart_within_64_sentences_shares_none() {
        let (first, later) = (Sentences::one(0), Sentences::one(63));
        assert!(first.and(later).is_none());
        assert_eq!(first.or(later).and(later), later);
        assert_eq!(Sentences::one(64), first, "beyond 64, some that are apart look alike");
        assert_eq!(Sentences::ALL.and(later), later);
    }
}
