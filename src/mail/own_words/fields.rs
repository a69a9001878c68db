//! The block of fields that Outlook and its like put above a quotation: De, Enviado, Para, Asunto.

/// The sender's label in the field block that Outlook and its like put above a quotation.
const SENDER: &[&str] = &[
    "from",
    "de",
    "von",
    "da",
    "van",
    "från",
    "fra",
    "od",
    "от",
    "发件人",
    "差出人",
    "lähettäjä",
    "kimden",
    "寄件者",
    "보낸 사람",
];
/// The label of the date. Every program writes one; a list of the writer's own has none.
const DATE: &[&str] = &[
    "date",
    "fecha",
    "fecha de envío",
    "gesendet",
    "gesendet am",
    "enviado",
    "enviado el",
    "enviada",
    "enviada el",
    "enviada em",
    "enviado em",
    "sent",
    "send",
    "message du",
    "data",
    "inviato",
    "envoyé",
    "envoyé le",
    "date d'envoi",
    "datum",
    "skickat",
    "sendt",
    "dato",
    "verzonden",
    "发送时间",
    "日期",
    "送信日時",
    "日時",
    "日付",
    "wysłano",
    "дата",
    "отправлено",
    "lähetetty",
    "päivämäärä",
    "odesláno",
    "gönderme tarihi",
    "tarih",
    "寄件日期",
    "보낸 날짜",
];
/// The other labels.
const OTHERS: &[&str] = &[
    "to",
    "subject",
    "cc",
    "para",
    "asunto",
    "a",
    "oggetto",
    "à",
    "objet",
    "an",
    "betreff",
    "assunto",
    "till",
    "ämne",
    "til",
    "emne",
    "aan",
    "onderwerp",
    "reply-to",
    "responder a",
    "risposta",
    "importancia",
    "importance",
    "收件人",
    "主题",
    "抄送",
    "宛先",
    "件名",
    "do",
    "temat",
    "кому",
    "тема",
    "копия",
    "kopia",
    "kopie",
    "komu",
    "předmět",
    "vastaanottaja",
    "aihe",
    "kime",
    "konu",
    "收件者",
    "主旨",
    "받는 사람",
    "제목",
];

/// The lines that a block of fields takes: a sender, a date and at least one more within the next lines.
pub(super) fn field_block(lines: &[&str]) -> Option<usize> {
    let label = label_of(lines.first()?)?;
    let mut has_sender = SENDER.contains(&label.as_str());
    let mut has_date = DATE.contains(&label.as_str());
    if !has_sender && !has_date {
        return None;
    }
    let (mut fields, mut taken, mut misses) = (0, 1, 0);
    for (index, line) in lines.iter().enumerate().skip(1).take(10) {
        let label = label_of(line).unwrap_or_default();
        let is_sender = SENDER.contains(&label.as_str());
        let is_date = DATE.contains(&label.as_str());
        if is_sender || is_date || OTHERS.contains(&label.as_str()) {
            has_sender |= is_sender;
            has_date |= is_date;
            fields += 1;
            taken = index + 1;
            misses = 0;
        } else {
            misses += 1; // a long list of addresses goes on, or a blank line stands between
            if misses > 2 {
                break;
            }
        }
    }
    // "From:" with the date right below it is enough; any other pair may be the writer's own list.
    let dated = taken == 2
        && lines.get(1).and_then(|line| label_of(line)).is_some_and(|l| DATE.contains(&l.as_str()));
    (has_sender && has_date && (fields >= 2 || dated)).then_some(taken)
}

/// The label of a line such as `*De:* Ana`, lower case.
fn label_of(line: &str) -> Option<String> {
    let line = line.trim().trim_start_matches(['*', '_']);
    let head = line.get(..line.floor_char_boundary(48)).unwrap_or(line);
    let (label, _) = head.split_once(':').or_else(|| head.split_once('：'))?;
    let label = label.trim_matches(['*', '_', ' ', '\u{A0}']).to_lowercase();
    (!label.is_empty()).then_some(label)
}
