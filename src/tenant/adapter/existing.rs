//! Tenants that are already there: lent, never made or removed.

use std::collections::BTreeMap;

use crate::profile::{ExistingAdapter, ExistingTenant};
use crate::tenant::TenantError;

/// Lends existing tenants to names of features, in the profile's order.
#[derive(Debug, Default)]
pub struct Lender(BTreeMap<String, usize>);

impl Lender {
    /// The existing tenant for a name: the same one each time.
    pub fn lend<'a>(
        &mut self,
        adapter: &'a ExistingAdapter,
        name: &str,
    ) -> Result<&'a ExistingTenant, TenantError> {
        let next = self.0.len();
        let index = *self.0.get(name).unwrap_or(&next);
        let tenant = adapter
            .tenants
            .get(index)
            .ok_or_else(|| TenantError::NoneLeft { tenant: name.to_owned(), count: adapter.tenants.len() })?;
        self.0.insert(name.to_owned(), index);
        Ok(tenant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_keeps_its_tenant() {
        let adapter = ExistingAdapter {
            tenants: ["red", "blue"]
                .map(|name| ExistingTenant { name: name.into(), namespaces: vec![] })
                .to_vec(),
        };
        let mut lender = Lender::default();
        assert_eq!(lender.lend(&adapter, "alpha").unwrap().name, "red");
        assert_eq!(lender.lend(&adapter, "bravo").unwrap().name, "blue");
        assert_eq!(lender.lend(&adapter, "alpha").unwrap().name, "red");
        let error = lender.lend(&adapter, "charlie").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the profile names 2 existing tenants, and `charlie` would be one more"
        );
    }
}
