//! Whole images, as `inspect`, `plan` and `audit` read them.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use cardsmith::audit::{AuditOptions, audit};
use cardsmith::golden::{editable, plan};
use cardsmith::image::{ReadAt, Window, WriteAt};
use cardsmith::inspect::facts;
use cardsmith::recipe::{LoadedRecipe, parse};
use cardsmith::units::ByteRange;

use super::bases::{self, ROOT_AT};
use super::ext4::CLOCK;
use super::layered::Layered;
use super::patches::{Header, patched};
use super::seal::Seals;

pub const RECIPE: &str = "name = \"fuzz\"\n[image]\nsource = \"base.img\"\n[sudo]\nlockout = \"accept\"\n\
                          [card]\nname = \"kiosk-{serial}\"\n";

/// The image that an input means.
pub fn of_input(input: &[u8]) -> (Header, Arc<Layered>) {
    static SEALS: OnceLock<Option<Seals>> = OnceLock::new();
    let (header, rest) = Header::take(input);
    let image = Arc::new(patched(bases::whole(), rest));
    if header.seals()
        && let Some(seals) = SEALS.get_or_init(|| Seals::of(bases::pi()))
    {
        let root = ByteRange::new(ROOT_AT as u64, bases::pi().bytes.len() as u64);
        let whole: Arc<dyn WriteAt> = image.clone();
        seals.put(&Window::new(whole, root).expect("it is inside"));
    }
    (header, image)
}

pub fn run(input: &[u8]) {
    let (header, image) = of_input(input);
    let image: Arc<dyn ReadAt> = image;
    if let Ok(opened) = editable::open(image.clone(), "fuzz.img", Some(CLOCK)) {
        let _ = facts(&opened.root, &opened.boot);
        let _ = plan(&opened.root, &opened.boot, recipe(), CLOCK);
    }
    let options = AuditOptions { deep: header.flag(0), ..AuditOptions::default() };
    let _ = audit(&image, image.clone(), &options);
}

fn recipe() -> &'static LoadedRecipe {
    static RECIPE_READ: OnceLock<LoadedRecipe> = OnceLock::new();
    RECIPE_READ.get_or_init(|| parse(RECIPE, Path::new("/nowhere/fuzz.toml")).expect("the recipe is right"))
}
