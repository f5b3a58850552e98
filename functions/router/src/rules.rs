//! The router's rules, from its settings: which origin, which variant, which cookie.

use std::time::Duration;

use verge_sdk::{Error, config};

/// What the settings say.
pub(crate) struct Rules {
    /// The cookie whose values choose an origin.
    pub(crate) cookie_name: Option<String>,
    cookies: Vec<(String, String)>,
    paths: Vec<(String, String)>,
    pub(crate) experiment: Option<Experiment>,
}

/// Where a request goes, and why.
pub(crate) enum Choice {
    /// A cookie asks for this origin.
    Cookie(String),
    /// The path belongs to this origin.
    Path(String),
    /// The experiment decides.
    Experiment(Experiment),
    /// Where the route of the node's configuration says.
    None,
}

/// An A/B experiment: variants, and how clients come to one.
pub(crate) struct Experiment {
    /// The cookie that keeps a client in its variant.
    pub(crate) cookie: String,
    pub(crate) by: AssignBy,
    keep: Duration,
    variants: Vec<Variant>,
}

/// What decides about a client without a variant.
pub(crate) enum AssignBy {
    /// Chance.
    Random,
    /// Its network: the same variant again without a cookie.
    Client,
}

/// One side of an experiment.
#[derive(Clone)]
pub(crate) struct Variant {
    pub(crate) name: String,
    /// Its share, relative to the others'.
    weight: u32,
    pub(crate) origin: Option<String>,
}

impl Rules {
    /// # Errors
    /// A setting that does not parse, by name.
    pub(crate) fn from_config() -> Result<Self, Error> {
        Ok(Self {
            cookie_name: config::get("cookie-name"),
            cookies: pairs("cookie-values")?,
            paths: pairs("paths")?,
            experiment: Experiment::from_config()?,
        })
    }

    /// `cookie` is the value of the cookie `cookie_name`.
    pub(crate) fn choose(self, cookie: Option<&str>, path: &str) -> Choice {
        let asked = |(value, _): &&(String, String)| cookie == Some(value.as_str());
        if let Some((_, origin)) = self.cookies.iter().find(asked) {
            return Choice::Cookie(origin.clone());
        }
        let under = self
            .paths
            .iter()
            .filter(|(prefix, _)| is_under(path, prefix));
        if let Some((_, origin)) = under.max_by_key(|(prefix, _)| prefix.len()) {
            return Choice::Path(origin.clone());
        }
        self.experiment.map_or(Choice::None, Choice::Experiment)
    }
}

impl Experiment {
    fn from_config() -> Result<Option<Self>, Error> {
        let variants = config::list("variants");
        if variants.is_empty() {
            return Ok(None);
        }
        let by = match config::get("assign-by").as_deref() {
            None | Some("random") => AssignBy::Random,
            Some("client") => AssignBy::Client,
            Some(other) => {
                let text = format!("config `assign-by` = {other:?}: `random` or `client`");
                return Err(Error::new(text));
            }
        };
        let days: u32 = config::parse("keep-days")?.unwrap_or(30);
        Ok(Some(Self {
            cookie: config::get("variant-cookie").unwrap_or("verge-variant".into()),
            by,
            keep: Duration::from_secs(u64::from(days) * 24 * 60 * 60),
            variants: variants
                .iter()
                .map(|text| Variant::parse(text))
                .collect::<Result<_, _>>()?,
        }))
    }

    /// The variant of that name, if the experiment still has it.
    pub(crate) fn variant(&self, name: &str) -> Option<Variant> {
        let named = self.variants.iter().find(|variant| variant.name == name);
        named.filter(|variant| variant.weight > 0).cloned()
    }

    /// The variant of a ticket, of which each variant has its share.
    pub(crate) fn assign(&self, ticket: u64) -> Variant {
        let shares = self
            .variants
            .iter()
            .map(|variant| u64::from(variant.weight));
        let total: u64 = shares.sum();
        let mut left = ticket % total.max(1);
        let drawn = self.variants.iter().find(|variant| {
            let share = u64::from(variant.weight);
            let mine = left < share;
            left = left.saturating_sub(share);
            mine
        });
        // Without any weight the first variant has everything.
        let drawn = drawn.or(self.variants.first());
        drawn.cloned().expect("an experiment has variants")
    }

    /// A `Set-Cookie` value (RFC 6265 4.1).
    pub(crate) fn set_cookie(&self, variant: &str, secure: bool) -> String {
        let secure = if secure { "; Secure" } else { "" };
        let (cookie, seconds) = (&self.cookie, self.keep.as_secs());
        format!("{cookie}={variant}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
    }
}

impl Variant {
    /// `name:weight` or `name:weight:origin`.
    fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || {
            let want = "`name:weight` or `name:weight:origin`, the name of letters and digits";
            Error::new(format!("config `variants`: {text:?} is not {want}"))
        };
        let mut parts = text.splitn(3, ':').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.next().and_then(|weight| weight.parse().ok());
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(wrong());
        }
        Ok(Self {
            name: name.to_owned(),
            weight: weight.ok_or_else(wrong)?,
            origin: parts.next().map(str::to_owned),
        })
    }
}

/// `/api` and `/api/` hold `/api`, `/api/x` and not `/apis`.
fn is_under(path: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `a=b, c=d`.
fn pairs(name: &str) -> Result<Vec<(String, String)>, Error> {
    let parts = config::list(name).into_iter();
    parts
        .map(|part| match part.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
            None => Err(Error::new(format!("config `{name}`: {part:?} has no `=`"))),
        })
        .collect()
}

/// FNV-1a, with a final mix: stable over versions and nodes, so that a client stays where it is.
pub(crate) fn hash(salt: &str, text: &str) -> u64 {
    let bytes = salt.bytes().chain([0]).chain(text.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
}
