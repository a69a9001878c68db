//! Words one letter of which may be wrong, found without looking at each.

/// Words of seven letters and more, each with a value.
///
/// One typing error leaves the first half of a word or the last one as it is, with a letter between the two to spare
/// for neighbours that are swapped: so only words that share a half are compared.
#[derive(Debug, Default)]
pub(super) struct Nears {
    /// By length, then from the first letter on.
    forward: Vec<(Box<[u8]>, usize)>,
    /// By length, then from the last letter on; each backwards.
    backward: Vec<(Box<[u8]>, usize)>,
}

impl Nears {
    pub fn new(words: impl IntoIterator<Item = (String, usize)>) -> Self {
        let by_length = |words: &mut Vec<(Box<[u8]>, usize)>| {
            words.sort_unstable_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        };
        let forward = words.into_iter().map(|(word, value)| (word.into_bytes().into(), value));
        let mut nears = Self { forward: forward.collect(), backward: Vec::new() };
        let backward =
            nears.forward.iter().map(|(word, value)| (word.iter().rev().copied().collect(), *value));
        nears.backward = backward.collect();
        by_length(&mut nears.forward);
        by_length(&mut nears.backward);
        nears
    }

    /// The values of the words that this one may stand for, each once.
    pub fn look_up(&self, letters: &[u8], mut see: impl FnMut(usize)) {
        if self.forward.is_empty() || letters.len() < SHORTEST {
            return;
        }
        let reversed: Vec<u8> = letters.iter().rev().copied().collect();
        for length in letters.len() - 1..=letters.len() + 1 {
            let half = (length - 1) / 2;
            let start = letters.get(..half).unwrap_or_default();
            let end = reversed.get(..length - half - 1).unwrap_or_default();
            for (word, value) in with_start(&self.forward, length, start) {
                if is_near(word, letters) {
                    see(*value);
                }
            }
            for (word, value) in with_start(&self.backward, length, end) {
                let is_seen = word.iter().rev().take(half).eq(start);
                if !is_seen && is_near(word, &reversed) {
                    see(*value);
                }
            }
        }
    }
}

/// A word of seven letters with one left out.
const SHORTEST: usize = 6;

/// The words of a length that begin so.
fn with_start<'a>(
    words: &'a [(Box<[u8]>, usize)],
    length: usize,
    start: &'a [u8],
) -> impl Iterator<Item = &'a (Box<[u8]>, usize)> {
    let before = |word: &[u8]| (word.len(), word.get(..start.len()).unwrap_or(word)) < (length, start);
    let first = words.partition_point(|(word, _)| before(word));
    words.iter().skip(first).take_while(move |(word, _)| word.len() == length && word.starts_with(start))
}

/// Whether the words are the same but for one letter replaced, left out or put in, or two neighbours swapped.
pub(super) fn is_near(a: &[u8], b: &[u8]) -> bool {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    match (a.get(same..).unwrap_or_default(), b.get(same..).unwrap_or_default()) {
        ([], []) => true,
        ([_, rest @ ..], []) | ([], [_, rest @ ..]) => rest.is_empty(),
        ([x, a @ ..], [y, b @ ..]) => {
            let swapped = || a.first() == Some(y) && b.first() == Some(x) && a.get(1..) == b.get(1..);
            a == b || b.split_first() == Some((x, a)) || a.split_first() == Some((y, b)) || swapped()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_letter_wrong_is_near_and_two_are_not() {
        for near in
            ["servidor", "serbidor", "servidr", "serviidor", "srevidor", "servidors", "ervidor", "servidro"]
        {
            assert!(is_near(b"servidor", near.as_bytes()), "{near}");
        }
        for far in ["serbidr", "servir", "servidores", "", "srveidor", "rsevidro", "idor"] {
            assert!(!is_near(b"servidor", far.as_bytes()), "{far}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn what_is_near_is_found_and_found_once(words in prop::collection::vec("[abc]{7,9}", 0..20), letters in "[abc]{0,10}") {
            let nears = Nears::new(words.iter().cloned().zip(0..));
            let mut found = Vec::new();
            nears.look_up(letters.as_bytes(), |value| found.push(value));
            found.sort_unstable();
            let near = |(_, word): &(usize, &String)| is_near(word.as_bytes(), letters.as_bytes());
            let wanted: Vec<usize> = words.iter().enumerate().filter(near).map(|(value, _)| value).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
