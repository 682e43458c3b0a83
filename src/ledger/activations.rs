//! Activations: intended, issued, held by a card, due for deletion.

use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::Serialize;

use super::error::LedgerError;
use super::state::{ActivationKey, ActivationState, Bootability, CardKey, CardState, Source, serial};
use super::store::{Change, Ledger, event, now};

/// What the ledger knows of an activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActivationRecord {
    /// The activation in the ledger.
    #[serde(skip)]
    pub key: ActivationKey,
    /// The card that it was made for, in the ledger.
    #[serde(skip)]
    pub card_key: CardKey,
    /// That card's name.
    pub card: String,
    /// That card's recipe.
    pub recipe: String,
    /// That card's number.
    pub serial: u64,
    /// What became of that card.
    pub card_state: CardState,
    /// The run that made that card.
    pub run: String,
    /// Who issued it.
    pub source: Source,
    /// Its id, once that is known.
    #[serde(rename = "activation_id")]
    pub id: Option<String>,
    /// The AWS region.
    pub region: String,
    /// The AWS account that it was made in, where the credentials told it.
    pub account: Option<String>,
    /// What it is called at AWS.
    #[serde(skip)]
    pub description: String,
    /// When it stops being usable, in seconds since 1970.
    pub expires: Option<i64>,
    /// What became of it.
    pub state: ActivationState,
    /// When AWS was about to be asked, or the row was taken, in seconds since 1970.
    pub began: i64,
}

const SELECT: &str = "SELECT a.id, a.card, c.name, c.recipe, c.serial, c.state, c.run, a.source, a.activation_id,
    a.region, a.account, a.description, a.expires, a.state, a.began FROM activations a JOIN cards c ON c.id = a.card";

fn record(row: &Row<'_>) -> rusqlite::Result<ActivationRecord> {
    Ok(ActivationRecord {
        key: ActivationKey(row.get(0)?),
        card_key: CardKey(row.get(1)?),
        card: row.get(2)?,
        recipe: row.get(3)?,
        serial: serial(row, 4)?,
        card_state: row.get(5)?,
        run: row.get(6)?,
        source: row.get(7)?,
        id: row.get(8)?,
        region: row.get(9)?,
        account: row.get(10)?,
        description: row.get(11)?,
        expires: row.get(12)?,
        state: row.get(13)?,
        began: row.get(14)?,
    })
}

impl ActivationRecord {
    /// Whether it can be found with credentials of this account. What is not known does not stand in the way.
    pub fn is_of(&self, account: Option<&str>) -> bool {
        self.account.is_none() || account.is_none() || self.account.as_deref() == account
    }
}

/// What a card's failure makes of its activations.
pub(super) fn settle_after_failure(
    change: &Transaction<'_>,
    card: CardKey,
    bootability: Bootability,
) -> Result<(), Change> {
    // An activation that AWS issued is deleted in any case: even a card that boots cannot register with it then.
    // A row of a file cannot be deleted. It is free again where the card cannot boot (its first MiB is zero), because
    // then nobody can have used it; where the card may boot, using the row again could make two cards with one.
    let row = match bootability {
        Bootability::CannotBoot => ActivationState::Returned,
        Bootability::MayBoot => ActivationState::Uncertain,
    };
    for (source, from, to) in [
        (Source::Aws, ActivationState::Intended, ActivationState::Lost),
        (Source::Aws, ActivationState::Issued, ActivationState::Due),
        (Source::File, ActivationState::Issued, row),
    ] {
        let update = "UPDATE activations SET state = ?4, changed = ?5 WHERE card = ?1 AND source = ?2 AND state = ?3";
        change.execute(update, params![card.0, source, from, to, now()])?;
    }
    Ok(())
}

impl Ledger {
    /// Says that AWS is about to be asked for an activation with this description.
    pub fn intend_activation(
        &self,
        card: CardKey,
        region: &str,
        account: Option<&str>,
        description: &str,
    ) -> Result<ActivationKey, LedgerError> {
        self.write("intend activation", |change| {
            let insert = "INSERT INTO activations (card, source, region, account, description, state, began, changed)
                VALUES (?1, 'aws', ?2, ?3, ?4, 'intended', ?5, ?5)";
            change.execute(insert, params![card.0, region, account, description, now()])?;
            // AWS has named no id yet, so the row's number has to do.
            let key = ActivationKey(change.last_insert_rowid());
            event(change, Some(card), "activation intended", region)?;
            Ok(key)
        })
    }

