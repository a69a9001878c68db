//! The worst of them through `acuse ingest`: what the whole program costs, from its start to its end.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::support::acuse::Site;
use crate::{LARGEST, MOST_MIB, MOST_SECONDS, mails, mebibytes};

/// Those that cost most memory or time in the reader, each with the size at which it does.
const WORST: [(&str, usize); 14] = [
    ("nested_message_rfc822", 1_000_000),
    ("mails_and_multiparts_in_turn", 100_000),
    ("empty_parts", 10_000_000),
    ("files_within_files_of_winmail_dat", 1_000_000),
    ("rfc_2231_continuations", 100_000),
    ("nested_comments", 1_000_000),
    ("many_fields", 1_000_000),
    ("a_long_line", 10_000_000),
    ("quoted_lines", 1_000_000),
    ("utf_16_in_base64", 100_000),
    ("nested_div", 1_000_000),
    ("entities", 1_000_000),
    ("an_outage_again_and_again", 1_000_000),
    ("addresses", 1_000_000),
];

#[test]
fn the_whole_program_stays_within_the_bounds() {
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let site = Site::builder(nobody, nobody).init();
    let ordinary = ("an ordinary mail", "From: ana@cliente.example\r\n\r\nhola\r\n".to_owned());
    let bombs = WORST.iter().map(|(name, size)| (*name, mails::named(name)(*size)));
    let mut table = String::new();
    for (name, mail) in std::iter::once(ordinary).chain(bombs) {
        assert!(mail.len() <= LARGEST, "{name}");
        let (seconds, peak) = ingest(&site, &mail);
        table += &format!("| {name} | {} | {:.0} | {peak} |\n", mail.len(), seconds * 1e3);
        assert!(peak <= MOST_MIB, "{name}: {peak} MiB");
        assert!(seconds <= MOST_SECONDS, "{name}: {seconds:.1} s of CPU");
    }
    println!("| through `acuse ingest` | bytes | CPU ms | peak MiB |\n|---|--:|--:|--:|\n{table}");
    assert_eq!(site.tickets().len(), WORST.len() + 1);
}

/// Gives the mail to the program; its CPU time in seconds and its peak in MiB, as last seen a moment before its end.
fn ingest(site: &Site, mail: &str) -> (f64, u64) {
    let file = site.directory().join("mail.eml");
    fs::write(&file, mail).unwrap();
    let mut command = site.command(&["ingest", file.to_str().unwrap()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let process = format!("/proc/{}", child.id());
    let (mut seconds, mut peak) = (0.0, 0);
    loop {
        // nobody has waited for it yet, so that its times stay to be read when it has ended
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let stat = fs::read_to_string(format!("{process}/stat")).unwrap();
        let times = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
        seconds = times.map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum::<f64>().max(seconds);
        match mebibytes(&status, "VmHWM") {
            Some(now) => peak = peak.max(now),
            None => break,
        }
        thread::sleep(Duration::from_millis(1));
    }
    assert!(child.wait().unwrap().success());
    (seconds, peak)
}
