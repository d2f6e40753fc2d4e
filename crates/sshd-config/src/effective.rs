//! What applies, and which line decides it.

use std::sync::Arc;

use crate::defaults::Defaults;
use crate::keyword::Keyword;
use crate::problem::{Origin, Problem};
use crate::value_type::ValueType;
use crate::version::Version;

/// One value with the line that set it; `None` where it is the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// As `sshd -T` prints it, `without-password` as `prohibit-password`.
    pub text: Arc<str>,
    /// The line that decides.
    pub origin: Option<Origin>,
}

impl Value {
    pub(crate) fn at(text: Arc<str>, origin: Origin) -> Self {
        Self { text, origin: Some(origin) }
    }
}

/// The value of a keyword: one text for most, several for lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    values: Arc<[Value]>,
}

impl Setting {
    pub(crate) fn new(values: Vec<Value>) -> Self {
        Self { values: values.into() }
    }

    pub(crate) fn of_default(texts: Vec<Arc<str>>) -> Self {
        Self::new(texts.into_iter().map(|text| Value { text, origin: None }).collect())
    }

    /// The only value, or the first of a list; empty where the list is.
    #[must_use]
    pub fn text(&self) -> &str {
        self.values.first().map_or("", |value| &value.text)
    }

    /// Every value of a list, each with its own origin.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Every value as text.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(|value| &*value.text)
    }

    /// The line that decides, the first one for a list; `None` where it is the default.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.values.iter().find_map(|value| value.origin.as_ref())
    }

    /// Whether no line decides.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.origin().is_none()
    }

    /// The names of an algorithm list, in order of preference.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.text().split(',').filter(|name| !name.is_empty())
    }
}

/// The value of every keyword for one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    settings: Vec<Option<Setting>>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) version: Version,
}

impl Effective {
    pub(crate) fn of_defaults(defaults: &Defaults) -> Self {
        let settings = Keyword::ALL.iter().map(|&keyword| defaults.get(keyword).cloned());
        Self { settings: settings.collect(), problems: Vec::new(), version: defaults.version() }
    }

    pub(crate) fn put(&mut self, keyword: Keyword, setting: Setting) {
        self.settings[keyword as usize] = Some(setting);
    }

    /// The value of a keyword; one without text where this version has no such keyword.
    #[must_use]
    pub fn get(&self, keyword: Keyword) -> Setting {
        self.known(keyword).cloned().unwrap_or_else(|| Setting::new(Vec::new()))
    }

    /// The value of a keyword; `None` where this build of OpenSSH has no such keyword.
    #[must_use]
    pub fn known(&self, keyword: Keyword) -> Option<&Setting> {
        self.settings[keyword as usize].as_ref()
    }

    /// The value as text, as [`Setting::text`].
    #[must_use]
    pub fn text(&self, keyword: Keyword) -> &str {
        self.known(keyword).map_or("", Setting::text)
    }

    /// Whether the value is `yes`.
    #[must_use]
    pub fn is_yes(&self, keyword: Keyword) -> bool {
        self.text(keyword) == "yes"
    }

    /// A number or a time in seconds; `None` where the value is no single number.
    #[must_use]
    pub fn number(&self, keyword: Keyword) -> Option<u64> {
        self.text(keyword).parse().ok()
    }

    /// What makes sshd refuse this very connection though it started.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Every keyword that this build knows, with its value.
    pub fn iter(&self) -> impl Iterator<Item = (Keyword, &Setting)> {
        Keyword::ALL
            .iter()
            .zip(&self.settings)
            .filter_map(|(keyword, setting)| Some((*keyword, setting.as_ref()?)))
    }

    /// The value as the lines that `sshd -T` prints for it, without the keyword.
    #[must_use]
    pub fn lines(&self, keyword: Keyword) -> Vec<String> {
        let Some(setting) = self.known(keyword) else {
            return Vec::new();
        };
        if setting.values().is_empty() {
            return Vec::new();
        }
        match keyword.value_type() {
            ValueType::FileList
            | ValueType::Methods
            | ValueType::Timeouts
            | ValueType::Targets
            | ValueType::LogVerbose => vec![setting.texts().collect::<Vec<_>>().join(" ")],
            _ if keyword == Keyword::RevokedKeys => vec![setting.texts().collect::<Vec<_>>().join(" ")],
            _ => setting.texts().map(str::to_owned).collect(),
        }
    }
}
