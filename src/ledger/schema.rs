//! The tables, and how an older ledger becomes a newer one.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::LedgerError;

/// "card" in ASCII: marks an SQLite file as ours (`PRAGMA application_id`).
const APPLICATION: i64 = 0x6361_7264;

/// Each entry takes the ledger one version up. Never change one that was released: add another.
const MIGRATIONS: &[&str] = &[r"
CREATE TABLE runs (
    id      TEXT PRIMARY KEY,               -- UUID; also in the description of its activations at AWS
    recipe  TEXT NOT NULL,
    golden  TEXT,                           -- SHA-256 of the golden image
    began   INTEGER NOT NULL,
    ended   INTEGER                         -- NULL: under way, or crashed; the run's lock file tells which
) STRICT;

CREATE TABLE cards (
    id      INTEGER PRIMARY KEY,
    run     TEXT NOT NULL REFERENCES runs (id),
    recipe  TEXT NOT NULL,
    serial  INTEGER NOT NULL CHECK (serial >= 1),
    name    TEXT NOT NULL,
    medium  TEXT NOT NULL,                  -- as a person knows it: the slot, the device, the file
    state   TEXT NOT NULL CHECK (state IN ('reserved', 'sealing', 'verified', 'failed', 'retired')),
    stage   TEXT,                           -- where it failed
    why     TEXT,
    receipt TEXT,                           -- JSON
    began   INTEGER NOT NULL,
    changed INTEGER NOT NULL
) STRICT;

-- Two cards never share a number, whatever the code above does. Failed cards give theirs back.
CREATE UNIQUE INDEX one_card_per_number ON cards (recipe, serial)
    WHERE state IN ('reserved', 'sealing', 'verified', 'retired');

CREATE TABLE activations (
    id            INTEGER PRIMARY KEY,
    card          INTEGER NOT NULL REFERENCES cards (id),
    source        TEXT NOT NULL CHECK (source IN ('aws', 'file')),
    activation_id TEXT,                     -- NULL until the answer arrived. The code is never here
    region        TEXT NOT NULL,
    account       TEXT,                     -- AWS account, where the credentials told it
    description   TEXT NOT NULL,            -- how to find it at AWS when its answer never arrived
    expires       INTEGER,
    state         TEXT NOT NULL CHECK (state IN
        ('intended', 'lost', 'issued', 'held', 'due', 'deleted', 'none', 'returned', 'uncertain')),
    began         INTEGER NOT NULL,
    changed       INTEGER NOT NULL
) STRICT;

CREATE INDEX activations_of_card ON activations (card);

-- Nor do two cards ever share an activation.
CREATE UNIQUE INDEX one_card_per_activation ON activations (activation_id)
    WHERE state IN ('issued', 'held', 'due', 'uncertain');

CREATE TABLE file_rows (
    activation_id TEXT PRIMARY KEY,
    file          TEXT NOT NULL,
    region        TEXT NOT NULL,
    name          TEXT,
    expires       INTEGER,
    imported      INTEGER NOT NULL
) STRICT;

CREATE TABLE events (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    card   INTEGER REFERENCES cards (id),
    what   TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
"];

/// Makes the tables, or what is missing of them.
pub fn bring_up_to_date(connection: &mut Connection, path: &Path) -> Result<(), LedgerError> {
    let sql = |source| LedgerError::Sql { doing: "open", path: path.to_owned(), source };
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);

    // A rollback journal, not WAL: one file at rest, which a person can copy, and right on network file systems too.
    // EXTRA also syncs the directory after the journal is gone: without it a power cut could bring the journal back
    // and undo a change on which a card's activation already relied. See sqlite.org/pragma.html#pragma_synchronous.
    connection.pragma_update(None, "synchronous", "EXTRA").map_err(sql)?;
    // Off unless it is asked for.
    connection.pragma_update(None, "foreign_keys", true).map_err(sql)?;
    // What is deleted is overwritten, not only forgotten.
    connection.pragma_update(None, "secure_delete", true).map_err(sql)?;

    // Looked at and brought up to date under one write lock: two that start at once on an empty file make one ledger.
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
    let number = |name: &str| change.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(sql);
    let tables: i64 = change.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sql)?;
    let (application, found) = (number("application_id")?, number("user_version")?);
    // Some other program's database would get our tables otherwise.
    if tables > 0 && application != APPLICATION {
        return Err(LedgerError::NotALedger { path: path.to_owned() });
    }
    if found > known {
        return Err(LedgerError::Newer { path: path.to_owned(), found, known });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        change.execute_batch(migration).map_err(sql)?;
    }
    // In the same change as the tables: a crash leaves an old ledger or a new one.
    if found < known {
        change.pragma_update(None, "application_id", APPLICATION).map_err(sql)?;
        change.pragma_update(None, "user_version", known).map_err(sql)?;
    }
    change.commit().map_err(sql)
}
