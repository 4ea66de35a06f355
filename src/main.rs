//! The binary; everything is in the library.

use trilab::kernel::memory::Recycler;

#[global_allocator]
static ALLOCATOR: Recycler = Recycler;

fn main() -> std::process::ExitCode {
    trilab::cli::main()
}
