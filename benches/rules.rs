//! What the rules cost: a mail by the length of its text, hostile texts, and compiling; `just bench rules`.
//!
//! The shipped policy beside one with 5 000 rules more. Wall time of one thread, the best of several; the last column
//! compares within the run.
#![allow(clippy::panic, clippy::print_stdout, reason = "a benchmark")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use acuse::policy::{Policy, PolicyFiles, SHIPPED};
use acuse::problem::Source;
use acuse::rules::{RuleSet, Text};

/// Rules beside the shipped ones.
const SYNTHETIC: usize = 5_000;

/// As long as a hostile text is, bytes.
const HOSTILE: usize = 2 << 20;

/// What no text may cost.
const GOAL: Duration = Duration::from_millis(50);

/// What a customer writes, again and again.
const PROSE: &str = "Buenos días, les escribo porque desde ayer en la tarde el sitio de la empresa no carga y los correos \
    de ventas@cliente.example tampoco llegan. Ya revisé la configuración del dominio tienda.example y todo parece \
    normal. ¿Me pueden ayudar por favor? Adjunto el comprobante del pago de la renovación. Quedo atento.\n\n";

fn best<T>(times: usize, work: impl Fn() -> T) -> Duration {
    let once = || {
        let start = Instant::now();
        black_box(work());
        start.elapsed()
    };
    (0..times).map(|_| once()).min().unwrap_or_default()
}

fn evaluate(rules: &RuleSet, text: &str) -> Duration {
    let times = if text.len() > 100_000 { 5 } else { 200 };
    best(times, || {
        rules.evaluate(&Text { subject: Some("Ayuda"), own_text: black_box(text), attachments: &[] })
    })
}

/// The shipped files, and many rules of every shape whose words nobody writes but some whose words everybody does.
fn files(synthetic: usize) -> PolicyFiles {
    let mut files = PolicyFiles::shipped();
    let mut text = String::new();
    for n in 0..synthetic {
        let phrases = match n % 5 {
            0 => format!("\"palabra{n} ..5 {{caido}}\", \"{{servicio}} ..3 fallo{n}\""),
            1 => format!("\"codigo{n} & error\", \"se [me|nos] rompio{n}\""),
            2 => format!("\"{{pago}} && referencia{n}\", \"plan{n}* caro\""),
            3 => format!("\"~incidencia{n}\", \"no ..2 modulo{n}\""),
            _ => format!("\"{{clave}} ..4 sede{n} ..4 {{caido}}\", \"<host> zona{n}\""),
        };
        let _ = write!(
            text,
            "[[rule]]\nid = \"s{n}\"\ncase = \"howto\"\nany = [{phrases}]\nunless = [\"cotizacion{n}\"]\nyes = [\"x\"]\n"
        );
    }
    files.add_local("synthetic.toml", Source { name: "synthetic.toml".to_owned(), text });
    files
}

fn compile(files: &PolicyFiles) -> Policy {
    let (policy, problems) = Policy::compile(files);
    policy.unwrap_or_else(|| panic!("{}", acuse::problem::report(&problems, false)))
}

/// Every word that stands in quotes in the shipped rules.
fn vocabulary() -> String {
    let quoted = SHIPPED.iter().flat_map(|(_, text)| text.split('"').skip(1).step_by(2));
    let letters =
        quoted.flat_map(|line| line.split(|c: char| !c.is_alphanumeric())).filter(|word| !word.is_empty());
    letters.collect::<Vec<_>>().join(" ")
}

fn repeated(piece: &str, length: usize) -> String {
    let mut text = piece.repeat(length / piece.len() + 1);
    text.truncate(text.floor_char_boundary(length));
    text
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn main() {
    let (shipped, many) = (files(0), files(SYNTHETIC));
    let (few, more) = (compile(&shipped).rules, compile(&many).rules);
    let phrases = |rules: &RuleSet| rules.rules().map(|rule| rule.phrases.len()).sum::<usize>();
    println!("shipped: {} rules, {} phrases", few.rules().count(), phrases(&few));
    println!("with {SYNTHETIC} more: {} rules, {} phrases\n", more.rules().count(), phrases(&more));

    println!("{:30} {:>12} {:>14} {:>8}", "a mail's own words", "shipped, µs", "with 5000, µs", "ratio");
    for (name, length) in
        [("100 B", 100), ("1 KiB", 1 << 10), ("10 KiB", 10 << 10), ("100 KiB", 100 << 10), ("2 MiB", HOSTILE)]
    {
        row(name, &repeated(PROSE, length), &few, &more);
    }

    println!("\n{:30} {:>12} {:>14} {:>8}", "hostile, 2 MiB", "shipped, µs", "with 5000, µs", "ratio");
    let every_word = vocabulary();
    let hostile = [
        ("one word of a set", "servidor "),
        ("a set and what it lacks", "servidor pagina "),
        ("only separators", "\n \t"),
        ("only stops", "a. "),
        ("one giant word", "servidor"),
        ("one giant accented word", "ñáéí"),
        ("all negators", "no sin nunca ni "),
        ("negated for ever", "no es la clave del servidor no "),
        ("every word of the rules", every_word.as_str()),
        ("deep gaps, no end", "el sitio de la tienda en el servidor de la empresa con la pagina "),
        ("hosts", "a.co 10.0.0.1 b@c.co "),
        ("nearly a typo", "incidencia0x serbidorr "),
        ("combining marks", "a\u{301}\u{301}"),
    ];
    let mut worst = Duration::ZERO;
    for (name, piece) in hostile {
        worst = worst.max(row(name, &repeated(piece, HOSTILE), &few, &more));
    }
    let verdict = if worst < GOAL { "within" } else { "BEYOND" };
    println!("the worst takes {:.1} ms: {verdict} the goal of {} ms", micros(worst) / 1e3, GOAL.as_millis());

    let (one, other) = (best(5, || compile(&shipped)), best(3, || compile(&many)));
    println!(
        "\ncompiling the policy: {:.1} ms shipped, {:.1} ms with {SYNTHETIC} more",
        micros(one) / 1e3,
        micros(other) / 1e3
    );
    let (one, other) = (best(3, || few.check(|_| false)), best(1, || more.check(|_| false)));
    println!(
        "checking the rules:   {:.1} ms shipped, {:.1} ms with {SYNTHETIC} more",
        micros(one) / 1e3,
        micros(other) / 1e3
    );
}

/// Prints a row; the longer of the two times.
fn row(name: &str, text: &str, few: &RuleSet, more: &RuleSet) -> Duration {
    let (one, other) = (evaluate(few, text), evaluate(more, text));
    println!("{name:30} {:>12.1} {:>14.1} {:>8.2}", micros(one), micros(other), micros(other) / micros(one));
    one.max(other)
}
