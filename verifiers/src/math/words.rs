//! Words with a meaning: functions, Greek letters, units, sets.

use super::expression::Constant;

/// Words that stand for a command, either bare or in a text command.
const MEANINGS: &[(&str, &str)] = &[
    ("sin", "sin"),
    ("cos", "cos"),
    ("tan", "tan"),
    ("cot", "cot"),
    ("sec", "sec"),
    ("csc", "csc"),
    ("arcsin", "arcsin"),
    ("arccos", "arccos"),
    ("arctan", "arctan"),
    ("asin", "arcsin"),
    ("acos", "arccos"),
    ("atan", "arctan"),
    ("sinh", "sinh"),
    ("cosh", "cosh"),
    ("tanh", "tanh"),
    ("ln", "ln"),
    ("log", "log"),
    ("lg", "lg"),
    ("exp", "exp"),
    ("sqrt", "sqrt"),
    ("cbrt", "cbrt"),
    ("abs", "abs"),
    ("floor", "floor"),
    ("ceil", "ceil"),
    ("gcd", "gcd"),
    ("lcm", "lcm"),
    ("max", "max"),
    ("min", "min"),
    ("binom", "binom"),
    ("mod", "bmod"),
    ("pi", "pi"),
    ("Pi", "pi"),
    ("inf", "infty"),
    ("infinity", "infty"),
    ("Infinity", "infty"),
    ("oo", "infty"),
    ("cis", "cis"),
    ("union", "cup"),
    ("alpha", "alpha"),
    ("beta", "beta"),
    ("gamma", "gamma"),
    ("delta", "delta"),
    ("theta", "theta"),
    ("lambda", "lambda"),
    ("omega", "omega"),
    ("phi", "phi"),
    ("nan", "undefined"),
    ("NaN", "undefined"),
    ("NAN", "undefined"),
    ("undefined", "undefined"),
    ("percent", "percent"),
    ("pct", "percent"),
    ("percentage", "percent"),
    ("degrees", "circ"),
    ("degree", "circ"),
    ("deg", "circ"),
];

/// Words of two to four letters that are not products of variables.
const ENGLISH: &[&str] = &[
    "is", "of", "to", "in", "at", "by", "we", "so", "as", "an", "be", "do", "if", "it", "no", "on", "up",
    "us", "the", "are", "was", "not", "for", "its", "has", "had", "can", "but", "you", "any", "all", "one",
    "two", "ten", "out", "who", "how", "why", "yes", "then", "than", "that", "this", "with", "from", "have",
    "will", "when", "what", "were", "each", "both", "only", "thus", "true", "none", "some", "time", "case",
    "get", "got", "now", "let", "see", "say", "four", "five", "nine", "zero", "three", "gold", "odd", "even",
    "No", "Yes", "The", "It", "So", "We", "True", "None", "or", "and", "nor", "more", "less", "fewer",
    "least", "most", "wrong", "false", "other", "over", "null", "void", "todo", "your", "here", "box",
    "Thus", "area", "odds", "left", "just", "also",
];

/// Units and their other names. The first name of a row is the one that is compared.
const UNITS: &[&[&str]] = &[
    &["meter", "m", "meters", "metre", "metres"],
    &["centimeter", "cm", "centimeters", "centimetre", "centimetres"],
    &["millimeter", "mm", "millimeters"],
    &["kilometer", "km", "kilometers", "kilometre", "kilometres"],
    &["inch", "in", "inches"],
    &["foot", "ft", "feet"],
    &["yard", "yd", "yards"],
    &["mile", "mi", "miles"],
    &["second", "s", "sec", "secs", "seconds"],
    &["minute", "min", "mins", "minutes"],
    &["hour", "h", "hr", "hrs", "hours"],
    &["day", "days"],
    &["week", "weeks"],
    &["month", "months"],
    &["year", "years", "yr", "yrs"],
    &["gram", "g", "grams"],
    &["kilogram", "kg", "kilograms"],
    &["milligram", "mg", "milligrams"],
    &["pound", "lb", "lbs", "pounds"],
    &["ounce", "oz", "ounces"],
    &["liter", "L", "l", "liters", "litre", "litres"],
    &["milliliter", "mL", "ml", "milliliters"],
    &["joule", "J", "joules"],
    &["kilojoule", "kJ", "kilojoules"],
    &["watt", "W", "watts"],
    &["kilowatt", "kW", "kilowatts"],
    &["newton", "N", "newtons"],
    &["volt", "V", "volts"],
    &["hertz", "Hz"],
    &["mph"],
    &["kph"],
    &["kmh"],
    &["dollar", "$", "dollars", "USD", "usd"],
    &["cent", "¢", "cents"],
    &["euro", "€", "euros", "EUR"],
    &["yuan", "RMB"],
    &["yen", "¥"],
    &["rupee", "₹", "rupees"],
    &["sterling", "£"],
    &["unit", "units"],
    &["square", "sq", "^2"],
    &["cubic", "cu", "^3"],
    &["degree", "degrees", "deg"],
    &["celsius", "Celsius"],
    &["fahrenheit", "Fahrenheit"],
    &["ohm", "ohms"],
    &["radian", "radians", "rad"],
    &["people", "person", "persons"],
    &["student", "students"],
    &["apple", "apples"],
    &["way", "ways"],
    &["time", "times"],
    &["point", "points"],
];

