//! The support levels, from `plans.toml` and a local file laid over it.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use toml::Spanned;

use super::file::{ChannelsTable, PlanTable, PlansFile, Reach, WindowTable};
use super::read::{Layer, Placed, missing, topmost};
use super::{Clock, Plan, PlanChannels, PlanFiles, Plans, Window};
use crate::problem::Problem;
use crate::ticket::{Impact, PlanId};

/// No support level promises an answer in over a year; such a window is a slip of the pen.
const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Reads the levels. Every problem is added; `None` when a part cannot be made.
pub(super) fn compile(files: &PlanFiles, problems: &mut Vec<Problem>) -> Option<Plans> {
    let layers: Vec<Layer<PlansFile>> =
        files.local_plans.iter().chain([&files.plans]).map(|source| Layer::read(source, problems)).collect();
    let ids: BTreeSet<&str> =
        layers.iter().flat_map(|layer| layer.file.plan.keys()).map(|id| id.get_ref().as_str()).collect();

    let compiled: Vec<Option<Plan>> = ids.iter().map(|id| level(&layers, id, problems)).collect();
    let default = default_plan(&layers, &ids, problems);
    let order = order(&layers, &ids, problems);

    let mut plans: Vec<Plan> = compiled.into_iter().collect::<Option<_>>()?;
    let order = order?;
    plans.sort_by_key(|plan| order.iter().position(|id| *id == plan.id.as_str()));
    contradictions(&layers, &plans, problems);
    let default = default.and_then(|id| plans.iter().find(|plan| plan.id == id).cloned());
    Some(Plans { default: default?, plans })
}

fn default_plan(
    layers: &[Layer<PlansFile>],
    ids: &BTreeSet<&str>,
    problems: &mut Vec<Problem>,
) -> Option<PlanId> {
    let Some(default) = topmost(layers, |file| file.default.as_ref()) else {
        problems.extend(missing(
            layers,
            "no `default` says which plan an unknown sender has",
            "default = \"n1\"",
        ));
        return None;
    };
    if !ids.contains(default.value.as_str()) {
        problems.push(unknown_plan(&default, ids));
        return None;
    }
    Some(PlanId(default.value.clone()))
}

/// The ids lowest first: each plan once, and no other.
fn order<'a>(
    layers: &'a [Layer<PlansFile>],
    ids: &BTreeSet<&str>,
    problems: &mut Vec<Problem>,
) -> Option<Vec<&'a str>> {
    let Some(order) = topmost(layers, |file| file.order.as_ref()) else {
        let hint = format!("order = [\"{}\"]", Vec::from_iter(ids.iter().copied()).join("\", \""));
        problems.extend(missing(layers, "no `order` says which plan is higher", hint));
        return None;
    };
    let already = problems.len();
    let mut seen = BTreeSet::new();
    for id in order.value.iter().map(|id| order.part(id)) {
        if !ids.contains(id.value.as_str()) {
            problems.push(unknown_plan(&id, ids));
        } else if !seen.insert(id.value.as_str()) {
            problems.push(id.error(format!("plan `{}` stands twice in `order`", id.value), "name it once"));
        }
    }
    for id in ids.iter().filter(|id| !seen.contains(**id)) {
        if let Some(place) = heading(layers, id) {
            problems.push(place.error(
                format!("plan `{id}` is not in `order`"),
                format!("add \"{id}\" to `order`, after the plans that are lower"),
            ));
        }
    }
    (problems.len() == already).then(|| order.value.iter().map(|id| id.get_ref().as_str()).collect())
}

fn level(layers: &[Layer<PlansFile>], id: &str, problems: &mut Vec<Problem>) -> Option<Plan> {
    let mut lacks = |key: &str, hint: &str| {
        if let Some(place) = heading(layers, id).filter(|_| layers.iter().all(|layer| layer.whole)) {
            problems.push(place.error(format!("plan `{id}` has no `{key}`"), hint));
        }
    };
    let name = written(layers, id, |plan| plan.name.as_ref());
    if name.is_none() {
        lacks("name", "name = { es = \"Nivel 1\", en = \"Level 1\" }");
    }
    let channels = channels(layers, id);
    if channels.is_none() {
        lacks("channels", "channels = { ticket = \"always\", email = \"always\" }");
    }
    let windows = Impact::ALL.map(|impact| {
        let window = written(layers, id, |plan| plan.window(impact));
        if window.is_none() {
            let hint = format!("{impact} = {{ from = \"3h\", upto = \"5h\", clock = \"business\" }}");
            lacks(impact.as_str(), &hint);
        }
        window
    });
    let [low, medium, high] = windows.map(|placed| placed.and_then(|placed| window(&placed, problems)));
    Some(Plan {
        id: PlanId(id.to_owned()),
        name: name?.value.clone(),
        channels: channels?,
        windows: [low?, medium?, high?],
    })
}

