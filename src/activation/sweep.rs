//! Looks after what dead runs left: books their open cards as failed, finds the activations whose answer never
//! arrived, and deletes at AWS what no verified card holds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use serde::Serialize;

use super::connection::Connected;
use super::{ActivationError, request};
use crate::aws::{AwsError, Ssm};
use crate::ledger::{ActivationRecord, ActivationState, CardState, Crashed, Ledger, Source, now};
use crate::progress::Progress;

/// How long after the question an activation may still appear at AWS. When it is not there then, it never will be.
const SETTLED_SECONDS: i64 = 15 * 60;

/// What becomes of one activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Swept {
    /// It was deleted at AWS, or would be (dry run).
    Deleted,
    /// AWS does not have it and was asked long enough ago.
    NeverMade,
    /// AWS does not have it, but was asked only minutes ago: looked for again by the next run.
    NotSeenYet,
    /// It must be deleted, and that failed: tried again by the next run.
    StillDue {
        /// Why.
        why: String,
    },
}

/// One activation that a sweep looked after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SweptActivation {
    /// Its id, where that is known.
    pub activation_id: Option<String>,
    /// Its region.
    pub region: String,
    /// The card that it was made for.
    pub card: String,
    /// What became of it.
    pub outcome: Swept,
}

/// What a sweep did, or would do.
#[derive(Debug, Default, Serialize)]
pub struct SweepReport {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Names of cards that dead runs left open; failed now, their numbers free.
    pub cards: Vec<String>,
    /// Of these, the cards that may boot although they were never verified, with where they were.
    pub may_boot: Vec<String>,
    /// Activations.
    pub activations: Vec<SweptActivation>,
    /// Activations at AWS that some cardsmith made and this ledger does not know: another bench's. Left alone.
    pub foreign: Vec<String>,
}

impl SweepReport {
    /// How many must be deleted or looked for and were not.
    pub fn open(&self) -> usize {
        let open = |swept: &&SweptActivation| matches!(swept.outcome, Swept::StillDue { .. } | Swept::NotSeenYet);
        self.activations.iter().filter(open).count()
    }

    /// Tells a person what was done and what is still open.
    pub fn tell(&self, progress: &dyn Progress) {
        let would = if self.dry_run { "would be " } else { "" };
        for card in &self.cards {
            progress.note(&format!("card {card} was never finished: {would}booked as failed, its number free again"));
        }
        for card in &self.may_boot {
            progress.warn(&format!("{card} may boot although it was never verified: write it again or erase it"));
        }
        for swept in &self.activations {
            let id = swept.activation_id.as_deref().unwrap_or("whose answer never came");
            let card = &swept.card;
            match &swept.outcome {
                Swept::Deleted => {
                    progress.note(&format!("activation {id} of {card} {would}deleted: no verified card holds it"))
                }
                Swept::NeverMade => progress.note(&format!("AWS never made the activation of {card}")),
                Swept::NotSeenYet => {
                    progress
                        .warn(&format!("AWS does not list the activation of {card} (yet): the next run looks again"));
                }
                Swept::StillDue { why } => {
                    progress.warn(&format!("activation {id} of {card} must still be deleted: {why}; the next run tries again, or: cardsmith activations sweep"));
                }
            }
        }
        if !self.foreign.is_empty() {
            let count = self.foreign.len();
            progress.note(&format!("{count} activations at AWS come from another bench or a lost ledger: left alone"));
        }
    }
}

/// What a sweep goes over.
pub(super) struct Scope<'s> {
    /// Nothing is changed.
    pub dry_run: bool,
    /// A run of our own that just ended.
    pub own_run: Option<&'s str>,
    /// AWS is asked even where nothing is open, to tell of activations that the ledger does not know.
    pub strays: bool,
}

/// Looks after what dead runs left, and tells what else there is at AWS.
///
/// # Errors
/// Only the ledger's. An AWS that cannot be reached is part of the report.
pub fn sweep(ledger: &Ledger, dry_run: bool) -> Result<SweepReport, ActivationError> {
    let scope = Scope { dry_run, own_run: None, strays: true };
    sweep_scope(ledger, scope, &|region| Ssm::connect(region).map(Connected::Own))
}

