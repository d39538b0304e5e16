//! Fuzzes the search for the answer in a completion, with the strict and the lenient rules.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thinkling_verifiers::math::extract::{self, Extraction};

fuzz_target!(|text: &str| {
    let _ = extract::completion(text, Extraction::Strict);
    let _ = extract::completion(text, Extraction::Lenient);
    let _ = extract::gold(text);
});
