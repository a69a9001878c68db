//! Mails of `n` of something, of which each costs somebody's parser too much: each by its name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A way to make a mail of `n` of something.
pub type Generator = fn(usize) -> String;

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

/// Each is a test of its name, in the module of its kind.
macro_rules! bombs {
    ($($kind:ident { $($name:ident = $generator:expr;)* })*) => {
        $(mod $kind {
            use super::*;
            $(#[test] fn $name() { crate::read_and_stored(stringify!($name), $generator); })*
        })*

        /// The generator of that name.
        pub fn named(name: &str) -> Generator {
            let all: &[(&str, Generator)] = &[$($((stringify!($name), $generator),)*)*];
            all.iter().find(|(of, _)| *of == name).unwrap_or_else(|| panic!("no bomb {name}")).1
        }
    };
}

bombs! {
    structure {
        nested_message_rfc822 = |n| {
            with_type("message/rfc822", &"Content-Type: message/rfc822\r\n\r\n".repeat(n))
        };
        nested_multiparts = |n| {
            let open = |i: usize| format!("--b{i}\r\nContent-Type: multipart/mixed; boundary=b{}\r\n\r\n", i + 1);
            with_type("multipart/mixed; boundary=b0", &(0..n).map(open).collect::<String>())
        };
        multiparts_of_one_boundary = |n| {
            let open = "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
            with_type("multipart/mixed; boundary=b", &open.repeat(n))
        };
        empty_parts = |n| with_type("multipart/mixed; boundary=b", &"--b\n\n".repeat(n));
        parts_that_are_mails = |n| multipart("digest", "\r\nFrom: a@b.co\r\n\r\nx", n);
        small_parts = |n| multipart("mixed", "\r\nx", n);
        alternatives = |n| multipart("alternative", "Content-Type: text/html\r\n\r\n<b>x</b>", n);
        related_parts = |n| multipart("related", "Content-Type: image/png\r\nContent-ID: <1@b>\r\n\r\nx", n);
        named_attachments = |n| {
            multipart("mixed", "Content-Type: a/b; name=x\r\nContent-Disposition: attachment\r\n\r\nx", n)
        };
        hidden_mails = |n| {
            let inner = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nRnJvbTogYUBiLmNvDQoNCng=";
            multipart("mixed", inner, n)
        };
        closing_boundaries = |n| with_type("multipart/mixed; boundary=b", &"--b--\r\n".repeat(n));
        delivery_status_groups = |n| {
            let groups = "Final-Recipient: rfc822; a@b.co\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n".repeat(n);
            let part = format!("Content-Type: message/delivery-status\r\n\r\n{groups}");
            multipart("report; report-type=delivery-status", &part, 1)
        };
        calendars = |n| {
            multipart("mixed", "Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR", n)
        };
        nested_multiparts_that_are_closed = |n| {
            let open = |i: usize| format!("--b{i}\r\nContent-Type: multipart/mixed; boundary=b{}\r\n\r\n", i + 1);
            let close = |i: usize| format!("--b{i}--\r\n");
            let (opened, closed) = ((0..n).map(open).collect::<String>(), (0..n).rev().map(close).collect::<String>());
            with_type("multipart/mixed; boundary=b0", &(opened + &closed))
        };
        mails_and_multiparts_in_turn = |n| {
            let open = |i: usize| {
                let next = format!("Content-Type: multipart/mixed; boundary=b{}\r\n\r\n", i + 1);
                format!("--b{i}\r\nContent-Type: message/rfc822\r\n\r\n{next}")
            };
            with_type("multipart/mixed; boundary=b0", &(0..n).map(open).collect::<String>())
        };
        mails_wrapped_in_base64 = |n| {
            let mut inner = "Subject: x\r\n\r\nhola\r\n".to_owned();
            for _ in 0..n.ilog2() {
                let head = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n";
                inner = head.to_owned() + &STANDARD.encode(&inner); // each layer is a third longer
            }
            format!("{HEAD}{inner}")
        };
        many_parts_at_the_bottom = |n| {
            let open = |i: usize| format!("--b{i}\r\nContent-Type: multipart/mixed; boundary=b{}\r\n\r\n", i + 1);
            let parts = "--b50\r\n\r\nx\r\n".repeat(n);
            with_type("multipart/mixed; boundary=b0", &((0..50).map(open).collect::<String>() + &parts))
        };
        a_boundary_that_almost_matches = |n| {
            let boundary = "b".repeat(70);
            let almost = format!("--{}", &boundary[1..]);
            with_type(&format!("multipart/mixed; boundary={boundary}"), &almost.repeat(n))
        };
        dashes_for_a_boundary = |n| with_type("multipart/mixed; boundary=\"-\"", &"--".repeat(n));
        parts_of_broken_base64 = |n| multipart("mixed", "Content-Transfer-Encoding: base64\r\n\r\nUUF*", n);
        parts_of_broken_quoted_printable = |n| {
            multipart("mixed", "Content-Transfer-Encoding: quoted-printable\r\n\r\n=ZZ", n)
        };
        mails_of_broken_base64 = |n| {
            multipart("mixed", "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n*", n)
        };
    }
    winmail {
        files_within_files_of_winmail_dat = |n| {
            let inner = tnef(200, 0x0006_9005, &tnef_within(&tnef(200, 0x0001_8010, b"a")));
            winmail(&tnef((n / 40_000).clamp(1, 38), 0x0006_9005, &tnef_within(&inner)))
        };
        long_names_in_winmail_dat = |n| winmail(&tnef(35, 0x0001_8010, &vec![b'a'; n.min(1_000_000)]));
    }
    header {
        rfc_2231_continuations = |n| {
            let parameters: String = (0..n).map(|i| format!(";\r\n n{i}*1*=%41")).collect();
            with_type(&format!("text/plain{parameters}"), "hola")
        };
        continuations_of_one_parameter = |n| {
            let parameters: String = (0..n).map(|i| format!(";\r\n name*{i}*=%41")).collect();
            with_type(&format!("text/plain{parameters}"), "hola")
        };
        references = |n| {
            let ids: String = (0..n).map(|i| format!("<{i}@b.co>\r\n ")).collect();
            with_body(&format!("References: {ids}\r\n"), "hola")
        };
        references_on_one_line = |n| {
            let ids: String = (0..n).map(|i| format!("<{i}@b.co>")).collect();
            with_body(&format!("In-Reply-To: {ids}\r\nReferences: {ids}\r\n"), "hola")
        };
        one_long_field = |n| with_body(&format!("X-Long: {}\r\n", "x".repeat(n)), "hola");
        many_fields = |n| with_body(&"X-Field: x\r\n".repeat(n), "hola");
        received = |n| {
            with_body(&"Received: from a by b; Mon, 2 Nov 2026 10:00:00 -0500\r\n".repeat(n), "hola")
        };
        authentication_results = |n| {
            with_body(&"Authentication-Results: mx.mihost.example; dmarc=pass\r\n".repeat(n), "hola")
        };
        recipients = |n| {
            let to: String = (0..n).map(|i| format!("a{i}@b.co,\r\n ")).collect();
            with_body(&format!("Cc: {to}z@b.co\r\n"), "hola")
        };
        nested_comments = |n| {
            with_body(&format!("Reply-To: {}a@b.co{}\r\n", "(".repeat(n), ")".repeat(n)), "hola")
        };
        nested_groups = |n| with_body(&format!("Cc: {}a@b.co;\r\n", "g:".repeat(n)), "hola");
        encoded_words = |n| with_body(&format!("Comments: {}\r\n", "=?utf-8?q?a?= ".repeat(n)), "hola");
        an_encoded_subject = |n| {
            format!("From: ana@cliente.example\r\nSubject: {}\r\n\r\nhola", "=?utf-8?b?w7E=?=\r\n ".repeat(n))
        };
        folds = |n| with_body(&format!("X-Fold: a{}\r\n", "\r\n ".repeat(n)), "hola");
        quotes_in_a_name = |n| with_body(&format!("Cc: \"{}\" <a@b.co>\r\n", "\\\"".repeat(n)), "hola");
        one_continuation_again_and_again = |n| {
            with_type(&format!("text/plain{}", ";\r\n name*1*=%41".repeat(n)), "hola")
        };
        continuations_backwards = |n| {
            let parameters: String = (0..n).rev().map(|i| format!(";\r\n name*{i}*=%41")).collect();
            with_type(&format!("text/plain{parameters}"), "hola")
        };
        parameters = |n| {
            let parameters: String = (0..n).map(|i| format!("; a{i}=b")).collect();
            with_type(&format!("text/plain{parameters}"), "hola")
        };
        open_encoded_words = |n| format!("From: a@b.co\r\nSubject: {}\r\n\r\nhola", "=?utf-8?q?a ".repeat(n));
        open_encoded_words_in_base64 = |n| format!("From: a@b.co\r\nSubject: {}\r\n\r\nhola", "=?utf-8?b?YWFh".repeat(n));
        a_date_in_comments = |n| with_body(&format!("Date: {} Wed, 16 Sep 2026\r\n", "(".repeat(n)), "hola");
        open_references = |n| with_body(&format!("References: {}\r\n", "<".repeat(n)), "hola");
        quotes_and_backslashes = |n| with_body(&format!("Cc: {}\r\n", "\"\\".repeat(n)), "hola");
        zero_bytes = |n| format!("From: a@b.co\r\nSubject: {}\r\n\r\nhola", "\0".repeat(n));
    }
    text {
        a_long_line = |n| with_body("", &"x".repeat(n));
        short_lines = |n| with_body("", &"x\r\n".repeat(n));
        quoted_lines = |n| with_body("In-Reply-To: <1@b.co>\r\n", &"> x\r\n".repeat(n));
        deep_quotes = |n| with_body("In-Reply-To: <1@b.co>\r\n", &format!("{} x\r\n", ">".repeat(n)));
        attribution_lines = |n| {
            with_body(
                "In-Reply-To: <1@b.co>\r\n",
                &"El lun, 2 nov 2026, Ana <a@b.co> escribi\u{f3}:\r\n".repeat(n),
            )
        };
        rules_and_disclaimers = |n| with_body("", &"x\r\n-----\r\nconfidential, privileged\r\n".repeat(n));
        armour_without_end = |n| with_body("", &"-----BEGIN PGP MESSAGE-----\r\n".repeat(n));
        uuencoded_files = |n| with_body("", &"begin 644 x\r\n!80\r\n`\r\nend\r\n".repeat(n));
        flowed_lines = |n| with_type("text/plain; format=flowed; delsp=yes", &"x \r\n".repeat(n));
        quoted_printable = |n| {
            with_body(
                "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n",
                &"=C3=B1".repeat(n),
            )
        };
        base64_of_nothing = |n| with_body("Content-Transfer-Encoding: base64\r\n", &"====\r\n".repeat(n));
        utf_7 = |n| with_type("text/plain; charset=utf-7", &"+AOE-".repeat(n));
        iso_2022_jp_shifts = |n| with_type("text/plain; charset=iso-2022-jp", &"\u{1b}$B!!\u{1b}(B".repeat(n));
        a_file_in_base64 = |n| {
            let fields = "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n";
            with_body(fields, &(STANDARD.encode([0; 54]) + "\r\n").repeat(n))
        };
        utf_16_in_base64 = |n| {
            with_type(
                "text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64",
                &(STANDARD.encode([0xFF; 54]) + "\r\n").repeat(n),
            )
        };
        soft_line_breaks = |n| {
            with_type("text/plain\r\nContent-Transfer-Encoding: quoted-printable", &"=41=\r\n".repeat(n))
        };
    }
    html_only {
        nested_div = |n| html(&"<div>".repeat(n));
        nested_blockquote = |n| html(&"<blockquote>x".repeat(n));
        nested_tables = |n| html(&"<table><tr><td>".repeat(n));
        nested_lists = |n| html(&"<ul><li>".repeat(n));
        open_attributes = |n| html(&"<a href=\"".repeat(n));
        attributes = |n| html(&format!("<a {}>x", "b=c ".repeat(n)));
        comments = |n| html(&"<!--".repeat(n));
        entities = |n| html(&"&ntilde;&#x1F600;&bogus".repeat(n));
        misnested_tags = |n| html(&"<b><i></b></i>".repeat(n));
        style_and_script = |n| html(&"<style>a{}</style><script>x".repeat(n));
        angle_brackets = |n| html(&"<".repeat(n));
        ampersands = |n| html(&"&".repeat(n));
        quotes_that_never_end = |n| html(&format!("<a {}", "b='".repeat(n)));
    }
    words {
        an_outage_again_and_again = |n| with_body("", &"El servidor est\u{e1} ca\u{ed}do. ".repeat(n));
        negations = |n| with_body("", &"no ".repeat(n));
        addresses = |n| with_body("", &"http://a.b.co/x?y=z 10.0.0.1 ana@b.co ".repeat(n));
    }
}
