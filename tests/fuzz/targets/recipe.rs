//! Recipes.

use std::path::Path;

use cardsmith::recipe::{CardName, LoadedRecipe, parse};

/// A recipe is refused with a place in it, or means the same when it is written down whole and read again.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let read = |text: &str| parse(text, Path::new("/nowhere/fuzz.toml"));
    match read(text) {
        Ok(loaded) => accepted(&loaded, &read),
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.help().is_empty(), "refused without a word: {error:?}");
        }
    }
}

fn accepted(loaded: &LoadedRecipe, read: &dyn Fn(&str) -> Result<LoadedRecipe, cardsmith::recipe::RecipeError>) {
    let name = CardName::parse(&loaded.recipe.card.name, &loaded.recipe.name).expect("the recipe was accepted with it");
    assert!(cardsmith::recipe::is_host_name(&name.of(1)).is_ok(), "not a host name: {:?}", name.of(1));
    let _ = cardsmith::golden::steps(loaded).len();
    // What comes from another file is not in this one.
    if loaded.base.is_some() {
        return;
    }
    let whole = toml::to_string(&loaded.recipe).expect("plain data");
    match read(&whole) {
        Ok(again) => assert_eq!(toml::to_string(&again.recipe).expect("plain data"), whole),
        Err(error) => panic!("accepted, but not when it is written down whole: {error}\n{whole}"),
    }
}
