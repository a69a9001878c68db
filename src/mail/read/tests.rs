//! Whole mails, one per quirk.

use super::*;

fn mail(text: &str) -> Message {
    parse(text.as_bytes())
}

#[test]
fn an_ordinary_mail_is_read_whole() {
    let message = mail(
        "Return-Path: <ana@b.co>\nDelivered-To: soporte@mihost.example\nReceived: from a\n by b\nMessage-ID: <1@b.co>\n\
         Date: Mon, 2 Nov 2026 10:00:00 -0500\nFrom: =?utf-8?q?Ana_Mu=C3=B1oz?= <Ana@B.co>\nTo: soporte@mihost.example\n\
         Cc: Luis <luis@b.co>\nSubject: =?utf-8?q?Ca=C3=ADda?= total\n\nEl servidor no responde.\n-- \nAna\n",
    );
    assert_eq!(message.from.as_ref().unwrap().name, "Ana Muñoz");
    assert_eq!(message.from.as_ref().unwrap().address, "ana@b.co");
    assert_eq!(message.subject, "Caída total");
    assert_eq!(message.own_text, "El servidor no responde.");
    assert_eq!(message.text, "El servidor no responde.\n-- \nAna");
    assert_eq!(message.date.unwrap().to_string(), "2026-11-02T15:00:00Z");
    assert_eq!(message.delivered_to[0].address, "soporte@mihost.example");
    assert_eq!(message.return_path, ReturnPath::Address(Address::parse("ana@b.co").unwrap()));
    assert_eq!(message.trace, [Trace::Received("from a by b".into())]);
    assert_eq!(message.defects, []);
    assert!(!message.is_reply() && !message.is_forward());
}

#[test]
fn line_ends_do_not_matter() {
    let lf = "From: ana@b.co\nMessage-ID: <1@b.co>\nDate: Mon, 2 Nov 2026 10:00:00 UT\nSubject: x\n\nhola\n";
    let want = mail(lf);
    assert_eq!(want.subject, "x", "LF and `UT` made mail-parser swallow the next line");
    assert_eq!(mail(&lf.replace('\n', "\r\n")), want);
    assert_eq!(mail(&lf.replace('\n', "\r")), want);
    assert_eq!(mail(&format!("From x Mon Nov 2\n\n{lf}")), want);
}

#[test]
fn an_author_is_one_from_with_one_address() {
    let of = |fields: &str| {
        let message = mail(&format!("{fields}\nMessage-ID: <1@b.co>\nSubject: x\n\nx\n"));
        (message.from.map(|from| from.address), message.defects)
    };
    assert_eq!(of("From: Ana <ana@b.co>"), (Some("ana@b.co".into()), vec![]));
    assert_eq!(of("From: Ruiz, Ana <ana@b.co>"), (Some("ana@b.co".into()), vec![]));
    assert_eq!(of("From: a@b.co\nFrom: c@d.co"), (None, vec![Defect::SeveralFrom]));
    assert_eq!(of("From: a@b.co, c@d.co"), (None, vec![Defect::SeveralFrom]));
    assert_eq!(of("From: a@b.co, X <>"), (None, vec![Defect::SeveralFrom]));
    assert_eq!(of("From: X <>"), (None, vec![Defect::UnusableFrom]));
    assert_eq!(of("From:"), (None, vec![Defect::NoFrom]));
    assert_eq!(of("Fr om: a@b.co"), (None, vec![Defect::NoFrom]));
}

#[test]
fn the_plain_form_is_read_and_html_only_when_alone() {
    let both = mail(
        "From: a@b.co\nMessage-ID: <1@b.co>\nContent-Type: multipart/alternative; boundary=z\n\n\
         --z\nContent-Type: text/plain\n\nclaro\n--z\nContent-Type: text/html\n\n<b>otro</b>\n--z--\n",
    );
    assert_eq!((both.text.as_str(), both.attachments.len()), ("claro", 0));
    let html = mail(
        "From: a@b.co\nMessage-ID: <1@b.co>\nContent-Type: multipart/related;\n boundary=\n \"z\"\n\n\
         --z\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n\
         <p>No carga<br>mi p=C3=A1gina</p>\n--z\nContent-Type: image/png; name=logo.png\n\
         Content-Transfer-Encoding: base64\n\niVBORw0KGgo=\n--z--\n",
    );
    assert_eq!(html.text, "No carga\nmi página");
    let logo = &html.attachments[0];
    assert_eq!(
        (logo.name.as_str(), logo.media_type.as_str(), logo.size, logo.inline),
        ("logo.png", "image/png", 8, true)
    );
}

