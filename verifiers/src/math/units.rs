//! Units: SI prefixes by table, units with their dimensions, and the words that stand beside a number.

use super::number::Rational;
use super::words;

/// The exponent of each base unit.
type Dimension = Vec<(&'static str, i32)>;

/// A unit: its names, its size in base units as a quotient and a power of ten, and its dimension.
struct Unit {
    names: &'static [&'static str],
    size: (i64, i64, i32),
    dimension: &'static [(&'static str, i32)],
    /// Whether prefixes may stand before its symbol (the first name) and its other names.
    prefixes: bool,
}

const fn unit(
    names: &'static [&'static str],
    size: (i64, i64, i32),
    dimension: &'static [(&'static str, i32)],
    prefixes: bool,
) -> Unit {
    Unit { names, size, dimension, prefixes }
}

/// The units. Those without a common base have dimensions of their own, so they equal only themselves.
const UNITS: &[Unit] = &[
    unit(&["m", "meter", "meters", "metre", "metres"], (1, 1, 0), &[("m", 1)], true),
    unit(&["micron", "microns"], (1, 1, -6), &[("m", 1)], false),
    unit(&["in", "inch", "inches"], (254, 1, -4), &[("m", 1)], false),
    unit(&["ft", "foot", "feet"], (3048, 1, -4), &[("m", 1)], false),
    unit(&["yd", "yard", "yards"], (9144, 1, -4), &[("m", 1)], false),
    unit(&["mi", "mile", "miles"], (1_609_344, 1, -3), &[("m", 1)], false),
    unit(&["g", "gram", "grams", "gramme", "grammes"], (1, 1, 0), &[("g", 1)], true),
    unit(&["ton", "tons", "tonne", "tonnes"], (1, 1, 6), &[("g", 1)], false),
    unit(&["lb", "lbs", "pound", "pounds"], (45_359_237, 1, -5), &[("g", 1)], false),
    unit(&["oz", "ounce", "ounces"], (45_359_237, 16, -5), &[("g", 1)], false),
    unit(&["s", "sec", "secs", "second", "seconds"], (1, 1, 0), &[("s", 1)], true),
    unit(&["min", "mins", "minute", "minutes"], (60, 1, 0), &[("s", 1)], false),
    unit(&["h", "hr", "hrs", "hour", "hours"], (3600, 1, 0), &[("s", 1)], false),
    unit(&["day", "days"], (86_400, 1, 0), &[("s", 1)], false),
    unit(&["week", "weeks"], (604_800, 1, 0), &[("s", 1)], false),
    unit(&["month", "months"], (1, 12, 0), &[("year", 1)], false),
    unit(&["year", "years", "yr", "yrs"], (1, 1, 0), &[("year", 1)], false),
    unit(&["decade", "decades"], (10, 1, 0), &[("year", 1)], false),
    unit(&["century", "centuries"], (100, 1, 0), &[("year", 1)], false),
    unit(&["millennium", "millennia"], (1000, 1, 0), &[("year", 1)], false),
    unit(&["A", "ampere", "amperes", "amp", "amps"], (1, 1, 0), &[("A", 1)], true),
    unit(&["mol", "mole", "moles"], (1, 1, 0), &[("mol", 1)], true),
    unit(&["cd", "candela"], (1, 1, 0), &[("cd", 1)], false),
    unit(&["K", "kelvin", "kelvins"], (1, 1, 0), &[("K", 1)], false),
    unit(&["celsius", "Celsius"], (1, 1, 0), &[("celsius", 1)], false),
    unit(&["fahrenheit", "Fahrenheit"], (1, 1, 0), &[("fahrenheit", 1)], false),
    unit(&["L", "l", "liter", "liters", "litre", "litres"], (1, 1, -3), &[("m", 3)], true),
    unit(&["gallon", "gallons", "gal"], (1, 1, 0), &[("gallon", 1)], false),
    unit(&["hectare", "hectares", "ha"], (1, 1, 4), &[("m", 2)], false),
    unit(&["acre", "acres"], (1, 1, 0), &[("acre", 1)], false),
    unit(&["N", "newton", "newtons"], (1, 1, 3), &[("g", 1), ("m", 1), ("s", -2)], true),
    unit(&["J", "joule", "joules"], (1, 1, 3), &[("g", 1), ("m", 2), ("s", -2)], true),
    unit(&["Wh"], (36, 1, 5), &[("g", 1), ("m", 2), ("s", -2)], true),
    unit(&["cal", "calorie", "calories"], (4184, 1, 0), &[("g", 1), ("m", 2), ("s", -2)], true),
    unit(&["eV"], (1, 1, 0), &[("eV", 1)], true),
    unit(&["W", "watt", "watts"], (1, 1, 3), &[("g", 1), ("m", 2), ("s", -3)], true),
    unit(&["Pa", "pascal", "pascals"], (1, 1, 3), &[("g", 1), ("m", -1), ("s", -2)], true),
    unit(&["atm", "atmospheres"], (101_325, 1, 3), &[("g", 1), ("m", -1), ("s", -2)], false),
    unit(&["bar"], (1, 1, 8), &[("g", 1), ("m", -1), ("s", -2)], true),
    unit(&["V", "volt", "volts"], (1, 1, 3), &[("g", 1), ("m", 2), ("s", -3), ("A", -1)], true),
    unit(&["Ω", "ohm", "ohms", "Ohm", "Ohms"], (1, 1, 3), &[("g", 1), ("m", 2), ("s", -3), ("A", -2)], true),
    unit(&["C", "coulomb", "coulombs"], (1, 1, 0), &[("A", 1), ("s", 1)], true),
    unit(&["F", "farad", "farads"], (1, 1, -3), &[("g", -1), ("m", -2), ("s", 4), ("A", 2)], true),
    unit(&["T", "tesla", "teslas"], (1, 1, 3), &[("g", 1), ("s", -2), ("A", -1)], true),
    unit(&["Hz", "hertz"], (1, 1, 0), &[("Hz", 1)], true),
    unit(&["B", "byte", "bytes"], (8, 1, 0), &[("bit", 1)], true),
    unit(&["bit", "bits"], (1, 1, 0), &[("bit", 1)], true),
    unit(&["rad", "radian", "radians"], (1, 1, 0), &[("rad", 1)], false),
    unit(&["degree", "degrees", "deg"], (1, 1, 0), &[("degree", 1)], false),
    unit(&["mph"], (1_609_344, 3600, -3), &[("m", 1), ("s", -1)], false),
    unit(&["kph", "kmh", "kmph"], (1000, 3600, 0), &[("m", 1), ("s", -1)], false),
    unit(&["dollar", "$", "dollars", "USD", "usd", "buck", "bucks"], (1, 1, 0), &[("dollar", 1)], false),
    unit(&["cent", "¢", "cents"], (1, 100, 0), &[("dollar", 1)], false),
    unit(&["euro", "€", "euros", "EUR"], (1, 1, 0), &[("euro", 1)], false),
    unit(&["yuan", "RMB", "CNY"], (1, 1, 0), &[("yuan", 1)], false),
    unit(&["yen", "¥", "JPY"], (1, 1, 0), &[("yen", 1)], false),
    unit(&["rupee", "₹", "rupees", "Rs", "INR"], (1, 1, 0), &[("rupee", 1)], false),
    unit(&["sterling", "£", "GBP"], (1, 1, 0), &[("sterling", 1)], false),
    unit(&["peso", "pesos"], (1, 1, 0), &[("peso", 1)], false),
];

