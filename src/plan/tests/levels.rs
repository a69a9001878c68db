//! What `plans.toml` says, and what is wrong with it.

use super::*;

#[test]
fn shipped_plans_are_the_manuals_windows() {
    let plans = sound(plans_with(""));
    let said = |from: Option<i64>, upto: i64, strict: bool, clock: Clock| Window {
        from: from.map(hours),
        upto: hours(upto),
        strict,
        clock,
    };
    let upto_one_hour = said(None, 1, false, Clock::Always); // "Hasta 1 hora."
    let under_one_hour = said(None, 1, true, Clock::Always); // "Menos de 1 hora."
    let between = |from, upto| said(Some(from), upto, false, Clock::Business); // "3 a 5 horas habiles."
    let expected = [
        ("n1", [between(5, 6), between(3, 5), upto_one_hour]),
        ("n2", [between(3, 4), between(2, 3), upto_one_hour]),
        ("n3", [under_one_hour, under_one_hour, under_one_hour]),
    ];
    let read: Vec<_> = plans.plans.iter().map(|plan| (plan.id.as_str(), plan.windows)).collect();
    assert_eq!(read, expected);
    assert_eq!(plans.default.id.as_str(), "n1");
}

#[test]
fn shipped_channels_are_the_manuals() {
    let plans = sound(plans_with(""));
    let [n1, n2, n3] = plans.plans.as_slice() else { panic!("three levels") };
    let nothing = PlanChannels { ticket: None, email: None, chat: None, phone: None, remote: None };
    let always =
        PlanChannels { ticket: Some(Availability::Always), email: Some(Availability::Always), ..nothing };
    let in_hours = Some(Availability::Business);
    // "únicamente para casos en lo que previamente se haya creado un ticket"
    assert_eq!(n1.channels, PlanChannels { phone: Some(Availability::OnlyWithCase), ..always });
    assert_eq!(n2.channels, PlanChannels { chat: in_hours, phone: in_hours, ..always });
    assert_eq!(n3.channels, PlanChannels { remote: Some(Availability::WhenRequired), ..n2.channels });
}

#[test]
fn local_plans_override_key_by_key() {
    let shipped = sound(plans_with(""));
    let plans = sound(plans_with(
        r#"
        default = "n2"
        [plan.n1]
        medium = { under = "200m", clock = "always" }
        channels = { chat = "business", phone = "never" }
        "#,
    ));
    let n1 = plans.plan(&PlanId("n1".into())).unwrap();
    assert_eq!(plans.default.id.as_str(), "n2");
    let medium =
        Window { from: None, upto: SignedDuration::from_mins(200), strict: true, clock: Clock::Always };
    assert_eq!(n1.window(Impact::Medium), medium);
    assert_eq!(n1.window(Impact::Low), shipped.plans[0].window(Impact::Low));
    assert_eq!(n1.name, shipped.plans[0].name);
    assert_eq!(n1.channels.email, Some(Availability::Always));
    assert_eq!(n1.channels.chat, Some(Availability::Business));
    assert_eq!(n1.channels.phone, None);
    assert_eq!(plans.plans[1].windows, shipped.plans[1].windows);
}

#[test]
fn local_plan_takes_its_place_in_the_order() {
    let plans = sound(plans_with(
        r#"
        order = ["n1", "plus", "n2", "n3"]
        [plan.plus]
        name = { es = "Plus", en = "Plus" }
        channels = { email = "always" }
        high = { upto = "1h", clock = "always" }
        medium = { upto = "4h", clock = "business" }
        low = { upto = "4h 30m", clock = "business" }
        "#,
    ));
    let (plus, n1, n2) = (PlanId("plus".into()), PlanId("n1".into()), PlanId("n2".into()));
    assert_eq!(plans.higher(&plus, &n1), &plus);
    assert_eq!(plans.higher(&plus, &n2), &n2);
    assert_eq!(plans.plans[1].window(Impact::Low).upto, SignedDuration::from_mins(270));
}

#[test]
fn promises_that_contradict_their_impact_or_their_level_are_worth_a_look() {
    let (plans, problems) = plans_with(
        r#"
        [plan.n1]
        high = { upto = "6h", clock = "always" }
        medium = { upto = "7h", clock = "business" }
        [plan.n3]
        low = { upto = "5h", clock = "business" }
        "#,
    );
    assert!(plans.is_some());
    assert_eq!(
        said(&problems),
        [
            "{ upto = \"7h\", clock = \"business\" }: plan `n1` promises low impact an answer before medium",
            "{ upto = \"5h\", clock = \"business\" }: plan `n3` promises low impact an answer later than the lower `n2`",
        ],
        "six hours around the clock may be over before six business hours are"
    );
    assert!(problems.iter().all(|problem| problem.severity == Severity::Warning));
}

