//! Hardening: who may become root on the image, and what the first boot would add to that.
//! It reads sudoers as sudo does and proposes edits that take the secret-less ways to root away, or stops where that would
//! lock everybody out. It writes nothing, and makes no users.

pub mod sudoers;
