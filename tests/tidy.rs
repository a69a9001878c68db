//! What the compiler does not check: layers, purity, words and sizes, and that nothing shipped is forgotten.
//!
//! Each test collects every offence as `file:line: what is wrong` and says at its end what to do.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use acuse::{policy, reply};

/// A file may have so many lines of code: without blank lines, comments and its own tests.
const MOST_LINES: usize = 400;

/// A file of Rust, by lines.
struct File {
    /// Below the crate's directory, such as `src/mail/read.rs`.
    path: String,
    lines: Vec<String>,
    /// Whether each line belongs to tests.
    is_test: Vec<bool>,
}

impl File {
    fn read(path: String) -> Self {
        let lines: Vec<String> = text(&path).lines().map(str::to_owned).collect();
        let whole = path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/");
        // Tests stand last in their file, as `mod tests { … }`; a `mod tests;` is a file of its own.
        let from = lines.windows(2).position(|pair| {
            pair[0].trim() == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
        });
        let is_test = (0..lines.len()).map(|line| whole || from.is_some_and(|from| line >= from)).collect();
        Self { path, lines, is_test }
    }

    /// The code outside tests, comments apart: number from 1, and text.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.lines.iter().zip(&self.is_test).enumerate();
        lines.filter(|(_, (_, is_test))| !**is_test).filter_map(|(number, (line, _))| {
            let code = line.split(" // ").next().unwrap_or(line).trim();
            (!code.is_empty() && !code.starts_with("//")).then_some((number + 1, code))
        })
    }

    /// The module of `src/lib.rs` that it belongs to; `main` for `src/main.rs`.
    fn module(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        below.split(['/', '.']).next().unwrap_or(below)
    }

    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below a directory of the crate, sorted; names that begin with a dot apart.
fn files_in(directory: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(directory)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(root().join(&directory)).expect("a directory of the crate") {
            let path = directory.join(entry.expect("an entry").file_name());
            let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name");
            match root().join(&path).is_dir() {
                _ if name.starts_with('.') => {}
                true => open.push(path),
                false => found.push(path.to_str().expect("a plain name").to_owned()),
            }
        }
    }
    found.sort();
    found
}

fn rust(directories: &[&str]) -> Vec<File> {
    let paths = directories.iter().flat_map(|directory| files_in(directory));
    paths.filter(|path| path.ends_with(".rs")).map(File::read).collect()
}

#[track_caller]
fn none(offences: &[String], what_to_do: &str) {
    assert!(offences.is_empty(), "\n{}\n\n{what_to_do}\n", offences.join("\n"));
}

/// The modules of `src/lib.rs` in their order, and how many of them stand above the shell.
fn layers() -> (Vec<String>, usize) {
    let lib = text("src/lib.rs");
    let modules: Vec<String> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod ")))
        .map(|rest| rest.trim_end_matches(';').to_owned())
        .collect();
    let pure = modules.iter().position(|module| module == "store").expect("src/lib.rs lists `store`");
    (modules, pure)
}

/// The names that stand for themselves in `text` after `prefix`: `rules` in `crate::rules::Verdict`.
fn words_after<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(prefix).map(|(at, _)| {
        let rest = &text[at + prefix.len()..];
        &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())]
    })
}

#[test]
fn a_module_uses_only_those_above_it() {
    let (modules, _) = layers();
    let rank = |name: &str| modules.iter().position(|module| module == name);
    let mut offences = Vec::new();
    for file in rust(&["src"]).iter().filter(|file| !matches!(file.module(), "lib" | "main")) {
        let own = rank(file.module());
        if own.is_none() {
            offences.push(file.at(1, "src/lib.rs does not list its module"));
        }
        for (line, code) in file.code() {
            if code.contains("crate::{") {
                offences.push(file.at(line, "`use crate::{…}` hides the layers: one `use` per module"));
            }
            for used in words_after(code, "crate::") {
                if own.zip(rank(used)).is_some_and(|(own, used)| used > own) {
                    let what = format!("`{}` uses `{used}`, which src/lib.rs lists below it", file.module());
                    offences.push(file.at(line, &what));
                }
            }
        }
    }
    none(&offences, "Move the code to where what it needs is above it, or pass in what it needs as a value.");
}