/// Channels are laid over one another one by one; `None` when no file names any.
fn channels(layers: &[Layer<PlansFile>], id: &str) -> Option<PlanChannels> {
    written(layers, id, |plan| plan.channels.as_ref())?;
    let channel = |key: fn(&ChannelsTable) -> Option<Reach>| {
        layers
            .iter()
            .filter_map(|layer| layer.file.plan.get(id)?.channels.as_ref())
            .find_map(|channels| key(channels.get_ref()))
            .and_then(Reach::availability)
    };
    Some(PlanChannels {
        ticket: channel(|channels| channels.ticket),
        email: channel(|channels| channels.email),
        chat: channel(|channels| channels.chat),
        phone: channel(|channels| channels.phone),
        remote: channel(|channels| channels.remote),
    })
}

fn window(written: &Placed<'_, WindowTable>, problems: &mut Vec<Problem>) -> Option<Window> {
    let table = written.value;
    let from = table.from.as_ref().map(|from| duration(&written.part(from), problems));
    let (upper, strict) = match (&table.upto, &table.under) {
        (Some(upto), None) => (upto, false),
        (None, Some(under)) => (under, true),
        _ => {
            problems.push(written.error(
                "a window ends with either `upto` or `under`",
                "`upto = \"1h\"` for \"hasta 1 hora\", `under = \"1h\"` for \"menos de 1 hora\"",
            ));
            return None;
        }
    };
    let upper = written.part(upper);
    let upto = duration(&upper, problems)?;
    let from = match from {
        Some(from) => Some(from?),
        None => None,
    };
    if from.is_some_and(|from| from >= upto) {
        problems.push(upper.error(
            format!("the window ends ({}) no later than it begins", upper.value),
            "`from` is the shorter of the two; leave it out where the window has no lower bound",
        ));
        return None;
    }
    Some(Window { from, upto, strict, clock: table.clock })
}

fn duration(text: &Placed<'_, String>, problems: &mut Vec<Problem>) -> Option<SignedDuration> {
    const HINT: &str = "write hours and minutes: \"3h\", \"90m\", \"1h 30m\"";
    let duration =
        text.value.parse().ok().filter(|it: &SignedDuration| *it > SignedDuration::ZERO && *it <= LONGEST);
    let Some(duration) = duration else {
        let message = format!("`{}` is no length of time between nothing and a year", text.value);
        problems.push(text.error(message, HINT));
        return None;
    };
    // customers read hours, or minutes
    if duration.as_secs() % 60 != 0 || duration.subsec_nanos() != 0 {
        problems.push(text.error(format!("`{}` is no whole number of minutes", text.value), HINT));
        return None;
    }
    Some(duration)
}

/// Warns of promises that say the contrary of what they are for: a more urgent mail, or a higher plan, waits for longer.
fn contradictions(layers: &[Layer<PlansFile>], plans: &[Plan], problems: &mut Vec<Problem>) {
    let mut warn = |plan: &Plan, impact: Impact, message: String| {
        if let Some(place) = written(layers, plan.id.as_str(), |plan| plan.window(impact)) {
            problems.push(place.warning(message, "look whether the two were mixed up"));
        }
    };
    for plan in plans {
        for (less, more) in Impact::ALL.iter().zip(Impact::ALL.iter().skip(1)) {
            if is_slower(plan.window(*more), plan.window(*less)) {
                let id = plan.id.as_str();
                warn(plan, *more, format!("plan `{id}` promises {less} impact an answer before {more}"));
            }
        }
    }
    for (lower, higher) in plans.iter().zip(plans.iter().skip(1)) {
        for impact in Impact::ALL {
            if is_slower(higher.window(impact), lower.window(impact)) {
                let (lower, id) = (lower.id.as_str(), higher.id.as_str());
                warn(
                    higher,
                    impact,
                    format!("plan `{id}` promises {impact} impact an answer later than the lower `{lower}`"),
                );
            }
        }
    }
}

/// Whether one window ends after another whenever the mail comes: a business hour is never over before an hour is.
fn is_slower(one: Window, other: Window) -> bool {
    one.upto > other.upto && (one.clock == other.clock || one.clock == Clock::Business)
}

/// What the topmost layer says of a key of `[plan.ID]`.
fn written<'a, V>(
    layers: &'a [Layer<PlansFile>],
    id: &str,
    key: impl Fn(&'a PlanTable) -> Option<&'a Spanned<V>>,
) -> Option<Placed<'a, V>> {
    topmost(layers, |file| file.plan.get(id).and_then(&key))
}

/// Where a plan is headed `[plan.ID]`.
fn heading<'a>(layers: &'a [Layer<PlansFile>], id: &str) -> Option<Placed<'a, String>> {
    topmost(layers, |file| file.plan.get_key_value(id).map(|(id, _)| id))
}

fn unknown_plan(id: &Placed<'_, String>, ids: &BTreeSet<&str>) -> Problem {
    let known = Vec::from_iter(ids.iter().copied()).join(", ");
    id.error(format!("there is no plan `{}`", id.value), format!("the plans are {known}"))
}
