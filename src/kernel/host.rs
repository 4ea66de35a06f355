//! Tensors in the processor's memory as plain slices. The fused operations work on these; elsewhere, and in other number
//! formats, their plain references do.

use std::ops::Deref;

use candle_core::{CpuStorage, DType, Device, Layout, Result, Shape, Storage, Tensor, bail};

/// Whether the fused operations can work on `tensors`: f32 in the processor's memory.
pub(super) fn all_hosted(tensors: &[&Tensor]) -> bool {
    tensors.iter().all(|tensor| matches!(tensor.device(), Device::Cpu) && tensor.dtype() == DType::F32)
}

/// What an operation is given: a storage and how it is laid out.
pub(super) type Stored<'s> = (&'s CpuStorage, &'s Layout);

/// The values of a contiguous f32 argument.
pub(super) fn values<'s>((storage, layout): Stored<'s>) -> Result<&'s [f32]> {
    let Some((from, to)) = layout.contiguous_offsets() else { bail!("an operation got a strided tensor") };
    match storage.as_slice::<f32>()?.get(from..to) {
        Some(values) => Ok(values),
        None => bail!("a layout reaches beyond its storage"),
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
        *found = match storage.deref() {
            Storage::Cpu(storage) => values((storage, layout))?,
            Storage::Cuda(_) | Storage::Metal(_) => bail!("a tensor is not in the processor's memory"),
        };
    }
    read(found)
}

/// The values of an f32 argument that is changed in place.
pub(super) fn values_mut<'s>(storage: &'s mut CpuStorage, layout: &Layout) -> Result<&'s mut [f32]> {
    let Some((from, to)) = layout.contiguous_offsets() else { bail!("an operation got a strided tensor") };
    match storage {
        CpuStorage::F32(all) => match all.get_mut(from..to) {
            Some(values) => Ok(values),
            None => bail!("a layout reaches beyond its storage"),
        },
        _ => bail!("an operation got another number format than f32"),
    }
}

/// A gradient: `values` in the shape of the argument they belong to.
pub(super) fn gradient_of(argument: &Tensor, values: Vec<f32>) -> Result<Option<Tensor>> {
    Tensor::from_vec(values, argument.shape(), argument.device()).map(Some)
}

/// `dims` with another last dimension.
pub(super) fn ending_in(dims: &[usize], last: usize) -> Vec<usize> {
    dims.iter().copied().take(dims.len().saturating_sub(1)).chain([last]).collect()
}

/// What an operation gives back.
pub(super) fn given(values: Vec<f32>, shape: impl Into<Shape>) -> (CpuStorage, Shape) {
    (CpuStorage::F32(values), shape.into())
}
