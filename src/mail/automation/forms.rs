//! Tests: mails that programs write without a header that says so, and mails of people that look alike.

use super::super::parse;

/// One mail a paragraph: `=== what it is; kind`, the fields that matter, and its text.
const FORMS: &str = include_str!("forms.txt");

#[test]
fn what_a_program_wrote_is_told_from_what_a_person_wrote() {
    let mut wrong = Vec::new();
    for form in FORMS.split("=== ").skip(1) {
        let (head, mail) = form.split_once('\n').unwrap();
        let (what, want) = head.split_once("; ").unwrap();
        let fields = mail.split_once("\n\n").unwrap().0;
        let unsaid = |name: &str, otherwise: &'static str| match fields.contains(name) {
            true => "",
            false => otherwise,
        };
        let mail = format!(
            "{}{}To: soporte@mihost.example\n{mail}",
            unsaid("From: ", "From: Ana Ruiz <ana@b.co>\n"),
            unsaid("Content-Type: ", "Content-Type: text/plain; charset=utf-8\n"),
        );
        let automation = parse(mail.as_bytes()).automation;
        if automation.kind.as_str() != want {
            wrong.push(format!(
                "{what}: want {want}, have {} by {:?}",
                automation.kind.as_str(),
                automation.because
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
