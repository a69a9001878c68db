//! Mails with such parts, read from end to end.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::tnef::tests as made;
use super::super::{AutomationKind, Defect, files, parse};

fn with_winmail(before: &str, bytes: &[u8]) -> String {
    format!(
        "From: Ana <ana@b.co>\nSubject: Caso\nMessage-ID: <1@b.co>\nMIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=z\n\n--z\nContent-Type: text/plain\n\n{before}\n--z\n\
         Content-Type: application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: base64\n\n{}\n--z--\n",
        STANDARD.encode(bytes)
    )
}

fn winmail() -> Vec<u8> {
    let text = made::long_value(
        0x0102,
        0x1009,
        &made::compressed(br"\ansicpg1252 No carga nuestra p\'e1gina.\par}"),
    );
    let attributes = [
        vec![(0x0006_9003, made::properties(&[text]))],
        made::file("FALLA~1.PNG", "Falla de hoy.png", b"png"),
    ];
    made::stream(&attributes.concat())
}

#[test]
fn the_text_and_the_files_of_winmail_dat_are_the_mails() {
    let mail = with_winmail("", &winmail());
    let message = parse(mail.as_bytes());
    assert_eq!(message.own_text, "No carga nuestra página.");
    assert_eq!(message.defects, []);
    assert_eq!(message.automation.kind, AutomationKind::None);
    let names: Vec<_> = message.attachments.iter().map(|file| (file.name.as_str(), file.size)).collect();
    assert_eq!(names, [("Falla de hoy.png", 3)]);
    let files = files(mail.as_bytes());
    assert_eq!(
        files.iter().map(|(file, bytes)| (file, bytes.as_slice())).collect::<Vec<_>>(),
        [(&message.attachments[0], &b"png"[..])]
    );
}

#[test]
fn a_text_beside_winmail_dat_is_the_text() {
    let message = parse(with_winmail("Hola.", &winmail()).as_bytes());
    assert_eq!(message.text, "Hola.");
    assert_eq!(message.attachments.len(), 1);
}

#[test]
fn winmail_dat_that_cannot_be_opened_stays_a_file() {
    let message = parse(with_winmail("", b"roto").as_bytes());
    assert_eq!(message.defects, [Defect::Tnef]);
    assert_eq!(message.attachments[0].name, "winmail.dat");
}

#[test]
fn a_signed_mail_is_read_through_its_signature() {
    let raw = include_bytes!("../../../fixtures/mail/smime-signed-es.eml"); // made by `openssl cms -sign -nodetach -stream`
    let message = parse(raw);
    assert_eq!(message.text, "El servidor está caído desde las 8.");
    assert_eq!(message.defects, []);
    assert_eq!(message.attachments.len(), 1);
    let (file, bytes) = files(raw).remove(0);
    assert_eq!((file.name.as_str(), bytes.trim_ascii()), ("error.log", &b"503"[..]));
}

#[test]
fn signatures_around_signatures_are_opened_only_so_deep() {
    let mut content = b"Content-Type: text/plain\r\n\r\nHola\r\n".to_vec();
    let mut texts = Vec::new();
    for _ in 0..5 {
        let ber = super::super::cms::tests::signed_around(&content);
        content = format!(
            "From: a@b.co\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            STANDARD.encode(ber)
        )
        .into_bytes();
        let message = parse(&content);
        texts.push((message.text.clone(), message.defects.contains(&Defect::Encrypted)));
    }
    let open = ("Hola".to_owned(), false);
    assert_eq!(texts, [open.clone(), open.clone(), open, (String::new(), true), (String::new(), true)]);
}

#[test]
fn a_signed_report_that_a_person_attaches_is_a_file_and_no_report() {
    let report = b"Content-Type: multipart/report; report-type=delivery-status; boundary=z\r\n\r\n--z\r\n\
        Content-Type: text/plain\r\n\r\nNo se entreg\xC3\xB3.\r\n--z\r\nContent-Type: message/delivery-status\r\n\r\n\
        Reporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; ana@b.co\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--z--\r\n";
    let signed = STANDARD.encode(super::super::cms::tests::signed_around(report));
    let part = format!(
        "Content-Type: application/pkcs7-mime; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n{signed}\n"
    );
    let mail = |text: &str| {
        format!(
            "From: Ana <ana@b.co>\nSubject: Caso\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=q\n\n\
             --q\nContent-Type: text/plain\n\n{text}\n--q\n{part}--q--\n"
        )
    };
    let message = parse(mail("Adjunto el correo firmado que me llegó.").as_bytes());
    assert_eq!((message.automation.kind, &message.bounce), (AutomationKind::None, &None));
    assert!(!message.defects.contains(&Defect::Encrypted));
    assert!(message.text.starts_with("Adjunto el correo"), "{}", message.text);
    let names: Vec<_> = message.attachments.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["smime.p7m"]);
    // alone, or after a text that says nothing, it is the mail
    for raw in [mail(""), format!("From: MAILER-DAEMON@b.co\nSubject: Caso\nMIME-Version: 1.0\n{part}")] {
        assert!(parse(raw.as_bytes()).bounce.is_some(), "{raw}");
    }
}

#[test]
fn several_winmail_dat_in_one_mail_share_its_budget() {
    let many = made::stream(&vec![made::file("a.txt", "a.txt", b"x"); 150].concat());
    let part = format!(
        "--z\nContent-Type: application/ms-tnef\nContent-Transfer-Encoding: base64\n\n{}\n",
        STANDARD.encode(&many)
    );
    let head = "From: Ana <ana@b.co>\nSubject: Caso\nContent-Type: multipart/mixed; boundary=z\n\n";
    let mail = format!("{head}{}--z--\n", part.repeat(3));
    let files = parse(mail.as_bytes()).attachments;
    assert_eq!(files.iter().filter(|file| file.name == "a.txt").count(), 200);
}
