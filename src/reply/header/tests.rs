//! Header fields under hostile text: no control, no line break, no override gets through (I17).

use mail_parser::MessageParser;
use proptest::prelude::*;

use super::*;

fn subject(theirs: &str) -> String {
    HeaderText::reply_subject(theirs, Language::Es).0
}

fn written(text: &HeaderText) -> String {
    let mut out = String::new();
    text.write("Subject", &mut out);
    out
}

/// What a mail program shows of a header that we wrote.
fn read_back(text: &HeaderText) -> String {
    let mail = written(text) + "\r\n";
    MessageParser::new().parse(&mail).unwrap().subject().unwrap().to_owned()
}

#[test]
fn a_subject_gets_one_reply_prefix() {
    assert_eq!(subject("Bloqueo de IP"), "Re: Bloqueo de IP");
    assert_eq!(subject("RE: Re[2]: AW: re : Bloqueo"), "Re: Bloqueo");
    assert_eq!(subject("RE: RV: Factura"), "Re: RV: Factura");
    assert_eq!(subject("Reactivación: pago"), "Re: Reactivación: pago");
    assert_eq!(subject("Re:"), "Re: su mensaje");
    assert_eq!(subject("  "), "Re: su mensaje");
    assert_eq!(HeaderText::reply_subject("", Language::En).0, "Re: your message");
}

#[test]
fn a_subject_cannot_smuggle_a_header_or_turn_the_line_around() {
    assert_eq!(subject("Hola\r\nBcc: todos@example.com"), "Re: Hola Bcc: todos@example.com");
    assert_eq!(subject("a\u{202e}gpj\u{2066}.exe\u{200b}\u{feff}b\u{0}\u{7f}\u{9b}c"), "Re: agpj.exebc");
    assert_eq!(subject("una\u{2028}línea\u{85}más"), "Re: una línea más");
}

#[test]
fn urls_are_cut_out_of_a_subject() {
    let kept = "Re: Gane ya hoy";
    for url in [
        "https://evil.example/a?b=c",
        "HTTP://EVIL.EXAMPLE",
        "www.evil.example",
        "ht\u{200b}tps://evil.example",
        "evil.example/login",
        "evil.example:8080/x",
        "evil.example?x=1",
        "<https://evil.example>",
        "(https://evil.example/a)",
        "https://[::1]/x",
        "[https://evil.example/(a)b]",
        "https://",
        "https:\\\\evil.example",
        "mailto:a@evil.example",
        "xhttps://evil.example",
    ] {
        assert_eq!(subject(&format!("Gane ya {url} hoy")), kept, "{url}");
    }
    assert_eq!(subject("https://evil.example/"), "Re: su mensaje");
    assert_eq!(subject("ejemplo.com no carga: error 500"), "Re: ejemplo.com no carga: error 500");
    assert_eq!(subject("Pérdida de data: urgente, tel: 300"), "Re: Pérdida de data: urgente, tel: 300");
    assert_eq!(subject("14/09/2026: 10:15 y 1.5"), "Re: 14/09/2026: 10:15 y 1.5");
}

#[test]
fn a_long_subject_is_cut_to_120_characters() {
    let long = subject(&"ñ".repeat(2_000));
    assert_eq!(long.chars().count(), 120);
    assert!(long.ends_with('…'));
    assert!(written(&HeaderText(long.clone())).lines().all(|line| line.len() <= 76));
    assert_eq!(read_back(&HeaderText(long.clone())), long);
    let word = format!("{} =?utf-8?Q?hola_{}?= x", "a".repeat(100), "b".repeat(40));
    assert_eq!(subject(&word), format!("Re: {}…", "a".repeat(100)));
}

#[test]
fn an_encoded_word_left_in_a_subject_is_shown_as_written() {
    let text = HeaderText::reply_subject("=?utf-8?Q?=0D=0ABcc:_x@example.com?=", Language::Es);
    assert!(!written(&text).contains("=?utf-8?Q?=0D"));
    assert_eq!(read_back(&text), text.0);
}