/// SI prefixes: symbol, name, power of ten.
const PREFIXES: &[(&str, &str, i32)] = &[
    ("p", "pico", -12),
    ("n", "nano", -9),
    ("μ", "micro", -6),
    ("u", "micro", -6),
    ("m", "milli", -3),
    ("c", "centi", -2),
    ("d", "deci", -1),
    ("h", "hecto", 2),
    ("k", "kilo", 3),
    ("M", "mega", 6),
    ("G", "giga", 9),
    ("T", "tera", 12),
];

/// Units that algebra does not use as products of letters, also directly after a number: `5cm`.
const GLUED: &[&str] =
    &["cm", "mm", "km", "kg", "mg", "mL", "ml", "kJ", "kW", "Hz", "kWh", "MHz", "GHz", "GB", "MB", "kB"];

/// The unit that a word names, and the power of ten of its prefix.
fn find(word: &str) -> Option<(&'static Unit, i32)> {
    if let Some(known) = UNITS.iter().find(|unit| unit.names.contains(&word)) {
        return Some((known, 0));
    }
    for (symbol, name, power) in PREFIXES {
        for unit in UNITS.iter().filter(|unit| unit.prefixes) {
            let short = word.strip_prefix(symbol) == Some(unit.names[0])
                || (unit.names[0] == "L" && word.strip_prefix(symbol) == Some("l"));
            let long = word.strip_prefix(name).is_some_and(|rest| unit.names[1..].contains(&rest));
            if short || long {
                return Some((unit, *power));
            }
        }
    }
    None
}

/// Whether the word names a unit.
pub(super) fn is_unit(word: &str) -> bool {
    find(word).is_some()
}

/// Whether the word is a unit only with a space before it: `2ms` is a product, `2 ms` a time.
pub(super) fn needs_space(word: &str) -> bool {
    word.chars().count() == 2
        && UNITS.iter().all(|unit| !unit.names.contains(&word))
        && !GLUED.contains(&word)
}

/// The words beside a number, by their meaning.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Measure {
    /// The exponents of the base units, in order.
    dimension: Dimension,
    /// The size of the product of all units in base units.
    size: Option<Rational>,
    /// The words that are no units, in order.
    words: Vec<String>,
}

/// The meaning of the texts beside a number.
pub(super) fn measure(texts: &[String]) -> Measure {
    let mut measure = Measure::default();
    measure.read(&texts.join(" "));
    if measure.dimension.iter().any(|(base, _)| matches!(*base, "celsius" | "fahrenheit")) {
        measure.dimension.retain(|(base, _)| *base != "degree");
    }
    measure.dimension.retain(|(_, exponent)| *exponent != 0);
    measure.dimension.sort_unstable();
    measure.words.sort_unstable();
    measure.words.dedup();
    measure
}

