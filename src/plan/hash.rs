//! Hashes: for marks, for detecting changed content, and for jitter that a test can predict.

use sha2::{Digest, Sha256};

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// SHA-256 over the parts, each preceded by its length so that no two lists of parts collide.
pub fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The first `length` characters of the digest in lower-case base32 (`[a-z2-7]`), at most 51.
pub fn base32(parts: &[&[u8]], length: usize) -> String {
    let bytes = digest(parts);
    let bit = |index: usize| (bytes[index / 8] >> (7 - index % 8)) & 1;
    (0..length.min(51))
        .map(|position| {
            let value = (0..5).fold(0, |value, offset| value << 1 | bit(position * 5 + offset));
            char::from(BASE32[usize::from(value)])
        })
        .collect()
}

/// A number in `[0, 1)`, the same for the same input and evenly distributed over inputs.
pub fn fraction(parts: &[&[u8]]) -> f64 {
    let bytes = digest(parts);
    let value = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    f64::from(value) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(base32(&[b"ab", b"c"], 16), base32(&[b"a", b"bc"], 16));
    }

    #[test]
    fn base32_uses_only_the_characters_every_vendor_takes() {
        let text = base32(&[b"x"], 51);
        assert_eq!(text.len(), 51);
        assert!(text.chars().all(|c| c.is_ascii_lowercase() || ('2'..='7').contains(&c)));
    }

    #[test]
    fn fractions_spread_over_the_unit_interval() {
        let values: Vec<f64> = (0..1000_u32).map(|n| fraction(&[&n.to_be_bytes()])).collect();
        assert!(values.iter().all(|value| (0.0..1.0).contains(value)));
        let mean = values.iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }
}
