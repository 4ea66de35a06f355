//! Products of strided matrices on the calling thread alone: runs split their batch over threads, not their products.
//! The kernels are chosen for the processor at run time. Factors in bf16 are summed in f32.

use std::borrow::Cow;

use gemm::Parallelism;
use half::bf16;

use super::shape::{Put, Shape, check};
use super::vector::{made, round};
use super::{half_product, threads};
use crate::core::Precision;

/// A matrix that is read.
pub(super) type Read<'a> = (&'a [f32], Shape);

/// `target = a · b`, or added to it.
///
/// # Panics
/// The shapes do not fit each other or their slices: a mistake in this crate.
pub(super) fn multiply((target, into): (&mut [f32], Shape), how: Put, a: Read<'_>, b: Read<'_>) {
    check((target.len(), into), (a.0.len(), a.1), (b.0.len(), b.1));
    if into.rows == 0 || into.columns == 0 {
        return;
    }
    let add = how == Put::Add;
    #[expect(unsafe_code, reason = "gemm takes pointers; the slices were checked to hold every number it touches")]
    #[expect(clippy::cast_possible_wrap, reason = "slices are shorter than isize::MAX")]
    // SAFETY: all three matrices lie inside their slices (asserted above), `target` is borrowed mutably and so apart from
    // the others, and with `read_dst` false its numbers are only written.
    unsafe {
        gemm::gemm(
            into.rows,
            into.columns,
            a.1.columns,
            target.as_mut_ptr(),
            into.column_stride as isize,
            into.row_stride as isize,
            add,
            a.0.as_ptr(),
            a.1.column_stride as isize,
            a.1.row_stride as isize,
            b.0.as_ptr(),
            b.1.column_stride as isize,
            b.1.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Numbers that go into a product, in the precision of the run.
#[derive(Clone, Debug)]
pub(super) enum Factor<'a> {
    Single(&'a [f32]),
    Half(Cow<'a, [bf16]>),
}

impl<'a> Factor<'a> {
    /// `values`, rounded if need be.
    pub(super) fn of(values: &'a [f32], precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::Single(values),
            Precision::Bf16 => Self::Half(Cow::Owned(made(
                values.len(),
                #[inline(always)]
                |halves| {
                    halves.iter_mut().zip(values).for_each(|(half, value)| *half = round(*value));
                },
            ))),
        }
    }

    /// The numbers from `at` on.
    fn from(&self, at: usize) -> Factor<'_> {
        match self {
            Self::Single(values) => Factor::Single(values.get(at..).unwrap_or_default()),
            Self::Half(values) => Factor::Half(Cow::Borrowed(values.get(at..).unwrap_or_default())),
        }
    }
}

/// `x [rows, input] · w [out, input]ᵀ`, and its gradients; everything lies row after row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Projection {
    pub(super) rows: usize,
    pub(super) input: usize,
    pub(super) out: usize,
}

impl Projection {
    const fn of_input(self) -> Shape {
        Shape::rows(self.rows, self.input)
    }

    const fn of_output(self) -> Shape {
        Shape::rows(self.rows, self.out)
    }

    const fn of_weight(self) -> Shape {
        Shape::rows(self.out, self.input)
    }

    /// The product, `[rows, out]`.
    pub(super) fn product(self, target: &mut [f32], how: Put, x: &Factor<'_>, w: &Factor<'_>) {
        either((target, self.of_output()), how, (x, self.of_input()), (w, self.of_weight().transposed()));
    }

    /// The gradient of `x` for `grad [rows, out]`.
    pub(super) fn to_input(self, target: &mut [f32], how: Put, grad: &Factor<'_>, w: &Factor<'_>) {
        either((target, self.of_input()), how, (grad, self.of_output()), (w, self.of_weight()));
    }

    /// The gradient of `w` for `grad [rows, out]`.
    pub(super) fn to_weight(self, target: &mut [f32], how: Put, grad: &Factor<'_>, x: &Factor<'_>) {
        either((target, self.of_weight()), how, (grad, self.of_output().transposed()), (x, self.of_input()));
    }
}

/// Multiplications from which a product is worth another thread.
const WORTH: usize = 1 << 20;

/// The product of two factors of the same precision into rows that follow each other. If this thread may use others, each
/// makes some of the rows.
///
/// # Panics
/// The precisions differ, or as [`multiply`].
fn either((target, into): (&mut [f32], Shape), how: Put, a: (&Factor<'_>, Shape), b: (&Factor<'_>, Shape)) {
    let worth = into.rows * into.columns * b.1.rows / WORTH;
    let count = threads::own().min(worth).min(into.rows).max(1);
    if count == 1 {
        return one((target, into), how, a, b);
    }
    let each = into.rows.div_ceil(count);
    let parts = target.chunks_mut(each * into.columns).take(count).enumerate().collect();
    let done = threads::map(parts, |(number, target): (usize, &mut [f32])| {
        let rows = each.min(into.rows - number * each);
        let left = (&a.0.from(number * each * a.1.row_stride), Shape { rows, ..a.1 });
        one((target, Shape { rows, ..into }), how, left, b);
        Ok::<_, std::convert::Infallible>(())
    });
    let Ok(_) = done;
}

fn one(target: (&mut [f32], Shape), how: Put, a: (&Factor<'_>, Shape), b: (&Factor<'_>, Shape)) {
    match (a.0, b.0) {
        (Factor::Single(x), Factor::Single(y)) => multiply(target, how, (x, a.1), (y, b.1)),
        (Factor::Half(x), Factor::Half(y)) => half_product::multiply(target, how, (x, a.1), (y, b.1)),
        (Factor::Single(_), Factor::Half(_)) | (Factor::Half(_), Factor::Single(_)) => {
            unreachable!("factors of one product have one precision")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_threads_make_the_same_products() {
        let numbers = |count: usize| (0..count).map(|i| (i as f32 * 0.7311).sin()).collect::<Vec<f32>>();
        let projection = Projection { rows: 131, input: 160, out: 150 };
        let (x, w, grad) = (numbers(131 * 160), numbers(150 * 160), numbers(131 * 150));
        for precision in [Precision::F32, Precision::Bf16] {
            let [x, w, grad] = [&x, &w, &grad].map(|values| Factor::of(values, precision));
            let made = |threads: usize| {
                let [mut y, mut dx, mut dw] = [vec![1.0; 131 * 150], vec![1.0; 131 * 160], vec![1.0; 150 * 160]];
                threads::with_threads(threads, || {
                    projection.product(&mut y, Put::Replace, &x, &w);
                    projection.to_input(&mut dx, Put::Replace, &grad, &w);
                    projection.to_weight(&mut dw, Put::Add, &grad, &x);
                });
                [y, dx, dw]
            };
            for (alone, together) in made(1).iter().flatten().zip(made(3).iter().flatten()) {
                assert!((alone - together).abs() < 1e-4, "{alone} and {together}");
            }
            assert_eq!(made(1)[0].iter().filter(|y| **y == 1.0).count(), 0, "every number is written");
        }
    }
}
