//! Answers, forwards and footers as the usual programs write them, each with the words that are new.

use super::*;

fn reply(text: &str) -> String {
    strip(text, Kind::Reply)
}

#[test]
fn a_text_without_quotation_stays_whole() {
    for text in [
        "Hola, mi página no carga.\n\nGracias,\nAna",
        "One outstanding question: did you reboot?",
        "El error dice:\nconnection refused",
        "De: la nada apareció esto",
        "Se lo escribí ayer:\nno hay respuesta",
    ] {
        assert_eq!(reply(text), text);
        assert_eq!(strip(text, Kind::New), text);
    }
}

#[test]
fn attribution_lines_cut_the_quotation() {
    for header in [
        "El lun, 2 nov 2026 a las 10:00, Soporte (<soporte@mihost.example>) escribió:",
        "El 2/11/26 a las 10:00, Soporte escribió:",
        "On Mon, Nov 2, 2026 at 10:00 AM Support <soporte@mihost.example> wrote:",
        "On Mon, Nov 2, 2026 at 10:00 AM Support\n<soporte@mihost.example> wrote:",
        "Le 2 nov. 2026 à 10:00, Soporte <soporte@mihost.example> a écrit :",
        "2026-11-02 10:00 GMT-05:00 Soporte <soporte@mihost.example>:",
        "Soporte <soporte@mihost.example> escribió:",
        "Am 02.11.2026 um 10:00 schrieb Support:",
        "---- On Mon, 02 Nov 2026 10:00:00 -0500 Support<soporte@mihost.example> wrote ----",
    ] {
        for quoted in ["> Recibimos su caso ACU-7\n>\n> Saludos", "Recibimos su caso ACU-7\n\nSaludos"] {
            assert_eq!(reply(&format!("Sigue igual.\n\n{header}\n\n{quoted}\n")), "Sigue igual.", "{header}");
        }
    }
}

#[test]
fn field_blocks_cut_the_quotation() {
    for header in [
        "De: Soporte <soporte@mihost.example>\nEnviado: lunes, 2 de noviembre de 2026 10:00\nPara: Ana\nAsunto: Re: x",
        "*De:* Soporte\n*Enviado el:* lunes\n*Para:* Ana; Luis;\n Marta\n*CC:* Eva\n*Asunto:* x",
        "________________________________\nFrom: Support\nSent: Monday\nTo: Ana\nSubject: x",
        "-----Mensaje original-----\nDe: Soporte\nEnviado: lunes\nPara: Ana\nAsunto: x",
        "-----Original Message-----",
        "From: Support\n\nDate: Monday\n\nTo: Ana\n\nSubject: x",
    ] {
        assert_eq!(
            reply(&format!("Ya pagué.\n\n{header}\n\nSu cuenta está suspendida.")),
            "Ya pagué.",
            "{header}"
        );
    }
}

#[test]
fn answers_between_and_below_quotations_stay() {
    let between =
        "El lun, 2 nov 2026, Soporte escribió:\n> ¿Qué dominio?\nmitienda.example\n> ¿Desde cuándo?\nAyer.";
    assert_eq!(reply(between), "mitienda.example\nAyer.");
    let below = "El lun, 2 nov 2026, Soporte escribió:\n> ¿Qué dominio?\n\nmitienda.example\n";
    assert_eq!(reply(below), "mitienda.example");
    let unmarked = "El lun, 2 nov 2026, Soporte escribió:\n\nSigue caído.";
    assert_eq!(reply(unmarked), "Sigue caído.");
}

#[test]
fn a_forward_keeps_what_it_forwards() {
    let text = "Por favor miren esto.\n\n---------- Forwarded message ---------\nDe: Luis <luis@b.co>\nDate: lun\n\
                Subject: caída\nTo: Ana\n\nLa página está caída.";
    assert_eq!(strip(text, Kind::Forward), text);
    assert_eq!(strip(text, Kind::New), text);
}

#[test]
fn all_quotation_is_nothing_new_in_an_answer_only() {
    let text = "> todo\n> citado";
    assert_eq!(reply(text), "");
    assert_eq!(strip(text, Kind::New), text);
    assert_eq!(strip(text, Kind::Forward), text);
}

#[test]
fn signatures_come_off_only_when_they_are_short_and_last() {
    assert_eq!(reply("Sigue igual.\n\n-- \nAna Ruiz\nGerente"), "Sigue igual.");
    assert_eq!(reply("-- \nAna Ruiz"), "-- \nAna Ruiz".trim());
    let log = format!("Este es el registro:\n--\n{}", "línea del registro\n".repeat(30));
    assert!(reply(&log).ends_with("línea del registro"));
}

