//! A file of pre-issued activations: CSV with a header, or a JSON array of objects.
//!
//! Each row is used once; the ledger remembers which card took which, by id. A row is free again when its card failed
//! before its first MiB was written: no Pi can boot such a card, so nobody can have registered with the row.

use std::collections::HashSet;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Activation, ActivationCode, ActivationError};
use crate::ledger::{FileRow, now};
use crate::read_limited::{has_few_values, read_limited_into};
use crate::recipe::{is_host_name, is_region};

/// Larger than any real file: some 100,000 rows. Nothing beyond it is read.
const MOST_BYTES: u64 = 16 << 20;

/// As many as 100,000 rows have. Without a bound, 16 MiB of JSON could take 600 MiB of memory.
const MOST_VALUES: usize = 2_000_000;

const COLUMNS: [&str; 5] = ["activation_id", "activation_code", "region", "name", "expires"];

/// A file of pre-issued activations, read and checked.
pub struct ActivationFile {
    path: PathBuf,
    rows: Vec<(FileRow, ActivationCode)>,
    warnings: Vec<String>,
}

impl ActivationFile {
    /// Reads and checks all of the file.
    ///
    /// # Errors
    /// The file cannot be read, or a row is wrong. The message names the row and never repeats what stands in it: a
    /// code may stand in the wrong column.
    pub fn open(path: &Path) -> Result<ActivationFile, ActivationError> {
        let read = |source| ActivationError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(read)?;
        let metadata = file.metadata().map_err(read)?;
        let mut bytes = Zeroizing::new(Vec::new());
        read_limited_into(file, MOST_BYTES, &mut bytes).map_err(|error| match error.kind() {
            ErrorKind::FileTooLarge => read(std::io::Error::other(format!("{error}: not a list of activations"))),
            _ => read(error),
        })?;
        let mut warnings = Vec::new();
        // A pipe, which keeps codes off the disk, has no mode that means anything.
        if metadata.is_file() && metadata.permissions().mode() & 0o044 != 0 {
            warnings.push(format!("{0} can be read by other users: chmod 600 {0}", path.display()));
        }

        let mut parser = Parser { path, rows: Vec::new(), ids: HashSet::new() };
        // Spreadsheets put a mark before UTF-8, which would become part of the first column's name.
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'[' | b'{') => parser.json(text)?,
            _ => parser.csv(text)?,
        }
        let rows = parser.rows;
        let expired = rows.iter().filter(|(row, _)| has_expired(row)).count();
        if expired > 0 {
            warnings.push(format!("{expired} of the {} rows of {} have expired", rows.len(), path.display()));
        }
        Ok(ActivationFile { path: path.to_owned(), rows, warnings })
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a person should know of the file.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Every row, without its code.
    pub fn rows(&self) -> impl Iterator<Item = &FileRow> {
        self.rows.iter().map(|(row, _)| row)
    }

    /// How many rows have expired.
    pub fn expired(&self) -> usize {
        self.rows().filter(|row| has_expired(row)).count()
    }

    /// The rows that a card of this name may have, best first: its own, then those of nobody.
    pub fn candidates(&self, name: &str) -> Vec<&FileRow> {
        let usable = || self.rows().filter(|row| !has_expired(row));
        let own = usable().filter(|row| row.name.as_deref() == Some(name));
        own.chain(usable().filter(|row| row.name.is_none())).collect()
    }

    /// The activation of a row that the ledger gave to a card.
    pub fn activation(&self, id: &str) -> Option<Activation> {
        let (row, code) = self.rows.iter().find(|(row, _)| row.id == id)?;
        Some(Activation {
            id: row.id.clone(),
            code: ActivationCode::new(code.expose().to_owned()),
            region: row.region.clone(),
            expires: row.expires,
        })
    }
}

fn has_expired(row: &FileRow) -> bool {
    row.expires.is_some_and(|expires| expires <= now())
}

struct Parser<'p> {
    path: &'p Path,
    rows: Vec<(FileRow, ActivationCode)>,
    ids: HashSet<String>,
}

/// The cells of one row, in the order of [`COLUMNS`].
type Cells<'c> = [Option<&'c str>; 5];

