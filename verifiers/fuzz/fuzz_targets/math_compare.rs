//! Fuzzes the comparison of two answers, separated by the first NUL byte: no crash, and the same result both times.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thinkling_verifiers::math::Math;

fuzz_target!(|text: &str| {
    let (gold, answer) = text.split_once('\0').unwrap_or((text, text));
    let math = Math::default();
    assert_eq!(math.compare(gold, answer), math.compare(gold, answer));
});