#[test]
fn footers_of_phones_and_filters_come_off() {
    for footer in [
        "Enviado desde mi iPhone",
        "Sent from my Galaxy",
        "Obtener Outlook para Android<https://aka.ms/x>",
        "AVISO LEGAL: Este mensaje es confidencial.\nSi no es usted el destinatario, bórrelo.",
        "Este correo electrónico y sus anexos son confidenciales y para uso del destinatario.",
        "Libre de virus. www.avast.com",
        "This email and any attachments are confidential and intended for the addressee.",
    ] {
        assert_eq!(
            reply(&format!("No me llegan correos.\n\n{footer}\n")),
            "No me llegan correos.",
            "{footer}"
        );
    }
    let question = "Aviso legal: ¿pueden ponerlo en mi página?";
    assert_eq!(reply(question), question);
}

#[test]
fn every_line_that_comes_back_was_there() {
    let text = "uno\n> dos\ntres\r\n\r\nEl 2/11/26, Ana escribió:\n> x\ncuatro\n-- \nfirma";
    let own = strip(text, Kind::New);
    let lines: Vec<&str> = text.lines().collect();
    assert!(own.lines().all(|line| lines.contains(&line)), "{own}");
}

#[test]
fn hostile_texts_take_linear_time() {
    for unit in ["> ", "On 1 ", "On 1\n", "From: x\n", "--\n", "-", "a@b <", "escribió:\n", "\n"] {
        let text = unit.repeat(400_000 / unit.len());
        strip(&text, Kind::New);
        strip(&text, Kind::Reply);
    }
}

#[test]
fn a_disclaimer_behind_a_rule_is_told_by_its_words() {
    let footer = "* * * * * * * * * *\nEn MiEmpresa cuidamos el papel.\nLo escrito es confidencial y solo para su \
                  destinatario.\n* * * * * * * * * *";
    assert_eq!(reply(&format!("Sigue igual.\n\n{footer}\n")), "Sigue igual.");
    let signed = "-- \nAna\n\n----------\nMail is monitored.\nIf you received this in error, delete it.";
    assert_eq!(reply(&format!("Sigue igual.\n\n{signed}")), "Sigue igual.");
    for text in [
        "El registro dice:\n----------\n401 unauthorized\nservice in error state\n----------\n¿Qué hago?",
        "Ayer:\n=====\nllegó un correo confidencial que nadie pidió",
    ] {
        assert_eq!(reply(text), text, "one such word is no disclaimer");
    }
}

#[test]
fn the_footer_of_list_software_comes_off() {
    let footer =
        "_______________________________________________\nClientes mailing list\nclientes@mihost.example";
    assert_eq!(reply(&format!("Sigue igual.\n\n{footer}")), "Sigue igual.");
    let text = "Tengo dos problemas.\n-----\nNo carga la página de la lista de precios.";
    assert_eq!(reply(text), text);
}

#[test]
fn a_quotation_may_be_barred() {
    let quoted = "2026/11/2 Soporte MiHost <soporte@mihost.example>\n\n| Recibimos su caso\n|\n| Saludos";
    assert_eq!(
        reply(&format!("Sigue igual.\n\n{quoted}\n\nAdjunto la foto.")),
        "Sigue igual.\n\n\nAdjunto la foto."
    );
    let table = "Estos son:\n| plan | precio |\n| n1 | 10 |";
    assert_eq!(reply(table), table);
}

/// A mail of `fixtures/replies.txt`: its name, its text, the words of its writer.
fn replies() -> Vec<(&'static str, String, String)> {
    let page = include_str!("../../../fixtures/replies.txt");
    let mails = page.split("\n=== ").skip(1).map(|mail| mail.split_once('\n').expect("a name and a text"));
    let marked = |mail: &str, marks: &[char]| {
        let lines = mail.lines().filter(|line| line.starts_with(marks));
        lines
            .map(|line| line.get(2..).unwrap_or_default())
            .collect::<Vec<_>>()
            .join("\n")
            .replace("\\\n", " ")
    };
    mails
        .map(|(name, mail)| {
            (name, marked(mail, &['+', '-']), marked(mail, &['+']).trim().trim_end_matches('\\').to_owned())
        })
        .collect()
}

#[test]
fn every_reply_of_the_fixtures_is_its_writer_s_words() {
    let replies = replies();
    let mut wrong = Vec::new();
    for (name, text, own) in &replies {
        let kind = match name.rsplit_once('(').map_or("", |(_, kind)| kind) {
            "forward)" => Kind::Forward,
            "new)" => Kind::New,
            _ => Kind::Reply,
        };
        let found = strip(text, kind);
        let told = |text: &str| {
            text.lines()
                .filter(|line| !line.trim().is_empty())
                .eq(own.lines().filter(|line| !line.trim().is_empty()))
        };
        if !told(&found) {
            wrong.push(format!("=== {name}\n{found}\n"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), replies.len(), wrong.join("\n"));
}
