use super::*;
use crate::fixture::{RECEIVED, at, only, parse as parse_file, rejects, request};

fn articles(parsed: &Parsed) -> Vec<&NewsArticle> {
    only!(parsed, NewsArticle)
}

fn everything(file: &str) -> Parsed {
    parse_file(&SOURCE, "everything", file).unwrap()
}

fn top_headlines(file: &str) -> Parsed {
    parse_file(&SOURCE, "top_headlines", file).unwrap()
}

#[test]
fn an_article_is_kept_in_the_words_of_its_publisher() {
    let parsed = everything("inflation.json");
    assert_eq!((parsed.records.len(), parsed.rejects.len(), parsed.holes), (3, 0, 1));
    let first = articles(&parsed)[0];
    assert_eq!(first.source, "newsapi");
    assert_eq!(first.article_id, "https://paper.example/2024/05/inflation-slows");
    assert_eq!(first.url.as_deref(), Some("http://paper.example/2024/05/inflation-slows/?utm_source=rss#top"));
    assert_eq!(first.published_at, Some(at("2024-05-01T18:22:45Z")));
    assert_eq!((first.known_at, first.observed_at), (at("2024-05-01T18:22:45Z"), at(RECEIVED)));
    assert_eq!(first.title, "Inflation slows and shares rally");
    assert_eq!(first.publisher.as_deref(), Some("The Example Paper"));
    assert_eq!(first.author.as_deref(), Some("A. Writer\nhttps://paper.example/a-writer, desk@paper.example"));
    assert_eq!(first.description.as_deref(), Some("Prices rose less than expected – shares gained."));
    assert_eq!(first.image_url.as_deref(), Some("https://paper.example/a.jpg?w=600"));
    assert_eq!((first.language.as_deref(), first.symbols.len(), first.tags.len()), (None, 0, 0));
}

#[test]
fn a_text_that_was_cut_off_is_kept_as_received() {
    let parsed = everything("inflation.json");
    assert_eq!(
        articles(&parsed)[0].content.as_deref(),
        Some("Prices rose less than expected in April.\r\nEconomists had… [+5338 chars]")
    );
    assert_eq!(articles(&parsed)[1].content, None);
}

#[test]
fn a_headline_is_scored_on_arrival_and_says_by_whom() {
    let parsed = everything("inflation.json");
    let [good, bad, _] = articles(&parsed)[..] else { panic!() };
    assert!(good.sentiment_score > Some(0.0), "{good:?}");
    assert!(bad.sentiment_score < Some(0.0), "{bad:?}");
    for article in articles(&parsed) {
        assert_eq!(article.sentiment_scorer.as_deref(), Some("finvader 0.1.0"));
        assert!(article.sentiment_negative.is_some() && article.sentiment_positive.is_some());
        assert!(article.sentiment_neutral.is_some());
    }
}

#[test]
fn an_article_that_was_taken_back_is_a_hole() {
    let parsed = everything("inflation.json");
    assert_eq!(parsed.holes, 1);
    assert!(articles(&parsed).iter().all(|article| article.title != REMOVED));
}

#[test]
fn an_article_of_2017_may_have_no_time_no_text_and_no_author() {
    let parsed = top_headlines("sources=bbc-news~2017.json");
    let articles = articles(&parsed);
    assert_eq!((articles.len(), parsed.rejects.len()), (2, 0));
    assert_eq!((articles[0].published_at, articles[0].known_at), (None, at(RECEIVED)));
    assert_eq!((&articles[0].content, &articles[0].author, &articles[0].description), (&None, &None, &None));
    assert_eq!(articles[1].published_at, Some(at("2017-12-25T23:36:08Z")));
}

#[test]
fn a_time_that_the_server_made_up_is_none() {
    let body = |time: &str| {
        format!(
            r#"{{"status":"ok","articles":[{{"title":"A title","url":"https://x.example/a","publishedAt":{time}}}]}}"#
        )
    };
    let time = |text: &str| articles(&parse(&request("x"), body(text).as_bytes()).unwrap())[0].published_at;
    assert_eq!(time("\"0001-01-01T00:00:00Z\""), None);
    assert_eq!(time("null"), None);
    assert_eq!(time("\"2019-05-01T12:00:00.1234567Z\""), Some(at("2019-05-01T12:00:00.123456Z")));
}

#[test]
fn nothing_is_known_before_it_is_received() {
    let body = br#"{"articles":[{"title":"A title","publishedAt":"2030-01-01T00:00:00Z"}]}"#;
    let parsed = parse(&request("x"), body).unwrap();
    assert_eq!(articles(&parsed)[0].published_at, Some(at("2030-01-01T00:00:00Z")));
    assert_eq!(articles(&parsed)[0].known_at, at(RECEIVED));
}

