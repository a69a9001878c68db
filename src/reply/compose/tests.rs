//! The acknowledgements as a mail client reads them: parts, headers, texts, and what never gets into them.

use std::sync::Arc;

use mail_parser::{HeaderValue, MessageParser, PartType};
use proptest::prelude::*;

use super::*;
use crate::mail::Address;
use crate::plan::{Plan, PlanFiles, Plans};
use crate::problem::Source;
use crate::reply::{ReplyKind, shipped};
use crate::rules::Case;
use crate::site::{self, EnvelopeFrom, Limits};
use crate::ticket::{Bilingual, PlanId};
use crate::token::Keyring;

fn source(name: &str, text: &str) -> Arc<Source> {
    Arc::new(Source { name: name.into(), text: text.into() })
}

fn address(name: &str, address: &str) -> Address {
    Address { name: name.into(), address: address.into() }
}

/// The shipped policy and a made-up site.
struct Desk {
    plans: Plans,
    calendar: Calendar,
    templates: Templates,
    site: Site,
}

impl Desk {
    fn new() -> Self {
        Self::with_holidays(include_str!("../../../rules/holidays-co.toml"))
    }

    fn with_holidays(holidays: &str) -> Self {
        Self::with(include_str!("../../../rules/calendar.toml"), holidays)
    }

    fn with(calendar: &str, holidays: &str) -> Self {
        let files = PlanFiles {
            plans: source("rules/plans.toml", include_str!("../../../rules/plans.toml")),
            calendar: source("rules/calendar.toml", calendar),
            holidays: vec![source("rules/holidays-co.toml", holidays)],
            local_plans: None,
            local_calendar: None,
        };
        let problems = &mut Vec::new();
        let templates: Vec<_> = shipped().collect();
        let site = Site {
            name: "MiHost".into(),
            addresses: vec![address("", "soporte@mihost.example")],
            staff: vec![],
            forms: vec![],
            lists: vec![],
            channels: site::Channels {
                phone: Some("+57 601 555 0100".into()),
                chat: Some("chat.mihost.example".into()),
                help_url: Some("https://ayuda.mihost.example".into()),
            },
            prefix: "ACU".into(),
            reopen: jiff::SignedDuration::from_hours(336),
            close_after: jiff::SignedDuration::from_hours(168),
            from: address("Atención MiHost", "soporte@mihost.example"),
            reply_to: None,
            envelope_from: EnvelopeFrom::Null,
            max_age: jiff::SignedDuration::from_hours(6),
            authserv_id: None,
            limits: Limits::default(),
            keys: Keyring::new(vec![]),
        };
        Self {
            plans: Plans::compile(&files, problems).unwrap(),
            calendar: Calendar::compile(&files, problems).unwrap(),
            templates: Templates::compile(&templates, problems).unwrap(),
            site,
        }
    }

    fn plan(&self, id: &str) -> &Plan {
        self.plans.plan(&PlanId(id.into())).unwrap()
    }

    fn compose(&self, asked: &Asked<'_>) -> Composed {
        let plan = self.plan(asked.plan);
        let received = asked.received.parse().unwrap();
        let promised = asked.promised.map(|at| at.parse().unwrap());
        let promise = self.calendar.promise(plan, asked.impact, received).no_later_than(promised);
        compose(
            &Reply {
                kind: asked.kind,
                language: asked.language,
                to: &asked.to,
                customer_name: asked.customer_name,
                known_sender: asked.known_sender,
                number: "ACU-4512",
                impact: asked.impact,
                case: asked.case.as_ref(),
                plan,
                promise: &promise,
                calendar: &self.calendar,
                support_address: &address("", "soporte@mihost.example"),
                subject: asked.subject,
                in_reply_to: asked.in_reply_to,
                references: &asked.references,
                message_id: "ba.b.k1.abcdefghijklmnopqrstuvwxyz@mihost.example",
                loop_token: "ba.b.k1.zyxwvutsrqponmlkjihgfedcba",
                reply_to: asked.reply_to,
                now: received,
            },
            &self.site,
            &self.templates,
        )
    }
}

/// What differs between the tests' replies.
#[derive(Clone)]
struct Asked<'a> {
    kind: ReplyKind,
    language: Language,
    plan: &'a str,
    impact: Impact,
    received: &'a str,
    /// A deadline that they were told before.
    promised: Option<&'a str>,
    case: Option<Case>,
    to: Address,
    customer_name: Option<&'a str>,
    known_sender: bool,
    subject: &'a str,
    in_reply_to: Option<&'a str>,
    references: Vec<String>,
    reply_to: Option<&'a str>,
}

