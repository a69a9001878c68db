use proptest::prelude::*;

use super::*;
use crate::problem::report;

const CASES: &str = r#"
[[case]]
id = "outage"
impact = "high"
manual = "sitio caído"
label = { es = "Caída", en = "Outage" }
[[case]]
id = "attack"
impact = "high"
label = { es = "Ataque", en = "Attack" }
[[case]]
id = "data-loss"
impact = "medium"
label = { es = "Pérdida", en = "Loss" }
[[case]]
id = "access"
impact = "low"
label = { es = "Acceso", en = "Access" }
"#;

const WORDS: &str = r#"
servicio = ["servidor", "sitio", "página web", "<host>"]
caido = ["caid*", "down"]
"#;

const CONTEXTS: &str = r#"
[[context]]
id = "resolved"
any = ["ya funciona", "quedo solucionado"]
unless = ["pero ahora"]
"#;

fn source(name: &str, text: &str) -> Arc<Source> {
    Arc::new(Source { name: name.into(), text: text.into() })
}

fn files(rules: &str, local: &[&str]) -> RuleFiles {
    let local_name = |(i, text): (usize, &&str)| source(&format!("local/{i}.toml"), text);
    RuleFiles {
        cases: source("rules/cases.toml", CASES),
        words: source("rules/words.toml", WORDS),
        contexts: source("rules/contexts.toml", CONTEXTS),
        rules: vec![source("rules/high.toml", rules)],
        local: local.iter().enumerate().map(local_name).collect(),
    }
}

fn compile(rules: &str, local: &[&str]) -> RuleSet {
    let mut problems = Vec::new();
    let set = RuleSet::compile(&files(rules, local), &mut problems);
    set.unwrap_or_else(|| panic!("{}", report(&problems, false)))
}

fn refused(rules: &str, local: &[&str]) -> String {
    let mut problems = Vec::new();
    assert!(RuleSet::compile(&files(rules, local), &mut problems).is_none(), "accepted: {rules}");
    report(&problems, false)
}

/// One rule with these phrases.
fn one_rule(phrases: &[&str]) -> RuleSet {
    compile(&format!("[[rule]]\nid = \"r\"\ncase = \"outage\"\nany = {phrases:?}\nyes = [\"x\"]\n"), &[])
}

fn body(text: &str) -> Text<'_> {
    Text { subject: None, own_text: text, attachments: &[] }
}

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

#[test]
fn negated_matches_do_not_count_unless_the_rule_says_so() {
    let rule = |more: &str| {
        compile(
            &format!("[[rule]]\nid = \"r\"\ncase = \"access\"\nany = [\"clave\"]\nyes = [\"clave\"]\n{more}"),
            &[],
        )
    };
    let verdict = rule("").evaluate(&body("No es la clave."));
    assert_eq!(verdict.rule, None);
    assert_eq!(verdict.set_aside, [SetAside { rule: "r".into(), because: "negated".into() }]);
    assert_eq!(rule("negatable = false").evaluate(&body("No es la clave.")).rule.as_deref(), Some("r"));
    // One mention that stands is enough.
    let text = "No es la clave del correo. Es la clave de FTP.";
    let verdict = rule("").evaluate(&body(text));
    assert_eq!(Some(verdict.matches[0].start), text.rfind("clave"));
    assert_eq!(rule("").evaluate(&body("no puedo cambiar la clave")).rule.as_deref(), Some("r"));
}

#[test]
fn unless_and_contexts_set_aside() {
    let set = compile(
        r#"
        [[rule]]
        id = "down"
        case = "outage"
        any = ["se cayo"]
        unless = ["cayo el internet"]
        silenced_by = ["resolved"]
        yes = ["se cayó"]
        "#,
        &[],
    );
    let because = |text: &str| set.evaluate(&body(text)).set_aside.first().map(|aside| aside.because.clone());
    assert_eq!(because("Se cayó el internet").as_deref(), Some("unless \"cayo el internet\""));
    assert_eq!(because("Se cayó. Ya funciona.").as_deref(), Some("silenced by resolved"));
    assert_eq!(because("Se cayó. Ya funciona. Pero ahora otra vez."), None);
}

const BEATS: &str = r#"
[[rule]]
id = "a"
case = "outage"
any = ["alfa"]
yes = ["alfa"]
[[rule]]
id = "b"
case = "data-loss"
any = ["beta"]
beats = ["a"]
yes = ["beta"]
[[rule]]
id = "c"
case = "access"
any = ["gama"]
beats = ["b"]
yes = ["gama"]
"#;

