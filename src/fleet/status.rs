//! `fleet status`: how each card of the ledger is doing.

use serde::Serialize;

use super::CardAtAws;
use crate::aws::Node;
use crate::ledger::{ActivationState, CardState, now};

/// How a card is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Registered, and SSM hears from it.
    Online,
    /// Registered, but SSM has not heard from it lately.
    Lost,
    /// Its activation waits for its first boot.
    Waiting,
    /// Its activation expired before it registered: write the card again.
    Expired,
    /// Its activation was deleted before it registered: write the card again.
    Deleted,
    /// It registered once, and its node is no longer there.
    Deregistered,
    /// Somebody else registered with its activation.
    Stranger,
    /// It was retired.
    Retired,
    /// The card does not register: its recipe has no activation.
    Unmanaged,
    /// AWS was not asked.
    Unknown,
}

impl Condition {
    /// What a person reads in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Condition::Online => "online",
            Condition::Lost => "connection lost",
            Condition::Waiting => "waiting for its first boot",
            Condition::Expired => "activation expired unused",
            Condition::Deleted => "activation deleted unused",
            Condition::Deregistered => "deregistered",
            Condition::Stranger => "USED BY A STRANGER",
            Condition::Retired => "retired",
            Condition::Unmanaged => "does not register",
            Condition::Unknown => "not known",
        }
    }
}

/// One line of `fleet status`.
#[derive(Debug, Clone, Serialize)]
pub struct CardStatus {
    /// The card's name.
    pub card: String,
    /// Its recipe.
    pub recipe: String,
    /// Its number.
    pub serial: u64,
    /// What the ledger has it as.
    pub state: CardState,
    /// How it is doing.
    pub condition: Condition,
    /// Its activation.
    pub activation_id: Option<String>,
    /// The activation's region.
    pub region: Option<String>,
    /// When the activation expires, in seconds since 1970.
    pub expires: Option<i64>,
    /// The node.
    pub node: Option<Node>,
    /// What a person should do about it.
    pub advice: Option<String>,
}

/// The lines of `fleet status`: every card that was handed out, and failed ones that somebody registered with.
pub fn lines(cards: &[CardAtAws]) -> Vec<CardStatus> {
    cards.iter().filter_map(line).collect()
}

/// Whether every card that should be is online.
pub fn all_online(lines: &[CardStatus]) -> bool {
    let settled =
        |line: &CardStatus| matches!(line.condition, Condition::Online | Condition::Retired | Condition::Unmanaged);
    lines.iter().all(settled)
}

fn line(card: &CardAtAws) -> Option<CardStatus> {
    let (condition, advice) = judge(card)?;
    let activation = card.activation.as_ref();
    Some(CardStatus {
        card: card.card.name.clone(),
        recipe: card.card.recipe.clone(),
        serial: card.card.serial,
        state: card.card.state,
        condition,
        activation_id: activation.and_then(|activation| activation.id.clone()),
        region: activation.map(|activation| activation.region.clone()),
        expires: activation.and_then(|activation| activation.expires),
        node: card.node.clone(),
        advice,
    })
}

fn judge(at: &CardAtAws) -> Option<(Condition, Option<String>)> {
    let registrations = at.known.as_ref().map_or(0, |known| known.registrations);
    // The count outlives the node: it tells of a use even where the node was deregistered since.
    let used = at.node.is_some() || registrations > 0;
    let name = &at.card.name;
    let stranger = |why: String| {
        let node = at.node.as_ref().map_or_else(|| "the node".to_owned(), |node| node.id.clone());
        let advice =
            format!("{why}: find out who {node} is, then `aws ssm deregister-managed-instance --instance-id {node}`");
        Some((Condition::Stranger, Some(advice)))
    };
    match at.card.state {
        // A card that never became bootable cannot have registered.
        CardState::Failed | CardState::Reserved | CardState::Sealing if used => {
            let may_boot = at.activation.as_ref().is_some_and(|a| a.state == ActivationState::Uncertain);
            let why = if may_boot {
                "the card was never verified, but may have booted"
            } else {
                "the card was never finished"
            };
            return stranger(format!("its activation was used although {why}"));
        }
        CardState::Failed | CardState::Reserved | CardState::Sealing => return None,
        CardState::Retired => {
            let advice = at.node.as_ref().map(|_| format!("its node is still there: cardsmith fleet retire {name}"));
            return Some((Condition::Retired, advice));
        }
        CardState::Verified => {}
    }
    let Some(activation) = &at.activation else { return Some((Condition::Unmanaged, None)) };
    if !at.asked {
        return Some((Condition::Unknown, None));
    }
    let again = || Some(format!("retire it and write the card again: cardsmith fleet retire {name}"));
    if let Some(node) = &at.node {
        // The card is made, then verified, then booted: in any other order it was not this card.
        if node.registered.is_some_and(|registered| registered < at.card.began) {
            return stranger("it was registered before the card was made".to_owned());
        }
        if node.ping == "Online" {
            let other = (!node.host_name.is_empty() && !is_host(&node.host_name, name)).then(|| {
                format!("the node calls itself {}, the card is {name}: was its host name changed?", node.host_name)
            });
            return Some((Condition::Online, other));
        }
        return Some((Condition::Lost, Some("is it powered and on the network?".to_owned())));
    }
    // No node, but used: what registered is gone, and the activation is good for one registration only.
    if registrations > 0 {
        return Some((Condition::Deregistered, again()));
    }
    // AWS forgets expired activations after a while; then the ledger's date is all there is.
    let expired = at.known.as_ref().map_or_else(|| activation.expires.is_some_and(|time| time <= now()), |k| k.expired);
    Some(match (&at.known, expired) {
        (_, true) => (Condition::Expired, again()),
        (None, false) => (Condition::Deleted, again()),
        (Some(_), false) => (Condition::Waiting, None),
    })
}

/// Agents report a fully qualified name where the network gives one.
fn is_host(host: &str, card: &str) -> bool {
    host.split('.').next().is_some_and(|first| first.eq_ignore_ascii_case(card))
}
