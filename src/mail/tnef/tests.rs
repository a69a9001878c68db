//! Streams as Outlook writes them, made here.

use super::*;

/// A TNEF stream of attributes.
pub(in super::super) fn stream(attributes: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut out = [&0x223E_9F78_u32.to_le_bytes()[..], &[1, 0]].concat();
    for (attribute, data) in attributes {
        out.push(if matches!(*attribute, 0x0006_9002 | 0x0001_8010 | 0x0006_800F | 0x0006_9005) {
            2
        } else {
            1
        });
        out.extend(attribute.to_le_bytes());
        out.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        out.extend(data);
        out.extend([0, 0]);
    }
    out
}

/// A file with both its names.
pub(in super::super) fn file(short: &str, long: &str, bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
    vec![
        (ATTACHMENT_BEGINS, vec![0; 14]),
        (ATTACHMENT_TITLE, [short.as_bytes(), &[0]].concat()),
        (ATTACHMENT_DATA, bytes.to_vec()),
        (ATTACHMENT_PROPERTIES, properties(&[number(0x3705, 1), long_value(0x001F, 0x3707, &utf16(long))])),
    ]
}

pub(in super::super) fn properties(properties: &[Vec<u8>]) -> Vec<u8> {
    let count = u32::try_from(properties.len()).unwrap().to_le_bytes();
    [&count[..], &properties.concat()].concat()
}

fn number(tag: u16, number: u32) -> Vec<u8> {
    [&3_u16.to_le_bytes()[..], &tag.to_le_bytes(), &number.to_le_bytes()].concat()
}

fn padded_value(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    [&length[..], bytes, &[0; 3][..bytes.len().wrapping_neg() % 4]].concat()
}

pub(in super::super) fn long_value(kind: u16, tag: u16, bytes: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &tag.to_le_bytes(), &1_u32.to_le_bytes(), &padded_value(bytes)].concat()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// Compressed with one reference, to the start of the dictionary, and bytes as they are.
pub(in super::super) fn compressed(after_rtf1_ansi: &[u8]) -> Vec<u8> {
    let mut tokens = vec![0b1, 0x00, 0x09]; // 11 bytes from place 0: {\rtf1\ansi
    let (first, rest) = after_rtf1_ansi.split_at(7.min(after_rtf1_ansi.len()));
    tokens.extend(first);
    for chunk in rest.chunks(8) {
        tokens.push(0);
        tokens.extend(chunk);
    }
    let size = u32::try_from(11 + after_rtf1_ansi.len()).unwrap().to_le_bytes();
    let whole = u32::try_from(12 + tokens.len()).unwrap().to_le_bytes();
    [&whole[..], &size, b"LZFu", &[0; 4], &tokens].concat()
}

#[test]
fn files_come_with_their_long_names() {
    let attributes =
        [file("ERROR~1.TXT", "Registro de errores.txt", b"503"), file("b.pdf", "", b"%PDF")].concat();
    let stream = stream(&attributes);
    let contents = read(&stream, &mut Budget::default()).unwrap();
    let files: Vec<_> = contents.files.iter().map(|file| (file.name.as_str(), file.bytes)).collect();
    assert_eq!(files, [("Registro de errores.txt", &b"503"[..]), ("b.pdf", b"%PDF")]);
    assert_eq!(contents.text, None);
}

