//! How cards and activations are named in the ledger, and what can become of them.

use std::fmt;

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::Serialize;

/// A card in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardKey(pub(super) i64);

/// An activation in the ledger; it has one before AWS is asked, when there is no id yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActivationKey(pub(super) i64);

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// The word for it, as in the ledger, in JSON and in tables.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                match value.as_str()? {
                    $($word => Ok($name::$variant),)+
                    _ => Err(FromSqlError::InvalidType),
                }
            }
        }
    };
}

words! {
    /// What became of a card.
    CardState {
        /// It has a number; its first MiB is zero or will be before anything else is written: no Pi can boot it.
        Reserved = "reserved",
        /// Everything else was verified; the first MiB is being written. From here on it may boot.
        Sealing = "sealing",
        /// All of it was read back. It counts as handed out.
        Verified = "verified",
        /// It failed, or its run died. Its number is free for its replacement.
        Failed = "failed",
        /// It was taken out of service. Its number stays taken.
        Retired = "retired",
    }
}

words! {
    /// What became of an activation.
    ActivationState {
        /// AWS is about to be asked, or is being asked.
        Intended = "intended",
        /// AWS was asked and no answer came: there may be one, to be found by its description.
        Lost = "lost",
        /// It exists; its card is being made.
        Issued = "issued",
        /// A verified card holds it.
        Held = "held",
        /// No verified card holds it: it must be deleted at AWS and is not yet.
        Due = "due",
        /// AWS says that it is gone.
        Deleted = "deleted",
        /// It never came to exist.
        None = "none",
        /// A row of a file that no bootable card holds: free again.
        Returned = "returned",
        /// A row of a file that may be on a bootable card that was never verified: not used again.
        Uncertain = "uncertain",
    }
}

words! {
    /// Who issued an activation.
    Source {
        /// AWS, when the card was made.
        Aws = "aws",
        /// A file of pre-issued ones.
        File = "file",
    }
}

/// What is on the medium of a card that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bootability {
    /// Its first MiB is zero: no Pi will boot it.
    CannotBoot,
    /// Its first MiB was written, or may have been.
    MayBoot,
}

/// A serial number: SQLite knows no unsigned ones.
pub(super) fn serial(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}
