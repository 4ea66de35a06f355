//! Tensors by name in a file, as safetensors lays them out (https://github.com/huggingface/safetensors, "Format"): the length
//! of a header, the header in JSON, then the numbers of one tensor after the other, little-endian f32.
//! Promises: what is written is sealed on the way to the disk; what is read is checked whole before anyone sees a number of it.
//! Must not know: what the tensors are for.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde::Serialize;

use super::super::TrainError;
use super::{Tensors, damaged, failure, refused};
use crate::core::file_seal::{BLOCK, BlockHasher, FileSeal};
use crate::kernel::with_bytes;

/// The header's length is a multiple of this, so that numbers are aligned.
const ALIGNMENT: usize = 8;

/// Bytes that are sealed and written at once, while the processor still has them at hand.
const CHUNK: usize = 1 << 20;

/// What the header says of a tensor.
#[derive(Serialize)]
struct Entry<'a> {
    dtype: &'static str,
    shape: &'a [usize],
    /// Bytes behind the header, from and to.
    data_offsets: [usize; 2],
}

/// Writes `tensors`, which hold f32, to a new file, brings it to the disk and gives its seal.
pub(super) fn write(path: &Path, tensors: &Tensors) -> Result<FileSeal, TrainError> {
    let (fail, short) = (failure(path), refused(path));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(&short)?;
    let ordered: BTreeMap<&str, &Tensor> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let mut seal = BlockHasher::new(BLOCK);
    let mut put = |bytes: &[u8]| -> io::Result<()> {
        seal.update(bytes);
        (&file).write_all(bytes)
    };
    let header = header(&ordered).map_err(|e| fail(&e))?;
    put(&(header.len() as u64).to_le_bytes()).and_then(|()| put(&header)).map_err(&short)?;
    for tensor in ordered.values() {
        let written = with_bytes(tensor, |bytes| bytes.chunks(CHUNK).try_for_each(&mut put));
        written.map_err(|e| fail(&e))?.map_err(&short)?;
    }
    file.sync_all().map_err(&short)?;
    Ok(seal.finish())
}

fn header(tensors: &BTreeMap<&str, &Tensor>) -> serde_json::Result<Vec<u8>> {
    let mut entries = BTreeMap::new();
    let mut end = 0;
    for (name, tensor) in tensors {
        let from = end;
        end += tensor.elem_count() * size_of::<f32>();
        entries.insert(*name, Entry { dtype: "F32", shape: tensor.dims(), data_offsets: [from, end] });
    }
    let mut header = serde_json::to_vec(&entries)?;
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    Ok(header)
}

/// The tensors of a file, in the processor's memory. They have the names and shapes of `like`, hold f32, and if there is a seal
/// they are what was written.
///
/// # Errors
/// `Damaged` if they are not; another error if the system does not let them be read.
pub(super) fn read(path: &Path, seal: Option<&FileSeal>, like: &Tensors) -> Result<Tensors, TrainError> {
    let found = load(path, seal)?;
    fit(&found, like).map_err(|reason| damaged(path, reason))?;
    Ok(found)
}

/// As [`read`], whatever their names and shapes are.
pub(super) fn load(path: &Path, seal: Option<&FileSeal>) -> Result<Tensors, TrainError> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    if let Some(seal) = seal {
        seal.check(&bytes).map_err(|reason| damaged(path, reason))?;
    }
    candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|error| damaged(path, format!("it is no file of tensors: {error}")))
}

/// A file that is missing, or that the disk gives back no more, is damage; one that the system keeps back is not.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> TrainError {
    /// EIO: Linux and macOS, <https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/errno.h.html>.
    const INPUT_OUTPUT: i32 = 5;
    let gone = matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::InvalidData
    );
    if gone || error.raw_os_error() == Some(INPUT_OUTPUT) {
        damaged(path, format!("it cannot be read: {error}"))
    } else {
        failure(path)(&format!("it cannot be read: {error}; check who may read it, and start the run again"))
    }
}

/// Whether tensors have the names and shapes of others, and all hold f32.
///
/// # Errors
/// They have not; the text names one that differs.
pub(super) fn fit(found: &Tensors, like: &Tensors) -> Result<(), String> {
    let mut names: Vec<&String> = like.keys().collect();
    names.sort();
    for name in names {
        let (Some(tensor), Some(wanted)) = (found.get(name), like.get(name)) else {
            return Err(format!("the tensor `{name}` is missing"));
        };
        if tensor.dims() != wanted.dims() {
            return Err(format!("`{name}` has the shape {:?}, the model needs {:?}", tensor.dims(), wanted.dims()));
        }
        if tensor.dtype() != DType::F32 {
            return Err(format!("`{name}` holds {}, the model needs f32", tensor.dtype().as_str()));
        }
    }
    match found.keys().filter(|name| !like.contains_key(*name)).min() {
        Some(name) => Err(format!("`{name}` is no tensor of this model")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Tensors {
        let tensor = |from: f32, shape: &[usize]| {
            let count: usize = shape.iter().product();
            let numbers: Vec<f32> = (0..count).map(|i| from + i as f32 * 0.1).collect();
            Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
        };
        let all = [("b", tensor(-3.0, &[2, 3])), ("a.\"quoted\"", tensor(1e-30, &[5])), ("none", tensor(0.0, &[0, 2]))];
        all.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect()
    }

    #[test]
    fn what_is_written_is_what_the_crate_writes_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
        let seal = write(&ours, &some()).unwrap();
        candle_core::safetensors::save(&some(), &theirs).unwrap();
        let bytes = fs::read(&ours).unwrap();
        assert_eq!(bytes, fs::read(&theirs).unwrap());
        assert_eq!(seal, FileSeal::of(&bytes, BLOCK));
        let back = read(&ours, Some(&seal), &some()).unwrap();
        for (name, tensor) in some() {
            let numbers = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(numbers(&back[&name]), numbers(&tensor));
        }
        assert!(write(&ours, &some()).is_err(), "a file is written once");
    }

    #[test]
    fn other_names_shapes_and_numbers_are_named() {
        let said = |found: Tensors| fit(&found, &some()).unwrap_err();
        let with = |name: &str, tensor: Option<Tensor>| {
            let mut all = some();
            match tensor {
                Some(tensor) => all.insert(name.to_owned(), tensor),
                None => all.remove(name),
            };
            all
        };
        let zeros = |shape: &[usize], kind| Tensor::zeros(shape, kind, &Device::Cpu).unwrap();
        assert_eq!(said(with("b", None)), "the tensor `b` is missing");
        assert_eq!(said(with("c", Some(zeros(&[1], DType::F32)))), "`c` is no tensor of this model");
        assert_eq!(
            said(with("b", Some(zeros(&[3, 2], DType::F32)))),
            "`b` has the shape [3, 2], the model needs [2, 3]"
        );
        assert_eq!(said(with("b", Some(zeros(&[2, 3], DType::I32)))), "`b` holds i32, the model needs f32");
    }
}
