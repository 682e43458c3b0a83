//! Rows of files of pre-issued activations: which are known, which are taken. Ids only, never a code.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::error::LedgerError;
use super::state::{ActivationState, CardKey};
use super::store::{Ledger, event, now};

/// A row of a file of pre-issued activations, without its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// The activation's id, in lower case.
    pub id: String,
    /// The AWS region.
    pub region: String,
    /// The card that it belongs to, if the file says so.
    pub name: Option<String>,
    /// When it stops being usable, in seconds since 1970.
    pub expires: Option<i64>,
}

/// What the ledger knows of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileRowRecord {
    /// The activation's id.
    #[serde(rename = "activation_id")]
    pub id: String,
    /// The file that it was read from.
    pub file: String,
    /// The AWS region.
    pub region: String,
    /// The card that it belongs to, if the file says so.
    pub name: Option<String>,
    /// When it stops being usable, in seconds since 1970.
    pub expires: Option<i64>,
    /// `None`: free.
    pub state: Option<ActivationState>,
    /// The card that has it or had it last.
    pub card: Option<String>,
}

/// What stands in the way of using a row; `None`: free.
fn taken(db: &Connection, id: &str) -> rusqlite::Result<Option<ActivationState>> {
    // The last one counts: an id may have been given back and taken again.
    let select = "SELECT state FROM activations
        WHERE activation_id = ?1 AND state NOT IN ('returned', 'none') ORDER BY id DESC LIMIT 1";
    db.query_row(select, [id], |row| row.get(0)).optional()
}

impl Ledger {
    /// Those of `ids` that no card has or may have, in the same order.
    pub fn free_rows(&self, ids: &[String]) -> Result<Vec<String>, LedgerError> {
        self.read("find free rows", |db| {
            let mut free = Vec::new();
            for id in ids {
                if taken(db, id)?.is_none() {
                    free.push(id.clone());
                }
            }
            Ok(free)
        })
    }

    /// Takes the first of `rows` that is free, for one card. `None` where none is.
    pub fn take_row<'r>(&self, card: CardKey, rows: &[&'r FileRow]) -> Result<Option<&'r FileRow>, LedgerError> {
        self.write("take row", |change| {
            for row in rows {
                // Asked again here, under the write lock: another run may have taken it since it was counted as free.
                if taken(change, &row.id)?.is_some() {
                    continue;
                }
                let insert = "INSERT INTO activations
                    (card, source, activation_id, region, description, expires, state, began, changed)
                    VALUES (?1, 'file', ?2, ?3, '', ?4, 'issued', ?5, ?5)";
                change.execute(insert, params![card.0, row.id, row.region, row.expires, now()])?;
                event(change, Some(card), "row taken", &row.id)?;
                return Ok(Some(*row));
            }
            Ok(None)
        })
    }

    /// Remembers the rows of a file, so that they can be listed without it. Returns how many were new.
    pub fn import_rows(&self, file: &str, rows: &[&FileRow]) -> Result<usize, LedgerError> {
        self.write("import rows", |change| {
            let mut new = 0;
            for row in rows {
                // OR IGNORE: the same file may be read again, and what is known stays as it was.
                let insert = "INSERT OR IGNORE INTO file_rows (activation_id, file, region, name, expires, imported)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
                new += change.execute(insert, params![row.id, file, row.region, row.name, row.expires, now()])?;
            }
            event(change, None, "rows imported", file)?;
            Ok(new)
        })
    }

    /// Makes a row free again whose card may boot, on a person's word that the card is gone or was erased.
    pub fn release_row(&self, id: &str) -> Result<(), LedgerError> {
        self.write("release row", |change| {
            let update = "UPDATE activations SET state = 'returned', changed = ?2
                WHERE activation_id = ?1 AND source = 'file' AND state = 'uncertain'";
            // Only what is in doubt: a row that a card holds stays with it, whoever says what.
            if change.execute(update, params![id, now()])? == 0 {
                return Err(LedgerError::Unknown { what: format!("uncertain row with activation id {id}") }.into());
            }
            event(change, None, "row released by hand", id)?;
            Ok(())
        })
    }

    /// Every imported row, by file.
    pub fn file_rows(&self) -> Result<Vec<FileRowRecord>, LedgerError> {
        self.read("list rows", |db| {
            let select = "SELECT activation_id, file, region, name, expires FROM file_rows ORDER BY file, rowid";
            let mut rows = db
                .prepare(select)?
                .query_map([], |row| {
                    Ok(FileRowRecord {
                        id: row.get(0)?,
                        file: row.get(1)?,
                        region: row.get(2)?,
                        name: row.get(3)?,
                        expires: row.get(4)?,
                        state: None,
                        card: None,
                    })
                })?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            for row in &mut rows {
                let select = "SELECT c.name FROM activations a JOIN cards c ON c.id = a.card
                    WHERE a.activation_id = ?1 AND a.state NOT IN ('returned', 'none') ORDER BY a.id DESC LIMIT 1";
                // By `taken`, so that this list and `take_row` agree on what is free.
                row.state = taken(db, &row.id)?;
                row.card = db.query_row(select, [&row.id], |found| found.get(0)).optional()?;
            }
            Ok(rows)
        })
    }
}
