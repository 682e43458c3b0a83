//! Rules that read any image, golden or card, and report findings. It shares no code with the writing side
//! ([`crate::prepare`], [`crate::fs`]): it reads ext4 with `ext4-view`, so that one mistake is not made twice.
//! It never writes.