#[test]
fn a_standing_rule_beats_and_a_beaten_one_does_not() {
    let set = compile(BEATS, &[]);
    let rule = |text: &str| set.evaluate(&body(text)).rule;
    assert_eq!(rule("alfa").as_deref(), Some("a"));
    assert_eq!(rule("alfa beta").as_deref(), Some("b"), "the specific rule wins over a higher impact");
    assert_eq!(rule("alfa beta gama").as_deref(), Some("a"), "c beats b, so b does not beat a");
    let verdict = set.evaluate(&body("alfa beta"));
    assert_eq!(verdict.set_aside, [SetAside { rule: "a".into(), because: "beaten by b".into() }]);
}

#[test]
fn the_highest_impact_decides_and_then_the_first_in_the_files() {
    let set = compile(
        r#"
        [[rule]]
        id = "low"
        case = "access"
        any = ["clave"]
        yes = ["clave"]
        [[rule]]
        id = "attack"
        case = "attack"
        any = ["virus"]
        yes = ["virus"]
        [[rule]]
        id = "down"
        case = "outage"
        any = ["caid*"]
        yes = ["caído"]
        "#,
        &[],
    );
    let verdict = set.evaluate(&body("Clave, caído, virus, virus."));
    assert_eq!((verdict.impact, verdict.case.as_deref()), (Some(Impact::High), Some("attack")));
    let rules: Vec<&str> = verdict.matches.iter().map(|found| found.rule.as_str()).collect();
    assert_eq!(rules, ["attack", "down", "low"], "each phrase once, the deciding rule's first");
}

#[test]
fn where_narrows_the_fields() {
    let set = compile(
        "[[rule]]\nid = \"r\"\ncase = \"access\"\nany = [\"clave\"]\nyes = [\"clave_nueva.pdf\"]\nwhere = [\"attachments\"]",
        &[],
    );
    assert!(set.evaluate(&body("clave")).rule.is_none());
    let text = Text { subject: Some("clave"), own_text: "", attachments: &["x.pdf", "mi clave.pdf"] };
    let verdict = set.evaluate(&text);
    assert_eq!((verdict.matches[0].start, verdict.matches[0].end), (3, 8));
    assert_eq!(set.run_examples().len(), 0);
}

