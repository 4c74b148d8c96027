use super::*;

#[test]
fn a_text_is_scored_as_the_markets_read_it() {
    let good = score("Acme beats expectations and raises full-year guidance");
    assert!(good.score > 0.5, "{good:?}");
    let bad = score("Acme misses estimates and cuts guidance. Auditor raises going concern doubt");
    assert!(bad.score < -0.5, "{bad:?}");
    let neither = score("Acme to report third quarter results on Thursday");
    assert!(neither.score.abs() < 0.15, "{neither:?}");
}

#[test]
fn shares_of_good_neutral_and_bad_words_make_the_whole() {
    let sentiment = score("A great day and a terrible night at the harbour");
    let sum = sentiment.negative + sentiment.neutral + sentiment.positive;
    assert!((sum - 1.0).abs() < 0.01, "{sentiment:?}");
    assert!(sentiment.negative > 0.0 && sentiment.positive > 0.0);
}

/// Texts whose scores have depended on the order of hashes.
const DELICATE: [&str; 6] = [
    "Shares up 45% after record revenue; lawsuit, downgrade and weak demand weigh – \u{1f603} VERY good!!!",
    // Two idioms of different value around the same word.
    "It was badass, a kiss of death for the stock",
    "All yeah right, bad assets were to die for, the bomb",
    // Intensified and weakened at once.
    "It is more or less somewhat very good, hardly so utterly bad, kind of most partly great",
    "Unless something almost totally good happens, regardless of slightly extreme losses!",
    // Good and bad in equal parts, with emphasis for the greater one.
    "So little more or less gain, so little more or less lost!!! Is it???",
];
/// Set for a process that prints the scores.
const SAY: &str = "TAPEDECK_TEST_SAY_SCORES";

#[test]
fn the_same_text_has_the_same_score_in_every_process() {
    let scores = format!("scores: {:?}", DELICATE.map(score));
    if std::env::var_os(SAY).is_some() {
        println!("{scores}");
        return;
    }
    let test = "sentiment::tests::the_same_text_has_the_same_score_in_every_process";
    for _ in 0..12 {
        let mut process = std::process::Command::new(std::env::current_exe().unwrap());
        let said = process.args([test, "--exact", "--nocapture"]).env(SAY, "1").output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(said.contains(&scores), "{scores}\n{said}");
    }
}

#[test]
fn idioms_are_taken_apart_and_other_texts_are_left_as_they_are() {
    for (text, expected) in [
        ("They removed the bomb in time", "They removed the item bomb in time"),
        ("after \"the\" bombing,", "after \"the\" item bombing,"),
        ("Bad assets weigh", "Bad item assets weigh"),
        ("a badass, KISS of Death to die for", "a item KISS item of Death to item die for"),
        ("Oh yeah - right", "Oh yeah item - right"),
    ] {
        assert_eq!(without_idioms(text), expected);
    }
    for text in ["Good assets, the right bomber", "to die", "a kiss of life", "", "bad  spaces\n\tstay"] {
        assert!(matches!(without_idioms(text), Cow::Borrowed(same) if same == text), "{text}");
    }
}

#[test]
fn a_number_between_two_others_is_rounded_the_same_way_whatever_its_last_bits() {
    for value in [0.24375_f64, -0.24375, 0.12345, 0.00005] {
        let near = [value, value.next_up(), value.next_down(), value.next_up().next_up()];
        assert_eq!(near.map(number), [number(value); 4]);
    }
}

#[test]
fn odd_texts_have_a_score_all_the_same() {
    let long = "é".repeat(MAX_TEXT_BYTES);
    for text in
        ["", " ", "\0", "!?!?", ":) :( >:-(", "\u{2019}", "down -inf% up nan%", "İ ß \u{1f9d1}\u{200d}\u{1f680}", &long]
    {
        let sentiment = score(text);
        for value in [sentiment.score, sentiment.negative, sentiment.neutral, sentiment.positive] {
            assert!(value.is_finite() && value.abs() <= 1.0, "{text}: {sentiment:?}");
        }
    }
}
