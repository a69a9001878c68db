//! The acknowledgements as their readers get them: through the real daemon, from one mailbox of a real Dovecot into
//! others, and read back from there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test, in which mail comes in now"
)]

use std::collections::BTreeMap;

use acuse::config::read_keys;
use acuse::reply::words;
use acuse::ticket::{Impact, Language};
use acuse::token::Purpose;
use jiff::{Timestamp, tz::TimeZone};
use mail_parser::{MessageParser, MimeHeaders};
use serde_json::Value;
use support::acuse::{ADDRESS, Site, USER};
use support::client::deliver_lmtp;
use support::dovecot::Dovecot;
use support::smtp_peer::{self, SmtpPeer};
use support::{eventually, header};

mod support;

/// The daemon between the support mailbox and a relay that delivers to the same server's other mailboxes: the user is
/// the local part.
struct Post {
    server: Dovecot,
    relay: SmtpPeer,
    site: Site,
}

impl Post {
    fn open() -> Self {
        let server = Dovecot::start();
        let relay = SmtpPeer::start(smtp_peer::Options::default());
        let lmtp = server.lmtp();
        relay.on_mail(move |mail| {
            for recipient in &mail.recipients {
                let (user, _) = recipient.address.split_once('@').unwrap();
                deliver_lmtp(lmtp, &mail.sender, user, &mail.raw);
            }
        });
        let mut site = Site::builder(server.imap(), relay.address()).set("mailbox.0.poll", "1h").init();
        site.run();
        eventually("the enrolment", || site.log().contains("enrolled").then_some(()));
        Self { server, relay, site }
    }

    fn send(&self, mail: &CustomerMail<'_>) {
        self.server.deliver(USER, &mail.bytes());
    }

    /// The one mail in a customer's mailbox, once it is there.
    fn received(&self, user: &str) -> Vec<u8> {
        let mut customer = self.server.client(user);
        let uid = eventually(&format!("the acknowledgement to {user}; log:\n{}", self.site.log()), || {
            customer.list("INBOX").first().map(|mail| mail.uid)
        });
        assert_eq!(customer.list("INBOX").len(), 1);
        customer.fetch(uid)
    }
}

struct CustomerMail<'a> {
    /// The local part of their address.
    user: &'a str,
    subject: &'a str,
    words: &'a str,
}

/// What a customer wrote and never reads again (I8).
const CANARY: &str = "canario7731";

impl CustomerMail<'_> {
    fn address(&self) -> String {
        format!("{}@cliente.example", self.user)
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { user, subject, words } = self;
        let subject: String = subject.bytes().map(|byte| format!("={byte:02X}")).collect();
        format!(
            "From: \"{CANARY} Ana\" <{address}>\r\nTo: Soporte {CANARY} <{ADDRESS}>\r\n\
             Cc: otra@cliente.example\r\nSubject: =?UTF-8?Q?{subject}?=\r\n\
             Message-ID: <{user}@mua.example>\r\nReferences: <first.{user}@mua.example>\r\n\
             Disposition-Notification-To: {address}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
             {words}\r\n\r\n{CANARY}\r\n",
            address = self.address(),
        )
        .into_bytes()
    }
}

/// Its header fields in order, as `(name, value)`, and its body; what delivery put on top is taken off.
fn taken_apart(raw: &[u8]) -> (Vec<(String, String)>, String) {
    let mail = str::from_utf8(raw).expect("an acknowledgement is ASCII");
    let mail = &mail[mail.find("\r\nDate: ").expect("our first field") + 2..];
    let (head, body) = mail.split_once("\r\n\r\n").unwrap();
    assert!(mail.is_ascii());
    for line in mail.split("\r\n") {
        assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
        assert!(!line.ends_with([' ', '\t']), "what relays may strip is signed: {line:?}");
        assert!(!line.starts_with('.') && !line.starts_with("From "), "{line:?}");
    }
    assert!(head.split("\r\n").all(|line| line.len() <= 78), "{head}");
    assert!(body.split("\r\n").all(|line| line.len() <= 76), "{body}");
    let fields = head.replace("\r\n ", " ");
    let fields = fields.split("\r\n").map(|field| field.split_once(": ").unwrap());
    (fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(), body.to_owned())
}

