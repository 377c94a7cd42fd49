//! State by type, so that a domain of steps adds its own without touching the world.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    fmt,
    sync::Arc,
};

use super::StepError;

/// One value a type. Each domain of steps declares a struct and keeps it here.
#[derive(Default)]
pub struct Slots(HashMap<TypeId, Box<dyn Any + Send>>);

impl Slots {
    /// Puts a value in, in place of an earlier one of its type.
    pub fn insert<T: Any + Send>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Box::new(value));
    }

    /// The value, if an earlier step put one in.
    pub fn get<T: Any + Send>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// The value to be changed, if an earlier step put one in.
    pub fn get_mut<T: Any + Send>(&mut self) -> Option<&mut T> {
        self.0.get_mut(&TypeId::of::<T>())?.downcast_mut()
    }

    /// The value, made by `Default` on first use.
    #[expect(clippy::missing_panics_doc, clippy::expect_used, reason = "the key is the type of the value")]
    pub fn entry<T: Any + Send + Default>(&mut self) -> &mut T {
        self.0
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Box::<T>::default())
            .downcast_mut()
            .expect("a slot holds the type it is keyed by")
    }

    /// The value, or an error that says what is missing: `no onboarded tenants`.
    pub fn require<T: Any + Send>(&self, what: &str) -> Result<&T, StepError> {
        self.get().ok_or_else(|| missing(what))
    }

    /// As [`Slots::require`], to be changed.
    pub fn require_mut<T: Any + Send>(&mut self, what: &str) -> Result<&mut T, StepError> {
        self.get_mut().ok_or_else(|| missing(what))
    }

    /// Takes the value out.
    pub fn take<T: Any + Send>(&mut self) -> Option<T> {
        let value = self.0.remove(&TypeId::of::<T>())?;
        value.downcast().ok().map(|value| *value)
    }
}

fn missing(what: &str) -> StepError {
    StepError::trouble(format!("no earlier step of the scenario provides {what}"))
        .hint("the scenario lacks a Given or When step; `plimsoll lint` may name it")
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slots({})", self.0.len())
    }
}

/// What the run shares with every scenario, by type: the profile, the cluster, the tenant pool.
#[derive(Clone, Default)]
pub struct Services(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl Services {
    /// Adds a service.
    #[must_use]
    pub fn with<T: Any + Send + Sync>(mut self, service: Arc<T>) -> Self {
        self.0.insert(TypeId::of::<T>(), service);
        self
    }

    /// The service, or trouble that names its type.
    pub fn get<T: Any + Send + Sync>(&self) -> Result<Arc<T>, StepError> {
        self.0
            .get(&TypeId::of::<T>())
            .and_then(|service| Arc::clone(service).downcast().ok())
            .ok_or_else(|| StepError::trouble(format!("the run has no {}", type_name::<T>())))
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Services({})", self.0.len())
    }
}
