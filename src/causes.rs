//! An error and its causes as one line, for records and messages that have room for no more.

use std::error::Error;

/// `error` and its causes, from the nearest to the farthest, separated by colons. What a text says already, because it
/// quotes its cause, is not said again.
pub(crate) fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Transparent errors have the text of their cause.
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
