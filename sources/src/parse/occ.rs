//! Symbols of listed options as the Options Clearing Corporation (OCC) writes them: root, `YYMMDD`, `C` or `P`, and the
//! strike in thousandths in eight digits, e.g. `AAPL250905C00110000`.
//!
//! Roots vary in length and may end with digits (`TSLA1` after a split), so a symbol is read from the right.

use chrono::NaiveDate;
use contract::Decimal;

use crate::parse::body::excerpt;
use crate::parse::fault::Fault;

/// Longest symbol that the field `contract_symbol` can hold.
const MAX_SYMBOL_BYTES: usize = 40;
/// Length of what follows the root.
const SUFFIX_BYTES: usize = 6 + 1 + 8;
/// Symbols have a year of two digits in this century: they were introduced in 2010.
const CENTURY: i32 = 2000;
/// Decimals of a strike.
const STRIKE_SCALE: u32 = 3;

/// The parts of an option symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract<'a> {
    /// Class of options, mostly the underlying's symbol: `SPXW` is one of `SPX`.
    pub root: &'a str,
    /// Last day on which the option can be exercised.
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

/// A number of thousandths as a decimal without trailing zeros.
pub(crate) fn thousandths(mut number: i64) -> Decimal {
    let mut scale = STRIKE_SCALE;
    while scale > 0 && number % 10 == 0 {
        (number, scale) = (number / 10, scale - 1);
    }
    Decimal::new(number, scale)
}

/// Digits only: Rust would also accept a sign.
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
mod tests;
