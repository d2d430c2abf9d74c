//! Eden AI: two APIs that keep keys of their own. What both tell of budgets and spending is `budget` and `cost`.

mod budget;
mod cost;
pub mod v2;
pub mod v3;
