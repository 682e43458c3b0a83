//! The ledger's file: opened for its owner alone, changed in transactions that are on the disk before anything relies
//! on them.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};

use super::error::LedgerError;
use super::schema;
use super::state::CardKey;

/// How long a run waits for another one's write, which takes milliseconds.
const BUSY: Duration = Duration::from_secs(30);

/// The record of every card. Several threads may share one by reference, several runs one file.
pub struct Ledger {
    path: PathBuf,
    connection: Mutex<Connection>,
}

/// Where the ledger is kept when nothing else is said: `$XDG_STATE_HOME/cardsmith/ledger.sqlite3`, by default
/// `~/.local/state/cardsmith/ledger.sqlite3`. `None` without a home directory.
pub fn default_path() -> Option<PathBuf> {
    Some(crate::xdg::state_directory()?.join("ledger.sqlite3"))
}

impl Ledger {
    /// Opens the ledger at `path`, making it (mode 0600) where there is none, and brings an older one up to date.
    ///
    /// # Errors
    /// When the file cannot be made or read, is not a ledger, or was written by a newer cardsmith.
    pub fn open(path: &Path) -> Result<Ledger, LedgerError> {
        let io = |doing, source| LedgerError::Io { doing, path: path.to_owned(), source };
        // The parent of a bare file name is empty, and cannot be made.
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
            made.map_err(|error| io("make the directory of", error))?;
        }
        // SQLite would make the file with the umask's mode; whoever may read it learns what was made for whom.
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
        let file = file.map_err(|error| io("open", error))?;
        let mode = file.metadata().map_err(|error| io("look at", error))?.permissions().mode();
        // An older ledger, or one that was copied here.
        if mode & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600)).map_err(|error| io("close to others", error))?;
        }
        // Before SQLite opens it: to close a file lets go of every POSIX lock that the process has on it.
        drop(file);

        // NO_MUTEX: the lock around the connection is ours, and SQLite's own would be a second one for nothing.
        let sql = |doing| move |source| LedgerError::Sql { doing, path: path.to_owned(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(sql("open"))?;
        connection.busy_timeout(BUSY).map_err(sql("open"))?;
        schema::bring_up_to_date(&mut connection, path)?;
        Ok(Ledger { path: path.to_owned(), connection: Mutex::new(connection) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A thread that panicked rolled its transaction back: what is behind the lock is in order.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One change, whole or not at all, on the disk before this returns. `doing` names it in errors and fault points.
    ///
    /// The transaction is immediate: it holds the write lock before it reads, so that what it decides on (the lowest
    /// free serial, a free row) cannot change before it is written.
    pub(super) fn write<T>(
        &self,
        doing: &'static str,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, Change>,
    ) -> Result<T, LedgerError> {
        let sql = |source| LedgerError::Sql { doing, path: self.path.clone(), source };
        // Tests end the process here and below, before and after the change.
        crate::fault::point(doing);
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
        // Dropped without a commit, the transaction rolls back: a refusal half way leaves nothing.
        let value = change(&transaction).map_err(|change| match change {
            Change::Sql(source) => sql(source),
            Change::Refused(error) => error,
        })?;
        transaction.commit().map_err(sql)?;
        drop(connection);
        crate::fault::point(doing);
        Ok(value)
    }

    /// A look at what is there. It may be old by the time that it is acted on: what must not be belongs into `write`.
    pub(super) fn read<T>(
        &self,
        doing: &'static str,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        look(&self.lock()).map_err(|source| LedgerError::Sql { doing, path: self.path.clone(), source })
    }
}

/// Why a transaction is rolled back.
pub(super) enum Change {
    Sql(rusqlite::Error),
    Refused(LedgerError),
}

impl From<rusqlite::Error> for Change {
    fn from(error: rusqlite::Error) -> Change {
        Change::Sql(error)
    }
}

impl From<LedgerError> for Change {
    fn from(error: LedgerError) -> Change {
        Change::Refused(error)
    }
}

/// Seconds since 1970, by this machine's clock.
pub fn now() -> i64 {
    // A clock before 1970 counts as 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Leaves a line in the ledger's diary, within the change that it tells of.
pub(super) fn event(change: &Transaction<'_>, card: Option<CardKey>, what: &str, detail: &str) -> rusqlite::Result<()> {
    let insert = "INSERT INTO events (at, card, what, detail) VALUES (?1, ?2, ?3, ?4)";
    change.execute(insert, params![now(), card.map(|card| card.0), what, detail])?;
    Ok(())
}
