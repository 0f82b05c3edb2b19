//! Small authenticated documents.
