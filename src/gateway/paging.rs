//! The bounds of a listing. An answer has a size limit and a timeout of its own; a listing of endless pages would
//! still take all memory and never end, so all its pages together have limits, too.

use super::http::Answer;
use crate::plan::fault::{Fault, FaultKind};
use std::time::Duration;
use tokio::time::Instant;

/// Limit of the rows of a listing: more keys than any account should have, and few enough to be held in memory.
pub const MOST_ROWS: usize = 60_000;
/// The fault of a listing with more rows.
pub const TOO_MANY_ROWS: Fault =
    Fault::without_effect(FaultKind::Malformed("a listing has more than 60,000 entries"));
/// Limit of the pages of a listing.
const MOST_PAGES: usize = 1000;
/// Limit of the bytes of all pages of a listing.
const MOST_BYTES: usize = 24 * 1024 * 1024;
/// Timeout of a listing, all its pages together.
const LONGEST: Duration = Duration::from_secs(120);

/// A listing that is being read page by page.
pub struct Paging {
    began: Instant,
    pages: usize,
    bytes: usize,
    rows: usize,
}

impl Paging {
    /// Begins a listing.
    pub fn begin() -> Self {
        Self { began: Instant::now(), pages: 0, bytes: 0, rows: 0 }
    }

    /// Counts a page. Fails if the listing as a whole becomes too large or takes too long.
    pub fn page(&mut self, answer: &Answer, rows: usize) -> Result<(), Fault> {
        self.pages += 1;
        self.bytes += answer.bytes().len();
        self.rows += rows;
        if self.rows > MOST_ROWS {
            return Err(TOO_MANY_ROWS);
        }
        let kind = if self.pages >= MOST_PAGES {
            FaultKind::Malformed("a listing has 1,000 pages or more")
        } else if self.bytes > MOST_BYTES {
            FaultKind::Malformed("a listing is larger than 24 MiB")
        } else if self.began.elapsed() > LONGEST {
            FaultKind::Malformed("a listing was not at its end after 120 s")
        } else {
            return Ok(());
        };
        Err(Fault::without_effect(kind))
    }
}
