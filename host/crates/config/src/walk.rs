//! Walks a parsed document and collects on the way: every problem, the place
//! of every key, and the keys that there are. Values are decided by their kinds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::kinds::{Kind, found};
use crate::problem::{Lines, Place, Problem};
use crate::schema::Key;
use crate::table::Table;

/// The file, and what was found in it so far.
pub(crate) struct Walk<'d> {
    file: &'d Path,
    pub(crate) lines: Lines<'d>,
    pub(crate) state: RefCell<State>,
}

/// What a walk found.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) problems: Vec<Problem>,
    /// The place of every key and section.
    pub(crate) places: BTreeMap<String, Place>,
    /// Files that the configuration depends on, with the key that names each.
    pub(crate) files: Vec<(PathBuf, String)>,
    /// Every key that was asked for.
    pub(crate) keys: Vec<Key>,
}

impl<'d> Walk<'d> {
    pub(crate) fn new(file: &'d Path, text: &'d str) -> Self {
        Self {
            file,
            lines: Lines::new(text),
            state: RefCell::default(),
        }
    }

    /// The document itself as a table.
    pub(crate) fn root<'w>(&'w self, document: &'w Spanned<DeTable<'d>>) -> Table<'w, 'd> {
        Table::new(
            self,
            String::new(),
            String::new(),
            Some(document.get_ref()),
            document.span(),
        )
    }

    pub(crate) fn finish(self) -> State {
        self.state.into_inner()
    }

    /// A problem at a place, not yet added.
    pub(crate) fn problem(&self, offset: usize, key_path: &str, what: String, expected: String) {
        let Place { line, column } = self.lines.place(offset);
        let file = self.file.to_owned();
        let problem = Problem {
            file,
            line,
            column,
            key_path: key_path.to_owned(),
            what,
            expected,
        };
        self.state.borrow_mut().problems.push(problem);
    }

    /// A path of the file as a path of the process: relative to the file's folder.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }
}

/// One value with its place.
#[derive(Clone)]
pub(crate) struct Item<'w, 'd> {
    pub(crate) walk: &'w Walk<'d>,
    /// As a reader writes it: `site[0].route[2].origin`.
    pub(crate) path: String,
    /// With names and positions left out: `site[].route[].origin`.
    pub(crate) schema_path: String,
    pub(crate) value: &'w DeValue<'d>,
    pub(crate) span: Range<usize>,
}

impl<'w, 'd> Item<'w, 'd> {
    /// Reports a problem at this value.
    pub(crate) fn problem(&self, what: impl Into<String>, expected: impl Into<String>) {
        self.walk
            .problem(self.span.start, &self.path, what.into(), expected.into());
    }

    /// The line that it begins on, from 1.
    pub(crate) fn line(&self) -> usize {
        self.walk.lines.place(self.span.start).line
    }

    /// The value as a kind; a problem is reported.
    pub(crate) fn read<K: Kind>(&self, kind: &K) -> Option<K::Value> {
        kind.read(self.value)
            .map_err(|what| self.problem(what, format!("expected {}", kind.expected())))
            .ok()
    }

    /// The value as a table.
    pub(crate) fn table(&self) -> Option<Table<'w, 'd>> {
        match self.value {
            DeValue::Table(table) => {
                let (path, schema_path) = (self.path.clone(), self.schema_path.clone());
                Some(Table::new(
                    self.walk,
                    path,
                    schema_path,
                    Some(table),
                    self.span.clone(),
                ))
            }
            other => {
                self.problem(found(other), "expected a table");
                None
            }
        }
    }

    /// The items of a list.
    pub(crate) fn items(&self, what: &str) -> Vec<Self> {
        let DeValue::Array(list) = self.value else {
            self.problem(found(self.value), format!("expected a list of {what}"));
            return Vec::new();
        };
        let item = |(index, value): (usize, &'w Spanned<DeValue<'d>>)| Self {
            walk: self.walk,
            path: format!("{}[{index}]", self.path),
            schema_path: self.schema_path.clone(),
            value: value.get_ref(),
            span: value.span(),
        };
        list.iter().enumerate().map(item).collect()
    }
}

/// A key below a path, quoted where TOML would quote it.
pub(crate) fn join(path: &str, key: &str) -> String {
    let plain = key
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_[]".contains(&byte));
    let key = if plain && !key.is_empty() {
        key.to_owned()
    } else {
        format!("\"{}\"", key.escape_debug())
    };
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}