    /// Says which activation came. `expires` in seconds since 1970.
    pub fn activation_issued(&self, key: ActivationKey, id: &str, expires: Option<i64>) -> Result<(), LedgerError> {
        self.write("activation issued", |change| {
            // Both in one change: an issued activation without its id could not be deleted.
            let set = "UPDATE activations SET activation_id = ?2, expires = ?3 WHERE id = ?1";
            change.execute(set, params![key.0, id, expires])?;
            move_activation(change, key, &[ActivationState::Intended], ActivationState::Issued)
        })
    }

    /// Says that AWS refused: nothing came to exist.
    pub fn activation_refused(&self, key: ActivationKey) -> Result<(), LedgerError> {
        self.write("activation refused", |change| {
            // Lost as well: the refusal may come late.
            let from = [ActivationState::Intended, ActivationState::Lost];
            move_activation(change, key, &from, ActivationState::None)
        })
    }

    /// Says that no answer came: there may be an activation, to be found by its description.
    pub fn activation_lost(&self, key: ActivationKey) -> Result<(), LedgerError> {
        self.write("activation lost", |change| {
            move_activation(change, key, &[ActivationState::Intended], ActivationState::Lost)
        })
    }

    /// Says which activation it was whose answer never came: known now, and due for deletion, for its code is lost.
    pub fn activation_found(&self, key: ActivationKey, id: &str) -> Result<(), LedgerError> {
        self.write("activation found", |change| {
            change.execute("UPDATE activations SET activation_id = ?2 WHERE id = ?1", params![key.0, id])?;
            let from = [ActivationState::Intended, ActivationState::Lost];
            move_activation(change, key, &from, ActivationState::Due)
        })
    }

    /// Records one more activation that AWS made of the same question as `like`, as due for deletion.
    pub fn stray_found(&self, like: &ActivationRecord, id: &str) -> Result<ActivationKey, LedgerError> {
        self.write("stray found", |change| {
            let insert = "INSERT INTO activations
                (card, source, activation_id, region, account, description, state, began, changed)
                VALUES (?1, 'aws', ?2, ?3, ?4, ?5, 'due', ?6, ?6)";
            let ActivationRecord { card_key, region, account, description, .. } = like;
            change.execute(insert, params![card_key.0, id, region, account, description, now()])?;
            let key = ActivationKey(change.last_insert_rowid());
            event(change, Some(*card_key), "stray activation found", id)?;
            Ok(key)
        })
    }

    /// Says that AWS has it no longer. Two sweeps at once may both find that.
    pub fn activation_deleted(&self, key: ActivationKey) -> Result<(), LedgerError> {
        self.write("activation deleted", |change| {
            let from = [ActivationState::Due, ActivationState::Deleted];
            move_activation(change, key, &from, ActivationState::Deleted)
        })
    }

    /// Every activation, oldest first.
    pub fn activations(&self) -> Result<Vec<ActivationRecord>, LedgerError> {
        self.read("list activations", |db| {
            db.prepare(&format!("{SELECT} ORDER BY a.id"))?.query_map([], record)?.collect()
        })
    }

    /// The activations of one card, oldest first.
    pub fn activations_of(&self, card: CardKey) -> Result<Vec<ActivationRecord>, LedgerError> {
        self.read("list activations", |db| {
            db.prepare(&format!("{SELECT} WHERE a.card = ?1 ORDER BY a.id"))?.query_map([card.0], record)?.collect()
        })
    }
}

fn move_activation(
    change: &Transaction<'_>,
    key: ActivationKey,
    from: &[ActivationState],
    to: ActivationState,
) -> Result<(), Change> {
    // No such row is a refusal of ours, not an error of SQLite.
    let found: Option<(i64, Option<String>, ActivationState)> = change
        .query_row("SELECT card, activation_id, state FROM activations WHERE id = ?1", [key.0], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((card, id, state)) = found else {
        return Err(Change::Refused(LedgerError::Unknown { what: format!("activation number {}", key.0) }));
    };
    // Looked at under the write lock, so that two sweeps cannot both move it.
    if !from.contains(&state) {
        let id = id.unwrap_or_else(|| format!("number {}", key.0));
        return Err(Change::Refused(LedgerError::ActivationState { doing: to.as_str(), id, state }));
    }
    change.execute("UPDATE activations SET state = ?2, changed = ?3 WHERE id = ?1", params![key.0, to, now()])?;
    event(change, Some(CardKey(card)), to.as_str(), id.as_deref().unwrap_or(""))?;
    Ok(())
}
