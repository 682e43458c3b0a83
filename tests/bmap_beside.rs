//! A `.bmap` that comes with an image, as the real `bmaptool create` writes it: honoured with its checksums.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use cardsmith::image::ReadAt;
use cardsmith::progress::Silent;
use cardsmith::source::{self, SourceError};
use cardsmith::units::ByteOffset;
use tempfile::TempDir;

use crate::support::binary::Home;
use crate::support::{PiImage, need, need_builder, path, run};

/// A sparse image with two runs of data, and its map by bmaptool.
fn image_with_map() -> (TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("base.img");
    let file = File::create(&image).unwrap();
    file.set_len((8 << 20) + 1000).unwrap();
    file.write_all_at(&[7; 10_000], 0).unwrap();
    file.write_all_at(&[9; 700], (8 << 20) + 300).unwrap();
    let map = dir.path().join("base.bmap");
    run(Command::new("bmaptool").args(["create", "-o"]).arg(&map).arg(&image).env("PATH", path()));
    (dir, image, map)
}

fn open(image: &Path) -> Result<Arc<dyn ReadAt>, SourceError> {
    let (dir, name) = (image.parent().unwrap(), image.file_name().unwrap().to_str().unwrap());
    source::open(name, None, dir, &dir.join("cache"), &Silent).map(|opened| opened.image)
}

fn bytes(image: &dyn ReadAt) -> Vec<u8> {
    let mut bytes = vec![0; image.size().0 as usize];
    image.read_at(ByteOffset(0), &mut bytes).unwrap();
    bytes
}

fn change(path: &Path, at: u64, byte: u8) {
    File::options().write(true).open(path).unwrap().write_all_at(&[byte], at).unwrap();
}

fn refusal(image: &Path) -> String {
    open(image).err().expect("refused").to_string()
}

#[test]
fn what_a_map_does_not_list_is_free_and_what_it_lists_is_verified() {
    if !need("bmaptool") {
        return;
    }
    let (_dir, image, map) = image_with_map();
    let expected = fs::read(&image).unwrap();
    change(&image, 4 << 20, 5);
    assert_eq!(bytes(&*open(&image).unwrap()), expected, "garbage outside of the map");

    change(&image, (8 << 20) + 999, 5);
    let said = refusal(&image);
    assert!(said.contains("another checksum") && said.contains("base.bmap"), "{said}");
    fs::remove_file(&map).unwrap();
    assert_eq!(bytes(&*open(&image).unwrap())[4 << 20], 5, "without the map the image is what it is");
}

#[test]
fn a_map_is_found_beside_a_packed_image_and_belongs_to_what_comes_out() {
    if !need("bmaptool") || !need("xz") {
        return;
    }
    let (dir, image, _map) = image_with_map();
    let expected = fs::read(&image).unwrap();
    change(&image, 4 << 20, 5);
    run(Command::new("xz").arg("-0").arg(&image));
    let packed = dir.path().join("base.img.xz");
    for _ in ["decoded", "from the cache"] {
        assert_eq!(bytes(&*open(&packed).unwrap()), expected);
    }
    // A nearer name goes first.
    fs::write(dir.path().join("base.img.xz.bmap"), "<bmap/>").unwrap();
    assert!(refusal(&packed).contains("base.img.xz.bmap"));
}

#[test]
fn a_map_that_was_edited_or_is_another_image_s_is_refused() {
    if !need("bmaptool") {
        return;
    }
    let (_dir, image, map) = image_with_map();
    let text = fs::read_to_string(&map).unwrap();
    assert!(text.contains("chksum="), "{text}");
    let cases = [
        (text.replacen("> 0-2 <", "> 0-1 <", 1), "checksum"),
        (text.replacen("</bmap>", "<!-- --></bmap>", 1), "checksum"),
        (text[..text.len() / 2].to_owned(), "not usable"),
        ("<bmap version=\"9.0\"></bmap>".to_owned(), "9.0"),
        (String::new(), "not usable"),
    ];
    for (changed, expected) in cases {
        assert_ne!(changed, text);
        fs::write(&map, &changed).unwrap();
        let said = refusal(&image);
        assert!(said.contains(expected) && said.contains("base.bmap"), "{said}");
    }
    fs::write(&map, &text).unwrap();
    File::options().write(true).open(&image).unwrap().set_len(9 << 20).unwrap();
    let said = refusal(&image);
    assert!(said.contains("it is for an image of 8389608 bytes"), "{said}");
}

#[test]
fn maps_of_format_1_3_are_honoured_as_bmaptool_does() {
    if !need("bmaptool") || !need("sha1sum") {
        return;
    }
    let (dir, image, map) = image_with_map();
    let sha1 = |bytes: &[u8]| {
        let file = dir.path().join("part");
        fs::write(&file, bytes).unwrap();
        let said = run(Command::new("sha1sum").arg(&file)).stdout;
        String::from_utf8(said).unwrap().split_whitespace().next().unwrap().to_owned()
    };
    let whole = fs::read(&image).unwrap();
    let zeros = "0".repeat(40);
    let text = format!(
        "<bmap version=\"1.3\">\n<ImageSize> {} </ImageSize>\n<BlockSize> 4096 </BlockSize>\n\
         <BlocksCount> 2049 </BlocksCount>\n<MappedBlocksCount> 4 </MappedBlocksCount>\n\
         <BmapFileSHA1> {zeros} </BmapFileSHA1>\n<BlockMap>\n<Range sha1=\"{}\"> 0-2 </Range>\n\
         <Range sha1=\"{}\"> 2048 </Range>\n</BlockMap>\n</bmap>\n",
        whole.len(),
        sha1(&whole[..3 * 4096]),
        sha1(&whole[8 << 20..]),
    );
    fs::write(&map, text.replacen(&zeros, &sha1(text.as_bytes()), 1)).unwrap();
    let copy = dir.path().join("copy.img");
    run(Command::new("bmaptool").args(["copy", "--bmap"]).arg(&map).arg(&image).arg(&copy).env("PATH", path()));
    assert_eq!(bytes(&*open(&image).unwrap()), whole);
    change(&image, 3 * 4096 - 1, 1);
    assert!(refusal(&image).contains("another checksum"));
}

#[test]
fn a_golden_image_is_made_by_the_map_or_not_at_all() {
    if !need("bmaptool") || !need_builder() {
        return;
    }
    let home = Home::new();
    let base = PiImage::fresh().build();
    fs::copy(base.path(), home.path("base.img")).unwrap();
    run(Command::new("fallocate").args(["--dig-holes"]).arg(home.path("base.img")));
    let map = home.path("base.img.bmap");
    run(Command::new("bmaptool").args(["create", "-o"]).arg(&map).arg(home.path("base.img")).env("PATH", path()));
    fs::write(home.path("r.toml"), "name = \"map\"\n[image]\nsource = \"base.img\"\n").unwrap();
    let made = home.run(["golden", "r.toml", "--out", "golden.img"]).succeeds();
    assert!(made.err.contains("every range has its checksum"), "{}", made.err);

    // The first block that is mapped holds the partition table; this byte is boot code.
    change(&home.path("base.img"), 3, 0x77);
    let refused = home.run(["golden", "r.toml", "--out", "other.img"]).fails_with(1);
    assert!(refused.err.contains("another checksum"), "{}", refused.err);
    let flashed = home.run(["flash", "r.toml", "--to", "card.img"]).fails_with(1);
    assert!(flashed.err.contains("another checksum"), "{}", flashed.err);
    let left: Vec<_> = fs::read_dir(home.path(".")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name == "other.img" || name == "card.img" || name == "other.manifest.json"));
}
