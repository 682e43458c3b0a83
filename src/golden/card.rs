//! A card's image: the golden image and, in a small overlay on top, what only this card has.

use std::sync::Arc;

use aho_corasick::AhoCorasick;

use super::error::GoldenError;
use super::map::mapped_runs;
use super::prove::prove_card;
use super::{Golden, apply, layout};
use crate::activation::Activation;
use crate::fs::clock::Clock;
use crate::fs::scrub::{inside, scrub_touched};
use crate::image::{BlockMap, ByteRange, Overlay, ReadAt};
use crate::prepare::card::{CardIdentity, card_edits};
use crate::progress::{Progress, Silent};

/// One card, ready to be written. It holds the activation's code in its overlay, and shows it to nobody.
pub struct CardImage {
    /// The golden image with this card's edits.
    pub image: Arc<Overlay>,
    /// What must be on the medium, with digests.
    pub map: BlockMap,
    /// Where it differs from the golden image.
    pub changed: Vec<ByteRange>,
}

impl Golden {
    /// Makes one card's image. Nothing but a few KiB is read or written.
    ///
    /// # Errors
    /// [`GoldenError`]; the golden image is not changed in any case.
    pub fn card(&self, identity: &CardIdentity, activation: Option<&Activation>) -> Result<CardImage, GoldenError> {
        let name = format!("the golden image for {}", identity.name);
        let io = |source| GoldenError::Io { doing: format!("make the image of card {}", identity.name), source };
        let fs = |doing| move |source| GoldenError::Fs { image: "the card's image".to_owned(), doing, source };

        let clock = Clock { seconds: self.manifest.clock };
        let opened = layout::open(self.image.clone(), &name, Some(clock))?;
        let plan = card_edits(&opened.root, &opened.boot, identity, activation)
            .map_err(|source| GoldenError::Step { step: "card", source })?;
        apply::apply(&plan, &opened.root, &opened.boot)?;

        // The code went through the journal; it may stand in its file and nowhere else.
        let mut quiet = Silent.task("", None);
        let touched = opened.overlay.changed();
        for (partition, doing) in [
            (&opened.root_partition, "scrub the root file system"),
            (&opened.boot_partition, "scrub the boot file system"),
        ] {
            let touched = inside(&touched, partition.range);
            scrub_touched(opened.window(partition)?, &touched, quiet.as_mut()).map_err(fs(doing))?;
        }
        prove_card(&opened, &plan)?;

        let changed = opened.overlay.differing().map_err(io)?;
        if let Some(activation) = activation {
            let times = occurrences(&*opened.overlay, &changed, activation.code.expose().as_bytes()).map_err(io)?;
            if times != 1 {
                let what =
                    format!("the activation code stands {times} times on the card; it must be there exactly once");
                return Err(GoldenError::Check { check: "one code on one card", what });
            }
        }
        let map = self.manifest.map.amended(&*opened.overlay, &mapped_runs(&opened)?, &changed).map_err(io)?;
        Ok(CardImage { image: opened.overlay, map, changed })
    }
}

/// How often `text` stands in the changed runs. The golden image below was searched before there was a code.
fn occurrences(image: &dyn ReadAt, changed: &[ByteRange], text: &[u8]) -> std::io::Result<usize> {
    let automaton = AhoCorasick::new([text]).map_err(std::io::Error::other)?;
    let mut times = 0;
    for run in changed {
        let mut bytes = zeroize::Zeroizing::new(vec![0; usize::try_from(run.len.0).map_err(std::io::Error::other)?]);
        image.read_at(run.start, &mut bytes)?;
        times += automaton.find_iter(bytes.as_slice()).count();
    }
    Ok(times)
}