impl Parser<'_> {
    fn wrong(&self, place: &str, what: impl Into<String>) -> ActivationError {
        ActivationError::Row { path: self.path.to_owned(), place: place.to_owned(), what: what.into() }
    }

    fn csv(&mut self, text: &[u8]) -> Result<(), ActivationError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
        let header = reader.headers().map_err(|_| self.wrong("line 1", "the header is not text"))?.clone();
        let expected = "the first line must be the header activation_id,activation_code,region (name and expires may \
            follow)";
        let mut columns = Vec::new();
        for (index, cell) in header.iter().enumerate() {
            // The cell is not repeated: a file without a header has a code there.
            let known = COLUMNS.iter().position(|column| *column == cell);
            let known = known.ok_or_else(|| self.wrong("line 1", format!("column {}: {expected}", index + 1)))?;
            if columns.contains(&known) {
                return Err(self.wrong("line 1", format!("column {} is there twice", index + 1)));
            }
            columns.push(known);
        }
        // The first three of `COLUMNS` are what the agent registers with.
        if (0..3).any(|required| !columns.contains(&required)) {
            return Err(self.wrong("line 1", expected));
        }
        let mut record = csv::StringRecord::new();
        loop {
            let line = reader.position().line();
            // The csv crate's own message could repeat a cell.
            let more = reader.read_record(&mut record).map_err(|error| {
                let line = error.position().map_or(line, csv::Position::line);
                let what = match error.kind() {
                    csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                        format!("{len} cells where the header has {expected_len}")
                    }
                    csv::ErrorKind::Utf8 { .. } => "not UTF-8".to_owned(),
                    _ => "not CSV".to_owned(),
                };
                self.wrong(&format!("line {line}"), what)
            })?;
            if !more {
                return Ok(());
            }
            let line = record.position().map_or(line, csv::Position::line);
            let mut cells: Cells<'_> = [None; 5];
            for (column, cell) in columns.iter().zip(&record) {
                if let Some(place) = cells.get_mut(*column) {
                    *place = Some(cell).filter(|cell| !cell.is_empty());
                }
            }
            self.row(&format!("line {line}"), cells)?;
        }
    }

    fn json(&mut self, text: &[u8]) -> Result<(), ActivationError> {
        if !has_few_values(text, MOST_VALUES) {
            return Err(self.wrong("the top", "more values than any list of activations has"));
        }
        let entries: serde_json::Value = serde_json::from_slice(text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            self.wrong(&place, "not JSON")
        })?;
        let expected = "expected an array of objects with activation_id, activation_code and region";
        let entries = entries.as_array().ok_or_else(|| self.wrong("the top", expected))?;
        for (index, entry) in entries.iter().enumerate() {
            let place = format!("entry {}", index + 1);
            let entry = entry.as_object().ok_or_else(|| self.wrong(&place, expected))?;
            let mut cells: Cells<'_> = [None; 5];
            // The AWS command line writes this one as a number, with a fraction.
            let number = entry.get("expires").and_then(serde_json::Value::as_number).map(ToString::to_string);
            for (key, value) in entry {
                let column = COLUMNS.iter().position(|column| column == key);
                let cell = column.and_then(|column| cells.get_mut(column));
                let cell = cell.ok_or_else(|| {
                    self.wrong(&place, "a key that is none of activation_id, activation_code, region, name, expires")
                })?;
                *cell = match value {
                    serde_json::Value::Null => None,
                    serde_json::Value::String(text) => Some(text.as_str()),
                    serde_json::Value::Number(_) if key == "expires" => number.as_deref(),
                    _ => return Err(self.wrong(&place, format!("{key} must be text"))),
                };
            }
            self.row(&place, cells)?;
        }
        Ok(())
    }

    fn row(&mut self, place: &str, cells: Cells<'_>) -> Result<(), ActivationError> {
        let [id, code, region, name, expires] = cells;
        let id = id.ok_or_else(|| self.wrong(place, "activation_id is missing"))?;
        let code = code.ok_or_else(|| self.wrong(place, "activation_code is missing"))?;
        let region = region.ok_or_else(|| self.wrong(place, "region is missing"))?;
        // No cell is quoted from here on: with two columns swapped it would be the code.
        if !is_uuid(id) {
            return Err(self.wrong(place, "activation_id is not a UUID (8-4-4-4-12 hexadecimal digits)"));
        }
        if !is_code(code) {
            return Err(self.wrong(place, "activation_code must be 20 to 250 printable ASCII characters, no spaces"));
        }
        if !is_region(region) {
            return Err(self.wrong(place, "region is not the name of an AWS region, such as eu-west-1"));
        }
        if name.is_some_and(|name| is_host_name(name).is_err()) {
            return Err(self.wrong(place, "name is not a host name (a-z, 0-9 and hyphens, 63 at most)"));
        }
        let expires = match expires {
            Some(text) => Some(seconds_of(text).ok_or_else(|| {
                self.wrong(place, "expires is not a time such as 2026-12-31T12:00:00Z, nor seconds since 1970")
            })?),
            None => None,
        };
        // One id in two spellings would count as two rows, and two cards would share an activation.
        let id = id.to_ascii_lowercase();
        if !self.ids.insert(id.clone()) {
            return Err(self.wrong(place, format!("activation {id} is in the file twice")));
        }
        let row = FileRow { id, region: region.to_owned(), name: name.map(str::to_owned), expires };
        self.rows.push((row, ActivationCode::new(code.to_owned())));
        Ok(())
    }
}

/// Whether `text` can be an activation's code: 20 to 250 characters (botocore, ssm 2014-11-06). AWS documents no
/// alphabet; `/` and `+` occur.
pub(super) fn is_code(text: &str) -> bool {
    (20..=250).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether `text` has the form of an activation's id.
pub(super) fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A time as the AWS command line and people write it, in seconds since 1970. Without a zone it is UTC.
fn seconds_of(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        // AWS writes fractions of a second; whole ones are exact in an f64 far beyond the year 9999.
        return (0.0..253_402_300_800.0).contains(&seconds).then_some(seconds as i64);
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_second());
    }
    let time = text.parse::<jiff::civil::DateTime>().ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_the_way_aws_and_people_write_them() {
        assert_eq!(seconds_of("1796083200"), Some(1_796_083_200));
        assert_eq!(seconds_of("1796083200.123"), Some(1_796_083_200));
        assert_eq!(seconds_of("2026-12-01T00:00:00Z"), Some(1_796_083_200));
        assert_eq!(seconds_of("2026-12-01T09:00:00+09:00"), Some(1_796_083_200));
        assert_eq!(seconds_of("2026-12-01T00:00:00"), Some(1_796_083_200));
        assert_eq!(seconds_of("2026-12-01"), Some(1_796_083_200));
        for bad in ["", "soon", "nan", "inf", "-1", "1e99"] {
            assert_eq!(seconds_of(bad), None, "{bad}");
        }
    }
}
