//! Plain data that leaves and enters the sandbox, and when two values are equal.
//!
//! The interpreter sends only values of exact built-in types, so no code of the completion runs here. Integers keep all
//! their digits.

use num_bigint::BigInt;
use num_traits::ToPrimitive;
use serde_json::Value;

/// 2^53. Beyond it, not every integer is a float.
const EXACT: f64 = (1_u64 << 53) as f64;

/// Maximum nesting depth of lists and dictionaries.
pub(crate) const MAX_DEPTH: usize = 100;

/// A value of one of Python's built-in types.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    None,
    Bool(bool),
    /// Lower-case hexadecimal digits with a sign, as Python's `%x` writes them. This form has no size limit and takes
    /// linear time.
    Int(String),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Data>),
    Tuple(Vec<Data>),
    Set(Vec<Data>),
    Dict(Vec<(Data, Data)>),
    /// A value of another type of Python's library: the type's name, and the arguments that make the value.
    Made(String, Vec<Data>),
}

/// Bytes from the sandbox that do not encode a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the interpreter sent bytes that are not a plain value")]
pub(crate) struct DecodeError;

impl Data {
    /// Builds a string value.
    pub(crate) fn text(text: &str) -> Self {
        Data::Text(text.to_owned())
    }

    /// Builds an integer value.
    pub(crate) fn int(value: i128) -> Self {
        let sign = if value < 0 { "-" } else { "" };
        Data::Int(format!("{sign}{:x}", value.unsigned_abs()))
    }

    /// The value that Python's `json.loads` would return.
    pub(crate) fn from_json(value: &Value) -> Self {
        match value {
            Value::Null => Data::None,
            Value::Bool(flag) => Data::Bool(*flag),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Data::int(value.into()),
                (_, Some(value)) => Data::int(value.into()),
                _ => Data::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Data::text(text),
            Value::Array(items) => Data::List(items.iter().map(Data::from_json).collect()),
            Value::Object(entries) => {
                Data::Dict(entries.iter().map(|(k, v)| (Data::text(k), Data::from_json(v))).collect())
            }
        }
    }

    /// The name of the value's Python type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Data::None => "None",
            Data::Bool(_) => "bool",
            Data::Int(_) => "int",
            Data::Float(_) => "float",
            Data::Text(_) => "str",
            Data::Bytes(_) => "bytes",
            Data::List(_) => "list",
            Data::Tuple(_) => "tuple",
            Data::Set(_) => "set",
            Data::Dict(_) => "dict",
            // Not the name that was sent, because the program may have sent any text.
            Data::Made(..) => "object",
        }
    }

    /// Encodes the value for the driver inside the interpreter.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode_into(&mut bytes);
        bytes
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Data::None => out.push(b'N'),
            Data::Bool(true) => out.push(b'T'),
            Data::Bool(false) => out.push(b'F'),
            Data::Int(digits) => put_bytes(out, b'i', digits.as_bytes()),
            Data::Float(value) => {
                out.push(b'f');
                out.extend_from_slice(&value.to_le_bytes());
            }
            Data::Text(text) => put_bytes(out, b's', text.as_bytes()),
            Data::Bytes(bytes) => put_bytes(out, b'b', bytes),
            Data::List(items) => put_items(out, b'l', items),
            Data::Tuple(items) => put_items(out, b't', items),
            Data::Set(items) => put_items(out, b'e', items),
            Data::Dict(entries) => {
                put_length(out, b'd', entries.len());
                for (key, value) in entries {
                    key.encode_into(out);
                    value.encode_into(out);
                }
            }
            Data::Made(name, parts) => {
                put_bytes(out, b'o', name.as_bytes());
                put_items(out, b'l', parts);
            }
        }
    }

    /// Reads one value that uses all of `bytes`.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader { bytes };
        let value = reader.value(0)?;
        if reader.bytes.is_empty() { Ok(value) } else { Err(DecodeError) }
    }
}

