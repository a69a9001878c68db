//! Rules, plans, calendar and reply texts: compiled, validated and swapped as one, with a hash (I15).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::plan::{Calendar, PlanFiles, Plans};
use crate::problem::{Problem, Source, any_error};
use crate::reply::{self, Templates};
use crate::rules::{RuleFiles, RuleSet};
use crate::site::fingerprint;

/// Everything that a decision or a reply takes from the operator's files.
#[derive(Debug)]
pub struct Policy {
    /// How a mail's impact is recognised.
    pub rules: RuleSet,
    /// The support levels.
    pub plans: Plans,
    /// The business hours.
    pub calendar: Calendar,
    /// The texts of the acknowledgements.
    pub replies: Templates,
    /// 16 hex digits that name exactly this policy; every decision stores them.
    pub hash: String,
}

macro_rules! shipped {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../rules/", $name)))),+]
    };
}

/// The policy that is compiled into the binary, by its names in `rules/`; the reply texts are `reply::shipped`.
pub const SHIPPED: &[(&str, &str)] = shipped![
    "calendar.toml",
    "cases.toml",
    "contexts.toml",
    "high.toml",
    "holidays-co.toml",
    "low.toml",
    "medium.toml",
    "plans.toml",
    "words.toml",
];

/// The shipped files that rules are made of.
const RULES: [&str; 6] =
    ["cases.toml", "contexts.toml", "high.toml", "low.toml", "medium.toml", "words.toml"];

/// Whether a file of `local_dir` holds rules: all but those of plans and hours do.
fn is_local_rules(name: &str) -> bool {
    !["plans.toml", "calendar.toml"].contains(&name) && !name.starts_with("holidays")
}

/// The files of a policy before they are compiled.
#[derive(Debug, Clone)]
pub struct PolicyFiles {
    files: BTreeMap<String, Arc<Source>>,
    local: BTreeMap<String, Arc<Source>>,
    shipped: Vec<Arc<Source>>,
}

impl PolicyFiles {
    /// The shipped policy.
    pub fn shipped() -> Self {
        let source = |(name, text): &(&str, &str)| {
            let file = Source { name: format!("rules/{name}"), text: (*text).to_owned() };
            ((*name).to_owned(), Arc::new(file))
        };
        let reply = |file: Arc<Source>| (file.name.trim_start_matches("rules/").to_owned(), file);
        let files: BTreeMap<_, _> = SHIPPED.iter().map(source).chain(reply::shipped().map(reply)).collect();
        let shipped = files.values().cloned().collect();
        Self { files, local: BTreeMap::new(), shipped }
    }

    /// Whether a file is one of those in the binary, which no operator can change; a copy in a `policy_dir` is not.
    pub fn is_shipped(&self, file: &Source) -> bool {
        self.shipped.iter().any(|shipped| std::ptr::eq(shipped.as_ref(), file))
    }

    /// Puts a file of `policy_dir` in the place of the shipped one of that name (`high.toml`,
    /// `replies/es/ack.txt`), or adds it.
    pub fn replace(&mut self, name: &str, file: Source) {
        self.files.insert(name.to_owned(), Arc::new(file));
    }

    /// Adds a file of `local_dir`: it adjusts, or replaces a reply text of the same name.
    pub fn add_local(&mut self, name: &str, file: Source) {
        if name.starts_with("replies/") {
            self.replace(name, file);
        } else {
            self.local.insert(name.to_owned(), Arc::new(file));
        }
    }

    /// The same plans, calendar and reply texts with the shipped rules, and with none of `local_dir`.
    #[must_use]
    pub fn with_shipped_rules(mut self) -> Self {
        let shipped = Self::shipped().files.into_iter();
        self.files.extend(shipped.filter(|(name, _)| RULES.contains(&name.as_str())));
        self.local.retain(|name, _| !is_local_rules(name));
        self
    }

    fn file(&self, name: &str) -> Arc<Source> {
        self.files
            .get(name)
            .cloned()
            .unwrap_or_else(|| Arc::new(Source { name: format!("rules/{name}"), text: String::new() }))
    }

