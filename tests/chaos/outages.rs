//! The vendor is gone for a while.

pub async fn a_namespace_goes_once_the_vendor_is_back() {}
