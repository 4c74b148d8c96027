//! Sentences of the documents that a reader would have to read twice.

use super::tree::Tree;

/// Longest sentence, in words; a code span is one.
const MAX_WORDS: usize = 25;
/// A full stop behind one of these ends no sentence.
const ABBREVIATIONS: &[&str] = &["e.g.", "i.e.", "vs.", "etc."];

/// Sentences that are too long.
pub(super) fn long_sentences(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in &tree.documents {
        let long = sentences(text).into_iter().filter(|(_, sentence)| words(sentence) > MAX_WORDS);
        found.extend(long.map(|(line, sentence)| format!("{path}:{line}: {} words: {sentence}", words(&sentence))));
    }
    found
}

fn words(sentence: &str) -> usize {
    sentence.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count()
}

/// The sentences of a document outside code blocks and tables, each with the line on which its paragraph begins.
fn sentences(text: &str) -> Vec<(usize, String)> {
    let paragraphs = paragraphs(text);
    let split =
        paragraphs.into_iter().flat_map(|(line, text)| split(&plain(&text)).into_iter().map(move |one| (line, one)));
    split.collect()
}

/// Paragraphs, headings and items of lists.
fn paragraphs(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut is_code, mut goes_on): (Vec<(usize, String)>, bool, bool) = (Vec::new(), false, false);
    for (at, line) in text.lines().enumerate() {
        let line = line.trim().trim_start_matches("> ");
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        if is_fence || is_code || line.is_empty() || line.starts_with('|') || line.starts_with("<!--") {
            goes_on = false;
            continue;
        }
        let numbered = line.trim_start_matches(|character: char| character.is_ascii_digit());
        let is_item = ["- ", "* "].iter().any(|mark| line.starts_with(mark)) || numbered.starts_with(". ");
        let is_heading = line.starts_with('#');
        match found.last_mut().filter(|_| goes_on && !is_item && !is_heading) {
            Some((_, paragraph)) => *paragraph = format!("{paragraph} {line}"),
            None => found.push((at + 1, line.to_owned())),
        }
        goes_on = !is_heading;
    }
    found
}

/// The text with each code span as one word, and links without their addresses.
fn plain(paragraph: &str) -> String {
    let spans = paragraph.split('`').enumerate();
    let text: String = spans.map(|(at, part)| if at % 2 == 0 { part } else { "CODE" }).collect();
    let mut parts = text.split("](");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once(')').map_or("", |(_, rest)| rest))
}

/// Splits where a full stop, question mark or exclamation mark is followed by a space and no small letter.
fn split(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (mut found, mut sentence) = (Vec::new(), Vec::new());
    for (at, word) in words.iter().enumerate() {
        sentence.push(*word);
        let bare = word.trim_end_matches(['"', ')', '*', '_', '”']);
        let is_end = bare.ends_with(['.', '?', '!']) && !ABBREVIATIONS.contains(&bare.trim_start_matches('('));
        let is_followed = words.get(at + 1).is_none_or(|next| !next.starts_with(char::is_lowercase));
        if is_end && is_followed {
            found.push(sentence.join(" "));
            sentence.clear();
        }
    }
    if !sentence.is_empty() {
        found.push(sentence.join(" "));
    }
    found
}

#[test]
fn a_long_sentence_is_found_and_code_and_tables_are_not() {
    let long = "word ".repeat(MAX_WORDS + 1);
    let found = |text: String| {
        let documents = [("docs/page.md".to_owned(), text)].into();
        long_sentences(&Tree { documents, ..Tree::default() })
    };
    for text in [
        format!("```\n{long}\n```"),
        format!("| {long} |"),
        format!("Run `{long}` first."),
        "word ".repeat(MAX_WORDS),
        format!("{}end. {}", "word ".repeat(20), "Word ".repeat(20)),
        format!("- {}\n- {}", "word ".repeat(20), "word ".repeat(20)),
    ] {
        assert_eq!(found(text.clone()), [""; 0], "{text}");
    }
    for text in [
        long.clone(),
        format!("# {long}"),
        format!("{}\n{}", "word ".repeat(20), "word ".repeat(20)),
        format!("{}e.g. {}", "word ".repeat(20), "Word ".repeat(20)),
        format!("Short. [{long}](address)"),
    ] {
        assert_eq!(found(text.clone()).len(), 1, "{text}");
    }
}
