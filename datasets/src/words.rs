//! Meaningless words that can be pronounced. There are enough of them at every length.

use crate::seed::Stream;

/// The letters that a word may contain.
pub(crate) const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";
const CONSONANTS: &[u8] = b"bcdfghjklmnpqrstvwxyz";
const VOWELS: &[u8] = b"aeiou";

/// A word of `length` letters that alternates consonants and vowels: `bakiro`.
pub(crate) fn word(stream: &mut Stream, length: u32) -> String {
    let starts_with_vowel = stream.chance(0.3);
    (0..length)
        .map(|at| *stream.pick(if (at % 2 == 1) != starts_with_vowel { VOWELS } else { CONSONANTS }) as char)
        .collect()
}
