//! Each row of the language, on texts that it must and must not match.

use super::super::tests::{body, one_rule};
use super::super::{Field, Text};

fn matches(phrase: &str, text: &str) -> bool {
    one_rule(&[phrase]).evaluate(&body(text)).impact.is_some()
}

#[track_caller]
fn assert_phrase(phrase: &str, yes: &[&str], no: &[&str]) {
    let set = one_rule(&[phrase]);
    for text in yes {
        assert!(set.evaluate(&body(text)).impact.is_some(), "`{phrase}` should match: {text}");
    }
    for text in no {
        assert!(set.evaluate(&body(text)).impact.is_none(), "`{phrase}` should not match: {text}");
    }
}

#[test]
fn a_word_is_whole_in_any_case_and_accent() {
    assert_phrase("clave", &["CLÁVE", "mi clave.", "(clave)"], &["claves", "enclave", "cla ve"]);
    assert_phrase("contraseña", &["contrasena", "Contrasen\u{303}a"], &[]);
    assert_phrase("e-mail", &["mi e-mail", "e mail"], &["email"]);
    assert_phrase("doesn't work", &["it doesn’t work", "it doesnt work"], &["it does work"]);
    assert_phrase("сервер", &["Сервер упал"], &["серверы"]);
    assert_phrase("503", &["error 503"], &["5030"]);
}

#[test]
fn a_star_goes_on_in_any_way() {
    assert_phrase("caid*", &["caído", "caídas", "caid"], &["decaido"]);
    assert_phrase("ni*", &["de qué nivel", "ni"], &["un id"]);
    assert_phrase("base de dat*", &["la base de datos"], &["la base dedatos"]);
}

#[test]
fn words_stand_in_a_row_in_one_sentence() {
    assert_phrase("no carga", &["mi web no carga", "No  carga"], &["no me carga", "no. Carga", "carga"]);
}

#[test]
fn alternatives_and_optional_words() {
    assert_phrase(
        "se [me|nos] cayo|callo",
        &["se cayó", "se nos calló"],
        &["se les cayó", "se me", "me cayó"],
    );
    assert_phrase("[muy] lento", &["muy lento", "lento"], &["muy"]);
}

#[test]
fn sets_may_hold_stems_tokens_and_words_in_a_row() {
    assert_phrase(
        "{servicio} {caido}",
        &["servidor caído", "la pagina web caida", "https://casa.co/x down", "casa.com.co DOWN"],
        &["página caída", "servidor", "sitio subido"],
    );
    assert_phrase("vps|{servicio} {caido}", &["vps caido", "sitio caido"], &["caido"]);
}

#[test]
fn tokens() {
    assert_phrase("<ip> bloqueada", &["mi 10.0.0.1 bloqueada"], &["mi casa.co bloqueada"]);
    assert_phrase("<url>", &["ver https://casa.co", "casa.co/panel"], &["casa.co", "ana@casa.co"]);
    assert_phrase("<email>", &["a ana@casa.co."], &["casa.co"]);
    assert_phrase("gmail.com", &["a GMail.com no llega"], &["ana@gmail.com"]);
}

#[test]
fn a_gap_stays_in_its_sentence_and_crosses_no_negator() {
    assert_phrase(
        "servidor ..3 caido",
        &["servidor caído", "el servidor de correo está caído"],
        &["servidor. Está caído", "servidor no está caído", "servidor uno dos tres cuatro caído"],
    );
    assert_phrase("sitio ..3 no ..2 caido", &["sitio aún no está caído"], &["sitio caído"]);
    assert_phrase("sitio ..3 no carga", &["el sitio hoy no carga"], &["el sitio sin nada no carga"]);
}

#[test]
fn both_in_a_sentence_and_both_in_a_mail() {
    assert_phrase("pago & suspen*", &["suspendida tras el pago"], &["pago. Suspendida", "pago"]);
    assert_phrase("pago && suspen*", &["Suspendida. Ya hice el pago"], &["pago", "suspendida"]);
    assert_phrase("pago & hoy && suspen*", &["Suspendida. Hoy el pago"], &["Hoy suspendida. El pago"]);
    let set = one_rule(&["pago && suspen*"]);
    let text = Text { subject: Some("Suspendida"), own_text: "Adjunto", attachments: &["pago_mayo.pdf"] };
    let fields: Vec<Field> = set.evaluate(&text).matches.iter().map(|found| found.field).collect();
    assert_eq!(fields, [Field::Attachments, Field::Subject]);
}

#[test]
fn a_sentence_later_in_the_mail_may_hold_both() {
    assert!(matches("pago & suspen*", "El pago. Suspendida. Hubo pago y suspensión."));
}

#[test]
fn a_tilde_forgives_one_typing_error() {
    assert_phrase(
        "~servidor",
        &["servidor", "serbidor", "servidr", "serviidor", "srevidor", "servidors", "ervidor"],
        &["serbidr", "servir", "servidores"],
    );
}

#[test]
fn the_escape_hatch_reads_the_folded_text() {
    assert_phrase(r"/sqlstate\[?\w* ?\w*/", &["SQLSTATE HY000"], &["sql"]);
    assert_phrase(r"/\bsitio no carga\b/", &["El SITIO no carga"], &["sitio no cargaba"]);
}
