//! Symbols of listed options as the Options Clearing Corporation (OCC) writes them: root, `YYMMDD`, `C` or `P`, and the
//! strike in thousandths in eight digits, e.g. `AAPL250905C00110000`.
//!
//! Roots vary in length and may end with digits (`TSLA1` after a split), so a symbol is read from the right.

use chrono::NaiveDate;
use contract::Decimal;

use crate::parse::body::excerpt;
use crate::parse::fault::Fault;

/// Longest symbol that an option's `contract_symbol` can hold.
const MAX_SYMBOL_BYTES: usize = 40;
/// What stands behind the root.
const SUFFIX_BYTES: usize = 6 + 1 + 8;
/// Symbols have two digits of the year, and are of this century: they were introduced in 2010.
const CENTURY: i32 = 2000;
/// Digits after the point of a strike.
const STRIKE_SCALE: u32 = 3;

/// What the symbol of an option says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract<'a> {
    /// Class of options, mostly the underlying's symbol: `SPXW` is one of `SPX`.
    pub root: &'a str,
    /// Last day on which it can be exercised.
    pub expiration_date: NaiveDate,
    /// `call` or `put`.
    pub option_type: &'static str,
    /// Strike price, exactly.
    pub strike: Decimal,
}

/// Reads a symbol.
pub fn parse(symbol: &str) -> Result<Contract<'_>, Fault> {
    read(symbol).ok_or_else(|| {
        let symbol = excerpt(symbol.as_bytes());
        Fault("contract", format!("`{symbol}` is not the symbol of an option, such as `AAPL250905C00110000`"))
    })
}

fn read(symbol: &str) -> Option<Contract<'_>> {
    let (root, suffix) = symbol.split_at_checked(symbol.len().checked_sub(SUFFIX_BYTES)?)?;
    let is_root = !root.is_empty() && root.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_root || symbol.len() > MAX_SYMBOL_BYTES {
        return None;
    }
    let (date, rest) = suffix.split_at_checked(6)?;
    let (option_type, strike) = rest.split_at_checked(1)?;
    let option_type = match option_type {
        "C" => "call",
        "P" => "put",
        _ => return None,
    };
    Some(Contract {
        root,
        expiration_date: year_month_day(number(date)?)?,
        option_type,
        strike: thousandths(number(strike)?),
    })
}

/// The number of thousandths, in as few digits as it has.
pub(crate) fn thousandths(mut number: i64) -> Decimal {
    let mut scale = STRIKE_SCALE;
    while scale > 0 && number % 10 == 0 {
        (number, scale) = (number / 10, scale - 1);
    }
    Decimal::new(number, scale)
}

/// Digits and nothing else: Rust reads a sign too.
fn number(digits: &str) -> Option<i64> {
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Reads `YYMMDD`.
fn year_month_day(number: i64) -> Option<NaiveDate> {
    let number = u32::try_from(number).ok()?;
    let year = i32::try_from(number / 10_000).ok()?;
    NaiveDate::from_ymd_opt(CENTURY + year, number / 100 % 100, number % 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::date;

    fn strike(symbol: &str) -> String {
        parse(symbol).unwrap().strike.to_string()
    }

    #[test]
    fn a_symbol_is_root_expiration_type_and_strike() {
        let call = parse("AAPL250905C00110000").unwrap();
        assert_eq!((call.root, call.expiration_date, call.option_type), ("AAPL", date("2025-09-05"), "call"));
        assert_eq!(call.strike.to_string(), "110");
        let put = parse("SPXW261231P06012500").unwrap();
        assert_eq!((put.root, put.expiration_date, put.option_type), ("SPXW", date("2026-12-31"), "put"));
    }

    #[test]
    fn a_strike_is_exact_to_the_thousandth() {
        assert_eq!(strike("F251219C00012820"), "12.82");
        assert_eq!(strike("F251219C00000001"), "0.001");
        assert_eq!(strike("SPX251219C12345675"), "12345.675");
        assert_eq!(strike("F251219C00000000"), "0");
    }

    #[test]
    fn a_root_has_any_length_and_may_hold_digits_and_the_letters_of_a_type() {
        for (symbol, root) in
            [("C251219C00070000", "C"), ("PCP251219P00070000", "PCP"), ("TSLA1251219C00070000", "TSLA1")]
        {
            assert_eq!(parse(symbol).unwrap().root, root);
        }
        let longest = format!("{}251219C00070000", "R".repeat(25));
        assert_eq!(parse(&longest).unwrap().root.len(), 25);
        assert!(parse(&format!("R{longest}")).is_err());
    }

    #[test]
    fn a_leap_day_is_one_only_in_a_leap_year() {
        assert_eq!(parse("VIX280229C00020000").unwrap().expiration_date, date("2028-02-29"));
        assert!(parse("VIX270229C00020000").is_err());
    }

    #[test]
    fn what_is_no_symbol_is_refused_with_its_words() {
        for symbol in [
            "",
            "AAPL",
            "250905C00110000",
            "AAPL250905X00110000",
            "AAPL250905c00110000",
            "AAPL251305C00110000",
            "AAPL250905C0011000",
            "AAPL250905C+0110000",
            "AAPL+50905C00110000",
            "AAPL  250905C00110000",
            "AÄPL250905C00110000",
            "AAPL250905C0011000é",
        ] {
            assert!(parse(symbol).is_err(), "{symbol}");
        }
        let Fault(class, reason) = parse("AAPL\n").unwrap_err();
        assert_eq!((class, reason.contains('\n')), ("contract", false));
    }
}
