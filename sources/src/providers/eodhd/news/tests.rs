use super::*;
use crate::fixture::{RECEIVED, at, only, parse as parse_file, rejects, request};
use crate::providers::eodhd::SOURCE;

fn articles(parsed: &Parsed) -> Vec<&NewsArticle> {
    only!(parsed, NewsArticle)
}

fn news(file: &str) -> Parsed {
    parse_file(&SOURCE, "news", file).unwrap()
}

#[test]
fn an_article_has_the_symbols_the_tags_and_the_sentiment_of_the_provider() {
    let parsed = news("AAPL.US.json");
    assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.holes, parsed.next_offset), (3, 0, 0, None));
    let first = articles(&parsed)[0];
    assert_eq!((first.source.as_str(), first.title.as_str()), ("eodhd", "Futures fall before a week of earnings"));
    assert_eq!(first.article_id, "https://finance.example.com/m/6c8dacfc/futures-fall.html");
    assert_eq!(first.url.as_deref(), Some("https://finance.example.com/m/6c8dacfc/futures-fall.html"));
    assert_eq!(first.content.as_deref(), Some("Index futures fell.\n\nContinue reading"));
    assert_eq!(first.published_at, Some(at("2026-07-19T22:08:00Z")));
    assert_eq!((first.known_at, first.observed_at), (at("2026-07-19T22:08:00Z"), at(RECEIVED)));
    assert_eq!((first.symbols.join(" "), first.tags.join(" ")), ("AAPL.US DJI.INDX".to_owned(), "EARNINGS".to_owned()));
    assert_eq!((first.sentiment_score, first.sentiment_negative), (Some(-0.813), Some(0.228)));
    assert_eq!((first.sentiment_neutral, first.sentiment_positive), (Some(0.772), Some(0.0)));
    assert_eq!(first.sentiment_scorer.as_deref(), Some("provider"));
    assert_eq!((&first.publisher, &first.author, &first.description), (&None, &None, &None));
}

#[test]
fn what_the_provider_did_not_score_has_a_score_of_ours() {
    let parsed = news("AAPL.US.json");
    let second = articles(&parsed)[1];
    assert_eq!(second.sentiment_scorer.as_deref(), Some(crate::sentiment::SCORER));
    assert!(second.sentiment_score.is_some(), "{second:?}");
    assert_eq!((second.symbols.len(), second.tags.len()), (0, 0));
}

#[test]
fn an_address_out_of_a_page_loses_its_campaign() {
    let parsed = news("AAPL.US.json");
    let third = articles(&parsed)[2];
    assert_eq!(third.article_id, "https://alpha.example.com/news/4615029-preview?feed_item_type=news");
    assert!(third.url.as_deref().unwrap().contains("&amp;utm_medium=referral"));
    assert_eq!(third.symbols, ["AMC.US", "AH9.F"]);
}

#[test]
fn each_odd_article_is_refused_and_the_rest_goes_on() {
    let parsed = news("AAPL.US~odd_rows.json");
    let expected = [
        ("absent", "row 1: has no `title`"),
        ("date", "row 2: `date` `\"today\"` is not a time like `2024-12-31T12:00:00Z`"),
        ("text", "row 3: `symbols` `\"AAPL.US\"` is not a list of texts"),
        ("number", "row 4: `polarity` `\"good\"` is not a number"),
        ("duplicate", "row 5: `https://finance.example.com/a` is already in the page"),
    ];
    assert_eq!(rejects(&parsed), expected);
    assert_eq!(articles(&parsed).len(), 1);
    assert_eq!((articles(&parsed)[0].published_at, articles(&parsed)[0].known_at), (None, at(RECEIVED)));
}

#[test]
fn behind_a_full_page_there_may_be_another() {
    let page = |rows: u64, offset| {
        let rows: Vec<String> =
            (0..rows).map(|row| format!(r#"{{"title":"A","link":"https://x.example/{row}"}}"#)).collect();
        let request = Request { offset, ..request("AAPL.US") };
        parse(&request, format!("[{}]", rows.join(",")).as_bytes()).unwrap().next_offset
    };
    assert_eq!((page(999, 0), page(1000, 0), page(1000, 3000)), (None, Some(1000), Some(4000)));
    assert_eq!((page(1000, 4000), page(1000, u64::MAX)), (None, None));
}

#[test]
fn an_error_of_the_provider_says_what_to_do_next() {
    let token = parse_file(&SOURCE, "news", "AAPL.US~error_unauthenticated.txt").unwrap_err();
    assert!(matches!(token, PageError::Halt(_)), "{token:?}");
    assert_eq!(news("AAPL.US~empty.json"), Parsed::default());
}
