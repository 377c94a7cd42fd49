//! The report model and one small file a renderer.
