//! How many cards are wanted, under way and done, for all slots together.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::flash::receipt::Receipt;

/// Whether a slot may begin a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// It may, and the card is counted as under way.
    Yes,
    /// Enough are under way; one of them may still fail.
    NotNow,
    /// There are enough.
    Never,
}

pub(super) struct CardCount {
    /// `None`: as many as come.
    wanted: Option<usize>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    under_way: usize,
    verified: usize,
    receipts: Vec<Receipt>,
}

impl CardCount {
    pub(super) fn new(wanted: Option<usize>) -> CardCount {
        CardCount { wanted, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a card to be under way. After [`Claim::Yes`] exactly one of [`CardCount::put_back`] and [`CardCount::ended`] follows.
    pub(super) fn claim(&self) -> Claim {
        let mut state = self.state();
        match self.wanted {
            Some(wanted) if state.verified >= wanted => Claim::Never,
            Some(wanted) if state.verified + state.under_way >= wanted => Claim::NotNow,
            _ => {
                state.under_way += 1;
                Claim::Yes
            }
        }
    }

    /// Whether there are enough verified cards.
    pub(super) fn is_done(&self) -> bool {
        self.wanted.is_some_and(|wanted| self.state().verified >= wanted)
    }

    /// Whether more cards are wanted than are verified and under way.
    pub(super) fn wants_more(&self) -> bool {
        let state = self.state();
        self.wanted.is_none_or(|wanted| state.verified + state.under_way < wanted)
    }

    /// The card was not begun after all.
    pub(super) fn put_back(&self) {
        let mut state = self.state();
        state.under_way = state.under_way.saturating_sub(1);
    }

    /// The card ended. A card that failed does not count.
    pub(super) fn ended(&self, receipt: Receipt) {
        let mut state = self.state();
        state.under_way = state.under_way.saturating_sub(1);
        state.verified += usize::from(receipt.failure().is_none());
        state.receipts.push(receipt);
    }

    /// Looks through the receipts so far.
    pub(super) fn find<T>(&self, what: impl FnMut(&Receipt) -> Option<T>) -> Option<T> {
        self.state().receipts.iter().find_map(what)
    }

    /// The receipts so far that say something about a card, copied, so that nobody waits while cards are read.
    pub(super) fn verified(&self) -> Vec<Receipt> {
        self.state().receipts.iter().filter(|receipt| receipt.failure().is_none()).cloned().collect()
    }

    pub(super) fn into_receipts(self) -> Vec<Receipt> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).receipts
    }
}
