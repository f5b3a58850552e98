//! Who may make versions: minisign keys, and what is said of a component that none of them signed.

use minisign_verify::{PublicKey, Signature};
use verge_config::{Config, Function};

/// Most bytes of a signature: two lines of base64, two of comments.
pub(crate) const SIGNATURE_BYTES_MAX: usize = 4 << 10;

/// The keys of a function; without one nothing need be signed.
pub(crate) struct Keys(Vec<(String, PublicKey)>);

/// Why a component may not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Untrusted {
    /// There is no signature.
    #[error("it is not signed")]
    Unsigned,
    /// What stands in its place is none.
    #[error("its signature is none of minisign: {0}")]
    NoSignature(String),
    /// None of the keys made it, or not of this component.
    #[error("its signature is not one of this component by one of the keys")]
    Wrong,
}

impl Untrusted {
    /// What would be right.
    pub(crate) const EXPECTED: &str =
        "a component signed with `minisign -S` by one of `keys` of the function or of [deploy]";
}

impl Keys {
    /// The keys of a function, else those of the node.
    ///
    /// # Errors
    /// The key path of one that is none, and why.
    pub(crate) fn of(config: &Config, function: &Function) -> Result<Self, (String, String)> {
        let (keys, place) = match function.keys.is_empty() {
            false => (&function.keys, format!("function.{}.keys", function.name)),
            true => (&config.deploy.keys, "deploy.keys".to_owned()),
        };
        let read = keys.iter().map(|text| {
            PublicKey::from_base64(text)
                .map(|key| (text.clone(), key))
                .map_err(|error| (place.clone(), format!("`{text}` is no public key: {error}")))
        });
        read.collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// Whether what is not signed may run.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a version with this signer may run.
    pub(crate) fn know(&self, signer: Option<&str>) -> bool {
        self.is_empty() || self.0.iter().any(|(text, _)| Some(text.as_str()) == signer)
    }

    /// The key that signed `component`; `None` where nothing need be signed.
    ///
    /// # Errors
    /// It may not run.
    pub(crate) fn check(
        &self,
        component: &[u8],
        signature: Option<&str>,
    ) -> Result<Option<String>, Untrusted> {
        if self.is_empty() {
            return Ok(None);
        }
        let signature = signature.ok_or(Untrusted::Unsigned)?;
        let signature = Signature::decode(signature)
            .map_err(|error| Untrusted::NoSignature(error.to_string()))?;
        // What is not hashed first is of before 2022; minisign no longer makes it.
        let mut made = self
            .0
            .iter()
            .filter(|(_, key)| key.verify(component, &signature, false).is_ok());
        match made.next() {
            Some((text, _)) => Ok(Some(text.clone())),
            None => Err(Untrusted::Wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Those of the documentation of minisign-verify.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
        RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
        trusted comment: timestamp:1556193335\tfile:test\n\
        y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==";

    fn keys(texts: &[&str]) -> Keys {
        let key = |text: &&str| ((*text).to_owned(), PublicKey::from_base64(text).unwrap());
        Keys(texts.iter().map(key).collect())
    }

    #[test]
    fn signature_is_of_one_component_by_one_of_the_keys() {
        let own = keys(&[KEY]);
        assert_eq!(
            own.check(b"test", Some(SIGNATURE)),
            Ok(Some(KEY.to_owned()))
        );
        assert_eq!(own.check(b"tests", Some(SIGNATURE)), Err(Untrusted::Wrong));
        assert_eq!(own.check(b"test", None), Err(Untrusted::Unsigned));
        assert!(matches!(
            own.check(b"test", Some("signed, me")),
            Err(Untrusted::NoSignature(_))
        ));
        assert_eq!(keys(&[]).check(b"test", None), Ok(None));
    }
}
