//! Eden AI: two APIs with separate keys. What they have in common is in `budget` and `cost`.

mod budget;
mod cost;
pub mod v2;
pub mod v3;
