//! `cardsmith demo`: the whole way on a small image that is made on the spot.

mod files;
mod image;
mod machine;
