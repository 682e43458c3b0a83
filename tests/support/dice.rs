//! Dice that fall the same way each time: xorshift64*. And the changes to bytes that find most.

pub struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    pub fn new(seed: u64) -> Dice {
        // splitmix64: neighbours shall not begin alike, and no state may be 0.
        let mut state = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Dice { seed: state >> 24, state: state | 1 }
    }

    /// A number made of the seed it was given, short enough to be typed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// From 0 to below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 20) as usize % sides.max(1)
    }

    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.roll(choices.len())]
    }
}

/// One of `corpus`, changed a few times: bits, bytes, numbers at an edge, pieces that are lost, repeated, or come from
/// elsewhere.
pub fn mutated(corpus: &[Vec<u8>], longest: usize, dice: &mut Dice) -> Vec<u8> {
    const EDGES: [&[u8]; 8] =
        [&[0], &[0xFF], &[0x7F], &[0x80], &[0xFF; 4], &[0, 0, 0, 0x80], b"99999999999999999999", b"\n"];
    let mut bytes = dice.one_of(corpus).clone();
    for _ in 0..=dice.roll(5) {
        let at = dice.roll(bytes.len() + 1);
        let len = dice.roll(16.min(bytes.len() - at) + 1);
        match dice.roll(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
            1 if at < bytes.len() => bytes[at] = dice.roll(256) as u8,
            2 => {
                let fresh: Vec<u8> = (0..=dice.roll(8)).map(|_| dice.roll(256) as u8).collect();
                bytes.splice(at..at, fresh).for_each(drop);
            }
            3 => bytes.drain(at..at + len).for_each(drop),
            4 => {
                let piece = bytes[at..at + len].repeat(1 + dice.roll(40));
                bytes.splice(at..at, piece).for_each(drop);
            }
            5 => {
                let edge = dice.one_of(&EDGES);
                let end = (at + edge.len()).min(bytes.len());
                bytes.splice(at..end, edge.iter().copied()).for_each(drop);
            }
            _ => {
                let other = dice.one_of(corpus);
                let from = dice.roll(other.len() + 1);
                bytes.splice(at.., other[from..].iter().copied()).for_each(drop);
            }
        }
    }
    bytes.truncate(longest);
    bytes
}
