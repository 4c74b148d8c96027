//! Text in addresses.

/// The text as one segment of a path or one value of a query string.
pub fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        push(byte, is_plain, &mut out);
    }
    out
}

/// The address with everything encoded that no address may hold; what is encoded already stays as it is.
pub fn printable(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    for byte in address.bytes() {
        push(byte, byte.is_ascii_graphic(), &mut out);
    }
    out
}

/// The text that was encoded; a `%` without two hexadecimal digits behind it stands for itself. None when it is not UTF-8.
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let decoded = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => value(*high).zip(value(*low)).map(|(high, low)| (high << 4 | low, tail)),
            _ => None,
        };
        match decoded {
            Some((byte, tail)) => {
                out.push(byte);
                rest = tail;
            }
            None => out.push(*first),
        }
    }
    String::from_utf8(out).ok()
}

/// Value of a hexadecimal digit.
fn value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn push(byte: u8, is_plain: bool, out: &mut String) {
    if is_plain {
        out.push(char::from(byte));
    } else {
        out.push('%');
        out.push(digit(byte >> 4));
        out.push(digit(byte & 15));
    }
}

fn digit(value: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(value & 15)])
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
