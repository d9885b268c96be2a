//! A read of a module that is handed over, when this router may not know yet where the data is.
//!
//! For [`crate::attempt`]. Nearly all reads go where the choice sends them. Two wait for a look at both sides first: one whose route goes
//! where the data is, before any side has said where that is; and one whose client has written in an epoch that this router
//! has not heard of, through another router.

use super::Pen;
use crate::choose::Overruled;
use crate::plan::Plan;

/// Finds out where such a read must go.
pub(crate) async fn find(plan: &mut Plan, pen: &Pen) {
    if let Some(Overruled::Ahead(written)) = plan.decision.overruled {
        pen.until_epoch(written.epoch()).await;
        // If both sides answer and know of no such epoch, nobody wrote in it. If one does not answer, the side whose epoch it
        // would be stays chosen.
        if pen.epoch() >= written.epoch() || pen.is_in_touch() {
            plan.send_to_holder(pen);
        }
    } else if plan.is_by_owner() && pen.holder().is_none() {
        pen.until_known().await;
        plan.send_to_holder(pen);
    }
}
