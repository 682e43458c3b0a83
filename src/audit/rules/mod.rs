//! The rules, one file per subject. Each rule is a constant: its id, its page and the function that looks.

pub mod activation;
pub mod identity;
pub mod privilege;
pub mod residue;
pub mod ssm;
pub mod system;
pub mod traces;
