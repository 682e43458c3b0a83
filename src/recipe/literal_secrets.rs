//! Literal secrets in a recipe: found before anything else is said of it, so that no later message shows one.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::secret_patterns;

type Report<'a> = dyn FnMut(Range<usize>, String, &'static str) + 'a;

/// Reports every literal secret of a recipe, in words that do not repeat it.
pub(super) fn report(table: &DeTable<'_>, out: &mut Report<'_>) {
    const ELSEWHERE: &str = "a recipe is kept in git and copied into manifests. Activation codes belong in a file that is \
                             not in git (`[activation] from = \"file\"`, `--activations FILE`) or come from AWS \
                             (`from = \"aws\"`); AWS keys come from the SDK's usual places. Other secrets are \
                             named by reference: `psk = { env = \"WIFI_PSK\" }`, `{ file = \"wifi.psk\" }`, \
                             `{ ssm-parameter = \"/fleet/wifi/psk\" }`";
    const HASH: &str = "write `password-hash` instead: `openssl passwd -6` or `mkpasswd -m yescrypt` asks for the password \
                        and prints its hash, which nobody can log in with";
    for (key, value) in table {
        if secret_patterns::is_secret_key(key.get_ref()) && !value.get_ref().is_table() {
            let is_login = matches!(key.get_ref().as_ref(), "password" | "passwd");
            out(
                key.span(),
                format!("`{}` looks like a secret, and a recipe must not hold one", key.get_ref()),
                if is_login { HASH } else { ELSEWHERE },
            );
        } else {
            report_values(value, out);
        }
    }
}

fn report_values(value: &Spanned<DeValue<'_>>, out: &mut Report<'_>) {
    match value.get_ref() {
        DeValue::String(text) if secret_patterns::is_secret_value(text) => out(
            value.span(),
            "this value is a private key, an AWS key or an address with a password, and a recipe must not hold one"
                .into(),
            "keep it in a file that is not in git; the golden image should not hold it either, as every card would share it",
        ),
        DeValue::Array(items) => items.iter().for_each(|item| report_values(item, out)),
        DeValue::Table(table) => report(table, out),
        _ => {}
    }
}
