//! Written by `UPDATE=1 ./test derived`.

#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| fuzz::read("file", "jsonl", body));
