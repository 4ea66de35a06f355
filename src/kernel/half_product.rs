//! Products of bf16 matrices with sums in f32 through the gemmkit crate: with the processor's bf16 dot products where it has
//! them, else by widening to f32.

use std::cell::RefCell;

use gemmkit::kernel::MixedGemmF32;
use gemmkit::simd::{KernelSimd, ScalarTok};
use gemmkit::{Parallelism, Workspace, driver, kernel::KernelFamily};
use half::bf16;

use super::shape::{Put, Shape, check};

thread_local! {
    /// Where matrices are packed.
    static WORKSPACE: RefCell<Workspace> = RefCell::default();
}

/// `target = a · b`, or added to it.
///
/// # Panics
/// The shapes do not fit each other or their slices: a mistake in this crate.
pub(super) fn multiply(target: (&mut [f32], Shape), how: Put, a: (&[bf16], Shape), b: (&[bf16], Shape)) {
    check((target.0.len(), target.1), (a.0.len(), a.1), (b.0.len(), b.1));
    if target.1.rows == 0 || target.1.columns == 0 {
        return;
    }
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        use gemmkit::kernel::Bf16DotGemmF32;
        use gemmkit::simd::{Avx512Bf16, Avx512F, Fma};
        if std::arch::is_x86_feature_detected!("avx512bf16") && std::arch::is_x86_feature_detected!("avx512f") {
            return drive::<Bf16DotGemmF32, _, 2, 12>(Avx512Bf16, target, how, a, b);
        }
        if std::arch::is_x86_feature_detected!("avx512f") {
            return drive::<MixedGemmF32<bf16>, _, 2, 12>(Avx512F, target, how, a, b);
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            return drive::<MixedGemmF32<bf16>, _, 2, 6>(Fma, target, how, a, b);
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        return drive::<MixedGemmF32<bf16>, _, 4, 4>(gemmkit::simd::Neon, target, how, a, b);
    }
    #[cfg_attr(target_arch = "aarch64", expect(unreachable_code, reason = "every such processor has NEON"))]
    drive::<MixedGemmF32<bf16>, _, 4, 4>(ScalarTok, target, how, a, b);
}

/// The product with the instructions of `simd`, which the processor has, in tiles of `R` registers by `C` columns.
#[expect(clippy::cast_possible_wrap, reason = "slices are shorter than isize::MAX")]
fn drive<F, S, const R: usize, const C: usize>(
    simd: S,
    (target, into): (&mut [f32], Shape),
    how: Put,
    (a, left): (&[bf16], Shape),
    (b, right): (&[bf16], Shape),
) where
    F: KernelFamily<Lhs = bf16, Rhs = bf16, Acc = f32, Out = f32>,
    S: KernelSimd<bf16, bf16, f32, f32>,
{
    let old = if how == Put::Add { 1.0 } else { 0.0 };
    let steps = |shape: Shape| (shape.row_stride as isize, shape.column_stride as isize);
    let ((into_row, into_column), (left_row, left_column), (right_row, right_column)) =
        (steps(into), steps(left), steps(right));
    WORKSPACE.with_borrow_mut(|workspace| {
        #[expect(
            unsafe_code,
            reason = "the driver takes pointers; the slices were checked to hold every number it touches"
        )]
        // SAFETY: all three matrices lie inside their slices (`check`), `target` is borrowed mutably and so apart from the
        // others, `old` = 0 means that its numbers are only written, and the caller made sure of the instructions.
        // The driver likes outputs column after column: the product is asked for as bᵀ · aᵀ into the transposed target.
        unsafe {
            driver::run::<F, S, R, C>(
                simd,
                into.columns,
                left.columns,
                into.rows,
                1.0,
                b.as_ptr(),
                right_column,
                right_row,
                a.as_ptr(),
                left_column,
                left_row,
                old,
                target.as_mut_ptr(),
                into_column,
                into_row,
                Parallelism::Serial,
                workspace,
            );
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a [M, K] · b [N, K]ᵀ` added to ones, as `multiply` with the instructions of some processors does it, and by hand.
    fn check_on(name: &str, multiply: impl Fn((&mut [f32], Shape), Put, (&[bf16], Shape), (&[bf16], Shape))) {
        for (m, k, n) in [(1, 1, 1), (3, 5, 2), (70, 33, 65)] {
            let numbers = |count: usize, phase: f32| -> Vec<bf16> {
                (0..count).map(|i| bf16::from_f32((i as f32 * 0.7311 + phase).sin())).collect()
            };
            let (a, b) = (numbers(m * k, 0.1), numbers(n * k, 0.7));
            let mut c = vec![1.0; m * n];
            let by_hand = |place: usize| {
                let (row, column) = (place / n, place % n);
                let products = (0..k).map(|i| a[row * k + i].to_f64() * b[column * k + i].to_f64());
                products.sum::<f64>()
            };
            let right = Shape::rows(n, k).transposed();
            for (how, before) in [(Put::Add, 1.0), (Put::Replace, 0.0)] {
                multiply((&mut c, Shape::rows(m, n)), how, (&a, Shape::rows(m, k)), (&b, right));
                for (place, c) in c.iter().enumerate() {
                    let expected = before + by_hand(place);
                    assert!((f64::from(*c) - expected).abs() < 1e-4, "{name} {m}x{k}x{n}: {c} and not {expected}");
                }
            }
        }
    }

    #[test]
    fn products_are_right_on_every_processor() {
        check_on("this one", multiply);
        check_on("any", |target, how, a, b| drive::<MixedGemmF32<bf16>, _, 4, 4>(ScalarTok, target, how, a, b));
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            use gemmkit::simd::Fma;
            check_on("AVX2", |target, how, a, b| drive::<MixedGemmF32<bf16>, _, 2, 6>(Fma, target, how, a, b));
        }
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        if std::arch::is_x86_feature_detected!("avx512f") {
            use gemmkit::simd::Avx512F;
            check_on("AVX-512", |target, how, a, b| drive::<MixedGemmF32<bf16>, _, 2, 12>(Avx512F, target, how, a, b));
        }
    }
}