#[test]
fn the_text_is_read_in_each_of_its_forms() {
    let rtf = br"\ansicpg1252\deff0{\fonttbl{\f0 Arial;}}{\*\generator x;}\uc1\pard El sitio est\'e1 ca\u237?do\u8230\'85\par \{urge\}\u-10179?\u-8704?}";
    let named = [
        &3_u16.to_le_bytes()[..],
        &0x8001_u16.to_le_bytes(),
        &[7; 16],
        &1_u32.to_le_bytes(),
        &padded_value(b"x\0"),
        &[9; 4],
    ]
    .concat();
    let as_properties = |kind, tag, bytes: &[u8]| {
        (
            MESSAGE_PROPERTIES,
            properties(&[named.clone(), number(0x3FDE, 65_001), long_value(kind, tag, bytes)]),
        )
    };
    for (what, attribute, want) in [
        (
            "attBody",
            (BODY, b"El sitio est\xE1 ca\xEDdo\0".to_vec()),
            Text::Plain("El sitio está caído".to_owned()),
        ),
        ("PR_BODY", as_properties(0x001F, 0x1000, &utf16("caído")), Text::Plain("caído".to_owned())),
        (
            "PR_BODY_HTML",
            as_properties(0x0102, 0x1013, "<p>caído</p>".as_bytes()),
            Text::Html("<p>caído</p>".to_owned()),
        ),
        (
            "PR_RTF_COMPRESSED",
            as_properties(0x0102, 0x1009, &compressed(rtf)),
            Text::Plain("El sitio está caído…\n{urge}😀".to_owned()),
        ),
    ] {
        let code_page = (OEM_CODE_PAGE, 1252_u32.to_le_bytes().repeat(2));
        let stream = stream(&[code_page, attribute]);
        let contents = read(&stream, &mut Budget::default()).unwrap();
        assert_eq!(contents.text, Some(want), "{what}");
    }
}

#[test]
fn an_attached_mail_is_a_file_with_a_text() {
    let inner = stream(&[(BODY, b"Adentro\0".to_vec())]);
    let object = [&[0; 16][..], &inner].concat();
    let mut attributes = vec![(ATTACHMENT_BEGINS, vec![])];
    let named = long_value(0x001E, 0x3001, b"Su caso\0");
    attributes.push((ATTACHMENT_PROPERTIES, properties(&[named, long_value(0x000D, 0x3701, &object)])));
    let stream = stream(&attributes);
    let contents = read(&stream, &mut Budget::default()).unwrap();
    let mail = contents.files[0].mail.as_ref().unwrap();
    assert_eq!(contents.files[0].name, "Su caso");
    assert_eq!(mail.text, Some(Text::Plain("Adentro".to_owned())));
}

#[test]
fn what_is_cut_off_or_hostile_gives_what_can_be_read() {
    let read = |bytes| read(bytes, &mut Budget::default()).map(|contents| contents.files.len());
    assert_eq!(read(b"no es eso"), None);
    let whole = stream(&[file("a.txt", "a.txt", b"uno"), file("b.txt", "b.txt", b"dos")].concat());
    for cut in 6..whole.len() {
        assert!(read(&whole[..cut]).is_some_and(|files| files <= 2));
    }
    let bomb = compressed(&b"{".repeat(100_000));
    assert_eq!(rtf::to_text(&rtf::decompress(&bomb, ALL_TEXTS).unwrap()), "");
    let endless = [&[0xFF; 8][..], b"LZFu", &[0xFF; 4], &[0xFF, 0x00, 0x0F].repeat(100_000)].concat();
    assert!(rtf::decompress(&endless, TEXT).unwrap().len() <= TEXT + 17);
    let claims = properties(&[long_value(0x001E, 0x1000, b"x")]).repeat(3);
    assert!(properties::read(&claims).len() <= 3);
}

/// A file that is a stream.
fn attached(inner: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let object = [&[0; 16][..], inner].concat();
    vec![
        (ATTACHMENT_BEGINS, vec![]),
        (ATTACHMENT_PROPERTIES, properties(&[long_value(0x000D, 0x3701, &object)])),
    ]
}

/// Files and bytes of text in it.
fn total(contents: &Contents<'_>) -> (usize, usize) {
    let text = match &contents.text {
        Some(Text::Plain(text) | Text::Html(text)) => text.len(),
        None => 0,
    };
    let inside = contents.files.iter().filter_map(|file| file.mail.as_deref()).map(total);
    inside.fold((contents.files.len(), text), |sum, more| (sum.0 + more.0, sum.1 + more.1))
}