pub(super) fn sweep_scope<S: Deref<Target = Ssm>>(
    ledger: &Ledger,
    scope: Scope<'_>,
    connect: &dyn Fn(&str) -> Result<S, AwsError>,
) -> Result<SweepReport, ActivationError> {
    let mut report = SweepReport { dry_run: scope.dry_run, ..SweepReport::default() };
    // The cards come first: only when a dead run's cards are booked as failed are their activations due.
    let crashed = if scope.dry_run { ledger.dead_cards()? } else { ledger.bury_dead_runs()? };
    for Crashed { name, medium, may_boot } in crashed {
        if may_boot {
            report.may_boot.push(format!("card {name} in {medium}"));
        }
        report.cards.push(name);
    }

    let live: BTreeSet<String> = ledger.live_runs()?.into_iter().collect();
    let mut regions: BTreeMap<String, Vec<ActivationRecord>> = BTreeMap::new();
    for activation in ledger.activations()? {
        // What a run holds that is under way, here or in another process, is its own: it may be on the way to a card
        // right now. Our own run counts as dead here, for it only asks when it has ended.
        let ours = !live.contains(&activation.run) || scope.own_run == Some(activation.run.as_str());
        // A dry run did not book dead runs' cards as failed: what they left is still intended or issued.
        let open = match activation.state {
            ActivationState::Due | ActivationState::Lost => true,
            ActivationState::Intended | ActivationState::Issued => {
                scope.dry_run && activation.card_state != CardState::Verified
            }
            _ => false,
        };
        // Rows of files are not looked after: AWS did not make them for us, and they are free again in the ledger.
        if activation.source == Source::Aws && (scope.strays || (ours && open)) {
            let of_region = regions.entry(activation.region.clone()).or_default();
            if ours && open {
                of_region.push(activation);
            }
        }
    }
    for (region, open) in regions {
        let mut of_region = Region { ledger, dry_run: scope.dry_run, region: &region, report: &mut report };
        match connect(&region) {
            Ok(aws) => of_region.sweep(&aws, &open, scope.strays)?,
            // One region without a network, or without rights, must not keep the others from being swept.
            Err(error) => of_region.unreachable(&open, &error),
        }
    }
    Ok(report)
}

/// One region's part of a sweep.
struct Region<'r> {
    ledger: &'r Ledger,
    dry_run: bool,
    region: &'r str,
    report: &'r mut SweepReport,
}

