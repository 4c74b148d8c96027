use super::*;

fn error(text: &str) -> PageError {
    recognise(text.as_bytes()).unwrap_err()
}

#[test]
fn a_bad_token_ends_it_in_whatever_form_it_is_said() {
    for text in [
        "Unauthenticated",
        "Unauthenticated\n",
        r#"{"message":"Unauthenticated."}"#,
        r#"{"error":"no","code":401}"#,
        r#"{"error":{"code":"401","message":"no"}}"#,
    ] {
        assert!(matches!(error(text), PageError::Halt(_)), "{text}: {:?}", error(text));
    }
}

#[test]
fn a_limit_is_waited_for() {
    for text in [
        "You exceeded your daily API requests limit. Please contact support.",
        "Too Many Requests",
        r#"{"error":"API rate limit exceeded"}"#,
        r#"{"error":"wait","code":429}"#,
        r#"{"error":"pay","code":402}"#,
        r#"{"message":"Too Many Attempts."}"#,
    ] {
        assert!(matches!(error(text), PageError::Retry(_)), "{text}: {:?}", error(text));
    }
}

#[test]
fn what_cannot_be_had_is_skipped() {
    for text in [
        "Ticker Not Found.",
        "Forbidden. Please contact support.",
        "Only EOD data allowed for free users.",
        r#"{"error":"Access denied","code":403}"#,
        r#"{"errors":{"from":["The from is not a date."]}}"#,
        "<!DOCTYPE html><html><head><title>404 | Not Found</title></head></html>",
        "<html><head><title>403 Forbidden</title></head></html>",
    ] {
        assert!(matches!(error(text), PageError::Skip(_)), "{text}: {:?}", error(text));
    }
    assert!(error(r#"{"errors":{"from":["no date"]}}"#).to_string().contains("no date"));
}

#[test]
fn what_is_nothing_known_is_asked_for_again() {
    for text in
        ["", " ", "[", "{", "null", "\"AAPL\"", "Unauthentic", "Dat", "Date,Open", "<html><title>Attention</title>"]
    {
        assert!(matches!(error(text), PageError::Retry(_)), "{text}: {:?}", error(text));
    }
}

#[test]
fn an_empty_page_comes_in_three_forms() {
    for text in ["[]", "{}", "No Results", "\u{feff} [ ] ", "No Results\r\n"] {
        assert!(matches!(recognise(text.as_bytes()), Ok(Body::Empty)), "{text}");
    }
}
