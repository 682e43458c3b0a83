//! What the screen shows: the slots, how many cards are done, and the last things that were said.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::units::ByteSize;

/// How many sentences are kept for the lower part of the screen.
const SAID: usize = 50;

/// How many warnings are kept for after the screen.
const WARNINGS: usize = 500;

/// Over how long a rate is taken: long enough for a card that pauses to collect garbage, short enough to be true.
const WINDOW: Duration = Duration::from_secs(8);

/// Everything that is shown.
#[derive(Debug, Default)]
pub struct Board {
    /// What is made.
    pub title: String,
    /// One per slot, from above.
    pub rows: Vec<Row>,
    /// How many cards are wanted, where it is known.
    pub wanted: Option<usize>,
    /// How many are verified.
    pub verified: usize,
    /// How many failed.
    pub failed: usize,
    /// What is shown instead of the keys once it ends.
    pub(super) ending: Option<&'static str>,
    pub(super) said: VecDeque<String>,
    warnings: Vec<String>,
    /// Warnings beyond those that are kept.
    warnings_more: usize,
}

impl Board {
    /// A board with these slots.
    pub fn new(title: String, slots: impl IntoIterator<Item = String>, wanted: Option<usize>) -> Board {
        let row = |name: String| Row { name, ..Row::default() };
        Board { title, wanted, rows: slots.into_iter().map(row).collect(), ..Board::default() }
    }

    /// Changes one row; nothing where there is none of this number.
    pub fn row(&mut self, row: usize, act: impl FnOnce(&mut Row)) {
        if let Some(row) = self.rows.get_mut(row) {
            act(row);
        }
    }

    /// Shows a sentence below the slots.
    pub fn say(&mut self, text: String) {
        // Retries say the same again and again, and would push out the rest.
        if self.said.back() != Some(&text) {
            self.said.push_back(text);
        }
        while self.said.len() > SAID {
            self.said.pop_front();
        }
    }

    pub(super) fn warn(&mut self, text: String) {
        if self.warnings.last() == Some(&text) {
            return;
        }
        match self.warnings.len() < WARNINGS {
            true => self.warnings.push(text),
            false => self.warnings_more += 1,
        }
    }

    /// The warnings so far; that there were more than are kept is one of them.
    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        let more = std::mem::take(&mut self.warnings_more);
        let mut warnings = std::mem::take(&mut self.warnings);
        if more > 0 {
            warnings.push(format!(
                "there were {more} more warnings, which were shown on the screen only; `2>FILE` keeps each of them"
            ));
        }
        warnings
    }
}

/// How a slot is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mark {
    /// Nothing is to be said of it.
    #[default]
    Quiet,
    /// A card is made.
    Busy,
    /// A person has to do something.
    Wants,
    /// The card in it is good.
    Pass,
    /// The card in it is not.
    Fail,
}

/// One slot.
#[derive(Debug, Default)]
pub struct Row {
    /// The slot's name.
    pub name: String,
    /// The card's name, once it has one.
    pub card: String,
    /// How it is doing.
    pub mark: Mark,
    /// What a person should know or do, where no work is under way.
    pub text: String,
    pub(super) work: Option<Work>,
}

impl Row {
    /// No work is under way, or any more.
    pub fn rest(&mut self, mark: Mark, text: impl Into<String>) {
        (self.mark, self.text, self.work) = (mark, text.into(), None);
    }

    pub(super) fn stage(&mut self, stage: String, total: Option<ByteSize>) {
        self.mark = Mark::Busy;
        self.work = Some(Work { stage, total, done: ByteSize(0), seen: VecDeque::from([(Instant::now(), 0)]) });
    }

    pub(super) fn at(&mut self, done: ByteSize) {
        if let Some(work) = &mut self.work {
            work.at(done, Instant::now());
        }
    }
}

/// A stage that is under way.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) stage: String,
    pub(super) total: Option<ByteSize>,
    pub(super) done: ByteSize,
    seen: VecDeque<(Instant, u64)>,
}

impl Work {
    fn at(&mut self, done: ByteSize, now: Instant) {
        self.done = self.total.map_or(done, |total| done.min(total));
        self.seen.push_back((now, self.done.0));
        // The first one that is older than the window stays: the rate is taken over the whole of it.
        while self.seen.len() > 2
            && (self.seen.len() > 1000
                || self.seen.get(1).is_some_and(|(then, _)| now.saturating_duration_since(*then) > WINDOW))
        {
            self.seen.pop_front();
        }
    }

    /// Bytes per second, once there is something to go by.
    pub(super) fn rate(&self, now: Instant) -> Option<u64> {
        let (first, from) = self.seen.front()?;
        let (_, to) = self.seen.back()?;
        // Up to now, not to the last news: a card that stalls gets slower while one looks on.
        let millis = u64::try_from(now.saturating_duration_since(*first).as_millis()).ok()?;
        (millis >= 500).then(|| to.saturating_sub(*from).saturating_mul(1000) / millis)
    }

    /// How long this stage still takes at its rate.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        let rate = self.rate(now).filter(|rate| *rate > 0)?;
        Some(Duration::from_secs(self.total?.0.saturating_sub(self.done.0) / rate))
    }

    /// From 0 to 100.
    pub(super) fn percent(&self) -> Option<u64> {
        Some(self.done.percent_of(self.total?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_seconds_and_falls_while_a_card_stalls() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut work =
            Work { stage: String::new(), total: Some(ByteSize(1000)), done: ByteSize(0), seen: [(start, 0)].into() };
        assert_eq!((work.rate(start), work.left(start), work.percent()), (None, None, Some(0)));
        for second in 1..=20 {
            work.at(ByteSize(second * 10), at(second));
        }
        assert_eq!((work.rate(at(20)), work.percent()), (Some(10), Some(20)));
        assert_eq!(work.left(at(20)), Some(Duration::from_secs(80)));
        assert!(work.rate(at(40)).unwrap() < 5);
        work.at(ByteSize(u64::MAX), at(40));
        assert_eq!(work.percent(), Some(100));
        assert!(work.seen.len() < 15);
    }

    #[test]
    fn what_is_said_is_bounded_and_not_repeated() {
        let mut board = Board::default();
        board.say("a".to_owned());
        board.say("a".to_owned());
        assert_eq!(board.said.len(), 1);
        (0..1000).for_each(|n| board.say(n.to_string()));
        assert_eq!((board.said.len(), board.said.back().unwrap().as_str()), (SAID, "999"));
    }
}
