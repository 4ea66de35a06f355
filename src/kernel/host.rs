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

/// The values of a contiguous f32 tensor, for `read`.
pub(super) fn with_values<R>(tensor: &Tensor, read: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match storage.deref() {
        Storage::Cpu(storage) => read(values((storage, layout))?),
        Storage::Cuda(_) | Storage::Metal(_) => bail!("a tensor is not in the processor's memory"),
    }
}

/// What an operation gives back.
pub(super) fn given(values: Vec<f32>, shape: impl Into<Shape>) -> (CpuStorage, Shape) {
    (CpuStorage::F32(values), shape.into())
}
