//! Parquet tables: reads each row as the JSON line with the same content, one row group after the other.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::basic::{ConvertedType, Type as Physical};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};
use serde_json::{Map, Value};

use crate::reader::{Source, Unit};

/// The rows of a table.
pub(crate) struct Rows(RowIter<'static>);

impl Rows {
    /// # Errors
    /// When the file is not a Parquet table, or has a column that cannot be read.
    pub(crate) fn open(file: File) -> io::Result<Self> {
        let reader = guarded(|| SerializedFileReader::new(file))?;
        if let Some(column) = unreadable(reader.metadata().file_metadata().schema_descr()) {
            let message = format!(
                "column `{}` has the type {}, which cannot be read: remove the column",
                column.path(),
                column.converted_type()
            );
            return Err(io::Error::other(message));
        }
        Ok(Self(guarded(|| Ok(RowIter::from_file_into(Box::new(reader))))?))
    }
}

/// Runs a read of the `parquet` crate, which panics on some damaged tables. After a panic, nothing it touched is used
/// again.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(read))
        .map_err(|_| io::Error::other("the table is damaged"))?
        .map_err(io::Error::other)
}

impl Source for Rows {
    fn unit(&self) -> Unit {
        Unit::Row
    }

    fn next(&mut self) -> io::Result<Option<Result<String, String>>> {
        let row = guarded(|| self.0.next().transpose())?;
        Ok(row.map(|row| object(&row).map(|object| Value::Object(object).to_string())))
    }
}

/// The first column of a type that the `parquet` crate cannot convert. Reading it would panic.
fn unreadable(schema: &SchemaDescriptor) -> Option<&ColumnDescPtr> {
    schema.columns().iter().find(|column| match (column.physical_type(), column.converted_type()) {
        (_, ConvertedType::NONE | ConvertedType::DECIMAL) => false,
        (Physical::BYTE_ARRAY, kind) => !matches!(
            kind,
            ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON | ConvertedType::BSON
        ),
        (Physical::FIXED_LEN_BYTE_ARRAY, _) => true,
        _ => false,
    })
}

/// A row as an object, or why that is not possible.
fn object(row: &Row) -> Result<Map<String, Value>, String> {
    row.get_column_iter().map(|(name, field)| Ok((name.clone(), value(name, field)?))).collect()
}

