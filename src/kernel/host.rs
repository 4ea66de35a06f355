//! Tensors in the processor's memory as plain slices. The fused operations work on these; elsewhere, and in other number
//! formats, their plain references do.

use std::cell::Cell;
use std::ops::Deref;

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Result, Storage, Tensor, WithDType, bail};

/// Whether the fused operations can work on `tensors`: f32 in the processor's memory.
pub(super) fn all_hosted(tensors: &[&Tensor]) -> bool {
    let hosted = |tensor: &&Tensor| matches!(tensor.device(), Device::Cpu) && tensor.dtype() == DType::F32;
    tensors.iter().all(hosted)
}

/// The storage of a tensor in the processor's memory, for `read`.
pub(super) fn with_storage<R>(tensor: &Tensor, read: impl FnOnce(&CpuStorage) -> Result<R>) -> Result<R> {
    let (storage, _) = tensor.storage_and_layout();
    match storage.deref() {
        Storage::Cpu(storage) => read(storage),
        Storage::Cuda(_) | Storage::Metal(_) => bail!("a tensor is not in the processor's memory"),
    }
}

/// The place of a contiguous tensor in its storage.
fn range(layout: &Layout) -> Result<std::ops::Range<usize>> {
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(from..to),
        None => bail!("an operation got a strided tensor"),
    }
}

/// The values of contiguous f32 tensors, for `read`.
pub(super) fn with_values<const N: usize, R>(
    tensors: [&Tensor; N],
    read: impl FnOnce([&[f32]; N]) -> Result<R>,
) -> Result<R> {
    let held = tensors.map(Tensor::storage_and_layout);
    let mut found = [&[][..]; N];
    for (found, (storage, layout)) in found.iter_mut().zip(&held) {
        let Storage::Cpu(storage) = storage.deref() else { bail!("a tensor is not in the processor's memory") };
        let Some(values) = storage.as_slice::<f32>()?.get(range(layout)?) else {
            bail!("a layout reaches beyond its storage")
        };
        *found = values;
    }
    read(found)
}

/// The values of an f32 tensor, wherever it is, row by row as little-endian bytes, for `read`.
///
/// # Errors
/// It holds other numbers, or the device fails.
pub fn with_bytes<R>(tensor: &Tensor, read: impl FnOnce(&[u8]) -> R) -> Result<R> {
    let hosted = tensor.to_device(&Device::Cpu)?.contiguous()?;
    with_values([&hosted], |[values]| {
        if cfg!(target_endian = "little") {
            return Ok(read(pulp::bytemuck::cast_slice(values)));
        }
        let turned: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok(read(&turned))
    })
}

/// The values of a contiguous tensor, for `change`.
pub(super) fn with_values_mut<T: Plain>(tensor: &Tensor, change: impl FnOnce(&mut [T]) -> Result<()>) -> Result<()> {
    tensor.inplace_op1(&Change(Cell::new(Some(change)), std::marker::PhantomData))
}

/// Numbers that tensors hold.
pub(super) trait Plain: WithDType {
    fn of(storage: &mut CpuStorage) -> Option<&mut Vec<Self>>;
}

impl Plain for f32 {
    fn of(storage: &mut CpuStorage) -> Option<&mut Vec<Self>> {
        if let CpuStorage::F32(values) = storage { Some(values) } else { None }
    }
}

impl Plain for half::bf16 {
    fn of(storage: &mut CpuStorage) -> Option<&mut Vec<Self>> {
        if let CpuStorage::BF16(values) = storage { Some(values) } else { None }
    }
}

struct Change<T, F>(Cell<Option<F>>, std::marker::PhantomData<T>);

impl<T: Plain, F: FnOnce(&mut [T]) -> Result<()>> InplaceOp1 for Change<T, F> {
    fn name(&self) -> &'static str {
        "change"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let range = range(layout)?;
        match (self.0.take(), T::of(storage).and_then(|all| all.get_mut(range))) {
            (Some(change), Some(values)) => change(values),
            (_, None) => bail!("an operation got another number format, or a layout beyond its storage"),
            (None, _) => bail!("a change was asked for twice"),
        }
    }
}

/// `dims` with another last one.
pub(super) fn ending_in(dims: &[usize], last: usize) -> Vec<usize> {
    dims.iter().copied().take(dims.len().saturating_sub(1)).chain([last]).collect()
}
