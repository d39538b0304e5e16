//! Two answers, parted by the first NUL, are compared: twice with the same result, and never with a crash.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thinkling_verifiers::math::Math;

fuzz_target!(|text: &str| {
    let (gold, answer) = text.split_once('\0').unwrap_or((text, text));
    let math = Math::default();
    assert_eq!(math.compare(gold, answer), math.compare(gold, answer));
});
