//! Secrets and ids that are visibly fake, and the same on every run.

/// A secret. It carries its serial, so that the lookup of its key stays cheap with many keys.
pub(super) fn forge(prefix: &str, serial: u64, salt: &str) -> String {
    format!("{prefix}{serial}-{:016x}", fingerprint(salt))
}

/// The serial in a secret. It proves nothing: the lookup compares the rest as well.
pub(super) fn serial_of(prefix: &str, secret: &str) -> Option<u64> {
    secret.strip_prefix(prefix)?.split('-').next()?.parse().ok()
}

/// An id in the form of a UUID, derived from a text.
pub(super) fn uuid(text: &str) -> String {
    let (high, low) = (fingerprint(text), fingerprint(&format!("{text}, low half")));
    format!(
        "{:08x}-{:04x}-4{:03x}-9{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

/// The last four characters of a secret, by which vendors let people recognise a key.
pub(super) fn last_four(secret: &str) -> String {
    secret.chars().skip(secret.chars().count().saturating_sub(4)).collect()
}

/// FNV-1a: the same on every run and every toolchain, and no cryptography.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