/// The value in column `name`.
fn value(name: &str, field: &Field) -> Result<Value, String> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(truth) => (*truth).into(),
        Field::Byte(number) => (*number).into(),
        Field::Short(number) => (*number).into(),
        Field::Int(number) => (*number).into(),
        Field::Long(number) => (*number).into(),
        Field::UByte(number) => (*number).into(),
        Field::UShort(number) => (*number).into(),
        Field::UInt(number) => (*number).into(),
        Field::ULong(number) => (*number).into(),
        // Numbers that JSON does not have become null.
        Field::Float16(number) => f64::from(*number).into(),
        Field::Float(number) => (*number).into(),
        Field::Double(number) => (*number).into(),
        Field::Str(text) => text.as_str().into(),
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data())
            .map_err(|error| {
                format!("`{name}` is not UTF-8: byte {} is out of place", error.valid_up_to() + 1)
            })?
            .into(),
        Field::Decimal(_)
        | Field::Date(_)
        | Field::TimeMillis(_)
        | Field::TimeMicros(_)
        | Field::TimestampMillis(_)
        | Field::TimestampMicros(_) => field.to_string().into(),
        Field::Group(row) => object(row)?.into(),
        Field::ListInternal(list) => {
            list.elements().iter().map(|element| value(name, element)).collect::<Result<Vec<_>, _>>()?.into()
        }
        Field::MapInternal(map) => {
            let entry = |(key, entry): &(Field, Field)| match value(name, key)? {
                Value::String(key) => Ok((key, value(name, entry)?)),
                other => Err(format!("`{name}` has the key {other}, which is not text")),
            };
            map.entries().iter().map(entry).collect::<Result<Map<_, _>, _>>()?.into()
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::basic::{Compression, GzipLevel, ZstdLevel};
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use tempfile::NamedTempFile;

    use super::*;
    use crate::file::FileTasks;
    use crate::reader::{Counts, ReadError, Reader};
    use crate::record::Record;

    /// A column of one row group. Its levels say which values are null and where a list begins.
    #[derive(Clone)]
    enum Column {
        Texts(Vec<Vec<u8>>, Vec<i16>, Vec<i16>),
        Wholes(Vec<i64>, Vec<i16>),
        Decimals(Vec<f64>, Vec<i16>),
    }

    /// A column of texts in lists, or of single texts if `lists` is empty.
    fn listed(texts: &[&[u8]], nulls: &[i16], lists: &[i16]) -> Column {
        Column::Texts(texts.iter().map(|text| text.to_vec()).collect(), nulls.to_vec(), lists.to_vec())
    }

    /// An optional column of texts.
    fn texts(texts: &[Option<&str>]) -> Column {
        let nulls: Vec<i16> = texts.iter().map(|text| i16::from(text.is_some())).collect();
        let texts: Vec<&[u8]> = texts.iter().flatten().map(|text| text.as_bytes()).collect();
        listed(&texts, &nulls, &[])
    }

    /// A required column of texts.
    fn required(texts: &[&str]) -> Column {
        let bytes: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        listed(&bytes, &vec![0; texts.len()], &[])
    }

    /// A table with these row groups.
    fn table(schema: &str, compression: Compression, groups: Vec<Vec<Column>>) -> NamedTempFile {
        let file = tempfile::Builder::new().suffix(".parquet").tempfile().unwrap();
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
        let mut writer = SerializedFileWriter::new(file.reopen().unwrap(), schema, properties).unwrap();
        for columns in groups {
            let mut group = writer.next_row_group().unwrap();
            for column in columns {
                let mut next = group.next_column().unwrap().unwrap();
                match column {
                    Column::Texts(texts, nulls, lists) => {
                        let texts: Vec<ByteArray> = texts.into_iter().map(ByteArray::from).collect();
                        let lists = (!lists.is_empty()).then_some(lists.as_slice());
                        next.typed::<ByteArrayType>().write_batch(&texts, Some(&nulls), lists)
                    }
                    Column::Wholes(numbers, nulls) => {
                        next.typed::<Int64Type>().write_batch(&numbers, Some(&nulls), None)
                    }
                    Column::Decimals(numbers, nulls) => {
                        next.typed::<DoubleType>().write_batch(&numbers, Some(&nulls), None)
                    }
                }
                .unwrap();
                next.close().unwrap();
            }
            group.close().unwrap();
        }
        writer.close().unwrap();
        file
    }

    fn read(table: &NamedTempFile) -> (Vec<Record>, Vec<String>, Counts) {
        let mut reader = Reader::open(table.path()).unwrap();
        let (mut records, mut faults) = (Vec::new(), Vec::new());
        for row in reader.by_ref() {
            match row {
                Ok(record) => records.push(record),
                Err(fault) => faults.push(fault.to_string()),
            }
        }
        (records, faults, reader.counts())
    }

    const OWN: &str = "message own {
        optional binary prompt (UTF8); optional binary answer (UTF8); optional int64 level; optional double weight;
    }";

    #[test]
    fn rows_at_fault_are_named_and_the_rest_goes_on_over_all_row_groups() {
        let first = vec![
            texts(&[Some("1+1="), Some(""), Some(" "), Some("2+2=")]),
            texts(&[Some("2"), Some("0"), Some("0"), Some("4")]),
            Column::Wholes(vec![3, 3, -3], vec![1, 0, 1, 1]),
            Column::Decimals(vec![f64::NAN; 4], vec![1; 4]),
        ];
        let second = vec![
            texts(&[None, Some("3+3=")]),
            texts(&[Some("0"), None]),
            Column::Wholes(Vec::new(), vec![0, 0]),
            Column::Decimals(Vec::new(), vec![0, 0]),
        ];
        let zstandard = Compression::ZSTD(ZstdLevel::default());
        let gzip = Compression::GZIP(GzipLevel::default());
        for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, zstandard, gzip] {
            let groups = vec![first.clone(), second.clone()];
            let table = table(OWN, compression, groups);
            let (records, faults, counts) = read(&table);
            let prompts: Vec<&str> = records.iter().map(|record| record.prompt.as_str()).collect();
            assert_eq!(prompts, ["1+1=", "3+3="], "{faults:?}");
            assert_eq!((records[0].level, records[1].level), (Some(3), None));
            assert_eq!((records[0].answer.as_deref(), records[1].answer.as_deref()), (Some("2"), None));
            assert_eq!(counts, Counts { good: 2, bad: 4, blank: 0 });
            let name = table.path().display();
            for (fault, told) in faults.iter().zip([
                "row 2: `prompt` is empty",
                "row 3: `prompt` is empty",
                "row 4: `level` is not a whole number from 0 up",
                "row 5: has none of `prompt`",
            ]) {
                assert!(fault.starts_with(&format!("{name}, {told}")), "{fault}");
            }
        }
    }

    #[test]
    fn every_form_is_read() {
        // A writer need not declare that bytes are text.
        let gsm8k = "message g { required binary question; required binary answer (STRING); }";
        let file = table(
            gsm8k,
            Compression::SNAPPY,
            vec![vec![required(&["Two and two?"]), required(&["2+2=4\n#### 4"])]],
        );
        let record = read(&file).0.remove(0);
        assert_eq!((record.prompt.as_str(), record.answer.as_deref()), ("Two and two?", Some("4")));

        let math = "message m { required binary problem (UTF8); required binary level (UTF8); required binary solution (UTF8); }";
        let row = vec![
            required(&["Half of 1?"]),
            required(&["Level 2"]),
            required(&["It is $\\boxed{\\frac12}$."]),
        ];
        let record = read(&table(math, Compression::SNAPPY, vec![row])).0.remove(0);
        assert_eq!((record.level, record.answer.as_deref()), (Some(2), Some("\\frac12")));

        // A list of objects, in the form that Hugging Face and pandas write.
        let conversation = "message c {
            optional group messages (LIST) { repeated group list { optional group element {
                optional binary content (UTF8); optional binary role (UTF8);
            } } }
            optional binary answer (UTF8);
        }";
        let (nulls, lists) = ([4, 4, 4, 1, 0, 4], [0, 1, 1, 0, 0, 0]);
        let contents = listed(&[b"S", b"A", b"B", b"Q"], &nulls, &lists);
        let roles = listed(&[b"system", b"user", b"assistant", b"user"], &nulls, &lists);
        let answers = texts(&[Some("b"), None, None, Some("q")]);
        let file = table(conversation, Compression::SNAPPY, vec![vec![contents, roles, answers]]);
        let (records, faults, _) = read(&file);
        assert_eq!(
            (records[0].whole_prompt().as_str(), records[0].completion.as_deref()),
            ("S\n\nA", Some("B"))
        );
        assert_eq!((records[1].prompt.as_str(), records[1].answer.as_deref()), ("Q", Some("q")));
        assert!(faults[0].contains("row 2: `messages` has no user's turn"), "{faults:?}");
        assert!(faults[1].contains("row 3: has none of"), "{faults:?}");
    }

    #[test]
    fn invalid_bytes_are_reported() {
        let read = |kind: &str| {
            let columns = vec![listed(&[b"a", b"\xff\xfe", b"c"], &[0, 0, 0], &[])];
            let schema = format!("message q {{ required binary prompt {kind}; }}");
            let file = table(&schema, Compression::SNAPPY, vec![columns]);
            let (records, faults, _) = read(&file);
            (records.len(), faults.join("\n"))
        };
        let (count, told) = read("");
        assert!(count == 2 && told.contains("row 2: `prompt` is not UTF-8: byte 1"), "{told}");
        // If the table declares its bytes as text, they can be read only as text, so the reading ends.
        let (count, told) = read("(UTF8)");
        assert!(count == 1 && told.contains("row 2: cannot read"), "{told}");
    }

    #[test]
    fn a_table_is_read_like_lines() {
        let schema = "message q { required binary prompt (UTF8); required binary spec (UTF8); optional double answer; }";
        let count = 64;
        let prompts: Vec<String> = (0..count).map(|n| format!("{n}+1=")).collect();
        let prompts = required(&prompts.iter().map(String::as_str).collect::<Vec<_>>());
        let specs = required(&vec![r#"{"some": [1]}"#; count]);
        let answers = Column::Decimals((0..count).map(|n| n as f64 + 1.0).collect(), vec![1; count]);
        let file = table(schema, Compression::SNAPPY, vec![vec![prompts, specs, answers]]);
        let verifier = (thinkling_verifiers::find("math").unwrap().build)(&Value::Null).unwrap();
        let (_, report) = FileTasks::read(Reader::open(file.path()).unwrap(), verifier).unwrap();
        assert_eq!((report.counts.good, report.unit), (64, Unit::Row), "{:?}", report.complaints);
        assert!(report.train > report.test && report.test > 0);
    }

    #[test]
    fn an_invalid_or_damaged_file_is_reported() {
        let row = |text: &'static str| vec![texts(&[Some(text)])];
        let schema = "message p { optional binary prompt (UTF8); }";
        let good = table(schema, Compression::SNAPPY, vec![row("a"), row("b")]);
        let bytes = std::fs::read(good.path()).unwrap();
        let damaged = tempfile::Builder::new().suffix(".parquet").tempfile().unwrap();
        for length in [0, 4, 12, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(damaged.path(), &bytes[..length]).unwrap();
            let told = Reader::open(damaged.path()).err().unwrap();
            assert!(matches!(told, ReadError::Open { .. }), "{told}");
        }
        // A page of the second row group is overwritten: the first group is read, then the reading ends.
        let metadata = SerializedFileReader::new(good.reopen().unwrap()).unwrap();
        let column = metadata.metadata().row_group(1).column(0).clone();
        let page = column.dictionary_page_offset().unwrap_or(column.data_page_offset()) as usize;
        let mut changed = bytes;
        changed[page..page + 8].fill(0xff);
        std::fs::write(damaged.path(), &changed).unwrap();
        let mut reader = Reader::open(damaged.path()).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().prompt, "a");
        let told = reader.next().unwrap().unwrap_err();
        assert!(matches!(told, ReadError::Read { number: 2, .. }), "{told}");
        assert!(reader.next().is_none());
    }

    #[test]
    fn no_damaged_byte_of_a_table_ends_the_program() {
        let schema = "message p { required binary prompt (UTF8); required int64 answer; }";
        let columns =
            || vec![required(&["What is 1 + 1?", "And 2 + 2?"]), Column::Wholes(vec![2, 4], vec![0, 0])];
        let good = table(schema, Compression::SNAPPY, vec![columns(), columns()]);
        let bytes = std::fs::read(good.path()).unwrap();
        let damaged = tempfile::Builder::new().suffix(".parquet").tempfile().unwrap();
        let (mut whole, mut refused) = (0, 0);
        for at in 0..bytes.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                std::fs::write(damaged.path(), &changed).unwrap();
                let is_read = Reader::open(damaged.path())
                    .is_ok_and(|mut reader| !reader.any(|read| matches!(read, Err(ReadError::Read { .. }))));
                *(if is_read { &mut whole } else { &mut refused }) += 1;
            }
        }
        assert!(whole > 0 && refused > bytes.len(), "{whole} read, {refused} refused");
    }
}
