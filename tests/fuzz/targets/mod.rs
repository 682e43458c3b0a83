//! What fuzzing does with an input, one function for each parser. Two programs run them: libFuzzer (`scripts/fuzz`, by the
//! tiny programs in fuzz_targets/), and the tests, which mutate the corpus for a second each. So nothing here knows of
//! libFuzzer, and all that is used of cardsmith is public.
//!
//! A panic is a finding, be it the parser's or that of a property which does not hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod activations;
mod bases;
mod bmap;
mod deb;
mod ext4;
mod fat;
mod first_boot;
mod golden;
mod image;
mod layered;
mod manifest;
mod mem_tree;
mod packed;
mod patches;
mod recipe;
mod seal;
mod signature;
mod sudoers;
mod table;

/// Something that reads what strangers wrote.
pub struct Target {
    /// As `scripts/fuzz --target` takes it: also the name of its program and of its directory in the corpus.
    pub name: &'static str,
    /// Runs it once. Panics where it finds something.
    pub run: fn(&[u8]),
    /// The largest input that makes sense, in bytes.
    pub longest: usize,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "activations", run: activations::run, longest: 4096 },
    Target { name: "bmap", run: bmap::run, longest: 8192 },
    Target { name: "deb", run: deb::run, longest: 8192 },
    Target { name: "ext4", run: ext4::run, longest: 256 },
    Target { name: "fat", run: fat::run, longest: 256 },
    Target { name: "first-boot", run: first_boot::run, longest: 4096 },
    Target { name: "golden", run: golden::run, longest: 128 },
    Target { name: "image", run: image::run, longest: 128 },
    Target { name: "manifest", run: manifest::run, longest: 16384 },
    Target { name: "packed", run: packed::run, longest: 8192 },
    Target { name: "recipe", run: recipe::run, longest: 8192 },
    Target { name: "signature", run: signature::run, longest: 4096 },
    Target { name: "sudoers", run: sudoers::run, longest: 4096 },
    Target { name: "table", run: table::run, longest: 256 },
];

/// Runs the target of this name.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("there is no target {name}")).run)(input);
}

/// The whole image that an input of `image` and `golden` means.
pub fn image_of(input: &[u8]) -> Vec<u8> {
    image::of_input(input).1.to_vec()
}
