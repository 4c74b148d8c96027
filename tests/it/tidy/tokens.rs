//! The tokens of a Rust source, without comments and without what is compiled for tests only.

/// An identifier, a number, `::` or one other sign; a string or character literal is `""`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    /// Counted from 1.
    pub(super) line: usize,
}

/// The tokens of a source as written.
pub(super) fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer { rest: source, line: 1, found: Vec::new() };
    while !lexer.rest.is_empty() {
        lexer.next();
    }
    lexer.found
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    found: Vec<Token>,
}

impl Lexer<'_> {
    fn next(&mut self) {
        let line = self.line;
        let (length, text) = first(self.rest);
        self.line += self.rest[..length].matches('\n').count();
        self.rest = &self.rest[length..];
        self.found.extend(text.map(|text| Token { text, line }));
    }
}

/// How many bytes the first token or gap takes, and the token, if it is one.
fn first(rest: &str) -> (usize, Option<String>) {
    let character = rest.chars().next().expect("there is a rest");
    if character.is_whitespace() {
        return (character.len_utf8(), None);
    }
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), None);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), None);
    }
    if let Some(length) = string(rest).or_else(|| character_literal(rest)) {
        return (length, Some("\"\"".to_owned()));
    }
    if let Some(lifetime) = rest.strip_prefix('\'') {
        return (1 + word(lifetime), None);
    }
    let length = match word(rest) {
        0 if rest.starts_with("::") => 2,
        0 => character.len_utf8(),
        length => length,
    };
    (length, Some(rest[..length].to_owned()))
}

/// Length of the identifier or number at the beginning.
fn word(text: &str) -> usize {
    text.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(text.len())
}

/// Length of a comment that may hold others.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// Length of the string literal at the beginning, raw or not.
fn string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        let after = text.strip_prefix(prefix);
        after.is_some_and(|after| after.starts_with('"') || prefix.ends_with('r') && is_raw(after))
    })?;
    if prefix.ends_with('r') {
        let hashes = text[prefix.len()..].find('"')?;
        let open = prefix.len() + hashes + 1;
        let close = format!("\"{}", "#".repeat(hashes));
        return Some(text[open..].find(&close).map_or(text.len(), |end| open + end + close.len()));
    }
    let open = prefix.len() + 1;
    Some(open + quoted(&text[open..], '"'))
}

/// Whether only hashes and then a quote follow, as in `r#"`; not so in `r#type`.
fn is_raw(after: &str) -> bool {
    after.trim_start_matches('#').starts_with('"')
}

/// Length of what a quote ends, with the quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if character == quote && !escaped {
            return at + character.len_utf8();
        }
        escaped = character == '\\' && !escaped;
    }
    text.len()
}

/// Length of the character literal at the beginning; None for a lifetime.
fn character_literal(text: &str) -> Option<usize> {
    let prefix = usize::from(text.starts_with("b'"));
    let inner = text[prefix..].strip_prefix('\'')?;
    let second = inner.chars().nth(1);
    (inner.starts_with('\\') || second == Some('\'')).then(|| prefix + 1 + quoted(inner, '\''))
}

/// Drops every item that is marked `#[cfg(test)]`; gives the names of the modules among them that are files.
pub(super) fn without_tests(tokens: Vec<Token>) -> (Vec<Token>, Vec<String>) {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut files, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        let is_marked = MARK.iter().enumerate().all(|(step, mark)| is(&tokens, at + step, mark));
        if !is_marked {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let item = at + MARK.len();
        at = end_of_item(&tokens, item);
        if let Some(name) = tokens[item..at].windows(3).find(|three| three[0].text == "mod" && three[2].text == ";") {
            files.push(name[1].text.clone());
        }
    }
    (kept, files)
}

/// Whether the token at that place is this one.
pub(super) fn is(tokens: &[Token], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.text == text)
}

/// Where the item that begins at `from` has ended: after its `;`, or after its braces.
fn end_of_item(tokens: &[Token], from: usize) -> usize {
    let (mut depth, mut is_use) = (0_usize, false);
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.text.as_str() {
            "use" if depth == 0 => is_use = true,
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && !is_use {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(tokens: &[Token]) -> Vec<&str> {
        tokens.iter().map(|token| token.text.as_str()).collect()
    }

    #[test]
    fn comments_and_literals_hold_no_tokens() {
        let source =
            "a // crate::x\n/* b /* crate::x */ */ \"crate::\\\"x\" r#\"crate::\"x\"# 'c' '\\'' &'d e b'x' r#type";
        let found = tokens(source);
        assert_eq!(texts(&found), ["a", "\"\"", "\"\"", "\"\"", "\"\"", "&", "e", "\"\"", "r", "#", "type"]);
        assert_eq!((found[0].line, found[1].line), (1, 2));
    }

    #[test]
    fn what_is_for_tests_is_dropped_and_nothing_else() {
        let source = "use a; #[cfg(test)] use b::{c, d}; #[cfg(test)] mod stub; fn e() {} \
                      #[cfg(test)] #[expect(x)] fn f(g: [u8; 2]) { h; } #[cfg(test)] mod tests { use i; { j } } fn k() {}";
        let (kept, files) = without_tests(tokens(source));
        assert_eq!(texts(&kept).concat(), "usea;fne(){}fnk(){}");
        assert_eq!(files, ["stub"]);
    }
}
