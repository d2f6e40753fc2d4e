//! The words of a line, and the numbers and registers among them.

use nf_tables::Register;

use super::{Parsed, Unsupported};

/// The words of a line.
pub(super) struct Words<'a> {
    pub(super) words: Vec<&'a str>,
    pub(super) at: usize,
    pub(super) line: &'a str,
}

impl<'a> Words<'a> {
    pub(super) fn unsupported<T>(&self) -> Parsed<T> {
        let name = self.words.first().copied().unwrap_or("an empty line");
        Err(Unsupported(name.to_owned()))
    }

    pub(super) fn wrong<T>(&self) -> Parsed<T> {
        Err(Unsupported(format!("the form of [ {} ]", self.line)))
    }

    pub(super) fn next(&mut self) -> Parsed<&'a str> {
        let Some(word) = self.words.get(self.at) else {
            return self.wrong();
        };
        self.at += 1;
        Ok(word)
    }

    pub(super) fn expect(&mut self, word: &str) -> Parsed<()> {
        if self.next()? == word { Ok(()) } else { self.wrong() }
    }

    /// Passes over `word` where it is next.
    pub(super) fn next_is(&mut self, word: &str) -> bool {
        let is = self.words.get(self.at) == Some(&word);
        self.at += usize::from(is);
        is
    }

    pub(super) fn number<T: TryFrom<u64>>(&mut self) -> Parsed<T> {
        let word = self.next()?.trim_end_matches([',', ')']);
        let parsed = match word.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => word.trim_end_matches('b').parse(),
        };
        match parsed.ok().and_then(|number| T::try_from(number).ok()) {
            Some(number) => Ok(number),
            None => self.wrong(),
        }
    }

    /// `reg 1`.
    pub(super) fn register(&mut self) -> Parsed<Register> {
        self.expect("reg")?;
        self.register_number()
    }

    pub(super) fn register_number(&mut self) -> Parsed<Register> {
        let number = self.number()?;
        Register::new(number).map_or_else(|| self.wrong(), Ok)
    }

    /// 32-bit words up to the first that is none.
    pub(super) fn bytes(&mut self) -> Parsed<Vec<u8>> {
        let mut bytes = Vec::new();
        while self.words.get(self.at).is_some_and(|word| word.starts_with("0x")) {
            bytes.extend(self.number::<u32>()?.to_ne_bytes());
        }
        Ok(bytes)
    }
}