fn put_length(out: &mut Vec<u8>, tag: u8, length: usize) {
    out.push(tag);
    // Values stay far below 4 GiB, because completions and specs are held in memory and limited.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    put_length(out, tag, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_items(out: &mut Vec<u8>, tag: u8, items: &[Data]) {
    put_length(out, tag, items.len());
    for item in items {
        item.encode_into(out);
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(DecodeError)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn length(&mut self) -> Result<usize, DecodeError> {
        let bytes = self.take(4)?.try_into().map_err(|_| DecodeError)?;
        Ok(u32::from_le_bytes(bytes) as usize)
    }

    fn sized(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.length()?;
        self.take(length)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Data>, DecodeError> {
        let count = self.length()?;
        if count > self.bytes.len() {
            return Err(DecodeError);
        }
        (0..count).map(|_| self.value(depth + 1)).collect()
    }

    fn value(&mut self, depth: usize) -> Result<Data, DecodeError> {
        if depth > MAX_DEPTH {
            return Err(DecodeError);
        }
        Ok(match self.take(1)?[0] {
            b'N' => Data::None,
            b'T' => Data::Bool(true),
            b'F' => Data::Bool(false),
            b'i' => Data::Int(integer(self.sized()?)?),
            b'f' => Data::Float(f64::from_le_bytes(self.take(8)?.try_into().map_err(|_| DecodeError)?)),
            b's' => Data::Text(String::from_utf8(self.sized()?.to_vec()).map_err(|_| DecodeError)?),
            b'b' => Data::Bytes(self.sized()?.to_vec()),
            b'l' => Data::List(self.items(depth)?),
            b't' => Data::Tuple(self.items(depth)?),
            b'e' => Data::Set(self.items(depth)?),
            b'd' => {
                let count = self.length()?;
                if count > self.bytes.len() {
                    return Err(DecodeError);
                }
                let entry = |_| Ok((self.value(depth + 1)?, self.value(depth + 1)?));
                Data::Dict((0..count).map(entry).collect::<Result<_, _>>()?)
            }
            b'o' => {
                let name = String::from_utf8(self.sized()?.to_vec()).map_err(|_| DecodeError)?;
                match self.value(depth + 1)? {
                    Data::List(parts) => Data::Made(name, parts),
                    _ => return Err(DecodeError),
                }
            }
            _ => return Err(DecodeError),
        })
    }
}

/// Accepts only canonical hexadecimal digits, because a forged `-0` or `007` would break a comparison of digits.
fn integer(bytes: &[u8]) -> Result<String, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError)?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        && (digits == "0" || !digits.starts_with('0'))
        && text != "-0";
    if canonical { Ok(text.to_owned()) } else { Err(DecodeError) }
}

/// When two values count as equal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison {
    /// The expected value came from JSON, so a tuple equals a list and the keys of a dictionary are strings.
    pub(crate) json: bool,
    /// Maximum difference where a float is expected, relative to the larger of 1 and the expected value.
    pub(crate) tolerance: f64,
}

impl Comparison {
    /// Whether `found` is the expected value. A boolean is not a number, and nan equals nothing.
    pub(crate) fn equal(&self, expected: &Data, found: &Data) -> bool {
        match (expected, found) {
            (Data::Float(expected), Data::Float(found)) => self.close(*expected, *found),
            // Beyond 2^53 the tolerance would accept other integers, and JSON holds large integers only as floats.
            (Data::Float(expected), Data::Int(digits)) if expected.abs() >= EXACT => {
                digits_to_float(digits) == *expected
            }
            (Data::Float(expected), Data::Int(digits)) => self.close(*expected, digits_to_float(digits)),
            (Data::Int(digits), Data::Float(found)) => float_to_digits(*found).as_ref() == Some(digits),
            (Data::List(left), Data::List(right)) | (Data::Tuple(left), Data::Tuple(right)) => {
                self.all_equal(left, right)
            }
            (Data::List(left), Data::Tuple(right)) | (Data::Tuple(left), Data::List(right)) if self.json => {
                self.all_equal(left, right)
            }
            (Data::Set(left), Data::Set(right)) => sorted_keys(left) == sorted_keys(right),
            (Data::Dict(left), Data::Dict(right)) => self.same_entries(left, right),
            (Data::Made(left, parts), Data::Made(right, others)) => {
                left == right && self.all_equal(parts, others)
            }
            (Data::None, Data::None) => true,
            (Data::Bool(left), Data::Bool(right)) => left == right,
            (Data::Int(left), Data::Int(right)) => left == right,
            (Data::Text(left), Data::Text(right)) => left == right,
            (Data::Bytes(left), Data::Bytes(right)) => left == right,
            _ => false,
        }
    }