#[test]
fn every_problem_of_the_plans_is_told_at_once() {
    let (plans, problems) = plans_with(
        r#"
        default = "n9"
        order = ["n1", "n2", "n2", "n7"]
        [plan.n1]
        low = { from = "6h", upto = "5h", clock = "business" }
        medium = { upto = "5h", under = "5h", clock = "business" }
        high = { upto = "soon", clock = "always" }
        [plan.n2]
        low = { upto = "0h", clock = "always" }
        medium = { upto = "9000h", clock = "always" }
        [plan.plus]
        name = { es = "Plus", en = "Plus" }
        "#,
    );
    assert!(plans.is_none());
    assert_eq!(
        said(&problems),
        [
            "\"5h\": the window ends (5h) no later than it begins",
            "{ upto = \"5h\", under = \"5h\", clock = \"business\" }: a window ends with either `upto` or `under`",
            "\"soon\": `soon` is no length of time between nothing and a year",
            "\"0h\": `0h` is no length of time between nothing and a year",
            "\"9000h\": `9000h` is no length of time between nothing and a year",
            "plus: plan `plus` has no `channels`",
            "plus: plan `plus` has no `low`",
            "plus: plan `plus` has no `medium`",
            "plus: plan `plus` has no `high`",
            "\"n9\": there is no plan `n9`",
            "\"n2\": plan `n2` stands twice in `order`",
            "\"n7\": there is no plan `n7`",
            "n3: plan `n3` is not in `order`",
            "plus: plan `plus` is not in `order`",
        ]
    );
    assert!(problems.iter().all(|problem| problem.hint.is_some()));
    // n3 stands in the shipped file only.
    assert_eq!(problems[12].source.name, "rules/plans.toml");
}

#[test]
fn a_window_that_could_not_be_said_in_words_is_refused() {
    let (plans, problems) = plans_with(
        r#"
        [plan.n1]
        low = { from = "1h", upto = "1h", clock = "business" }
        medium = { upto = "30s", clock = "business" }
        high = { upto = "1m 500ms", clock = "always" }
        "#,
    );
    assert!(plans.is_none());
    assert_eq!(
        said(&problems),
        [
            "\"1h\": the window ends (1h) no later than it begins",
            "\"30s\": `30s` is no whole number of minutes",
            "\"1m 500ms\": `1m 500ms` is no whole number of minutes",
        ]
    );
}

#[test]
fn unreadable_entries_are_struck_out_and_the_rest_is_read() {
    let (plans, problems) = plans_with(
        r#"
        defualt = "n1"
        order = "n1"
        [plan.n1]
        low = { upto = "5h", clock = "bussiness" }
        medium = { upto = 5, clock = "business" }
        high = { upto = "1h" }
        name = { es = "Nivel 1" }
        channels = { mail = "always" }
        [plan.n2]
        high = { upto = "-1h", clock = "always" }
        "#,
    );
    assert!(plans.is_none());
    let said = said(&problems);
    for expected in [
        "defualt: unknown key `defualt`",
        "\"n1\": invalid type: string \"n1\"",
        "\"bussiness\": unknown word `bussiness`",
        "5: invalid type: integer `5`",
        "{ upto = \"1h\" }: missing field `clock`",
        "{ es = \"Nivel 1\" }: missing field `en`",
        "mail: unknown key `mail`",
        "\"-1h\": `-1h` is no length of time between nothing and a year",
    ] {
        assert!(said.iter().any(|line| line == expected), "{expected} not in {said:#?}");
    }
    assert_eq!(problems.len(), 8, "{said:#?}");
}

#[test]
fn syntax_errors_are_told_all_and_alone() {
    let (plans, problems) = plans_with("default = \norder = [\"n9\"]\n[plan.n1\nlow = 3\n");
    assert!(plans.is_none());
    assert!(problems.len() >= 2, "{problems:#?}");
    assert!(problems.iter().all(|problem| problem.span.is_some() && problem.source.name == "plans.toml"));
    assert!(said(&problems).iter().all(|line| !line.contains("n9")));
}

#[test]
fn empty_plans_file_lacks_everything() {
    let mut problems = Vec::new();
    let files = PlanFiles { plans: source("plans.toml", ""), ..shipped() };
    assert!(Plans::compile(&files, &mut problems).is_none());
    assert_eq!(
        said(&problems),
        [": no `default` says which plan an unknown sender has", ": no `order` says which plan is higher"]
    );
}
