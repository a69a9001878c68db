//! The reply texts: compiled once, every name in them checked, every one tried before it is ever sent.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::{ReplyKind, words};
use crate::problem::{Problem, Severity, Source};
use crate::ticket::{Impact, Language};

/// Steps that one text may take; ours take some three hundred.
const FUEL: u64 = 20_000;

/// The two parts of an acknowledgement, by the suffix of their file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `.txt`
    Text,
    /// `.html`: every variable is escaped.
    Html,
}

impl Format {
    const ALL: [Self; 2] = [Self::Text, Self::Html];

    fn suffix(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Html => "html",
        }
    }
}

/// The compiled texts of `replies/{es,en}/{kind}.{txt,html}`.
#[derive(Debug)]
pub struct Templates {
    texts: Environment<'static>,
}

/// What a reply text may name. `rules/README.md` describes each to operators.
#[derive(Debug, Clone, Serialize)]
pub struct Variables {
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
    /// `por ticket y por correo`: the channels that need no opening hours.
    pub always_by: String,
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
pub struct Holiday {
    /// `lunes 13 de julio`.
    pub day: String,
    /// `Nuestra Señora de Chiquinquirá`.
    pub name: String,
}

impl Templates {
    /// Compiles the files, named `es/ack.txt` and so on in their `Source`s' last two path parts; those that begin with
    /// `_` are for others to include or extend. Of two files of one name the later stands. A missing file, an unknown variable or a syntax error is a problem;
    /// `None` when one is an error.
    pub fn compile(files: &[Arc<Source>], problems: &mut Vec<Problem>) -> Option<Self> {
        let mut texts = Environment::new();
        texts.set_undefined_behavior(UndefinedBehavior::Strict);
        texts.set_fuel(Some(FUEL));
        texts.set_debug(true); // errors know their place in the file
        let sources: BTreeMap<&str, &Arc<Source>> =
            files.iter().map(|file| (key(&file.name), file)).collect();

        let mut found: Vec<Problem> = Vec::new();
        for (key, source) in &sources {
            if let Err(error) = texts.add_template_owned((*key).to_owned(), source.text.clone()) {
                found.push(located(&error, source));
            }
        }
        found.extend(missing_files(files, &sources));
        found.extend(stray_files(&sources));
        found.extend(unknown_names(&texts, &sources));
        let templates = Self { texts };
        if !found.iter().any(|problem| problem.severity == Severity::Error) {
            found.extend(templates.try_all(&sources));
        }
        let usable = !found.iter().any(|problem| problem.severity == Severity::Error);
        problems.append(&mut found);
        usable.then_some(templates)
    }

    /// Fills a text in.
    ///
    /// # Errors
    /// What a text does with its variables may fail even after it was tried: nothing is promised beyond [`FUEL`].
    pub fn render(
        &self,
        kind: ReplyKind,
        language: Language,
        format: Format,
        variables: &Variables,
    ) -> Result<String, minijinja::Error> {
        self.texts.get_template(&file_name(kind, language, format))?.render(Serde(variables))
    }

    /// Renders every text with every shape of variables; one problem per place and message.
    fn try_all(&self, sources: &BTreeMap<&str, &Arc<Source>>) -> Vec<Problem> {
        let mut seen = BTreeSet::new();
        let mut problems = Vec::new();
        for (kind, language, format) in every_text() {
            for sample in Variables::samples(language) {
                let Err(error) = self.render(kind, language, format, &sample) else { continue };
                let key = error.name().map_or_else(|| file_name(kind, language, format), str::to_owned);
                let Some(source) = sources.get(key.as_str()) else { continue };
                if seen.insert((key, error.line(), error.to_string())) {
                    problems.push(located(&error, source));
                }
            }
        }
        problems
    }
}

fn every_text() -> impl Iterator<Item = (ReplyKind, Language, Format)> {
    Language::ALL.into_iter().flat_map(|language| {
        ReplyKind::ALL
            .into_iter()
            .flat_map(move |kind| Format::ALL.into_iter().map(move |format| (kind, language, format)))
    })
}

/// `es/ack.txt`.
fn file_name(kind: ReplyKind, language: Language, format: Format) -> String {
    format!("{}/{}.{}", language.as_str(), kind.as_str(), format.suffix())
}

/// The last two parts of a path.
fn key(path: &str) -> &str {
    path.rmatch_indices('/').nth(1).and_then(|(slash, _)| path.get(slash + 1..)).unwrap_or(path)
}

fn missing_files<'a>(
    files: &'a [Arc<Source>],
    sources: &'a BTreeMap<&str, &Arc<Source>>,
) -> impl Iterator<Item = Problem> + 'a {
    let folder = files.first().and_then(|file| file.name.strip_suffix(key(&file.name))).unwrap_or("replies/");
    every_text().map(|(kind, language, format)| file_name(kind, language, format)).filter_map(move |name| {
        (!sources.contains_key(name.as_str())).then(|| Problem {
            source: Arc::new(Source { name: format!("{folder}{name}"), text: String::new() }),
            span: None,
            severity: Severity::Error,
            message: "this reply text is missing".to_owned(),
            hint: Some("every reply needs its .txt and its .html in both languages".to_owned()),
        })
    })
}

