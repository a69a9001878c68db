//! Which ticket a mail joins, and what it does to it (DESIGN section 5).

use super::*;

fn reply(body: &str) -> Trial {
    Trial { subject: "Re: Consulta".to_owned(), ..Trial::new(body) }
}

fn stranger() -> TicketFacts {
    TicketFacts { participant: false, ..ticket() }
}

#[test]
fn a_token_a_reference_or_a_number_is_a_proof_in_this_order() {
    let other = |number| TicketFacts { number: TicketNumber(number), ..ticket() };
    let mut trial = reply(NOTHING);
    trial.facts.by_token = vec![ticket()];
    trial.facts.by_reference = vec![other(13)];
    trial.facts.by_number = Some(other(14));
    let proof = |trial: &Trial| (trial.decide().ticket.unwrap().0, trial.decide().reason);
    assert_eq!(proof(&trial), (12, Reason::Token));
    trial.facts.by_token.clear();
    assert_eq!(proof(&trial), (13, Reason::Reference));
    trial.facts.by_reference.clear();
    assert_eq!(proof(&trial), (14, Reason::SubjectNumber));
}

#[test]
fn a_strangers_reference_or_number_opens_a_linked_ticket() {
    let by_reference: fn(&mut Facts) = |facts| facts.by_reference = vec![stranger()];
    let by_number: fn(&mut Facts) = |facts| facts.by_number = Some(stranger());
    for name in [by_reference, by_number] {
        let mut trial = reply(OUTAGE);
        name(&mut trial.facts);
        let decision = trial.decide();
        assert_eq!((decision.action, decision.reason), (Action::Open, Reason::NotParticipant));
        assert_eq!((decision.ticket, decision.mentions), (None, Some(TicketNumber(12))));
        assert_eq!(decision.plan.id.as_str(), "n1", "nothing of the other ticket is theirs");
        assert!(decision.ack.send);
    }
}

#[test]
fn who_failed_authentication_is_no_participant_but_a_token_still_proves() {
    let mut trial = reply(OUTAGE).with(DMARC_FAILS);
    trial.facts.by_reference = vec![ticket()];
    trial.facts.by_number = Some(ticket());
    assert_eq!(trial.decide().reason, Reason::NotParticipant);
    trial.facts.by_token = vec![ticket()];
    let decision = trial.decide();
    assert_eq!((decision.action, decision.reason), (Action::Append, Reason::Token));
    assert_eq!((decision.ack.because, decision.participants.len()), (AckBecause::AuthenticationFailed, 0));
}

#[test]
fn a_token_lets_a_new_voice_write_but_grants_it_nothing() {
    let mut trial = reply(OUTAGE).with("Cc: luis@cliente.example");
    trial.facts.by_token = vec![stranger()];
    let decision = trial.decide();
    assert_eq!((decision.action, decision.reason), (Action::Append, Reason::Token));
    assert_eq!(decision.flags, [Flag::NewVoice]);
    assert_eq!((decision.participants.len(), decision.ack.because), (0, AckBecause::NoParticipant));
}

#[test]
fn a_participants_copies_gain_a_voice_and_ours_do_not() {
    let mut trial = reply(NOTHING).with("Cc: luis@cliente.example, eva@mihost.example");
    trial.facts.by_reference = vec![ticket()];
    let voices: Vec<_> = trial.decide().participants.into_iter().map(|voice| voice.address).collect();
    assert_eq!(voices, ["ana@cliente.example", "luis@cliente.example"]);
}

#[test]
fn a_token_that_does_not_verify_is_a_flag_and_no_proof() {
    let mut trial = Trial::new(OUTAGE);
    trial.to = format!("soporte+{}@mihost.example", trial.sign(Purpose::Envelope)); // signed for another end
    let decision = trial.decide();
    assert_eq!((decision.action, decision.reason), (Action::Open, Reason::NewMail));
    assert_eq!(decision.flags, [Flag::BadToken]);
    assert!(decision.ack.send, "a broken tag is not the sender's fault");
}

