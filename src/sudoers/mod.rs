//! Reads sudoers the way sudo 1.9 does, and says who may become root and whether a password is asked for. Both the step
//! that hardens an image and the audit use it, so it knows no plans, no recipes and no file system: files come through
//! [`SudoersFiles`]. It never writes; every rule carries the exact bytes it stands on, so that others can edit them.
//!
//! Faithful to sudo 1.9.13 (grammar: sudoers(5); tokens, error recovery, matching and the order of Defaults were compared
//! with the real program on the corpus in `tests/corpus/sudoers`). Differences, all on the side of seeing more rules:
//! `APPARMOR_PROFILE=`, `PRIVS=` and `LIMITPRIVS=` are known although Debian's sudo is built without them. Network
//! addresses, netgroups and group plugins match nobody: an image has no network.

mod accounts;
mod evaluate;
mod fnmatch;
mod lex;
mod nesting;
mod parse;
mod patterns;
mod policy;
mod source;
mod time;

pub use accounts::{Account, Accounts, Group, Password};
pub use evaluate::{Command, Decision, Host, Whose};
pub use policy::{
    AliasKind, CommandMember, CommandName, DefaultsEntry, DefaultsValue, Digest, FileId, Grant, Member, Name, Policy,
    Privilege, Problem, ProblemKind, Rule, Scope, SourceFile, Span, Tag,
};
pub use source::{SudoersDirectory, SudoersFile, SudoersFiles, TreeFiles};
