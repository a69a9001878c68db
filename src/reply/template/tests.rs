//! Templates: the shipped ones with every shape of values, and what an operator's own may not do.

use super::*;
use crate::reply::shipped;

/// The shipped texts, with one file's text put in the place of another.
fn with(changes: &[(&str, &str)]) -> Vec<Arc<Source>> {
    let mut files: Vec<Arc<Source>> =
        shipped().filter(|file| !changes.iter().any(|(name, _)| file.name.ends_with(name))).collect();
    files.extend(changes.iter().map(|(name, text)| {
        Arc::new(Source { name: format!("/etc/acuse/rules/replies/{name}"), text: (*text).to_owned() })
    }));
    files
}

/// The one error of a file, as `line:column message` with what its span covers.
fn only_problem(name: &str, text: &str) -> (String, String, Problem) {
    let mut problems = Vec::new();
    assert!(Templates::compile(&with(&[(name, text)]), &mut problems).is_none());
    problems.retain(|problem| problem.severity == Severity::Error);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    let problem = problems.pop().unwrap();
    assert_eq!(problem.source.name, format!("/etc/acuse/rules/replies/{name}"));
    let span = problem
        .span
        .clone()
        .map(|span| problem.source.text.get(span).unwrap().to_owned())
        .unwrap_or_default();
    (problem.message.clone(), span, problem)
}

