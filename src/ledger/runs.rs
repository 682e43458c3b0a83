//! Runs begin and end, and what a dead one left open is booked as failed.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::cards::fail_card;
use super::error::LedgerError;
use super::run_lock::{Lock, Run, lock_of_dead_run};
use super::state::{Bootability, CardKey};
use super::store::{Ledger, event, now};
use crate::digest::Sha256Digest;

/// A card that a dead run left open, now booked as failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crashed {
    /// The card's name.
    pub name: String,
    /// Where it was.
    pub medium: String,
    /// Whether it may boot although it was never verified.
    pub may_boot: bool,
}

impl Ledger {
    fn lock_path(&self, run: &str) -> PathBuf {
        let mut name = self.path().to_owned().into_os_string();
        name.push(format!(".run-{run}"));
        PathBuf::from(name)
    }

    /// Begins a run. `golden` is the digest of the golden image, where there is one.
    pub fn begin_run(&self, recipe: &str, golden: Option<&Sha256Digest>) -> Result<Run, LedgerError> {
        let id = Uuid::new_v4().to_string();
        let lock_path = self.lock_path(&id);
        let io = |source| LedgerError::Io { doing: "lock a run of", path: lock_path.clone(), source };
        // Locked before it is recorded: nobody ever sees a run in the ledger that lives and has no lock.
        let lock = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&lock_path).map_err(io)?;
        lock.lock().map_err(io)?;
        self.write("begin run", |change| {
            let insert = "INSERT INTO runs (id, recipe, golden, began) VALUES (?1, ?2, ?3, ?4)";
            change.execute(insert, params![id, recipe, golden.map(Sha256Digest::to_string), now()])?;
            event(change, None, "run began", &id)?;
            Ok(())
        })?;
        Ok(Run { id, recipe: recipe.to_owned(), lock, lock_path })
    }

    /// Ends a run that came to its end, well or not. Cards that it left open are booked as failed.
    pub fn end_run(&self, run: Run) -> Result<Vec<Crashed>, LedgerError> {
        let left = self.bury(&run.id, "the run ended")?;
        let Run { lock, lock_path, .. } = run;
        // Let go after the ledger has the run as ended: a sweep in between would take it for dead.
        // A lock file that stays is harmless, because its run has ended.
        let _ = std::fs::remove_file(lock_path);
        drop(lock);
        Ok(left)
    }

    /// Books the open cards of every run that died as failed, and their activations as due, free or lost.
    pub fn bury_dead_runs(&self) -> Result<Vec<Crashed>, LedgerError> {
        let mut left = Vec::new();
        for run in self.open_runs()? {
            // The lock is held while the run is buried: two processes that start at once do not both do it.
            let Some(_lock) = self.lock_if_dead(&run)? else { continue };
            left.extend(self.bury(&run, "its run died")?);
            let _ = std::fs::remove_file(self.lock_path(&run));
        }
        Ok(left)
    }

    /// The open cards of runs that died; nothing is changed.
    pub fn dead_cards(&self) -> Result<Vec<Crashed>, LedgerError> {
        let mut left = Vec::new();
        for run in self.open_runs()? {
            // Only a look: the lock is let go at once.
            if self.lock_if_dead(&run)?.is_some() {
                let open = self.read("find open cards", |db| open_cards(db, &run))?;
                left.extend(open.into_iter().map(|(_, card)| card));
            }
        }
        Ok(left)
    }

    /// The runs that are under way, in this process or another one.
    pub fn live_runs(&self) -> Result<Vec<String>, LedgerError> {
        let mut live = Vec::new();
        for run in self.open_runs()? {
            if self.lock_if_dead(&run)?.is_none() {
                live.push(run);
            }
        }
        Ok(live)
    }

    fn open_runs(&self) -> Result<Vec<String>, LedgerError> {
        self.read("find open runs", |db| {
            db.prepare("SELECT id FROM runs WHERE ended IS NULL")?
                .query_map([], |row| row.get::<_, String>(0))?
                .collect::<Result<Vec<_>, _>>()
        })
    }

    fn lock_if_dead(&self, run: &str) -> Result<Option<Lock>, LedgerError> {
        let path = self.lock_path(run);
        lock_of_dead_run(&path).map_err(|source| LedgerError::Io { doing: "look at a run of", path, source })
    }

    fn bury(&self, run: &str, why: &str) -> Result<Vec<Crashed>, LedgerError> {
        self.write("end run", |change| {
            let open = open_cards(change, run)?;
            for (key, card) in &open {
                let bootability = if card.may_boot { Bootability::MayBoot } else { Bootability::CannotBoot };
                fail_card(change, *key, "unfinished", why, bootability)?;
            }
            // Who was first has said when.
            change.execute("UPDATE runs SET ended = ?2 WHERE id = ?1 AND ended IS NULL", params![run, now()])?;
            event(change, None, "run ended", run)?;
            Ok(open.into_iter().map(|(_, card)| card).collect())
        })
    }
}

fn open_cards(db: &Connection, run: &str) -> rusqlite::Result<Vec<(CardKey, Crashed)>> {
    let select = "SELECT id, name, medium, state = 'sealing' FROM cards
        WHERE run = ?1 AND state IN ('reserved', 'sealing') ORDER BY id";
    db.prepare(select)?
        .query_map([run], |row| {
            let card = Crashed { name: row.get(1)?, medium: row.get(2)?, may_boot: row.get(3)? };
            Ok((CardKey(row.get(0)?), card))
        })?
        .collect()
}
