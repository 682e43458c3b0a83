//! A picture of an image: where its partitions lie, and which bytes are used, edited, wiped or never written. SVG, made
//! to be understood at a glance: one bar to scale for the whole image, then one wide bar per partition.

use std::fmt::Write;

use crate::printable::Printable;
use crate::units::{ByteOffset, ByteRange, ByteSize};

/// What bytes are; where several apply, the last one in this order wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ink {
    /// Carries no meaning: never read, written or verified.
    Free,
    /// Carries meaning.
    Used,
    /// Held something that was wiped.
    Wiped,
    /// Was changed by the recipe.
    Edited,
}

impl Ink {
    const ALL: [Ink; 4] = [Ink::Used, Ink::Edited, Ink::Wiped, Ink::Free];

    fn colour(self) -> &'static str {
        match self {
            Ink::Free => "#eceff4",
            Ink::Used => "#4c78a8",
            Ink::Wiped => "#b8d8be",
            Ink::Edited => "#e4572e",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Ink::Free => "free, never written",
            Ink::Used => "used",
            Ink::Wiped => "wiped by the scrub",
            Ink::Edited => "edited by the recipe",
        }
    }
}

/// One partition of the picture.
#[derive(Debug, Clone)]
pub struct PartitionBar {
    /// "1 boot (FAT32)".
    pub label: String,
    /// Where it lies.
    pub range: ByteRange,
}

/// What to draw.
#[derive(Debug, Clone)]
pub struct Picture {
    /// The image's name.
    pub title: String,
    /// Its size.
    pub size: ByteSize,
    /// Its partitions.
    pub partitions: Vec<PartitionBar>,
    /// What its bytes are; anything not named is free.
    pub inked: Vec<(ByteRange, Ink)>,
}

/// Width and left edge of all bars, in the units of a view 1000 wide.
const WIDTH: u64 = 960;
const LEFT: u64 = 20;

impl Picture {
    /// The picture as SVG text.
    pub fn to_svg(&self) -> String {
        // 74 for each partition: a line of text, its bar, and air. 150 for title, overview and legend.
        let height = 150 + 74 * self.partitions.len();
        let mut svg = String::new();
        let _ = writeln!(
            svg,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 {height}" font-family="sans-serif" font-size="13" fill="#2e3440">
<title>Map of {title}</title>
<rect width="1000" height="{height}" fill="#ffffff"/>
<text x="{LEFT}" y="28" font-size="17" font-weight="bold">{title}</text>
<text x="980" y="28" text-anchor="end">{size}</text>"##,
            title = escape(&self.title),
            size = self.size
        );
        self.overview(&mut svg);
        // Below title and overview, which end at 108.
        for (index, partition) in self.partitions.iter().enumerate() {
            self.row(&mut svg, partition, 108 + 74 * index as u64);
        }
        // The legend. 7 units a letter is a guess: text has no width before it is drawn.
        let mut x = LEFT;
        let y = height - 18;
        for ink in Ink::ALL {
            let _ = writeln!(
                svg,
                r##"<rect x="{x}" y="{}" width="14" height="14" fill="{}" stroke="#d8dee9"/><text x="{}" y="{}">{}</text>"##,
                y - 12,
                ink.colour(),
                x + 20,
                y,
                ink.label()
            );
            x += 60 + 7 * ink.label().len() as u64;
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// The whole image to scale, partitions framed and numbered.
    fn overview(&self, svg: &mut String) {
        self.strip(svg, ByteRange { start: ByteOffset(0), len: self.size }, 44, 26);
        for partition in &self.partitions {
            let (x, end) = (self.column(partition.range.start.0), self.column(partition.range.end().0));
            // At least 2 wide: a boot partition would vanish on a card of 1 TB.
            let _ = writeln!(
                svg,
                r##"<rect x="{x}" y="44" width="{}" height="26" fill="none" stroke="#2e3440" stroke-width="1.5"><title>{}</title></rect>"##,
                end.saturating_sub(x).max(2),
                escape(&partition.label)
            );
        }
    }

    fn column(&self, at: u64) -> u64 {
        LEFT + scale(at, self.size.0, WIDTH)
    }

    fn row(&self, svg: &mut String, partition: &PartitionBar, y: u64) {
        // A sum for each kind of ink, at its place in the enum.
        let mut sums = [0u64; 4];
        for (inked, ink) in &self.inked {
            if let (Some(part), Some(sum)) = (inked.intersect(&partition.range), sums.get_mut(*ink as usize)) {
                *sum = sum.saturating_add(part.len.0);
            }
        }
        // Edited bytes are among the used ones, so they are not taken off a second time.
        let [_, used, wiped, edited] = sums;
        let free = partition.range.len.0.saturating_sub(used).saturating_sub(wiped);
        let _ = writeln!(
            svg,
            r##"<text x="{LEFT}" y="{}"><tspan font-weight="bold">{}</tspan> · {} · {} used, {} of it edited · {} never written</text>"##,
            y,
            escape(&partition.label),
            partition.range.len,
            ByteSize(used),
            ByteSize(edited),
            ByteSize(free.saturating_add(wiped)),
        );
        self.strip(svg, partition.range, y + 8, 34);
    }

    /// One bar: every pixel column has the ink of what is in it, so that a single edited block is seen.
    fn strip(&self, svg: &mut String, range: ByteRange, y: u64, height: u64) {
        let mut columns = vec![Ink::Free; WIDTH as usize];
        for (inked, ink) in &self.inked {
            let Some(part) = inked.intersect(&range) else { continue };
            let first = scale(part.start.0 - range.start.0, range.len.0, WIDTH);
            // `part` is not empty, so it has a last byte.
            let last = scale(part.end().0 - range.start.0 - 1, range.len.0, WIDTH);
            for column in columns.iter_mut().take(last as usize + 1).skip(first as usize) {
                *column = (*column).max(*ink);
            }
        }
        // Neighbouring columns of one ink become one rectangle: 960 of them would make a large file.
        let mut at = 0;
        while let Some(&ink) = columns.get(at) {
            let length = columns.iter().skip(at).take_while(|&&other| other == ink).count();
            let _ = writeln!(
                svg,
                r##"<rect x="{}" y="{y}" width="{length}" height="{height}" fill="{}"/>"##,
                LEFT + at as u64,
                ink.colour()
            );
            at += length;
        }
        let _ = writeln!(
            svg,
            r##"<rect x="{LEFT}" y="{y}" width="{WIDTH}" height="{height}" fill="none" stroke="#d8dee9"/>"##
        );
    }
}

fn scale(at: u64, whole: u64, width: u64) -> u64 {
    // 128 bits: a byte offset times a width leaves 64 bits for absurd images.
    let scaled = u128::from(at) * u128::from(width) / u128::from(whole.max(1));
    u64::try_from(scaled).unwrap_or(width).min(width)
}

fn escape(text: &str) -> String {
    // Labels can hold names from the image, and control characters are no XML.
    Printable::of(text).to_string().chars().fold(String::new(), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
        out
    })
}
