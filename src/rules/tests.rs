//! Verdicts: what stands, what is set aside, which rule decides, and where its words are.

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

pub(super) fn source(name: &str, text: &str) -> Arc<Source> {
    Arc::new(Source { name: name.into(), text: text.into() })
}

pub(super) fn files(rules: &str, local: &[&str]) -> RuleFiles {
    let local_name = |(i, text): (usize, &&str)| source(&format!("local/{i}.toml"), text);
    RuleFiles {
        cases: source("rules/cases.toml", CASES),
        words: source("rules/words.toml", WORDS),
        contexts: source("rules/contexts.toml", CONTEXTS),
        rules: vec![source("rules/high.toml", rules)],
        local: local.iter().enumerate().map(local_name).collect(),
    }
}

pub(super) fn compile(rules: &str, local: &[&str]) -> RuleSet {
    let mut problems = Vec::new();
    let set = RuleSet::compile(&files(rules, local), &mut problems);
    set.unwrap_or_else(|| panic!("{}", report(&problems, false)))
}

pub(super) fn refused(rules: &str, local: &[&str]) -> String {
    let mut problems = Vec::new();
    assert!(RuleSet::compile(&files(rules, local), &mut problems).is_none(), "accepted: {rules}");
    report(&problems, false)
}

/// One rule with these phrases.
pub(super) fn one_rule(phrases: &[&str]) -> RuleSet {
    compile(&format!("[[rule]]\nid = \"r\"\ncase = \"outage\"\nany = {phrases:?}\nyes = [\"x\"]\n"), &[])
}

pub(super) fn body(text: &str) -> Text<'_> {
    Text { subject: None, own_text: text, attachments: &[] }
}

/// What was set aside, in a line each.
fn told(verdict: &Verdict) -> Vec<String> {
    let line = |aside: &SetAside| {
        let by = aside.by.as_ref().map(|by| format!(" by {by:?}")).unwrap_or_default();
        format!("{}: {} ({}){by}", aside.rule, aside.because, aside.text.clone().unwrap_or_default())
    };
    verdict.set_aside.iter().map(line).collect()
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
    assert_eq!(told(&verdict), ["r: negated (clave) by \"No es la clave\""]);
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
    let because = |text: &str| told(&set.evaluate(&body(text)));
    assert_eq!(
        because("Se cayó el Internet"),
        ["down: unless \"cayo el internet\" (Se cayó) by \"cayó el Internet\""]
    );
    assert_eq!(because("Se cayó. Ya funciona."), ["down: silenced by resolved (Se cayó) by \"Ya funciona\""]);
    assert_eq!(because("Se cayó. Ya funciona. Pero ahora otra vez."), [""; 0]);
    let mark = Mark { context: "resolved".into(), phrase: "ya funciona".into(), text: "Ya funciona".into() };
    assert_eq!(
        set.evaluate(&body("Ya funciona.")).contexts,
        [mark],
        "a mark is told whether it silences or not"
    );
    assert_eq!(set.evaluate(&body("Ya funciona, pero ahora no.")).contexts, []);
}

pub(super) const BEATS: &str = r#"
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
    assert_eq!(told(&verdict), ["a: beaten by b (alfa)"]);
}

#[test]
fn a_rule_in_the_shadow_is_told_and_changes_nothing() {
    let set = compile(&BEATS.replace("beats = [\"a\"]", "beats = [\"a\"]\nshadow = true"), &[]);
    let shadow = |decides| Shadow {
        rule: "b".into(),
        case: "data-loss".into(),
        impact: Impact::Medium,
        text: "beta".into(),
        decides,
    };
    let verdict = set.evaluate(&body("alfa beta"));
    assert_eq!(verdict.rule.as_deref(), Some("a"), "it beats nobody");
    assert_eq!(verdict.matches.len(), 1);
    assert_eq!((verdict.shadow, verdict.set_aside), (vec![shadow(true)], vec![]));
    let alone = set.evaluate(&body("beta"));
    assert_eq!((alone.impact, alone.matches.len()), (None, 0));
    assert_eq!(alone.shadow, [shadow(true)]);
    assert_eq!(set.evaluate(&body("beta gama")).shadow, [], "what is beaten would not stand");
    assert_eq!(set.evaluate(&body("no es beta")).shadow, []);
    assert!(set.rules().any(|rule| rule.id == "b" && rule.shadow));
}

#[test]
fn a_rule_in_the_shadow_that_would_not_decide_says_so() {
    let set = compile(&BEATS.replace("beats = [\"a\"]", "shadow = true"), &[]);
    let verdict = set.evaluate(&body("alfa beta"));
    assert_eq!(verdict.shadow.iter().map(|shadow| shadow.decides).collect::<Vec<_>>(), [false]);
}

#[test]
fn the_examples_of_a_rule_in_the_shadow_are_tried_as_if_it_acted() {
    let shadow = |yes: &str| {
        BEATS.replace("beats = [\"a\"]\nyes = [\"beta\"]", &format!("shadow = true\nyes = [\"{yes}\"]"))
    };
    assert_eq!(compile(&shadow("beta"), &[]).run_examples().len(), 0);
    let failures = compile(&shadow("alfa beta"), &[]).run_examples();
    assert!(failures[0].problem.message.contains("comes out as `outage`, not as `data-loss`"));
}

#[test]
fn a_verdict_stored_before_shadows_and_contexts_were_still_reads() {
    let old = r#"{"impact":null,"rule":null,"case":null,"matches":[],"set_aside":[{"rule":"a","because":"negated"}]}"#;
    let verdict: Verdict = serde_json::from_str(old).unwrap();
    assert_eq!(told(&verdict), ["a: negated ()"]);
    assert_eq!((verdict.shadow, verdict.contexts), (vec![], vec![]));
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
      "set_aside": [],
      "contexts": [],
      "shadow": []
    }
    "#);
    let back: Verdict = serde_json::from_str(&serde_json::to_string(&verdict).unwrap()).unwrap();
    assert_eq!(back, verdict);
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
fn words_without_end_are_read_in_linear_time_and_still_found() {
    let set = one_rule(&["{servicio} ..5 {caido}", "no ..3 no", "~servidor & a"]);
    for piece in ["servidor ", "no ", "no. ", "a.", "servidor no caido ", "\n   ", "...", "é"] {
        let text = format!("El sitio está caído. {}", piece.repeat(2_000_000 / piece.len()));
        assert_eq!(set.evaluate(&body(&text)).matches[0].text, "sitio está caído", "{piece:?}");
    }
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
