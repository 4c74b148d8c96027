//! Percent-encoding of addresses.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What is encoded in a segment or a value: everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What no address may hold.
const UNPRINTABLE: &AsciiSet = &CONTROLS.add(b' ');

/// Encodes a text as one segment of a path or one value of a query string.
pub fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Encodes the characters of an address that no address may hold; leaves encoded ones as they are.
pub fn printable(address: &str) -> String {
    utf8_percent_encode(address, UNPRINTABLE).to_string()
}

/// Decodes a text; a `%` without two hexadecimal digits stands for itself. None if the result is not UTF-8.
pub fn percent_decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_an_address_is_encoded() {
        assert_eq!(percent_encoded("S&P 500 \"é\""), "S%26P%20500%20%22%C3%A9%22");
        assert_eq!(percent_encoded("BTC-USD.CC_~1"), "BTC-USD.CC_~1");
    }

    #[test]
    fn what_was_encoded_comes_back_and_a_lone_percent_sign_stays() {
        let text = "S&P 500 \"é\" %4";
        assert_eq!(percent_decoded(&percent_encoded(text)).unwrap(), text);
        assert_eq!(percent_decoded("%m/%d/%Y %").unwrap(), "%m/%d/%Y %");
        assert_eq!(percent_decoded("%ff"), None);
    }

    #[test]
    fn an_address_is_made_printable_and_not_encoded_twice() {
        assert_eq!(printable("https://x.org/a%20b?c=é d"), "https://x.org/a%20b?c=%C3%A9%20d");
    }
}