#[test]
fn all_levels_of_all_streams_of_a_mail_share_one_budget() {
    let text = long_value(0x001E, 0x1000, &b"El servidor no responde. ".repeat(4_000));
    let leaf = [(ATTACHMENT_BEGINS, vec![]), (ATTACHMENT_TITLE, b"a".to_vec())];
    let mut inner = stream(&leaf.iter().cycle().take(60).cloned().collect::<Vec<_>>());
    for files in [30, 10] {
        let mut attributes = vec![(MESSAGE_PROPERTIES, properties(std::slice::from_ref(&text)))];
        attributes.extend(std::iter::repeat_n(attached(&inner), files).flatten());
        inner = stream(&attributes); // 300 mails in 10 mails in a mail, and 9000 files
    }
    let mut budget = Budget::default();
    let contents = read(&inner, &mut budget).unwrap();
    let (files, text) = total(&contents);
    assert_eq!(files, FILES);
    assert!(text > 0 && text <= ALL_TEXTS, "{text} bytes");
    let again = read(&inner, &mut budget).unwrap();
    assert_eq!(total(&again).0, 0, "the next winmail.dat of that mail finds nothing left");
}

#[test]
fn texts_beyond_the_budget_are_left_out_in_every_form() {
    let long = b"El servidor no responde. ".repeat(TEXT / 10);
    for (what, tag, bytes) in
        [("plain", 0x1000, long.clone()), ("HTML", 0x1013, long.clone()), ("RTF", 0x1009, compressed(&long))]
    {
        let stream = stream(&[(MESSAGE_PROPERTIES, properties(&[long_value(0x0102, tag, &bytes)]))]);
        let mut budget = Budget::default();
        let texts: Vec<usize> =
            (0..6).map(|_| total(&read(&stream, &mut budget).unwrap()).1).filter(|&text| text > 0).collect();
        assert!(!texts.is_empty() && texts.iter().sum::<usize>() <= ALL_TEXTS, "{what}: {texts:?}");
        assert_eq!(budget.text, 0, "{what}");
    }
}

#[test]
fn rich_text_is_not_decompressed_where_another_form_speaks() {
    let rtf = long_value(0x0102, 0x1009, &compressed(&b"x".repeat(10_000)));
    let plain = long_value(0x001E, 0x1000, b"Hola");
    let mut list = vec![rtf; 50];
    let spent = |list: &[Vec<u8>]| {
        let mut budget = Budget::default();
        read(&stream(&[(MESSAGE_PROPERTIES, properties(list))]), &mut budget).unwrap();
        ALL_TEXTS - budget.text
    };
    assert_eq!(spent(&list), 10_011, "the last of fifty");
    list.push(plain);
    assert_eq!(spent(&list), 4);
}

#[test]
fn names_and_media_types_are_cut() {
    for long in ["ñ", "😀", "a"].map(|c| c.repeat(100_000)) {
        let names = [
            (ATTACHMENT_BEGINS, vec![]),
            (
                ATTACHMENT_PROPERTIES,
                properties(&[
                    long_value(0x001F, 0x3707, &utf16(&long)),
                    long_value(0x001F, 0x370E, &utf16(&long)),
                ]),
            ),
        ];
        let stream = stream(&names);
        let contents = read(&stream, &mut Budget::default()).unwrap();
        let file = &contents.files[0];
        assert_eq!(file.name, long.chars().take(NAME).collect::<String>());
        assert_eq!(file.media_type.chars().count(), MEDIA_TYPE);
    }
    let title = stream(&[(ATTACHMENT_BEGINS, vec![]), (ATTACHMENT_TITLE, b"a".repeat(100_000))]);
    assert_eq!(read(&title, &mut Budget::default()).unwrap().files[0].name.len(), NAME);
}
