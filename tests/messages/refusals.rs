//! What is refused by its field, before any call.

use crate::Book;

pub fn all(_: &mut Book) {}
