//! News with the provider's own sentiment.

use std::collections::HashSet;

use chrono::SubsecRound as _;
use contract::records::NewsArticle;

use super::row::Row;
use super::{NAME, rows};
use crate::parse::article::article_id;
use crate::parse::body::excerpt;
use crate::parse::fault::Fault;
use crate::parse::json::Bounded;
use crate::parse::raw::Raw;
use crate::parse::value::{Object, absent, scalar};
use crate::response::{PageError, Parsed, Request};

/// Most articles that EODHD gives at once.
pub(super) const PAGE_ARTICLES: u64 = 1000;
/// Most articles of a symbol: what lies behind them is years old, and each page costs ten calls.
const MAX_ARTICLES: u64 = 5000;
/// Who scored what the provider has scored.
const SCORER: &str = "provider";

/// Reads the articles about a symbol, the newest first.
pub(super) fn parse(request: &Request<'_>, body: &[u8]) -> Result<Parsed, PageError> {
    let mut seen = HashSet::new();
    let mut rows = 0;
    let parsed = rows::each(body, |row| {
        rows += 1;
        let Row::Json(row) = row else {
            return Err(Fault("shape", "expected an object, found a line of CSV".to_owned()));
        };
        let article = article(request, row)?;
        if !seen.insert(article.article_id.clone()) {
            let reason = format!("`{}` is in the page already", excerpt(article.article_id.as_bytes()));
            return Err(Fault("duplicate", reason));
        }
        Ok(Some(article.into()))
    })?;
    let next = request.offset.saturating_add(PAGE_ARTICLES);
    // The provider does not say how many there are: a full page may have another one behind it.
    let next_offset = (rows >= PAGE_ARTICLES && next < MAX_ARTICLES).then_some(next);
    Ok(Parsed { next_offset, ..parsed })
}

fn article(request: &Request<'_>, row: &Object<'_>) -> Result<NewsArticle, Fault> {
    let title = row.text("title")?.ok_or_else(|| absent("title"))?;
    let url = row.text("link")?;
    let published_at = row.instant("date")?.map(|time| time.trunc_subsecs(6));
    let sentiment = row.object("sentiment");
    let score = sentiment.number("polarity")?;
    Ok(NewsArticle {
        source: NAME,
        article_id: article_id(url.as_deref(), None, &title, published_at).into(),
        published_at,
        title,
        url,
        publisher: None,
        author: None,
        description: None,
        content: row.text("content")?,
        image_url: None,
        language: None,
        symbols: texts(row, "symbols")?,
        tags: texts(row, "tags")?,
        sentiment_score: score,
        sentiment_negative: sentiment.number("neg")?,
        sentiment_neutral: sentiment.number("neu")?,
        sentiment_positive: sentiment.number("pos")?,
        sentiment_scorer: score.map(|_| SCORER.into()),
        known_at: published_at.map_or(request.received_at, |time| request.not_after_receipt(time)),
        observed_at: request.received_at,
        flags: Vec::new(),
    })
}

/// A list of texts, also one that is written as `{"0": .., "1": ..}`; empty where there is none.
fn texts(row: &Object<'_>, name: &str) -> Result<Vec<String>, Fault> {
    let Some(raw) = row.raw(name) else { return Ok(Vec::new()) };
    let values: Option<Vec<Raw<'_>>> = match Object::parse(raw) {
        Some(object) => Some(object.iter().map(|(_, value)| value).collect()),
        None => serde_json::from_str(raw.get()).ok().map(|Bounded(values)| values),
    };
    let text = |value: Raw<'_>| scalar(value).map(|text| text.trim().to_owned());
    let texts = values.and_then(|values| values.into_iter().map(text).collect());
    texts.ok_or_else(|| Fault("text", format!("`{name}` `{}` is not a list of texts", excerpt(raw.get().as_bytes()))))
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            (first.symbols.join(" "), first.tags.join(" ")),
            ("AAPL.US DJI.INDX".to_owned(), "EARNINGS".to_owned())
        );
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
            ("duplicate", "row 5: `https://finance.example.com/a` is in the page already"),
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
}
