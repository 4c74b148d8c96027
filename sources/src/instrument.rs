//! What providers' prices are: the unit of a currency's code, and the exchange of a provider's code.

use contract::Text;

/// Prices are as traded.
pub(crate) const UNADJUSTED: Option<Text> = Some(Text::literal("none"));
/// Prices are divided by the later splits.
pub(crate) const FOR_SPLITS: Option<Text> = Some(Text::literal("splits"));
/// Prices are reduced by the later dividends, too.
pub(crate) const FOR_ALL: Option<Text> = Some(Text::literal("all"));

/// Unit of an index.
const POINTS: Text = Text::literal("points");

/// Codes of parts of a currency as providers write them, the currency, the code that exchanges use, and how many make one.
const PARTS: &[(&str, &str, &str, f64)] = &[
    ("GBp", "GBP", "GBX", 100.0),
    ("GBX", "GBP", "GBX", 100.0),
    ("ZAc", "ZAR", "ZAC", 100.0),
    ("ZAC", "ZAR", "ZAC", 100.0),
    ("ILA", "ILS", "ILA", 100.0),
    ("ILa", "ILS", "ILA", 100.0),
    ("KWF", "KWD", "KWF", 1000.0),
    ("USX", "USD", "USX", 100.0),
    ("USc", "USD", "USX", 100.0),
];

/// Codes of an exchange at Yahoo, EODHD or FMP, and its market identifier code (ISO 10383).
///
/// No code means different exchanges at different providers. A code for several exchanges, such as FMP's `EURONEXT`, is
/// not listed.
const EXCHANGES: &[(&str, &str)] = &[
    ("AMEX", "XASE"),
    ("AMS", "XAMS"),
    ("AS", "XAMS"),
    ("ASE", "XASE"),
    ("ASX", "XASX"),
    ("AU", "XASX"),
    ("BATS", "BATS"),
    ("BR", "XBRU"),
    ("BRU", "XBRU"),
    ("BSE", "XBOM"),
    ("BTS", "BATS"),
    ("CO", "XCSE"),
    ("CPH", "XCSE"),
    ("EBS", "XSWX"),
    ("F", "XFRA"),
    ("FRA", "XFRA"),
    ("GER", "XETR"),
    ("HE", "XHEL"),
    ("HEL", "XHEL"),
    ("HK", "XHKG"),
    ("HKG", "XHKG"),
    ("HKSE", "XHKG"),
    ("JNB", "XJSE"),
    ("JPX", "XTKS"),
    ("JSE", "XJSE"),
    ("KO", "XKRX"),
    ("KSC", "XKRX"),
    ("LIS", "XLIS"),
    ("LS", "XLIS"),
    ("LSE", "XLON"),
    ("MC", "XMAD"),
    ("MCE", "XMAD"),
    ("MEX", "XMEX"),
    ("MI", "XMIL"),
    ("MIL", "XMIL"),
    ("MX", "XMEX"),
    ("NASDAQ", "XNAS"),
    ("NCM", "XNAS"),
    ("NGM", "XNAS"),
    ("NMS", "XNAS"),
    ("NSE", "XNSE"),
    ("NSI", "XNSE"),
    ("NYQ", "XNYS"),
    ("NYSE", "XNYS"),
    ("NYSE ARCA", "ARCX"),
    ("NYSE MKT", "XASE"),
    ("OL", "XOSL"),
    ("OSL", "XOSL"),
    ("PA", "XPAR"),
    ("PAR", "XPAR"),
    ("PCX", "ARCX"),
    ("SA", "BVMF"),
    ("SAO", "BVMF"),
    ("SES", "XSES"),
    ("SHE", "XSHE"),
    ("SHG", "XSHG"),
    ("SHH", "XSHG"),
    ("SHZ", "XSHE"),
    ("ST", "XSTO"),
    ("STO", "XSTO"),
    ("SW", "XSWX"),
    ("TA", "XTAE"),
    ("TAI", "XTAI"),
    ("TLV", "XTAE"),
    ("TO", "XTSE"),
    ("TOR", "XTSE"),
    ("TSX", "XTSE"),
    ("TW", "XTAI"),
    ("V", "XTSX"),
    ("VAN", "XTSX"),
    ("VI", "XWBO"),
    ("VIE", "XWBO"),
    ("WAR", "XWAR"),
    ("WSE", "XWAR"),
    ("XETRA", "XETR"),
];