/// What a pure module may not name. Types of `std::net` that only hold an address are values.
const IMPURE: [&str; 12] = [
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::io::std",
    "tokio",
    "rusqlite",
    "async_imap",
    "SystemTime",
    "Instant::",
    "::now()",
    "SystemRandom",
];
const ADDRESSES: [&str; 4] = ["IpAddr", "Ipv4Addr", "Ipv6Addr", "AddrParseError"];

#[test]
fn what_stands_above_store_is_pure() {
    let (modules, pure) = layers();
    let pure: BTreeSet<&str> = modules.iter().take(pure).map(String::as_str).collect();
    let mut offences = Vec::new();
    for file in rust(&["src"]).iter().filter(|file| pure.contains(file.module())) {
        for (line, code) in file.code() {
            let network = words_after(code, "std::net::").any(|word| !ADDRESSES.contains(&word));
            let found = IMPURE.into_iter().find(|word| code.contains(word));
            if let Some(what) = found.or(network.then_some("std::net")) {
                offences
                    .push(file.at(line, &format!("`{}` is pure and may not name `{what}`", file.module())));
            }
        }
    }
    none(
        &offences,
        "Take the value as an argument; only what stands below `store` reads files, clocks and sockets.",
    );
}

#[test]
fn sql_stands_in_store_alone() {
    let mut offences = Vec::new();
    let is_sql = |code: &str| {
        ["INSERT INTO ", "DELETE FROM ", "CREATE TABLE ", "PRAGMA ", "rusqlite"]
            .iter()
            .any(|sql| code.contains(sql))
            || (code.contains("SELECT ") && code.contains(" FROM "))
            || (code.contains("UPDATE ") && code.contains(" SET "))
    };
    for file in rust(&["src"]).iter().filter(|file| file.module() != "store") {
        let found = file.code().filter(|(_, code)| is_sql(code));
        offences.extend(found.map(|(line, _)| file.at(line, "SQL outside src/store")));
    }
    none(&offences, "Give store/ a method that says what is wanted, and call it.");
}

/// Who may start tasks and threads: the daemon, the parsing threads, the writer's thread, a request for a token that must
/// end by itself, `acuse run` for its signals, and the command line for a reader's stack.
const SPAWNERS: [&str; 6] = [
    "src/daemon/",
    "src/ingest.rs",
    "src/store/writer.rs",
    "src/tokens.rs",
    "src/cli/run.rs",
    "src/cli/mod.rs",
];

#[test]
fn tasks_and_threads_are_started_in_few_places() {
    let mut offences = Vec::new();
    for file in
        rust(&["src"]).iter().filter(|file| !SPAWNERS.iter().any(|place| file.path.starts_with(place)))
    {
        let found = file.code().filter(|(_, code)| {
            ["tokio::spawn", "tokio::task::spawn", "thread::spawn", "thread::Builder"]
                .iter()
                .any(|it| code.contains(it))
        });
        offences.extend(found.map(|(line, _)| file.at(line, "starts a task or a thread")));
    }
    none(&offences, "Return a future or take a callback; daemon/ decides what runs beside what.");
}

#[test]
fn a_file_begins_with_its_duty() {
    let missing =
        |file: &File| !file.lines.first().is_some_and(|line| line.starts_with("//! ") && line.len() > 20);
    let offences: Vec<_> = rust(&["src", "tests", "examples"])
        .iter()
        .filter(|file| missing(file))
        .map(|file| file.at(1, "the first line does not say what the file is for"))
        .collect();
    none(&offences, "Begin the file with `//! ` and one sentence: its duty.");
}

