use super::*;

/// A provider and a clock.
struct Tried {
    circuit: Circuit,
    now: Instant,
}

impl Tried {
    fn new() -> Tried {
        Tried { circuit: Circuit::default(), now: Instant::now() }
    }

    fn note(&self, sign: Sign) -> Option<u64> {
        self.circuit.note(sign, self.now).map(|wait| wait.as_secs())
    }

    fn left(&self) -> Option<u64> {
        self.circuit.left(self.now).map(|(left, _)| left.as_secs())
    }
}

#[test]
fn requests_pause_for_as_long_as_the_provider_asks() {
    let mut tried = Tried::new();
    assert_eq!((tried.note(Sign::Busy(Duration::from_secs(60))), tried.left()), (Some(60), Some(60)));
    tried.note(Sign::Busy(Duration::from_secs(5)));
    tried.now += Duration::from_secs(59);
    let (_, why) = tried.circuit.left(tried.now).unwrap();
    assert_eq!(why, "the provider asks for a pause of 1 more seconds");
    tried.now += Duration::from_secs(1);
    assert_eq!(tried.left(), None);
    // A provider that asks for a pause is not failing, however often it asks.
    (0..4).for_each(|_| assert_eq!(tried.note(Sign::Busy(Duration::from_secs(5))), Some(5)));
    assert_eq!(tried.note(Sign::Failed), None);
}

#[test]
fn pauses_double_while_a_provider_keeps_failing() {
    let mut tried = Tried::new();
    for _ in 0..4 {
        assert_eq!((tried.note(Sign::Failed), tried.left()), (None, None));
    }
    let mut waits = Vec::new();
    for _ in 0..8 {
        waits.push(tried.note(Sign::Failed).unwrap());
        tried.now += tried.circuit.left(tried.now).unwrap().0;
        assert_eq!(tried.left(), None);
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300, 300]);
    tried.note(Sign::Answered);
    assert_eq!((tried.note(Sign::Failed), tried.left()), (None, None));
}

#[test]
fn a_response_in_between_resets_the_failures() {
    let tried = Tried::new();
    for _ in 0..100 {
        (0..4).for_each(|_| assert_eq!(tried.note(Sign::Failed), None));
        tried.note(Sign::Answered);
    }
    assert_eq!(tried.left(), None);
}
