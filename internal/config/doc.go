// Package config is the one document that says how Thymus runs: its keys, their types and defaults, where each value
// came from, and what is wrong with it.
//
// Sources, later wins: defaults, the YAML file, THYMUS_ variables, flags. Every key is one row of Schema; file,
// environment, --set, the printed document and the checks all walk that table, so a key that is added there is known
// everywhere.
//
// Invariants: a value that Load returned has passed its key's bounds and every check across keys; whatever is wrong is
// reported at once, each error with the place it came from and what was expected; a secret appears in no error and in
// no printed document. The package reads the configuration file and looks whether the files it names exist. It makes
// nothing but, when asked by EnsureDir, the state directory; locks, tokens and certificates are read and made by
// those who use them.
package config
