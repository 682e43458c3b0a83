//! Literal secrets in a recipe: found before anything else is said of it, so that no later message shows one.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::secrets;

type Report<'a> = dyn FnMut(Range<usize>, String, &'static str) + 'a;

/// Reports every literal secret of a recipe, in words that do not repeat it.
pub(super) fn find(table: &DeTable<'_>, report: &mut Report<'_>) {
    const ELSEWHERE: &str = "a recipe is kept in git and copied into manifests. Activation codes belong in a file that is \
                             not in git (`[activation] from = \"file\"`, `--activations FILE`) or come from AWS \
                             (`from = \"aws\"`); AWS keys come from the SDK's usual places. Other secrets are \
                             named by reference: `psk = { env = \"WIFI_PSK\" }`, `{ file = \"wifi.psk\" }`, \
                             `{ ssm-parameter = \"/fleet/wifi/psk\" }`";
    for (key, value) in table {
        if secrets::is_secret_key(key.get_ref()) && !value.get_ref().is_table() {
            report(
                key.span(),
                format!("`{}` looks like a secret, and a recipe must not hold one", key.get_ref()),
                ELSEWHERE,
            );
        } else {
            find_secret_values(value, report);
        }
    }
}

fn find_secret_values(value: &Spanned<DeValue<'_>>, report: &mut Report<'_>) {
    match value.get_ref() {
        DeValue::String(text) if secrets::is_secret_value(text) => report(
            value.span(),
            "this value is a private key or an AWS key, and a recipe must not hold one".into(),
            "keep it in a file that is not in git; the golden image should not hold it either, as every card would share it",
        ),
        DeValue::Array(items) => items.iter().for_each(|item| find_secret_values(item, report)),
        DeValue::Table(table) => find(table, report),
        _ => {}
    }
}