#[test]
fn message_ids_are_repeated_only_when_they_are_plain() {
    assert_eq!(MessageId::new("<a.b@c.example>").unwrap().as_str(), "a.b@c.example");
    assert_eq!(MessageId::new("a@b@c").unwrap().as_str(), "a@b@c");
    let evil =
        ["", "a", "@", "a@", "@b", "a b@c", "a@b\r\nBcc: x@y", "a@b>\r\n <c@d", "<<a@b>>", "ñ@b", "a@b\0"];
    for id in evil {
        assert_eq!(MessageId::new(id), None, "{id:?}");
    }
    assert_eq!(MessageId::new(&format!("{}@b", "a".repeat(979))), None);
    let longest = MessageId::new(&format!("{}@b", "a".repeat(978))).unwrap();
    let mut out = String::new();
    write_ids("In-Reply-To", &[longest], &mut out);
    assert!(out.trim_end().len() <= 998, "RFC 5322 section 2.1.1");
}

#[test]
fn references_keep_the_first_and_the_last_twenty() {
    let many: Vec<String> = (0..100).map(|n| format!("{n}@x")).collect();
    let parent = MessageId::new("parent@x").unwrap();
    let ids = thread(&many, Some(&parent));
    assert_eq!(ids.len(), 20);
    assert_eq!(ids[0].as_str(), "0@x");
    assert_eq!(ids[1].as_str(), "82@x");
    assert_eq!(ids[18].as_str(), "99@x");
    assert_eq!(ids[19], parent);
    let repeated = thread(&["a@x".into(), "parent@x".into(), "evil".into()], Some(&parent));
    assert_eq!(repeated.iter().map(MessageId::as_str).collect::<Vec<_>>(), ["a@x", "parent@x"]);
}

#[test]
fn without_references_a_single_in_reply_to_comes_before_the_parent() {
    let theirs =
        |fields: &str| crate::mail::parse(format!("{fields}From: a@b.example\r\n\r\nHola\r\n").as_bytes());
    for (fields, before) in [
        ("In-Reply-To: <q0@b.example>\r\n", &["q0@b.example"][..]),
        ("In-Reply-To: <q0@b.example>\r\nReferences: <q1@b.example>\r\n", &["q1@b.example"]),
        ("In-Reply-To: <q0@b.example> <q1@b.example>\r\n", &[]),
        ("", &[]),
    ] {
        assert_eq!(ancestors(&theirs(fields)), before, "{fields}");
    }
}

#[test]
fn one_addressee_stays_one_whatever_its_local_part() {
    let address = |address: &str| Address { name: "<otro@x>, ".into(), address: address.into() };
    for (given, want) in [
        ("ana@x.example", "ana@x.example"),
        ("a,b@x.example", "\"a,b\"@x.example"),
        ("a..b@x.example", "\"a..b\"@x.example"),
        ("\"a b\"@x.example", "\"a b\"@x.example"),
        ("\"a\"b@x.example", "\"\\\"a\\\"b\"@x.example"),
        ("ñandú@x.example", "ñandú@x.example"),
    ] {
        let mut out = String::new();
        write_mailbox("To", None, &address(given), &mut out);
        assert_eq!(out, format!("To: {want}\r\n"));
    }
}

#[test]
fn a_display_name_is_plain_quoted_or_encoded() {
    let address = Address { name: String::new(), address: "s@x.example".into() };
    for (name, want) in [
        ("Soporte MiHost", "Soporte MiHost"),
        ("Soporte, \"MiHost\"", "\"Soporte, \\\"MiHost\\\"\""),
        ("Atención", "=?UTF-8?Q?Atenci=C3=B3n?="),
    ] {
        let mut out = String::new();
        write_mailbox("From", Some(name), &address, &mut out);
        assert_eq!(out, format!("From: {want} <s@x.example>\r\n"));
    }
}

proptest! {
    #[test]
    fn any_subject_stays_one_short_header_that_reads_back(theirs in any::<String>()) {
        let text = HeaderText::reply_subject(&theirs, Language::En);
        let written = written(&text);
        prop_assert!(text.0.chars().count() <= 120);
        prop_assert!(written.is_ascii());
        for (n, line) in written.trim_end_matches("\r\n").split("\r\n").enumerate() {
            prop_assert!(line.len() <= 76 && !line.contains(['\r', '\n']), "{line}");
            prop_assert!(n == 0 || line.starts_with(' '));
        }
        prop_assert_eq!(read_back(&text), text.0);
    }
}
