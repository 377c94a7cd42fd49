//! The four edges of cucumber (parser, writer, command line, outcome channel), the world and the steps.