/// A file that nothing will ever read is most likely a misspelt one.
fn stray_files<'a>(sources: &'a BTreeMap<&str, &Arc<Source>>) -> impl Iterator<Item = Problem> + 'a {
    let known: BTreeSet<String> =
        every_text().map(|(kind, language, format)| file_name(kind, language, format)).collect();
    sources.iter().filter(move |(key, _)| !known.contains(**key) && !key.contains("/_")).map(|(_, source)| {
        Problem {
            source: Arc::clone(source),
            span: None,
            severity: Severity::Warning,
            message: "no reply uses this file".to_owned(),
            hint: Some(format!(
                "the replies are {}; a part that they share begins with `_`",
                ReplyKind::ALL.map(ReplyKind::as_str).join(", ")
            )),
        }
    })
}

/// Names that no reply has, in whatever branch of the text: trying it would miss those it does not take.
fn unknown_names(texts: &Environment<'_>, sources: &BTreeMap<&str, &Arc<Source>>) -> Vec<Problem> {
    let variables = Variables::names();
    let globals: BTreeSet<&str> = texts.globals().map(|(name, _)| name).collect();
    let mut problems = Vec::new();
    for (key, source) in sources {
        let Ok(template) = texts.get_template(key) else { continue };
        let used: BTreeSet<String> = template.undeclared_variables(false).into_iter().collect();
        for name in used {
            if variables.contains(&name)
                || globals.contains(name.as_str())
                || name == "super"
                || name == "self"
            {
                continue;
            }
            problems.push(Problem {
                source: Arc::clone(source),
                span: word(&source.text, &name),
                severity: Severity::Error,
                message: format!("`{name}` is not a variable of the reply texts"),
                hint: Some(format!(
                    "the variables are {}",
                    variables.iter().cloned().collect::<Vec<_>>().join(", ")
                )),
            });
        }
    }
    problems
}

/// Where a name first stands inside `{{ }}` or `{% %}`.
fn word(text: &str, name: &str) -> Option<Range<usize>> {
    let part_of_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(name).map(|(start, _)| start..start + name.len()).find(|span| {
        let (before, after) = (text.get(..span.start).unwrap_or(""), text.get(span.end..).unwrap_or(""));
        let inside = before.rfind('{').is_some_and(|open| !before.get(open..).unwrap_or("").contains('}'));
        inside && !part_of_name(before.chars().next_back()) && !part_of_name(after.chars().next())
    })
}

fn located(error: &minijinja::Error, source: &Arc<Source>) -> Problem {
    let line = || {
        let number = error.line()?;
        let start: usize =
            source.text.split_inclusive('\n').take(number.saturating_sub(1)).map(str::len).sum();
        let length = source.text.get(start..)?.lines().next()?.len();
        Some(start..start + length)
    };
    Problem {
        source: Arc::clone(source),
        span: error.range().filter(|range| source.text.get(range.clone()).is_some()).or_else(line),
        severity: Severity::Error,
        message: match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        },
        hint: Some("rules/README.md lists what a reply text may use".to_owned()),
    }
}

impl Variables {
    /// The names that a text may use.
    pub fn names() -> BTreeSet<String> {
        Self::samples(Language::Es)
            .first()
            .and_then(|sample| Value::from(Serde(sample)).try_iter().ok())
            .into_iter()
            .flatten()
            .map(|name| name.to_string())
            .collect()
    }

    /// Variables of every shape: each impact and each kind of plan, with all that may be there and with nothing.
    fn samples(language: Language) -> Vec<Self> {
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
            always_by: say("por ticket y por correo", "by ticket and e-mail"),
            business_by: None,
            around_the_clock: false,
            phone: None,
            phone_with_case: None,
            chat: None,
            remote: false,
        };
        let phone = Some("+57 601 555 0100".to_owned());
        let chat = Some("chat.mihost.example".to_owned());
        let by = Some(say("por chat y por teléfono", "by chat and phone"));
        let plans = [
            Self { phone_with_case: phone.clone(), ..full.clone() },
            Self { phone: phone.clone(), chat: chat.clone(), business_by: by.clone(), ..full.clone() },
            Self { phone, business_by: by.clone(), ..full.clone() },
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
            ..plan.clone()
        };
        let impacts = Impact::ALL.map(|impact| words::impact(impact, language));
        plans
            .iter()
            .flat_map(|plan| [plan.clone(), Self { out_of_hours: false, ..plan.clone() }, bare(plan)])
            .flat_map(|sample| impacts.map(|impact| Self { impact, ..sample.clone() }))
            .collect()
    }
}

#[cfg(test)]
mod tests;
