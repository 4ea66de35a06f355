//! The skills that the world trains and tests, by name. Must not know: words, templates.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A skill, with its own items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// A stated fact is read back.
    Reading,
    /// A thing's place follows from its holder's place.
    TwoHop,
    /// A list is said again.
    Copying,
    /// What is listed is counted.
    Counting,
    /// Of two things one is wanted, the other is not.
    Negation,
    /// A pronoun names one of two people.
    Coreference,
    /// Comparisons make an order; its end is asked.
    Order,
    /// A verb agrees with its subject across other nouns.
    Agreement,
}

impl Family {
    /// All, in the order of tables.
    pub const ALL: [Self; 8] = [
        Self::Reading,
        Self::TwoHop,
        Self::Copying,
        Self::Counting,
        Self::Negation,
        Self::Coreference,
        Self::Order,
        Self::Agreement,
    ];

    /// The name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::TwoHop => "two_hop",
            Self::Copying => "copying",
            Self::Counting => "counting",
            Self::Negation => "negation",
            Self::Coreference => "coreference",
            Self::Order => "order",
            Self::Agreement => "agreement",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Family {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|family| family.name() == text);
        found.ok_or_else(|| format!("unknown family `{text}`; known are {}", known()))
    }
}
