//! The words that tell some mails from others, and the phrases that may be made of them: where a new rule begins.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::text::{EMAIL, Folded, HOST, IP, NEGATOR, Reading, URL, WORD};

/// One of the two heaps of mail that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heap {
    /// The mails whose words are sought.
    Here,
    /// The others.
    There,
}

/// In how many mails of each heap each word is.
#[derive(Debug, Clone, Default)]
pub struct WordCounts {
    mails: Counts,
    words: BTreeMap<String, Counts>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    here: u32,
    there: u32,
}

impl Counts {
    fn add(&mut self, heap: Heap) {
        match heap {
            Heap::Here => self.here += 1,
            Heap::There => self.there += 1,
        }
    }
}

/// A word that one heap has more than the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TellingWord {
    /// The word, folded.
    pub word: String,
    /// Mails here that have it.
    pub here: u32,
    /// Mails there that have it.
    pub there: u32,
}

impl WordCounts {
    /// Counts a mail.
    pub fn add(&mut self, words: &BTreeSet<String>, heap: Heap) {
        self.mails.add(heap);
        for word in words {
            self.words.entry(word.clone()).or_default().add(heap);
        }
    }

    /// How much a word tells: the logarithm of the ratio of its odds, each count half a mail more, in standard
    /// deviations of its own (Monroe, Colaresi and Quinn, "Fightin' Words", 2008); above 0, it is at home here.
    pub fn weight(&self, word: &str) -> f64 {
        let Counts { here, there } = self.words.get(word).copied().unwrap_or_default();
        let odds =
            |with: u32, all: u32| (f64::from(with) + 0.5) / (f64::from(all.saturating_sub(with)) + 0.5);
        let ratio = odds(here, self.mails.here).ln() - odds(there, self.mails.there).ln();
        ratio / (1.0 / (f64::from(here) + 0.5) + 1.0 / (f64::from(there) + 0.5)).sqrt()
    }

    /// The words that tell most, the first first; of `among`, or of all.
    pub fn telling(&self, among: Option<&BTreeSet<String>>, most: usize) -> Vec<TellingWord> {
        let counted = self.words.iter().filter(|(word, _)| among.is_none_or(|words| words.contains(*word)));
        let mut ranked: Vec<_> = counted
            .map(|(word, counts)| (self.weight(word), word, counts))
            .filter(|(weight, ..)| *weight > 0.0)
            .collect();
        ranked.sort_by(|(one, a, _), (other, b, _)| other.total_cmp(one).then(a.cmp(b)));
        let telling = ranked.into_iter().take(most);
        telling
            .map(|(_, word, counts)| TellingWord {
                word: word.clone(),
                here: counts.here,
                there: counts.there,
            })
            .collect()
    }
}

/// The words of a text that can tell something: folded, of three letters or more, no names of hosts or addresses, and
/// none that stands in any mail.
pub fn content_words(text: &str) -> BTreeSet<String> {
    let folded = Folded::new(text, Reading::Prose);
    folded.words().filter_map(|word| content(word).map(str::to_owned)).collect()
}

/// The word without its separator, if it can tell something.
fn content(word: &str) -> Option<&str> {
    let word = word.strip_prefix(WORD)?;
    let letters = word.chars().count() > 2 && word.chars().all(char::is_alphabetic);
    (letters && STOP_WORDS.binary_search(&word).is_err()).then_some(word)
}

/// A phrase that may recognise a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idea {
    /// In the phrase language.
    pub phrase: String,
    /// The sentence that it was found in, on one line; addresses, hosts and long numbers are not the customer's.
    pub sentence: String,
}

/// How far apart the two words of an idea may stand.
const REACH: usize = 5;
/// What does not work tells more than what it is about.
const DENIED: f64 = 1.5;

