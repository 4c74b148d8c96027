//! Written by `UPDATE=1 ./test derived`.

#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| fuzz::read("sec_edgar", "company_tickers", body));
