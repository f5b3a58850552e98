//! One table of the document: each key is asked for once, with its kind and its
//! default, and keys that nobody asked for are problems when it is dropped.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::kinds::{FilePath, Kind, Maybe, NAME_EXPECTED, is_name};
use crate::problem::nearest;
use crate::schema::Key;
use crate::walk::{Item, Walk, join};

/// One table with its place. Keys that are left unasked are reported on drop.
pub(crate) struct Table<'w, 'd> {
    walk: &'w Walk<'d>,
    path: String,
    schema_path: String,
    entries: Option<&'w DeTable<'d>>,
    span: Range<usize>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'w, 'd> Table<'w, 'd> {
    pub(crate) fn new(
        walk: &'w Walk<'d>,
        path: String,
        schema_path: String,
        entries: Option<&'w DeTable<'d>>,
        span: Range<usize>,
    ) -> Self {
        if entries.is_some() {
            let place = walk.lines.place(span.start);
            walk.state.borrow_mut().places.insert(path.clone(), place);
        }
        Self {
            walk,
            path,
            schema_path,
            entries,
            span,
            asked: RefCell::default(),
        }
    }

    /// The key's path as a reader writes it.
    pub(crate) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// The line that it begins on, from 1.
    pub(crate) fn line(&self) -> usize {
        self.walk.lines.place(self.span.start).line
    }

    /// Whether the table stands in the file.
    pub(crate) fn is_given(&self) -> bool {
        self.entries.is_some()
    }

    /// Reports a problem with the table itself.
    pub(crate) fn problem(&self, what: impl Into<String>, expected: impl Into<String>) {
        self.walk
            .problem(self.span.start, &self.path, what.into(), expected.into());
    }

    /// Reports a problem with the value of a key, or with the table if it has none.
    pub(crate) fn problem_at(
        &self,
        key: &str,
        what: impl Into<String>,
        expected: impl Into<String>,
    ) {
        match self.any_item(key) {
            Some(item) => item.problem(what, expected),
            None => self.problem(what, expected),
        }
    }

    /// How many problems there are so far, in the whole file.
    pub(crate) fn problems(&self) -> usize {
        self.walk.state.borrow().problems.len()
    }

    /// The value of a key as it stands in the file; the key counts as asked for.
    pub(crate) fn item(&self, key: &'static str) -> Option<Item<'w, 'd>> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        drop(asked);
        self.any_item(key)
    }

    fn any_item(&self, key: &str) -> Option<Item<'w, 'd>> {
        let (name, value) = self.entries?.get_key_value(key)?;
        let path = self.path_of(key);
        let place = self.walk.lines.place(name.span().start);
        self.walk
            .state
            .borrow_mut()
            .places
            .insert(path.clone(), place);
        let schema_path = join(&self.schema_path, key);
        Some(Item {
            walk: self.walk,
            path,
            schema_path,
            value: value.get_ref(),
            span: value.span(),
        })
    }

    /// Notes a key for the schema.
    pub(crate) fn note(
        &self,
        key: &'static str,
        expected: String,
        default: Option<String>,
        given: Option<String>,
    ) {
        let path = join(&self.schema_path, key);
        self.walk.state.borrow_mut().keys.push(Key {
            path,
            expected,
            default,
            given,
        });
    }

    /// A value with a default.
    pub(crate) fn or<K: Kind>(&self, key: &'static str, kind: &K, default: K::Value) -> K::Value {
        let given = self.item(key).and_then(|item| item.read(kind));
        let shown = given.as_ref().map(|value| kind.show(value));
        self.note(key, kind.expected(), Some(kind.show(&default)), shown);
        given.unwrap_or(default)
    }

    /// A value that may be absent.
    pub(crate) fn maybe<K: Kind>(&self, key: &'static str, kind: K) -> Option<K::Value> {
        self.or(key, &Maybe(kind), None)
    }

    /// A value that must be there; a problem is reported if it is not.
    pub(crate) fn required<K: Kind>(&self, key: &'static str, kind: &K) -> Option<K::Value> {
        let item = self.item(key);
        if item.is_none() {
            self.missing(key, &kind.expected());
        }
        let given = item.and_then(|item| item.read(kind));
        self.note(
            key,
            kind.expected(),
            None,
            given.as_ref().map(|value| kind.show(value)),
        );
        given
    }

    /// Reports that a key is missing.
    pub(crate) fn missing(&self, key: &str, expected: &str) {
        let path = self.path_of(key);
        self.walk.problem(
            self.span.start,
            &path,
            "missing".to_owned(),
            format!("expected {expected}"),
        );
    }

    /// A path of a file that the configuration depends on.
    pub(crate) fn file(&self, key: &'static str) -> Option<PathBuf> {
        let path = self.walk.resolve(&self.maybe(key, FilePath)?);
        self.walk
            .state
            .borrow_mut()
            .files
            .push((path.clone(), self.path_of(key)));
        Some(path)
    }

    /// The same, for a file that must be named.
    pub(crate) fn required_file(&self, key: &'static str) -> Option<PathBuf> {
        let path = self.walk.resolve(&self.required(key, &FilePath)?);
        self.walk
            .state
            .borrow_mut()
            .files
            .push((path.clone(), self.path_of(key)));
        Some(path)
    }

    /// Notes a file that the configuration depends on because of a key.
    pub(crate) fn depends_on(&self, key: &str, path: PathBuf) {
        let key = self.path_of(key);
        self.walk.state.borrow_mut().files.push((path, key));
    }

    /// A path of something that the node writes.
    pub(crate) fn output(&self, key: &'static str) -> Option<PathBuf> {
        Some(self.walk.resolve(&self.maybe(key, FilePath)?))
    }

    /// A path relative to the configuration's folder.
    pub(crate) fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.walk.resolve(path.as_ref())
    }

