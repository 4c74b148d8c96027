//! The sentiment of a text, scored with the vocabulary of financial markets.
//!
//! The same text has the same score in every process. The analyser (finvader, on top of vader-sentimental) does not
//! ensure that: it iterates over hash tables, whose order differs between processes. Hence three measures:
//!
//! - It adds up intensifiers in that order, so sums differ in their last bits. Scores are rounded.
//! - It adds exclamation and question marks to a sum by its sign; the sign of a sum near zero depends on its last bits.
//!   The marks are removed.
//! - Of two idioms within six words, only the one first in that order counts. Idioms are broken up. `the bombing` and
//!   `bad assets`, which it mistakes for praise, even gain by that.

use std::borrow::Cow;
use std::sync::LazyLock;

use contract::{Record, Text};
use finvader::FinVader;

/// Name and version of the scoring crate, as another version may score differently.
pub const SCORER: &str = "finvader 0.1.0";
/// The analyser's idioms, and a neutral word to break them up, which the analyser itself uses for that.
const IDIOMS: [&[&str]; 6] = [
    &["the", "shit"],
    &["the", "bomb"],
    &["bad", "ass"],
    &["yeah", "right"],
    &["kiss", "of", "death"],
    &["to", "die", "for"],
];
const ONE_WORD_IDIOM: &str = "badass";
const NO_MEANING: &str = "item";
/// Four decimals, which a score has; nine decimals, beyond which the order of summation shows.
const SCALE: f64 = 1e4;
const SURE_SCALE: f64 = 1e9;
/// Most bytes of a text that are scored: a headline and its summary have some hundred.
const MAX_TEXT_BYTES: usize = 4096;

/// The analyser: it loads its word lists once.
static ANALYSER: LazyLock<FinVader> = LazyLock::new(FinVader::new);

/// The sentiment of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sentiment {
    /// From -1 (bad) to 1 (good).
    pub score: f64,
    /// Share of bad words, 0 to 1.
    pub negative: f64,
    /// Share of neutral words, 0 to 1.
    pub neutral: f64,
    /// Share of good words, 0 to 1.
    pub positive: f64,
}

/// Scores a text. The same text always has the same score.
pub fn score(text: &str) -> Sentiment {
    let analysis = ANALYSER.analyze(&without_idioms(&beginning(text).replace(['!', '?'], " ")));
    Sentiment {
        score: number(analysis.compound),
        negative: number(analysis.negative),
        neutral: number(analysis.neutral),
        positive: number(analysis.positive),
    }
}

/// Scores the title and description of an article without a score; leaves other records as they are.
pub fn score_article(record: &mut Record) {
    let Record::NewsArticle(article) = record else { return };
    if article.sentiment_score.is_some() || article.sentiment_scorer.is_some() {
        return;
    }
    let sentiment = match &article.description {
        Some(description) => score(&format!("{}. {description}", article.title)),
        None => score(&article.title),
    };
    article.sentiment_score = Some(sentiment.score);
    article.sentiment_negative = Some(sentiment.negative);
    article.sentiment_neutral = Some(sentiment.neutral);
    article.sentiment_positive = Some(sentiment.positive);
    article.sentiment_scorer = Some(const { Text::literal(SCORER) });
}

/// The part of a text that is scored.
fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

/// The text, with a neutral word inserted into each idiom.
fn without_idioms(text: &str) -> Cow<'_, str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    // A single letter does not break up an idiom: the analyser ignores it.
    let heard: Vec<(usize, String)> =
        words.iter().enumerate().filter(|(_, word)| word.len() > 1).map(|(at, word)| (at, bare(word))).collect();
    let begins = |from: usize| IDIOMS.iter().any(|idiom| begins_with(&heard[from..], idiom));
    let begin: Vec<usize> = (0..heard.len()).filter(|from| begins(*from)).map(|from| heard[from].0).collect();
    let whole: Vec<usize> = heard.iter().filter(|(_, word)| word.contains(ONE_WORD_IDIOM)).map(|(at, _)| *at).collect();
    if begin.is_empty() && whole.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut apart: Vec<&str> = Vec::with_capacity(words.len() + begin.len());
    for (at, word) in words.into_iter().enumerate() {
        apart.push(if whole.contains(&at) { NO_MEANING } else { word });
        if begin.contains(&at) {
            apart.push(NO_MEANING);
        }
    }
    Cow::Owned(apart.join(" "))
}

/// Whether an idiom begins here. The analyser matches its letters, not whole words.
fn begins_with(heard: &[(usize, String)], idiom: &[&str]) -> bool {
    let is_at = |place: usize, heard: &str, word: &str| match place {
        0 => heard.ends_with(word),
        last if last + 1 == idiom.len() => heard.starts_with(word),
        _ => heard == word,
    };
    let mut places = heard.iter().zip(idiom).enumerate();
    heard.len() >= idiom.len() && places.all(|(place, ((_, heard), word))| is_at(place, heard, word))
}

/// A word as the analyser compares it: lowercase, without surrounding punctuation.
fn bare(word: &str) -> String {
    let trimmed = word.trim_matches(|letter: char| letter.is_ascii_punctuation());
    if trimmed.len() > 1 { trimmed } else { word }.to_lowercase()
}

/// Rounds to four decimals, as many as the shares have.
///
/// Rounds to nine decimals first: halfway between two numbers of four decimals (0.24375 is common) the last bits would
/// decide. For `down -inf%` the analyser returns NaN, which becomes 0.
fn number(value: f64) -> f64 {
    let rounded = |value: f64, scale: f64| (value * scale).round() / scale;
    if value.is_finite() { rounded(rounded(value, SURE_SCALE), SCALE) } else { 0.0 }
}

#[cfg(test)]
mod tests;
