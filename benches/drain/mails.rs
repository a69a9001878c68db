//! The mails that are drained: a directory's, or a week of a support mailbox made up from a seed.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};

const SENTENCES: [&str; 12] = [
    "Desde temprano el sitio de la empresa no abre y los clientes se quejan.",
    "Ya apagamos y encendimos todo, y sigue igual.",
    "La dirección desde la que entramos es 203.0.113.45, de la sede de Cali.",
    "La factura de la renovación está pagada desde el martes; adjunto el comprobante.",
    "No recuerdo la contraseña del panel ni la del webmail.",
    "El correo de ventas rebota con un aviso que no entendemos.",
    "Queremos saber cómo se crea una cuenta de correo más.",
    "Borramos una carpeta sin querer y necesitamos la copia de anoche.",
    "Con gusto damos más datos por este medio.",
    "The control panel says that our licence has run out.",
    "Mail to our customers is held up, and nobody knows why.",
    "Please tell us whether the name servers have changed.",
];
const SUBJECTS: [&str; 6] = [
    "La página no carga",
    "Bloquearon nuestra IP",
    "Olvidé la contraseña del panel",
    "Pago de la renovación",
    "Copia de seguridad de anoche",
    "Mail is held up",
];

/// The mails of a directory (`*.eml`, in the order of their names), or `count` made up.
pub fn mails(directory: Option<&Path>, count: usize) -> Vec<Vec<u8>> {
    let Some(directory) = directory else { return (1..=count).map(made_up).collect() };
    let entries = fs::read_dir(directory).expect("a directory of mails");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    paths.sort();
    paths.iter().take(count).map(|path| fs::read(path).expect("a mail")).collect()
}

/// The `number`th mail: three in four are new, the others answers of the same customer, and one in twenty is a
/// machine's. Half have an HTML part.
pub fn made_up(number: usize) -> Vec<u8> {
    let mut dice = Dice(number as u64 + 1);
    let answers = number > 50 && dice.roll(4) == 0;
    let first = if answers { number - 1 - dice.roll(40) } else { number };
    let customer = customer(first);
    let subject = SUBJECTS[first % SUBJECTS.len()];
    let from =
        Mailbox::new(Some(format!("Cliente Núñez {}", first % 800)), customer.parse().expect("an address"));
    let mut mail = Message::builder()
        .from(from)
        .to("Soporte <soporte@mihost.example>".parse().expect("an address"))
        .message_id(Some(message_id(number)));
    mail = match answers {
        true => mail
            .subject(format!("Re: {subject}"))
            .in_reply_to(message_id(first))
            .references(message_id(first)),
        false => mail.subject(format!("{subject} {number}")),
    };
    let text = text(&mut dice);
    let plain = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(text.clone());
    let whole = if dice.roll(2) == 0 {
        mail.singlepart(plain)
    } else {
        let html = text.replace("\r\n\r\n", "</p>\r\n<p class=\"MsoNormal\" style=\"margin:0cm\">");
        let html = format!("<html><body lang=\"ES-CO\"><p class=\"MsoNormal\">{html}</p></body></html>");
        let html = SinglePart::builder().header(ContentType::TEXT_HTML).body(html);
        mail.multipart(MultiPart::alternative().singlepart(plain).singlepart(html))
    };
    let mut raw = trace(number, &customer, &mut dice).into_bytes();
    raw.extend_from_slice(&whole.expect("a mail").formatted());
    raw
}

/// The address of whoever wrote the `number`th mail.
pub fn customer(number: usize) -> String {
    format!("c{}@cliente{}.example", number % 800, number % 300)
}

fn message_id(number: usize) -> String {
    format!("<{number}.mail@cliente{}.example>", number % 300)
}

/// What the servers on the way and the sender's program add, and one in twenty mails owns up to being a machine's.
fn trace(number: usize, customer: &str, dice: &mut Dice) -> String {
    let mut head = format!("Return-Path: <{customer}>\r\n");
    for hop in 0..3 {
        let _ = write!(
            head,
            "Received: from mx{hop}.cliente.example (mx{hop}.cliente.example [203.0.113.{hop}])\r\n\
             \tby relay{hop}.mihost.example with ESMTPS id {number:08X}{hop};\r\n\tMon, 14 Sep 2026 09:00:0{hop} -0500\r\n"
        );
    }
    let signature: String = (0..340).map(|_| char::from(b'A' + dice.roll(26) as u8)).collect();
    let _ =
        write!(head, "DKIM-Signature: v=1; a=rsa-sha256; d=cliente.example; s=s1;\r\n\tb={signature}\r\n");
    if dice.roll(20) == 0 {
        head += "Auto-Submitted: auto-replied\r\n";
    }
    head
}

/// Half a page to three pages.
fn text(dice: &mut Dice) -> String {
    let mut text = "Cordial saludo:\r\n\r\n".to_owned();
    for _ in 0..2 + dice.roll(12) {
        for _ in 0..2 + dice.roll(4) {
            text += SENTENCES[dice.roll(SENTENCES.len())];
            text += if dice.roll(2) == 0 { " " } else { "\r\n" };
        }
        text += "\r\n\r\n";
    }
    text + "-- \r\nCliente Núñez\r\nTel. 601 555 0199\r\n"
}

/// The same throws for the same seed (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17) ^ (self.0 >> 7);
        (self.0 >> 11) as usize % sides
    }
}
