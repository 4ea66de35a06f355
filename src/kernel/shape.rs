//! How matrices lie in slices, and what a product does to what is there.

/// `rows × columns` numbers inside a slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Distance of one row from the next.
    pub(super) row_stride: usize,
    /// Distance of one column from the next.
    pub(super) column_stride: usize,
}

impl Shape {
    /// Row after row.
    pub(super) const fn rows(rows: usize, columns: usize) -> Self {
        Self { rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// Rows that lie `stride` apart.
    pub(super) const fn apart(rows: usize, columns: usize, stride: usize) -> Self {
        Self { rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// The same numbers with rows and columns exchanged.
    pub(super) const fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, row_stride: self.column_stride, column_stride: self.row_stride }
    }

    /// Numbers that a slice must hold.
    const fn reach(self) -> usize {
        if self.rows == 0 || self.columns == 0 {
            0
        } else {
            (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1
        }
    }
}

/// What becomes of the numbers that are already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// They are replaced.
    Replace,
    /// The product is added to them.
    Add,
}

/// Asserts that a product makes sense and stays inside its slices, given by their lengths.
pub(super) fn check(target: (usize, Shape), a: (usize, Shape), b: (usize, Shape)) {
    let (into, left, right) = (target.1, a.1, b.1);
    assert!(
        left.columns == right.rows && into.rows == left.rows && into.columns == right.columns,
        "shapes of a product"
    );
    let inside = |(length, shape): (usize, Shape)| length >= shape.reach();
    assert!(inside(target) && inside(a) && inside(b), "a matrix reaches beyond its slice");
}
