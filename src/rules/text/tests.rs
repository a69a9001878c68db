//! Folding, token by token, and the way back.

use super::*;

/// The folded text with its marks made visible: `~` negator, `@` token, `/` sentence end.
fn folded(text: &str) -> String {
    let show = |c| match c {
        NEGATOR => '~',
        HOST | IP | URL | EMAIL => '@',
        SENTENCE_END => '/',
        c => c,
    };
    Folded::new(text, Reading::Prose).as_str().chars().map(show).collect()
}

#[test]
fn case_accents_and_marks_fall_off() {
    assert_eq!(folded("CONTRASEÑA Caída"), " contrasena caida/");
    assert_eq!(folded("contrasen\u{303}a cai\u{301}da"), " contrasena caida/");
    assert_eq!(folded("ﬁrewall ＳＥＲＶＩＤＯＲ İ"), " firewall servidor i/");
    assert_eq!(folded("fire\u{ad}wall ser\u{200b}vidor"), " firewall servidor/");
    assert_eq!(folded("сервер не"), " сервер не/");
}

#[test]
fn sentences_end_at_stops_and_not_at_abbreviations_numbers_and_names() {
    assert_eq!(folded("Se cayó.No carga! ¿Sí? Fin"), " se cayo/~no carga/ si/ fin/");
    assert_eq!(folded("a las 8 p. m. cayó php 8.1 e index.php"), " a las 8 p m cayo php 8 1 e index php/");
    assert_eq!(folded("el sitio... no abre… Gracias"), " el sitio~no abre/ gracias/");
    assert_eq!(folded("Error: (500) el servidor, caído; fin"), " error 500 el servidor caido/ fin/");
}

#[test]
fn a_wrapped_line_goes_on_and_a_short_one_ends() {
    let wrapped = "Buenos días, les escribo porque desde esta mañana el servidor\nestá caído";
    assert!(folded(wrapped).contains("servidor esta caido"));
    assert_eq!(folded("Hola\nel sitio\r\n\r\n- caído"), " hola/ el sitio/ caido/");
    let item = "Buenos días, les escribo porque desde esta mañana el servidor\n- está caído";
    assert!(folded(item).contains("servidor/ esta"));
}

#[test]
fn hosts_addresses_and_urls_are_one_word() {
    assert_eq!(folded("tienda.x.co is DOWN."), "@tienda.x.co is down/");
    assert_eq!(folded("<https://a.co/b?c=d>, www.casa.travel"), "@https://a.co/b?c=d@www.casa.travel/");
    assert_eq!(folded("la ip 181.49.x.xx:443 y 2001:db8::1"), " la ip@181.49.x.xx:443 y@2001:db8::1/");
    assert_eq!(folded("de ana@casa.co (o mailto:b@c.co)"), " de@ana@casa.co o@mailto:b@c.co/");
    assert_eq!(folded("se cayó.Gracias caido.es urgente"), " se cayo/ gracias@caido.es urgente/");
}

#[test]
fn negators_are_marked_and_ordinals_are_none() {
    assert_eq!(folded("No doesn't don’t won`t sin"), "~no~doesnt~dont~wont~sin/");
    assert_eq!(folded("caso nº 5, server's"), " caso n 5 server s/");
}

#[test]
fn no_control_character_of_a_mail_becomes_a_mark() {
    assert_eq!(folded("a\u{1}no\u{3}b\u{6}c"), " a~no b c/");
}

#[test]
fn a_file_name_is_cut_where_people_cut_it() {
    let name = Folded::new("ComprobantePago2024_hosting-nuevo.com.pdf", Reading::FileName);
    assert_eq!(name.as_str(), " comprobante pago 2024 hosting nuevo com pdf\n");
}

#[test]
fn places_count_characters_of_the_original() {
    let original = "¡Ñandú 🙂 cai\u{301}da ya!";
    let folded = Folded::new(original, Reading::Prose);
    let at = folded.as_str().find("caida").unwrap();
    let place = folded.place(&folded.words_in(&(at..at + 5))).unwrap();
    assert_eq!(original.get(place.bytes), Some("cai\u{301}da"));
    assert_eq!(place.chars, 9..15);
}

#[test]
fn negation_reaches_over_copulas_and_articles_only() {
    for (text, word, negated) in [
        ("no es la clave", "clave", true),
        ("it is not my firewall", "firewall", true),
        ("sin firewall", "firewall", true),
        ("this isn't a server problem", "server", true),
        ("no puedo cambiar la clave", "clave", false),
        ("it hasn't been activated", "activated", false),
        ("it does not recognize the license key", "license", false),
        ("No, la clave", "clave", false),
        ("Es que no. La clave", "clave", false),
        ("el servidor no carga", "no", false),
        ("clave", "clave", false),
    ] {
        let folded = Folded::new(text, Reading::Prose);
        let at = folded.plain().find(&format!(" {word}")).unwrap() + 1;
        let word = folded.words_in(&(at..at + 1)).start;
        assert_eq!(folded.negator_of(word).is_some(), negated, "{text}");
    }
}

#[test]
fn reads_ten_thousand_words_and_no_more() {
    let folded = Folded::new(&"palabra ".repeat(100_000), Reading::Prose);
    assert!((LIMIT..LIMIT + 64).contains(&folded.as_str().len()));
}
