//! Bounds of everything that is read or made.

/// Longest source text, bytes. The API server's parser stops at as many code points.
pub const MAX_SOURCE: usize = 100_000;
/// Deepest nesting of a source text, as in the API server's parser.
pub const MAX_DEPTH: usize = 250;
/// Most nodes in an expression.
pub const MAX_NODES: usize = 20_000;
/// Deepest nesting of a value that is compared, printed or traversed.
pub const MAX_VALUE_DEPTH: usize = 512;
/// What one expression may cost, in Kubernetes' units (its `PerCallLimit`).
pub const EXPRESSION_COST: u64 = 1_000_000;
/// What all expressions of one policy and binding may cost (its `RuntimeCELCostBudget`).
pub const POLICY_COST: u64 = 10_000_000;
/// Elementary steps one expression may take beside its cost: deep comparisons, traversals, pattern
/// compilations. Kubernetes does not count them; without this bound a cheap comparison of large
/// objects in a loop would run for minutes. A few tenths of a second of work.
pub const EXPRESSION_WORK: u64 = 20_000_000;
/// Bytes of strings and lists one expression may make. Kubernetes does not count them (`replace`
/// costs its input, not its output).
pub const EXPRESSION_MEMORY: u64 = 64 << 20;
/// Longest compiled form of one regular expression, bytes.
pub const PATTERN_SIZE: usize = 1 << 20;