#[test]
fn the_shipped_texts_compile_without_a_word() {
    let mut problems = Vec::new();
    assert!(Templates::compile(&with(&[]), &mut problems).is_some());
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn an_unknown_name_is_refused_where_it_stands_even_in_a_branch_never_taken() {
    let text = "Caso number:\n{% if number == \"x\" %}{{ numbr }}{% endif %}\n";
    let (message, span, problem) = only_problem("es/ack.txt", text);
    assert_eq!(message, "`numbr` is not a variable of the reply texts");
    assert_eq!(span, "numbr");
    assert_eq!(problem.span.unwrap().start, text.find("numbr").unwrap());
    assert!(problem.hint.unwrap().contains("known_sender, number, out_of_hours"));
}

#[test]
fn an_unknown_part_of_a_holiday_is_refused() {
    let (message, span, _) =
        only_problem("en/late.html", "<p>{{ number }}\n{% for h in holidays %}{{ h.dya }}{% endfor %}</p>");
    assert_eq!(message, "undefined value: `h.dya` is undefined");
    assert_eq!(span, "h.dya");
}

#[test]
fn syntax_unknown_filters_and_missing_includes_are_refused_where_they_stand() {
    let (message, span, _) = only_problem("es/raised.txt", "Hola\n{{ number }\n");
    assert!(message.starts_with("syntax error"), "{message}");
    assert!(span.contains('}'), "{span}");
    let (message, span, _) = only_problem("es/raised.txt", "{{ number|shout }}");
    assert_eq!((message.as_str(), span.as_str()), ("there is no filter `shout`", "shout"));
    let never = "{{ number }}{% if number == \"|x is y\" %}{{ number | upper|shout }}{% endif %}{# a|b #}";
    assert_eq!(only_problem("es/raised.txt", never).1, "shout", "in a branch that no sample takes");
    let never = "{{ number }}{% if number == 'x' and number is not loud %}{% endif %}";
    assert_eq!(only_problem("es/raised.txt", never).0, "there is no test `loud`");
    let (message, _, _) = only_problem("es/raised.txt", "{% include \"es/_nada.txt\" %}");
    assert!(message.contains("es/_nada.txt"), "{message}");
}

#[test]
fn what_a_text_names_itself_is_known_to_it() {
    let text = "{% extends \"es/_frame.txt\" %}{% macro loud(word) %}{{ word|upper }}{% endmacro %}\
        {% block opening %}{% set n = number %}{{ loud(n) }}{% for h in holidays %}{{ h.day }}\
        {% if not loop.last %}, {% endif %}{% endfor %}{% endblock %}\
        {% block closing %}{{ super() }}{% endblock %}";
    let mut problems = Vec::new();
    assert!(Templates::compile(&with(&[("es/ack.txt", text)]), &mut problems).is_some(), "{problems:#?}");
}

/// Most sites have neither a telephone nor a chat when they begin.
#[test]
fn what_fails_only_without_channels_is_refused() {
    for text in [
        "{{ number }}{% if not (phone or phone_with_case or chat) %}{{ number.at.all }}{% endif %}",
        "{{ number }}{% if not (always_by or business_by) %}{{ number.at.all }}{% endif %}",
        "{{ number }}{% if overdue %}{{ number.at.all }}{% endif %}",
    ] {
        assert!(only_problem("es/ack.txt", text).0.contains("undefined"), "{text}");
    }
}

/// Both parts of a text replaced by this one, and what is said of it.
fn told(kind: &str, text: &str) -> (bool, Vec<(Severity, String)>) {
    let (txt, html) = (format!("es/{kind}.txt"), format!("es/{kind}.html"));
    let mut problems = Vec::new();
    let made = Templates::compile(&with(&[(&txt, text), (&html, text)]), &mut problems).is_some();
    (made, problems.into_iter().map(|problem| (problem.severity, problem.message)).collect())
}

#[test]
fn a_value_that_is_missing_is_never_the_word_none() {
    let asked = "{{ number }} {{ due }}";
    for text in ["{{ customer_name|title }}", "{{ case|upper }}", "{{ \"Tel. \" ~ phone }}"] {
        let (made, problems) = told("ack", &format!("{asked} {text}"));
        assert!(!made && problems[0].1.contains("says \"none\""), "{text}: {problems:?}");
    }
    let guarded = "{% if customer_name %}{{ customer_name|title }}{% endif %}";
    assert_eq!(told("ack", &format!("{asked} {guarded}")), (true, vec![]));
    assert_eq!(told("ack", &format!("{asked} None of your data is lost.")), (true, vec![]));
}

#[test]
fn a_text_says_something_and_until_when() {
    let (made, problems) = told("ack", " {# later #} ");
    assert!(!made && problems.iter().all(|(_, message)| message == "this text is empty"), "{problems:?}");
    let (made, problems) = told("ack", "{{ number }}: {{ reply_within }}");
    assert!(made, "{problems:?}");
    let (severity, message) = &problems[0];
    assert_eq!(*severity, Severity::Warning);
    assert_eq!(message, "this text does not always say until when a person answers");
    assert_eq!(told("late", "{{ number }}, cuanto antes"), (true, vec![]), "its promise is past");
}

#[test]
fn a_block_that_the_frame_has_not_is_refused_with_those_it_has() {
    let text = "{% extends \"es/_frame.txt\" %}\n{%- block opning %}Hola{% endblock %}";
    let (message, span, problem) = only_problem("es/ack.txt", text);
    assert_eq!(message, "the text that this one extends has no block `opning`");
    assert_eq!(span, "opning");
    let hint = problem.hint.unwrap();
    assert!(hint.starts_with("did you mean `opening`? its blocks are closing, delay, opening, "), "{hint}");
    let nested =
        "{% extends \"es/_frame.txt\" %}{% block opening %}{% block mine %}Hola{% endblock %}{% endblock %}";
    let mut problems = Vec::new();
    Templates::compile(&with(&[("es/ack.txt", nested)]), &mut problems).unwrap();
    assert!(problems.iter().all(|problem| problem.severity == Severity::Warning), "{problems:#?}");
    let (_, _, problem) =
        only_problem("es/ack.txt", "{% extends \"_frame.txt\" %}{% block opening %}{% endblock %}");
    assert!(problem.hint.unwrap().contains("es/_frame.txt"));
}

#[test]
fn a_file_in_the_wrong_place_is_told_where_it_belongs() {
    for (name, hint) in [
        ("ES/ack.txt", "call it es/ack.txt"),
        ("es/ack.TXT", "call it es/ack.txt"),
        ("fr/ack.txt", "replies/es/ or replies/en/"),
        ("fr/_frame.txt", "replies/es/ or replies/en/"),
        ("replies/ack.txt", "replies/es/ or replies/en/"),
        ("es/ack.md", "each as .txt and as .html"),
    ] {
        let mut problems = Vec::new();
        let source = Source { name: format!("/etc/acuse/rules/replies/{name}"), text: String::new() };
        let files: Vec<_> = shipped().chain([Arc::new(source)]).collect();
        assert!(Templates::compile(&files, &mut problems).is_some(), "{problems:#?}");
        let [problem] = &problems[..] else { panic!("{name}: {problems:#?}") };
        assert_eq!(problem.message, "no reply uses this file");
        assert!(problem.hint.as_ref().unwrap().contains(hint), "{name}: {:?}", problem.hint);
    }
}

#[test]
fn a_text_that_never_ends_is_refused() {
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{{ number }}{% endfor %}{% endfor %}";
    let (message, _, _) = only_problem("en/ack.txt", endless);
    assert!(message.contains("fuel"), "{message}");
    let (message, _, _) = only_problem("en/ack.txt", "{% include \"en/ack.txt\" %}");
    assert!(
        message.contains("recursion") || message.contains("include") || message.contains("fuel"),
        "{message}"
    );
}

#[test]
fn a_missing_file_and_a_misspelt_one_are_told() {
    let mut files = with(&[("es/akc.txt", "Hola")]);
    files.retain(|file| !file.name.ends_with("es/ack.txt"));
    let mut problems = Vec::new();
    assert!(Templates::compile(&files, &mut problems).is_none());
    let told: Vec<_> =
        problems.iter().map(|p| (p.severity, p.source.name.as_str(), p.message.as_str())).collect();
    assert_eq!(
        told,
        [
            (Severity::Error, "rules/replies/es/ack.txt", "this reply text is missing"),
            (Severity::Warning, "/etc/acuse/rules/replies/es/akc.txt", "no reply uses this file"),
        ]
    );
    problems.clear();
    assert!(Templates::compile(&[], &mut problems).is_none());
    assert_eq!(problems.len(), 20);
}

#[test]
fn a_text_that_may_leave_the_number_out_is_worth_a_look() {
    let text = "Su caso{% if customer_name %}: {{ number }}{% endif %}";
    let mut problems = Vec::new();
    let both = [("es/late.txt", text), ("es/late.html", "{{ number }}")];
    assert!(Templates::compile(&with(&both), &mut problems).is_some());
    let [problem] = &problems[..] else { panic!("{problems:#?}") };
    assert_eq!(problem.severity, Severity::Warning);
    assert_eq!(problem.message, "this text does not always say the case number");
}

#[test]
fn a_fault_in_a_shared_part_is_told_of_that_part_and_once() {
    let text = "{% block opening %}{% endblock %}{{ number }}\n{{ plan|nowhere }}";
    let (message, _, problem) = only_problem("es/_frame.txt", text);
    assert!(message.contains("nowhere"), "{message}");
    assert_eq!(problem.span.unwrap().start, text.find("nowhere").unwrap());
}

#[test]
fn of_two_files_of_one_name_the_later_stands() {
    let mut files: Vec<_> = shipped().collect();
    let text = "{{ number }}, a su servicio.".to_owned();
    files.push(Arc::new(Source { name: "/etc/acuse/rules/replies/es/ack.txt".to_owned(), text }));
    let templates = Templates::compile(&files, &mut Vec::new()).unwrap();
    let sample = &Variables::samples(Language::Es)[0];
    let render = |language| templates.render(ReplyKind::Ack, language, Format::Text, sample).unwrap();
    assert_eq!(render(Language::Es), "ACU-1042, a su servicio.");
    assert!(render(Language::En).starts_with("Hello María Pérez,"));
}

#[test]
fn html_escapes_what_it_is_given_and_text_does_not() {
    let templates = Templates::compile(&with(&[]), &mut Vec::new()).unwrap();
    let mut variables = Variables::samples(Language::Es).remove(0);
    variables.customer_name = Some("<b>O'Hara & \"Hijos\"</b>".to_owned());
    let html = templates.render(ReplyKind::Ack, Language::Es, Format::Html, &variables).unwrap();
    assert!(
        html.contains("Cordial saludo, &lt;b&gt;O&#x27;Hara &amp; &quot;Hijos&quot;&lt;&#x2f;b&gt;:"),
        "{html}"
    );
    assert!(!html.contains("<b>"));
    let text = templates.render(ReplyKind::Ack, Language::Es, Format::Text, &variables).unwrap();
    assert!(text.starts_with("Cordial saludo, <b>O'Hara & \"Hijos\"</b>:\n"));
}

#[test]
fn the_readme_lists_every_variable_and_no_other() {
    let readme = include_str!("../../../rules/README.md");
    let section = readme.split("## Reply texts").nth(1).unwrap().split("\n## ").next().unwrap();
    let listed: BTreeSet<String> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(listed, Variables::names());
}

#[test]
fn what_there_is_not_is_not_written() {
    let text = "Hola {{ customer_name }}: {{ number }}";
    let files = with(&[("es/ack.txt", text), ("es/ack.html", text)]);
    let templates = Templates::compile(&files, &mut Vec::new()).unwrap();
    let written = templates.texts.get_template("es/ack.txt").unwrap();
    let values = minijinja::context! { customer_name => None::<&str>, number => "ACU-1" };
    assert_eq!(written.render(values).unwrap(), "Hola : ACU-1");
}

#[test]
fn one_part_replaced_alone_is_worth_a_look() {
    let mut problems = Vec::new();
    assert!(Templates::compile(&with(&[("es/late.txt", "Caso {{ number }}")]), &mut problems).is_some());
    let [problem] = &problems[..] else { panic!("{problems:#?}") };
    assert_eq!(problem.severity, Severity::Warning);
    assert!(
        problem.message.contains("HTML part") && problem.source.name.ends_with("es/late.txt"),
        "{problem}"
    );
}
