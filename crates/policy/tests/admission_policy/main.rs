//! ValidatingAdmissionPolicy: documents as users have them, judged as the API server judges.

mod documents;
mod evaluation;
mod matching;
mod properties;
mod support;