#[test]
fn a_file_is_read_in_one_sitting() {
    let offences: Vec<_> = rust(&["src", "examples"])
        .iter()
        .map(|file| (file, file.code().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(file, lines)| file.at(1, &format!("{lines} lines of code")))
        .collect();
    none(
        &offences,
        &format!("{MOST_LINES} is the most: give the part that has a name of its own a file of its own."),
    );
}

/// Names that say nothing about what a thing is.
const EMPTY_WORDS: [&str; 6] = ["Manager", "Handler", "Helper", "Util", "Service", "Info"];

#[test]
fn names_say_what_things_are() {
    let mut offences = Vec::new();
    for file in rust(&["src", "tests", "examples"]) {
        for (number, line) in file.lines.iter().enumerate() {
            let code = line.trim_start();
            let names = ["struct ", "enum ", "trait ", "type ", "mod "]
                .into_iter()
                .flat_map(|kind| words_after(code, kind));
            let is_code = !code.starts_with("//") && !code.contains('"');
            for name in names.filter(|_| is_code) {
                if EMPTY_WORDS.iter().any(|word| name.ends_with(word) || name == word.to_lowercase() + "s") {
                    offences.push(file.at(number + 1, &format!("`{name}` does not say what it is")));
                }
            }
            if is_code && words_after(code, "fn ").any(|name| name.starts_with("get_")) {
                offences.push(file.at(number + 1, "a `get_`: name what it gives"));
            }
        }
    }
    none(&offences, "Use the field's own word; ARCHITECTURE.md has the glossary.");
}

#[test]
fn every_fixture_is_read_by_a_test_or_the_demo() {
    let readers: String =
        rust(&["src", "tests", "examples"]).iter().map(|file| file.lines.join("\n")).collect();
    let offences: Vec<_> = files_in("fixtures")
        .into_iter()
        .filter(|path| !path.starts_with("fixtures/broken/")) // tests/broken.rs reads whatever is there,
        .filter(|path| !path.starts_with("fixtures/labelled/")) // and so does tests/pack.rs
        .filter(|path| {
            !Path::new(path).file_name().is_some_and(|name| readers.contains(&*name.to_string_lossy()))
        })
        .map(|path| format!("{path}:1: no test and no demo names it"))
        .collect();
    none(&offences, "Name it in the test that it was made for, or delete it.");
}

#[test]
fn every_file_of_the_policy_is_compiled_in() {
    let policy = policy::SHIPPED.iter().map(|(name, _)| format!("rules/{name}"));
    let shipped: BTreeSet<String> = policy.chain(reply::shipped().map(|text| text.name.clone())).collect();
    let there: BTreeSet<String> =
        files_in("rules").into_iter().filter(|path| !path.ends_with("README.md")).collect();
    let offences: Vec<_> = there
        .symmetric_difference(&shipped)
        .map(|path| format!("{path}:1: in rules/ or in the binary, not in both"))
        .collect();
    none(&offences, "List it in policy::SHIPPED, or in reply::shipped() when it is a text.");
}

#[test]
fn the_example_names_every_key_of_the_configuration() {
    let (example, file) = (text("acuse.example.toml"), text("src/config/file.rs"));
    let structs = file.split("Deserialize").skip(1).filter_map(|rest| {
        let (head, body) = rest.split_once('{')?;
        (head.contains("struct") && !head.contains('}')).then(|| body.split('}').next().unwrap_or_default())
    });
    let keys: BTreeSet<&str> = structs
        .flat_map(str::lines)
        .filter_map(|line| line.trim().trim_start_matches("pub(super) ").split_once(": "))
        .map(|(key, _)| key)
        .filter(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect();
    assert!(keys.len() > 30, "only {keys:?}");
    let names = |key: &str| {
        example.lines().map(|line| line.trim_start_matches("# ")).any(|line| {
            line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
                || line.trim_matches(['[', ']']).split(']').next().and_then(|name| name.rsplit('.').next())
                    == Some(key)
        })
    };
    let missing: Vec<_> = keys
        .iter()
        .filter(|key| !names(key))
        .map(|key| format!("acuse.example.toml:1: no `{key}`"))
        .collect();
    none(&missing, "Name it there with its default, behind `# ` unless it must be set.");
}

/// The pages that people wrote; docs/codes.md is made.
const PAGES: [&str; 10] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "rules/README.md",
    "docs/log.md",
    "docs/json.md",
    "docs/mail.md",
    "docs/oauth.md",
];

#[test]
fn pages_name_what_is_there() {
    let tests: String = rust(&["src", "tests"]).iter().map(|file| file.lines.join("\n")).collect();
    let mut offences = Vec::new();
    for page in PAGES {
        let directory = Path::new(page).parent().unwrap_or(Path::new(""));
        for (number, line) in text(page).lines().enumerate() {
            let mut wrong = |what: String| offences.push(format!("{page}:{}: {what}", number + 1));
            for (at, _) in line.match_indices("](") {
                let target = line[at + 2..].split([')', '#']).next().unwrap_or_default();
                if !target.is_empty()
                    && !target.contains("://")
                    && !root().join(directory).join(target).exists()
                {
                    wrong(format!("there is no {target}"));
                }
            }
            for code in line.split('`').skip(1).step_by(2) {
                let is_path = ["src/", "tests/", "docs/", "rules/", "fixtures/", "systemd/", "scripts/"]
                    .iter()
                    .any(|directory| code.starts_with(directory));
                if is_path && !code.contains(['*', '{', '…', ' ']) && !root().join(code).exists() {
                    wrong(format!("there is no {code}"));
                }
                let is_test = code.matches('_').count() >= 3
                    && code.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                if is_test && !tests.contains(&format!("fn {code}(")) {
                    wrong(format!("there is no test {code}"));
                }
            }
        }
    }
    none(&offences, "Write what is there now.");
}

/// The sentence of a call such as `tracing::info!(field, "the sentence");`: what it ends with.
fn sentence(call: &str) -> Option<String> {
    let mut depth = 0;
    let end = call.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ')' && depth == 0
    })?;
    let quoted = call[..end].trim_end().trim_end_matches(',').strip_suffix('"')?;
    let start = quoted.match_indices('"').rfind(|(at, _)| !quoted[..*at].ends_with('\\'))?.0 + 1;
    Some(quoted[start..].replace("\\\"", "\""))
}

