//! Mails made to cost their reader all memory or all time (I12): each is read within bounds, and becomes a ticket.
//!
//! `ACUSE_BOMBS=all` tries every size; the table says what each cost. Memory is the peak above what the process had,
//! time is CPU time, so that a busy machine changes neither.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test"
)]

use std::fs;

use acuse::ingest::{Read, Reading, STACK};
use acuse::policy::{Policy, PolicyFiles};
use acuse::store::{self, Intake};
use acuse::triage::Arrival;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

/// I12: at most so much memory and CPU for any mail up to 50 MiB. An unoptimised build is slower, not hungrier.
const MOST_MIB: u64 = 256;
const MOST_SECONDS: f64 = if cfg!(debug_assertions) { 40.0 } else { 2.0 };
const LARGEST: usize = 50 << 20;

/// A way to make a mail of `n` of something.
type Generator = (&'static str, fn(usize) -> String);

const HEAD: &str = "From: Ana <ana@cliente.example>\r\nTo: soporte@mihost.example\r\nSubject: Ayuda\r\n";

fn with_body(fields: &str, body: &str) -> String {
    format!("{HEAD}{fields}\r\n{body}")
}

fn with_type(content_type: &str, body: &str) -> String {
    with_body(&format!("MIME-Version: 1.0\r\nContent-Type: {content_type}\r\n"), body)
}

fn multipart(kind: &str, part: &str, n: usize) -> String {
    with_type(
        &format!("multipart/{kind}; boundary=b"),
        &(format!("--b\r\n{part}\r\n").repeat(n) + "--b--\r\n"),
    )
}

fn html(body: &str) -> String {
    with_type("text/html; charset=utf-8", body)
}

/// A mail that is winmail.dat and nothing else.
fn winmail(stream: &[u8]) -> String {
    with_type("application/ms-tnef\r\nContent-Transfer-Encoding: base64", &STANDARD.encode(stream))
}

/// A TNEF stream of so many files ([MS-OXTNEF] §2.1.3), each of one attribute.
fn tnef(files: usize, attribute: u32, data: &[u8]) -> Vec<u8> {
    let one = |attribute: u32, data: &[u8]| {
        let length = u32::try_from(data.len()).unwrap().to_le_bytes();
        [&[2][..], &attribute.to_le_bytes(), &length, data, &[0; 2]].concat()
    };
    let file = [one(0x0006_9002, &[]), one(attribute, data)].concat();
    [&0x223E_9F78_u32.to_le_bytes()[..], &[0; 2], &file.repeat(files)].concat()
}

/// The properties of a file that is a stream.
fn tnef_within(stream: &[u8]) -> Vec<u8> {
    let length = u32::try_from(stream.len() + 16).unwrap().to_le_bytes();
    let property = [1_u32.to_le_bytes(), 0x3701_000D_u32.to_le_bytes(), 1_u32.to_le_bytes(), length];
    [&property.concat()[..], &[0; 16], stream, &[0; 3][..stream.len().wrapping_neg() % 4]].concat()
}

const GENERATORS: &[Generator] = &[
    // structure
    ("nested message/rfc822", |n| {
        with_type("message/rfc822", &"Content-Type: message/rfc822\r\n\r\n".repeat(n))
    }),
    ("nested multiparts", |n| {
        let open = |i: usize| format!("--b{i}\r\nContent-Type: multipart/mixed; boundary=b{}\r\n\r\n", i + 1);
        with_type("multipart/mixed; boundary=b0", &(0..n).map(open).collect::<String>())
    }),
    ("multiparts of one boundary", |n| {
        let open = "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
        with_type("multipart/mixed; boundary=b", &open.repeat(n))
    }),
    ("empty parts", |n| with_type("multipart/mixed; boundary=b", &"--b\n\n".repeat(n))),
    ("parts that are mails", |n| multipart("digest", "\r\nFrom: a@b.co\r\n\r\nx", n)),
    ("small parts", |n| multipart("mixed", "\r\nx", n)),
    ("alternatives", |n| multipart("alternative", "Content-Type: text/html\r\n\r\n<b>x</b>", n)),
    ("related parts", |n| multipart("related", "Content-Type: image/png\r\nContent-ID: <1@b>\r\n\r\nx", n)),
    ("named attachments", |n| {
        multipart("mixed", "Content-Type: a/b; name=x\r\nContent-Disposition: attachment\r\n\r\nx", n)
    }),
    ("hidden mails", |n| {
        let inner = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nRnJvbTogYUBiLmNvDQoNCng=";
        multipart("mixed", inner, n)
    }),
    ("closing boundaries", |n| with_type("multipart/mixed; boundary=b", &"--b--\r\n".repeat(n))),
    ("delivery-status groups", |n| {
        let groups = "Final-Recipient: rfc822; a@b.co\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n".repeat(n);
        let part = format!("Content-Type: message/delivery-status\r\n\r\n{groups}");
        multipart("report; report-type=delivery-status", &part, 1)
    }),
    ("calendars", |n| {
        multipart("mixed", "Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR", n)
    }),
    // winmail.dat
    ("files within files of winmail.dat", |n| {
        let inner = tnef(200, 0x0006_9005, &tnef_within(&tnef(200, 0x0001_8010, b"a")));
        winmail(&tnef((n / 40_000).clamp(1, 38), 0x0006_9005, &tnef_within(&inner)))
    }),
    ("long names in winmail.dat", |n| winmail(&tnef(35, 0x0001_8010, &vec![b'a'; n.min(1_000_000)]))),
    // header
    ("RFC 2231 continuations", |n| {
        let parameters: String = (0..n).map(|i| format!(";\r\n n{i}*1*=%41")).collect();
        with_type(&format!("text/plain{parameters}"), "hola")
    }),
    ("continuations of one parameter", |n| {
        let parameters: String = (0..n).map(|i| format!(";\r\n name*{i}*=%41")).collect();
        with_type(&format!("text/plain{parameters}"), "hola")
    }),
    ("References", |n| {
        let ids: String = (0..n).map(|i| format!("<{i}@b.co>\r\n ")).collect();
        with_body(&format!("References: {ids}\r\n"), "hola")
    }),
    ("References on one line", |n| {
        let ids: String = (0..n).map(|i| format!("<{i}@b.co>")).collect();
        with_body(&format!("In-Reply-To: {ids}\r\nReferences: {ids}\r\n"), "hola")
    }),
    ("one long field", |n| with_body(&format!("X-Long: {}\r\n", "x".repeat(n)), "hola")),
    ("many fields", |n| with_body(&"X-Field: x\r\n".repeat(n), "hola")),
    ("Received", |n| {
        with_body(&"Received: from a by b; Mon, 2 Nov 2026 10:00:00 -0500\r\n".repeat(n), "hola")
    }),
    ("Authentication-Results", |n| {
        with_body(&"Authentication-Results: mx.mihost.example; dmarc=pass\r\n".repeat(n), "hola")
    }),
    ("recipients", |n| {
        let to: String = (0..n).map(|i| format!("a{i}@b.co,\r\n ")).collect();
        with_body(&format!("Cc: {to}z@b.co\r\n"), "hola")
    }),
    ("nested comments", |n| {
        with_body(&format!("Reply-To: {}a@b.co{}\r\n", "(".repeat(n), ")".repeat(n)), "hola")
    }),
    ("nested groups", |n| with_body(&format!("Cc: {}a@b.co;\r\n", "g:".repeat(n)), "hola")),
    ("encoded words", |n| with_body(&format!("Comments: {}\r\n", "=?utf-8?q?a?= ".repeat(n)), "hola")),
    ("an encoded subject", |n| {
        format!("From: ana@cliente.example\r\nSubject: {}\r\n\r\nhola", "=?utf-8?b?w7E=?=\r\n ".repeat(n))
    }),
    ("folds", |n| with_body(&format!("X-Fold: a{}\r\n", "\r\n ".repeat(n)), "hola")),
    ("quotes in a name", |n| with_body(&format!("Cc: \"{}\" <a@b.co>\r\n", "\\\"".repeat(n)), "hola")),
    // text
    ("a long line", |n| with_body("", &"x".repeat(n))),
    ("short lines", |n| with_body("", &"x\r\n".repeat(n))),
    ("quoted lines", |n| with_body("In-Reply-To: <1@b.co>\r\n", &"> x\r\n".repeat(n))),
    ("deep quotes", |n| with_body("In-Reply-To: <1@b.co>\r\n", &format!("{} x\r\n", ">".repeat(n)))),
    ("attribution lines", |n| {
        with_body(
            "In-Reply-To: <1@b.co>\r\n",
            &"El lun, 2 nov 2026, Ana <a@b.co> escribi\u{f3}:\r\n".repeat(n),
        )
    }),
    ("rules and disclaimers", |n| with_body("", &"x\r\n-----\r\nconfidential, privileged\r\n".repeat(n))),
    ("armour without end", |n| with_body("", &"-----BEGIN PGP MESSAGE-----\r\n".repeat(n))),
    ("uuencoded files", |n| with_body("", &"begin 644 x\r\n!80\r\n`\r\nend\r\n".repeat(n))),
    ("flowed lines", |n| with_type("text/plain; format=flowed; delsp=yes", &"x \r\n".repeat(n))),
    ("quoted-printable", |n| {
        with_body(
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n",
            &"=C3=B1".repeat(n),
        )
    }),
    ("base64 of nothing", |n| with_body("Content-Transfer-Encoding: base64\r\n", &"====\r\n".repeat(n))),
    ("UTF-7", |n| with_type("text/plain; charset=utf-7", &"+AOE-".repeat(n))),
    ("ISO-2022-JP shifts", |n| with_type("text/plain; charset=iso-2022-jp", &"\u{1b}$B!!\u{1b}(B".repeat(n))),
    // HTML
    ("nested div", |n| html(&"<div>".repeat(n))),
    ("nested blockquote", |n| html(&"<blockquote>x".repeat(n))),
    ("nested tables", |n| html(&"<table><tr><td>".repeat(n))),
    ("nested lists", |n| html(&"<ul><li>".repeat(n))),
    ("open attributes", |n| html(&"<a href=\"".repeat(n))),
    ("attributes", |n| html(&format!("<a {}>x", "b=c ".repeat(n)))),
    ("comments", |n| html(&"<!--".repeat(n))),
    ("entities", |n| html(&"&ntilde;&#x1F600;&bogus".repeat(n))),
    ("misnested tags", |n| html(&"<b><i></b></i>".repeat(n))),
    ("style and script", |n| html(&"<style>a{}</style><script>x".repeat(n))),
    // words that rules look for
    ("an outage, again and again", |n| with_body("", &"El servidor est\u{e1} ca\u{ed}do. ".repeat(n))),
    ("negations", |n| with_body("", &"no ".repeat(n))),
    ("addresses", |n| with_body("", &"http://a.b.co/x?y=z 10.0.0.1 ana@b.co ".repeat(n))),
];

/// CPU time of this thread, in seconds.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("procfs");
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// A line of /proc/self/status, MiB.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a line of that name");
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn no_mail_costs_its_reader_more_than_the_bounds() {
    let all = std::env::var("ACUSE_BOMBS").is_ok_and(|sizes| sizes == "all");
    let sizes: &[usize] =
        if all { &[1_000, 10_000, 100_000, 1_000_000, 10_000_000] } else { &[1_000, 100_000] };
    let run = move || {
        let policy = Policy::compile(&PolicyFiles::shipped()).0.expect("the shipped policy");
        let site = acuse::site::Site::nobody();
        let directory = tempfile::tempdir().unwrap();
        let mut store = store::create(directory.path()).unwrap();
        println!("{:34} {:>9} {:>10} {:>8} {:>9}  becomes", "bomb", "count", "bytes", "CPU ms", "peak MiB");
        let mut worst = (0, 0.0_f64);
        for (name, generate) in GENERATORS {
            for &size in sizes {
                // each is another content
                let mail =
                    format!("Message-ID: <{size}@cliente.example>\r\nX-Bomb: {name}\r\n{}", generate(size));
                if mail.len() > LARGEST {
                    continue;
                }
                fs::write("/proc/self/clear_refs", "5").expect("procfs"); // the peak starts anew
                let (memory_before, cpu_before) = (memory("VmRSS"), cpu());
                let read =
                    Read::new(mail.as_bytes(), Reading::Whole, &policy).expect("a mail is always read");
                let now = Timestamp::now();
                let arrival =
                    Arrival { mailbox: "soporte".to_owned(), recipient: None, received: now, backlog: false };
                let stored =
                    acuse::ingest::unlisted(&mut store, Intake::Stdin, &read, &arrival, &site, &policy, now);
                let stored = stored.expect("it is stored");
                let seconds = cpu() - cpu_before;
                let peak = memory("VmHWM").saturating_sub(memory_before);
                worst = (worst.0.max(peak), worst.1.max(seconds));
                let became = stored.reason.as_str();
                println!("{name:34} {size:9} {:10} {:8.0} {peak:9}  {became}", mail.len(), seconds * 1e3);
                assert!(peak <= MOST_MIB, "{name} × {size}: {peak} MiB");
                assert!(seconds <= MOST_SECONDS, "{name} × {size}: {seconds:.1} s of CPU");
                // a mail that went round a hundred servers is set aside; all others are somebody's case
                assert!(
                    stored.ticket.is_some() || became == "too_many_hops" || became == "backscatter",
                    "{name}: {became}"
                );
            }
        }
        println!("at most {} MiB and {:.0} ms", worst.0, worst.1 * 1e3);
    };
    std::thread::Builder::new().stack_size(STACK).spawn(run).unwrap().join().expect("no bomb went off");
}