/// Currency, unit and units per currency of an instrument's prices.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Unit {
    pub(crate) currency: Option<Text>,
    pub(crate) unit: Option<Text>,
    pub(crate) per_currency: Option<f64>,
}

impl Unit {
    /// The unit behind a provider's code of a currency; nothing where the code is not one.
    pub(crate) fn of(code: Option<&str>) -> Unit {
        let Some(code) = code else { return Unit::default() };
        if let Some((_, currency, unit, per_currency)) = PARTS.iter().find(|(part, ..)| *part == code) {
            let text = |text: &'static str| Some(Text::literal(text));
            return Unit { currency: text(currency), unit: text(unit), per_currency: Some(*per_currency) };
        }
        if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Unit::default();
        }
        let currency = Some(Text::from(code));
        Unit { unit: currency.clone(), currency, per_currency: Some(1.0) }
    }

    /// The points of an index. A provider may state a currency, but no number of points is an amount of it.
    pub(crate) const POINTS: Unit = Unit { currency: None, unit: Some(POINTS), per_currency: None };
}

/// The market identifier code behind a provider's code of an exchange.
pub(crate) fn mic(exchange: &str) -> Option<Text> {
    let found = EXCHANGES.iter().find(|(code, _)| *code == exchange);
    found.map(|(_, mic)| Text::literal(mic))
}

/// Exchanges whose symbols are written without a suffix.
const WITHOUT_SUFFIX: &[&str] = &["XNAS", "XNYS", "XASE", "ARCX", "BATS"];

/// The symbol at the exchange: without the suffix that Yahoo and FMP write for exchanges outside the United States.
pub(crate) fn ticker(symbol: &str, mic: &str) -> Text {
    match symbol.rsplit_once('.') {
        Some((ticker, _)) if !WITHOUT_SUFFIX.contains(&mic) => ticker.into(),
        _ => symbol.into(),
    }
}

/// The kind of an instrument in our words; None for a kind that has none.
pub(crate) fn kind(provider: &str) -> Option<Text> {
    let kind = match provider.to_ascii_uppercase().as_str() {
        "EQUITY" | "COMMON STOCK" | "PREFERRED STOCK" | "ADR" => "share",
        "ETF" => "etf",
        "FUND" | "MUTUALFUND" | "MUTUAL FUND" => "fund",
        "INDEX" => "index",
        "CURRENCY" => "currency",
        "CRYPTOCURRENCY" => "crypto",
        "FUTURE" | "FUTURES" => "future",
        "OPTION" => "option",
        "BOND" => "bond",
        _ => return None,
    };
    Some(Text::literal(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pence_are_the_hundredth_of_a_pound_and_a_word_is_no_currency() {
        let of = |code| {
            let Unit { currency, unit, per_currency } = Unit::of(Some(code));
            (currency.map(|text| text.to_string()), unit.map(|text| text.to_string()), per_currency)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("GBp"), (some("GBP"), some("GBX"), Some(100.0)));
        assert_eq!(of("GBP"), (some("GBP"), some("GBP"), Some(1.0)));
        assert_eq!(of("KWF"), (some("KWD"), some("KWF"), Some(1000.0)));
        for word in ["", "gbp", "US", "Dollar", "U$D"] {
            assert_eq!(of(word), (None, None, None), "{word}");
        }
    }

    #[test]
    fn a_code_of_an_exchange_is_listed_once() {
        assert!(EXCHANGES.is_sorted_by(|(left, _), (right, _)| left < right), "sort the exchanges by code");
    }
}