#[test]
fn attachments_have_names_and_never_are_text() {
    let message = mail(
        "From: a@b.co\nMessage-ID: <1@b.co>\nContent-Type: multipart/mixed; boundary=z\n\n--z\n\nadjunto\n--z\n\
         Content-Type: text/plain; charset=utf-8\nContent-Disposition: attachment;\n filename=\n\t\"=?utf-8?q?a=C3=B1o?=.txt\"\n\n\
         secreto\n--z--\n",
    );
    assert_eq!(message.text, "adjunto");
    assert_eq!(message.attachments[0].name, "año.txt");
}

#[test]
fn damaged_quoted_printable_is_read_as_far_as_it_goes() {
    let message = mail(
        "From: a@b.co\nMessage-ID: <1@b.co>\nContent-Type: text/plain; charset=utf-8\n\
         Content-Transfer-Encoding: quoted-printable\n\nLa p=C3=A1gina no =\nabre: <a href=\"x\"> =+1\n",
    );
    assert_eq!(message.text, "La página no abre: <a href=\"x\"> =+1");
}

#[test]
fn a_wrong_charset_is_a_defect_and_the_text_is_right() {
    let mut raw =
        b"From: a@b.co\nMessage-ID: <1@b.co>\nContent-Type: text/plain; charset=utf-8\n\nca".to_vec();
    raw.extend(b"\xEDda\n");
    let message = parse(&raw);
    assert_eq!((message.text.as_str(), message.defects), ("caída", vec![Defect::WrongCharset]));
}

#[test]
fn an_attached_mail_is_part_of_a_forward() {
    let with = |subject: &str, text: &str| {
        mail(&format!(
            "From: a@b.co\nSubject: {subject}\nMessage-ID: <1@b.co>\nContent-Type: multipart/mixed; boundary=z\n\n\
             --z\n\n{text}\n--z\nContent-Type: message/rfc822\n\nSubject: x\n\nLa página está caída.\n--z--\n"
        ))
    };
    assert_eq!(with("RV: x", "Miren").own_text, "Miren\n\nLa página está caída.");
    assert_eq!(with("x", "Miren").own_text, "Miren\n\nLa página está caída.");
    assert_eq!(with("Re: x", "Miren").own_text, "Miren");
    assert_eq!(with("x", &"Mucho texto propio. ".repeat(20)).own_text.matches("caída").count(), 0);
    assert_eq!(with("Re: x", "Miren").text, "Miren\n\nLa página está caída.");
    assert_eq!(with("Re: x", "Miren").attachments[0].media_type, "message/rfc822");
}

#[test]
fn a_calendar_request_tells_its_method() {
    let message = mail(
        "From: a@b.co\nMessage-ID: <1@b.co>\nContent-Type: multipart/alternative; boundary=z\n\n--z\n\nReunión\n--z\n\
         Content-Type: text/calendar; method=request\n\nBEGIN:VCALENDAR\n--z--\n",
    );
    assert_eq!(message.calendar_method.as_deref(), Some("REQUEST"));
    assert_eq!(message.automation.kind, crate::mail::AutomationKind::Calendar);
}

#[test]
fn over_a_limit_the_headers_still_speak() {
    let bomb = "Content-Type: message/rfc822\n\n".repeat(100);
    let message = mail(&format!("From: a@b.co\nSubject: bomba\nMessage-ID: <1@b.co>\n{bomb}"));
    assert_eq!(message.defects, [Defect::TooDeep]);
    assert_eq!((message.subject.as_str(), message.from.unwrap().address.as_str()), ("bomba", "a@b.co"));
    let parts = format!(
        "From: a@b.co\nSubject: x\nMessage-ID: <1@b.co>\nContent-Type: multipart/mixed; boundary=z\n\n--z\n\nhola\n{}",
        "--z\n\n".repeat(20_000)
    );
    let message = mail(&parts);
    assert_eq!((message.text.as_str(), message.defects), ("hola", vec![Defect::TooManyParts]));
}