impl Measure {
    /// Whether nothing stands beside the number.
    pub(super) fn is_empty(&self) -> bool {
        self.size.is_none() && self.dimension.is_empty() && self.words.is_empty()
    }

    fn read(&mut self, text: &str) {
        // A word for a power comes before its unit (`square meters`), a power after it.
        let (mut sign, mut power) = (1, 1);
        let mut last: Option<(&'static Unit, i32, i32)> = None;
        let text = text.replace('^', " ^").replace('/', " per ").replace('²', " ^2").replace('³', " ^3");
        let mut parts = text
            .split(|next: char| next.is_whitespace() || ",;()".contains(next))
            .filter(|part| !part.is_empty())
            .peekable();
        while let Some(part) = parts.next() {
            let word = part.trim_matches(|next: char| !next.is_alphanumeric() && !"$€£¥₹¢^-".contains(next));
            if let Some(exponent) = word.strip_prefix('^') {
                if let (Ok(exponent), Some((unit, prefix, own))) = (exponent.parse::<i32>(), last.take())
                    && exponent.abs() <= 9
                {
                    self.multiply(unit, prefix, own * (exponent - 1));
                }
                continue;
            }
            match word {
                "" => continue,
                "per" => sign = -1,
                "in" if parts.peek().is_some() => continue,
                "square" | "sq" | "Square" => power = 2,
                "cubic" | "cu" | "Cubic" => power = 3,
                _ => match find(word) {
                    Some((unit, prefix)) => {
                        self.multiply(unit, prefix, sign * power);
                        last = Some((unit, prefix, sign * power));
                        power = 1;
                    }
                    None => self.words.extend(words::counted(word)),
                },
            }
        }
    }

    fn multiply(&mut self, unit: &'static Unit, prefix: i32, exponent: i32) {
        for (base, own) in unit.dimension {
            match self.dimension.iter_mut().find(|(known, _)| known == base) {
                Some((_, sum)) => *sum += own * exponent,
                None => self.dimension.push((base, own * exponent)),
            }
        }
        let (top, bottom, power) = unit.size;
        let size = Rational::from(top).div(&Rational::from(bottom)).and_then(|size| {
            let ten = Rational::from(10).pow(&Rational::from(i64::from(power + prefix)))?;
            let size = size.mul(&ten.unwrap_or(Rational::from(1)))?;
            size.pow(&Rational::from(i64::from(exponent)))
        });
        let known = self.size.take().unwrap_or(Rational::from(1));
        self.size = size.ok().flatten().and_then(|size| known.mul(&size).ok());
    }

    /// Whether the words beside two numbers may mean the same. Where one number has none, they may be missing. Other units
    /// for the same quantity are not converted: `1 km` and `1000 m` are two answers.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        if self.is_empty() || other.is_empty() {
            return true;
        }
        let subset = |a: &[String], b: &[String]| a.iter().all(|word| b.contains(word));
        if !subset(&self.words, &other.words) && !subset(&other.words, &self.words) {
            return false;
        }
        if self.dimension == other.dimension {
            return self.size == other.size;
        }
        // `$20 profit` is also a profit of 20, but 5 km are not 5 apples.
        let one_is_missing = self.dimension.is_empty() || other.dimension.is_empty();
        one_is_missing && self.words.iter().any(|word| other.words.contains(word))
    }

    /// How many units of `other` are one of this, if it is a whole number above one: an hour is 60 minutes.
    pub(super) fn multiple(&self, other: &Self) -> Option<i64> {
        if self.dimension.is_empty() || self.dimension != other.dimension {
            return None;
        }
        let factor = self.size.as_ref()?.div(other.size.as_ref()?).ok()?.to_integer()?;
        i64::try_from(factor).ok().filter(|factor| *factor > 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree(gold: &str, answer: &str) -> bool {
        let read = |text: &str| measure(&[text.to_owned()]);
        read(gold).agrees(&read(answer))
    }

    #[test]
    fn units_agree_by_their_meaning() {
        for (one, other) in [
            ("km/h", "kilometers per hour"),
            ("m/s", "m s ^-1"),
            ("square meters", "m ^2"),
            ("kilonewtons", "kN"),
            ("miles per hour", "mph"),
            ("apples", "apple"),
            ("", "apples"),
            ("μm", "micrometers"),
        ] {
            assert!(agree(one, other) && agree(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("km", "m"),
            ("kWh", "MJ"),
            ("N", "J"),
            ("km", "km/s"),
            ("boys", "girls"),
            ("km", "apples"),
            ("years", "hours"),
            ("m", "m ^2"),
        ] {
            assert!(!agree(one, other) && !agree(other, one), "{one} {other}");
        }
        let read = |text: &str| measure(&[text.to_owned()]);
        assert_eq!(read("h").multiple(&read("min")), Some(60));
        assert_eq!(read("min").multiple(&read("h")), None);
    }
}
