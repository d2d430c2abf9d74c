//! Two operators where there should be one.

pub async fn paused() {}
pub async fn two_at_once() {}
