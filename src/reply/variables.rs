//! What a reply text may name, as `rules/README.md` describes it to operators, and samples to try the texts with.

use std::collections::BTreeSet;

use minijinja::value::{Serde, Value};
use serde::Serialize;

use super::words;
use crate::ticket::{Impact, Language};

/// What a reply text may name; a text that names anything else is refused.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Variables {
    /// `[support] name`.
    pub company: String,
    /// The address of ours that the customer wrote to.
    pub support_address: String,
    /// `[support] help_url`.
    pub help_url: Option<String>,
    /// `ACU-1042`.
    pub number: String,
    /// From the directory, never from the mail (I8).
    pub customer_name: Option<String>,
    /// Whether the directory knows the sender.
    pub known_sender: bool,
    /// `alto`, `medio`, `bajo`; `high`, `medium`, `low`.
    pub impact: &'static str,
    /// The case's label; none when unclassified.
    pub case: Option<String>,
    /// The plan's name.
    pub plan: String,
    /// The promise: `entre 3 y 5 horas hábiles`.
    pub reply_within: String,
    /// Whether the promise is past already: nothing names an instant then.
    pub overdue: bool,
    /// Whether the promise is *less than* rather than *at most*.
    pub strict: bool,
    /// `miércoles 16 de septiembre de 2026 a las 2:15 p. m.`
    pub due: String,
    /// `2026-09-16T14:15:00-05:00`.
    pub due_iso: String,
    /// `hora de Colombia`.
    pub zone: String,
    /// `lunes a viernes de …, excepto festivos`, when the promise is in business hours.
    pub business_hours: Option<String>,
    /// Whether the mail came outside them, so that the clock starts later.
    pub out_of_hours: bool,
    /// When the clock starts, as `due`.
    pub clock_starts: String,
    /// The holidays between the mail and the promise.
    pub holidays: Vec<Holiday>,
    /// The days between them whose hours are not the week's.
    pub special_days: Vec<SpecialDay>,
    /// `por ticket y por correo`: the channels that need no opening hours.
    pub always_by: Option<String>,
    /// `por chat y por teléfono (+57 …)`: those of business hours.
    pub business_by: Option<String>,
    /// Whether the plan promises around the clock whatever the impact.
    pub around_the_clock: bool,
    /// The telephone, when the plan has it.
    pub phone: Option<String>,
    /// The telephone, when the plan has it for open cases only.
    pub phone_with_case: Option<String>,
    /// The chat, when the plan has it.
    pub chat: Option<String>,
    /// Whether the plan includes remote assistance.
    pub remote: bool,
}

/// One holiday of [`Variables::holidays`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Holiday {
    /// `lunes 13 de julio`.
    pub day: String,
    /// `Nuestra Señora de Chiquinquirá`.
    pub name: String,
}

/// One day of [`Variables::special_days`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct SpecialDay {
    /// `jueves 24 de diciembre`.
    pub day: String,
    /// `de 8:00 a. m. a 12:00 del mediodía`; none on a day that is closed.
    pub hours: Option<String>,
}

impl Variables {
    /// The names that a text may use.
    pub(super) fn names() -> BTreeSet<String> {
        Self::samples(Language::Es)
            .first()
            .and_then(|sample| Value::from(Serde(sample)).try_iter().ok())
            .into_iter()
            .flatten()
            .map(|name| name.to_string())
            .collect()
    }

    /// Variables of every shape: each impact and each kind of plan, with all that may be there and with nothing.
    pub(super) fn samples(language: Language) -> Vec<Self> {
        let say = |es: &str, en: &str| if language == Language::Es { es.to_owned() } else { en.to_owned() };
        let due = say(
            "miércoles 16 de septiembre de 2026 a las 2:15 p. m.",
            "Wednesday 16 September 2026, 2:15 pm",
        );
        let full = Self {
            company: "MiHost".to_owned(),
            support_address: "soporte@mihost.example".to_owned(),
            help_url: Some("https://ayuda.mihost.example".to_owned()),
            number: "ACU-1042".to_owned(),
            customer_name: Some("María Pérez".to_owned()),
            known_sender: true,
            impact: "",
            case: Some(say("bloqueo de IP en el firewall", "IP address blocked by the firewall")),
            plan: say("Nivel 1", "Level 1"),
            reply_within: say("entre 3 y 5 horas hábiles", "between 3 and 5 business hours"),
            overdue: false,
            strict: false,
            due: due.clone(),
            due_iso: "2026-09-16T14:15:00-05:00".to_owned(),
            zone: say("hora de Colombia", "Colombia time"),
            business_hours: Some(say("lunes de 8:00 a. m. a 6:00 p. m.", "Monday 8:00 am to 6:00 pm")),
            out_of_hours: true,
            clock_starts: due,
            holidays: vec![Holiday {
                day: say("lunes 13 de julio", "Monday 13 July"),
                name: "Chiquinquirá".to_owned(),
            }],
            special_days: [Some(say("de 8:00 a. m. a 1:00 p. m.", "8:00 am to 1:00 pm")), None]
                .map(|hours| SpecialDay { day: say("jueves 24 de diciembre", "Thursday 24 December"), hours })
                .to_vec(),
            always_by: Some(say("por ticket y por correo", "ticket and e-mail")),
            business_by: None,
            around_the_clock: false,
            phone: None,
            phone_with_case: None,
            chat: None,
            remote: false,
        };
        let phone = Some("+57 601 555 0100".to_owned());
        let chat = Some("chat.mihost.example".to_owned());
        let by = Some(say("por chat y por teléfono", "chat and phone"));
        let plans = [
            full.clone(), // a site without telephone and chat
            Self { always_by: None, ..full.clone() },
            Self { phone_with_case: phone.clone(), ..full.clone() },
            Self { phone: phone.clone(), chat: chat.clone(), business_by: by.clone(), ..full.clone() },
            Self { phone, business_by: by.clone(), always_by: None, ..full.clone() },
            Self {
                chat,
                business_by: by,
                strict: true,
                around_the_clock: true,
                remote: true,
                ..full.clone()
            },
        ];
        let bare = |plan: &Self| Self {
            help_url: None,
            customer_name: None,
            known_sender: false,
            case: None,
            business_hours: None,
            out_of_hours: false,
            holidays: Vec::new(),
            special_days: Vec::new(),
            ..plan.clone()
        };
        let impacts = Impact::ALL.map(|impact| words::impact(impact, language));
        plans
            .iter()
            .flat_map(|plan| {
                let in_hours = Self { out_of_hours: false, ..plan.clone() };
                let overdue = Self { overdue: true, ..plan.clone() };
                [plan.clone(), in_hours, overdue, bare(plan)]
            })
            .flat_map(|sample| impacts.map(|impact| Self { impact, ..sample.clone() }))
            .collect()
    }
}
