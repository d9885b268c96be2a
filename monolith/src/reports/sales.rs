//! The report on what was sold, altogether and by group. The sums are the orders module's.

use chassis::page::Page;

use super::{Error, Reports};
use crate::orders::{Group, GroupBy, SalesQuery, Totals};

impl Reports {
    /// Sums over the sales meant, and a page of the groups in the order of their keys, if groups are asked for.
    pub(super) async fn sales(
        &self,
        query: SalesQuery,
        by: Option<GroupBy>,
        after: Option<String>,
        limit: i64,
    ) -> Result<(Totals, Page<Group>), Error> {
        let totals = self.orders.totals(query.clone()).await?;
        let groups = match by {
            Some(by) => self.orders.groups(query, by, after, limit + 1).await?,
            None => Vec::new(),
        };
        Ok((totals, Page::of(groups, limit, |group| group.key.clone())))
    }
}
