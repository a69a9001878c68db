//! The words that negate, and those that may stand between one and what it negates.

/// Whether a folded word negates.
pub(super) fn negates(word: &str) -> bool {
    NEGATORS.binary_search(&word).is_ok()
}

/// Whether some negator begins so.
pub(super) fn begins_a_negator(stem: &str) -> bool {
    NEGATORS.iter().any(|negator| negator.starts_with(stem))
}

/// Whether a negator reaches over this folded word to the next.
pub(super) fn is_transparent(word: &str) -> bool {
    TRANSPARENT.binary_search(&word).is_ok()
}

/// Words that negate, folded and sorted.
#[rustfmt::skip]
const NEGATORS: &[&str] = &[
    "aint", "arent", "cannot", "cant", "couldnt", "didnt", "doesnt", "dont", "hadnt", "hasnt", "havent",
    "isnt", "jamas", "mustnt", "neednt", "neither", "never", "ni", "ningun", "ninguna", "ninguno", "no",
    "nor", "not", "nunca", "shouldnt", "sin", "tampoco", "wasnt", "werent", "without", "wont", "wouldnt",
];

/// What may stand between a negator and what it negates, folded and sorted: *ser* and *estar*, *hay*, *to be*,
/// articles, possessives, demonstratives. *Ha*, *sido*, *has* and *been* are missing on purpose: "hasn't been
/// activated" and "no ha sido activado" ask for the activation.
#[rustfmt::skip]
const TRANSPARENT: &[&str] = &[
    "a", "am", "an", "any", "are", "be", "being", "el", "era", "eran", "es", "esa", "esas", "ese", "eso",
    "esos", "esta", "estaba", "estaban", "estan", "estas", "este", "esto", "estos", "estuvo", "fue",
    "fueron", "habia", "hay", "her", "his", "hubo", "is", "its", "la", "las", "lo", "los", "m", "mi", "mis",
    "my", "nuestra", "nuestras", "nuestro", "nuestros", "our", "parece", "parecia", "re", "s", "sea",
    "seems", "sera", "seria", "son", "su", "sus", "that", "the", "their", "this", "tu", "tus", "un", "una",
    "unas", "unos", "was", "were", "your",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_for_binary_search() {
        assert!(NEGATORS.is_sorted() && TRANSPARENT.is_sorted());
    }
}
