//! One look at everything: each card of the ledger, its activations, what AWS has of them and which node registered.

use std::collections::{BTreeMap, BTreeSet};

use super::FleetError;
use crate::aws::{AwsError, KnownActivation, Node, Ssm};
use crate::ledger::{ActivationRecord, ActivationState, CardRecord, Ledger, Source};

/// One card that got an activation, with what AWS says of it.
#[derive(Debug, Clone)]
pub struct CardAtAws {
    /// The card.
    pub card: CardRecord,
    /// Its activation that counts: the one it holds, or the last one that it had.
    pub activation: Option<ActivationRecord>,
    /// That activation at AWS; `None`: not there, or AWS was not asked.
    pub known: Option<KnownActivation>,
    /// The node that registered with it.
    pub node: Option<Node>,
    /// Whether AWS could be asked in this activation's region.
    pub asked: bool,
}

/// Everything, and the regions in which AWS could not be asked.
pub struct Survey {
    /// By recipe and number; failed cards too, where they had an activation.
    pub cards: Vec<CardAtAws>,
    /// Why a region could not be asked.
    pub unreachable: BTreeMap<String, AwsError>,
}

/// Looks at every card, or at those of one recipe. With `offline` AWS is not asked.
pub fn survey(ledger: &Ledger, recipe: Option<&str>, offline: bool) -> Result<Survey, FleetError> {
    let mut cards = Vec::new();
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut activations: BTreeMap<_, Vec<ActivationRecord>> = BTreeMap::new();
    for activation in ledger.activations()? {
        activations.entry(activation.card_key).or_default().push(activation);
    }
    for card in ledger.cards()?.into_iter().filter(|card| recipe.is_none_or(|recipe| card.recipe == recipe)) {
        let own = activations.remove(&card.key).unwrap_or_default();
        // A row that was given back is another card's matter.
        let counts =
            |a: &&ActivationRecord| a.id.is_some() && (a.source == Source::Aws || a.state != ActivationState::Returned);
        let held = own.iter().find(|activation| activation.state == ActivationState::Held);
        let activation = held.or_else(|| own.iter().rfind(counts)).cloned();
        if let Some((id, region)) = activation.as_ref().and_then(|a| Some((a.id.clone()?, a.region.clone()))) {
            ids.entry(region).or_default().insert(id);
        }
        cards.push(CardAtAws { card, activation, known: None, node: None, asked: false });
    }

    // By region, and all ids of one in few questions: a fleet of hundreds would be throttled if each card were asked for.
    let (mut known, mut nodes) = (BTreeMap::new(), BTreeMap::new());
    let (mut asked, mut unreachable) = (BTreeMap::new(), BTreeMap::new());
    for (region, ids) in ids.iter().filter(|_| !offline) {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let ask = || {
            let aws = Ssm::connect(region)?;
            Ok((aws.account().map(str::to_owned), aws.activations()?, aws.nodes_of(&ids)?))
        };
        match ask() {
            Ok((account, of_region, nodes_of_region)) => {
                asked.insert(region.clone(), account);
                known.extend(of_region.into_iter().map(|activation| (activation.id.clone(), activation)));
                nodes.extend(nodes_of_region.into_iter().map(|node| (node.activation_id.clone(), node)));
            }
            // A region that does not answer makes its cards "not known", and leaves the others as they are.
            Err(error) => {
                unreachable.insert(region.clone(), error);
            }
        }
    }
    for card in &mut cards {
        let Some(activation) = &card.activation else { continue };
        let id = activation.id.as_deref().unwrap_or_default();
        // Another account's credentials find nothing, which would read as "deleted": those cards were not asked for.
        card.asked = asked.get(&activation.region).is_some_and(|account| activation.is_of(account.as_deref()));
        card.known = known.get(id).cloned();
        card.node = nodes.get(id).cloned();
    }
    Ok(Survey { cards, unreachable })
}
