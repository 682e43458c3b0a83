//! The dispenser gives every card its number and its activation, and keeps the promise that each activation is always
//! accounted for. All writers of cards go through it, side by side if they like.
//!
//! The order is the promise: the intent is on the disk before AWS is asked, the id after the answer, the outcome after
//! verification. Whatever dies in between, the ledger says what may exist, and [`sweep`] finds and deletes it.

use std::thread::sleep;
use std::time::Duration;

use super::connection::connect;
use super::sweep::{Scope, delete_due, sweep_scope};
use super::{Activation, ActivationError, AwsIssuer, CardRequest, Issuer};
use crate::aws::Ssm;
use crate::digest::Sha256Digest;
use crate::ledger::{ActivationKey, ActivationState, Bootability, CardReservation, FileRow, Ledger, Run, Source};
use crate::progress::Progress;

/// How often AWS is asked for one card's activation when answers get lost.
const TRIES: u32 = 3;

/// Waits between looking for an activation whose answer never came: what was made a moment ago may not be listed yet.
const LOOKS: [Duration; 3] = [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(2)];

/// What a run is to make.
pub struct Order<'a> {
    /// The recipe's name; numbers count for each.
    pub recipe: &'a str,
    /// The golden image's digest.
    pub golden: Option<Sha256Digest>,
    /// How many cards are wanted.
    pub cards: usize,
    /// Makes a card's name of its number.
    pub name: &'a (dyn Fn(u64) -> String + Send + Sync),
}

/// One run's dispenser. [`Dispenser::close`] ends the run; dropped without it, or killed, the run counts as crashed and the next
/// one looks after what it left.
pub struct Dispenser<'a> {
    ledger: &'a Ledger,
    issuer: Option<&'a Issuer>,
    order: Order<'a>,
    run: Run,
    progress: &'a dyn Progress,
}

