//! The pen's row in this side's database.

use chassis::db::{Conn, Error};

use crate::Names;
use crate::wire::{Pen, Position};

/// The pen's row; none while none is installed.
pub(crate) fn read(_conn: &mut Conn, _names: &Names) -> Result<Option<Pen>, Error> {
    Ok(None)
}

/// The position of the write transaction that is open; none while no pen is installed.
pub(crate) fn position(_conn: &mut Conn, _names: &Names) -> Result<Option<Position>, Error> {
    Ok(None)
}
