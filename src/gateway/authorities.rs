//! Certificate authorities that an installation or a console token trusts besides the public ones: a company's own,
//! behind a proxy that looks into TLS or of a self-hosted gateway. There is no way to trust every certificate.

use crate::plan::hash;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Size limit of a bundle, in bytes.
const LARGEST: usize = 1024 * 1024;

/// Certificates of authorities; usually none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorities(Vec<CertificateDer<'static>>);

impl Authorities {
    /// Reads a PEM bundle: at least one certificate, and no other block. The error completes "the bundle …".
    pub fn parse(pem: &[u8]) -> Result<Self, String> {
        if pem.len() > LARGEST {
            return Err(format!("has more than {LARGEST} bytes; keep the authorities that are needed"));
        }
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let found =
            read.map_err(|_| "is not PEM: a certificate begins with -----BEGIN CERTIFICATE-----".to_owned())?;
        if found.is_empty() {
            return Err("holds no certificate; write it as PEM, beginning with -----BEGIN CERTIFICATE-----"
                .to_owned());
        }
        let mut roots = RootCertStore::empty();
        for (number, certificate) in found.iter().enumerate() {
            let fits = roots.add(certificate.clone());
            fits.map_err(|_| {
                format!("holds a certificate that cannot be read, number {}; take it out", number + 1)
            })?;
        }
        Ok(Self(found))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Both together.
    #[must_use]
    pub fn with(&self, more: &Self) -> Self {
        Self(self.0.iter().chain(&more.0).cloned().collect())
    }

    /// Hash of all of them.
    pub fn digest(&self) -> String {
        hash::base32(&self.0.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>(), 26)
    }

    /// The authorities, and the public ones.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        // All of them were added once, by `parse`.
        let _ = roots.add_parsable_certificates(self.0.iter().cloned());
        roots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_holds_certificates_only() {
        let pem = || rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap().cert.pem();
        let (one, two) = (pem(), pem());
        let read = |text: &str| Authorities::parse(text.as_bytes());
        assert_eq!(read(&format!("# comment\n{one}\n{two}")).unwrap().0.len(), 2);
        for (text, words) in [
            (String::new(), "holds no certificate"),
            ("hello".to_owned(), "holds no certificate"),
            (one.replace("-----END", "-----FIN"), "is not PEM"),
            (format!("{one}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "number 2"),
            (one.repeat(4000), "more than"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(words), "{words}: {error}");
        }
        assert_ne!(read(&one).unwrap().digest(), read(&two).unwrap().digest());
    }
}
