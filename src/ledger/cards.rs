//! Cards: numbers, names, and what became of each.

use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::Serialize;

use super::activations::settle_after_failure;
use super::error::LedgerError;
use super::run_lock::Run;
use super::state::{Bootability, CardKey, CardState, serial};
use super::store::{Change, Ledger, event, now};

/// A number and a name, kept for one card until it is verified or has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardReservation {
    /// The card in the ledger.
    pub key: CardKey,
    /// Its number, counted from 1 for each recipe, without gaps.
    pub serial: u64,
    /// Its name.
    pub name: String,
}

/// What the ledger knows of a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CardRecord {
    /// The card in the ledger.
    #[serde(skip)]
    pub key: CardKey,
    /// The run that made it.
    pub run: String,
    /// The recipe's name.
    pub recipe: String,
    /// Its number.
    pub serial: u64,
    /// Its name.
    pub name: String,
    /// Where it was written: slot, device or file.
    pub medium: String,
    /// What became of it.
    pub state: CardState,
    /// Where it failed.
    pub stage: Option<String>,
    /// Why it failed.
    pub why: Option<String>,
    /// Begun, in seconds since 1970.
    pub began: i64,
    /// Last changed, in seconds since 1970.
    pub changed: i64,
}

const COLUMNS: &str = "id, run, recipe, serial, name, medium, state, stage, why, began, changed";

fn record(row: &Row<'_>) -> rusqlite::Result<CardRecord> {
    Ok(CardRecord {
        key: CardKey(row.get(0)?),
        run: row.get(1)?,
        recipe: row.get(2)?,
        serial: serial(row, 3)?,
        name: row.get(4)?,
        medium: row.get(5)?,
        state: row.get(6)?,
        stage: row.get(7)?,
        why: row.get(8)?,
        began: row.get(9)?,
        changed: row.get(10)?,
    })
}

/// The `count` lowest numbers that no card of the recipe has.
fn free_serials(db: &rusqlite::Connection, recipe: &str, count: usize) -> rusqlite::Result<Vec<i64>> {
    let select = "SELECT serial FROM cards
        WHERE recipe = ?1 AND state IN ('reserved', 'sealing', 'verified', 'retired') ORDER BY serial";
    let mut statement = db.prepare(select)?;
    let mut taken = statement.query_map([recipe], |row| row.get::<_, i64>(0))?;
    // The gaps first: numbers of failed cards come back, so that a fleet's names have no holes that nobody can explain.
    let (mut free, mut next) = (Vec::new(), 1i64);
    while free.len() < count {
        match taken.next().transpose()? {
            Some(serial) => {
                // A gap may be wider than what is wanted.
                free.extend((next..serial).take(count - free.len()));
                next = serial.saturating_add(1);
            }
            None => {
                free.push(next);
                next = next.saturating_add(1);
            }
        }
    }
    Ok(free)
}

