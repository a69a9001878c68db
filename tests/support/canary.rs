//! A secret that is looked for wherever one must not be (I16), as it stands and in the codings that programs put it in.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::memmem::find;

/// A secret in every form in which it is looked for.
pub struct Canary {
    name: String,
    forms: Vec<Vec<u8>>,
}

impl Canary {
    /// `name` is what a failure calls it.
    pub fn new(name: &str, secret: &[u8]) -> Self {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut forms = vec![secret.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
        // wherever in a longer text it begins, as in SASL PLAIN: all digits that it alone decides
        forms.extend((0..3).map(|before| {
            let text = STANDARD_NO_PAD.encode([&vec![0; before], secret].concat());
            let own = (before * 8).div_ceil(6)..(before + secret.len()) * 8 / 6;
            text.as_bytes()[own].to_vec()
        }));
        Self { name: name.to_owned(), forms }
    }

    /// The keys of a state directory's key file.
    pub fn keys_in(file: &Path) -> Vec<Self> {
        let text = fs::read_to_string(file).unwrap_or_default();
        let secret = |hex: &str| {
            let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
            (0..hex.len()).step_by(2).map(byte).collect::<Option<Vec<u8>>>()
        };
        let words = text.split_whitespace().filter(|word| word.len() == 64).filter_map(secret);
        words.map(|key| Self::new("the thread key", &key)).collect()
    }

    /// Whether it is in there.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| find(bytes, form).is_some())
    }

    /// Asserts that it is not in there.
    pub fn assert_absent(&self, place: &str, bytes: &[u8]) {
        assert!(!self.is_in(bytes), "{} is in {place} (I16)", self.name);
    }
}

/// Every file below a directory, links apart.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found
}
