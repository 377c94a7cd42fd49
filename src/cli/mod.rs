//! The command line: arguments as typed, settings as resolved, one file a command.