#[test]
fn an_article_without_an_address_has_the_hash_of_what_is_said() {
    let parsed = parse(&request("x"), br#"{"articles":[{"title":"A title","url":null}]}"#).unwrap();
    let article = articles(&parsed)[0];
    assert!(article.article_id.starts_with("xxh3:"), "{}", article.article_id);
    assert_eq!(article.url, None);
}

#[test]
fn each_odd_article_is_refused_and_the_rest_goes_on() {
    let parsed = top_headlines("category=business~odd_articles.json");
    let expected = [
        ("absent", "article 1: has no `title`"),
        ("duplicate", "article 2: `https://paper.example/a` is already in the page"),
        ("date", "article 3: `publishedAt` `\"yesterday\"` is not a time like `2024-12-31T12:00:00Z`"),
        ("shape", "article 4: expected an object, found `\"text\"`"),
        ("text", "article 5: `url` `[]` is not a text"),
    ];
    assert_eq!(rejects(&parsed), expected);
    let titles: Vec<&str> = articles(&parsed).iter().map(|article| article.title.as_str()).collect();
    assert_eq!(titles, ["First", "Last"]);
    let fragment = String::from_utf8_lossy(&parsed.rejects[0].fragment);
    assert!(fragment.contains(r#""Id":"the-paper""#), "{fragment}");
}

#[test]
fn a_query_is_read_until_there_are_no_more_articles() {
    let next = |offset, articles, total| next_offset(&Request { offset, ..request("x") }, articles, total);
    assert_eq!((next(0, 100, Some(2371)), next(2200, 100, Some(2371))), (Some(100), Some(2300)));
    assert_eq!((next(2300, 71, Some(2371)), next(0, 100, Some(100)), next(0, 38, Some(38))), (None, None, None));
    // Without a total, or with an empty page, there is no next page.
    assert_eq!((next(0, 100, None), next(100, 0, Some(2371))), (None, None));
    assert_eq!((next(9800, 100, Some(99_999)), next(9900, 100, Some(99_999))), (Some(9900), None));
}

#[test]
fn an_error_of_the_provider_says_what_to_do_next() {
    let error = |endpoint, file| parse_file(&SOURCE, endpoint, file).unwrap_err();
    let key = error("everything", "inflation~error_api_key_invalid.json");
    assert!(matches!(&key, PageError::Halt(text) if text.contains("(apiKeyInvalid)")), "{key:?}");
    let limit = error("everything", "inflation~error_rate_limited.json");
    assert!(matches!(&limit, PageError::Retry(text) if text.contains("too many requests")), "{limit:?}");
    let many = error("everything", "inflation~error_maximum_results.json");
    assert!(matches!(&many, PageError::NoMore(text) if text.contains("too many results")), "{many:?}");
    let old = error("everything", "inflation~error_parameter_invalid.json");
    assert!(matches!(&old, PageError::Skip(text) if text.contains("too far in the past")), "{old:?}");
    let unknown = error("top_headlines", "sources=no-such~error_source_does_not_exist.json");
    assert!(matches!(&unknown, PageError::Skip(text) if text.contains("(sourceDoesNotExist)")), "{unknown:?}");
    let outage = error("top_headlines", "country=us~error_unexpected.json");
    assert!(matches!(&outage, PageError::Retry(text) if text.contains("(unexpectedError)")), "{outage:?}");
    let page = error("top_headlines", "country=us~error_page.html");
    assert!(matches!(&page, PageError::Retry(text) if text.contains("received markup")), "{page:?}");
}

#[test]
fn every_code_of_the_provider_is_told_apart() {
    let error = |code: &str| {
        let body = format!(r#"{{"status":"error","code":"{code}","message":"x"}}"#);
        parse(&request("x"), body.as_bytes()).unwrap_err()
    };
    for code in ["apiKeyDisabled", "apiKeyMissing"] {
        assert!(matches!(error(code), PageError::Halt(_)), "{code}");
    }
    for code in ["parametersMissing", "parametersIncompatible", "sourcesTooMany"] {
        assert!(matches!(error(code), PageError::Skip(_)), "{code}");
    }
    for code in ["apiKeyExhausted", "somethingNew", ""] {
        assert!(matches!(error(code), PageError::Retry(_)), "{code}");
    }
}

#[test]
fn what_is_not_an_answer_is_asked_for_again() {
    for text in ["", "{", "[]", "null", "{}", "Busy", r#"{"articles":null}"#, r#"{"articles":{}}"#] {
        let outcome = parse(&request("x"), text.as_bytes());
        assert!(matches!(outcome, Err(PageError::Retry(_))), "{text}: {outcome:?}");
    }
    assert_eq!(parse(&request("x"), br#"{"status":"ok","totalResults":0,"articles":[]}"#), Ok(Parsed::default()));
}

#[test]
fn an_item_is_a_query_or_says_which_headlines() {
    assert_eq!(
        everything_path("\"Federal Reserve\" & rates", 0).unwrap(),
        "/v2/everything?q=%22Federal%20Reserve%22%20%26%20rates&language=en&sortBy=publishedAt&pageSize=100&page=1"
    );
    assert!(everything_path("inflation", 200).unwrap().ends_with("&page=3"));
    assert_eq!(top_headlines_path("country=us", 0).unwrap(), "/v2/top-headlines?country=us&pageSize=100&page=1");
    for item in ["", " ", "a\nb", &"x".repeat(501)] {
        assert!(matches!(everything_path(item, 0), Err(PageError::Skip(_))), "{item}");
    }
    for item in ["", "us", "country=", "language=en", "apiKey=x"] {
        assert!(matches!(top_headlines_path(item, 0), Err(PageError::Skip(_))), "{item}");
    }
}
