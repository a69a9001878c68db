//! Spanish or English, by the small words that every sentence has; Spanish when in doubt.

use crate::ticket::Language;

/// Later words do not change the answer, only its price.
const WORDS_READ: usize = 300;
/// Nor does reading on once one language leads by so much.
const CLEAR_LEAD: usize = 15;

const SPANISH: &[&str] = &[
    "a", "al", "ayuda", "buenas", "buenos", "como", "con", "cordial", "correo", "cuando", "de", "del",
    "desde", "días", "el", "ella", "en", "es", "esta", "estamos", "este", "está", "están", "favor",
    "gracias", "ha", "hola", "la", "las", "le", "les", "lo", "los", "me", "mi", "muy", "más", "necesito",
    "nos", "nuestra", "nuestro", "o", "para", "pero", "por", "porque", "página", "que", "qué", "saludos",
    "se", "ser", "si", "sin", "sobre", "su", "también", "tenemos", "tengo", "un", "una", "y",
];

const ENGLISH: &[&str] = &[
    "all", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "cannot", "could",
    "dear", "do", "does", "down", "for", "from", "get", "had", "has", "have", "hello", "help", "hi", "how",
    "i", "if", "in", "is", "it", "its", "just", "my", "need", "not", "of", "on", "or", "our", "please",
    "regards", "since", "thank", "thanks", "that", "the", "there", "they", "this", "to", "us", "was", "we",
    "website", "were", "what", "when", "which", "will", "with", "working", "would", "you", "your", "yours",
];

/// The language of a text.
pub(super) fn of(subject: &str, own_text: &str) -> Language {
    let (mut spanish, mut english) = (0_usize, 0_usize);
    let letters = |c: char| !c.is_alphabetic();
    let words = own_text.split(letters).chain(subject.split(letters)).filter(|word| !word.is_empty());
    let mut lower = String::new();
    for word in words.take(WORDS_READ) {
        if word.len() > 12 {
            continue;
        }
        lower.clear();
        if word.is_ascii() {
            lower.push_str(word);
            lower.make_ascii_lowercase();
        } else {
            lower.extend(word.chars().flat_map(char::to_lowercase));
        }
        spanish += usize::from(SPANISH.binary_search(&lower.as_str()).is_ok() || lower.contains('ñ'));
        english += usize::from(ENGLISH.binary_search(&lower.as_str()).is_ok());
        if spanish.abs_diff(english) >= CLEAR_LEAD {
            break;
        }
    }
    if english > spanish { Language::En } else { Language::Es }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_for_searching() {
        assert!(SPANISH.is_sorted());
        assert!(ENGLISH.is_sorted());
    }

    #[test]
    fn each_language_is_recognised_and_doubt_is_spanish() {
        for text in
            ["El servidor está caído", "No carga mi página", "", "12345", "URGENTE", "Error 500 nginx"]
        {
            assert_eq!(of("", text), Language::Es, "{text}");
        }
        for text in ["The server is down", "Our website does not load, please help", "I can't log in"] {
            assert_eq!(of("", text), Language::En, "{text}");
        }
        assert_eq!(of("My site is down", ""), Language::En);
    }
}