#[test]
fn every_log_line_is_explained() {
    let page = text("docs/log.md");
    let (mut offences, mut said_anywhere) = (Vec::new(), BTreeSet::<String>::new());
    for file in rust(&["src"]) {
        let code: Vec<(usize, &str)> = file.code().collect();
        for (index, (line, start)) in code.iter().enumerate() {
            if !["error!(", "warn!(", "info!("]
                .iter()
                .any(|level| start.contains(&format!("tracing::{level}")))
            {
                continue;
            }
            let call: String = code.iter().skip(index).take(15).flat_map(|(_, code)| [*code, " "]).collect();
            let from = call.find("tracing::").unwrap_or(0);
            match sentence(&call[from..]) {
                Some(said) if page.contains(&format!("| {said} |")) => {
                    said_anywhere.insert(said);
                }
                Some(said) => {
                    offences.push(file.at(*line, &format!("docs/log.md does not explain `{said}`")))
                }
                None => offences.push(file.at(*line, "a log line without a sentence at its end")),
            }
        }
    }
    for (number, row) in page.lines().enumerate() {
        let mut cells = row.split(" | ");
        let said = cells.next().and_then(|cell| cell.strip_prefix("| "));
        let is_line = cells.next().is_some_and(|level| ["error", "warn", "info"].contains(&level.trim()));
        if let Some(said) = said.filter(|said| is_line && !said_anywhere.contains::<str>(said)) {
            offences.push(format!("docs/log.md:{}: nothing logs `{said}`", number + 1));
        }
    }
    none(&offences, "Give it a row in docs/log.md: the sentence, its level, and what to do about it.");
}