    fn close(&self, expected: f64, found: f64) -> bool {
        // Written so that nan fails. The first part is for infinities: their difference is nan.
        expected == found || (expected - found).abs() <= self.tolerance * expected.abs().clamp(1.0, f64::MAX)
    }

    fn all_equal(&self, left: &[Data], right: &[Data]) -> bool {
        left.len() == right.len() && left.iter().zip(right).all(|(a, b)| self.equal(a, b))
    }

    fn same_entries(&self, expected: &[(Data, Data)], found: &[(Data, Data)]) -> bool {
        if expected.len() != found.len() {
            return false;
        }
        let keyed = |entries: &[(Data, Data)]| {
            let mut keys: Vec<(Vec<u8>, usize)> =
                entries.iter().enumerate().map(|(at, (key, _))| (self.key(key), at)).collect();
            keys.sort_unstable();
            keys
        };
        keyed(expected).iter().zip(&keyed(found)).all(|((left_key, left), (right_key, right))| {
            left_key == right_key && self.equal(&expected[*left].1, &found[*right].1)
        })
    }

    fn key(&self, key: &Data) -> Vec<u8> {
        match key {
            // `json.dumps` writes these keys as strings.
            Data::Int(digits) if self.json => match i128::from_str_radix(digits, 16) {
                Ok(value) => Data::Text(value.to_string()).encode(),
                Err(_) => key.encode(),
            },
            _ => canonical(key).encode(),
        }
    }
}

/// Turns an integral float into the integer it equals, also inside containers, because Python hashes both alike.
fn canonical(value: &Data) -> Data {
    match value {
        Data::Float(float) => float_to_digits(*float).map_or_else(|| value.clone(), Data::Int),
        Data::Tuple(items) => Data::Tuple(items.iter().map(canonical).collect()),
        Data::Set(items) => {
            let mut items: Vec<Data> = items.iter().map(canonical).collect();
            items.sort_by_cached_key(Data::encode);
            Data::Set(items)
        }
        _ => value.clone(),
    }
}

fn sorted_keys(items: &[Data]) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = items.iter().map(|item| canonical(item).encode()).collect();
    keys.sort_unstable();
    keys
}

/// The hexadecimal digits of an integral float.
fn float_to_digits(value: f64) -> Option<String> {
    if !value.is_finite() || value.fract() != 0.0 {
        return None;
    }
    let bits = value.abs().to_bits();
    let exponent = i32::try_from(bits >> 52).unwrap_or(0) - 1075;
    let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
    let digits = match exponent {
        // An integral float below 2^53 fits into the cast exactly.
        ..=0 => format!("{:x}", value.abs() as u64),
        shift => {
            let zeros = usize::try_from(shift / 4).unwrap_or(0);
            format!("{:x}{}", u128::from(mantissa) << (shift % 4), "0".repeat(zeros))
        }
    };
    Some(if value < 0.0 { format!("-{digits}") } else { digits })
}