/// Phrases of two telling words of one sentence, the most telling first: `no ..2 imprime`, `abrir ..1 tienda`. None
/// has a word of `avoid`, such as the customer's name.
pub fn ideas(text: &str, counts: &WordCounts, avoid: &BTreeSet<String>) -> Vec<Idea> {
    let folded = Folded::new(text, Reading::Prose);
    let words: Vec<&str> = folded.words().collect();
    let tells =
        |word: &str| content(word).filter(|word| !avoid.contains(*word)).map(|word| counts.weight(word));
    let denies = |span: &Range<usize>| {
        let mut before = span.start.saturating_sub(1)..span.end;
        before.any(|at| folded.sentence(at) == folded.sentence(span.start) && negates(&words, at))
    };
    let mut ranked: Vec<(f64, Range<usize>)> = Vec::new();
    for (first, word) in words.iter().enumerate() {
        let Some(weight) = tells(word) else { continue };
        ranked.push((weight / 2.0, first..first + 1));
        for (last, other) in words.iter().enumerate().skip(first + 1).take(REACH + 1) {
            if folded.sentence(first) != folded.sentence(last) {
                break;
            }
            let Some(other) = tells(other) else { continue };
            let span = first..last + 1;
            let denied = if denies(&span) { DENIED } else { 1.0 };
            ranked.push(((weight + other) * denied, span));
        }
    }
    ranked.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let idea = |(_, span): (f64, Range<usize>)| {
        Some(Idea {
            phrase: phrase(&words, &folded, &span)?,
            sentence: sentence(text, &folded, &words, &span, |at| is_avoided(&words, at, avoid)),
        })
    };
    ranked.into_iter().filter_map(idea).collect()
}

fn negates(words: &[&str], at: usize) -> bool {
    words.get(at).is_some_and(|word| word.starts_with(NEGATOR))
}

/// The first and the last word of a span, and each negator between or right before them: a phrase never reaches over one
/// that it does not name.
fn phrase(words: &[&str], folded: &Folded, span: &Range<usize>) -> Option<String> {
    let denied = |at: &usize| folded.sentence(*at) == folded.sentence(span.start) && negates(words, *at);
    let first = span.start.checked_sub(1).filter(denied).unwrap_or(span.start);
    let last = span.end.checked_sub(1)?;
    let named = (first..=last).filter(|at| *at == span.start || *at == last || negates(words, *at));
    let mut written = String::new();
    let mut before = first;
    for at in named {
        let gap = at.saturating_sub(before + 1);
        if at > first {
            written.push_str(if gap == 0 { " " } else { " .." });
        }
        if gap > 0 {
            written.push_str(&format!("{gap} "));
        }
        written.push_str(words.get(at)?.trim_start_matches([WORD, NEGATOR]));
        before = at;
    }
    Some(written)
}

/// The sentence around some characters of a text, as an [`Idea`] has it; the words of those characters stay even where
/// `avoid` has them.
pub fn sentence_with(text: &str, chars: Range<usize>, avoid: &BTreeSet<String>) -> String {
    let folded = Folded::new(text, Reading::Prose);
    let words: Vec<&str> = folded.words().collect();
    let ends_before = |end: usize| {
        let place = |word: &usize| folded.place(&(*word..*word + 1));
        (0..words.len()).take_while(|word| place(word).is_none_or(|place| place.chars.end <= end)).count()
    };
    let first = ends_before(chars.start).min(words.len().saturating_sub(1));
    let end = ends_before(chars.end).max(first + 1);
    let is_named = |at| !(first..end).contains(&at) && is_avoided(&words, at, avoid);
    sentence(text, &folded, &words, &(first..end), is_named)
}

fn is_avoided(words: &[&str], at: usize, avoid: &BTreeSet<String>) -> bool {
    words.get(at).and_then(|word| word.strip_prefix(WORD)).is_some_and(|word| avoid.contains(word))
}

/// At most so many words stand on either side of the ones that matter.
const AROUND: usize = 12;