/// The text part and the HTML part, decoded.
fn parts(raw: &[u8]) -> (String, String) {
    let mail = MessageParser::new().parse(raw).unwrap();
    let [outer, text, html] = &mail.parts[..] else { panic!("{} parts", mail.parts.len()) };
    let kind = |part: &mail_parser::MessagePart<'_>| {
        let kind = part.content_type().unwrap();
        format!("{}/{}", kind.ctype(), kind.subtype().unwrap())
    };
    assert_eq!([outer, text, html].map(kind), ["multipart/alternative", "text/plain", "text/html"]);
    for part in [text, html] {
        assert_eq!(part.content_type().unwrap().attribute("charset"), Some("utf-8"));
        assert_eq!(part.content_transfer_encoding(), Some("quoted-printable"));
    }
    let decoded = |part: &mail_parser::MessagePart<'_>| part.text_contents().unwrap().replace("\r\n", "\n");
    (decoded(text), decoded(html))
}

/// On one line, as a reader sees it.
fn flat(text: &str) -> String {
    text.replace("&nbsp;", " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The manual's words for each plan and impact, in Spanish and English.
fn manual(plan: &str, impact: Impact) -> [&'static str; 2] {
    match (plan, impact) {
        ("n3", _) => {
            ["en menos de 1 hora, a cualquier hora y cualquier día", "in less than 1 hour, any hour, any day"]
        }
        (_, Impact::High) => [
            "en 1 hora como máximo, a cualquier hora y cualquier día",
            "within 1 hour at most, any hour, any day",
        ],
        ("n1", Impact::Medium) => ["entre 3 y 5 horas hábiles", "between 3 and 5 business hours"],
        ("n1", Impact::Low) => ["entre 5 y 6 horas hábiles", "between 5 and 6 business hours"],
        ("n2", Impact::Medium) => ["entre 2 y 3 horas hábiles", "between 2 and 3 business hours"],
        ("n2", Impact::Low) => ["entre 3 y 4 horas hábiles", "between 3 and 4 business hours"],
        _ => panic!("the manual has no {plan}"),
    }
}

/// A subject with what must not come back, the words of the mail, and the subject that comes back.
fn case(impact: Impact, language: Language) -> (&'static str, &'static str, &'static str) {
    match (impact, language) {
        (Impact::High, Language::Es) => (
            "Mi página\u{202e} no carga https://evil.example/canario7731",
            "Buenos días, mi página no carga desde hace una hora.",
            "Re: Mi página no carga",
        ),
        (Impact::High, Language::En) => (
            "RE: re: My website\r\nBcc: canario7731@evil.example",
            "Hello, my website is down since this morning.",
            "Re: My website Bcc: canario7731@evil.example",
        ),
        (Impact::Medium, Language::Es) => {
            ("Bloqueo de IP", "Buenos días, mi IP está bloqueada en el firewall.", "Re: Bloqueo de IP")
        }
        (Impact::Medium, Language::En) => {
            ("IP blocked", "Hello, my IP is blocked by the firewall.", "Re: IP blocked")
        }
        (Impact::Low, Language::Es) => {
            ("Clave de cPanel", "Buenos días, quiero cambiar la clave de cPanel.", "Re: Clave de cPanel")
        }
        (Impact::Low, Language::En) => {
            ("cPanel password", "Hello, please change my cPanel password.", "Re: cPanel password")
        }
    }
}

/// Our header fields; there is no other, and none of them twice.
const FIELDS: [&str; 14] = [
    "Date",
    "From",
    "To",
    "Subject",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "Precedence",
    "X-Acuse-Loop",
    "Content-Language",
    "MIME-Version",
    "Content-Type",
];

#[test]
fn the_nine_acknowledgements_in_both_languages_arrive_as_the_manual_promises() {
    let post = Post::open();
    let asked: Vec<(Language, &str, Impact, String)> = Language::ALL
        .into_iter()
        .flat_map(|language| ["n1", "n2", "n3"].map(|plan| (language, plan)))
        .flat_map(|(language, plan)| Impact::ALL.map(|impact| (language, plan, impact)))
        .map(|(language, plan, impact)| {
            (language, plan, impact, format!("{}-{plan}-{impact}", language.as_str()))
        })
        .collect();
    assert_eq!(asked.len(), 18);
    for (language, plan, impact, user) in &asked {
        let (subject, words, _) = case(*impact, *language);
        let mail = CustomerMail { user, subject, words };
        post.site.text(&["customers", "set", &mail.address(), "--plan", plan, "--name", "María Pérez"]);
        post.send(&mail);
    }
    let keys = read_keys(&post.site.state_dir()).unwrap();
    let tickets = post.site.wait_for_tickets(asked.len());
    let tickets: BTreeMap<&str, &Value> =
        tickets.iter().map(|ticket| (ticket["requester"].as_str().unwrap(), ticket)).collect();

    for (language, plan, impact, user) in &asked {
        let raw = post.received(user);
        let address = format!("{user}@cliente.example");
        let [sent] = &post.relay.mails_to(&address)[..] else { panic!("one acknowledgement to {user}") };
        assert!(raw.ends_with(&sent.raw), "{user}: what arrives is what was sent");
        assert_eq!((sent.sender.as_str(), header(&raw, "Return-Path").as_deref()), ("", Some("<>")));

        let (fields, _) = taken_apart(&raw);
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, FIELDS, "{user}");
        let field = |name| header(&sent.raw, name).unwrap();
        assert_eq!(field("In-Reply-To"), format!("<{user}@mua.example>"));
        assert_eq!(field("References"), format!("<first.{user}@mua.example> <{user}@mua.example>"));
        assert_eq!((field("From"), field("To")), (format!("Soporte MiHost <{ADDRESS}>"), address.clone()));
        assert_eq!(field("Auto-Submitted"), "auto-replied");
        assert_eq!(field("X-Auto-Response-Suppress"), "OOF, AutoReply, RN, NRN");
        assert_eq!(field("Precedence"), "bulk");
        assert_eq!(field("Content-Language"), language.as_str());
        let claim = keys.verify(Purpose::Loop, &field("X-Acuse-Loop")).expect("our own signature");

        let (subject, _, answer) = case(*impact, *language);
        let read = MessageParser::new().parse(&raw).unwrap();
        assert_eq!(read.subject(), Some(answer), "{user}: of {subject:?}");
        let (text, html) = parts(&raw);
        assert!(text.lines().all(|line| line.chars().count() <= 76), "{text}");
        assert!(html.contains(&format!("<html lang=\"{}\">", language.as_str())), "{html}");
        let hard = ["<img", "color:", "background", " width:", ";width:", "\"width:"];
        assert!(!hard.iter().any(|style| html.contains(style)), "{html}");
        for part in [&text, &html] {
            assert!(!part.contains(CANARY) && !part.contains("cliente.example"), "{user}: {part}");
        }
        let greeting = ["Cordial saludo, María Pérez:", "Hello María Pérez,"];
        assert!(text.starts_with(greeting[usize::from(*language == Language::En)]), "{text}");

        let ticket = tickets[address.as_str()];
        let number = ticket["number"].as_str().unwrap();
        assert_eq!(number, format!("ACU-{}", claim.ticket));
        assert_eq!((&ticket["plan"], &ticket["impact"]), (&(*plan).into(), &impact.as_str().into()));
        assert!(text.contains(number) && html.contains(number));
        let shown = post.site.json(&["tickets", "show", number]);
        let arrived = shown["promise"]["received"].as_str().unwrap();
        let explained =
            post.site.json(&["sla", "explain", "--plan", plan, "--impact", impact.as_str(), "--at", arrived]);
        assert_eq!(explained["due_by"], shown["promise"]["due_by"], "{user}");
        let due: Timestamp = explained["due_by"].as_str().unwrap().parse().unwrap();
        let due = due.to_zoned(TimeZone::get("America/Bogota").unwrap());
        let until = flat(&words::moment(&due, *language));
        let within = manual(plan, *impact)[usize::from(*language == Language::En)];
        for part in [&text, &html].map(|part| flat(part)) {
            assert!(part.contains(within) && part.contains(&until), "{user}: {within}, {until} in {part}");
        }
        assert!(html.contains(&due.strftime("datetime=\"%Y-%m-%dT%H:%M:00-05:00\"").to_string()), "{html}");
    }
    assert_eq!(post.relay.mails().len(), asked.len());
    assert_eq!(post.relay.offences(), [""; 0]);
    post.site.assert_conserved();
}

#[test]
fn the_directory_chooses_the_language_then_the_own_words_then_spanish() {
    let post = Post::open();
    let (spanish, english) = ("Buenos días, mi página no carga.", "Hello, my website is down.");
    for (user, lang, subject, words, answered) in [
        ("one", Some("en"), "Ayuda", spanish, Language::En),
        ("two", Some("es"), "Help", english, Language::Es),
        ("three", None, "Ayuda", spanish, Language::Es),
        ("four", None, "Help", english, Language::En),
        ("five", None, "DNS", "500", Language::Es),
        ("six", None, "Urgente", "Bom dia, o site caiu.", Language::Es),
    ] {
        let mail = CustomerMail { user, subject, words };
        if let Some(lang) = lang {
            post.site.text(&["customers", "set", &mail.address(), "--plan", "n1", "--lang", lang]);
        }
        post.send(&mail);
        let raw = post.received(user);
        assert_eq!(header(&raw, "Content-Language").as_deref(), Some(answered.as_str()), "{user}");
        let (text, html) = parts(&raw);
        let begins = if answered == Language::Es { "Cordial saludo:" } else { "Hello," };
        assert!(text.starts_with(begins), "{user}: {text}");
        assert!(html.contains(&format!("<html lang=\"{}\">", answered.as_str())), "{user}: {html}");
    }
    // a whole domain's language, whatever its people write
    post.site.text(&["customers", "set", "@cliente.example", "--plan", "n2", "--lang", "en"]);
    post.send(&CustomerMail { user: "seven", subject: "Ayuda", words: spanish });
    assert_eq!(header(&post.received("seven"), "Content-Language").as_deref(), Some("en"));
}

#[test]
fn what_the_manual_has_no_row_for_is_said_in_words_of_its_own() {
    let mut post = Post::open();
    let (unclear, pays, asks) = (
        CustomerMail { user: "duda", subject: "Zeppelin", words: "Buenas, el zeppelín quedó morado." },
        CustomerMail {
            user: "nuevo",
            subject: "Comprobante",
            words: "Buenos días, ya pagué el hosting nuevo que contraté hoy, adjunto el comprobante para que lo activen.",
        },
        CustomerMail {
            user: "ana",
            subject: "Clave de cPanel",
            words: "Buenos días, quiero cambiar la clave de cPanel.",
        },
    );
    for user in ["duda", "ana", "tarde"] {
        post.site.text(&["customers", "set", &format!("{user}@cliente.example"), "--plan", "n1"]);
    }
    let says = |raw: &[u8], sentences: &[&str]| {
        let (text, html) = parts(raw);
        let words = html.split('<').map(|tag| tag.split_once('>').map_or(tag, |(_, after)| after));
        let words: String = words.collect();
        for sentence in sentences {
            assert!(flat(&text).contains(sentence), "{sentence} in {text}");
            assert!(flat(&words).contains(sentence), "{sentence} in {words}");
        }
        flat(&text)
    };

    post.send(&unclear);
    let text = says(
        &post.received("duda"),
        &["aún por revisar; mientras un asesor lo lee, lo tratamos como impacto medio"],
    );
    assert!(text.contains("entre 3 y 5 horas hábiles"), "{text}");

    post.send(&pays);
    let text =
        says(&post.received("nuevo"), &["No encontramos esta dirección entre las de nuestros clientes"]);
    assert!(text.contains("en 1 hora como máximo, a cualquier hora y cualquier día"), "{text}");

    // a low case, which the customer's answer to its acknowledgement makes a high one
    post.send(&asks);
    let first = post.received("ana");
    let number = header(&first, "Subject").map(|_| post.site.wait_for_tickets(3)).unwrap();
    let number =
        number.iter().find(|ticket| ticket["requester"] == "ana@cliente.example").unwrap()["number"].clone();
    let number = number.as_str().unwrap();
    let answer = format!(
        "From: ana@cliente.example\r\nTo: {ADDRESS}\r\nSubject: Re: Clave de cPanel\r\nMessage-ID: <second@mua.example>\r\n\
         In-Reply-To: {}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nAhora mi página no carga, el servidor está caído.\r\n",
        header(&first, "Message-ID").unwrap(),
    );
    post.server.deliver(USER, answer.as_bytes());
    let mut customer = post.server.client("ana");
    let uids = eventually("the second acknowledgement", || {
        let uids: Vec<u32> = customer.list("INBOX").iter().map(|mail| mail.uid).collect();
        (uids.len() == 2).then_some(uids)
    });
    let raised = customer.fetch(uids[1]);
    let said = format!(
        "Su nuevo mensaje cambia la urgencia del caso {number}: ahora lo atendemos como impacto alto."
    );
    let text = says(&raised, &[&said]);
    assert!(text.contains("en 1 hora como máximo"), "{text}");
    assert_eq!(header(&raised, "In-Reply-To").as_deref(), Some("<second@mua.example>"));

    // read two hours late, when its hour is over: the server had it, we did not look
    assert!(post.site.stop().success());
    let late = CustomerMail {
        user: "tarde",
        subject: "Sin servicio",
        words: "Buenos días, mi página no carga, el servidor está caído.",
    };
    let earlier = Timestamp::now() - jiff::SignedDuration::from_hours(2);
    post.server.client(USER).append("INBOX", &late.bytes(), Some(earlier));
    post.site.run();
    let text =
        says(&post.received("tarde"), &["Le escribimos más tarde de lo debido", "su caso queda de primero"]);
    assert!(!text.contains("A más tardar") && !text.contains("horas hábiles"), "{text}");
    post.site.assert_conserved();
}