impl<'a> Dispenser<'a> {
    /// Begins a run: looks after what dead runs left, and checks that there is an activation for every card.
    ///
    /// # Errors
    /// With too few rows in the file, or a ledger that cannot be written. Nothing was written to any medium.
    pub fn open(
        ledger: &'a Ledger,
        issuer: Option<&'a Issuer>,
        order: Order<'a>,
        progress: &'a dyn Progress,
    ) -> Result<Dispenser<'a>, ActivationError> {
        // Before the numbers are given out: those of cards that a dead run left open are free then.
        let scope = Scope { dry_run: false, own_run: None, strays: false };
        sweep_scope(ledger, scope, &|region| connect(issuer, region))?.tell(progress);
        // A file that is too short is told now, not at the third of four cards.
        if let Some(Issuer::File(_)) = issuer {
            check_supply(ledger, issuer, &order)?;
        }
        let run = ledger.begin_run(order.recipe, order.golden.as_ref())?;
        Ok(Dispenser { ledger, issuer, order, run, progress })
    }

    /// The run's UUID.
    pub fn run_id(&self) -> &str {
        self.run.id()
    }

    /// Keeps the next number and name for one card. `medium` is where the card will be, as a person knows it.
    pub fn next_card(&self, medium: &str) -> Result<CardReservation, ActivationError> {
        Ok(self.ledger.reserve_card(&self.run, medium, self.order.name)?)
    }

    /// Gets the card's activation; `None` where the recipe's cards do not register. May be called again for a card
    /// whose first call failed.
    pub fn activate(&self, card: &CardReservation) -> Result<Option<Activation>, ActivationError> {
        match self.issuer {
            None => Ok(None),
            Some(Issuer::Aws(aws)) => self.activate_by_aws(aws, card).map(Some),
            Some(Issuer::File(file)) => {
                let candidates: Vec<&FileRow> = file.candidates(&card.name);
                // Choosing and taking is one transaction: two benches may share the file and the ledger.
                let row = self.ledger.take_row(card.key, &candidates)?;
                match row.and_then(|row| file.activation(&row.id)) {
                    Some(activation) => Ok(Some(activation)),
                    None => Err(too_few(self.ledger, file, &format!("card {} is", card.name), 0)?),
                }
            }
        }
    }

    fn activate_by_aws(&self, aws: &AwsIssuer, card: &CardReservation) -> Result<Activation, ActivationError> {
        let request = CardRequest {
            name: &card.name,
            serial: card.serial,
            run: self.run.id(),
            recipe: self.order.recipe,
            golden: self.order.golden.as_ref(),
        };
        let description = request.description();
        let mut tries = 0;
        loop {
            tries += 1;
            // On the disk before AWS is asked: whatever happens to us from here on, the next run knows what to look for.
            let key = self.ledger.intend_activation(card.key, aws.region(), aws.ssm().account(), &description)?;
            let error = match aws.create(&request, self.progress) {
                Ok(activation) => {
                    self.ledger.activation_issued(key, &activation.id, activation.expires)?;
                    return Ok(activation);
                }
                // A clear no: there is nothing to look for, and asking again is the person's decision.
                Err(error) if !error.ambiguous => {
                    self.ledger.activation_refused(key)?;
                    return Err(error.into());
                }
                Err(error) => error,
            };
            // There may be an activation whose code nobody has. It must be gone before another one is asked for:
            // otherwise each lost answer leaves one behind that somebody could register with.
            self.ledger.activation_lost(key)?;
            let name = &card.name;
            self.progress.warn(&format!("no answer from AWS for {name}; looking for what it may have made ({error})"));
            self.delete_lost(aws.ssm(), key, &description)?;
            if tries == TRIES {
                return Err(ActivationError::NoAnswer { card: card.name.clone(), tries, last: error });
            }
        }
    }

    /// Finds by its description the activation whose answer was lost, and deletes it: its code is lost too.
    fn delete_lost(&self, aws: &Ssm, key: ActivationKey, description: &str) -> Result<(), ActivationError> {
        for wait in LOOKS {
            sleep(wait);
            let all = match aws.activations() {
                Ok(all) => all,
                // The line that lost the answer may still be down.
                Err(error) if error.code.is_none() => continue,
                Err(error) => return Err(error.into()),
            };
            if let Some(found) = all.iter().find(|known| known.description == description) {
                self.ledger.activation_found(key, &found.id)?;
                // Where this fails it stays due: the end of this run tries again, and the next run after it.
                if aws.delete_activation(&found.id).is_ok() {
                    self.ledger.activation_deleted(key)?;
                }
                return Ok(());
            }
        }
        // Not there, or not there yet: it stays on the ledger's list of what to look for.
        Ok(())
    }

    /// Says that all but the card's first MiB was verified and that this MiB is about to be written.
    pub fn sealing(&self, card: &CardReservation) -> Result<(), ActivationError> {
        Ok(self.ledger.card_sealing(card.key)?)
    }

    /// Says that all of the card was read back as written. `receipt` is JSON.
    pub fn verified(&self, card: &CardReservation, receipt: &str) -> Result<(), ActivationError> {
        Ok(self.ledger.card_verified(card.key, receipt)?)
    }

    /// Says that the card failed, deletes its activation or gives back its row, and returns what became of both in one
    /// line for the person at the bench.
    pub fn failed(
        &self,
        card: &CardReservation,
        stage: &str,
        why: &str,
        bootability: Bootability,
    ) -> Result<String, ActivationError> {
        // First the ledger, then AWS: a crash in between leaves an activation that is due, not one that is forgotten.
        self.ledger.card_failed(card.key, stage, why, bootability)?;
        let activations = self.ledger.activations_of(card.key)?;
        let mut told = Vec::new();
        if let Some(Issuer::Aws(aws)) = self.issuer {
            for (activation, result) in delete_due(self.ledger, aws.ssm(), &activations)? {
                told.push(match result {
                    Ok(()) => format!("activation {activation} was deleted"),
                    Err(error) => {
                        self.progress.warn(&format!("{error}; the next run tries again"));
                        format!("activation {activation} is not deleted yet: the next run tries again")
                    }
                });
            }
        }
        for activation in activations.iter().filter(|activation| activation.source == Source::File) {
            let id = activation.id.as_deref().unwrap_or_default();
            match activation.state {
                ActivationState::Returned => told.push(format!("activation {id} is free again")),
                ActivationState::Uncertain => told.push(format!(
                    "activation {id} may be on that card and is not used again; erase the card, then `cardsmith \
                     activations release {id}`"
                )),
                _ => {}
            }
        }
        told.push(format!("serial {} is free again", card.serial));
        Ok(told.join("; "))
    }

    /// Ends the run: open cards count as failed, and what could not be deleted before is tried once more.
    pub fn close(self) -> Result<(), ActivationError> {
        let Dispenser { ledger, issuer, run, progress, .. } = self;
        let id = run.id().to_owned();
        ledger.end_run(run)?;
        let scope = Scope { dry_run: false, own_run: Some(&id), strays: false };
        sweep_scope(ledger, scope, &|region| connect(issuer, region))?.tell(progress);
        Ok(())
    }
}

/// Whether every card of the order can get a row.
fn check_supply(ledger: &Ledger, issuer: Option<&Issuer>, order: &Order<'_>) -> Result<(), ActivationError> {
    let Some(Issuer::File(file)) = issuer else { return Ok(()) };
    let ids: Vec<String> = file.rows().map(|row| row.id.clone()).collect();
    let free: std::collections::HashSet<String> = ledger.free_rows(&ids)?.into_iter().collect();
    // Played through in the order in which cards will take them: rows that name a card are no use to another one.
    let mut taken = std::collections::HashSet::new();
    let mut usable = 0;
    for serial in ledger.next_serials(order.recipe, order.cards)? {
        let name = (order.name)(serial);
        let candidates = file.candidates(&name);
        let Some(row) = candidates.iter().find(|row| free.contains(&row.id) && !taken.contains(&row.id)) else {
            continue;
        };
        taken.insert(row.id.clone());
        usable += 1;
    }
    if usable < order.cards {
        let wanted = if order.cards == 1 { "1 card is".to_owned() } else { format!("{} cards are", order.cards) };
        return Err(too_few(ledger, file, &wanted, usable)?);
    }
    Ok(())
}

fn too_few(
    ledger: &Ledger,
    file: &super::ActivationFile,
    wanted: &str,
    usable: usize,
) -> Result<ActivationError, ActivationError> {
    let ids: Vec<String> = file.rows().map(|row| row.id.clone()).collect();
    let free = ledger.free_rows(&ids)?;
    let expired = file.expired();
    Ok(ActivationError::TooFew {
        path: file.path().to_owned(),
        wanted: wanted.to_owned(),
        usable,
        used: ids.len() - free.len(),
        expired,
        named: file.rows().filter(|row| row.name.is_some() && free.contains(&row.id)).count(),
    })
}
