//! Files of pre-issued activations, CSV and JSON.

use std::collections::HashSet;
use std::io::Write;

use cardsmith::activation::ActivationFile;

/// No error repeats what stands in a cell: a code may stand in the wrong column.
pub fn run(input: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(input).expect("room for it");
    match ActivationFile::open(file.path()) {
        Ok(activations) => {
            let mut ids = HashSet::new();
            for row in activations.rows() {
                assert!(ids.insert(row.id.to_ascii_lowercase()), "two rows have the id {}", row.id);
                let activation = activations.activation(&row.id).expect("each row has its activation");
                let code = activation.code.expose();
                assert!((20..=250).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_graphic()), "not a code");
            }
            for warning in activations.warnings() {
                no_code(warning, input);
            }
        }
        Err(error) => {
            let mut said = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                said += &error.to_string();
                source = error.source();
            }
            no_code(&said, input);
        }
    }
}

/// Nothing that could be a code is in `said`. Ids are public.
fn no_code(said: &str, input: &[u8]) {
    const WORDS: [&str; 1] = ["activation_id,activation_code,region"];
    let cells = input.split(|&b| b == b',' || b == b'"' || b.is_ascii_control() || b == b' ');
    for cell in cells.filter(|cell| (20..=250).contains(&cell.len()) && cell.iter().all(u8::is_ascii_graphic)) {
        let cell = String::from_utf8_lossy(cell);
        let is_id = cell.len() == 36 && cell.bytes().filter(|&b| b == b'-').count() == 4;
        assert!(is_id || WORDS.iter().any(|word| word.contains(&*cell)) || !said.contains(&*cell), "said: {said}");
    }
}
