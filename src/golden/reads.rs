//! What is read for a golden image, which is never one of its outputs.

use std::path::Path;

use super::manifest::Manifest;
use super::signature::signature_path;
use crate::inputs::Inputs;
use crate::recipe::LoadedRecipe;
use crate::source::{Location, map_beside};

/// What is read to make the golden image of a recipe.
pub fn reads_for(recipe: &LoadedRecipe) -> Inputs {
    let mut inputs = Inputs::default();
    inputs.add_all(recipe.reads());
    // Where the source is no path it has no map beside it, and what is joined here is not there.
    if let Ok(Location::File(source)) = Location::parse(&recipe.recipe.image.source)
        && let Some(map) = map_beside(&recipe.beside(source))
    {
        inputs.add(&map, "the block map of the base image");
    }
    inputs
}

/// What is read to make cards from the golden image of a manifest that is a file.
pub fn reads_for_manifest(path: &Path, manifest: &Manifest) -> Inputs {
    let mut inputs = Inputs::default();
    inputs.add(path, "the manifest");
    inputs.add(&signature_path(path), "the manifest's signature");
    if let Some(image) = &manifest.image.file {
        inputs.add(&path.with_file_name(image), "the golden image");
    }
    inputs.add_all(manifest.recipe.reads(path.parent().unwrap_or(Path::new(""))));
    inputs
}