    fn rule_files(&self) -> RuleFiles {
        RuleFiles {
            cases: self.file("cases.toml"),
            words: self.file("words.toml"),
            contexts: self.file("contexts.toml"),
            rules: ["high.toml", "medium.toml", "low.toml"].map(|name| self.file(name)).to_vec(),
            local: self
                .local
                .iter()
                .filter(|(name, _)| is_local_rules(name))
                .map(|(_, file)| file.clone())
                .collect(),
        }
    }

    fn plan_files(&self) -> PlanFiles {
        // of two of one name the first stands: the local one
        let holidays = self.local.iter().chain(&self.files).filter(|(name, _)| name.starts_with("holidays"));
        PlanFiles {
            plans: self.file("plans.toml"),
            calendar: self.file("calendar.toml"),
            holidays: holidays.map(|(_, file)| file.clone()).collect(),
            local_plans: self.local.get("plans.toml").cloned(),
            local_calendar: self.local.get("calendar.toml").cloned(),
        }
    }

    fn replies(&self) -> Vec<Arc<Source>> {
        self.files
            .iter()
            .filter(|(name, _)| name.starts_with("replies/"))
            .map(|(_, file)| file.clone())
            .collect()
    }

    fn hash(&self) -> String {
        let local = self.local.iter().map(|(name, file)| ("local/", name, file));
        let all = self.files.iter().map(|(name, file)| ("", name, file)).chain(local);
        fingerprint(all.flat_map(|(place, name, file)| {
            [place.as_bytes(), name.as_bytes(), b"\0", file.text.as_bytes(), b"\0"]
        }))
    }
}

impl Policy {
    /// Compiles the files. All problems of all files come back, warnings too; `None` when one is an error.
    pub fn compile(files: &PolicyFiles) -> (Option<Self>, Vec<Problem>) {
        let mut problems = Vec::new();
        let rules = RuleSet::compile(&files.rule_files(), &mut problems);
        let plans = Plans::compile(&files.plan_files(), &mut problems);
        let calendar = Calendar::compile(&files.plan_files(), &mut problems);
        let replies = Templates::compile(&files.replies(), &mut problems);
        let refused = any_error(&problems);
        let policy = match (rules, plans, calendar, replies) {
            (Some(rules), Some(plans), Some(calendar), Some(replies)) if !refused => {
                Some(Self { rules, plans, calendar, replies, hash: files.hash() })
            }
            _ => None,
        };
        (policy, problems)
    }

    /// Compiles the files and tries every `yes` and `no` line. All problems come back; `None` when one is an error.
    pub fn prove(files: &PolicyFiles) -> (Option<Self>, Vec<Problem>) {
        let (policy, mut problems) = Self::compile(files);
        let failures = policy.as_ref().map(|policy| policy.rules.run_examples()).unwrap_or_default();
        problems.extend(failures.into_iter().map(|failure| failure.problem));
        (policy.filter(|_| !any_error(&problems)), problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is hardly meant in the rules of these files.
    fn warnings(files: &PolicyFiles) -> Vec<String> {
        let (policy, _) = Policy::compile(files);
        let problems = policy.unwrap().rules.check(|source| files.is_shipped(source));
        problems.iter().map(|problem| format!("{}: {}", problem.source.name, problem.message)).collect()
    }

    #[test]
    fn nobody_is_warned_of_what_only_a_release_can_change() {
        let mut files = PolicyFiles::shipped();
        assert_eq!(warnings(&files), [""; 0]);
        let policy = Policy::compile(&files).0.unwrap();
        let rule = policy.rules.rules().next().unwrap();
        let phrase = toml::Value::from(rule.phrases[0]);
        let text = format!("[[extend]]\nrule = \"{}\"\nany = [{phrase}]\n", rule.id);
        files.add_local("mine.toml", Source { name: "mine.toml".to_owned(), text });
        let told = warnings(&files);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("mine.toml: ") && told[0].ends_with(" is there twice"), "{told:?}");
    }

    #[test]
    fn a_copy_of_a_shipped_file_is_the_operator_s() {
        let mut files = PolicyFiles::shipped();
        let (name, text) = SHIPPED.iter().find(|(name, _)| *name == "high.toml").unwrap();
        let copy = Source { name: format!("rules/{name}"), text: (*text).to_owned() };
        assert!(!files.is_shipped(&copy));
        assert!(files.is_shipped(&files.file(name)));
        files.replace(name, copy);
        assert!(!files.is_shipped(&files.file(name)));
    }
}
