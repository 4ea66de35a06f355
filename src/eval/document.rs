//! A row of a data set, and how its file is read.

use std::io;
use std::path::Path;

use serde_json::{Map, Value};

/// Reads a text: from a disk, or from what is shipped inside the program.
pub type ReadText<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// A row.
pub(super) type Document = Map<String, Value>;
