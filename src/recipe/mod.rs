//! The recipe: what to make of which image, as a TOML file kept in git. This room loads and checks it with messages
//! that point at line and column, and prints its JSON schema. It reads no image and never holds a secret.

mod card_name;
mod carried;
mod check;
mod expiry;
mod extends;
mod literal_secrets;
mod load;
mod loaded;
mod lock;
mod mistake;
mod positions;
mod reads;
mod region;
mod renamed;
mod resolved;
pub mod schema;
mod secret_patterns;
mod secret_ref;
mod template;
mod toml_errors;
mod wants;

pub(crate) use carried::mistakes_of_carried;
pub(crate) use check::keyboard_parts;

pub use card_name::{CardName, CardNameError, is_host_name};
pub use expiry::{Expiry, NotAnExpiry};
pub use load::{RecipeError, load, parse};
pub use loaded::{BaseRecipe, LoadedRecipe};
pub use lock::{Lock, LockError, check_lock, lock_path};
pub use mistake::Mistake;
pub(crate) use mistake::closest;
pub use region::is_region;
pub(crate) use renamed::recipe_of_manifest;
pub use resolved::{Resolved, Setting, resolve};
pub use schema::{ActivationFrom, Recipe};
pub use secret_ref::SecretRef;
pub use template::template;
pub use wants::{WantedRole, Wants};

/// The JSON schema of a recipe, for editors (`recipe schema`).
pub fn schema_json() -> serde_json::Value {
    schemars::schema_for!(Recipe).to_value()
}
