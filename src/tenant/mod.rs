//! The life cycle of throwaway tenants; onboarding adapters.