const MORNING: &str = "2026-09-16T09:15:00-05:00";
const NIGHT: &str = "2026-09-16T22:40:00-05:00";
const HOLIDAY: &str = "2026-07-13T10:00:00-05:00";

impl Asked<'_> {
    fn new(language: Language, plan: &'static str, impact: Impact) -> Self {
        let (es, en) = match impact {
            Impact::High => ("caída del servicio", "service down"),
            Impact::Medium => ("bloqueo de IP en el firewall", "IP address blocked by the firewall"),
            Impact::Low => {
                ("cambio de contraseña o acceso al panel", "password change or control panel access")
            }
        };
        Self {
            kind: ReplyKind::Ack,
            language,
            plan,
            impact,
            received: MORNING,
            promised: None,
            case: Some(Case {
                id: "case".into(),
                impact,
                manual: None,
                label: Bilingual { es: es.into(), en: en.into() },
            }),
            to: address("Otro <otro@evil.example>", "cliente@ejemplo.example"),
            customer_name: Some(if language == Language::Es { "María Pérez" } else { "Mary Peters" }),
            known_sender: true,
            subject: "Bloqueo de IP",
            in_reply_to: Some("q1@ejemplo.example"),
            references: vec![],
            reply_to: None,
        }
    }
}

/// The text on one line, to look for sentences whatever their line breaks.
fn flat(text: &str) -> String {
    text.replace("&nbsp;", " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn says(text: &str, sentences: &[&str]) {
    let flat = flat(text);
    for sentence in sentences {
        assert!(flat.contains(sentence), "{sentence:?} is missing in:\n{text}");
    }
}

#[track_caller]
fn is_silent_about(text: &str, words: &[&str]) {
    for word in words {
        assert!(!flat(text).contains(word), "{word:?} is said in:\n{text}");
    }
}

#[test]
fn a_whole_spanish_text() {
    let text = Desk::new().compose(&Asked::new(Language::Es, "n1", Impact::Medium)).text;
    insta::assert_snapshot!(text, @r#"
    Cordial saludo, María Pérez:

    Recibimos su mensaje y abrimos el caso ACU-4512.

    Número de caso: ACU-4512
    Lo entendimos así: impacto medio, bloqueo de IP en el firewall
    Nivel de soporte: Nivel 1 (incluido en todos los servicios)
    Respuesta de un asesor: entre 3 y 5 horas hábiles
    A más tardar: el miércoles 16 de septiembre de 2026 a las 2:15 p. m. (hora
    de Colombia)

    Las horas hábiles son: lunes a viernes de 8:00 a. m. a 6:00 p. m. y sábados
    de 9:00 a. m. a 1:00 p. m., excepto festivos.

    ¿Es más urgente de lo que entendimos, o quiere agregar algo? Responda a este
    mismo correo y cuéntenos qué falla; puede adjuntar capturas. Por favor no
    envíe contraseñas: nunca se las pediremos por correo.

    Su nivel se atiende por ticket y por correo. Por teléfono (+57 601 555 0100)
    solo podemos consultar casos ya abiertos: si llama, tenga a mano el número
    ACU-4512.

    Este es un mensaje automático; la respuesta de una persona llegará en el
    plazo indicado.
    MiHost · soporte@mihost.example · https://ayuda.mihost.example
    "#);
}

#[test]
fn a_whole_english_text_at_night() {
    let asked =
        Asked { received: NIGHT, customer_name: None, ..Asked::new(Language::En, "n2", Impact::Medium) };
    insta::assert_snapshot!(Desk::new().compose(&asked).text, @r#"
    Hello,

    We have received your message and opened case ACU-4512.

    Case number: ACU-4512
    What we understood: medium impact, IP address blocked by the firewall
    Support level: Level 2
    Reply from a person: between 2 and 3 business hours
    That is: by Thursday 17 September 2026, 11:00 am (Colombia time)

    Your message arrived outside business hours (Monday to Friday 8:00 am to
    6:00 pm and Saturday 9:00 am to 1:00 pm, public holidays excepted).
    The time starts to count on Thursday 17 September 2026, 8:00 am.

    Is it more urgent than we understood, or do you want to add something? Reply
    to this e-mail and tell us what fails; screenshots are welcome. Please do
    not send passwords: we will never ask for them by e-mail.

    Your level is served by ticket and e-mail, and also by chat
    (chat.mihost.example) and phone (+57 601 555 0100) during business hours. If
    you call or chat, give the number ACU-4512 and we will find it at once.

    This is an automatic message; the reply from a person will arrive within the
    time stated above.
    MiHost · soporte@mihost.example · https://ayuda.mihost.example
    "#);
}

#[test]
fn a_whole_html_part() {
    insta::assert_snapshot!(Desk::new().compose(&Asked::new(Language::Es, "n3", Impact::Low)).html, @r#"
    <!doctype html>
    <html lang="es">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width,initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Caso ACU-4512</title>
    </head>
    <body style="font:16px/1.5 system-ui,sans-serif;max-width:38em;margin:0;padding:1em;overflow-wrap:break-word">
    <p>Cordial saludo, María Pérez:</p>
    <p>Recibimos su mensaje y abrimos el caso <strong>ACU-4512</strong>.</p>
    <table style="border-collapse:collapse;text-align:left">
    <tr style="vertical-align:top"><th scope="row" style="padding:.2em 1em .2em 0">Número de caso</th><td style="padding:.2em 0"><strong>ACU-4512</strong></td></tr>
    <tr style="vertical-align:top"><th scope="row" style="padding:.2em 1em .2em 0">Lo entendimos así</th><td style="padding:.2em 0">impacto bajo, cambio de contraseña o acceso al panel</td></tr>
    <tr style="vertical-align:top"><th scope="row" style="padding:.2em 1em .2em 0">Nivel de soporte</th><td style="padding:.2em 0">Nivel 3 (Premium)</td></tr>
    <tr style="vertical-align:top"><th scope="row" style="padding:.2em 1em .2em 0">Respuesta de un asesor</th><td style="padding:.2em 0">en menos de 1 hora, a cualquier hora y cualquier día</td></tr>
    <tr style="vertical-align:top"><th scope="row" style="padding:.2em 1em .2em 0">Es decir</th><td style="padding:.2em 0">antes del <strong><time datetime="2026-09-16T10:15:00-05:00">miércoles 16 de septiembre de 2026 a las&nbsp;10:15&nbsp;a.&nbsp;m.</time></strong> (hora de Colombia)</td></tr>
    </table>

    <p>¿Es más urgente de lo que entendimos, o quiere agregar algo? Responda a este mismo correo y cuéntenos qué falla; puede adjuntar capturas. Por favor no envíe contraseñas: nunca se las pediremos por correo.</p>
    <p>Su nivel se atiende por ticket y por correo las 24 horas, todos los días; además por chat (chat.mihost.example) y por teléfono (+57 601 555 0100) en horario hábil. Si llama o escribe al chat, dé el número <strong>ACU-4512</strong> y lo ubicamos de inmediato. Si hace falta, le asistimos de forma remota.</p>

    <p><small>Este es un mensaje automático; la respuesta de una persona llegará en el plazo indicado.<br>
    MiHost · soporte@mihost.example<br>
    <a href="https:&#x2f;&#x2f;ayuda.mihost.example" style="display:inline-block;padding:.8em 0">https:&#x2f;&#x2f;ayuda.mihost.example</a></small></p>
    </body>
    </html>
    "#);
}

/// The manual's nine promises, as both languages say them of a mail that came on a Wednesday at 9:15.
#[test]
fn every_plan_and_impact_says_its_promise() {
    use Impact::{High, Low, Medium};
    let hour = (
        "en 1 hora como máximo, a cualquier hora y cualquier día",
        "within 1 hour at most, any hour, any day",
    );
    let under =
        ("en menos de 1 hora, a cualquier hora y cualquier día", "in less than 1 hour, any hour, any day");
    let desk = Desk::new();
    for (plan, impact, (es, en), (es_due, en_due), strict) in [
        ("n1", High, hour, ("a las 10:15 a. m.", "10:15 am"), false),
        (
            "n1",
            Medium,
            ("entre 3 y 5 horas hábiles", "between 3 and 5 business hours"),
            ("a las 2:15 p. m.", "2:15 pm"),
            false,
        ),
        (
            "n1",
            Low,
            ("entre 5 y 6 horas hábiles", "between 5 and 6 business hours"),
            ("a las 3:15 p. m.", "3:15 pm"),
            false,
        ),
        ("n2", High, hour, ("a las 10:15 a. m.", "10:15 am"), false),
        (
            "n2",
            Medium,
            ("entre 2 y 3 horas hábiles", "between 2 and 3 business hours"),
            ("a las 12:15 p. m.", "12:15 pm"),
            false,
        ),
        (
            "n2",
            Low,
            ("entre 3 y 4 horas hábiles", "between 3 and 4 business hours"),
            ("a la 1:15 p. m.", "1:15 pm"),
            false,
        ),
        ("n3", High, under, ("a las 10:15 a. m.", "10:15 am"), true),
        ("n3", Medium, under, ("a las 10:15 a. m.", "10:15 am"), true),
        ("n3", Low, under, ("a las 10:15 a. m.", "10:15 am"), true),
    ] {
        let (es_by, en_by) =
            if strict { ("Es decir: antes del", "before") } else { ("A más tardar: el", "by") };
        let spanish = desk.compose(&Asked::new(Language::Es, plan, impact));
        says(
            &spanish.text,
            &[
                "Cordial saludo, María Pérez: Recibimos su mensaje y abrimos el caso ACU-4512. Número de caso: ACU-4512",
                &format!("Lo entendimos así: impacto {}, ", impact.in_spanish()),
                &format!("Nivel de soporte: {} Respuesta de un asesor: {es} ", desk.plan(plan).name.es),
                &format!("{es_by} miércoles 16 de septiembre de 2026 {es_due} (hora de Colombia)"),
                "MiHost · soporte@mihost.example · https://ayuda.mihost.example",
            ],
        );
        let english = desk.compose(&Asked::new(Language::En, plan, impact));
        says(
            &english.text,
            &[
                "Hello Mary Peters, We have received your message and opened case ACU-4512. Case number: ACU-4512",
                &format!("What we understood: {impact} impact, "),
                &format!("Support level: {} Reply from a person: {en} ", desk.plan(plan).name.en),
                &format!("That is: {en_by} Wednesday 16 September 2026, {en_due} (Colombia time)"),
            ],
        );
        for (composed, due, language) in [(&spanish, es_due, "es"), (&english, en_due, "en")] {
            let business = composed.text.contains("8:00");
            assert_eq!(business, desk.plan(plan).window(impact).clock == Clock::Business);
            assert!(flat(&composed.html).contains(due));
            assert!(composed.html.contains(&format!("<html lang=\"{language}\">")));
            assert!(composed.text.lines().all(|line| line.chars().count() <= 76), "{}", composed.text);
        }
    }
}

#[test]
fn each_level_names_its_own_channels() {
    let desk = Desk::new();
    let text = |language, plan| desk.compose(&Asked::new(language, plan, Impact::High)).text;
    says(
        &text(Language::Es, "n1"),
        &[
            "Su nivel se atiende por ticket y por correo. Por teléfono (+57 601 555 0100) solo podemos consultar casos ya abiertos: si llama, tenga a mano el número ACU-4512.",
        ],
    );
    is_silent_about(&text(Language::Es, "n1"), &["chat", "horario hábil", "remota"]);
    says(
        &text(Language::Es, "n2"),
        &[
            "Su nivel se atiende por ticket y por correo; además por chat (chat.mihost.example) y por teléfono (+57 601 555 0100) en horario hábil. Si llama o escribe al chat, dé el número ACU-4512 y lo ubicamos de inmediato.",
        ],
    );
    says(
        &text(Language::Es, "n3"),
        &[
            "Su nivel se atiende por ticket y por correo las 24 horas, todos los días; además por chat",
            "Si hace falta, le asistimos de forma remota.",
        ],
    );
    says(
        &text(Language::En, "n1"),
        &[
            "Your level is served by ticket and e-mail. By phone (+57 601 555 0100) we can only look up cases that are already open: if you call, have the number ACU-4512 at hand.",
        ],
    );
    says(
        &text(Language::En, "n3"),
        &[
            "Your level is served by ticket and e-mail 24 hours a day, every day, and also by chat (chat.mihost.example) and phone (+57 601 555 0100) during business hours. If you call or chat, give the number ACU-4512 and we will find it at once. If needed, we will assist you remotely.",
        ],
    );
}

#[test]
fn a_plan_served_in_business_hours_only_says_so() {
    let mut desk = Desk::new();
    let Some(plan) = desk.plans.plans.iter_mut().find(|plan| plan.id.as_str() == "n2") else { panic!() };
    plan.channels.ticket = None;
    plan.channels.email = Some(Availability::Business);
    says(
        &desk.compose(&Asked::new(Language::Es, "n2", Impact::High)).text,
        &[
            "Su nivel se atiende por correo, por chat (chat.mihost.example) y por teléfono (+57 601 555 0100) en horario hábil. Si",
        ],
    );
    says(
        &desk.compose(&Asked::new(Language::En, "n2", Impact::High)).text,
        &[
            "Your level is served by e-mail, chat (chat.mihost.example) and phone (+57 601 555 0100) during business hours. If",
        ],
    );
}

#[test]
fn what_the_site_has_not_is_left_out() {
    let mut desk = Desk::new();
    desk.site.channels = site::Channels::default();
    for (plan, language, channels) in [
        ("n1", Language::Es, "Su nivel se atiende por ticket y por correo. Este es"),
        ("n2", Language::Es, "Su nivel se atiende por ticket y por correo. Este es"),
        ("n2", Language::En, "Your level is served by ticket and e-mail. This is"),
    ] {
        let composed = desk.compose(&Asked::new(language, plan, Impact::High));
        says(&composed.text, &[channels]);
        for part in [&composed.text, &composed.html] {
            is_silent_about(part, &["teléfono", "phone", "chat", "ayuda", "()", "none", "None"]);
        }
        assert!(composed.text.ends_with("\nMiHost · soporte@mihost.example\n"));
    }
    desk.site.channels.chat = Some("chat.mihost.example".into());
    says(
        &desk.compose(&Asked::new(Language::Es, "n2", Impact::High)).text,
        &["además por chat (chat.mihost.example) en horario hábil. Si escribe al chat, dé el número"],
    );
}

#[test]
fn out_of_hours_it_says_when_the_time_starts_to_count() {
    let desk = Desk::new();
    let night = desk.compose(&Asked { received: NIGHT, ..Asked::new(Language::Es, "n2", Impact::Medium) });
    let hours =
        "lunes a viernes de 8:00 a. m. a 6:00 p. m. y sábados de 9:00 a. m. a 1:00 p. m., excepto festivos";
    for part in [&night.text, &night.html.replace("<p>", "").replace("</p>", "")] {
        says(
            part,
            &[&format!(
                "Su mensaje llegó fuera del horario hábil ({hours}). El plazo empieza a contar el jueves 17 de septiembre de 2026 a las 8:00 a. m."
            )],
        );
    }
    says(
        &night.text,
        &["A más tardar: el jueves 17 de septiembre de 2026 a las 11:00 a. m. (hora de Colombia)"],
    );
    let at_once = desk.compose(&Asked { received: NIGHT, ..Asked::new(Language::Es, "n2", Impact::High) });
    is_silent_about(&at_once.text, &["fuera del horario", "lunes a viernes"]);
}

/// Spanish times end in a dot, and so do sentences: one is enough.
#[test]
fn no_sentence_ends_in_two_dots() {
    for desk in [Desk::new(), Desk::with_holidays("")] {
        for received in [MORNING, NIGHT, HOLIDAY] {
            for language in Language::ALL {
                let composed =
                    desk.compose(&Asked { received, ..Asked::new(language, "n2", Impact::Medium) });
                [&composed.text, &composed.html].into_iter().for_each(|part| is_silent_about(part, &[".."]));
            }
        }
    }
}

#[test]
fn a_holiday_on_the_way_is_named() {
    let desk = Desk::new();
    let on = |received, language| {
        desk.compose(&Asked { received, ..Asked::new(language, "n1", Impact::Low) }).text
    };
    let text = on(HOLIDAY, Language::Es);
    says(
        &text,
        &[
            "excepto festivos). El lunes 13 de julio es festivo (Nuestra Señora de Chiquinquirá). El plazo empieza a contar el martes 14 de julio de 2026 a las 8:00 a. m.",
            "A más tardar: el martes 14 de julio de 2026 a las 2:00 p. m.",
        ],
    );
    says(
        &on(HOLIDAY, Language::En),
        &[
            "Monday 13 July is a public holiday (Nuestra Señora de Chiquinquirá). The time starts to count on Tuesday 14 July 2026, 8:00 am.",
        ],
    );
    // Saturday noon: an hour counts, then comes the long weekend.
    says(
        &on("2026-07-11T12:00:00-05:00", Language::Es),
        &["Las horas hábiles son: lunes a viernes", "excepto festivos. El lunes 13 de julio es festivo"],
    );
    is_silent_about(&on(MORNING, Language::Es), &["es festivo"]);
}

#[test]
fn the_other_kinds_say_what_happened() {
    let desk = Desk::new();
    let of = |kind, language, case: bool| {
        let asked = Asked { kind, ..Asked::new(language, "n1", Impact::Medium) };
        desk.compose(&Asked { case: asked.case.clone().filter(|_| case), ..asked })
    };
    for (kind, es, en) in [
        (
            ReplyKind::Unclassified,
            "Lo entendimos así: aún por revisar; mientras un asesor lo lee, lo tratamos como impacto medio Nivel",
            "What we understood: still to be reviewed; until a person has read it, we treat it as medium impact Support",
        ),
        (
            ReplyKind::Late,
            "Respuesta de un asesor: cuanto antes. Le escribimos más tarde de lo debido y el plazo de su nivel ya pasó; su caso queda de primero",
            "Reply from a person: as soon as possible. We are writing later than we should, and the time of your level has already passed; your case goes first",
        ),
        (
            ReplyKind::Raised,
            "Su nuevo mensaje cambia la urgencia del caso ACU-4512: ahora lo atendemos como impacto medio.",
            "Your new message makes case ACU-4512 more urgent: we now treat it as medium impact.",
        ),
        (
            ReplyKind::Reopened,
            "Recibimos su nuevo mensaje y abrimos otra vez el caso ACU-4512.",
            "We have received your new message and opened case ACU-4512 again.",
        ),
    ] {
        for case in [true, false] {
            says(&of(kind, Language::Es, case).text, &[es]);
            says(&of(kind, Language::En, case).text, &[en]);
        }
    }
    let late = of(ReplyKind::Late, Language::Es, true);
    for part in [&late.text, &late.html] {
        is_silent_about(part, &["A más tardar", "2:15", "en el plazo indicado", "horas hábiles"]);
    }
    says(
        &of(ReplyKind::Raised, Language::Es, false).text,
        &["Lo entendimos así: impacto medio Nivel de soporte:"],
    );
}

/// What changed is still said, and no instant that has passed.
#[test]
fn a_case_that_was_there_before_and_is_overdue_is_told_that_it_goes_first() {
    let desk = Desk::new();
    for (kind, language, opening, delay) in [
        (
            ReplyKind::Raised,
            Language::Es,
            "Su nuevo mensaje cambia la urgencia del caso ACU-4512",
            "cuanto antes. El plazo de su caso ya pasó; queda de primero",
        ),
        (
            ReplyKind::Reopened,
            Language::Es,
            "abrimos otra vez el caso ACU-4512",
            "cuanto antes. El plazo de su caso ya pasó; queda de primero",
        ),
        (
            ReplyKind::Raised,
            Language::En,
            "Your new message makes case ACU-4512 more urgent",
            "as soon as possible. The time of your case has already passed; it goes first",
        ),
    ] {
        let yesterday = Some("2026-09-15T18:00:00-05:00");
        let composed =
            desk.compose(&Asked { kind, promised: yesterday, ..Asked::new(language, "n1", Impact::Medium) });
        says(&composed.text, &[opening, delay]);
        for part in [&composed.text, &composed.html] {
            says(part, &[delay]);
            is_silent_about(
                part,
                &[
                    "A más tardar",
                    "That is",
                    "15 de septiembre",
                    "15 September",
                    "hábil",
                    "más tarde de lo debido",
                ],
            );
            is_silent_about(part, &["en el plazo indicado", "stated above", "later than we should"]);
        }
    }
}

#[test]
fn a_range_that_the_deadline_cuts_short_is_not_named() {
    let desk = Desk::new();
    let of = |promised, language| {
        let asked = Asked { kind: ReplyKind::Raised, promised, ..Asked::new(language, "n1", Impact::Medium) };
        desk.compose(&asked).text
    };
    let soon = Some("2026-09-16T09:45:00-05:00");
    says(
        &of(soon, Language::Es),
        &[
            "Respuesta de un asesor: en el plazo que su caso ya tenía A más tardar: el miércoles 16 de septiembre de 2026 a las 9:45 a. m.",
        ],
    );
    says(
        &of(soon, Language::En),
        &["Reply from a person: within the time that your case already had That is: by"],
    );
    is_silent_about(&of(soon, Language::Es), &["entre 3 y 5"]);
    // within the range it stands
    says(
        &of(Some("2026-09-16T13:00:00-05:00"), Language::Es),
        &["entre 3 y 5 horas hábiles", "a la 1:00 p. m."],
    );
}

#[test]
fn a_day_with_hours_of_its_own_is_named() {
    let calendar = include_str!("../../../rules/calendar.toml").to_owned()
        + "\n\"2026-12-24\" = [\"08:00-12:00\"]\n\"2026-12-28\" = []\n";
    let desk = Desk::with(&calendar, include_str!("../../../rules/holidays-co.toml"));
    let on =
        |received, language| desk.compose(&Asked { received, ..Asked::new(language, "n1", Impact::Medium) });
    let eve = on("2026-12-24T15:00:00-05:00", Language::Es);
    for part in [&eve.text, &eve.html] {
        says(
            part,
            &[
                "excepto festivos). El viernes 25 de diciembre es festivo (Navidad). El jueves 24 de diciembre el horario hábil es de 8:00 a. m. a 12:00 del mediodía. El lunes 28 de diciembre no es día hábil. El plazo empieza a contar el sábado 26",
            ],
        );
    }
    says(
        &on("2026-12-26T12:30:00-05:00", Language::Es).text,
        &["Las horas hábiles son: ", "excepto festivos. El lunes 28 de diciembre no es día hábil."],
    );
    says(
        &on("2026-12-26T12:30:00-05:00", Language::En).text,
        &["public holidays excepted. Monday 28 December is not a business day."],
    );
    says(
        &on("2026-12-24T15:00:00-05:00", Language::En).text,
        &["On Thursday 24 December business hours are 8:00 am to 12:00 noon. Monday 28 December is not"],
    );
    is_silent_about(&on(MORNING, Language::Es).text, &["24 de diciembre", "día hábil."]);
}

#[test]
fn an_unknown_sender_learns_which_level_applies_and_why() {
    let asked =
        Asked { known_sender: false, customer_name: None, ..Asked::new(Language::Es, "n1", Impact::High) };
    let text = Desk::new().compose(&asked).text;
    says(
        &text,
        &[
            "Cordial saludo: Recibimos",
            "No encontramos esta dirección entre las de nuestros clientes, así que aplicamos este nivel: Nivel 1 (incluido en todos los servicios). Si tiene otro nivel, escríbanos desde su correo registrado o indique su dominio.",
        ],
    );
}

#[test]
fn the_headers_are_those_of_an_automatic_reply() {
    let asked = Asked {
        references: vec!["q0@ejemplo.example".into()],
        reply_to: Some("soporte+ba.b.k1.abcdefghijklmnopqrstuvwxyz@mihost.example"),
        ..Asked::new(Language::Es, "n1", Impact::Medium)
    };
    let composed = Desk::new().compose(&asked);
    let mail = String::from_utf8(composed.bytes).unwrap();
    let (head, _) = mail.split_once("\r\n\r\n").unwrap();
    insta::assert_snapshot!(head.replace("\r\n", "\n"), @r#"
    Date: Wed, 16 Sep 2026 09:15:00 -0500
    From: =?UTF-8?Q?Atenci=C3=B3n_MiHost?= <soporte@mihost.example>
    To: cliente@ejemplo.example
    Reply-To: soporte+ba.b.k1.abcdefghijklmnopqrstuvwxyz@mihost.example
    Subject: Re: Bloqueo de IP
    Message-ID: <ba.b.k1.abcdefghijklmnopqrstuvwxyz@mihost.example>
    In-Reply-To: <q1@ejemplo.example>
    References: <q0@ejemplo.example> <q1@ejemplo.example>
    Auto-Submitted: auto-replied
    X-Auto-Response-Suppress: OOF, AutoReply, RN, NRN
    Precedence: bulk
    X-Acuse-Loop: ba.b.k1.zyxwvutsrqponmlkjihgfedcba
    Content-Language: es
    MIME-Version: 1.0
    Content-Type: multipart/alternative;
     boundary="=_babk1abcdefghijklmnopqrstuvwxyzmihostexa"
    "#);
}

#[test]
fn the_mail_reads_back_as_it_was_composed() {
    let desk = Desk::new();
    for kind in ReplyKind::ALL {
        for language in Language::ALL {
            let asked =
                Asked {
                    kind, subject: "¿Por qué no carga? ñ…", ..Asked::new(language, "n2", Impact::Low)
                };
            let composed = desk.compose(&asked);
            assert_eq!(composed, desk.compose(&asked), "the same bytes each time (I5)");
            let mail = MessageParser::new().parse(&composed.bytes).unwrap();
            assert_eq!(mail.subject(), Some(composed.subject.as_str()));
            assert_eq!(composed.subject, "Re: ¿Por qué no carga? ñ…");
            let from = mail.from().unwrap().first().unwrap();
            assert_eq!(
                (from.name(), from.address()),
                (Some("Atención MiHost"), Some("soporte@mihost.example"))
            );
            let to = mail.to().unwrap();
            assert_eq!(to.iter().count(), 1);
            assert_eq!(
                (to.first().unwrap().name(), to.first().unwrap().address()),
                (None, Some("cliente@ejemplo.example"))
            );
            assert_eq!(mail.date().unwrap().to_rfc3339(), MORNING);
            assert_eq!(mail.message_id(), Some("ba.b.k1.abcdefghijklmnopqrstuvwxyz@mihost.example"));
            let [outer, text, html] = &mail.parts[..] else { panic!("{} parts", mail.parts.len()) };
            assert!(matches!(outer.body, PartType::Multipart(_)));
            assert_eq!(
                text.text_contents().unwrap().replace("\r\n", "\n").trim_end(),
                composed.text.trim_end()
            );
            assert_eq!(
                html.text_contents().unwrap().replace("\r\n", "\n").trim_end(),
                composed.html.trim_end()
            );
        }
    }
}

#[test]
fn nothing_of_a_hostile_mail_gets_into_ours() {
    let desk = Desk::new();
    let long = "á https://evil.example ".repeat(2_000);
    for subject in [
        "x\r\nBcc: a@evil.example\r\n\r\n<b>hi",
        "\u{202e}evil https://evil.example/x",
        "=?utf-8?Q?=0D=0ABcc:a?=",
        &long,
    ] {
        let composed = desk.compose(&Asked {
            subject,
            in_reply_to: Some("a@b>\r\nBcc: <c@evil.example"),
            references: vec![
                "x\r\ny@z".into(),
                "ok@x.example".into(),
                format!("{}@x", "r".repeat(5_000)),
                "no-at".into(),
            ],
            to: address("", "a,b@ejemplo.example"),
            customer_name: Some("<script>alert(1)</script>\r\nImpacto: alto\u{202e}"),
            ..Asked::new(Language::Es, "n1", Impact::Medium)
        });
        let mail = MessageParser::new().parse(&composed.bytes).unwrap();
        assert!(composed.subject.chars().count() <= 120);
        assert!(!composed.subject.contains("https:") && !composed.subject.contains('\u{202e}'));
        assert_eq!(mail.subject(), Some(composed.subject.as_str()));
        assert!(mail.bcc().is_none() && mail.cc().is_none());
        assert_eq!(mail.to().unwrap().iter().count(), 1);
        assert_eq!(mail.in_reply_to(), &HeaderValue::Empty);
        assert_eq!(mail.references().as_text(), Some("ok@x.example"));
        assert_eq!(mail.parts.len(), 3);
        assert!(composed.html.contains("&lt;script&gt;") && !composed.html.contains("<script>"));
        says(&composed.text, &["Cordial saludo, <script>alert(1)</script> Impacto: alto: Recibimos"]);
        let raw = String::from_utf8(composed.bytes).unwrap();
        assert!(raw.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
        assert!(raw.is_ascii());
    }
}

#[test]
fn a_text_that_fails_after_all_still_says_number_and_promise() {
    let mut desk = Desk::new();
    // Passes every sample, fails with a real number.
    let trap = "{% if number == \"ACU-1042\" %}ok{% else %}{{ number.nothing.more }}{% endif %}";
    let files: Vec<_> = shipped()
        .map(|file| {
            let local = file.name.contains("es/ack.");
            if local { source(&file.name, trap) } else { file }
        })
        .collect();
    desk.templates = Templates::compile(&files, &mut Vec::new()).unwrap();
    let composed = desk.compose(&Asked::new(Language::Es, "n1", Impact::Medium));
    assert_eq!(
        composed.text,
        "Recibimos su mensaje: caso ACU-4512. Le respondemos entre 3 y 5 horas\n\
         hábiles: a más tardar el miércoles 16 de septiembre de 2026 a las 2:15 p. m.\n(hora de Colombia).\n"
    );
    let yesterday = Some("2026-09-15T18:00:00-05:00");
    let late = desk.compose(&Asked { promised: yesterday, ..Asked::new(Language::Es, "n1", Impact::Medium) });
    assert_eq!(late.text, "Recibimos su mensaje: caso ACU-4512. Le respondemos cuanto antes.\n");
    assert!(composed.html.contains("caso ACU-4512"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_they_write_ours_is_one_well_formed_mail_to_one_address(
        subject: String, name: String, local in "[!-;=?-~]{1,64}", id: String,
        references in proptest::collection::vec("\\PC{0,30}@?[!-~]{0,250}", 0..40),
    ) {
        static DESK: std::sync::LazyLock<Desk> = std::sync::LazyLock::new(Desk::new);
        let composed = DESK.compose(&Asked {
            subject: &subject,
            customer_name: Some(&name),
            to: address(&name, &format!("{local}@ejemplo.example")),
            in_reply_to: Some(&id),
            references,
            ..Asked::new(Language::Es, "n1", Impact::Medium)
        });
        let mail = MessageParser::new().parse(&composed.bytes).unwrap();
        prop_assert_eq!(mail.parts.len(), 3);
        let optional = ["In-Reply-To", "References"].iter().filter(|name| mail.header(**name).is_some()).count();
        prop_assert_eq!(mail.headers().len(), 12 + optional);
        prop_assert_eq!(mail.to().unwrap().iter().count(), 1);
        prop_assert_eq!(mail.subject(), Some(composed.subject.as_str()));
        let raw = String::from_utf8(composed.bytes.clone()).unwrap();
        prop_assert!(raw.is_ascii());
        prop_assert!(raw.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
    }
}
