//! `[compression]`: which responses are sent compressed, and how.

use std::ops::RangeInclusive;

use crate::kinds::{Choice, Count, Flag, Size, Text, is_token};
use crate::table::Table;

/// A content coding that the node can apply (RFC 9110 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstd,
    /// gzip (RFC 1952).
    Gzip,
}

/// Media types that are worth it where the configuration names none.
const TYPES: [&str; 19] = [
    "text/*",
    "application/json",
    "application/*+json",
    "application/xml",
    "application/*+xml",
    "application/javascript",
    "application/x-javascript",
    "application/ecmascript",
    "application/manifest+json",
    "application/graphql-response+json",
    "application/yaml",
    "application/wasm",
    "application/x-ndjson",
    "application/vnd.ms-fontobject",
    "font/otf",
    "font/ttf",
    "image/svg+xml",
    "image/bmp",
    "image/x-icon",
];

/// Most media types in `types`.
const TYPES_MAX: usize = 128;

/// `[compression]`: what is compressed, and how hard the node works for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compression {
    /// Whether routes that do not say otherwise compress; default false.
    pub on: bool,
    /// Codings, the preferred one first; default `br`, `zstd`, `gzip`.
    pub codings: Vec<Coding>,
    /// Media types that are compressed: `type/subtype`, `type/*` or `type/*+suffix`.
    pub types: Vec<String>,
    /// Smallest content that is compressed; 1B to 1MiB, default 1KiB.
    pub min_size: u64,
    /// Largest content that is compressed; of content of unknown length, how much at most is
    /// kept compressed. 1KiB to 1GiB, default 16MiB.
    pub max_size: u64,
    /// Level of Brotli, 0 to 11; default 5.
    pub brotli_level: u8,
    /// Level of Zstandard, 1 to 19; default 3.
    pub zstd_level: u8,
    /// Level of gzip, 1 to 9; default 6.
    pub gzip_level: u8,
    /// Responses that are being compressed at once; further ones are sent as they are. 1 to
    /// 4096, default 64.
    pub jobs: usize,
}

const CODING: Choice<Coding> = Choice(&[
    ("br", Ok(Coding::Brotli)),
    ("zstd", Ok(Coding::Zstd)),
    ("gzip", Ok(Coding::Gzip)),
]);

const MEDIA_TYPE: Text = Text {
    what: "a media type without parameters, such as \"text/html\", \"text/*\" or \"application/*+json\"",
    accepts: |text| {
        text.split_once('/').is_some_and(|(first, second)| {
            let suffix = second.strip_prefix("*+").or(second.strip_prefix('*'));
            is_token(first)
                && !first.contains('*')
                && match suffix {
                    Some("") => true,
                    Some(suffix) => second.starts_with("*+") && is_plain(suffix),
                    None => is_plain(second),
                }
        })
    },
};

fn is_plain(text: &str) -> bool {
    is_token(text) && !text.contains('*')
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            on: false,
            codings: vec![Coding::Brotli, Coding::Zstd, Coding::Gzip],
            types: TYPES.map(str::to_owned).to_vec(),
            min_size: 1 << 10,
            max_size: 16 << 20,
            brotli_level: 5,
            zstd_level: 3,
            gzip_level: 6,
            jobs: 64,
        }
    }
}

impl Compression {
    pub(crate) fn read(table: &Table<'_, '_>) -> Self {
        let default = Self::default();
        let level = |key, range: RangeInclusive<u8>, level| table.or(key, &Count(range), level);
        let compression = Self {
            on: table.or("on", &Flag, default.on),
            codings: read_codings(table, default.codings),
            types: read_types(table, default.types),
            min_size: table.or("min_size", &Size(1..=1 << 20), default.min_size),
            max_size: table.or("max_size", &Size(1 << 10..=1 << 30), default.max_size),
            brotli_level: level("brotli_level", 0..=11, default.brotli_level),
            zstd_level: level("zstd_level", 1..=19, default.zstd_level),
            gzip_level: level("gzip_level", 1..=9, default.gzip_level),
            jobs: table.or("jobs", &Count(1..=4096), default.jobs),
        };
        if compression.min_size > compression.max_size {
            table.problem_at(
                "min_size",
                "`min_size` is over `max_size`",
                "expected at most as much as `max_size`",
            );
        }
        compression
    }
}

fn read_codings(table: &Table<'_, '_>, default: Vec<Coding>) -> Vec<Coding> {
    let mut codings: Vec<Coding> = Vec::new();
    for item in table.items("codings", "codings, the preferred one first", true) {
        let Some(coding) = item.read(&CODING) else {
            continue;
        };
        if codings.contains(&coding) {
            item.problem("is named twice", "expected each coding once");
        } else {
            codings.push(coding);
        }
    }
    match table.item("codings") {
        None => default,
        Some(item) => {
            if item.value.as_array().is_some_and(|list| list.is_empty()) {
                item.problem(
                    "names no coding",
                    "expected one or more of \"br\", \"zstd\" and \"gzip\"",
                );
            }
            codings
        }
    }
}

fn read_types(table: &Table<'_, '_>, default: Vec<String>) -> Vec<String> {
    let mut types = table.list("types", "media types", true, &MEDIA_TYPE);
    if types.len() > TYPES_MAX {
        table.problem_at(
            "types",
            format!("has {} media types", types.len()),
            format!("expected at most {TYPES_MAX}"),
        );
    }
    if table.item("types").is_none() {
        return default;
    }
    types
        .iter_mut()
        .for_each(|name| name.make_ascii_lowercase());
    types
}