impl Region<'_> {
    fn say(&mut self, activation_id: Option<String>, card: &str, outcome: Swept) {
        let (region, card) = (self.region.to_owned(), card.to_owned());
        self.report.activations.push(SweptActivation { activation_id, region, card, outcome });
    }

    fn unreachable(&mut self, open: &[ActivationRecord], error: &AwsError) {
        for activation in open {
            self.say(activation.id.clone(), &activation.card, Swept::StillDue { why: error.to_string() });
        }
    }

    fn sweep(&mut self, aws: &Ssm, open: &[ActivationRecord], strays: bool) -> Result<(), ActivationError> {
        // Not finding an activation means something only where it would have to be.
        let (ours, elsewhere): (Vec<_>, Vec<_>) = open.iter().cloned().partition(|a| a.is_of(aws.account()));
        for activation in elsewhere {
            let account = activation.account.as_deref().unwrap_or_default();
            let why = format!("it was made in AWS account {account}, and these are credentials of another one");
            self.say(activation.id.clone(), &activation.card, Swept::StillDue { why });
        }
        // What has an id can be deleted by it. What has none was asked for and never heard of again: only the list of
        // all activations, with their descriptions, can tell whether it exists.
        let (mut due, lost): (Vec<_>, Vec<_>) = ours.into_iter().partition(|activation| activation.id.is_some());
        if !lost.is_empty() || strays {
            match aws.activations() {
                Ok(known) => {
                    // Read after AWS has answered: what another run recorded meanwhile must not look like a stray.
                    let records = self.ledger.activations()?;
                    let mut unknown: Vec<_> = known.into_iter().filter(|k| request::is_ours(&k.description)).collect();
                    unknown.retain(|k| !records.iter().any(|record| record.id.as_deref() == Some(&k.id)));
                    due.extend(self.find(&lost, &mut unknown)?);
                    // A live run's activation stands at AWS before its id stands in the ledger.
                    let live = self.ledger.live_runs()?;
                    unknown.retain(|k| !live.iter().any(|run| k.description.contains(run.as_str())));
                    if strays {
                        // Never deleted: another bench's ledger may have them on cards that are in use.
                        self.report.foreign.extend(unknown.into_iter().map(|k| k.id));
                    }
                }
                Err(error) => self.unreachable(&lost, &error),
            }
        }
        if self.dry_run {
            for activation in &due {
                self.say(activation.id.clone(), &activation.card, Swept::Deleted);
            }
            return Ok(());
        }
        let cards: BTreeMap<_, _> = due.iter().filter_map(|a| Some((a.id.clone()?, a.card.clone()))).collect();
        for (id, result) in delete_due(self.ledger, aws, &due)? {
            let card = cards.get(&id).cloned().unwrap_or_default();
            let outcome = match result {
                Ok(()) => Swept::Deleted,
                Err(error) => Swept::StillDue { why: error.to_string() },
            };
            self.say(Some(id), &card, outcome);
        }
        Ok(())
    }

    /// Finds lost activations by their description. What is found is taken out of `unknown` and is due for deletion.
    fn find(
        &mut self,
        lost: &[ActivationRecord],
        unknown: &mut Vec<crate::aws::KnownActivation>,
    ) -> Result<Vec<ActivationRecord>, ActivationError> {
        let mut found = Vec::new();
        let mut left = Vec::new();
        for record in lost {
            match unknown.iter().position(|known| known.description == record.description) {
                Some(at) => {
                    let known = unknown.swap_remove(at);
                    if !self.dry_run {
                        self.ledger.activation_found(record.key, &known.id)?;
                    }
                    let state = ActivationState::Due;
                    found.push(ActivationRecord { id: Some(known.id), state, ..record.clone() });
                }
                None => left.push(record),
            }
        }
        // One question can have made two activations, if something between us and AWS repeated it.
        for record in lost {
            while let Some(at) = unknown.iter().position(|known| known.description == record.description) {
                let known = unknown.swap_remove(at);
                if self.dry_run {
                    self.say(Some(known.id), &record.card, Swept::Deleted);
                } else {
                    let key = self.ledger.stray_found(record, &known.id)?;
                    let state = ActivationState::Due;
                    found.push(ActivationRecord { key, id: Some(known.id), state, ..record.clone() });
                }
            }
        }
        // What is not listed yet may be listed in a minute. Booked as never made too early, it would live on unseen.
        for record in left {
            let outcome = if now().saturating_sub(record.began) < SETTLED_SECONDS {
                Swept::NotSeenYet
            } else {
                if !self.dry_run {
                    self.ledger.activation_refused(record.key)?;
                }
                Swept::NeverMade
            };
            self.say(None, &record.card, outcome);
        }
        Ok(found)
    }
}

/// What became of the deletion of one activation, by id.
type Deletion = (String, Result<(), AwsError>);

/// Deletes those of `activations` that are due, and records each deletion.
pub(super) fn delete_due(
    ledger: &Ledger,
    aws: &Ssm,
    activations: &[ActivationRecord],
) -> Result<Vec<Deletion>, ActivationError> {
    let mut done = Vec::new();
    // Nothing but what the ledger has as due: what a verified card holds is never deleted, whatever was asked for.
    for activation in activations.iter().filter(|activation| activation.state == ActivationState::Due) {
        let Some(id) = &activation.id else { continue };
        let result = aws.delete_activation(id);
        // Recorded after the deed: a crash in between costs one more deletion, which finds nothing and says so.
        if result.is_ok() {
            ledger.activation_deleted(activation.key)?;
        }
        done.push((id.clone(), result));
    }
    Ok(done)
}
