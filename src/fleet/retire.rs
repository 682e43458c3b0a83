//! `fleet retire`: takes a card out of service.

use serde::Serialize;

use super::FleetError;
use crate::aws::{Node, Ssm};
use crate::ledger::{ActivationRecord, ActivationState, CardRecord, CardState, Ledger, Source};

/// A card to be retired, and what that will do.
pub struct Retiring {
    /// The card.
    pub card: CardRecord,
    /// The nodes that registered with its activation: one, or none.
    pub nodes: Vec<Node>,
    activation: Option<ActivationRecord>,
    aws: Option<Ssm>,
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Retired {
    /// The card's name.
    pub card: String,
    /// The nodes that were deregistered.
    pub deregistered: Vec<String>,
    /// The activation that was deleted.
    pub deleted: Option<String>,
    /// What could not be done, and is to be done again.
    pub left: Vec<String>,
}

/// Looks up a card by its name and asks AWS for its node. Nothing is changed.
///
/// # Errors
/// No such card, several of that name, one that was never handed out, or an AWS that cannot be asked.
pub fn prepare(ledger: &Ledger, name: &str, recipe: Option<&str>) -> Result<Retiring, FleetError> {
    let of_name = |card: &CardRecord| card.name == name && recipe.is_none_or(|recipe| card.recipe == recipe);
    let all: Vec<CardRecord> = ledger.cards()?.into_iter().filter(of_name).collect();
    let served = |card: &&CardRecord| matches!(card.state, CardState::Verified | CardState::Retired);
    let mut out: Vec<CardRecord> = all.iter().filter(served).cloned().collect();
    // The last one of a name that was retired before comes into question only where none is in service.
    if out.iter().any(|card| card.state == CardState::Verified) {
        out.retain(|card| card.state == CardState::Verified);
    }
    let card = match (out.as_slice(), all.last()) {
        // Of several with this name and recipe the last one made is the one out there.
        ([.., card], _) if out.iter().all(|other| other.recipe == card.recipe) => card.clone(),
        ([_, ..], _) => {
            let text = format!("several recipes have a card {name}; say which with --recipe");
            return Err(FleetError::Usage(text));
        }
        ([], Some(card)) => {
            let text = format!("card {name} was never handed out (it is {}): there is nothing to retire", card.state);
            return Err(FleetError::Usage(text));
        }
        ([], None) => return Err(FleetError::Usage(format!("the ledger has no card {name}"))),
    };
    // The last one with an id: earlier tries of the same card were deleted, or never made.
    let activation = ledger.activations_of(card.key)?.into_iter().rfind(|activation| activation.id.is_some());
    let (mut aws, mut nodes) = (None, Vec::new());
    if let Some((activation, id)) = activation.as_ref().and_then(|a| Some((a, a.id.as_deref()?))) {
        let service = Ssm::connect(&activation.region)?;
        // The other account has no such node: it would look as if there were nothing left to do.
        if !activation.is_of(service.account()) {
            let account = activation.account.as_deref().unwrap_or_default();
            let text = format!("card {name} is of AWS account {account}, and these are credentials of another one");
            return Err(FleetError::Usage(text));
        }
        nodes = service.nodes_of(&[id])?;
        aws = Some(service);
    }
    Ok(Retiring { card, nodes, activation, aws })
}

impl Retiring {
    /// Marks the card, deregisters its node and deletes its activation. May be repeated until nothing is left.
    ///
    /// The mark comes first: after a crash the activation is due for deletion and the next sweep does it, and
    /// `fleet status` tells of a retired card whose node is still there.
    pub fn retire(self, ledger: &Ledger) -> Result<Retired, FleetError> {
        let mut done =
            Retired { card: self.card.name.clone(), deregistered: Vec::new(), deleted: None, left: Vec::new() };
        if self.card.state == CardState::Verified {
            ledger.retire_card(self.card.key)?;
        }
        // A card without an activation has nothing at AWS, and the mark is all.
        let Some(aws) = &self.aws else { return Ok(done) };
        for node in &self.nodes {
            match aws.deregister(&node.id) {
                Ok(()) => done.deregistered.push(node.id.clone()),
                // And on: a node that stays must not keep its activation alive.
                Err(error) => done.left.push(error.to_string()),
            }
        }
        let Some((activation, id)) = self.activation.as_ref().and_then(|a| Some((a, a.id.as_deref()?))) else {
            return Ok(done);
        };
        let gone = activation.state == ActivationState::Deleted;
        match aws.delete_activation(id) {
            Ok(()) => {
                // A file's row was used up when its card was verified; the ledger has no deletion of it to book.
                if activation.source == Source::Aws && !gone {
                    ledger.activation_deleted(activation.key)?;
                }
                done.deleted = Some(id.to_owned()).filter(|_| !gone);
            }
            Err(error) => done.left.push(error.to_string()),
        }
        Ok(done)
    }
}