/// Words next to a number that change its value and so are not units.
const SCALES: &[&str] = &[
    "hundred",
    "hundreds",
    "thousand",
    "thousands",
    "million",
    "millions",
    "billion",
    "billions",
    "trillion",
    "trillions",
    "dozen",
    "dozens",
    "squared",
    "cubed",
    "half",
    "halves",
    "third",
    "thirds",
    "quarter",
    "quarters",
    "fifths",
    "tenths",
    "hundredths",
    "thousandths",
    "plus",
    "minus",
    "negative",
    "factorial",
    "twice",
    "thrice",
    "double",
    "triple",
    "not",
];

/// The words in the text that change the value of the number next to them.
pub(super) fn scales(text: &str) -> impl Iterator<Item = &'static str> {
    text.split(|next: char| !next.is_alphabetic())
        .filter_map(|word| SCALES.iter().copied().find(|scale| word.eq_ignore_ascii_case(scale)))
}

/// The command that a word stands for.
pub(super) fn meaning(word: &str) -> Option<&'static str> {
    MEANINGS.iter().find(|(known, _)| *known == word).map(|(_, command)| *command)
}

/// Whether the word names a unit.
pub(super) fn is_unit(word: &str) -> bool {
    UNITS.iter().any(|row| row.contains(&word))
}

/// The half of the day that a word such as `a.m.` or `PM` names.
pub(super) fn half_day(word: &str) -> Option<&'static str> {
    match word.to_lowercase().replace('.', "").as_str() {
        "am" => Some("am"),
        "pm" => Some("pm"),
        _ => None,
    }
}

/// The units in the words after a number, each by its common name. Unknown words are skipped.
pub(super) fn units(text: &str) -> Vec<&'static str> {
    let text = text.replace('^', " ^");
    let parts = text.split(|next: char| !next.is_alphabetic() && !"$€£¥₹¢^23".contains(next));
    let mut names = Vec::new();
    for part in parts {
        let found = UNITS.iter().find(|row| row.contains(&part)).map(|row| row[0]);
        match (part, found) {
            ("mph", _) => names.extend(["mile", "hour"]),
            ("am", _) => names.push("am"),
            ("pm", _) => names.push("pm"),
            ("kph" | "kmh", _) => names.extend(["kilometer", "hour"]),
            (_, Some(name)) => names.push(name),
            _ => {}
        }
    }
    names
}

/// Whether the letters are a product of variables, such as `ab` or `ABCD`, and not a word.
pub(super) fn is_product(word: &str) -> bool {
    let upper = word.chars().all(char::is_uppercase);
    !ENGLISH.contains(&word) && word.chars().count() <= if upper { 6 } else { 3 }
}

/// Whether the word belongs to a sentence and so is not a unit after a number.
pub(super) fn is_prose(word: &str) -> bool {
    ENGLISH.contains(&word.to_lowercase().as_str()) && !is_unit(word)
}

/// Whether a number or formula is inside a sentence: `So I get $x = 7$`.
pub(super) fn is_sentence(text: &str) -> bool {
    let plain = |word: &&str| {
        let word = word.trim_matches([',', '.', ':', ';']);
        let letters = word.chars().count() > 3 || ENGLISH.contains(&word);
        letters
            && word.chars().all(char::is_alphabetic)
            && !["and", "or"].contains(&word.to_lowercase().as_str())
            && meaning(word).is_none()
            && !is_unit(word)
            && !word.chars().all(char::is_uppercase)
    };
    text.contains(|next: char| next.is_ascii_digit() || next == '$')
        && text.split_whitespace().any(|word| plain(&word))
}

/// The set that the words name.
pub(super) fn named_set(text: &str) -> Option<Constant> {
    const SETS: &[(&str, Constant)] = &[
        ("all real numbers", Constant::Reals),
        ("all reals", Constant::Reals),
        ("real numbers", Constant::Reals),
        ("no solution", Constant::Empty),
        ("no solutions", Constant::Empty),
        ("no real solution", Constant::Empty),
        ("no real solutions", Constant::Empty),
        ("empty set", Constant::Empty),
        ("the empty set", Constant::Empty),
    ];
    let text = text.trim().to_lowercase();
    SETS.iter().find(|(name, _)| *name == text).map(|(_, set)| *set)
}

/// Whether the text is only a placeholder for an answer.
pub(super) fn is_placeholder(text: &str) -> bool {
    let bare = text.trim_matches(|next: char| !next.is_alphanumeric()).to_lowercase();
    let known =
        ["", "answer", "your answer", "your answer here", "answer here", "final answer", "value", "result"];
    known.contains(&bare.as_str())
}