#[test]
fn a_verdict_has_the_keys_that_programs_rely_on() {
    let verdict = one_rule(&["{servicio} ..5 {caido}"]).evaluate(&Text {
        subject: Some("Ayuda ☎ señores"),
        own_text: "🙂 Ñoño: el sitio está cai\u{301}do!",
        attachments: &[],
    });
    insta::assert_json_snapshot!(verdict, @r#"
    {
      "impact": "high",
      "rule": "r",
      "case": "outage",
      "matches": [
        {
          "rule": "r",
          "impact": "high",
          "phrase": "{servicio} ..5 {caido}",
          "field": "own_text",
          "text": "sitio está caído",
          "start": 11,
          "end": 28
        }
      ],
      "set_aside": []
    }
    "#);
    let back: Verdict = serde_json::from_str(&serde_json::to_string(&verdict).unwrap()).unwrap();
    assert_eq!(back, verdict);
}

#[test]
fn local_files_add_extend_disable_and_adjust() {
    let local = r#"
        [words]
        servicio = ["vps"]
        panel = ["cpanel"]
        [[case]]
        id = "data-loss"
        impact = "high"
        [[rule]]
        id = "panel"
        case = "access"
        any = ["{panel}"]
        yes = ["cPanel"]
        [[extend]]
        rule = "a"
        any = ["{servicio} alfa"]
        yes = ["vps alfa"]
        [[disable]]
        rule = "c"
    "#;
    let mut problems = Vec::new();
    let set = RuleSet::compile(&files(BEATS, &[local]), &mut problems).unwrap();
    insta::assert_snapshot!(report(&problems, false), @r#"
    warning: the case `data-loss` is high here, medium in the manual
     --> local/0.toml:7:18
      |
    7 |         impact = "high"
      |                  ^^^^^^
    "#);
    let ids: Vec<(&str, Impact)> = set.rules().map(|rule| (rule.id, rule.impact)).collect();
    assert_eq!(ids, [("a", Impact::High), ("b", Impact::High), ("panel", Impact::Low)]);
    assert_eq!(set.evaluate(&body("alfa beta gama")).rule.as_deref(), Some("b"));
    assert_eq!(set.rules().next().unwrap().phrases, ["alfa", "{servicio} alfa"]);
    assert_eq!(set.case("data-loss").map(|case| case.label.en.as_str()), Some("Loss"));
    assert!(set.run_examples().is_empty());
}

#[test]
fn examples_are_judged_by_the_whole_policy() {
    let set = compile(
        &BEATS.replace(
            "yes = [\"alfa\"]",
            "yes = [\"alfa\", \"alfa beta\", \"omega\"]\nno = [\"un alfa\", \"x\"]",
        ),
        &[],
    );
    let failures: Vec<String> =
        set.run_examples().iter().map(|failure| failure.problem.to_string()).collect();
    insta::assert_snapshot!(failures.join("\n\n"), @r#"
    error: this line comes out as `data-loss`, not as `outage`
     --> rules/high.toml:6:16
      |
    6 | yes = ["alfa", "alfa beta", "omega"]
      |                ^^^^^^^^^^^
    hint: `a` matches but is set aside: beaten by b

    error: this line comes out as nothing, not as `outage`
     --> rules/high.toml:6:29
      |
    6 | yes = ["alfa", "alfa beta", "omega"]
      |                             ^^^^^^^
    hint: no phrase of `a` matches; add one

    error: this line comes out as `outage`
     --> rules/high.toml:7:7
      |
    7 | no = ["un alfa", "x"]
      |       ^^^^^^^^^
    hint: `a` decides by "alfa"; narrow it, or add an `unless`
    "#);
}

#[test]
fn every_problem_is_reported_at_once() {
    let rules = r#"
[[rule]]
id = "one"
case = "outaje"
any = ["{servisio} caido", "  ", "[x]", "a | b", "..3 x", "~corto", "x ..99 y", "<hots>", "y & ", "(a|b)"]
silenced_by = ["resolve"]
beats = ["onee", "tow"]
colour = "red"
wher = ["subject"]

[[rule]]
id = "one"
case = "outage"
any = ["x"]
yes = ["x"]

[[rule]]
id = "two"
case = "outage"
any = ['/x*/', '/(/', '/a', '/(\w{100}){100}/', "\u0041 *"]
beats = ["two"]
where = []
yes = ["x"]
"#;
    let local = "[[extend]]\nrule = \"thre\"\n[[context]]\nid = \"empty\"\n[[ruel]]\nid = 3\n[words]\nx = [\"a|b\", \"\"]\n";
    insta::assert_snapshot!(refused(rules, &[local]), @r#"
    error: unknown rule `thre`
     --> local/0.toml:2:8
      |
    2 | rule = "thre"
      |        ^^^^^^
    hint: `acuse rules list` prints every rule

    error: the context `empty` has no phrase
     --> local/0.toml:4:6
      |
    4 | id = "empty"
      |      ^^^^^^^
    hint: write any = ["…"]

    error: unknown key `ruel`
     --> local/0.toml:5:3
      |
    5 | [[ruel]]
      |   ^^^^
    hint: did you mean `rule`?

    error: `|` means nothing here
     --> local/0.toml:8:7
      |
    8 | x = ["a|b", ""]
      |       ^^^
    hint: a phrase is made of words; punctuation is not read

    error: the phrase is empty
     --> local/0.toml:8:13
      |
    8 | x = ["a|b", ""]
      |             ^^
    hint: remove it, or write words

    error: the rule `one` has no example
     --> rules/high.toml:3:6
      |
    3 | id = "one"
      |      ^^^^^
    hint: add yes = ["…"], a mail's sentence that must come out as this case

    error: unknown case `outaje`
     --> rules/high.toml:4:8
      |
    4 | case = "outaje"
      |        ^^^^^^^^
    hint: did you mean `outage`?

    error: unknown set `servisio`
     --> rules/high.toml:5:9
      |
    5 | any = ["{servisio} caido", "  ", "[x]", "a | b", "..3 x", "~corto", "x ..99 y", "<hots>", "y & ", "(a|b)"]
      |         ^^^^^^^^^^
    hint: did you mean `servicio`?

    error: the phrase is empty
     --> rules/high.toml:5:29
      |
    5 | any = ["{servisio} caido", "  ", "[x]", "a | b", "..3 x", "~corto", "x ..99 y", "<hots>", "y & ", "(a|b)"]
      |                             ^^
    hint: remove it, or write words

    error: the phrase matches the empty text, so it would match every mail
     --> rules/high.toml:5:35
      |
    5 | any = ["{servisio} caido", "  ", "[x]", "a | b", "..3 x", "~corto", "x ..99 y", "<hots>", "y & ", "(a|b)"]
      |                                   ^^^
    hint: make at least one word mandatory

    error: an alternative is one word
     --> rules/high.toml:5:44
      |
    5 | any = ["{servisio} caido", "  ", "[x]", "a | b", "..3 x", "~corto", "x ..99 y", "<hots>", "y & ", "(a|b)"]
      |                                            ^
    hint: write `a|b` without spaces; for alternatives of several words, write two phrases

    error: a gap stands between two words
     --> rules/high.toml:5:51
      |
    5 | any = ["{servisio} caido", "  ", "[x]", "a | b", "..3 x", "~corto", "x ..99 y", "<hots>", "y & ", "(a|b)"]
      |                                                   ^^^^^
    hint: write words on both sides of `..N`; use `&` for any order

    error: `corto` is too short for a typing error
     --> rules/high.toml:5:60
      |
    5 | any = ["{servisio} caido", "  ", "[x]", "a | b", "..3 x", "~corto", "x ..99 y", "<hots>", "y & ", "(a|b)"]
      |                                                            ^^^^^^
    hint: only words of 7 letters and more; write the misspelling out as an alternative

    error: `..99` is not a gap
     --> rules/high.toml:5:72
      |
    5 | any = ["{servisio} caido", "  ", "[x]", "a | b", "..3 x", "~corto", "x ..99 y", "<hots>", "y & ", "(a|b)"]
      |                                                                        ^^^^
    hint: write `..5`, from 1 to 20

    error: unknown token `<hots>`
     --> rules/high.toml:5:82
      |
    5 | any = ["{servisio} caido", "  ", "[x]", "a | b", "..3 x", "~corto", "x ..99 y", "<hots>", "y & ", "(a|b)"]
      |                                                                                  ^^^^^^
    hint: did you mean `host`?

    error: nothing stands beside `&`
     --> rules/high.toml:5:94
      |
    5 | any = ["{servisio} caido", "  ", "[x]", "a | b", "..3 x", "~corto", "x ..99 y", "<hots>", "y & ", "(a|b)"]
      |                                                                                              ^
    hint: write words on both sides of it, with a space between

    error: `(` means nothing here
     --> rules/high.toml:5:100
      |
    5 | any = ["{servisio} caido", "  ", "[x]", "a | b", "..3 x", "~corto", "x ..99 y", "<hots>", "y & ", "(a|b)"]
      |                                                                                                    ^^
    hint: there are no groups: write `a|b` for alternatives of one word

    error: unknown context `resolve`
     --> rules/high.toml:6:16
      |
    6 | silenced_by = ["resolve"]
      |                ^^^^^^^^^
    hint: did you mean `resolved`?

    error: unknown rule `onee`
     --> rules/high.toml:7:10
      |
    7 | beats = ["onee", "tow"]
      |          ^^^^^^
    hint: did you mean `one`?

    error: unknown rule `tow`
     --> rules/high.toml:7:18
      |
    7 | beats = ["onee", "tow"]
      |                  ^^^^^
    hint: `acuse rules list` prints every rule

    error: unknown key `colour`
     --> rules/high.toml:8:1
      |
    8 | colour = "red"
      | ^^^^^^
    hint: expected one of `id`, `case`, `any`, `unless`, `silenced_by`, `beats`, `where`, `negatable`, `yes`, `no`

    error: unknown key `wher`
     --> rules/high.toml:9:1
      |
    9 | wher = ["subject"]
      | ^^^^
    hint: did you mean `where`?

    error: the rule `one` is there twice
      --> rules/high.toml:12:6
       |
    12 | id = "one"
       |      ^^^^^
    hint: rules/high.toml has it; write [[extend]] rule = "one" to add phrases to it

    error: the phrase matches the empty text, so it would match every mail
      --> rules/high.toml:20:9
       |
    20 | any = ['/x*/', '/(/', '/a', '/(\w{100}){100}/', "\u0041 *"]
       |         ^^^^
    hint: make at least one word mandatory

    error: unclosed group
      --> rules/high.toml:20:17
       |
    20 | any = ['/x*/', '/(/', '/a', '/(\w{100}){100}/', "\u0041 *"]
       |                 ^^^
    hint: see https://docs.rs/regex for the syntax; there is no look-around

    error: the regular expression does not end with `/`
      --> rules/high.toml:20:24
       |
    20 | any = ['/x*/', '/(/', '/a', '/(\w{100}){100}/', "\u0041 *"]
       |                        ^^
    hint: write '/…/' with a slash at both ends

    error: the phrase makes too large an automaton
      --> rules/high.toml:20:30
       |
    20 | any = ['/x*/', '/(/', '/a', '/(\w{100}){100}/', "\u0041 *"]
       |                              ^^^^^^^^^^^^^^^^
    hint: use smaller gaps, smaller sets or shorter repetitions

    error: `*` stands for every word
      --> rules/high.toml:20:49
       |
    20 | any = ['/x*/', '/(/', '/a', '/(\w{100}){100}/', "\u0041 *"]
       |                                                 ^^^^^^^^^^
    hint: write the beginning of a word before the `*`, or a gap such as `..1`

    error: rules beat each other in a circle: `two` beats `two`
      --> rules/high.toml:21:10
       |
    21 | beats = ["two"]
       |          ^^^^^
    hint: remove one of these `beats`

    error: the rule reads no field
      --> rules/high.toml:22:9
       |
    22 | where = []
       |         ^^
    hint: write some of "subject", "body", "attachments", or leave `where` out for all
    "#);
}

#[test]
fn rules_that_beat_each_other_are_refused() {
    let rules = BEATS.replace("any = [\"alfa\"]", "any = [\"alfa\"]\nbeats = [\"c\"]");
    insta::assert_snapshot!(refused(&rules, &[]), @r#"
    error: rules beat each other in a circle: `a` beats `c` beats `b` beats `a`
     --> rules/high.toml:6:10
      |
    6 | beats = ["c"]
      |          ^^^
    hint: remove one of these `beats`
    "#);
}

#[test]
fn broken_toml_is_reported_with_its_place() {
    insta::assert_snapshot!(refused("[[rule]]\nid = \"a\ncase = 3\n", &["= 5\n[[rule]]\nid = 1"]), @r#"
    error: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`
     --> local/0.toml:1:1
      |
    1 | = 5
      | ^

    error: invalid type: integer `1`
     --> local/0.toml:3:6
      |
    3 | id = 1
      |      ^
    hint: expected a string

    error: invalid basic string, expected `"`
     --> rules/high.toml:2:8
      |
    2 | id = "a
      |        ^

    error: invalid type: integer `3`
     --> rules/high.toml:3:8
      |
    3 | case = 3
      |        ^
    hint: expected a string
    "#);
}

/// Every operator at once, so that random texts meet all of them.
fn everything() -> RuleSet {
    one_rule(&[
        "caid*",
        "no carga",
        "se [me|nos] cayo|callo",
        "{servicio} ..5 {caido}",
        "pago & suspen*",
        "a && b",
        "~servidor",
        "<host>",
        "<ip>",
        "<email>",
        r"/\w no/",
        "ñ",
        "s",
    ])
}

proptest! {
    #[test]
    fn every_match_is_a_slice_of_its_field(
        subject in proptest::option::of(".{0,40}"),
        text in "(\\PC|[ .,\n¿?]|caído|no carga|se me cayó|servidor|serbidor|casa\\.co|10\\.0\\.0\\.1|a@b\\.co|pago|n\u{303}|🙂|\u{301}|½){0,60}",
        name in "(\\PC|caído|_|\\.){0,20}",
    ) {
        let names = [name.as_str()];
        let verdict = everything().evaluate(&Text { subject: subject.as_deref(), own_text: &text, attachments: &names });
        for found in verdict.matches {
            let field = match found.field {
                Field::Subject => subject.as_deref().unwrap_or_default(),
                Field::OwnText => &text,
                Field::Attachments => &name,
            };
            prop_assert!(found.start < found.end);
            let slice: String = field.chars().skip(found.start).take(found.end - found.start).collect();
            prop_assert_eq!(slice.chars().count(), found.end - found.start);
            prop_assert_eq!(slice, found.text);
        }
    }

    #[test]
    fn no_phrase_and_no_file_panics(phrase in "\\PC{0,30}|[a-z|&.~*{}<>\\[\\]/0-9 ]{0,30}", file in "\\PC{0,80}") {
        let rules = format!("[[rule]]\nid = \"r\"\ncase = \"outage\"\nany = [{}]\nyes = [\"x\"]", toml::Value::from(phrase));
        let mut problems = Vec::new();
        if let Some(set) = RuleSet::compile(&files(&rules, &[]), &mut problems) {
            set.evaluate(&body("el sitio está caído 10.0.0.1"));
            prop_assert!(set.evaluate(&body("")).rule.is_none());
        }
        RuleSet::compile(&files("", &[&file]), &mut problems);
        report(&problems, false);
    }
}
