//! A card's image: the golden image and, in a small overlay on top, what only this card has.

use std::sync::Arc;

use super::error::GoldenError;
use super::image::Golden;
use super::map::mapped_runs;
use super::prove::prove_card;
use super::{apply, editable};
use crate::activation::Activation;
use crate::fs::clock::Clock;
use crate::fs::scrub::{inside, scrub_touched};
use crate::image::{BlockMap, Overlay, ReadAt};
use crate::prepare::StepError;
use crate::progress::{Progress, Silent};
use crate::provision::card::{CardIdentity, CardOwn, card_edits};
use crate::recipe::schema::Wifi;
use crate::secrets::{CardSecrets, Secret};
use crate::units::ByteRange;

/// One card, ready to be written. It holds secrets in its overlay, the activation's code first of all, and shows
/// them to nobody.
pub struct CardImage {
    /// The golden image with this card's edits.
    pub image: Arc<Overlay>,
    /// What must be on the medium, with digests.
    pub map: BlockMap,
    /// Where it differs from the golden image.
    pub changed: Vec<ByteRange>,
}

impl Golden {
    /// Makes one card's image. Some MiB are read, a few KiB are written.
    ///
    /// # Errors
    /// [`GoldenError`]; the golden image is not changed in any case.
    pub fn card(
        &self,
        identity: &CardIdentity,
        activation: Option<&Activation>,
        secrets: &CardSecrets,
    ) -> Result<CardImage, GoldenError> {
        let made = self.edited_for(identity, activation, secrets);
        // A golden image that rotted explains whatever else is wrong.
        let io = |source| GoldenError::Io { doing: format!("make the image of card {}", identity.name), source };
        self.verified().check().map_err(io)?;
        made
    }

    /// The card's image, made of bytes of which it is not known yet that they are the golden image's.
    fn edited_for(
        &self,
        identity: &CardIdentity,
        activation: Option<&Activation>,
        secrets: &CardSecrets,
    ) -> Result<CardImage, GoldenError> {
        let name = format!("the golden image for {}", identity.name);
        let io = |source| GoldenError::Io { doing: format!("make the image of card {}", identity.name), source };
        let fs = |doing| move |source| GoldenError::Fs { image: "the card's image".to_owned(), doing, source };

        let clock = Clock { seconds: self.manifest.clock };
        // The file systems were checked whole when the golden image was made, and whatever is read here is compared with
        // the digest that it had then: to check them again for each card would find nothing else.
        let opened = editable::open_proven(self.verified(), &name, clock)?;
        let step = |source| GoldenError::Step { step: "card", source };
        let own = CardOwn { activation, wifi: self.wifi(secrets).map_err(step)? };
        let edits = card_edits(&opened.root, &opened.boot, identity, own).map_err(step)?;
        let plan = &edits.plan;
        apply::apply(plan, &opened.root, &opened.boot)?;

        // The secrets went through the journal; each may stand in its file and nowhere else. It is some milliseconds of
        // work, for which a bar would only flicker.
        let mut quiet = Silent.task("", None);
        let touched = opened.overlay.changed();
        for (partition, doing) in [
            (&opened.root_partition, "scrub the root file system"),
            (&opened.boot_partition, "scrub the boot file system"),
        ] {
            let touched = inside(&touched, partition.range);
            scrub_touched(opened.window(partition)?, &touched, quiet.as_mut()).map_err(fs(doing))?;
        }
        prove_card(&opened, plan)?;

        let changed = opened.overlay.differing().map_err(io)?;
        for secret in &edits.secrets {
            let times = occurrences(&*opened.overlay, &changed, &secret.bytes).map_err(io)?;
            // None is as bad as too many: then the edit did not reach the card, or this search does not see it.
            if times == 0 || times > secret.times {
                let what =
                    format!("the {} stands {times} times on the card; it must be there exactly once", secret.what);
                return Err(GoldenError::Check { check: "each secret once on one card", what });
            }
        }
        // Only what changed is hashed again; a card may cost 100 ms beyond its writing.
        let map = self.manifest.map.amended(&*opened.overlay, &mapped_runs(&opened)?, &changed).map_err(io)?;
        // Whoever writes the card compares what it reads itself, and must not pay for that twice.
        let image = Arc::new(Overlay::new(self.image()).map_err(io)?);
        for run in &changed {
            opened.overlay.copy_to(&image, *run).map_err(io)?;
        }
        Ok(CardImage { image, map, changed })
    }
}

impl Golden {
    fn wifi<'a>(&'a self, secrets: &'a CardSecrets) -> Result<Option<(&'a Wifi, &'a Secret)>, StepError> {
        let network = self.manifest.recipe.network.as_ref();
        match (network.and_then(|network| network.wifi.as_ref()), &secrets.wifi_psk) {
            // A password that the golden image's recipe does not ask for goes onto no card.
            (None, _) => Ok(None),
            (Some(wifi), Some(psk)) => Ok(Some((wifi, psk))),
            // Without it the card would be written, shipped, and never come online.
            (Some(wifi), None) => Err(StepError::Refused {
                what: format!("the password of the Wi-Fi network {:?} was not looked up", wifi.ssid),
                next: "please report this as a bug of cardsmith".to_owned(),
            }),
        }
    }
}

/// How often `text` stands in the changed runs. The golden image below was searched before there was a code.
fn occurrences(image: &dyn ReadAt, changed: &[ByteRange], text: &[u8]) -> std::io::Result<usize> {
    let finder = memchr::memmem::Finder::new(text);
    let mut times = 0;
    for run in changed {
        // The runs hold the secret, so this copy of them is wiped.
        let mut bytes = zeroize::Zeroizing::new(vec![0; usize::try_from(run.len.0).map_err(std::io::Error::other)?]);
        image.read_at(run.start, &mut bytes)?;
        times += finder.find_iter(&bytes).count();
    }
    Ok(times)
}
