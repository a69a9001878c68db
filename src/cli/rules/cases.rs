//! `acuse rules cases`: what a rule's `case` may name.

use serde::Serialize;

use super::super::context::{Context, table};
use super::super::report::Done;
use crate::rules::RuleSet;
use crate::ticket::{Bilingual, Impact};

/// A case and the rules that give it.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    id: &'a str,
    impact: Impact,
    label: &'a Bilingual,
    manual: Option<&'a str>,
    rules: Vec<&'a str>,
}

/// So many columns the list takes: many rules may give one case.
const WIDTH: u16 = 140;

/// Lists the cases in the order of the files.
pub fn cases(context: &Context, rules: &RuleSet) -> Done {
    let listed = rules.cases().iter().map(|case| Listed {
        id: &case.id,
        impact: case.impact,
        label: &case.label,
        manual: case.manual.as_deref(),
        rules: rules.rules().filter(|rule| rule.case == case.id).map(|rule| rule.id).collect(),
    });
    let listed: Vec<Listed<'_>> = listed.collect();
    if context.json {
        return context.json(&listed);
    }
    let mut lines = table(&["case", "impact", "called in acknowledgements", "rules"]);
    lines.set_content_arrangement(comfy_table::ContentArrangement::Dynamic).set_width(WIDTH);
    for case in &listed {
        let called = format!("{} / {}", case.label.es, case.label.en);
        lines.add_row([case.id, case.impact.as_str(), &called, &case.rules.join(", ")]);
    }
    context.line(lines.to_string())
}
