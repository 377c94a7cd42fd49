//! Pure predictors: a second opinion to what is measured.