#[test]
fn an_id_of_our_form_that_does_not_verify_is_a_flag_too() {
    let signed = Trial::new("").sign(Purpose::MessageId);
    let (head, mac) = signed.rsplit_once('.').unwrap();
    let tampered = format!("{head}.{}", mac.chars().rev().collect::<String>());
    for field in ["In-Reply-To", "References"] {
        let trial = Trial::new(OUTAGE).with(&format!("{field}: <{tampered}@mihost.example>"));
        assert_eq!(trial.outcome(), (Action::Open, Reason::NewMail, AckBecause::NewCase), "{field}");
        assert_eq!(trial.decide().flags, [Flag::BadToken], "{field}");
        for other in [format!("{tampered}@otra.example"), "a.b.c@mihost.example".to_owned()] {
            let trial = Trial::new(OUTAGE).with(&format!("{field}: <{other}>"));
            assert_eq!(trial.decide().flags, [], "{other} is nobody's token");
        }
    }
}

#[test]
fn hints_are_read_from_every_place_where_our_tokens_stand() {
    let trial = Trial::new(NOTHING);
    let claims = |trial: &Trial| hints(&trial.message(), &trial.arrival, &trial.site);
    let id = format!("<{}@mihost.example>", trial.sign(Purpose::MessageId));
    let claim = Claim { ticket: 12, serial: 7 };
    assert_eq!(claims(&trial.clone().with(&format!("In-Reply-To: {id}"))).tokens, [claim]);
    assert_eq!(
        claims(&trial.clone().with(&format!("References: <a@b.example> {id} <c@d.example>"))).tokens,
        [claim]
    );

    let tag = trial.sign(Purpose::ReplyAddress);
    let mut tagged = trial.clone();
    tagged.to = format!("SOPORTE+{}@MiHost.example", tag.to_uppercase()); // mail systems change the case
    assert_eq!(claims(&tagged).tokens, [claim]);
    assert!(!claims(&tagged).bad_token);

    let mut bounced = trial.clone();
    bounced.to = format!("rebotes+{}@mihost.example", trial.sign(Purpose::Envelope));
    assert_eq!((claims(&bounced).envelope, claims(&bounced).tokens), (Some(claim), Vec::new()));

    let mut delivered = trial.clone();
    delivered.arrival.recipient = Address::parse(&format!("soporte+{tag}@mihost.example"));
    assert_eq!(claims(&delivered).tokens, [claim], "the envelope's own recipient");

    let numbered = Trial { subject: "RE: RV: [acu-12] Consulta".to_owned(), ..trial };
    assert_eq!(claims(&numbered).number, Some(TicketNumber(12)));
}

#[test]
fn a_follow_up_that_changes_nothing_is_silent() {
    for body in [NOTHING, FIREWALL, PASSWORD] {
        let mut trial = reply(body);
        trial.facts.by_reference = vec![ticket()];
        let decision = trial.decide();
        assert_eq!((decision.effect, decision.impact), (Effect::None, Impact::Medium), "{body}: never lower");
        assert_eq!((decision.promise, decision.ack.because), (None, AckBecause::FollowUp));
        assert_eq!((decision.plan.id.as_str(), decision.plan.because), ("n2", PlanBecause::Ticket));
    }
}

#[test]
fn a_follow_up_that_raises_brings_the_earlier_deadline() {
    let mut trial = reply(OUTAGE);
    trial.facts.by_reference = vec![ticket()];
    let raised = trial.decide();
    let window = trial.decide().promise.unwrap().due_by;
    assert!(window < ticket().due_by.unwrap(), "high impact is sooner than in three hours");
    assert_eq!((raised.effect, raised.impact), (Effect::Raises, Impact::High));
    assert_eq!(
        (raised.ack.send, raised.ack.because, raised.ack.kind),
        (true, AckBecause::Raised, Some(ReplyKind::Raised))
    );

    let soon = trial.later(10);
    trial.facts.by_reference[0].due_by = Some(soon);
    assert_eq!(trial.decide().promise.unwrap().due_by, soon, "nobody waits longer for having written again");
}

