//! What operators get to read when a file is wrong, and what local files may do.

use super::super::RuleSet;
use super::super::tests::{BEATS, body, files, refused};
use crate::problem::report;
use crate::ticket::Impact;

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
fn what_is_added_to_a_disabled_rule_is_told_of() {
    let local = "[[extend]]\nrule = \"c\"\nany = [\"delta\"]\n[[disable]]\nrule = \"c\"\n";
    let mut problems = Vec::new();
    assert!(RuleSet::compile(&files(BEATS, &[local]), &mut problems).is_some());
    insta::assert_snapshot!(report(&problems, false), @r#"
    warning: the rule `c` is disabled, so this changes nothing
     --> local/0.toml:2:8
      |
    2 | rule = "c"
      |        ^^^
    hint: remove this [[extend]], or the [[disable]]
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
    hint: expected one of `id`, `case`, `any`, `unless`, `silenced_by`, `beats`, `where`, `negatable`, `shadow`, `yes`, `no`

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
    error: unquoted keys cannot be empty
     --> local/0.toml:1:1
      |
    1 | = 5
      | ^
    hint: expected letters, numbers, `-`, `_`

    error: invalid type: integer `1`
     --> local/0.toml:3:6
      |
    3 | id = 1
      |      ^
    hint: write a text in quotes: "…"

    error: invalid basic string
     --> rules/high.toml:2:8
      |
    2 | id = "a
      |        ^
    hint: expected `"`

    error: invalid type: integer `3`
     --> rules/high.toml:3:8
      |
    3 | case = 3
      |        ^
    hint: write a text in quotes: "…"
    "#);
}
