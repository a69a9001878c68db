//! What reading a mail costs, beside what the parser under it costs alone, in one run: `just bench reading`.
//!
//! `ACUSE_CORPUS` names a directory with mails and their `manifest.jsonl`; without it the fixtures are read. Times are
//! wall time of one thread, the best of three for each mail; memory is the peak that one mail adds to a process.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a benchmark")]
#![allow(clippy::disallowed_methods, reason = "the environment says which corpus")]

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use acuse::policy::{Policy, PolicyFiles};

/// Tells this program to be one reader of one mail.
const PEAK: &str = "--peak";
const ALONE: &str = "alone";

fn paths() -> Vec<PathBuf> {
    match std::env::var("ACUSE_CORPUS") {
        Ok(directory) => {
            let directory = Path::new(&directory);
            let manifest = fs::read_to_string(directory.join("manifest.jsonl")).expect("a manifest");
            let rows =
                manifest.lines().map(|row| serde_json::from_str::<serde_json::Value>(row).expect("a row"));
            let rows = rows.filter(|row| row["format"] == "rfc822");
            rows.map(|row| directory.join(row["path"].as_str().expect("a path"))).collect()
        }
        Err(_) => fixtures(),
    }
}

fn fixtures() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mail");
    fs::read_dir(directory).expect("fixtures").map(|entry| entry.expect("an entry").path()).collect()
}

/// The best of three, for each mail.
fn time<T>(mails: &[Vec<u8>], read: impl Fn(&[u8]) -> T) -> Vec<Duration> {
    let once = |mail: &Vec<u8>| {
        let start = Instant::now();
        black_box(read(black_box(mail)));
        start.elapsed()
    };
    mails.iter().map(|mail| (0..3).map(|_| once(mail)).min().unwrap_or_default()).collect()
}

/// A line of /proc/self/status, KiB.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a line of that name");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// The peak that each mail adds, KiB: each in a process of its own, for a heap that has grown does not show it.
fn peaks(paths: &[PathBuf], reader: &str) -> Vec<u64> {
    let this = std::env::current_exe().expect("this program");
    let once = |path: &PathBuf| {
        let ran = Command::new(&this).arg(PEAK).arg(reader).arg(path).output().expect("this program runs");
        String::from_utf8(ran.stdout).expect("text").trim().parse().expect("KiB")
    };
    paths.iter().map(once).collect()
}

/// Prints the peak that reading one mail adds, once the fixtures have brought code and patterns in.
fn peak(reader: &str, path: &str) {
    let read = |raw: &[u8]| match reader {
        ALONE => drop(black_box(mail_parser::MessageParser::default().parse(raw))),
        _ => drop(black_box(acuse::mail::parse(raw))),
    };
    fixtures().iter().for_each(|path| read(&fs::read(path).expect("a mail")));
    let mail = fs::read(path).expect("a mail");
    fs::write("/proc/self/clear_refs", "5").expect("procfs");
    let before = memory("VmRSS");
    read(&mail);
    println!("{}", memory("VmHWM").saturating_sub(before));
}

fn row<T: Copy + Ord>(name: &str, unit: &str, figures: &[T], show: impl Fn(T) -> f64) {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable();
    let at = |part: usize| show(sorted[(sorted.len() - 1) * part / 100]);
    let mean = figures.iter().map(|figure| show(*figure)).sum::<f64>() / figures.len() as f64;
    println!("{name:28} {:>10.1} {:>10.1} {:>10.1} {mean:>10.1}  {unit}", at(50), at(99), at(100));
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, reader, path] = arguments.as_slice()
        && flag == PEAK
    {
        return peak(reader, path);
    }
    let paths = paths();
    let mails: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).expect("a mail")).collect();
    let policy = Policy::compile(&PolicyFiles::shipped()).0.expect("the shipped policy");
    let bytes: usize = mails.iter().map(Vec::len).sum();
    println!("{} mails, {} KiB in all", mails.len(), bytes >> 10);
    println!("{:28} {:>10} {:>10} {:>10} {:>10}", "", "p50", "p99", "max", "mean");
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let parser = mail_parser::MessageParser::default();
    let alone = time(&mails, |mail| parser.parse(mail).is_some());
    let whole = time(&mails, acuse::mail::parse);
    let classified = time(&mails, |mail| acuse::triage::classify(&acuse::mail::parse(mail), &policy));
    row("the parser alone", "µs", &alone, micros);
    row("acuse::mail::parse", "µs", &whole, micros);
    row("parse and classify", "µs", &classified, micros);
    let total = |times: &[Duration]| times.iter().sum::<Duration>().as_secs_f64();
    println!("parse is {:.1} times the parser alone", total(&whole) / total(&alone));
    let kib = |kib: u64| kib as f64;
    row("the parser alone, peak", "KiB", &peaks(&paths, ALONE), kib);
    row("acuse::mail::parse, peak", "KiB", &peaks(&paths, "whole"), kib);
}