fn sentence(
    text: &str,
    folded: &Folded,
    words: &[&str],
    span: &Range<usize>,
    is_named: impl Fn(usize) -> bool,
) -> String {
    let within = |at: &usize| folded.sentence(*at) == folded.sentence(span.start);
    let first = (span.start.saturating_sub(AROUND)..=span.start).find(within).unwrap_or(span.start);
    let last = (span.end..span.end + AROUND).take_while(within).last().unwrap_or(span.end - 1);
    let mut written = String::new();
    let mut copied = folded.place(&(first..first + 1)).map_or(0, |place| place.bytes.start);
    for at in first..=last {
        let (Some(place), Some(word)) = (folded.place(&(at..at + 1)), words.get(at)) else { continue };
        written.push_str(text.get(copied..place.bytes.start).unwrap_or_default());
        let own = text.get(place.bytes.clone()).unwrap_or_default();
        let own = if is_named(at) { "Nombre".to_owned() } else { anonymous(word, own) };
        written.push_str(&own);
        copied = place.bytes.end;
    }
    written.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A word of a customer, or what stands for it in a file that others read.
fn anonymous(folded: &str, own: &str) -> String {
    match folded.chars().next() {
        Some(EMAIL) => "nombre@cliente.example".to_owned(),
        Some(HOST) => "cliente.example".to_owned(),
        Some(URL) => "https://cliente.example/".to_owned(),
        Some(IP) => "192.0.2.1".to_owned(),
        _ if own.chars().filter(char::is_ascii_digit).count() > 4 => {
            own.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
        }
        _ => own.to_owned(),
    }
}

/// Words of any mail, folded and sorted: they tell nothing.
#[rustfmt::skip]
const STOP_WORDS: &[&str] = &[
    "able", "about", "ademas", "after", "again", "agradezco", "ahora", "algo", "algun", "alguna", "alguno",
    "all", "alli", "also", "and", "another", "ante", "antes", "any", "apreciados", "aqui", "are", "asi",
    "atenta", "atentamente", "atento", "aun", "ayer", "ayuda", "ayudar", "ayudarme", "ayuden", "bajo",
    "because", "been", "before", "being", "best", "bien", "buenas", "buenos", "but", "cada", "can",
    "colaboracion", "como", "con", "cordial", "cordiales", "cordialmente", "could", "cual", "cuales", "cuando",
    "dear", "del", "desde", "despues", "dia", "dias", "dicho", "did", "does", "doing", "donde", "ellas",
    "ellos", "entonces", "entre", "equipo", "era", "esa", "esas", "ese", "eso", "esos", "esta", "estaba",
    "estamos", "estan", "estas", "este", "estimados", "esto", "estos", "estoy", "favor", "for", "from", "fue",
    "get", "got", "gracias", "haber", "habia", "hace", "hacer", "had", "han", "has", "hasta", "have", "hay",
    "hello", "help", "her", "here", "him", "his", "hola", "how", "hoy", "into", "its", "just", "kind", "las",
    "les", "let", "los", "luego", "made", "make", "manana", "many", "mas", "may", "mediante", "mientras", "mis",
    "misma", "mismo", "more", "most", "much", "muchas", "muy", "necesitamos", "necesito", "need", "noches",
    "nos", "now", "nuestra", "nuestras", "nuestro", "nuestros", "only", "other", "otra", "otras", "otro",
    "otros", "our", "ours", "out", "over", "para", "pero", "please", "poder", "podria", "podrian", "por",
    "porque", "pronta", "puede", "pueden", "puedo", "que", "quedo", "queremos", "quien", "quiero", "quisiera",
    "regards", "respuesta", "saludo", "saludos", "segun", "senor", "senora", "senores", "ser", "she", "sido",
    "siempre", "since", "sobre", "solicito", "solo", "some", "son", "soporte", "still", "such", "support",
    "sus", "tambien", "tan", "tanto", "tardes", "team", "tenemos", "tengo", "than", "thank", "thanks", "that",
    "the", "their", "them", "then", "there", "these", "they", "this", "those", "tiene", "tienen", "toda",
    "todas", "today", "todo", "todos", "tomorrow", "too", "tus", "una", "unas", "uno", "unos", "usted",
    "ustedes", "veces", "very", "vez", "want", "was", "were", "what", "when", "where", "which", "while", "who",
    "whom", "why", "will", "with", "would", "yesterday", "you", "your",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(here: &[&str], there: &[&str]) -> WordCounts {
        let mut counts = WordCounts::default();
        here.iter().for_each(|text| counts.add(&content_words(text), Heap::Here));
        there.iter().for_each(|text| counts.add(&content_words(text), Heap::There));
        counts
    }

    #[test]
    fn the_words_of_some_mails_alone_tell_most() {
        let here = ["Buenos días, la impresora no imprime", "No imprime la factura", "no imprime nada"];
        let counts = counts(&here, &["La factura de mi servidor", "mi servidor no carga, gracias"]);
        let words: Vec<_> = counts.telling(None, 9).into_iter().map(|word| (word.word, word.here)).collect();
        assert_eq!(words[0], ("imprime".to_owned(), 3));
        assert!(!words.iter().any(|(word, _)| ["servidor", "gracias", "buenos"].contains(&word.as_str())));
        assert!(counts.weight("servidor") < 0.0);
    }

    #[test]
    fn an_idea_names_the_negators_that_it_reaches_over() {
        let counts = counts(&["la impresora fiscal ya no me imprime"], &["el servidor"]);
        let ideas = ideas("¿Y no? La impresora fiscal ya no me imprime.", &counts, &BTreeSet::new());
        let phrases: Vec<_> = ideas.iter().map(|idea| idea.phrase.as_str()).collect();
        assert_eq!(phrases[..2], ["impresora ..2 no ..1 imprime", "fiscal ..1 no ..1 imprime"]);
        assert!(
            phrases.contains(&"impresora fiscal"),
            "the no before it is of another sentence: {phrases:?}"
        );
        assert_eq!(ideas[0].sentence, "La impresora fiscal ya no me imprime");
    }

    #[test]
    fn nobody_is_named_in_a_sentence() {
        let text =
            "Hola.\nSoy de pepe@empresa.co,\nmi factura 1234567 de tienda.com.co no sale en 10.1.2.3. Adiós";
        let counts = counts(&[text], &[]);
        let avoid = BTreeSet::from(["soy".to_owned()]);
        let ideas = ideas(text, &counts, &avoid);
        assert!(ideas.iter().all(|idea| !idea.phrase.contains("soy") && !idea.phrase.contains("pepe")));
        let sentence = &ideas[0].sentence;
        assert!(sentence.contains("factura 0000000 de cliente.example"), "{sentence}");
        assert!(!sentence.contains("empresa") && !sentence.contains("10.1"), "{sentence}");
        assert!(sentence_with(text, 0..4, &avoid).starts_with("Hola"));
    }

    #[test]
    fn the_customer_s_name_stands_in_no_sentence_but_where_a_rule_found_it() {
        let text = "Soy Ana Restrepo y la impresora Restrepo no imprime.";
        let avoid = BTreeSet::from(["ana".to_owned(), "restrepo".to_owned()]);
        let ideas = ideas(text, &counts(&[text], &[]), &avoid);
        assert!(!ideas.is_empty());
        for idea in &ideas {
            assert_eq!(idea.sentence, "Soy Nombre Nombre y la impresora Nombre no imprime");
        }
        let found = text.find("impresora").unwrap()..text.find(" no").unwrap();
        assert_eq!(
            sentence_with(text, found, &avoid),
            "Soy Nombre Nombre y la impresora Restrepo no imprime"
        );
    }

    #[test]
    fn stop_words_are_sorted() {
        assert!(STOP_WORDS.is_sorted());
    }
}