/// The float nearest to an integer, or nan if the integer is too large for any float.
fn digits_to_float(digits: &str) -> f64 {
    let float = BigInt::parse_bytes(digits.as_bytes(), 16).and_then(|integer| integer.to_f64());
    float.filter(|float| float.is_finite()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const JSON: Comparison = Comparison { json: true, tolerance: 1e-9 };
    const PYTHON: Comparison = Comparison { json: false, tolerance: 1e-9 };

    fn from(value: Value) -> Data {
        Data::from_json(&value)
    }

    #[test]
    fn types_are_exact() {
        assert!(!JSON.equal(&from(json!(1)), &Data::Bool(true)));
        assert!(!JSON.equal(&from(json!(true)), &Data::int(1)));
        assert!(!JSON.equal(&from(json!(null)), &Data::int(0)));
        assert!(!JSON.equal(&from(json!("1")), &Data::int(1)));
        assert!(JSON.equal(&from(json!(2)), &Data::Float(2.0)));
        assert!(JSON.equal(&from(json!(2.0)), &Data::int(2)));
        assert!(!JSON.equal(&from(json!(1_000_000_000_001_i64)), &Data::Float(1e12)));
        let hexadecimal = |digits: &str| BigInt::parse_bytes(digits.as_bytes(), 10).unwrap().to_str_radix(16);
        let expected = serde_json::from_str("265252859812191058636308480000000").unwrap();
        let right = Data::Int(hexadecimal("265252859812191058636308480000000"));
        assert!(JSON.equal(&from(expected), &right));
        let expected = serde_json::from_str("265252859812191058636308480000000").unwrap();
        assert!(!JSON.equal(&from(expected), &Data::Int(hexadecimal("265252859812191000000000000000000"))));
        assert!(!JSON.equal(&Data::Float(f64::INFINITY), &Data::Int("f".repeat(1000))));
        let pair = Data::Tuple(vec![Data::int(1), Data::int(2)]);
        assert!(JSON.equal(&from(json!([1, 2])), &pair));
        assert!(!PYTHON.equal(&from(json!([1, 2])), &pair));
    }

    #[test]
    fn floats_have_a_tolerance_that_nan_fails() {
        assert!(JSON.equal(&Data::Float(0.3), &Data::Float(0.1 + 0.2)));
        assert!(!JSON.equal(&Data::Float(0.3), &Data::Float(0.301)));
        assert!(!JSON.equal(&Data::Float(f64::NAN), &Data::Float(f64::NAN)));
        assert!(!JSON.equal(&Data::Float(1.0), &Data::Float(f64::NAN)));
        assert!(!JSON.equal(&Data::Float(1.0), &Data::Float(f64::INFINITY)));
        assert!(!JSON.equal(&Data::Float(f64::INFINITY), &Data::Float(1.0)));
        assert!(!JSON.equal(&Data::int(1), &Data::Float(f64::NAN)));
        assert!(JSON.equal(&Data::Float(f64::INFINITY), &Data::Float(f64::INFINITY)));
    }

    #[test]
    fn dictionaries_and_sets_have_no_order() {
        let found = Data::Dict(vec![(Data::int(2), Data::int(20)), (Data::int(1), Data::int(10))]);
        assert!(JSON.equal(&from(json!({"1": 10, "2": 20})), &found));
        assert!(!PYTHON.equal(&from(json!({"1": 10, "2": 20})), &found));
        assert!(!JSON.equal(&from(json!({"1": 10, "2": 21})), &found));
        let set = |items: &[i128]| Data::Set(items.iter().map(|i| Data::int(*i)).collect());
        assert!(PYTHON.equal(&set(&[1, 2]), &set(&[2, 1])));
        assert!(!PYTHON.equal(&set(&[1, 2]), &set(&[2, 2])));
    }

    #[test]
    fn forged_bytes_are_refused() {
        for bad in [
            &b""[..],
            b"x",
            b"i\x02\0\0\0-0",
            b"i\x03\0\0\x00007",
            b"l\xff\xff\xff\xff",
            b"NN",
            b"f\0",
            b"s\x01\0\0\0\xff",
        ] {
            assert_eq!(Data::decode(bad), Err(DecodeError), "{bad:?}");
        }
        let deep = b"l\x01\0\0\0".repeat(MAX_DEPTH + 2);
        assert_eq!(Data::decode(&deep), Err(DecodeError));
    }

    proptest! {
        #[test]
        fn integral_floats_and_integers_agree(value in any::<i64>()) {
            let float = value as f64;
            prop_assert_eq!(float_to_digits(float), Some(match Data::int(float as i128) { Data::Int(d) => d, _ => String::new() }));
        }

        #[test]
        fn values_survive_the_wire(number in any::<i64>(), text in ".*", float in any::<f64>()) {
            let value = Data::Dict(vec![
                (Data::text(&text), Data::Tuple(vec![Data::int(number.into()), Data::None, Data::Bool(true)])),
                (Data::int(1), Data::Set(vec![Data::Bytes(text.clone().into_bytes())])),
                (Data::None, Data::Made(text, vec![Data::Float(1.0)])),
            ]);
            prop_assert_eq!(Data::decode(&value.encode()), Ok(value));
            let Ok(Data::Float(back)) = Data::decode(&Data::Float(float).encode()) else { panic!() };
            prop_assert_eq!(back.to_bits(), float.to_bits());
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Data::decode(&bytes);
        }
    }
}