    /// A list of values of one kind; `or_one` also takes a single value.
    pub(crate) fn list<K: Kind>(
        &self,
        key: &'static str,
        what: &str,
        or_one: bool,
        kind: &K,
    ) -> Vec<K::Value> {
        self.items(key, what, or_one)
            .iter()
            .filter_map(|item| item.read(kind))
            .collect()
    }

    /// The items of a list; `or_one` also takes a single value that is no list.
    pub(crate) fn items(&self, key: &'static str, what: &str, or_one: bool) -> Vec<Item<'w, 'd>> {
        let item = self.item(key);
        let given = item.is_some().then(|| "[...]".to_owned());
        self.note(
            key,
            format!("a list of {what}"),
            Some("[]".to_owned()),
            given,
        );
        match item {
            None => Vec::new(),
            Some(item) if or_one && !matches!(item.value, DeValue::Array(_)) => vec![item],
            Some(item) => item.items(what),
        }
    }

    /// A section; an absent one is empty, and so has defaults only.
    pub(crate) fn table(&self, key: &'static str) -> Table<'w, 'd> {
        let schema_path = join(&self.schema_path, key);
        match self.item(key).and_then(|item| item.table()) {
            Some(mut table) => {
                table.schema_path = schema_path;
                table
            }
            None => Table::new(
                self.walk,
                self.path_of(key),
                schema_path,
                None,
                self.span.clone(),
            ),
        }
    }

    /// A list of tables: `[[site]]`.
    pub(crate) fn tables(&self, key: &'static str) -> Vec<Table<'w, 'd>> {
        let Some(item) = self.item(key) else {
            return Vec::new();
        };
        let tables = item.items("tables");
        let schema_path = join(&self.schema_path, &format!("{key}[]"));
        let mut tables: Vec<_> = tables.iter().filter_map(Item::table).collect();
        for table in &mut tables {
            table.schema_path.clone_from(&schema_path);
        }
        tables
    }

    /// Tables by name: `[origin.NAME]`. Wrong names are reported.
    pub(crate) fn named(&self, key: &'static str) -> Vec<(String, Table<'w, 'd>)> {
        let parent = self.table(key);
        let schema_path = format!("{}.NAME", parent.schema_path);
        let mut named = Vec::new();
        for name in parent.rest() {
            let Some(item) = parent.any_item(&name) else {
                continue;
            };
            if !is_name(&name) {
                item.problem(
                    format!("\"{}\" is not a name", name.escape_debug()),
                    format!("expected {NAME_EXPECTED}"),
                );
            }
            if let Some(mut table) = item.table() {
                table.schema_path.clone_from(&schema_path);
                named.push((name, table));
            }
        }
        named
    }

    /// All values of a table whose keys are free: settings, field conditions.
    pub(crate) fn entries(&self) -> Vec<(String, Item<'w, 'd>)> {
        let item = |name: String| Some((name.clone(), self.any_item(&name)?));
        self.rest().into_iter().filter_map(item).collect()
    }

    /// The keys of a table with free keys; none of them is unknown.
    fn rest(&self) -> Vec<String> {
        self.asked.borrow_mut().push(ANY_KEY);
        let entries = self.entries.into_iter().flat_map(|entries| entries.keys());
        entries
            .map(|name| name.get_ref().clone().into_owned())
            .collect()
    }
}

/// Stands among the asked keys of a table whose keys are free.
const ANY_KEY: &str = "*";

impl Drop for Table<'_, '_> {
    fn drop(&mut self) {
        let asked = self.asked.borrow();
        let Some(entries) = self.entries else { return };
        if asked.contains(&ANY_KEY) {
            return;
        }
        for name in entries
            .keys()
            .filter(|name| !asked.contains(&name.get_ref().as_ref()))
        {
            let key = name.get_ref().as_ref();
            let expected = match nearest(key, asked.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys: {}", asked.join(", ")),
            };
            self.walk.problem(
                name.span().start,
                &self.path_of(key),
                "unknown key".to_owned(),
                expected,
            );
        }
    }
}