#[test]
fn the_head_of_a_mail_shows_its_first_text() {
    let raw = b"From: a@b.co\nMessage-ID: <1@b.co>\nSubject: x\n\nprimeras palabras";
    for defect in [Defect::Oversize, Defect::Unreadable] {
        let message = from_headers(raw, defect);
        assert_eq!(message.text, "primeras palabras");
        assert_eq!(message.defects, [defect]);
        assert!(defect.headers_only());
    }
}

#[test]
fn anything_at_all_gives_a_message() {
    for raw in [
        &b""[..],
        b"\n",
        b"\r",
        b":",
        b"\xFF\xFE",
        b"hola",
        b"From",
        b"Content-Type: multipart/mixed",
        b" \n \n",
    ] {
        let message = parse(raw);
        assert_eq!(message, parse(raw));
        assert!(message.from.is_none());
    }
    assert!(parse(b"").defects.contains(&Defect::Empty));
    assert_eq!(parse(b"hola, no carga").text, "hola, no carga");
}

#[test]
fn replies_and_forwards_are_told_apart() {
    let of = |fields: &str| {
        let message = mail(&format!("From: a@b.co\n{fields}\n\nx\n"));
        (message.is_reply(), message.is_forward())
    };
    assert_eq!(of("Subject: Re: x"), (true, false));
    assert_eq!(of("Subject: x\nIn-Reply-To: <1@b.co>"), (true, false));
    assert_eq!(of("Subject: RV: x\nReferences: <1@b.co>"), (false, true));
    assert_eq!(of("Subject: x"), (false, false));
}

#[test]
fn a_mail_that_the_parser_panics_at_is_read_all_the_same() {
    // mail-parser 0.11.9 loses count of the parts when an attached mail is nothing but another attached mail
    let nested = mail(
        "From: ana@b.co\nSubject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=z\n\n\
         --z\n\nuno\n--z\nContent-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nSubject: y\n\ndos\n--z--\n",
    );
    assert_eq!(nested.from.unwrap().address, "ana@b.co");
    assert_eq!(nested.subject, "x");
    #[cfg(debug_assertions)] // there it is an assertion; elsewhere the parser goes on
    assert!(nested.defects.contains(&Defect::Unreadable), "{:?}", nested.defects);
}

#[test]
fn what_nobody_can_read_here_is_named() {
    let defects = |content: &str| {
        let raw = format!("From: a@b.co\r\nSubject: x\r\nMessage-ID: <1@b.co>\r\n{content}\r\n");
        parse(raw.as_bytes()).defects
    };
    let pgp = "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=x\r\n\r\n\
               --x\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--x\r\n\
               Content-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n--x--";
    let smime = "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\n\
                 Content-Transfer-Encoding: base64\r\n\r\nMIIB";
    let inline = "\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhQEM\r\n-----END PGP MESSAGE-----";
    for sealed in [pgp, smime, inline] {
        assert_eq!(defects(sealed), [Defect::Encrypted], "{sealed}");
    }
    let tnef = "Content-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\neJ8+";
    assert_eq!(defects(tnef), [Defect::Tnef]);
    assert_eq!(defects("\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\n\r\nHola"), []);
}

#[test]
fn a_uuencoded_file_hangs_on_the_mail() {
    let raw = b"From: a@b.co\r\nSubject: x\r\n\r\nVa el registro:\r\nbegin 644 error.txt\r\n+:&]L82P@;75N9&\\\r\n`\r\nend\r\n";
    let message = parse(raw);
    assert_eq!(message.text, "Va el registro:");
    let [(file, bytes)] = &files(raw)[..] else { panic!("one file") };
    assert_eq!((message.attachments.first(), file.name.as_str()), (Some(file), "error.txt"));
    assert_eq!(bytes, b"hola, mundo");
}
