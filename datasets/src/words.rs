//! Words that can be spoken and mean nothing: enough of them at every length.

use crate::seed::Stream;

/// Every letter that a word may hold.
pub(crate) const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";
const CONSONANTS: &[u8] = b"bcdfghjklmnpqrstvwxyz";
const VOWELS: &[u8] = b"aeiou";

/// A word of `length` letters, consonants and vowels in turn: `bakiro`.
pub(crate) fn word(stream: &mut Stream, length: u32) -> String {
    let starts_with_vowel = stream.chance(0.3);
    (0..length)
        .map(|at| *stream.pick(if (at % 2 == 1) != starts_with_vowel { VOWELS } else { CONSONANTS }) as char)
        .collect()
}