fn state_of(change: &Transaction<'_>, card: CardKey) -> Result<(String, CardState), Change> {
    let found = change
        .query_row("SELECT name, state FROM cards WHERE id = ?1", [card.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    found.ok_or_else(|| Change::Refused(LedgerError::Unknown { what: format!("card number {}", card.0) }))
}

fn move_card(
    change: &Transaction<'_>,
    card: CardKey,
    doing: &'static str,
    from: &[CardState],
    to: CardState,
) -> Result<(), Change> {
    let (name, state) = state_of(change, card)?;
    // A card that was booked as failed meanwhile must not become verified.
    if !from.contains(&state) {
        return Err(Change::Refused(LedgerError::CardState { doing, name, state }));
    }
    change.execute("UPDATE cards SET state = ?2, changed = ?3 WHERE id = ?1", params![card.0, to, now()])?;
    event(change, Some(card), to.as_str(), "")?;
    Ok(())
}

/// Books a card as failed, and its activations as what that makes of them.
pub(super) fn fail_card(
    change: &Transaction<'_>,
    card: CardKey,
    stage: &str,
    why: &str,
    bootability: Bootability,
) -> Result<(), Change> {
    let (name, state) = state_of(change, card)?;
    if !matches!(state, CardState::Reserved | CardState::Sealing) {
        return Err(Change::Refused(LedgerError::CardState { doing: "to book it as failed", name, state }));
    }
    // Before sealing the first MiB is zero, whatever else happened. Who reports a failure may not know that.
    let bootability = if state == CardState::Reserved { Bootability::CannotBoot } else { bootability };
    let update = "UPDATE cards SET state = 'failed', stage = ?2, why = ?3, changed = ?4 WHERE id = ?1";
    change.execute(update, params![card.0, stage, why, now()])?;
    event(change, Some(card), "failed", &format!("{stage}: {why}"))?;
    settle_after_failure(change, card, bootability)
}

impl Ledger {
    /// The `count` numbers that the recipe's next cards will get, if no other run takes them first.
    pub fn next_serials(&self, recipe: &str, count: usize) -> Result<Vec<u64>, LedgerError> {
        let free = self.read("find free numbers", |db| free_serials(db, recipe, count))?;
        Ok(free.into_iter().filter_map(|serial| u64::try_from(serial).ok()).collect())
    }

    /// Keeps the recipe's lowest free number for one card of this run. `medium` is where the card will be, as a person
    /// knows it; `name` makes the card's name of its number.
    pub fn reserve_card(
        &self,
        run: &Run,
        medium: &str,
        name: impl FnOnce(u64) -> String,
    ) -> Result<CardReservation, LedgerError> {
        self.write("reserve card", |change| {
            let none = || LedgerError::NoSerial { recipe: run.recipe().to_owned() };
            let number = free_serials(change, run.recipe(), 1)?.first().copied().ok_or_else(none)?;
            // The schema has no number below 1, so this does not fail.
            let serial = u64::try_from(number).map_err(|_| none())?;
            // Named inside the change: the name depends on the number that was just kept.
            let name = name(serial);
            let insert = "INSERT INTO cards (run, recipe, serial, name, medium, state, began, changed)
                VALUES (?1, ?2, ?3, ?4, ?5, 'reserved', ?6, ?6)";
            change.execute(insert, params![run.id(), run.recipe(), number, name, medium, now()])?;
            let key = CardKey(change.last_insert_rowid());
            event(change, Some(key), "reserved", &name)?;
            Ok(CardReservation { key, serial, name })
        })
    }

    /// Says that the card's first MiB is about to be written: from here on it may boot.
    pub fn card_sealing(&self, card: CardKey) -> Result<(), LedgerError> {
        self.write("seal card", |change| {
            move_card(change, card, "to seal it", &[CardState::Reserved], CardState::Sealing)
        })
    }

    /// Says that all of the card was read back as written. Its activation is held from now on, its number taken for
    /// good. `receipt` is JSON.
    pub fn card_verified(&self, card: CardKey, receipt: &str) -> Result<(), LedgerError> {
        self.write("card verified", |change| {
            move_card(change, card, "to book it as verified", &[CardState::Sealing], CardState::Verified)?;
            change.execute("UPDATE cards SET receipt = ?2 WHERE id = ?1", params![card.0, receipt])?;
            // In the same transaction: a card that is handed out without its activation held would lose it to a sweep.
            let hold = "UPDATE activations SET state = 'held', changed = ?2 WHERE card = ?1 AND state = 'issued'";
            change.execute(hold, params![card.0, now()])?;
            Ok(())
        })
    }

    /// Says that the card failed. Its number is free again; an activation from AWS is due for deletion, a file's row
    /// is free again unless the card may boot with it.
    pub fn card_failed(
        &self,
        card: CardKey,
        stage: &str,
        why: &str,
        bootability: Bootability,
    ) -> Result<(), LedgerError> {
        self.write("card failed", |change| fail_card(change, card, stage, why, bootability))
    }

    /// Takes a verified card out of service; its activation is due for deletion where AWS issued it.
    pub fn retire_card(&self, card: CardKey) -> Result<(), LedgerError> {
        self.write("retire card", |change| {
            move_card(change, card, "to retire it", &[CardState::Verified], CardState::Retired)?;
            // Its number stays taken: the name may stand in inventories, certificates and DNS for years.
            let due = "UPDATE activations SET state = 'due', changed = ?2
                WHERE card = ?1 AND source = 'aws' AND state = 'held'";
            change.execute(due, params![card.0, now()])?;
            Ok(())
        })
    }

    /// Every card, failed ones too, by recipe and number.
    pub fn cards(&self) -> Result<Vec<CardRecord>, LedgerError> {
        self.read("list cards", |db| {
            db.prepare(&format!("SELECT {COLUMNS} FROM cards ORDER BY recipe, serial, id"))?
                .query_map([], record)?
                .collect()
        })
    }

    /// The receipt (JSON) of a card, once it is verified.
    pub fn receipt(&self, card: CardKey) -> Result<Option<String>, LedgerError> {
        self.read("read a receipt", |db| {
            db.query_row("SELECT receipt FROM cards WHERE id = ?1", [card.0], |row| row.get(0)).optional()
        })
        // No card and no receipt are the same to who asks.
        .map(Option::flatten)
    }
}