/// Impact and case are one ticket's, whatever the follow-up is about.
#[test]
fn a_follow_up_brings_its_case_only_with_a_higher_impact_or_to_a_ticket_that_has_none() {
    let outage = TicketFacts { impact: Impact::High, case: Some("outage".to_owned()), ..ticket() };
    let unclear = TicketFacts { case: None, unclassified: true, ..ticket() };
    let by_hand = TicketFacts { case: None, ..ticket() };
    for (body, ticket, effect, impact, case) in [
        (PASSWORD, &outage, Effect::None, Impact::High, Some("outage")),
        (OUTAGE, &ticket(), Effect::Raises, Impact::High, Some("outage")),
        (NOTHING, &unclear, Effect::None, Impact::Medium, None),
        (FIREWALL, &unclear, Effect::Recognises, Impact::Medium, Some("firewall-block")),
        (PASSWORD, &unclear, Effect::Recognises, Impact::Medium, Some("access")),
        (FIREWALL, &by_hand, Effect::None, Impact::Medium, None),
    ] {
        let mut trial = reply(body);
        trial.facts.by_reference = vec![ticket.clone()];
        let decision = trial.decide();
        assert_eq!((decision.effect, decision.impact), (effect, impact), "{body} to {ticket:?}");
        assert_eq!(decision.case.as_deref(), case, "{body} to {ticket:?}");
        let closed =
            TicketFacts { state: TicketState::Closed, closed_at: Some(trial.ago(1)), ..ticket.clone() };
        trial.facts.by_reference = vec![closed];
        let reopened = trial.decide();
        assert_eq!(
            (reopened.effect, reopened.case),
            (Effect::Reopens, decision.case),
            "{body} to {ticket:?}"
        );
    }
}

/// Whoever writes again of an overdue ticket is told what that changed, not that we opened it late.
#[test]
fn a_raise_stays_one_when_the_deadline_has_passed() {
    let mut trial = reply(OUTAGE);
    trial.facts.by_reference = vec![TicketFacts { due_by: Some(trial.ago(1)), ..ticket() }];
    let decision = trial.decide();
    assert_eq!(decision.ack.kind, Some(ReplyKind::Raised));
    assert!(decision.promise.unwrap().is_past(trial.now));
    trial.facts.by_reference[0].state = TicketState::Closed;
    trial.arrival.received = trial.ago(5);
    assert_eq!(trial.decide().ack.kind, Some(ReplyKind::Reopened), "and a reopened one, read late");
}

#[test]
fn a_raise_shortly_before_the_old_deadline_promises_no_range_beyond_it() {
    let mut trial = reply(FIREWALL);
    let soon = trial.later(10);
    trial.facts.by_reference = vec![TicketFacts { impact: Impact::Low, due_by: Some(soon), ..ticket() }];
    let promise = trial.decide().promise.unwrap();
    assert_eq!((promise.due_by, promise.expected_from), (soon, None));
    trial.facts.by_reference[0].due_by = Some(trial.later(170));
    let promise = trial.decide().promise.unwrap();
    assert_eq!((promise.due_by, promise.expected_from), (trial.later(170), Some(trial.later(120))));
}

#[test]
fn an_answered_ticket_goes_on_with_a_new_promise_and_without_an_ack() {
    let answered = TicketFacts { state: TicketState::Answered, due_by: None, ..ticket() };
    let mut trial = reply(NOTHING);
    trial.facts.by_reference = vec![answered];
    let decision = trial.decide();
    assert_eq!((decision.effect, decision.impact), (Effect::Continues, Impact::Medium));
    assert!(decision.promise.unwrap().due_by > trial.now);
    assert_eq!(decision.ack.because, AckBecause::FollowUp);
    trial.body = OUTAGE.to_owned();
    assert_eq!(trial.decide().ack.because, AckBecause::Raised);
}

#[test]
fn a_closed_ticket_reopens_within_its_days_and_is_linked_after_them() {
    let closed = |trial: &Trial, hours| TicketFacts {
        state: TicketState::Closed,
        closed_at: Some(trial.ago(hours)),
        due_by: None,
        ..ticket()
    };
    let mut trial = reply(PASSWORD);
    trial.facts.by_token = vec![closed(&trial, 14 * 24)];
    let decision = trial.decide();
    assert_eq!((decision.action, decision.effect), (Action::Append, Effect::Reopens));
    assert_eq!((decision.impact, decision.ack.kind), (Impact::Medium, Some(ReplyKind::Reopened)));
    assert!(decision.promise.is_some());

    trial.facts.by_token = vec![closed(&trial, 14 * 24 + 1)];
    let decision = trial.decide();
    assert_eq!((decision.action, decision.reason), (Action::Open, Reason::ClosedLongAgo));
    assert_eq!((decision.mentions, decision.ticket), (Some(TicketNumber(12)), None));
    assert_eq!(decision.ack.because, AckBecause::NewCase);

    // a younger ticket that the mail proves as well is better than an old one
    trial.facts.by_reference = vec![TicketFacts { number: TicketNumber(13), ..ticket() }];
    assert_eq!(trial.decide().ticket, Some(TicketNumber(13)));
}
